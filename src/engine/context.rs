//! What a pass works with.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::engine::copy::overwrite_guard::OverwriteGuard;
use crate::engine::order::Order;
use crate::engine::progress::Progress;
use crate::engine::quirks::Quirks;
use crate::engine::rate_limit::{TaskStreams, Throttle};
use crate::engine::settings::Tuning;
use crate::engine::sync_points::SyncPoints;
use crate::engine::{preflight, target_names, warnings};
use crate::ledger::Ledger;
use crate::object::SharedStore;
use crate::object::recent::Addresses;
use crate::task::{Clock, Key, Task};

/// How bytes get from source to target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Through this process.
    Stream,
    /// Inside the store: both sides are one endpoint with one pair of keys.
    ServerSide,
}

/// Everything a pass works with.
#[derive(Debug)]
pub struct Context {
    /// The task, as it was claimed.
    pub task: Task,
    /// The worker's right to report.
    pub fencing_token: i64,
    /// Source bucket.
    pub source: SharedStore,
    /// Target bucket.
    pub target: SharedStore,
    /// Bucket of the list file, where the scope is one.
    pub lists: Option<SharedStore>,
    /// Addresses of a list of URLs that are in work.
    pub addresses: Arc<Addresses>,
    /// The order in which the target lists; `None` when it keeps none.
    pub target_order: Option<Order>,
    /// How soon the target lists what was written.
    pub target_listing: preflight::Listing,
    /// Which kinds of names the target keeps.
    pub names: target_names::Names,
    /// How its writes are kept from overwriting.
    pub guard: OverwriteGuard,
    /// How bytes travel.
    pub route: Route,
    /// The ledger.
    pub ledger: SharedLedger,
    /// The task's share of the streams of the process.
    pub streams: TaskStreams,
    /// Objects of this task at the same time.
    pub objects: Arc<Semaphore>,
    /// Bandwidth of this task.
    pub throttle: Arc<Throttle>,
    /// Bytes moved.
    pub progress: Arc<Progress>,
    /// Begin nothing new, settle what is quick, commit, end.
    pub stop: CancellationToken,
    /// End at once what is in flight.
    pub abort: CancellationToken,
    /// Time.
    pub clock: Clock,
    /// Sizes and delays.
    pub tuning: Tuning,
    /// Test points.
    pub sync_points: SyncPoints,
    /// Set when the source's tags were found to look like MD5 sums without being some.
    pub source_tags_opaque: AtomicBool,
    /// Set when a tag of the source was found to be the MD5 sum of the bytes that were read.
    pub source_tags_proved: AtomicBool,
    /// Set when the source's tags of uploads in parts were found to be none that S3 would make.
    pub source_joined_opaque: AtomicBool,
    /// Set when the size of the source's parts was guessed wrong.
    pub source_parts_opaque: AtomicBool,
    /// Set when an object that was joined from its source's parts had its source's tag.
    pub source_joined_proved: AtomicBool,
    /// Set when the target's tags were found to look like MD5 sums without being some.
    pub target_tags_opaque: AtomicBool,
    /// Set when the target's tags of parts were found to be none.
    pub target_parts_opaque: AtomicBool,
    /// Set when the target was seen to give an object that was joined from parts another tag than S3 makes.
    pub target_joined_opaque: AtomicBool,
    /// What was found out about the stores.
    pub quirks: Quirks,
    /// Warnings that are written already.
    pub said: warnings::Said,
    /// Keys of uploads that an earlier attempt left open: their objects are not proved, whatever the target has.
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
