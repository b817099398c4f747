//! What a pass works with.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::engine::demand::Demand;
use crate::engine::errors::PassError;
use crate::engine::etag_trust::EtagTrust;
use crate::engine::findings::{Listing, OverwriteGuard};
use crate::engine::key_locks::KeyLocks;
use crate::engine::lease_guard::LeaseGuard;
use crate::engine::leased_store::leased;
use crate::engine::name_kinds::TargetNames;
use crate::engine::object_slots::ObjectSlots;
use crate::engine::order::Order;
use crate::engine::progress::Progress;
use crate::engine::quirks::Quirks;
use crate::engine::rate_limit::{TaskStreams, Throttle};
use crate::engine::settings::Tuning;
use crate::engine::stream_speed::StreamSpeed;
use crate::engine::sync_points::SyncPoints;
use crate::engine::warnings::RecordedWarnings;
use crate::error::Error;
use crate::ledger::{Committed, LeasedShard, Ledger, Sharing, Writer};
use crate::object::SharedStore;
use crate::object::recent::ObjectUrls;
use crate::task::spec::Scope;
use crate::task::{Clock, Key, Reason, Task, Warning, WorkerId};

/// How bytes get from source to target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Through this process.
    Stream,
    /// Inside the store: both sides are one endpoint with one pair of access and secret keys.
    ServerSide,
}

/// What a worker does for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It holds the task with this fencing token: it opens the pass, counts the scope, writes the reports and ends the task.
    Coordinator(i64),
    /// It works on shards.
    Member,
}

/// What a pass works with, and the shard that it works on.
#[derive(Clone, Debug)]
pub struct Context {
    of_task: Arc<TaskContext>,
    shard: Option<LeasedShard>,
    /// Target bucket. If other workers may take over the shard, it is written to only while the lease is known to hold.
    pub target: SharedStore,
    /// How long the lease on the shard is known to hold; `None` if no other worker may take it over.
    pub lease_guard: Option<LeaseGuard>,
    /// Keys of uploads that an earlier lease left open. Whatever the target has under them is not proved yet.
    pub open: Arc<HashSet<Key>>,
}

impl std::ops::Deref for Context {
    type Target = TaskContext;
    fn deref(&self) -> &TaskContext {
        &self.of_task
    }
}

/// Everything that the shards of a pass share.
#[derive(Debug)]
pub struct TaskContext {
    /// The task, as it was leased.
    pub task: Task,
    /// The worker that runs it.
    pub worker: WorkerId,
    /// What the worker does for it.
    pub role: Role,
    /// Source bucket.
    pub source: SharedStore,
    /// Target bucket.
    pub target: SharedStore,
    /// Bucket of the manifest, if the scope is a manifest.
    pub lists: Option<SharedStore>,
    /// URLs of the objects that are being copied, if the scope is a list of URLs.
    pub addresses: Arc<ObjectUrls>,
    /// The order in which the target lists; `None` if it has no known order.
    pub target_order: Option<Order>,
    /// How soon the target lists a new object.
    pub target_listing: Listing,
    /// Which kinds of names the target keeps.
    pub names: TargetNames,
    /// What prevents the task's writes from overwriting objects.
    pub guard: OverwriteGuard,
    /// How bytes get from source to target.
    pub route: Route,
    /// The ledger.
    pub ledger: SharedLedger,
    /// The task's share of the streams of the process.
    pub streams: TaskStreams,
    /// How many objects of this task are copied at the same time.
    pub objects: Arc<ObjectSlots>,
    /// Locks of the keys of a manifest that are being copied.
    pub key_locks: KeyLocks,
    /// Bandwidth of this task.
    pub throttle: Arc<Throttle>,
    /// Bytes moved.
    pub progress: Arc<Progress>,
    /// How fast one stream is.
    pub stream_speed: StreamSpeed,
    /// When cancelled: begin nothing new, settle what is quick, commit, and end.
    pub stop: CancellationToken,
    /// When cancelled: abort everything in flight at once.
    pub abort: CancellationToken,
    /// Shards that other workers wait for.
    pub demand: Arc<Demand>,
    /// Time.
    pub clock: Clock,
    /// Sizes and delays.
    pub tuning: Tuning,
    /// Test points.
    pub sync_points: SyncPoints,
    /// What was learned about the ETags of both sides.
    pub etags: EtagTrust,
    /// What was found out about the stores.
    pub quirks: Quirks,
    /// Why the pass ends, once that is known. Other shards may notice first that their leases have ended.
    pub end_reason: OnceLock<Reason>,
    /// Warnings that were already written.
    pub recorded_warnings: RecordedWarnings,
}

/// A shared handle on the ledger.
#[derive(Clone)]
pub struct SharedLedger(pub Arc<dyn Ledger>);

impl std::fmt::Debug for SharedLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

impl std::ops::Deref for SharedLedger {
    type Target = dyn Ledger;
    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

impl Context {
    /// For the work on a task that belongs to no shard.
    #[must_use]
    pub fn new(of_task: TaskContext) -> Self {
        Self {
            target: Arc::clone(&of_task.target),
            of_task: Arc::new(of_task),
            shard: None,
            lease_guard: None,
            open: Arc::default(),
        }
    }

    /// The same for the work on a shard that was leased at `asked`. `open` are the keys of all uploads that are open in the ledger.
    pub(super) fn for_shard(&self, shard: LeasedShard, asked: Instant, open: HashSet<Key>) -> Self {
        let guard = match self.ledger.sharing() {
            Sharing::OneProcess => None,
            Sharing::ManyProcesses => Some(LeaseGuard::new(asked, self.tuning.lease.give_up)),
        };
        Self {
            of_task: Arc::clone(&self.of_task),
            shard: Some(shard),
            target: match &guard {
                None => Arc::clone(&self.of_task.target),
                Some(guard) => leased(Arc::clone(&self.of_task.target), guard.clone()),
            },
            lease_guard: guard,
            open: Arc::new(open),
        }
    }

    /// Who writes to the ledger.
    #[must_use]
    pub fn writer(&self) -> Writer<'_> {
        match (&self.shard, self.role) {
            (Some(shard), _) => Writer::Shard(shard),
            (None, Role::Coordinator(fencing_token)) => Writer::Task(fencing_token),
            (None, Role::Member) => Writer::Worker(self.worker),
        }
    }

    /// The shard that is worked on.
    pub(super) fn shard(&self) -> Result<&LeasedShard, PassError> {
        let none = || PassError::Internal(Error::internal("there is no shard to work on"));
        self.shard.as_ref().ok_or_else(none)
    }

    /// The key that an object has at the target.
    pub(super) fn target_key(&self, key: &Key) -> Key {
        key.with_prefix(self.task.spec.target_prefix.as_bytes())
    }

    /// Whether all objects come from one bucket, so that one object shows something about the next. The URLs of a list may be
    /// on different servers.
    pub(super) fn has_one_source(&self) -> bool {
        !matches!(self.task.spec.scope, Scope::Urls(_))
    }

    /// How bytes get from source to target, considering what was found out about the stores. A copy inside a store is pinned to
    /// a version only by a condition, so it needs a store whose conditions work.
    pub(super) fn current_route(&self) -> Route {
        let usable = !self.quirks.copies_are_unusable() && !self.quirks.conditions_are_broken();
        match self.route {
            Route::ServerSide if usable => Route::ServerSide,
            Route::ServerSide | Route::Stream => Route::Stream,
        }
    }

    /// Reports something that a person should see but that fails nothing.
    ///
    /// # Errors
    /// [`PassError::Ledger`] if it cannot be written, [`PassError::Fenced`] if another worker has the task.
    pub async fn warn(&self, warning: Warning) -> Result<(), PassError> {
        match self.recorded_warnings.record(warning) {
            Some(warning) => self.write_warnings(&[warning]).await,
            None => Ok(()),
        }
    }

    /// Writes how often warnings were repeated since they were written.
    ///
    /// # Errors
    /// Those of [`Context::warn`].
    pub async fn write_repeated_warnings(&self) -> Result<(), PassError> {
        let again = self.recorded_warnings.take_repetitions();
        if again.is_empty() {
            return Ok(());
        }
        self.write_warnings(&again).await
    }

    async fn write_warnings(&self, warnings: &[Warning]) -> Result<(), PassError> {
        for warning in warnings {
            let (code, subject, message) = (warning.code().name(), warning.subject(), warning.message());
            tracing::warn!(task.id = %self.task.id, code, subject, "{message}");
        }
        let now = self.clock.now();
        let written = self.ledger.warn(self.task.id, self.writer(), warnings, now).await;
        match written.map_err(PassError::Ledger)? {
            Committed::Done => Ok(()),
            Committed::Fenced | Committed::TooManyFailures => Err(PassError::Fenced),
        }
    }
}
