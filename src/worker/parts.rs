//! What a worker works with.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::queue::Queue;
use crate::dispatch::Dispatch;
use crate::engine::rate_limit::Streams;
use crate::engine::settings::Tuning;
use crate::engine::sync_points::SyncPoints;
use crate::ledger::Ledger;
use crate::object::Connect;
use crate::secret::Sealer;
use crate::task::{Clock, WorkerId};

/// How long probes may continue after a stop to remove what they wrote.
pub(super) const PROBE_GRACE: Duration = Duration::from_secs(1);

/// What a worker works with.
pub struct Parts {
    /// This worker.
    pub worker: WorkerId,
    /// Its name, for people.
    pub name: String,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// Wakes workers and carries stops.
    pub dispatch: Arc<dyn Dispatch>,
    /// The queue that hands out work between processes; `None` if each looks for work in the ledger.
    pub queue: Option<Queue>,
    /// Unseals credentials.
    pub sealer: Sealer,
    /// Opens object stores.
    pub connect: Arc<dyn Connect>,
    /// Concurrent transfers of the process.
    pub streams: Streams,
    /// Time.
    pub clock: Clock,
    /// Time zone of bandwidth windows.
    pub zone: TimeZone,
    /// Tasks that run at the same time.
    pub parallel_tasks: usize,
    /// Sizes and delays.
    pub tuning: Tuning,
    /// Points where a test may pause or end the work.
    pub sync_points: SyncPoints,
}
