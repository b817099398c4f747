//! The worker: takes tasks that want one, runs their pass, writes how it ended.
//!
//! It owns everything it starts: when it is dropped, every transfer ends with it. What it does not get to write is
//! found again by the sweep, or by the next process.

mod connect;
mod finish;
mod sweep;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::dispatch::{Dispatch, Message};
use crate::engine::hooks::{Hooks, Point};
use crate::engine::limit::{Streams, Throttle};
use crate::engine::progress::Progress;
use crate::engine::warnings::Said;
use crate::engine::{self, Context, Halt, Ledger, PassEnd, Tuning};
use crate::error::Result;
use crate::object::Connect;
use crate::secret::Sealer;
use crate::store::{ClaimedTask, Ending, ShardScope, Store};
use crate::task::{BandwidthPolicy, Clock, PassInfo, PassKind, Reason, StartMode, State, TaskId};

/// How long the probes may go on after a stop, to remove what they wrote.
const PROBE_GRACE: Duration = Duration::from_secs(1);
/// How often the ledger is asked for tasks that nobody told us of.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// How often a running task looks at the clock for its bandwidth window.
const CLOCK_EVERY: Duration = Duration::from_secs(1);
/// How many of those go by until it looks at the ledger, should a message have been lost.
const LOOK_EVERY: u32 = 5;

/// What a worker works with.
pub struct Parts {
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Messages.
    pub dispatch: Arc<dyn Dispatch>,
    /// Opens credentials.
    pub sealer: Sealer,
    /// Makes object stores.
    pub connect: Arc<dyn Connect>,
    /// Streams of the process.
    pub streams: Streams,
    /// Time.
    pub clock: Clock,
    /// Time zone of bandwidth windows.
    pub zone: TimeZone,
    /// Tasks at the same time.
    pub parallel_tasks: usize,
    /// Sizes and delays.
    pub tuning: Tuning,
    /// Test points.
    pub hooks: Hooks,
}

/// Runs until `shutdown`, then lets running tasks commit; they stay running in the ledger and go on at the next start.
pub async fn run(parts: Arc<Parts>, shutdown: CancellationToken) {
    let mut running: JoinSet<Left> = JoinSet::new();
    let mut ids: HashMap<Id, TaskId> = HashMap::new();
    let mut looks: HashMap<TaskId, Arc<Notify>> = HashMap::new();
    let left_open = Arc::new(Notify::new());
    let mut sweeper = JoinSet::new();
    sweeper.spawn(sweep::run(
        Arc::clone(&parts),
        Arc::clone(&left_open),
        shutdown.clone(),
    ));
    let mut sweep = interval(SWEEP_EVERY);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut wanted = Vec::new();
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = running.join_next_with_id(), if !running.is_empty() => {
                let (id, left) = match ended {
                    Ok(ended) => ended,
                    Err(panic) => {
                        tracing::error!(error = %panic, "a task ended by a defect; it will be taken up again");
                        (panic.id(), Left::Unsaid)
                    }
                };
                if let Some(task) = ids.remove(&id) {
                    looks.remove(&task);
                    // It may have ended by a defect, or without the ledger, while a stop was on its way.
                    release(&parts, task).await;
                }
                // What could not be written down would fail again at once; the sweep takes it up a moment later.
                if left == Left::Said {
                    wanted = pending(&parts).await;
                }
            }
            message = parts.dispatch.next() => match message {
                None => break,
                Some(Message::Work(task)) => wanted.push(task),
                Some(Message::Look(task)) => match looks.get(&task) {
                    Some(look) => look.notify_one(),
                    // A running task that nobody has taken up since this process began.
                    None => release(&parts, task).await,
                },
                Some(Message::Sweep) => left_open.notify_one(),
            },
            _ = sweep.tick() => wanted = pending(&parts).await,
        }
        for task in wanted {
            if looks.len() >= parts.parallel_tasks {
                break;
            }
            if let std::collections::hash_map::Entry::Vacant(place) = looks.entry(task) {
                let look = Arc::new(Notify::new());
                place.insert(Arc::clone(&look));
                let one = take_up(Arc::clone(&parts), task, look, shutdown.child_token());
                ids.insert(running.spawn(one).id(), task);
            }
        }
    }
    while running.join_next().await.is_some() {}
    while sweeper.join_next().await.is_some() {}
}

/// Whether the ledger knows how a task was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Said,
    Unsaid,
}

async fn pending(parts: &Parts) -> Vec<TaskId> {
    match parts.store.pending().await {
        Ok(tasks) => tasks,
        Err(error) => {
            tracing::error!(%error, "the ledger cannot be asked for pending tasks");
            Vec::new()
        }
    }
}

/// Lets a stop take effect on a task that nobody works on.
async fn release(parts: &Parts, id: TaskId) {
    if let Err(error) = parts.store.release(id).await {
        tracing::error!(task.id = %id, %error, "the task cannot be released");
    }
}

async fn take_up(parts: Arc<Parts>, id: TaskId, look: Arc<Notify>, stop: CancellationToken) -> Left {
    let claimed = match parts.store.claim_task(id, parts.clock.now()).await {
        Ok(Some(claimed)) => claimed,
        Ok(None) => return Left::Said,
        Err(error) => {
            tracing::error!(task.id = %id, %error, "the task cannot be claimed");
            return Left::Unsaid;
        }
    };
    parts.hooks.reach(Point::TaskClaimed).await;
    tracing::info!(task.id = %id, attempt = claimed.attempt, "task taken up");
    let throttle = Arc::new(Throttle::new(limit(&parts, &claimed.task.bandwidth)));
    let abort = CancellationToken::new();
    let attempt = claimed.attempt;
    let policy = claimed.task.bandwidth.clone();
    let work = work(
        &parts,
        claimed,
        Arc::clone(&throttle),
        stop.clone(),
        abort.clone(),
    );
    let written = tokio::select! {
        written = work => written,
        () = watch(&parts, id, policy, &throttle, &look, &stop, &abort) => Ok(()),
    };
    match written {
        Ok(()) => Left::Said,
        Err(error) => {
            tracing::error!(task.id = %id, attempt, %error, "the ledger failed; the task will be taken up again");
            Left::Unsaid
        }
    }
}

/// Follows stop, deletion and bandwidth of a running task; never ends by itself.
async fn watch(
    parts: &Parts,
    id: TaskId,
    mut policy: BandwidthPolicy,
    throttle: &Throttle,
    look: &Notify,
    stop: &CancellationToken,
    abort: &CancellationToken,
) {
    let mut tick = interval(CLOCK_EVERY);
    let mut ticks = 0_u32;
    loop {
        let told = tokio::select! {
            () = look.notified() => true,
            _ = tick.tick() => false,
        };
        ticks = ticks.wrapping_add(1);
        if told || ticks.is_multiple_of(LOOK_EVERY) {
            match parts.store.control(id).await {
                Ok(Some((State::Running, now))) => policy = now,
                Ok(Some(_)) => stop.cancel(),
                Ok(None) => {
                    stop.cancel();
                    abort.cancel();
                }
                Err(error) => tracing::warn!(task.id = %id, %error, "the ledger cannot be asked for a stop"),
            }
        }
        throttle.set(limit(parts, &policy));
    }
}

fn limit(parts: &Parts, policy: &BandwidthPolicy) -> Option<u64> {
    policy.limit(parts.clock.now(), &parts.zone)
}

/// Probes, opens the pass, runs it, and writes the end.
async fn work(
    parts: &Parts,
    claimed: ClaimedTask,
    throttle: Arc<Throttle>,
    stop: CancellationToken,
    abort: CancellationToken,
) -> Result<()> {
    let ClaimedTask {
        task,
        credentials,
        attempt,
        mode,
    } = claimed;
    let id = task.id;
    let opened = credentials
        .as_ref()
        .map(|sealed| parts.sealer.open(id.get(), sealed));
    let Some(Ok(credentials)) = opened else {
        let message = "the stored credentials cannot be opened; start the task with fresh ones".to_owned();
        return finish::end(
            parts,
            id,
            attempt,
            Ending::Broken(Reason {
                code: "TRF.0001".to_owned(),
                message,
            }),
        )
        .await;
    };
    let given_up = async {
        stop.cancelled().await;
        tokio::time::sleep(PROBE_GRACE).await;
    };
    let connected = tokio::select! {
        connected = connect::connect(parts, &task, &credentials) => connected,
        () = given_up => return finish::drained(parts, id, attempt).await,
    };
    let connected = match connected {
        Ok(connected) => connected,
        Err(trouble) => return finish::end(parts, id, attempt, Ending::Broken(trouble.reason())).await,
    };
    parts.hooks.reach(Point::Probed).await;

    let kind = pass_kind(mode, task.pass);
    let shards = match kind {
        PassKind::Full => engine::shards(&task.spec),
        PassKind::Failed => vec![ShardScope::Failures],
    };
    let pass = parts
        .store
        .open_pass(id, attempt, kind, &shards, parts.clock.now())
        .await?;
    parts.hooks.reach(Point::PassOpened).await;
    let uploads = parts.store.uploads(id).await?;
    let open = uploads.into_iter().map(|upload| upload.key).collect();

    let ctx = Arc::new(Context {
        route: connect::route(&task, &credentials),
        attempt,
        source: connected.source,
        target: connected.target,
        target_order: connected.order,
        guard: connected.guard,
        lists: connected.lists,
        addresses: connected.addresses,
        store: Ledger(Arc::clone(&parts.store)),
        streams: parts.streams.clone(),
        objects: Arc::new(Semaphore::new(usize::from(task.spec.threads))),
        throttle,
        progress: Arc::new(Progress::default()),
        stop,
        abort,
        clock: parts.clock.clone(),
        tuning: parts.tuning,
        hooks: parts.hooks.clone(),
        source_tags_opaque: AtomicBool::new(false),
        source_tags_proved: AtomicBool::new(false),
        source_joined_opaque: AtomicBool::new(false),
        source_parts_opaque: AtomicBool::new(false),
        source_joined_proved: AtomicBool::new(false),
        target_tags_opaque: AtomicBool::new(false),
        target_parts_opaque: AtomicBool::new(false),
        target_joined_opaque: AtomicBool::new(false),
        said: Said::default(),
        open,
        task: task.in_pass(pass),
    });
    for warning in connected.warnings {
        match ctx.warn(warning).await {
            Ok(()) => {}
            Err(Halt::Ledger(error)) => return Err(error),
            Err(Halt::Fenced | Halt::Trouble(_)) => return Ok(overtaken(id, attempt)),
        }
    }
    match sweep::beside(parts, &ctx, engine::run_pass(Arc::clone(&ctx))).await {
        PassEnd::Finished => finish::pass(parts, &ctx, pass, attempt).await,
        PassEnd::Stopped => finish::drained(parts, id, attempt).await,
        PassEnd::Broken(reason) => finish::end(parts, id, attempt, Ending::Broken(reason)).await,
        PassEnd::Ledger(error) => Err(error),
        PassEnd::Fenced => {
            overtaken(id, attempt);
            Ok(())
        }
    }
}

fn overtaken(id: TaskId, attempt: i64) {
    tracing::warn!(task.id = %id, attempt, "another worker has the task");
}

/// Failed-only when the user asked for it and the last pass is over; an unfinished pass is gone on with in any case.
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
    fn an_unfinished_pass_is_gone_on_with() {
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
