//! Watches a running task: for a stop, a deletion, a changed bandwidth limit, missing progress, and shards that others wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::bandwidth_share::share;
use super::parts::Parts;
use super::slots::StallDetector;
use crate::dispatch::jetstream::Delivery;
use crate::engine::context::Role;
use crate::engine::demand::Demand;
use crate::engine::progress::Progress;
use crate::engine::rate_limit::Throttle;
use crate::ledger::{Committed, Control, Sharing};
use crate::task::{BandwidthPolicy, State, TaskId};

/// How often a running task checks its bandwidth window.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// The ledger is read after this many checks, in case a message was lost. If several processes share the ledger, there may be no
/// messages, and it is read at each check.
const LOOK_EVERY: u32 = 5;

/// A running task, as the scheduler sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskSignals {
    /// Wakes the task to read the ledger.
    pub(super) look: Arc<Notify>,
    /// Set while the task makes no progress.
    pub(super) stalled: Arc<AtomicBool>,
}

/// What [`watch`] needs.
pub(super) struct Watched {
    pub(super) id: TaskId,
    pub(super) role: Role,
    pub(super) policy: BandwidthPolicy,
    pub(super) throttle: Arc<Throttle>,
    pub(super) progress: Arc<Progress>,
    pub(super) demand: Arc<Demand>,
    pub(super) signals: TaskSignals,
    pub(super) asked: CancellationToken,
    pub(super) stop: CancellationToken,
    pub(super) abort: CancellationToken,
    /// What the queue has handed out for this work.
    pub(super) delivery: Option<Arc<Delivery>>,
}

/// Watches a running task. Never ends by itself.
pub(super) async fn watch(parts: &Parts, mut watched: Watched) {
    let id = watched.id;
    let began = Instant::now();
    let mut tick = interval(CLOCK_EVERY.min(parts.tuning.lease.keep_every));
    let mut ticks = 0_u32;
    let mut new = true;
    let mut kept = began;
    let mut stalls = StallDetector::new(began);
    let mut share_of_limit = None;
    let look_every = match parts.ledger.sharing() {
        Sharing::OneProcess => LOOK_EVERY,
        Sharing::ManyProcesses => 1,
    };
    loop {
        let notified = tokio::select! {
            () = watched.signals.look.notified() => true,
            () = watched.demand.is_met() => {
                if let Some(queue) = &parts.queue {
                    queue.offer_now();
                }
                false
            }
            // The stop may not be in the ledger yet, for example on a full disk.
            () = watched.asked.cancelled(), if !watched.stop.is_cancelled() => {
                watched.stop.cancel();
                true
            }
            _ = tick.tick() => false,
        };
        ticks = ticks.wrapping_add(1);
        let now = Instant::now();
        let mut heard = false;
        if notified || ticks.is_multiple_of(look_every) {
            match parts.ledger.control(id, parts.worker, parts.clock.now()).await {
                Ok(Some(control)) => {
                    heard = true;
                    if control.state != State::Running {
                        watched.stop.cancel();
                    }
                    stalls.look(now, control.settled, watched.progress.bytes());
                    watched
                        .signals
                        .stalled
                        .store(stalls.is_stalled(now), Ordering::Relaxed);
                    watched.demand.note(control.idle, control.free);
                    share_of_limit = Some(control.workers.clone());
                    let Control { bandwidth, .. } = control;
                    watched.policy = bandwidth;
                }
                Ok(None) => {
                    watched.stop.cancel();
                    watched.abort.cancel();
                }
                Err(error) => {
                    tracing::warn!(task.id = %id, %error, "the ledger cannot be checked for a stop")
                }
            }
        }
        if let Role::Coordinator(fencing_token) = watched.role {
            if new && now.duration_since(began) >= parts.tuning.crash_grace.0 {
                new = false;
                if let Err(error) = parts.ledger.confirm_running(id, fencing_token).await {
                    tracing::warn!(task.id = %id, %error, "the ledger cannot record that the task is running");
                }
            }
            if now.duration_since(kept) >= parts.tuning.lease.keep_every {
                match parts.ledger.keep_task(id, fencing_token, parts.clock.now()).await {
                    Ok(Committed::Done) => {
                        kept = now;
                        progress(&watched).await;
                    }
                    Ok(Committed::Fenced | Committed::TooManyFailures) => {
                        watched.stop.cancel();
                        watched.abort.cancel();
                    }
                    Err(error) => {
                        tracing::warn!(task.id = %id, %error, "the lease on the task cannot be kept");
                    }
                }
            }
        }
        if watched.role == Role::Member && now.duration_since(kept) >= parts.tuning.lease.keep_every && heard
        {
            kept = now;
            progress(&watched).await;
        }
        let limit = limit(parts, &watched.policy);
        let workers = share_of_limit.as_deref().unwrap_or_default();
        watched.throttle.set(share(limit, workers, parts.worker));
    }
}

/// Tells the queue that the work goes on, after the ledger has said that it does.
async fn progress(watched: &Watched) {
    if let Some(delivery) = &watched.delivery
        && let Err(error) = delivery.progress().await
    {
        tracing::debug!(task.id = %watched.id, %error, "the queue does not know that the work goes on");
    }
}

/// The bandwidth limit of a task at this moment, for all its workers together.
pub(super) fn limit(parts: &Parts, policy: &BandwidthPolicy) -> Option<u64> {
    policy.limit(parts.clock.now(), &parts.zone)
}
