//! What a caller may do with tasks. Knows the ledger and the dispatcher, no HTTP and no engine.
//!
//! Each method is one decision and at most one change in the ledger; the dispatcher is told afterwards. Errors name
//! the [`Rule`] that was broken.

mod create;
mod place;
mod refusal;

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Instant;

pub use self::create::{CreateTask, Creation, PlaceRequest};
use self::place::check_cdn_key;
use self::refusal::{conflict, refused, stopped_in_memory, unknown};
use crate::dispatch::{Dispatch, Message};
use crate::error::{Result, Rule};
use crate::ledger::{Deleted, Ledger, OrphanKeys, Refusal, TaskFilter};
pub use crate::ledger::{Failure, FoundEntry, FoundScope, ShardScope};
use crate::object::clouds::Catalogue;
use crate::secret::{Credentials, Sealer, TaskCredentials};
use crate::task::{BandwidthPolicy, KeptWarning, Key, ProjectId, StartMode, State, Task, TaskId, UnixMillis};

/// Entries of a scope that are shown one by one.
const ENTRIES_SHOWN: i64 = 100;

/// A task with what a list of tasks leaves out.
#[derive(Clone, Debug)]
pub struct TaskDetail {
    /// The task.
    pub task: Task,
    /// Warnings of its last pass, oldest first.
    pub warnings: Vec<KeptWarning>,
    /// What was found of its scope.
    pub found: FoundScope,
}

/// The tasks of all projects, as callers see them.
pub struct TaskService {
    ledger: Arc<dyn Ledger>,
    dispatch: Arc<dyn Dispatch>,
    sealer: Sealer,
    catalogue: Catalogue,
    parallel_tasks: u32,
    most_waiting: i64,
    sequence: AtomicU8,
}

/// Most tasks of a project that may wait for a worker. Source: the most tasks that OMS lets a project create in a day.
const MOST_WAITING: i64 = 5_000;

impl TaskService {
    /// Puts the service together. `parallel_tasks` is the number of tasks that run at the same time, shown as quota.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        dispatch: Arc<dyn Dispatch>,
        sealer: Sealer,
        catalogue: Catalogue,
        parallel_tasks: u32,
    ) -> Self {
        Self {
            ledger,
            dispatch,
            sealer,
            catalogue,
            parallel_tasks,
            most_waiting: MOST_WAITING,
            sequence: AtomicU8::new(0),
        }
    }

    /// The same with another bound for waiting tasks; for tests.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_most_waiting(mut self, most: i64) -> Self {
        self.most_waiting = most;
        self
    }

    /// Tasks of a project in the given states (empty: all), newest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn list(
        &self,
        project: &ProjectId,
        states: Vec<State>,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Task>> {
        self.ledger
            .tasks(
                &TaskFilter {
                    project: project.clone(),
                    states,
                },
                offset,
                limit,
            )
            .await
    }

    /// Number of tasks in the given states (empty: all).
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn count(&self, project: &ProjectId, states: Vec<State>) -> Result<i64> {
        self.ledger
            .count(&TaskFilter {
                project: project.clone(),
                states,
            })
            .await
    }

    /// One task.
    ///
    /// # Errors
    /// [`Rule::UnknownTask`].
    pub async fn show(&self, project: &ProjectId, id: TaskId) -> Result<Task> {
        self.ledger.task(project, id).await?.ok_or_else(unknown)
    }

    /// One task with all that is known of it.
    ///
    /// # Errors
    /// [`Rule::UnknownTask`].
    pub async fn detail(&self, project: &ProjectId, id: TaskId) -> Result<TaskDetail> {
        let task = self.show(project, id).await?;
        let warnings = self.ledger.warnings(id).await?;
        let found = self.ledger.found_scope(id, ENTRIES_SHOWN).await?;
        Ok(TaskDetail {
            task,
            warnings,
            found,
        })
    }

    /// Starts a paused or failed task with fresh keys; of many starts at once exactly one succeeds.
    ///
    /// # Errors
    /// [`Rule::AlreadyStarted`], [`Rule::Complete`], [`Rule::NothingFailed`], [`Rule::FailuresIncomplete`],
    /// [`Rule::UnknownTask`], [`Rule::CdnKey`].
    pub async fn start(
        &self,
        project: &ProjectId,
        id: TaskId,
        mode: StartMode,
        credentials: TaskCredentials,
        now: UnixMillis,
    ) -> Result<()> {
        // An order never changes, so that nothing can come between this look and the start.
        let task = self.show(project, id).await?;
        check_cdn_key(task.spec.cdn.as_ref(), &credentials)?;
        let sealed = self.sealer.seal(id.get(), &credentials)?;
        self.ledger
            .start(project, id, mode, sealed, now)
            .await?
            .map_err(refused)?;
        tracing::info!(task.id = %id, ?mode, "task started");
        self.dispatch.publish(Message::Work(id)).await;
        Ok(())
    }

    /// Stops a task: a waiting one pauses at once, a running one when its worker has committed, within about a second.
    /// Transfers end also when the ledger cannot be written; the worker writes the stop as soon as it can.
    ///
    /// # Errors
    /// [`Rule::NotInProgress`], [`Rule::Complete`], [`Rule::UnknownTask`]; `Unavailable` with [`Rule::StopRecorded`] when
    /// the transfers end and the ledger cannot be written.
    pub async fn stop(&self, project: &ProjectId, id: TaskId, now: UnixMillis) -> Result<State> {
        let runs = self
            .ledger
            .task(project, id)
            .await?
            .is_some_and(|task| task.state == State::Running);
        if runs {
            // In memory at once: the ledger may be slow, or full.
            self.dispatch.stops().ask(id, Instant::now());
        }
        let state = match self.ledger.stop(project, id, now).await {
            Ok(Ok(state)) => state,
            Ok(Err(refusal)) => {
                self.dispatch.stops().forget(id);
                return Err(refused(refusal));
            }
            Err(error) if runs => return Err(stopped_in_memory(error)),
            Err(error) => return Err(error),
        };
        tracing::info!(task.id = %id, state = state.name(), "task asked to stop");
        self.dispatch.publish(Message::Look(id)).await;
        Ok(state)
    }

    /// Replaces the bandwidth windows; a running task follows at once.
    ///
    /// # Errors
    /// [`Rule::BandwidthFixed`], [`Rule::UnknownTask`].
    pub async fn set_bandwidth(
        &self,
        project: &ProjectId,
        id: TaskId,
        policy: BandwidthPolicy,
    ) -> Result<()> {
        self.ledger
            .set_bandwidth(project, id, policy)
            .await?
            .map_err(|refusal| match refusal {
                Refusal::State(_) => conflict(
                    "the task is complete; its bandwidth_policy cannot be changed",
                    Rule::BandwidthFixed,
                ),
                other => refused(other),
            })?;
        self.dispatch.publish(Message::Look(id)).await;
        Ok(())
    }

    /// Deletes a task that does not run. Uploads that it left open at the target are given up in the background: at once
    /// with `target` keys, or those that a waiting task still has; else by the next task for the same bucket.
    ///
    /// # Errors
    /// [`Rule::InProgress`], [`Rule::UnknownTask`].
    pub async fn delete(
        &self,
        project: &ProjectId,
        id: TaskId,
        target: Option<Credentials>,
        now: UnixMillis,
    ) -> Result<()> {
        let sealed = target
            .map(|target| self.sealer.seal(id.get(), &TaskCredentials::of_target(target)))
            .transpose()?;
        let left = self
            .ledger
            .delete(project, id, sealed, now)
            .await?
            .map_err(refused)?;
        match left {
            Deleted { orphans: 0, .. } => tracing::info!(task.id = %id, "task deleted"),
            Deleted {
                orphans,
                keys: OrphanKeys::Kept,
            } => {
                tracing::info!(task.id = %id, uploads = orphans, "task deleted; what it left open is given up");
                self.dispatch.publish(Message::Cleanup).await;
            }
            Deleted {
                orphans,
                keys: OrphanKeys::None,
            } => tracing::warn!(
                task.id = %id,
                uploads = orphans,
                "task deleted; its uploads stay open at the target until a task with the same target bucket runs; \
                 keys of the target with the deletion would have given them up at once"
            ),
        }
        Ok(())
    }

    /// Recorded failures of a task behind a key, in key order.
    ///
    /// # Errors
    /// [`Rule::UnknownTask`].
    pub async fn failures(
        &self,
        project: &ProjectId,
        id: TaskId,
        after: Option<&Key>,
        limit: i64,
    ) -> Result<Vec<Failure>> {
        self.show(project, id).await?;
        self.ledger.failures(id, after, limit).await
    }

    /// How many tasks run at the same time.
    #[must_use]
    pub const fn parallel_tasks(&self) -> u32 {
        self.parallel_tasks
    }

    /// Whether the ledger can be written.
    ///
    /// # Errors
    /// Those of the ledger.
    pub async fn ping(&self) -> Result<()> {
        self.ledger.ping().await
    }
}
