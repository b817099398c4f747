//! One task from its lease to its end.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::parts::{PROBE_GRACE, Parts};
use super::slots::StallDetector;
use super::{cleanup, connect, finish};
use crate::engine;
use crate::engine::context::{Context, SharedLedger};
use crate::engine::errors::PassError;
use crate::engine::etag_trust::EtagTrust;
use crate::engine::key_locks::KeyLocks;
use crate::engine::name_kinds::TargetNames;
use crate::engine::object_slots::ObjectSlots;
use crate::engine::pass::PassEnd;
use crate::engine::progress::Progress;
use crate::engine::quirks::Quirks;
use crate::engine::rate_limit::Throttle;
use crate::engine::stream_speed::StreamSpeed;
use crate::engine::sync_points::SyncPoint;
use crate::engine::warnings::RecordedWarnings;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Committed, Ending, LeasedTask, Purged, ShardScope};
use crate::task::spec::Scope;
use crate::task::{BandwidthPolicy, PassInfo, PassKind, Reason, ReasonKind, StartMode, State, Task, TaskId};

/// How often a running task checks its bandwidth window.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// The ledger is read after this many checks, in case a message was lost.
const LOOK_EVERY: u32 = 5;

/// Whether the end of the work on a task is recorded in the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkEnd {
    Recorded,
    Unrecorded,
    /// It panicked.
    Panicked,
}

/// A running task, as the scheduler sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskSignals {
    /// Wakes the task to read the ledger.
    pub(super) look: Arc<Notify>,
    /// Set while the task makes no progress.
    pub(super) stalled: Arc<AtomicBool>,
}

pub(super) async fn run_task(
    parts: Arc<Parts>,
    id: TaskId,
    signals: TaskSignals,
    stop: CancellationToken,
) -> WorkEnd {
    let asked = parts.dispatch.stops().token(id);
    if asked.is_cancelled() {
        return WorkEnd::Recorded;
    }
    let leased = match parts.ledger.lease_task(id, parts.clock.now()).await {
        Ok(Some(leased)) => leased,
        Ok(None) => return WorkEnd::Recorded,
        Err(error) => {
            tracing::error!(task.id = %id, %error, "the task cannot be leased");
            return WorkEnd::Unrecorded;
        }
    };
    parts.sync_points.reach(SyncPoint::TaskLeased).await;
    tracing::info!(task.id = %id, fencing_token = leased.fencing_token, "task leased");
    let throttle = Arc::new(Throttle::new(limit(&parts, &leased.task.bandwidth)));
    let progress = Arc::new(Progress::default());
    let abort = CancellationToken::new();
    let fencing_token = leased.fencing_token;
    let watched = Watched {
        id,
        fencing_token,
        policy: leased.task.bandwidth.clone(),
        throttle: Arc::clone(&throttle),
        progress: Arc::clone(&progress),
        signals,
        asked,
        stop: stop.clone(),
        abort: abort.clone(),
    };
    let work = work(&parts, leased, (throttle, progress), stop, abort);
    let written = tokio::select! {
        worked = AssertUnwindSafe(work).catch_unwind() => match worked {
            Ok(written) => written,
            // It would happen again, so it becomes the task's reason.
            Err(_) => finish::panicked(&parts, id, fencing_token).await,
        },
        () = watch(&parts, watched) => Ok(()),
    };
    match written {
        Ok(()) => WorkEnd::Recorded,
        Err(error) => {
            tracing::error!(task.id = %id, fencing_token, %error, "the work cannot go on; the task will be leased again");
            WorkEnd::Unrecorded
        }
    }
}

/// What [`watch`] needs.
struct Watched {
    id: TaskId,
    fencing_token: i64,
    policy: BandwidthPolicy,
    throttle: Arc<Throttle>,
    progress: Arc<Progress>,
    signals: TaskSignals,
    asked: CancellationToken,
    stop: CancellationToken,
    abort: CancellationToken,
}

/// Watches a running task for a stop, a deletion, a changed bandwidth limit and missing progress. Never ends by itself.
async fn watch(parts: &Parts, mut watched: Watched) {
    let id = watched.id;
    let began = Instant::now();
    let mut tick = interval(CLOCK_EVERY);
    let mut ticks = 0_u32;
    let mut new = true;
    let mut stalls = StallDetector::new(began);
    loop {
        let notified = tokio::select! {
            () = watched.signals.look.notified() => true,
            // The stop may not be in the ledger yet, for example on a full disk.
            () = watched.asked.cancelled(), if !watched.stop.is_cancelled() => {
                watched.stop.cancel();
                true
            }
            _ = tick.tick() => false,
        };
        ticks = ticks.wrapping_add(1);
        let now = Instant::now();
        if notified || ticks.is_multiple_of(LOOK_EVERY) {
            match parts.ledger.control(id).await {
                Ok(Some(control)) => {
                    if control.state != State::Running {
                        watched.stop.cancel();
                    }
                    watched.policy = control.bandwidth;
                    stalls.look(now, control.settled, watched.progress.bytes());
                    watched
                        .signals
                        .stalled
                        .store(stalls.is_stalled(now), Ordering::Relaxed);
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
        if new && now.duration_since(began) >= parts.tuning.crash_grace.0 {
            new = false;
            if let Err(error) = parts.ledger.confirm_running(id, watched.fencing_token).await {
                tracing::warn!(task.id = %id, %error, "the ledger cannot record that the task is running");
            }
        }
        watched.throttle.set(limit(parts, &watched.policy));
    }
}

fn limit(parts: &Parts, policy: &BandwidthPolicy) -> Option<u64> {
    policy.limit(parts.clock.now(), &parts.zone)
}

/// Checks both sides, opens the pass, runs it, and records its end.
async fn work(
    parts: &Parts,
    leased: LeasedTask,
    (throttle, progress): (Arc<Throttle>, Arc<Progress>),
    stop: CancellationToken,
    abort: CancellationToken,
) -> Result<()> {
    let LeasedTask {
        task,
        credentials,
        fencing_token,
        mode,
    } = leased;
    let id = task.id;
    let opened = credentials
        .as_ref()
        .map(|sealed| parts.sealer.open(id.get(), sealed));
    let Some(Ok(credentials)) = opened else {
        let message = "the stored credentials cannot be opened; start the task with fresh ones".to_owned();
        return finish::end(
            parts,
            id,
            fencing_token,
            Ending::Broken(Reason {
                kind: ReasonKind::SystemError,
                message,
            }),
        )
        .await;
    };
    let objects = Arc::new(slots(parts, &task));
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(PROBE_GRACE).await;
    };
    let connected = tokio::select! {
        connected = connect::connect(parts, &task, &credentials, &objects) => connected,
        () = given_up => return finish::drained(parts, id, fencing_token).await,
    };
    let connected = match connected {
        Ok(connected) => connected,
        Err(side_error) => {
            return finish::end(parts, id, fencing_token, Ending::Broken(side_error.reason())).await;
        }
    };
    parts.sync_points.reach(SyncPoint::Probed).await;

    let kind = pass_kind(mode, task.pass);
    while kind == PassKind::Full && parts.ledger.forget_failures(id, fencing_token).await? == Purged::Some {
        if stop.is_cancelled() {
            return finish::drained(parts, id, fencing_token).await;
        }
    }
    let shards = match kind {
        PassKind::Full => engine::pass::shards(&task.spec),
        PassKind::Failed => vec![ShardScope::Failures],
    };
    let pass = parts
        .ledger
        .open_pass(id, fencing_token, kind, &shards, parts.clock.now())
        .await?;
    parts.sync_points.reach(SyncPoint::PassOpened).await;
    let uploads = parts.ledger.uploads(id).await?;
    let open = uploads.into_iter().map(|upload| upload.key).collect();

    let ctx = Arc::new(Context {
        route: connect::route(&task, &credentials),
        fencing_token,
        source: connected.source,
        target: connected.target,
        target_order: connected.order,
        target_listing: connected.listing,
        names: TargetNames::default(),
        guard: connected.guard,
        lists: connected.lists,
        addresses: connected.addresses,
        ledger: SharedLedger(Arc::clone(&parts.ledger)),
        streams: parts.streams.of_task(),
        objects,
        throttle,
        progress,
        stop,
        abort,
        clock: parts.clock.clone(),
        tuning: parts.tuning,
        sync_points: parts.sync_points.clone(),
        key_locks: KeyLocks::default(),
        end_reason: OnceLock::new(),
        stream_speed: StreamSpeed::default(),
        etags: EtagTrust::default(),
        quirks: Quirks::default(),
        recorded_warnings: RecordedWarnings::default(),
        open,
        task: task.in_pass(pass),
    });
    for warning in connected.warnings {
        match ctx.warn(warning).await {
            Ok(()) => {}
            Err(PassError::Ledger(error) | PassError::Internal(error)) => return Err(error),
            Err(PassError::Fenced | PassError::SideError(_)) => {
                lost_lease(id, fencing_token);
                return Ok(());
            }
        }
    }
    match cleanup::beside(parts, &ctx, engine::pass::run_pass(Arc::clone(&ctx))).await {
        PassEnd::Finished => finish::pass(parts, &ctx, pass, fencing_token).await,
        PassEnd::Stopped => finish::drained(parts, id, fencing_token).await,
        PassEnd::Broken(reason) => finish::end(parts, id, fencing_token, Ending::Broken(reason)).await,
        PassEnd::Ledger(error) => Err(error),
        // Nothing to warn of, but the answer says who has the task.
        PassEnd::Fenced => match parts
            .ledger
            .warn(id, fencing_token, &[], parts.clock.now())
            .await?
        {
            Committed::Done => {
                let text = "shards of the task were put together while it ran";
                Err(Error::new(ErrorKind::Conflict, text))
            }
            Committed::Fenced | Committed::TooManyFailures => {
                lost_lease(id, fencing_token);
                Ok(())
            }
        },
    }
}

/// The slots of a task, which shares what its endpoints teach with the other tasks.
fn slots(parts: &Parts, task: &Task) -> ObjectSlots {
    let (spec, now) = (&task.spec, Instant::now());
    // The URLs of a manifest may be on any server.
    let source = match spec.scope {
        Scope::Urls(_) => None,
        Scope::Objects(_) | Scope::Prefixes(_) | Scope::List(_) => Some(spec.source.endpoint.url.as_str()),
    };
    let (endpoints, target) = (parts.streams.endpoints(), spec.target.endpoint.url.as_str());
    ObjectSlots::new(task.id, spec.threads, parts.streams.count(), now).at(endpoints, source, target, now)
}

fn lost_lease(id: TaskId, fencing_token: i64) {
    tracing::warn!(task.id = %id, fencing_token, "another worker has the task");
}

/// A failed-only pass if the user asked for it and the last pass is finished. An unfinished pass is always resumed.
fn pass_kind(mode: StartMode, last: Option<PassInfo>) -> PassKind {
    match (mode, last) {
        (StartMode::FailedOnly, Some(PassInfo { finished: true, .. })) => PassKind::Failed,
        (
            _,
            Some(PassInfo {
                finished: false,
                kind,
                ..
            }),
        ) => kind,
        (StartMode::Full | StartMode::FailedOnly, _) => PassKind::Full,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_pass_is_always_resumed() {
        let last = |kind, finished| {
            Some(PassInfo {
                number: 1,
                kind,
                finished,
                opened_at: crate::task::UnixMillis(1),
            })
        };
        let rows = [
            (StartMode::Full, None, PassKind::Full),
            (StartMode::Full, last(PassKind::Full, false), PassKind::Full),
            (StartMode::Full, last(PassKind::Full, true), PassKind::Full),
            (StartMode::Full, last(PassKind::Failed, true), PassKind::Full),
            (StartMode::Full, last(PassKind::Failed, false), PassKind::Failed),
            (
                StartMode::FailedOnly,
                last(PassKind::Full, true),
                PassKind::Failed,
            ),
            (
                StartMode::FailedOnly,
                last(PassKind::Failed, false),
                PassKind::Failed,
            ),
        ];
        for (mode, last, wanted) in rows {
            assert_eq!(pass_kind(mode, last), wanted, "{mode:?} {last:?}");
        }
    }
}
