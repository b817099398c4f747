//! Tells the ledger that this worker is there, and whether it could do more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::ledger::{Sharing, WorkerBeat};

/// Runs until `stop`. `idle` is set while the worker has nothing to do.
pub(super) async fn run(parts: Arc<Parts>, idle: Arc<AtomicBool>, stop: CancellationToken) {
    if parts.ledger.sharing() == Sharing::OneProcess {
        return;
    }
    let every = parts
        .tuning
        .lease
        .keep_every
        .min(std::time::Duration::from_secs(1));
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let beat = WorkerBeat {
            worker: parts.worker,
            name: parts.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: i64::try_from(parts.parallel_tasks).unwrap_or(i64::MAX),
            idle: i64::from(idle.load(Ordering::Relaxed)),
        };
        if let Err(error) = parts.ledger.beat(&beat, parts.clock.now()).await {
            tracing::warn!(%error, "the ledger does not know that this worker is there");
        }
    }
}
