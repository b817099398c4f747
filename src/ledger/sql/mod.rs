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
mod crashes;
mod database;
mod facts;
mod lists;
mod once;
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

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;

use self::database::Database;
#[doc(hidden)]
pub use self::database::Disk;
pub use self::database::Schema;
use self::database::{PostgresDatabase, SqliteDatabase};
use super::{
    Change, Cleanup, Commit, Committed, Control, CreatedOnce, Deleted, Ending, Failure, FoundScope,
    LeasedShard, LeasedTask, Ledger, NewTask, OpenUpload, Orphan, Orphans, Owner, Pending, Purged,
    ReportChunk, RequestKey, ShardScope, TaskFilter, Unordered,
};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{SealedCredentials, Secret};
use crate::task::{
    BandwidthPolicy, Estimate, FailedReport, KeptWarning, Key, PassInfo, PassKind, ProjectId, ReportKind,
    StartMode, State, Task, TaskId, UnixMillis, Warning,
};

/// The ledger in a SQL database.
#[derive(Debug)]
pub struct SqlLedger(Database);

impl SqlLedger {
    /// Opens the ledger in a file and brings its schema up to date. Creates the file if it does not exist, readable only by
    /// its owner. The file is locked by this process until the ledger is dropped.
    ///
    /// # Errors
    /// `Conflict` if another process has it open. `Internal` if the file cannot be created, opened or written, or was
    /// created by a newer version.
    pub async fn open(path: &Path) -> Result<Self> {
        let file = SqliteDatabase::open(path).await?;
        Ok(Self(Database::Sqlite(file)))
    }

    /// Connects to a ledger on a PostgreSQL server, such as `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// `InvalidArgument` for a wrong URL; `Unavailable` if the server does not answer; `Unauthenticated`, `PermissionDenied` or
    /// `NotFound` if it refuses the user or has no such database; `Conflict` if the schema must not be changed and is of another
    /// version; `Internal` if a newer version has made it.
    pub async fn connect(url: &Secret, schema: Schema) -> Result<Self> {
        let server = PostgresDatabase::open(url, schema).await?;
        Ok(Self(Database::Postgres(server)))
    }

    /// A ledger in memory, for tests and demonstrations. Its content is lost when it is dropped.
    ///
    /// # Errors
    /// `Internal` if SQLite fails.
    pub async fn in_memory() -> Result<Self> {
        let memory = SqliteDatabase::in_memory().await?;
        Ok(Self(Database::Sqlite(memory)))
    }

    /// Releases the space that is reserved for a full disk, if the error may come from a full disk. Used for stops and
    /// deletions, because they free space.
    fn makes_room(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::Unavailable) && self.0.make_room()
    }

    /// Changes how the ledger's disk behaves. Only for tests.
    ///
    /// # Errors
    /// Errors of SQLite.
    #[doc(hidden)]
    pub async fn set_disk(&self, disk: Disk) -> Result<()> {
        self.0.set_disk(disk).await
    }
}

#[async_trait]
impl Ledger for SqlLedger {
    async fn create(&self, new: NewTask, now: UnixMillis) -> Result<Task> {
        tasks::create(&self.0, new, now).await
    }

    async fn created_before(
        &self,
        project: &ProjectId,
        request: &RequestKey,
        now: UnixMillis,
    ) -> Result<Option<CreatedOnce>> {
        once::created_before(&self.0, project, request, now).await
    }

    async fn create_once(&self, new: NewTask, request: &RequestKey, now: UnixMillis) -> Result<CreatedOnce> {
        once::create_once(&self.0, new, request, now).await
    }

    async fn task(&self, project: &ProjectId, id: TaskId) -> Result<Option<Task>> {
        tasks::task(&self.0, project, id).await
    }

    async fn tasks(&self, filter: &TaskFilter, offset: i64, limit: i64) -> Result<Vec<Task>> {
        tasks::tasks(&self.0, filter, offset, limit).await
    }

    async fn count(&self, filter: &TaskFilter) -> Result<i64> {
        tasks::count(&self.0, filter).await
    }

    async fn start(
        &self,
        project: &ProjectId,
        id: TaskId,
        mode: StartMode,
        credentials: SealedCredentials,
        _now: UnixMillis,
    ) -> Result<Change<()>> {
        changes::start(&self.0, project, id, mode, credentials).await
    }

    async fn stop(&self, project: &ProjectId, id: TaskId, now: UnixMillis) -> Result<Change<State>> {
        match changes::stop(&self.0, project, id, now).await {
            Err(error) if self.makes_room(&error) => changes::stop(&self.0, project, id, now).await,
            stopped => stopped,
        }
    }

    async fn set_bandwidth(
        &self,
        project: &ProjectId,
        id: TaskId,
        policy: BandwidthPolicy,
    ) -> Result<Change<()>> {
        changes::set_bandwidth(&self.0, project, id, policy).await
    }

    async fn delete(
        &self,
        project: &ProjectId,
        id: TaskId,
        keys: Option<SealedCredentials>,
        now: UnixMillis,
    ) -> Result<Change<Deleted>> {
        match changes::delete(&self.0, project, id, keys.clone(), now).await {
            Err(error) if self.makes_room(&error) => changes::delete(&self.0, project, id, keys, now).await,
            deleted => deleted,
        }
    }

    async fn failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>> {
        tasks::failures(&self.0, id, after, limit).await
    }

    async fn found_scope(&self, id: TaskId, limit: i64) -> Result<FoundScope> {
        scope::found(&self.0, id, limit).await
    }

    async fn empty_prefixes(&self, id: TaskId, limit: i64) -> Result<Vec<Key>> {
        scope::empty_prefixes(&self.0, id, limit).await
    }

    async fn warnings(&self, id: TaskId) -> Result<Vec<KeptWarning>> {
        warnings::all(&self.0, id).await
    }

    async fn pending(&self, after: Option<&ProjectId>) -> Result<Vec<Pending>> {
        queue::pending(&self.0, after).await
    }

    async fn waiting(&self, project: &ProjectId) -> Result<i64> {
        queue::waiting(&self.0, project).await
    }

    async fn recover(&self, _now: UnixMillis) -> Result<()> {
        crashes::recover(&self.0).await
    }

    async fn release(&self, id: TaskId) -> Result<()> {
        work::release(&self.0, id).await
    }

    async fn pause(&self, id: TaskId) -> Result<()> {
        work::pause(&self.0, id).await
    }

    async fn confirm_running(&self, id: TaskId, fencing_token: i64) -> Result<()> {
        crashes::confirm_running(&self.0, id, fencing_token).await
    }

    async fn record_crash(&self, id: TaskId) -> Result<()> {
        crashes::record_crash(&self.0, id).await
    }

    async fn record_shutdown(&self) -> Result<()> {
        crashes::record_shutdown(&self.0).await
    }

    async fn lease_task(&self, id: TaskId, now: UnixMillis) -> Result<Option<LeasedTask>> {
        work::lease_task(&self.0, id, now).await
    }

    async fn control(&self, id: TaskId) -> Result<Option<Control>> {
        tasks::control(&self.0, id).await
    }

    async fn open_pass(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: PassKind,
        shards: &[ShardScope],
        now: UnixMillis,
    ) -> Result<PassInfo> {
        passes::open_pass(&self.0, id, fencing_token, kind, shards, now).await
    }

    async fn forget_failures(&self, id: TaskId, fencing_token: i64) -> Result<Purged> {
        purge::forget_failures(&self.0, id, fencing_token).await
    }

    async fn lease_shard(&self, id: TaskId, fencing_token: i64) -> Result<Option<LeasedShard>> {
        passes::lease_shard(&self.0, id, fencing_token).await
    }

    async fn split(&self, id: TaskId, shard: &LeasedShard, cuts: &[Key]) -> Result<Committed> {
        ranges::split(&self.0, id, shard, cuts).await
    }

    async fn set_unordered(&self, id: TaskId, shard: &LeasedShard) -> Result<Unordered> {
        ranges::set_unordered(&self.0, id, shard).await
    }

    async fn failure_cuts(
        &self,
        id: TaskId,
        after: Option<&Key>,
        until: Option<&Key>,
        pieces: i64,
    ) -> Result<Vec<Key>> {
        ranges::failure_cuts(&self.0, id, (after, until), pieces).await
    }

    async fn commit(
        &self,
        id: TaskId,
        shard: &LeasedShard,
        commit: Commit,
        now: UnixMillis,
    ) -> Result<Committed> {
        commit::commit(&self.0, id, shard, commit, now).await
    }

    async fn warn(
        &self,
        id: TaskId,
        fencing_token: i64,
        warnings: &[Warning],
        now: UnixMillis,
    ) -> Result<Committed> {
        warnings::add(&self.0, id, fencing_token, warnings, now).await
    }

    async fn take_failures(
        &self,
        id: TaskId,
        fencing_token: i64,
        keys: &[Key],
    ) -> Result<Option<Vec<Failure>>> {
        taken::take(&self.0, id, fencing_token, keys).await
    }

    async fn untaken_failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>> {
        taken::untaken(&self.0, id, after, limit).await
    }

    async fn set_estimate(&self, id: TaskId, survey: Estimate) -> Result<()> {
        tasks::set_estimate(&self.0, id, survey).await
    }

    async fn set_failed_report(&self, id: TaskId, fencing_token: i64, list: &FailedReport) -> Result<()> {
        tasks::set_failed_report(&self.0, id, fencing_token, list).await
    }

    async fn report_chunks(&self, id: TaskId, kind: ReportKind, limit: i64) -> Result<Vec<ReportChunk>> {
        lists::chunks(&self.0, id, kind, limit).await
    }

    async fn report_lines(&self, id: TaskId, kind: ReportKind, stamp: UnixMillis) -> Result<Option<Vec<u8>>> {
        lists::lines(&self.0, id, kind, stamp).await
    }

    async fn report_written(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        last: UnixMillis,
    ) -> Result<Committed> {
        lists::written(&self.0, id, fencing_token, kind, last).await
    }

    async fn report_refused(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        most: i64,
    ) -> Result<Committed> {
        lists::refused(&self.0, id, fencing_token, kind, most).await
    }

    async fn finish(
        &self,
        id: TaskId,
        fencing_token: i64,
        ending: Ending,
        now: UnixMillis,
    ) -> Result<Option<State>> {
        work::finish(&self.0, id, fencing_token, ending, now).await
    }

    async fn put_upload(&self, id: TaskId, upload: &OpenUpload) -> Result<()> {
        uploads::put(&self.0, id, upload).await
    }

    async fn upload(&self, id: TaskId, key: &Key) -> Result<Option<OpenUpload>> {
        uploads::one(&self.0, id, key).await
    }

    async fn uploads(&self, id: TaskId) -> Result<Vec<OpenUpload>> {
        uploads::all(&self.0, id).await
    }

    async fn remove_upload(&self, id: TaskId, key: &Key) -> Result<()> {
        uploads::remove(&self.0, id, key).await
    }

    async fn put_part_hash(&self, id: TaskId, key: &Key, number: u32, md5: [u8; 16]) -> Result<()> {
        uploads::put_hash(&self.0, id, key, number, md5).await
    }

    async fn part_hashes(&self, id: TaskId, key: &Key) -> Result<BTreeMap<u32, [u8; 16]>> {
        uploads::hashes(&self.0, id, key).await
    }

    async fn orphans(&self, which: Orphans<'_>, after: i64, limit: i64) -> Result<Vec<Orphan>> {
        orphans::read(&self.0, which, after, limit).await
    }

    async fn take_cleanup(&self, now: UnixMillis, before: UnixMillis) -> Result<Option<Cleanup>> {
        orphans::take(&self.0, now, before).await
    }

    async fn remove_orphan(&self, number: i64) -> Result<()> {
        orphans::remove(&self.0, number).await
    }

    async fn wipe_orphan_keys(&self, task: TaskId) -> Result<()> {
        orphans::wipe(&self.0, task).await
    }

    async fn upload_owner(&self, target_key: &Key, upload_id: &str) -> Result<Owner> {
        orphans::upload_owner(&self.0, target_key, upload_id).await
    }

    async fn purge(&self) -> Result<Purged> {
        purge::purge(&self.0).await
    }

    async fn ping(&self) -> Result<()> {
        self.0.ping().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
