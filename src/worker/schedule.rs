//! Leases tasks while there are free slots, and handles their ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use super::slots::{self, Running};
use super::work::{TaskSignals, WorkEnd, run_task};
use super::{cleanup, housekeeping};
use crate::dispatch::Message;
use crate::task::{ProjectId, State, TaskId};

/// Time between two polls of the ledger, in case a message was lost.
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
    let mut scheduler = Scheduler {
        parts: Arc::clone(&parts),
        shutdown: shutdown.clone(),
        left_open,
        running: JoinSet::new(),
        ids: HashMap::new(),
        tasks: HashMap::new(),
        last: None,
    };
    let mut poll = interval(POLL_EVERY);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stops = interval(STOPS_EVERY);
    stops.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let more = tokio::select! {
            () = shutdown.cancelled() => break,
            Some(ended) = scheduler.running.join_next_with_id(), if !scheduler.running.is_empty() => scheduler.ended(ended).await,
            message = parts.dispatch.next() => match message {
                None => break,
                Some(message) => scheduler.handle(message).await,
            },
            _ = stops.tick() => scheduler.look_after_stops().await,
            _ = poll.tick() => true,
        };
        if more {
            scheduler.take_more().await;
        }
    }
    scheduler.leave().await;
    while beside.join_next().await.is_some() {}
}

struct Scheduler {
    parts: Arc<Parts>,
    shutdown: CancellationToken,
    left_open: Arc<Notify>,
    running: JoinSet<WorkEnd>,
    ids: HashMap<Id, TaskId>,
    tasks: HashMap<TaskId, (ProjectId, TaskSignals)>,
    /// The project that was served last.
    last: Option<ProjectId>,
}

impl Scheduler {
    /// Handles a task that ended; returns whether to lease others.
    async fn ended(&mut self, ended: Result<(Id, WorkEnd), JoinError>) -> bool {
        let (id, left) = ended.unwrap_or_else(|panic| {
            tracing::error!(error = %panic, "a task panicked; it will be leased again");
            (panic.id(), WorkEnd::Panicked)
        });
        if let Some(task) = self.ids.remove(&id) {
            self.tasks.remove(&task);
            self.parts.dispatch.stops().ended(task);
            if left == WorkEnd::Panicked
                && let Err(error) = self.parts.ledger.record_crash(task).await
            {
                tracing::error!(task.id = %task, %error, "the panic cannot be counted");
            }
            // It may have panicked, or ended without a record in the ledger, while a stop was on its way.
            self.release(task).await;
            self.look_after_stop(task).await;
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
                    Some((_, signals)) => signals.look.notify_one(),
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

    /// Applies a stop to a task that nobody works on.
    async fn release(&self, id: TaskId) {
        if let Err(error) = self.parts.ledger.release(id).await {
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
        let known = match self.parts.ledger.control(task).await {
            Ok(Some(control)) => match control.state {
                State::Running if asked.elapsed() < GRACE => return false,
                State::Running | State::Pausing => self.parts.ledger.pause(task).await,
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
        let mut pending = match self.parts.ledger.pending(self.last.as_ref()).await {
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
            .map(|(project, signals)| Running {
                project: project.clone(),
                stalled: signals.stalled.load(Ordering::Relaxed),
            })
            .collect();
        for task in slots::choose(slots, &running, pending, self.last.as_ref()) {
            let Some(project) = projects.get(&task) else {
                continue;
            };
            let signals = TaskSignals::default();
            self.last = Some(project.clone());
            self.tasks.insert(task, (project.clone(), signals.clone()));
            let one = run_task(
                Arc::clone(&self.parts),
                task,
                signals,
                self.shutdown.child_token(),
            );
            self.ids.insert(self.running.spawn(one).id(), task);
        }
    }

    /// Lets running tasks commit, and records in the ledger that they have not crashed.
    async fn leave(mut self) {
        while let Some(ended) = self.running.join_next_with_id().await {
            self.ended(ended).await;
        }
        let store = &self.parts.ledger;
        for task in self.parts.dispatch.stops().all_requested() {
            if let Err(error) = store.pause(task).await {
                tracing::error!(task.id = %task, %error, "the task has stopped, but this cannot be recorded; the next start resumes it");
            }
        }
        if let Err(error) = store.record_shutdown().await {
            tracing::warn!(%error, "the ledger cannot record that the process ended normally");
        }
    }
}
