//! The ledger in a SQL database: one SQLite file that one process owns, or PostgreSQL, which many processes share.
//!
//! Both databases execute the same statements; [`database`] holds what differs.
//!
//! SQLite: every change is one `BEGIN IMMEDIATE` transaction on the single writing connection. A transaction that begins as a
//! reader and upgrades could fail half way with "busy". Reads use a few read-only connections, which never wait for the
//! writer because of the write-ahead log. A commit is on disk when it returns (`synchronous=FULL`). Deleted data is
//! overwritten (`secure_delete`), and the log is truncated after credentials were wiped.
//!
//! PostgreSQL: every change is one transaction in `READ COMMITTED`. Rows are locked in one order: the task, its shards, its pass.

mod changes;
mod commit;
mod copying;
mod crashes;
mod database;
mod facts;
mod ledger;
mod lists;
mod once;
mod open_shards;
mod orphans;
mod passes;
mod purge;
mod queue;
mod ranges;
mod rows;
mod scope;
mod taken;
mod tasks;
mod uploads;
mod warnings;
mod work;
mod workers;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;

use self::database::Database;
#[doc(hidden)]
pub use self::database::Disk;
pub use self::database::Schema;
pub use self::ledger::SqlLedger;
use super::{
    Change, Cleanup, Commit, Committed, Control, CreatedOnce, Deleted, Ending, Failure, FileSize, Finished,
    FoundScope, Fullness, Holder, JoinedTask, LeasedShard, LeasedTask, Ledger, NewPass, NewTask, OpenUpload,
    Orphan, Orphans, Owner, Pending, Purged, ReportFile, RequestKey, ShardKinds, ShardLease, Sharing,
    TaskFilter, Unordered, Wanted, WorkerBeat, WorkerInfo, Writer, decisions,
};
use crate::error::Result;
use crate::secret::SealedCredentials;
use crate::task::{
    BandwidthPolicy, Estimate, FailedReport, KeptWarning, Key, PassInfo, ProjectId, Reason, ReportKind,
    StartMode, State, Task, TaskId, UnixMillis, Warning, WorkerId,
};

#[async_trait]
impl Ledger for SqlLedger {
    async fn create(&self, new: NewTask, now: UnixMillis) -> Result<Task> {
        tasks::create(&self.database, new, now).await
    }

    async fn created_before(
        &self,
        project: &ProjectId,
        request: &RequestKey,
        now: UnixMillis,
    ) -> Result<Option<CreatedOnce>> {
        once::created_before(&self.database, project, request, now).await
    }

    async fn create_once(&self, new: NewTask, request: &RequestKey, now: UnixMillis) -> Result<CreatedOnce> {
        once::create_once(&self.database, new, request, now).await
    }

    async fn task(&self, project: &ProjectId, id: TaskId) -> Result<Option<Task>> {
        tasks::task(&self.database, project, id).await
    }

    async fn tasks(&self, filter: &TaskFilter, offset: i64, limit: i64) -> Result<Vec<Task>> {
        tasks::tasks(&self.database, filter, offset, limit).await
    }

    async fn count(&self, filter: &TaskFilter) -> Result<i64> {
        tasks::count(&self.database, filter).await
    }

    async fn start(
        &self,
        project: &ProjectId,
        id: TaskId,
        mode: StartMode,
        credentials: SealedCredentials,
        _now: UnixMillis,
    ) -> Result<Change<()>> {
        changes::start(&self.database, project, id, mode, credentials).await
    }

    async fn stop(&self, project: &ProjectId, id: TaskId, now: UnixMillis) -> Result<Change<State>> {
        match changes::stop(&self.database, project, id, now).await {
            Err(error) if self.makes_room(&error) => changes::stop(&self.database, project, id, now).await,
            stopped => stopped,
        }
    }

    async fn set_bandwidth(
        &self,
        project: &ProjectId,
        id: TaskId,
        policy: BandwidthPolicy,
    ) -> Result<Change<()>> {
        changes::set_bandwidth(&self.database, project, id, policy).await
    }

    async fn delete(
        &self,
        project: &ProjectId,
        id: TaskId,
        keys: Option<SealedCredentials>,
        now: UnixMillis,
    ) -> Result<Change<Deleted>> {
        match changes::delete(&self.database, project, id, keys.clone(), now).await {
            Err(error) if self.makes_room(&error) => {
                changes::delete(&self.database, project, id, keys, now).await
            }
            deleted => deleted,
        }
    }

    async fn failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>> {
        tasks::failures(&self.database, id, after, limit).await
    }

    async fn found_scope(&self, id: TaskId, limit: i64) -> Result<FoundScope> {
        scope::found(&self.database, id, limit).await
    }

    async fn empty_prefixes(&self, id: TaskId, limit: i64) -> Result<Vec<Key>> {
        scope::empty_prefixes(&self.database, id, limit).await
    }

    async fn warnings(&self, id: TaskId) -> Result<Vec<KeptWarning>> {
        warnings::all(&self.database, id).await
    }

    async fn pending(
        &self,
        after: Option<&ProjectId>,
        worker: WorkerId,
        now: UnixMillis,
    ) -> Result<Vec<Pending>> {
        queue::pending(&self.database, self.lease_millis, after, worker, now).await
    }

    async fn joinable(&self, worker: WorkerId, now: UnixMillis) -> Result<Vec<TaskId>> {
        queue::joinable(&self.database, self.lease_millis, worker, now).await
    }

    async fn wanted(&self, worker: WorkerId, now: UnixMillis, shards: i64) -> Result<Vec<Wanted>> {
        queue::wanted(&self.database, self.lease_millis, worker, now, shards).await
    }

    async fn waiting(&self, project: &ProjectId) -> Result<i64> {
        queue::waiting(&self.database, project).await
    }

    async fn recover(&self, _now: UnixMillis) -> Result<()> {
        crashes::recover(&self.database).await
    }

    async fn release(&self, id: TaskId, worker: WorkerId, now: UnixMillis) -> Result<()> {
        work::without_worker(
            &self.database,
            self.lease_millis,
            id,
            worker,
            now,
            decisions::work::release,
        )
        .await
    }

    async fn pause(&self, id: TaskId, worker: WorkerId, now: UnixMillis) -> Result<()> {
        work::without_worker(
            &self.database,
            self.lease_millis,
            id,
            worker,
            now,
            decisions::work::pause,
        )
        .await
    }

    async fn confirm_running(&self, id: TaskId, fencing_token: i64) -> Result<()> {
        crashes::confirm_running(&self.database, id, fencing_token).await
    }

    async fn record_crash(&self, id: TaskId, worker: WorkerId) -> Result<()> {
        crashes::record_crash(&self.database, id, worker).await
    }

    async fn record_shutdown(&self, worker: WorkerId) -> Result<()> {
        crashes::record_shutdown(&self.database, worker).await
    }

    async fn lease_task(&self, id: TaskId, holder: Holder, now: UnixMillis) -> Result<Option<LeasedTask>> {
        work::lease_task(&self.database, self.lease_millis, id, holder, now).await
    }

    async fn keep_task(&self, id: TaskId, fencing_token: i64, now: UnixMillis) -> Result<Committed> {
        work::keep_task(&self.database, id, fencing_token, now).await
    }

    async fn join_task(&self, id: TaskId) -> Result<Option<JoinedTask>> {
        work::join_task(&self.database, id).await
    }

    async fn control(&self, id: TaskId, worker: WorkerId, now: UnixMillis) -> Result<Option<Control>> {
        tasks::control(&self.database, self.lease_millis, id, worker, now).await
    }

    async fn open_pass(
        &self,
        id: TaskId,
        fencing_token: i64,
        open: NewPass<'_>,
        now: UnixMillis,
    ) -> Result<PassInfo> {
        passes::open_pass(&self.database, id, fencing_token, open, now).await
    }

    async fn forget_failures(&self, id: TaskId, fencing_token: i64) -> Result<Purged> {
        purge::forget_failures(&self.database, id, fencing_token).await
    }

    async fn lease_shard(
        &self,
        id: TaskId,
        holder: Holder,
        which: (ShardKinds, Option<i64>),
        now: UnixMillis,
    ) -> Result<ShardLease> {
        passes::lease_shard(&self.database, self.lease_millis, id, holder, which, now).await
    }

    async fn leave_shards(&self, id: TaskId, worker: WorkerId) -> Result<()> {
        passes::leave_shards(&self.database, id, worker).await
    }

    async fn report_trouble(&self, id: TaskId, worker: WorkerId, reason: &Reason) -> Result<()> {
        work::report_trouble(&self.database, id, worker, reason).await
    }

    async fn split(&self, id: TaskId, shard: &LeasedShard, cuts: &[Key]) -> Result<Committed> {
        ranges::split(&self.database, id, shard, cuts).await
    }

    async fn set_unordered(&self, id: TaskId, shard: &LeasedShard) -> Result<Unordered> {
        ranges::set_unordered(&self.database, id, shard).await
    }

    async fn failure_cuts(
        &self,
        id: TaskId,
        after: Option<&Key>,
        until: Option<&Key>,
        pieces: i64,
    ) -> Result<Vec<Key>> {
        ranges::failure_cuts(&self.database, id, (after, until), pieces).await
    }

    async fn commit(
        &self,
        id: TaskId,
        shard: &LeasedShard,
        commit: Commit,
        now: UnixMillis,
    ) -> Result<Committed> {
        commit::commit(&self.database, id, shard, commit, now).await
    }

    async fn warn(
        &self,
        id: TaskId,
        writer: Writer<'_>,
        warnings: &[Warning],
        now: UnixMillis,
    ) -> Result<Committed> {
        warnings::add(&self.database, id, writer, warnings, now).await
    }

    async fn take_failures(
        &self,
        id: TaskId,
        shard: &LeasedShard,
        keys: &[Key],
    ) -> Result<Option<Vec<Failure>>> {
        taken::take(&self.database, id, shard, keys).await
    }

    async fn untaken_failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>> {
        taken::untaken(&self.database, id, after, limit).await
    }

    async fn set_estimate(&self, id: TaskId, survey: Estimate) -> Result<()> {
        tasks::set_estimate(&self.database, id, survey).await
    }

    async fn set_failed_report(&self, id: TaskId, fencing_token: i64, list: &FailedReport) -> Result<()> {
        tasks::set_failed_report(&self.database, id, fencing_token, list).await
    }

    async fn report_file(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        size: FileSize,
        fullness: Fullness,
        now: UnixMillis,
    ) -> Result<Option<ReportFile>> {
        lists::file(&self.database, id, fencing_token, kind, (size, fullness), now).await
    }

    async fn waiting_chunks(&self, id: TaskId, kind: ReportKind) -> Result<Vec<i64>> {
        lists::waiting(&self.database, id, kind).await
    }

    async fn report_lines(&self, id: TaskId, chunk: i64) -> Result<Option<Vec<u8>>> {
        lists::lines(&self.database, id, chunk).await
    }

    async fn report_written(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        file: UnixMillis,
    ) -> Result<Committed> {
        lists::written(&self.database, id, fencing_token, kind, file).await
    }

    async fn report_refused(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        most: i64,
    ) -> Result<Committed> {
        lists::refused(&self.database, id, fencing_token, kind, most).await
    }

    async fn finish(
        &self,
        id: TaskId,
        fencing_token: i64,
        ending: Ending,
        now: UnixMillis,
    ) -> Result<Finished> {
        work::finish(&self.database, self.lease_millis, id, fencing_token, ending, now).await
    }

    async fn put_upload(&self, id: TaskId, writer: Writer<'_>, upload: &OpenUpload) -> Result<Committed> {
        uploads::put(&self.database, id, writer, upload).await
    }

    async fn upload(&self, id: TaskId, key: &Key) -> Result<Option<OpenUpload>> {
        uploads::one(&self.database, id, key).await
    }

    async fn uploads(&self, id: TaskId) -> Result<Vec<OpenUpload>> {
        uploads::all(&self.database, id).await
    }

    async fn remove_upload(&self, id: TaskId, writer: Writer<'_>, key: &Key) -> Result<Committed> {
        uploads::remove(&self.database, id, writer, key).await
    }

    async fn put_part_hash(
        &self,
        id: TaskId,
        writer: Writer<'_>,
        key: &Key,
        part: (u32, [u8; 16]),
    ) -> Result<Committed> {
        uploads::put_hash(&self.database, id, writer, key, part).await
    }

    async fn part_hashes(&self, id: TaskId, key: &Key) -> Result<BTreeMap<u32, [u8; 16]>> {
        uploads::hashes(&self.database, id, key).await
    }

    async fn orphans(&self, which: Orphans<'_>, after: i64, limit: i64) -> Result<Vec<Orphan>> {
        orphans::read(&self.database, which, after, limit).await
    }

    async fn take_cleanup(&self, now: UnixMillis, before: UnixMillis) -> Result<Option<Cleanup>> {
        orphans::take(&self.database, now, before).await
    }

    async fn remove_orphan(&self, number: i64) -> Result<()> {
        orphans::remove(&self.database, number).await
    }

    async fn wipe_orphan_keys(&self, task: TaskId) -> Result<()> {
        orphans::wipe(&self.database, task).await
    }

    async fn upload_owner(&self, target_key: &Key, upload_id: &str) -> Result<Owner> {
        orphans::upload_owner(&self.database, target_key, upload_id).await
    }

    fn sharing(&self) -> Sharing {
        match &self.database {
            Database::Sqlite(_) => Sharing::OneProcess,
            Database::Postgres(_) => Sharing::ManyProcesses,
        }
    }

    async fn beat(&self, beat: &WorkerBeat, now: UnixMillis) -> Result<()> {
        workers::beat(&self.database, self.lease_millis, beat, now).await
    }

    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        workers::all(&self.database).await
    }

    async fn check_seal(&self, check: &str) -> Result<()> {
        workers::check_seal(&self.database, check).await
    }

    async fn server_time(&self) -> Result<Option<UnixMillis>> {
        workers::server_time(&self.database).await
    }

    async fn purge(&self) -> Result<Purged> {
        purge::purge(&self.database).await
    }

    async fn ping(&self) -> Result<()> {
        self.database.ping().await
    }

    async fn close(&self) {
        self.database.close().await;
    }
}
