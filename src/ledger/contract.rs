//! The boundary to the database: what every ledger can do.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::failure::Failure;
use super::once::{CreatedOnce, RequestKey};
use super::orphan::{Cleanup, Deleted, Orphan, Orphans, Owner};
use super::pending::{Control, Pending, Tidied};
use super::scope::{FoundScope, ShardScope};

use crate::error::Result;
use crate::object::ETag;
use crate::secret::SealedCredentials;
use crate::task::{
    BandwidthPolicy, Counters, Estimate, FailedReport, KeptWarning, Key, PassInfo, PassKind, ProjectId,
    Reason, Rejection, ReportKind, StartMode, State, Task, TaskId, TaskSpec, UnixMillis, Warning,
};

#[expect(unused_imports, reason = "named in the documentation")]
use crate::task::{Event, ReportProblem, WarningCode};

/// A task to insert.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// Its id; insertion fails with `Conflict` when it is taken.
    pub id: TaskId,
    /// Tenant.
    pub project: ProjectId,
    /// Name.
    pub name: String,
    /// Order.
    pub spec: TaskSpec,
    /// Bandwidth windows.
    pub bandwidth: BandwidthPolicy,
    /// Keys of both sides.
    pub credentials: SealedCredentials,
}

/// Why [`Ledger::start`] or another change did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such task in this project.
    Unknown,
    /// The state does not allow it.
    State(Rejection),
    /// A failed-only start of a task whose last listing did not finish, so that its list of failures is incomplete. An
    /// unfinished pass over the failures themselves is resumed.
    ListIncomplete,
    /// A failed-only start of a task without recorded failures.
    NothingFailed,
}

/// The outcome of a change asked for by a user.
pub type Change<T> = std::result::Result<T, Refusal>;

/// A task that a worker took.
#[derive(Clone, Debug)]
pub struct LeasedTask {
    /// The task, now running.
    pub task: Task,
    /// Its sealed credentials; `None` is a defect, or a database copied without them.
    pub credentials: Option<SealedCredentials>,
    /// Its fencing token; grows at each lease and at each start.
    pub fencing_token: i64,
    /// What the start that led here asked for.
    pub mode: StartMode,
}

/// A shard that a worker leased.
#[derive(Clone, Debug)]
pub struct LeasedShard {
    /// Number within the pass, from 0.
    pub number: i64,
    /// What it walks over.
    pub scope: ShardScope,
    /// Last key, in listing order, before which everything is settled.
    pub checkpoint: Option<Key>,
    /// Bytes in flight that it has counted ([`Counters::bytes_in_flight`]); the next commit changes them from here.
    pub bytes_in_flight: i64,
    /// Fencing token; grows at each lease of any shard of the task, so that no two leases ever have the same.
    pub fencing_token: i64,
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
    /// Objects that failed; replaces what was recorded of the same key.
    pub failures: Vec<Failure>,
    /// Keys whose recorded failure is over.
    pub resolved: Vec<Key>,
    /// Bytes per second, for show.
    pub speed: i64,
    /// Lines of the list of copied objects; empty for none.
    pub success: Vec<u8>,
    /// Lines of the list of skipped objects; empty for none.
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

/// Lines of a list that wait to be written to the target: those of one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportChunk {
    /// A moment that no other chunk of the list has; ascends with the commits.
    pub stamp: UnixMillis,
    /// Length of the lines.
    pub bytes: i64,
}

/// How a worker leaves a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Stopped on request; everything is committed.
    Drained,
    /// The pass is through: succeeded without failures, else failed with TRF.0004. Refused as `Internal` while a shard
    /// is open, and turned into a failure with TRF.0001 when the counters do not balance.
    PassFinished,
    /// As `PassFinished`, but the task fails for this reason, whatever was counted.
    PassFailed(Reason),
    /// The task cannot go on.
    Broken(Reason),
}

/// An open multipart upload at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// Source key.
    pub key: Key,
    /// Id that the target gave; `None` while it is being asked for, so that an answer lost to a crash is looked for.
    pub upload_id: Option<String>,
    /// Length of each part but the last.
    pub part_size: i64,
    /// Tag of the source object that the parts come from; `None` where no tag tells whether another read is of the same
    /// version, so that the upload can only be given up.
    pub source_etag: Option<ETag>,
    /// Its length, as far as it is known: 0 without a tag.
    pub size: i64,
    /// Ids of the uploads that others had open under the same key at the target before this one was asked for; `None` where
    /// the target did not tell. By them an upload whose id was lost is told from those of others.
    pub strangers: Option<Vec<String>>,
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
    /// What the key of `request` stands for at `now`; `None` when it is free.
    async fn created_before(
        &self,
        project: &ProjectId,
        request: &RequestKey,
        now: UnixMillis,
    ) -> Result<Option<CreatedOnce>>;
    /// Inserts a task as [`Ledger::create`] does, unless `request` was used in the project within [`once::KEY_LIFETIME`]
    /// before `now`. The key is kept in the same transaction as the task.
    async fn create_once(&self, new: NewTask, request: &RequestKey, now: UnixMillis) -> Result<CreatedOnce>;
    /// A task of a project.
    async fn task(&self, project: &ProjectId, id: TaskId) -> Result<Option<Task>>;
    /// Tasks of a project, newest first.
    async fn tasks(&self, filter: &TaskFilter, offset: i64, limit: i64) -> Result<Vec<Task>>;
    /// Number of tasks that a filter matches.
    async fn count(&self, filter: &TaskFilter) -> Result<i64>;
    /// Starts a paused or failed task with fresh credentials: of many at once exactly one wins.
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
    /// Replaces the bandwidth windows of a task that has not succeeded ([`Rejection::Complete`]).
    async fn set_bandwidth(
        &self,
        project: &ProjectId,
        id: TaskId,
        policy: BandwidthPolicy,
    ) -> Result<Change<()>>;
    /// Deletes a task with everything that belongs to it: at once it is gone for everybody, and its rows go bit by bit with
    /// [`Ledger::tidy`], so that no other change waits for many of them. Uploads that it has open at the target become orphans; for
    /// them, and only if there are some, `keys` are kept, sealed for this task, or those that the task still has.
    async fn delete(
        &self,
        project: &ProjectId,
        id: TaskId,
        keys: Option<SealedCredentials>,
        now: UnixMillis,
    ) -> Result<Change<Deleted>>;
    /// Recorded failures of a task behind a key, in key order.
    async fn failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>>;
    /// What the last full pass found of each entry of the task's scope, as far as it has come: the first `limit` entries
    /// one by one, single names before prefixes, and the sum of the others. Nothing before the first full pass.
    async fn found_scope(&self, id: TaskId, limit: i64) -> Result<FoundScope>;
    /// The first `limit` prefixes of the scope that were listed to their end without an object, in byte order.
    async fn empty_prefixes(&self, id: TaskId, limit: i64) -> Result<Vec<Key>>;
    /// Warnings of the task's last pass, oldest first.
    async fn warnings(&self, id: TaskId) -> Result<Vec<KeptWarning>>;

    // --- for workers ---

    /// Tasks that want a worker, a bounded number: the oldest running ones ([`RUNNING_AT_ONCE`]), then the oldest waiting
    /// ones of each project, project by project in the order of their names, beginning behind `after` and going round
    /// ([`PROJECTS_AT_ONCE`], [`TASKS_AT_ONCE`] of each). What it costs does not depend on how many tasks wait. A pausing
    /// task whose worker is gone becomes paused when `recover` asks for it, which only a process that has no worker running
    /// may do, or `release`.
    async fn pending(&self, after: Option<&ProjectId>) -> Result<Vec<Pending>>;
    /// Number of waiting tasks of a project.
    async fn waiting(&self, project: &ProjectId) -> Result<i64>;
    /// For the start of the only process: pausing tasks become paused and lose their credentials. What a crash cut
    /// short, here and at the next lease of a running task, counts as run time up to the last commit, not up to `now`.
    /// A running task that a worker held was cut short by a crash: after three crashes without progress in between (or
    /// ninety, where the worker had only just leased it) it becomes failed with TRF.0001 and loses its credentials.
    /// Progress is a commit that settles something, or a part of a large object; a start and [`Ledger::record_shutdown`] count too.
    async fn recover(&self, now: UnixMillis) -> Result<()>;
    /// Says that nobody works on a task: when it is pausing, it becomes paused, as by `recover`; else nothing happens.
    async fn release(&self, id: TaskId) -> Result<()>;
    /// Stops a task that nobody works on: running or pausing → paused; else nothing happens. For a stop that could not be
    /// written when it was asked for.
    async fn pause(&self, id: TaskId) -> Result<()>;
    /// Says that the worker with this lease has been at the task for a while: from now on a crash counts fully.
    async fn confirm_running(&self, id: TaskId, fencing_token: i64) -> Result<()>;
    /// Says that a worker was cut short by a defect in this process, which counts like a crash.
    async fn record_crash(&self, id: TaskId) -> Result<()>;
    /// For the orderly end of the process: what runs in the ledger was not cut short.
    async fn record_shutdown(&self) -> Result<()>;
    /// Takes a task: waiting or running → running. `None` when it does not want a worker.
    async fn lease_task(&self, id: TaskId, now: UnixMillis) -> Result<Option<LeasedTask>>;
    /// State, bandwidth and progress of a task, for a worker that looks after it.
    async fn control(&self, id: TaskId) -> Result<Option<Control>>;
    /// Resumes the unfinished pass, or opens a new one of `kind` with these shards. A new full pass sets the
    /// counters to zero and forgets the failures, waiting lines and what was wrong with the lists; the counters and
    /// lists of a new failed pass go on from those of the last. Every new pass forgets the warnings. Errors with `Conflict` when `fencing_token` is not the task's last, or the task was left.
    async fn open_pass(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: PassKind,
        shards: &[ShardScope],
        now: UnixMillis,
    ) -> Result<PassInfo>;
    /// Before a new full pass is opened: forgets a bounded number of the failures that it would forget at once, so that no
    /// other change waits for many of them. From the first call on a failed-only start is refused
    /// ([`Refusal::ListIncomplete`]) until a full pass is opened. [`Tidied::All`] when what is left is few, an unfinished pass
    /// is to be resumed, or the worker has lost its lease.
    async fn forget_failures(&self, id: TaskId, fencing_token: i64) -> Result<Tidied>;
    /// Leases the next open shard of the last pass that was not leased under this fencing token of the task; `None` when there is
    /// no more. A shard that is not resumable (see [`Ledger::set_unordered`]) begins again from zero: checkpoint and
    /// counters are reset, and its waiting lines are forgotten.
    async fn lease_shard(&self, id: TaskId, fencing_token: i64) -> Result<Option<LeasedShard>>;
    /// Marks a shard whose listing order is unknown: a later lease cannot trust its checkpoint, and forgets the
    /// failures that the shard recorded. Errors with `Internal` for [`ShardScope::Failures`], which has an order.
    async fn set_unordered(&self, id: TaskId, shard: &LeasedShard) -> Result<Committed>;
    /// Writes what a shard has settled. Texts of failures are cut ([`Failure::bounded`]).
    async fn commit(
        &self,
        id: TaskId,
        shard: &LeasedShard,
        commit: Commit,
        now: UnixMillis,
    ) -> Result<Committed>;
    /// Keeps warnings of the task's last pass, until the next one is opened. One with the code and subject of a kept one
    /// is added to it. Beyond [`Warning::MOST`] different ones the others are counted as [`WarningCode::MoreWarnings`].
    /// `Fenced` when `fencing_token` is not the task's last, or the task was left.
    async fn warn(
        &self,
        id: TaskId,
        fencing_token: i64,
        warnings: &[Warning],
        now: UnixMillis,
    ) -> Result<Committed>;
    /// Takes the recorded failures of these keys that were not taken under this attempt yet, in any order. For a pass that
    /// goes over them in another order than that of their keys: each is taken once.
    async fn take_failures(&self, id: TaskId, fencing_token: i64, keys: &[Key]) -> Result<Vec<Failure>>;
    /// Recorded failures behind a key that no attempt has taken in the last pass, in key order.
    async fn untaken_failures(&self, id: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>>;
    /// Stores how large the scope is, as far as counted.
    async fn set_estimate(&self, id: TaskId, survey: Estimate) -> Result<()>;
    /// Stores where the list of failed objects lies; nothing when the worker has lost its lease.
    async fn set_failed_report(&self, id: TaskId, fencing_token: i64, list: &FailedReport) -> Result<()>;
    /// The oldest `limit` chunks of a list that wait to be written, in order.
    async fn report_chunks(&self, id: TaskId, kind: ReportKind, limit: i64) -> Result<Vec<ReportChunk>>;
    /// The lines of a chunk; `None` when it waits no more.
    async fn report_lines(&self, id: TaskId, kind: ReportKind, stamp: UnixMillis) -> Result<Option<Vec<u8>>>;
    /// Forgets the chunks up to `last`, which are at the target, and that the list was not stored.
    async fn report_written(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        last: UnixMillis,
    ) -> Result<Committed>;
    /// Remembers that the target does not take a list ([`ReportProblem::NotStored`]). When more than `most` bytes of it
    /// wait, they are dropped ([`ReportProblem::TooLarge`], which stays until a full pass is opened).
    async fn report_refused(
        &self,
        id: TaskId,
        fencing_token: i64,
        kind: ReportKind,
        most: i64,
    ) -> Result<Committed>;
    /// Ends the work on a task under `fencing_token`; returns the new state, or `None` when the worker has lost its lease. A task
    /// that has succeeded forgets its waiting lines.
    async fn finish(
        &self,
        id: TaskId,
        fencing_token: i64,
        ending: Ending,
        now: UnixMillis,
    ) -> Result<Option<State>>;

    /// Remembers an open multipart upload; replaces an older one of the same key, and forgets the hashes of its parts.
    async fn put_upload(&self, id: TaskId, upload: &OpenUpload) -> Result<()>;
    /// The open upload of a key.
    async fn upload(&self, id: TaskId, key: &Key) -> Result<Option<OpenUpload>>;
    /// All open uploads of a task, in key order.
    async fn uploads(&self, id: TaskId) -> Result<Vec<OpenUpload>>;
    /// Forgets an upload that was completed or aborted, with the hashes of its parts.
    async fn remove_upload(&self, id: TaskId, key: &Key) -> Result<()>;
    /// Remembers the MD5 of what was sent as a part of an open upload. Errors with `NotFound` without such an upload.
    async fn put_part_hash(&self, id: TaskId, key: &Key, number: u32, md5: [u8; 16]) -> Result<()>;
    /// The hashes of the parts of an open upload, by number.
    async fn part_hashes(&self, id: TaskId, key: &Key) -> Result<BTreeMap<u32, [u8; 16]>>;

    /// Orphans with a number above `after`, in the order of their numbers.
    async fn orphans(&self, which: Orphans<'_>, after: i64, limit: i64) -> Result<Vec<Orphan>>;
    /// Takes keys of a deleted task that no cleanup took since `before`, those first that have waited longest. After
    /// `recover` none counts as taken.
    async fn take_cleanup(&self, now: UnixMillis, before: UnixMillis) -> Result<Option<Cleanup>>;
    /// Forgets an orphan that is gone. With the last of its task the keys go too.
    async fn remove_orphan(&self, number: i64) -> Result<()>;
    /// Wipes the keys of a deleted task; its orphans stay.
    async fn wipe_orphan_keys(&self, task: TaskId) -> Result<()>;
    /// Whose an upload is that was found at a target. To be asked after the uploads were listed: whoever has begun one
    /// of them said so in the ledger before.
    async fn holder(&self, target_key: &Key, upload_id: &str) -> Result<Owner>;

    /// Does a bounded part of what is left to do behind the scenes: deletes rows of deleted tasks, and empties the log of
    /// credentials that were wiped. Goes on where a crash has cut it short.
    async fn tidy(&self) -> Result<Tidied>;
    /// Proves that the ledger can be written (for `/readyz`).
    async fn ping(&self) -> Result<()>;
    /// Closes the ledger cleanly.
    async fn close(&self);
}
