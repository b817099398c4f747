//! One task from its lease to its end.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::connect::Connected;
use super::parts::{PROBE_GRACE, Parts};
use super::shared_findings::SharedFindings;
use super::watch::{self, TaskSignals, Watched, watch};
use super::{cleanup, connect, finish};
use crate::dispatch::WorkItem;
use crate::dispatch::jetstream::Delivery;
use crate::engine;
use crate::engine::context::{Context, Role, SharedLedger, TaskContext};
use crate::engine::demand::Demand;
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
use crate::ledger::{Committed, Ending, Holder, JoinedTask, LeasedTask, NewPass, Purged, ShardScope, Writer};
use crate::secret::TaskCredentials;
use crate::task::spec::Scope;
use crate::task::{PassInfo, PassKind, Reason, ReasonKind, StartMode, State, Task, TaskId};

/// Whether the end of the work on a task is recorded in the ledger.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkEnd {
    Recorded,
    Unrecorded,
    /// It panicked.
    Panicked,
}

pub(super) async fn run_task(
    parts: Arc<Parts>,
    id: TaskId,
    signals: TaskSignals,
    stop: CancellationToken,
    delivery: Option<Arc<Delivery>>,
) -> WorkEnd {
    let asked = parts.dispatch.stops().token(id);
    if asked.is_cancelled() {
        return WorkEnd::Recorded;
    }
    let holder = Holder::new(parts.worker, rand::random());
    let leased = match parts.ledger.lease_task(id, holder, parts.clock.now()).await {
        Ok(Some(leased)) => leased,
        Ok(None) => return WorkEnd::Recorded,
        Err(error) => {
            tracing::error!(task.id = %id, %error, "the task cannot be leased");
            return WorkEnd::Unrecorded;
        }
    };
    parts.sync_points.reach(SyncPoint::TaskLeased).await;
    tracing::info!(task.id = %id, fencing_token = leased.fencing_token, "task leased");
    let throttle = Arc::new(Throttle::new(watch::limit(&parts, &leased.task.bandwidth)));
    let progress = Arc::new(Progress::default());
    let abort = CancellationToken::new();
    let fencing_token = leased.fencing_token;
    let demand = Arc::new(Demand::default());
    let watched = Watched {
        id,
        role: Role::Coordinator(fencing_token),
        policy: leased.task.bandwidth.clone(),
        throttle: Arc::clone(&throttle),
        progress: Arc::clone(&progress),
        demand: Arc::clone(&demand),
        signals,
        asked,
        stop: stop.clone(),
        abort: abort.clone(),
        delivery: delivery.clone(),
    };
    let work = work(
        &parts,
        leased,
        Meters {
            throttle,
            progress,
            demand,
        },
        stop,
        abort,
    );
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

/// Checks both sides, opens the pass, runs it, and records its end.
async fn work(
    parts: &Parts,
    leased: LeasedTask,
    meters: Meters,
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
    // An earlier holder was asked to stop, and has left without a word.
    if task.state == State::Pausing {
        return finish::end(parts, id, fencing_token, Ending::Drained).await;
    }
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
    let findings = connected.findings.to_text()?;
    let open = NewPass {
        kind,
        shards: &shards,
        findings: &findings,
    };
    let pass = parts
        .ledger
        .open_pass(id, fencing_token, open, parts.clock.now())
        .await?;
    parts.sync_points.reach(SyncPoint::PassOpened).await;
    if let Some(queue) = &parts.queue {
        queue.offer_now();
    }

    let warnings = connected.warnings.clone();
    let ctx = context(
        parts,
        task.in_pass(pass),
        &credentials,
        (connected, objects),
        meters,
        (stop, abort),
        Role::Coordinator(fencing_token),
    );
    for warning in warnings {
        match ctx.warn(warning).await {
            Ok(()) => {}
            Err(PassError::Ledger(error) | PassError::Internal(error)) => return Err(error),
            Err(PassError::Fenced | PassError::SideError(_)) => {
                lost_lease(id, fencing_token);
                return Ok(());
            }
        }
    }
    match cleanup::beside(parts, &ctx, engine::pass::run_pass(Arc::clone(&ctx), None)).await {
        PassEnd::Finished => finish::pass(parts, &ctx, pass, fencing_token).await,
        PassEnd::Stopped => finish::drained(parts, id, fencing_token).await,
        PassEnd::Broken(reason) => finish::end(parts, id, fencing_token, Ending::Broken(reason)).await,
        PassEnd::Ledger(error) => Err(error),
        // Nothing to warn of, but the answer says who has the task.
        PassEnd::Fenced => match parts
            .ledger
            .warn(id, Writer::Task(fencing_token), &[], parts.clock.now())
            .await?
        {
            Committed::Done => {
                let text = "leases on shards of the task have ended while it ran";
                Err(Error::new(ErrorKind::Conflict, text))
            }
            Committed::Fenced | Committed::TooManyFailures => {
                lost_lease(id, fencing_token);
                Ok(())
            }
        },
    }
}

/// Works on shards of a task that another worker holds, as long as there are some that nobody works on.
pub(super) async fn run_member(
    parts: Arc<Parts>,
    id: TaskId,
    signals: TaskSignals,
    stop: CancellationToken,
    delivery: Option<Arc<Delivery>>,
) -> WorkEnd {
    let asked = parts.dispatch.stops().token(id);
    if asked.is_cancelled() {
        return WorkEnd::Recorded;
    }
    let joined = match parts.ledger.join_task(id).await {
        Ok(Some(joined)) => joined,
        Ok(None) => return WorkEnd::Recorded,
        Err(error) => {
            tracing::warn!(task.id = %id, %error, "the task cannot be joined");
            return WorkEnd::Unrecorded;
        }
    };
    tracing::info!(task.id = %id, "task joined");
    let meters = Meters {
        throttle: Arc::new(Throttle::new(watch::limit(&parts, &joined.task.bandwidth))),
        ..Meters::default()
    };
    let abort = CancellationToken::new();
    let watched = Watched {
        id,
        role: Role::Member,
        policy: joined.task.bandwidth.clone(),
        throttle: Arc::clone(&meters.throttle),
        progress: Arc::clone(&meters.progress),
        demand: Arc::clone(&meters.demand),
        signals,
        asked,
        stop: stop.clone(),
        abort: abort.clone(),
        delivery: delivery.clone(),
    };
    let first = match delivery.as_ref().map(|delivery| delivery.item) {
        Some(WorkItem::Shard { number, .. }) => Some(number),
        Some(WorkItem::Task(_)) | None => None,
    };
    let work = AssertUnwindSafe(take_part(&parts, joined, meters, (stop, abort), first)).catch_unwind();
    let worked = tokio::select! {
        worked = work => worked,
        () = watch(&parts, watched) => return WorkEnd::Recorded,
    };
    match worked {
        Ok(Ok(())) => WorkEnd::Recorded,
        Ok(Err(error)) => {
            tracing::warn!(task.id = %id, %error, "the work on the task cannot go on here");
            WorkEnd::Unrecorded
        }
        Err(_) => WorkEnd::Panicked,
    }
}

async fn take_part(
    parts: &Parts,
    JoinedTask {
        task,
        credentials,
        findings,
    }: JoinedTask,
    meters: Meters,
    (stop, abort): (CancellationToken, CancellationToken),
    first: Option<i64>,
) -> Result<()> {
    let id = task.id;
    let credentials = parts.sealer.open(id.get(), &credentials)?;
    let findings = SharedFindings::from_text(&findings)?;
    let objects = Arc::new(slots(parts, &task));
    let end = match connect::join(parts, &task, &credentials, &objects, findings) {
        Err(side_error) => PassEnd::Broken(side_error.reason()),
        Ok(connected) => {
            let ctx = context(
                parts,
                task,
                &credentials,
                (connected, objects),
                meters,
                (stop, abort),
                Role::Member,
            );
            engine::pass::run_pass(ctx, first).await
        }
    };
    match end {
        PassEnd::Finished | PassEnd::Stopped | PassEnd::Fenced => Ok(()),
        PassEnd::Broken(reason) => {
            let (kind, message) = (reason.kind.name(), reason.message.as_str());
            tracing::warn!(task.id = %id, reason = kind, message, "the task cannot continue");
            parts.ledger.report_trouble(id, parts.worker, &reason).await
        }
        PassEnd::Ledger(error) => Err(error),
    }
}

/// What a running task is measured and steered by.
#[derive(Debug)]
struct Meters {
    throttle: Arc<Throttle>,
    progress: Arc<Progress>,
    demand: Arc<Demand>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            throttle: Arc::new(Throttle::new(None)),
            progress: Arc::default(),
            demand: Arc::default(),
        }
    }
}

/// What a pass works with.
fn context(
    parts: &Parts,
    task: Task,
    credentials: &TaskCredentials,
    (connected, objects): (Connected, Arc<ObjectSlots>),
    Meters {
        throttle,
        progress,
        demand,
    }: Meters,
    (stop, abort): (CancellationToken, CancellationToken),
    role: Role,
) -> Arc<Context> {
    Arc::new(Context::new(TaskContext {
        route: connect::route(&task, credentials),
        worker: parts.worker,
        role,
        source: connected.source,
        target: connected.target,
        target_order: connected.findings.order(),
        target_listing: connected.findings.listing,
        names: TargetNames::default(),
        guard: connected.findings.guard,
        lists: connected.lists,
        addresses: connected.addresses,
        ledger: SharedLedger(Arc::clone(&parts.ledger)),
        streams: parts.streams.of_task(),
        objects,
        throttle,
        progress,
        demand,
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
        task,
    }))
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
