//! Leases tasks while there are free slots, and handles their ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use super::slots::{self, Running};
use super::watch::TaskSignals;
use super::work::{WorkEnd, run_member, run_task};
use super::{beat, cleanup, housekeeping, offers};
use crate::dispatch::jetstream::Delivery;
use crate::dispatch::{Message, WorkKind};
use crate::ledger::Sharing;
use crate::task::{ProjectId, State, TaskId};

/// Time between two polls of the ledger, in case a message was lost. If several processes share the ledger, each also looks for
/// shards that others have left or split for it, and more often.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// Time between two checks of stops that are not in the ledger yet.
const STOPS_EVERY: Duration = Duration::from_secs(1);
/// How long the caller of a stop has to record it in the ledger before the worker does it.
const GRACE: Duration = Duration::from_secs(2);
/// Maximum number of messages that are read at once, before tasks are leased.
const MESSAGES: usize = 1024;

/// Runs until `shutdown`, then lets running tasks commit. They stay running in the ledger and resume at the next start.
pub async fn run(parts: Arc<Parts>, shutdown: CancellationToken) {
    let left_open = Arc::new(Notify::new());
    let mut beside = JoinSet::new();
    beside.spawn(cleanup::run(
        Arc::clone(&parts),
        Arc::clone(&left_open),
        shutdown.clone(),
    ));
    beside.spawn(housekeeping::run(Arc::clone(&parts), shutdown.clone()));
    let idle = Arc::new(AtomicBool::new(true));
    beside.spawn(beat::run(Arc::clone(&parts), Arc::clone(&idle), shutdown.clone()));
    let mut scheduler = Scheduler {
        parts: Arc::clone(&parts),
        shutdown: shutdown.clone(),
        left_open,
        running: JoinSet::new(),
        ids: HashMap::new(),
        tasks: HashMap::new(),
        last: None,
        idle,
    };
    beside.spawn(offers::run(Arc::clone(&parts), shutdown.clone()));
    let mut poll = interval(match (parts.ledger.sharing(), &parts.queue) {
        (Sharing::OneProcess, _) => POLL_EVERY,
        (Sharing::ManyProcesses, Some(_)) => POLL_EVERY.min(parts.tuning.lease.length / 4),
        (Sharing::ManyProcesses, None) => parts.tuning.lease.poll_every(),
    });
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stops = interval(STOPS_EVERY);
    stops.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Slot::None;
    loop {
        let slot = scheduler.has_slot();
        if let (Slot::Free, Slot::None, Some(queue)) = (before, slot, &parts.queue) {
            // What a dropped pull still gets would wait here.
            queue.leave().await;
        }
        before = slot;
        let more = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = scheduler.running.join_next_with_id(), if !scheduler.running.is_empty() => scheduler.ended(ended).await,
            message = parts.dispatch.next() => match message {
                None => break,
                Some(message) => scheduler.handle(message).await,
            },
            Some(delivery) = pulled(&parts, WorkKind::Task, slot) => {
                scheduler.take_task(delivery).await;
                false
            }
            Some(delivery) = pulled(&parts, WorkKind::Shard, slot) => {
                scheduler.take_shard(delivery).await;
                false
            }
            _ = stops.tick() => scheduler.look_after_stops().await,
            _ = poll.tick() => true,
        };
        if more {
            scheduler.take_more().await;
        }
    }
    scheduler.leave().await;
    if let Some(queue) = &parts.queue {
        queue.leave().await;
    }
    while beside.join_next().await.is_some() {}
}

/// Tells the queue what became of an item. The ledger knows what is left of it, and offers that again.
async fn give_back(delivery: &Delivery, end: WorkEnd) {
    const AGAIN_AFTER: Duration = Duration::from_secs(1);
    let said = match end {
        WorkEnd::Recorded => delivery.ack().await,
        WorkEnd::Unrecorded | WorkEnd::Panicked => delivery.nak(AGAIN_AFTER).await,
    };
    if let Err(error) = said {
        tracing::debug!(item = %delivery.item, %error, "the queue delivers the item again later");
    }
}

/// Removes an item from the queue that needs nobody here.
async fn decline(delivery: &Delivery) {
    tracing::debug!(item = %delivery.item, "the queue has handed out what needs nobody here");
    give_back(delivery, WorkEnd::Recorded).await;
}

/// An item of the queue. Waits for ever if there is no queue or no slot.
async fn pulled(parts: &Parts, kind: WorkKind, slot: Slot) -> Option<Delivery> {
    match (&parts.queue, slot) {
        (Some(queue), Slot::Free) => queue.pull(kind).await,
        (None, _) | (_, Slot::None) => std::future::pending().await,
    }
}

/// Whether another task can run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Free,
    None,
}

/// What runs.
struct Entry {
    /// The project, if this worker holds the task.
    project: Option<ProjectId>,
    signals: TaskSignals,
    /// What the queue has handed out for it.
    delivery: Option<Arc<Delivery>>,
}

struct Scheduler {
    parts: Arc<Parts>,
    shutdown: CancellationToken,
    left_open: Arc<Notify>,
    running: JoinSet<WorkEnd>,
    ids: HashMap<Id, TaskId>,
    tasks: HashMap<TaskId, Entry>,
    /// The project that was served last.
    last: Option<ProjectId>,
    /// Whether nothing runs.
    idle: Arc<AtomicBool>,
}

impl Scheduler {
    /// Handles a task that ended; returns whether to lease others.
    async fn ended(&mut self, ended: Result<(Id, WorkEnd), JoinError>) -> bool {
        let (id, left) = ended.unwrap_or_else(|panic| {
            tracing::error!(error = %panic, "a task panicked; it will be leased again");
            (panic.id(), WorkEnd::Panicked)
        });
        if let Some(task) = self.ids.remove(&id) {
            let delivery = self.tasks.remove(&task).and_then(|entry| entry.delivery);
            self.parts.dispatch.stops().ended(task);
            if left == WorkEnd::Panicked
                && let Err(error) = self.parts.ledger.record_crash(task, self.parts.worker).await
            {
                tracing::error!(task.id = %task, %error, "the panic cannot be counted");
            }
            // It may have panicked, or ended without a record in the ledger, while a stop was on its way.
            self.leave_shards(task).await;
            self.release(task).await;
            self.look_after_stop(task).await;
            if let Some(delivery) = delivery {
                give_back(&delivery, left).await;
            }
        }
        // If the end could not be recorded, another attempt now would fail again. The next poll leases the task later.
        left == WorkEnd::Recorded
    }

    /// Handles a message and all others that have arrived; returns whether to lease tasks.
    async fn handle(&mut self, first: Message) -> bool {
        let mut more = false;
        let mut next = Some(first);
        let mut handled = 0;
        while let Some(message) = next {
            match message {
                // The order is decided among all waiting tasks.
                Message::Work(_) => more = true,
                Message::Look(task) => match self.tasks.get(&task) {
                    Some(entry) => entry.signals.look.notify_one(),
                    // The task is running in the ledger, but no worker has leased it since this process began.
                    None => {
                        self.release(task).await;
                        more |= self.look_after_stop(task).await;
                    }
                },
                Message::Cleanup => self.left_open.notify_one(),
            }
            handled += 1;
            next = if handled < MESSAGES {
                self.parts.dispatch.next().now_or_never().flatten()
            } else {
                None
            };
        }
        more
    }

    /// Lets other workers have the shards of a task that this one does not work on any more.
    async fn leave_shards(&self, id: TaskId) {
        if self.parts.ledger.sharing() == Sharing::OneProcess {
            // Its next lease on the task ends them.
            return;
        }
        if let Err(error) = self.parts.ledger.leave_shards(id, self.parts.worker).await {
            tracing::warn!(task.id = %id, %error, "the leases on shards end only by themselves");
        }
    }

    /// Applies a stop to a task that nobody works on.
    async fn release(&self, id: TaskId) {
        let now = self.parts.clock.now();
        if let Err(error) = self.parts.ledger.release(id, self.parts.worker, now).await {
            tracing::error!(task.id = %id, %error, "the task cannot be released");
        }
    }

    /// Applies all stops of tasks that nobody works on; returns whether to lease tasks.
    async fn look_after_stops(&self) -> bool {
        let mut more = false;
        for task in self.parts.dispatch.stops().all_requested() {
            if !self.tasks.contains_key(&task) {
                more |= self.look_after_stop(task).await;
            }
        }
        more
    }

    /// Drops the stop of a task that nobody works on once the ledger has it, and writes it if nobody else does. Returns whether it was
    /// dropped.
    async fn look_after_stop(&self, task: TaskId) -> bool {
        let stops = self.parts.dispatch.stops();
        let Some(asked) = stops.requested_at(task) else {
            stops.forget(task);
            return false;
        };
        let (worker, now) = (self.parts.worker, self.parts.clock.now());
        let known = match self.parts.ledger.control(task, worker, now).await {
            Ok(Some(control)) => match control.state {
                State::Running if asked.elapsed() < GRACE => return false,
                State::Running | State::Pausing => self.parts.ledger.pause(task, worker, now).await,
                State::Waiting | State::Paused | State::Failed | State::Succeeded => Ok(()),
            },
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match known {
            Ok(()) => {
                stops.forget(task);
                true
            }
            Err(error) => {
                tracing::warn!(task.id = %task, %error, "the task has stopped, but this cannot be recorded");
                false
            }
        }
    }

    /// Leases as many tasks as there are slots, in the order of [`slots::choose`].
    async fn take_more(&mut self) {
        let slots = self.parts.parallel_tasks;
        if self.tasks.len() >= slots::most(slots) {
            return;
        }
        let (worker, now) = (self.parts.worker, self.parts.clock.now());
        let mut pending = match self.parts.ledger.pending(self.last.as_ref(), worker, now).await {
            Ok(pending) => pending,
            Err(error) => {
                tracing::error!(%error, "the ledger cannot be asked for pending tasks");
                return;
            }
        };
        let stops = self.parts.dispatch.stops();
        pending.retain(|task| !self.tasks.contains_key(&task.id) && stops.requested_at(task.id).is_none());
        let projects: HashMap<TaskId, ProjectId> = pending
            .iter()
            .map(|task| (task.id, task.project.clone()))
            .collect();
        let running: Vec<Running> = self
            .tasks
            .values()
            .filter_map(|entry| {
                Some(Running {
                    project: entry.project.clone()?,
                    stalled: entry.signals.stalled.load(Ordering::Relaxed),
                })
            })
            .collect();
        for task in slots::choose(slots, &running, pending, self.last.as_ref()) {
            let Some(project) = projects.get(&task) else {
                continue;
            };
            self.last = Some(project.clone());
            self.hold(task, project.clone(), None);
        }
        self.join_more().await;
        self.idle.store(self.tasks.is_empty(), Ordering::Relaxed);
    }

    /// Takes part in tasks that other workers hold, while there are slots.
    async fn join_more(&mut self) {
        if self.parts.ledger.sharing() == Sharing::OneProcess || self.tasks.len() >= self.parts.parallel_tasks
        {
            return;
        }
        let found = match self
            .parts
            .ledger
            .joinable(self.parts.worker, self.parts.clock.now())
            .await
        {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the ledger cannot be asked for tasks to take part in");
                return;
            }
        };
        for task in found {
            if self.tasks.len() >= self.parts.parallel_tasks {
                return;
            }
            if self.tasks.contains_key(&task) || self.parts.dispatch.stops().requested_at(task).is_some() {
                continue;
            }
            self.join(task, None);
        }
    }

    /// Runs a task as its holder.
    fn hold(&mut self, task: TaskId, project: ProjectId, delivery: Option<Arc<Delivery>>) {
        let signals = self.enter(task, Some(project), delivery.clone());
        let stop = self.shutdown.child_token();
        let one = run_task(Arc::clone(&self.parts), task, signals, stop, delivery);
        self.ids.insert(self.running.spawn(one).id(), task);
    }

    /// Takes part in a task that another worker holds.
    fn join(&mut self, task: TaskId, delivery: Option<Arc<Delivery>>) {
        let signals = self.enter(task, None, delivery.clone());
        let stop = self.shutdown.child_token();
        let one = run_member(Arc::clone(&self.parts), task, signals, stop, delivery);
        self.ids.insert(self.running.spawn(one).id(), task);
    }

    fn enter(
        &mut self,
        task: TaskId,
        project: Option<ProjectId>,
        delivery: Option<Arc<Delivery>>,
    ) -> TaskSignals {
        let signals = TaskSignals::default();
        let entry = Entry {
            project,
            signals: signals.clone(),
            delivery,
        };
        self.tasks.insert(task, entry);
        self.idle.store(false, Ordering::Relaxed);
        signals
    }

    fn has_slot(&self) -> Slot {
        if self.tasks.len() < self.parts.parallel_tasks {
            Slot::Free
        } else {
            Slot::None
        }
    }

    /// Whether the queue may begin work on a task here.
    fn is_free(&self, task: TaskId) -> bool {
        !self.tasks.contains_key(&task) && self.parts.dispatch.stops().requested_at(task).is_none()
    }

    /// Leases a task that the queue has handed out.
    async fn take_task(&mut self, delivery: Delivery) {
        let task = delivery.item.task();
        if !self.is_free(task) {
            // It is offered again if somebody is still needed.
            decline(&delivery).await;
            return;
        }
        let now = self.parts.clock.now();
        let pending = self.parts.ledger.pending(None, self.parts.worker, now).await;
        let found = pending.map(|pending| pending.into_iter().find(|pending| pending.id == task));
        match found {
            Ok(Some(pending)) => {
                tracing::debug!(item = %delivery.item, "the queue has handed out a task");
                self.hold(task, pending.project, Some(Arc::new(delivery)));
            }
            Ok(None) => decline(&delivery).await,
            Err(error) => {
                tracing::warn!(task.id = %task, %error, "the ledger cannot be asked for a task of the queue");
                give_back(&delivery, WorkEnd::Unrecorded).await;
            }
        }
    }

    /// Takes part in the task of a shard that the queue has handed out.
    async fn take_shard(&mut self, delivery: Delivery) {
        let task = delivery.item.task();
        if self.is_free(task) {
            tracing::debug!(item = %delivery.item, "the queue has handed out a shard");
            self.join(task, Some(Arc::new(delivery)));
        } else {
            // This worker is at the task. The shard is offered again while it is open.
            decline(&delivery).await;
        }
    }

    /// Lets running tasks commit, and records in the ledger that they have not crashed.
    async fn leave(mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.ended(ended).await;
        }
        let store = &self.parts.ledger;
        for task in self.parts.dispatch.stops().all_requested() {
            let now = self.parts.clock.now();
            if let Err(error) = store.pause(task, self.parts.worker, now).await {
                tracing::error!(task.id = %task, %error, "the task has stopped, but this cannot be recorded; the next start resumes it");
            }
        }
        if let Err(error) = store.record_shutdown(self.parts.worker).await {
            tracing::warn!(%error, "the ledger cannot record that the process ended normally");
        }
    }
}
