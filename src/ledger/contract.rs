//! The boundary to the database: what every ledger can do.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::failure::Failure;
use super::lease::{Holder, LeasedShard, ShardKinds, ShardLease, Writer};
use super::once::{CreatedOnce, RequestKey};
use super::orphan::{Cleanup, Deleted, Orphan, Orphans, Owner};
use super::pending::{Control, Pending, Purged, Wanted};
use super::report_file::{FileSize, Fullness, ReportFile};
use super::scope::{FoundScope, ShardScope};
use super::workers::{Sharing, WorkerBeat, WorkerInfo};
use crate::error::Result;
use crate::object::ETag;
use crate::secret::SealedCredentials;
use crate::task::{
    BandwidthPolicy, Concurrency, Counters, Estimate, FailedReport, KeptWarning, Key, PassInfo, PassKind,
    ProjectId, Reason, Rejection, ReportKind, StartMode, State, Task, TaskId, TaskSpec, UnixMillis, Warning,
    WorkerId,
};

#[expect(unused_imports, reason = "named in the documentation")]
use super::failure::MOST_FAILURES;
#[expect(unused_imports, reason = "named in the documentation")]
use super::once;
#[expect(unused_imports, reason = "named in the documentation")]
use super::pending::{PROJECTS_AT_ONCE, RUNNING_AT_ONCE, TASKS_AT_ONCE};
#[expect(unused_imports, reason = "named in the documentation")]
use crate::task::{Event, ReasonKind, ReportProblem, WarningCode};

/// A task to insert.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its id. Insertion fails with `Conflict` if the id exists.
    pub id: TaskId,
    /// Tenant.
    pub project: ProjectId,
    /// Name.
    pub name: String,
    /// The task's specification.
    pub spec: TaskSpec,
    /// Bandwidth windows.
    pub bandwidth: BandwidthPolicy,
    /// Credentials of both sides.
    pub credentials: SealedCredentials,
}

/// Why [`Ledger::start`] or another change did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such task in this project.
    Unknown,
    /// The state does not allow it.
    State(Rejection),
    /// A failed-only start of a task whose last full pass did not finish, so its list of failures is incomplete. (After an
    /// unfinished failed pass the list is complete, and that pass is resumed.)
    ListIncomplete,
    /// A failed-only start of a task without recorded failures.
    NothingFailed,
}

/// The outcome of a change asked for by a user.
pub type Change<T> = std::result::Result<T, Refusal>;

/// A task that a worker has leased.
#[derive(Clone, Debug)]
pub struct LeasedTask {
    /// The task, now running.
    pub task: Task,
    /// Its sealed credentials. `None` only after a bug, or if the database was copied without them.
    pub credentials: Option<SealedCredentials>,
    /// Its fencing token.
    pub fencing_token: i64,
    /// What the last start asked for.
    pub mode: StartMode,
}

/// A task that a worker takes part in, without holding it.
#[derive(Clone, Debug)]
pub struct JoinedTask {
    /// The task, running.
    pub task: Task,
    /// Its sealed credentials.
    pub credentials: SealedCredentials,
    /// What its holder found out about the stores.
    pub findings: String,
}

/// The outcome of [`Ledger::finish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The work ended, and this is the new state of the task.
    State(State),
    /// Other workers still hold shards of the task. It is asked again until they have left, or their leases have ended.
    Held,
    /// Another worker has the task.
    Fenced,
}

/// What a shard has settled since its last commit.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// New checkpoint; `None` leaves it.
    pub checkpoint: Option<Key>,
    /// Whether the shard is done.
    pub close: bool,
    /// Change of the counters.
    pub delta: Counters,
    /// Objects that failed. Each replaces an earlier failure of the same key.
    pub failures: Vec<Failure>,
    /// Keys whose recorded failure is resolved.
    pub resolved: Vec<Key>,
    /// Bytes per second, shown to users.
    pub speed: i64,
    /// How many small objects are copied at the same time, shown to users.
    pub concurrency: Option<Concurrency>,
    /// Lines for the report of copied objects.
    pub success: Vec<u8>,
    /// Lines for the report of skipped objects.
    pub skip: Vec<u8>,
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Written.
    Done,
    /// Another worker has leased the task or the shard since, the shard is closed, or the task was left; nothing was written.
    Fenced,
    /// The task would have more than [`MOST_FAILURES`] failures; nothing was written, and the task is to be ended.
    TooManyFailures,
}

/// The outcome of [`Ledger::set_unordered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unordered {
    /// The shard is marked. Its holder may continue.
    Marked,
    /// The shard was one of several ranges of a prefix. The ranges are now one shard again, which starts from the beginning.
    /// All leases on the ranges have ended.
    Rejoined,
    /// As [`Committed::Fenced`].
    Fenced,
}

/// A pass to open.
#[derive(Clone, Copy, Debug)]
pub struct NewPass<'a> {
    /// Its kind, if it is a new one.
    pub kind: PassKind,
    /// Its shards, if it is a new one.
    pub shards: &'a [ShardScope],
    /// What the worker has found out about the stores, for other workers.
    pub findings: &'a str,
}

/// How a worker leaves a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Stopped on request; everything is committed.
    Drained,
    /// Every shard is closed. The task succeeds if no object failed; otherwise it fails with [`ReasonKind::ObjectsFailed`].
    /// If the counters do not balance, it fails with [`ReasonKind::SystemError`]. It is an error (`Internal`) if a shard is
    /// still open.
    PassFinished,
    /// As `PassFinished`, but the task fails for this reason.
    PassFailed(Reason),
    /// The task cannot continue.
    Broken(Reason),
}

/// An open multipart upload at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// Source key.
    pub key: Key,
    /// Id that the target returned. `None` while the target is asked to create the upload. If the process crashes then, the
    /// target is searched for the upload.
    pub upload_id: Option<String>,
    /// Length of each part but the last.
    pub part_size: i64,
    /// ETag of the source object that the parts come from. `None` if the source has none. Then nothing proves that a later
    /// read returns the same version, so the upload cannot be resumed, only aborted.
    pub source_etag: Option<ETag>,
    /// Length of the source object in bytes; 0 if there is no ETag.
    pub size: i64,
    /// Ids of the uploads that others had open for the same key at the target before this one was created. A search for this
    /// upload, if its id was lost, leaves them out. `None` if the target did not list them.
    pub foreign_uploads: Option<Vec<String>>,
}

/// Which tasks to list.
#[derive(Clone, Debug)]
pub struct TaskFilter {
    /// Tenant.
    pub project: ProjectId,
    /// Only tasks in one of these states; empty for all.
    pub states: Vec<State>,
}

/// The ledger.
#[async_trait]
pub trait Ledger: Send + Sync {
    // --- for the API ---

    /// Inserts a task in [`State::Waiting`].
    async fn create(&self, new: NewTask, now: UnixMillis) -> Result<Task>;
    /// What was created with the idempotency key of `request`; `None` if the key is unused at `now`.
    async fn created_before(
        &self,
        project: &ProjectId,
        request: &RequestKey,
        now: UnixMillis,
    ) -> Result<Option<CreatedOnce>>;
    /// Inserts a task as [`Ledger::create`] does, unless `request` was used in the project within [`once::KEY_LIFETIME`]
    /// before `now`. The key is stored in the same transaction as the task.
    async fn create_once(&self, new: NewTask, request: &RequestKey, now: UnixMillis) -> Result<CreatedOnce>;
    /// A task of a project.
    async fn task(&self, project: &ProjectId, id: TaskId) -> Result<Option<Task>>;
    /// Tasks of a project, newest first.
    async fn tasks(&self, filter: &TaskFilter, offset: i64, limit: i64) -> Result<Vec<Task>>;
    /// Number of tasks that a filter matches.
    async fn count(&self, filter: &TaskFilter) -> Result<i64>;
    /// Starts a paused or failed task with fresh credentials. Of several concurrent starts exactly one succeeds.
    async fn start(
        &self,
        project: &ProjectId,
        id: TaskId,
        mode: StartMode,
        credentials: SealedCredentials,
        now: UnixMillis,
    ) -> Result<Change<()>>;
    /// Stops a task; returns its new state.
    async fn stop(&self, project: &ProjectId, id: TaskId, now: UnixMillis) -> Result<Change<State>>;
    /// Replaces the bandwidth windows of a task. Refused with [`Rejection::Complete`] if the task has succeeded.
    async fn set_bandwidth(
        &self,
        project: &ProjectId,
        id: TaskId,
        policy: BandwidthPolicy,
    ) -> Result<Change<()>>;
    /// Deletes a task. From now on nobody sees it. [`Ledger::purge`] deletes its rows in small steps, so that other changes
    /// do not wait. Its open uploads at the target become orphans. To abort them, credentials are kept: `keys` (sealed for
    /// this task) if given, otherwise those that the task still has. Without orphans none are kept.
    async fn delete(
        &self,
        project: &ProjectId,
        id: TaskId,
        keys: Option<SealedCredentials>,
        now: UnixMillis,
    ) -> Result<Change<Deleted>>;
    /// Recorded failures of a task after a key, in key order.
    async fn failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>>;
    /// What the last full pass has found so far for each entry of the task's scope. The first `limit` entries are returned
    /// one by one, single keys before prefixes; the others only as a sum. Empty before the first full pass.
    async fn found_scope(&self, id: TaskId, limit: i64) -> Result<FoundScope>;
    /// The first `limit` prefixes of the scope that were listed completely and contain no object, in byte order.
    async fn empty_prefixes(&self, id: TaskId, limit: i64) -> Result<Vec<Key>>;
    /// Warnings of the task's last pass, oldest first.
    async fn warnings(&self, id: TaskId) -> Result<Vec<KeptWarning>>;

    // --- for workers ---

    /// A limited number of tasks that need a worker to hold them. The oldest running and pausing ones that nobody holds come first
    /// ([`RUNNING_AT_ONCE`]). Then come the oldest waiting ones of each project ([`TASKS_AT_ONCE`]), of [`PROJECTS_AT_ONCE`]
    /// projects in the order of their names, starting after `after` and wrapping around. The cost does not depend on the number of
    /// waiting tasks.
    async fn pending(
        &self,
        after: Option<&ProjectId>,
        worker: WorkerId,
        now: UnixMillis,
    ) -> Result<Vec<Pending>>;
    /// A limited number of running tasks that have an open shard which this worker may lease and nobody holds, and that this
    /// worker can join ([`Ledger::join_task`]). The oldest come first.
    async fn joinable(&self, worker: WorkerId, now: UnixMillis) -> Result<Vec<TaskId>>;
    /// All work that may be offered to workers, of at most [`RUNNING_AT_ONCE`] tasks: tasks that nobody holds, and up to `shards`
    /// open shards of each running task that other workers can join.
    async fn wanted(&self, worker: WorkerId, now: UnixMillis, shards: i64) -> Result<Vec<Wanted>>;
    /// Number of waiting tasks of a project.
    async fn waiting(&self, project: &ProjectId) -> Result<i64>;
    /// Called when the process starts, while no other process uses the ledger. All leases end. Pausing tasks become paused and lose
    /// their credentials. A run that a crash interrupted counts up to its last commit, not up to `now`. A running task that had a
    /// worker has crashed. After three crashes without progress it fails with [`ReasonKind::SystemError`] and loses its
    /// credentials. If the worker had only just leased the task each time, that takes ninety crashes. Progress is a commit
    /// that settles something, a part of a large object, a start, or [`Ledger::record_shutdown`].
    async fn recover(&self, now: UnixMillis) -> Result<()>;
    /// Records that this worker does not work on a task. A pausing task becomes paused, unless another worker works on it; any other
    /// stays as it is.
    async fn release(&self, id: TaskId, worker: WorkerId, now: UnixMillis) -> Result<()>;
    /// Pauses a running or pausing task that no other worker works on; any other stays as it is. Used for a stop that could not be
    /// written when it was requested.
    async fn pause(&self, id: TaskId, worker: WorkerId, now: UnixMillis) -> Result<()>;
    /// Records that the worker with this lease has worked for a while. From now on a crash counts fully.
    async fn confirm_running(&self, id: TaskId, fencing_token: i64) -> Result<()>;
    /// Records that a worker panicked, which counts like a crash.
    async fn record_crash(&self, id: TaskId, worker: WorkerId) -> Result<()>;
    /// Called when the process ends in an orderly way: its leases end, and the tasks that it held have not crashed.
    async fn record_shutdown(&self, worker: WorkerId) -> Result<()>;
    /// Leases a waiting task, or a running or pausing one that no other worker holds. A waiting task is then running. Leases on
    /// shards of other workers stay; those of this worker end, because it begins anew. If the lease of another worker has ended
    /// without a word, that counts as a crash ([`Ledger::recover`]), unless that worker still has shards, where it is counted
    /// ([`ShardLease::Poisoned`]). `None` if the task needs no worker.
    async fn lease_task(&self, id: TaskId, holder: Holder, now: UnixMillis) -> Result<Option<LeasedTask>>;
    /// Keeps the lease on a task. `Fenced` if the worker has lost it.
    async fn keep_task(&self, id: TaskId, fencing_token: i64, now: UnixMillis) -> Result<Committed>;
    /// What a worker needs to take part in a task that another one holds; `None` if the task is not running, or its holder has
    /// not opened its pass yet.
    async fn join_task(&self, id: TaskId) -> Result<Option<JoinedTask>>;
    /// State, bandwidth windows and progress of a task, for a worker that takes part in it.
    async fn control(&self, id: TaskId, worker: WorkerId, now: UnixMillis) -> Result<Option<Control>>;
    /// Resumes the unfinished pass, or opens a new one of `kind` with these shards. A new full pass resets the counters and deletes
    /// failures, waiting report lines and problems of reports. A new failed pass continues the counters and reports of the last.
    /// Every new pass deletes the warnings. `findings` is what the worker has found out about the stores; from now on other
    /// workers may join. `Conflict` if the fencing token is not the task's last, or nobody holds the task.
    async fn open_pass(
        &self,
        id: TaskId,
        fencing_token: i64,
        open: NewPass<'_>,
        now: UnixMillis,
    ) -> Result<PassInfo>;
    /// Deletes a limited number of failures before a new full pass is opened. It is called several times, so that no other
    /// change waits until all failures are deleted. From the first call until the full pass is opened a failed-only start is
    /// refused ([`Refusal::ListIncomplete`]). [`Purged::All`] if few failures are left, an unfinished pass will be resumed,
    /// or the worker has lost its lease.
    async fn forget_failures(&self, id: TaskId, fencing_token: i64) -> Result<Purged>;
    /// Leases the next open shard of the last pass that nobody holds, or the one with the number in `which` if it is free. A shard that cannot be resumed (see
    /// [`Ledger::set_unordered`]) starts again: its checkpoint, counters and waiting lines are reset.
    async fn lease_shard(
        &self,
        id: TaskId,
        holder: Holder,
        which: (ShardKinds, Option<i64>),
        now: UnixMillis,
    ) -> Result<ShardLease>;
    /// Ends all leases of a worker on shards of a task.
    async fn leave_shards(&self, id: TaskId, worker: WorkerId) -> Result<()>;
    /// Asks all workers to stop because a worker that takes part in the task cannot continue: a running task becomes pausing, and
    /// fails for this reason when all workers have left. Any other stays as it is.
    async fn report_trouble(&self, id: TaskId, worker: WorkerId, reason: &Reason) -> Result<()>;
    /// Cuts a shard at the keys `cuts`. They ascend in listing order, and its holder has not listed as far as the first of
    /// them. The shard now ends with the first cut, and a new open shard begins after each cut. Together they cover the same
    /// keys as before. The next full pass uses the cuts to begin with ranges of about the same size.
    async fn split(&self, id: TaskId, shard: &LeasedShard, cuts: &[Key]) -> Result<Committed>;
    /// Marks a shard whose listing order is unknown. The next lease ignores its checkpoint and deletes its failures. `Internal` for
    /// [`ShardScope::Failures`], which has an order.
    async fn set_unordered(&self, id: TaskId, shard: &LeasedShard) -> Result<Unordered>;
    /// Keys that cut the recorded failures into `pieces` of about the same size, in key order. Only failures after `after`,
    /// up to and including `until`, count. Empty if there are too few.
    async fn failure_cuts(
        &self,
        id: TaskId,
        after: Option<&Key>,
        until: Option<&Key>,
        pieces: i64,
    ) -> Result<Vec<Key>>;
    /// Writes what a shard has settled. Long texts of failures are cut ([`Failure::bounded`]).
    async fn commit(
        &self,
        id: TaskId,
        shard: &LeasedShard,
        commit: Commit,
        now: UnixMillis,
    ) -> Result<Committed>;
    /// Stores warnings of the last pass until the next one is opened. A warning with the code and subject of a stored one
    /// adds to its count. After [`Warning::MOST`] different warnings, further ones are only counted, as
    /// [`WarningCode::MoreWarnings`]. `Fenced` if the writer has lost its lease, or the task was left.
    async fn warn(
        &self,
        id: TaskId,
        writer: Writer<'_>,
        warnings: &[Warning],
        now: UnixMillis,
    ) -> Result<Committed>;
    /// Returns the recorded failures of these keys, in any order, except those that it has already returned under this lease.
    /// Used by a pass that does not visit the failures in key order. `None` if the worker has lost its lease.
    async fn take_failures(
        &self,
        id: TaskId,
        shard: &LeasedShard,
        keys: &[Key],
    ) -> Result<Option<Vec<Failure>>>;
    /// Recorded failures after a key that [`Ledger::take_failures`] has not returned in the last pass, in key order.
    async fn untaken_failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>>;
    /// Stores the size of the scope as counted so far.
    async fn set_estimate(&self, id: TaskId, survey: Estimate) -> Result<()>;
    /// Stores where the report of failed objects is. Does nothing if the worker has lost its lease.
    async fn set_failed_report(&self, id: TaskId, fencing_token: i64, list: &FailedReport) -> Result<()>;
    /// The next file of a report to write: one that was begun before and is not written yet, or else the oldest waiting lines.
    /// From now on the file has these lines, whatever is committed meanwhile. `None` if there is none, or the worker has lost its
    /// lease.
    async fn report_file(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        size: FileSize,
        fullness: Fullness,
        now: UnixMillis,
    ) -> Result<Option<ReportFile>>;
    /// The chunks that wait to be written to a report, in order.
    #[doc(hidden)]
    async fn waiting_chunks(&self, id: TaskId, kind: ReportKind) -> Result<Vec<i64>>;
    /// The lines of a chunk; `None` if it no longer waits.
    async fn report_lines(&self, id: TaskId, chunk: i64) -> Result<Option<Vec<u8>>>;
    /// Records that a file is at the target. Its lines are deleted, and so is the problem [`ReportProblem::NotStored`] of the
    /// report.
    async fn report_written(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        file: UnixMillis,
    ) -> Result<Committed>;
    /// Records that the target refused a report ([`ReportProblem::NotStored`]). If more than `most` bytes wait, they are
    /// dropped, and the problem is [`ReportProblem::TooLarge`] until a new full pass is opened.
    async fn report_refused(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        most: i64,
    ) -> Result<Committed>;
    /// Ends the work on a task. If the task succeeds, its waiting report lines are deleted.
    async fn finish(
        &self,
        id: TaskId,
        fencing_token: i64,
        ending: Ending,
        now: UnixMillis,
    ) -> Result<Finished>;

    /// Stores an open multipart upload. Replaces an older one of the same key and deletes the hashes of its parts.
    async fn put_upload(&self, id: TaskId, writer: Writer<'_>, upload: &OpenUpload) -> Result<Committed>;
    /// The open upload of a key.
    async fn upload(&self, id: TaskId, key: &Key) -> Result<Option<OpenUpload>>;
    /// All open uploads of a task, in key order.
    async fn uploads(&self, id: TaskId) -> Result<Vec<OpenUpload>>;
    /// Deletes an upload that was completed or aborted, with the hashes of its parts.
    async fn remove_upload(&self, id: TaskId, writer: Writer<'_>, key: &Key) -> Result<Committed>;
    /// Stores the MD5 of what was sent as a part of an open upload. `NotFound` if there is no such upload.
    async fn put_part_hash(
        &self,
        id: TaskId,
        writer: Writer<'_>,
        key: &Key,
        part: (u32, [u8; 16]),
    ) -> Result<Committed>;
    /// The hashes of the parts of an open upload, by number.
    async fn part_hashes(&self, id: TaskId, key: &Key) -> Result<BTreeMap<u32, [u8; 16]>>;

    /// Orphans with a number above `after`, in the order of their numbers.
    async fn orphans(&self, which: Orphans<'_>, after: i64, limit: i64) -> Result<Vec<Orphan>>;
    /// Takes the credentials of a deleted task for a cleanup. Those that no cleanup has taken come first, then those that
    /// were taken longest ago. Those that were taken after `before` are left out. [`Ledger::recover`] makes all available
    /// again.
    async fn take_cleanup(&self, now: UnixMillis, before: UnixMillis) -> Result<Option<Cleanup>>;
    /// Deletes an orphan whose upload is gone. The credentials are wiped with the last orphan of a task.
    async fn remove_orphan(&self, number: i64) -> Result<()>;
    /// Wipes the credentials of a deleted task. Its orphans stay.
    async fn wipe_orphan_keys(&self, task: TaskId) -> Result<()>;
    /// The owner of an upload that was found at a target. Call this after listing the uploads: a task records an upload in the
    /// ledger before it creates the upload, so every listed upload of a task is recorded.
    async fn upload_owner(&self, target_key: &Key, upload_id: &str) -> Result<Owner>;

    /// Whether other processes may use the ledger at the same time.
    fn sharing(&self) -> Sharing;
    /// Records that a worker is there, and forgets those that were not heard of for a long time.
    async fn beat(&self, beat: &WorkerBeat, now: UnixMillis) -> Result<()>;
    /// The workers that share the ledger, by name.
    async fn workers(&self) -> Result<Vec<WorkerInfo>>;
    /// Compares a value that is made from the sealing key with that of the process that used the ledger first. `Conflict` if they
    /// differ.
    async fn check_seal(&self, check: &str) -> Result<()>;
    /// The clock of the database, so that processes with different clocks agree about leases. `None` if one process owns the
    /// ledger.
    async fn server_time(&self) -> Result<Option<UnixMillis>>;
    /// Does a bounded part of the background cleanup: deletes rows of deleted tasks, and removes wiped credentials from the
    /// database's log. It continues where a crash has interrupted it.
    async fn purge(&self) -> Result<Purged>;
    /// Checks that the ledger can be written (for `/readyz`).
    async fn ping(&self) -> Result<()>;
    /// Closes the ledger cleanly.
    async fn close(&self);
}
