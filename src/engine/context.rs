//! What a pass works with.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::engine::errors::PassError;
use crate::engine::etag_trust::EtagTrust;
use crate::engine::findings::{Listing, OverwriteGuard};
use crate::engine::key_locks::KeyLocks;
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
use crate::ledger::{Committed, Ledger};
use crate::object::SharedStore;
use crate::object::recent::ObjectUrls;
use crate::task::spec::Scope;
use crate::task::{Clock, Key, Reason, Task, Warning};

/// How bytes get from source to target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Through this process.
    Stream,
    /// Inside the store: both sides are one endpoint with one pair of access and secret keys.
    ServerSide,
}

/// Everything a pass works with.
#[derive(Debug)]
pub struct Context {
    /// The task, as it was leased.
    pub task: Task,
    /// The fencing token of the lease.
    pub fencing_token: i64,
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
    /// Keys of uploads that an earlier lease left open. Whatever the target has under them is not proved yet.
    pub open: HashSet<Key>,
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
        let written = self
            .ledger
            .warn(self.task.id, self.fencing_token, warnings, now)
            .await;
        match written.map_err(PassError::Ledger)? {
            Committed::Done => Ok(()),
            Committed::Fenced | Committed::TooManyFailures => Err(PassError::Fenced),
        }
    }
}
