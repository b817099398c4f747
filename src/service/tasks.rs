//! The tasks of all projects, as callers see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use jiff::Timestamp;

use super::bucket_location::{bucket_location, check_cdn_key};
use super::refusal::refused;
use super::requests::{CreateTask, Creation};
use crate::dispatch::{Dispatch, Message};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{
    CreatedOnce, Deleted, Failure, FoundScope, Ledger, NewTask, OrphanKeys, Refusal, RequestKey, Sharing,
    TaskFilter,
};
use crate::object::clouds::{Catalogue, Side};
use crate::secret::{Credentials, Sealer, TaskCredentials};
use crate::task::{
    BandwidthPolicy, KeptWarning, Key, ProjectId, StartMode, State, Task, TaskId, TaskSpec, UnixMillis,
};
use crate::violation::Violation;

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
    /// The workers that are at it, if several processes share the ledger.
    pub workers: Vec<NamedWorker>,
}

/// A worker that is at a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedWorker {
    /// Its name.
    pub name: String,
    /// How many shards it holds.
    pub shards: i64,
    /// Bytes per second over the last seconds.
    pub speed: i64,
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

/// A task that is ready to be inserted, but for its id.
struct Prepared {
    /// Name without the number at its end.
    stem: String,
    spec: TaskSpec,
    bandwidth: BandwidthPolicy,
    credentials: TaskCredentials,
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
    /// [`Violation::UnknownTask`].
    pub async fn show(&self, project: &ProjectId, id: TaskId) -> Result<Task> {
        self.ledger
            .task(project, id)
            .await?
            .ok_or_else(|| Violation::UnknownTask.into())
    }

    /// One task with all that is known of it.
    ///
    /// # Errors
    /// [`Violation::UnknownTask`].
    pub async fn detail(&self, project: &ProjectId, id: TaskId) -> Result<TaskDetail> {
        let task = self.show(project, id).await?;
        let warnings = self.ledger.warnings(id).await?;
        let found = self.ledger.found_scope(id, ENTRIES_SHOWN).await?;
        let workers = self.workers(&task).await?;
        Ok(TaskDetail {
            task,
            warnings,
            found,
            workers,
        })
    }

    async fn workers(&self, task: &Task) -> Result<Vec<NamedWorker>> {
        if task.workers.is_empty() || self.ledger.sharing() == Sharing::OneProcess {
            return Ok(Vec::new());
        }
        let known = self.ledger.workers().await?;
        let name = |id| {
            known
                .iter()
                .find(|worker| worker.worker == id)
                .map(|worker| worker.name.clone())
        };
        let named = task.workers.iter().map(|worker| NamedWorker {
            name: name(worker.worker).unwrap_or_else(|| worker.worker.to_string()),
            shards: worker.shards,
            speed: worker.speed,
        });
        Ok(named.collect())
    }

    /// Starts a paused or failed task with fresh credentials; of many starts at once exactly one succeeds.
    ///
    /// # Errors
    /// [`Violation::AlreadyStarted`], [`Violation::Complete`], [`Violation::NothingFailed`], [`Violation::FailuresIncomplete`],
    /// [`Violation::UnknownTask`], [`Violation::CdnKeyMissing`].
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
    /// [`Violation::NotInProgress`], [`Violation::Complete`], [`Violation::UnknownTask`]; `Unavailable` with [`Violation::StopNotRecorded`] when
    /// the transfers end and the ledger cannot be written.
    pub async fn stop(&self, project: &ProjectId, id: TaskId, now: UnixMillis) -> Result<State> {
        let runs = self
            .ledger
            .task(project, id)
            .await?
            .is_some_and(|task| task.state == State::Running);
        if runs {
            // In memory at once: the ledger may be slow, or full.
            self.dispatch.stops().request(id, Instant::now());
        }
        let state = match self.ledger.stop(project, id, now).await {
            Ok(Ok(state)) => state,
            Ok(Err(refusal)) => {
                self.dispatch.stops().forget(id);
                return Err(refused(refusal));
            }
            Err(error) if runs => return Err(Error::from(Violation::StopNotRecorded).with_source(error)),
            Err(error) => return Err(error),
        };
        // The ledger has it now. Only a worker of this process that runs the task still needs it here.
        if !self.dispatch.stops().runs(id) {
            self.dispatch.stops().forget(id);
        }
        tracing::info!(task.id = %id, state = state.name(), "task asked to stop");
        self.dispatch.publish(Message::Look(id)).await;
        Ok(state)
    }

    /// Replaces the bandwidth windows; a running task follows at once.
    ///
    /// # Errors
    /// [`Violation::BandwidthFixed`], [`Violation::UnknownTask`].
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
                Refusal::State(_) => Violation::BandwidthFixed.into(),
                other => refused(other),
            })?;
        self.dispatch.publish(Message::Look(id)).await;
        Ok(())
    }

    /// Deletes a task that does not run. Uploads that it left open at the target are aborted in the background: at once
    /// with `target` keys, or those that a waiting task still has; else by the next task for the same bucket.
    ///
    /// # Errors
    /// [`Violation::InProgress`], [`Violation::UnknownTask`].
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
    /// [`Violation::UnknownTask`].
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

/// How often another id is tried when one is taken.
const MAX_IDS: u32 = 100;

impl TaskService {
    /// Creates a task, which begins by itself.
    ///
    /// # Errors
    /// [`Violation::TooManyWaiting`] when too many tasks of the project wait; those of
    /// [`Catalogue::resolve`](crate::object::clouds::Catalogue::resolve); [`Violation::CdnKeyMissing`]; those of
    /// [`TaskSpec::validate`].
    pub async fn create(&self, project: &ProjectId, order: CreateTask, now: UnixMillis) -> Result<Task> {
        let prepared = self.prepare(project, order, now).await?;
        let mut ids = 1;
        let task = loop {
            let new = self.numbered(&prepared, project, now)?;
            match self.ledger.create(new, now).await {
                Err(error) if error.kind() == ErrorKind::Conflict && ids < MAX_IDS => ids += 1,
                other => break other?,
            }
        };
        self.created(&task).await;
        Ok(task)
    }

    /// Creates a task as [`TaskService::create`] does, unless the same request came under the same `key` within the last
    /// day: then it is the task of that request. `body` is the request in one form for all its spellings; it is not kept.
    ///
    /// # Errors
    /// Those of [`TaskService::create`].
    pub async fn create_once(
        &self,
        project: &ProjectId,
        order: CreateTask,
        key: String,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<Creation> {
        let request = RequestKey {
            key,
            fingerprint: self.sealer.fingerprint("create", body),
        };
        // First of all: what was answered before is answered again, also when no new task could be created now.
        let outcome = match self.ledger.created_before(project, &request, now).await? {
            Some(known) => known,
            None => self.insert_once(project, order, &request, now).await?,
        };
        Ok(match outcome {
            CreatedOnce::Now(task) => {
                self.created(&task).await;
                Creation::Done {
                    id: task.id,
                    name: task.name,
                }
            }
            CreatedOnce::Before { id, name } => Creation::Done { id, name },
            CreatedOnce::OtherRequest => Creation::KeyReused,
        })
    }

    async fn insert_once(
        &self,
        project: &ProjectId,
        order: CreateTask,
        request: &RequestKey,
        now: UnixMillis,
    ) -> Result<CreatedOnce> {
        let prepared = self.prepare(project, order, now).await?;
        let mut ids = 1;
        loop {
            let new = self.numbered(&prepared, project, now)?;
            match self.ledger.create_once(new, request, now).await {
                Err(error) if error.kind() == ErrorKind::Conflict && ids < MAX_IDS => ids += 1,
                other => return other,
            }
        }
    }

    async fn created(&self, task: &Task) {
        tracing::info!(task.id = %task.id, task.name = %task.name, "task created");
        self.dispatch.publish(Message::Work(task.id)).await;
    }

    /// Checks what single fields do not say.
    async fn prepare(&self, project: &ProjectId, order: CreateTask, now: UnixMillis) -> Result<Prepared> {
        // Two that come at the same moment may both be the last: it is a bound for what piles up, and need not be exact.
        if self.ledger.waiting(project).await? >= self.most_waiting {
            let most = self.most_waiting;
            return Err(Violation::TooManyWaiting { most }.into());
        }
        let source = bucket_location(&self.catalogue, order.source, Side::Source)?;
        let target = bucket_location(&self.catalogue, order.target, Side::Target)?;
        let from = if source.bucket.is_empty() {
            source.cloud.name()
        } else {
            &source.bucket
        };
        let stem = format!("{from}-{}-{}", target.bucket, compact_time(now));
        check_cdn_key(order.cdn.as_ref(), &order.credentials)?;
        let spec = TaskSpec {
            source,
            target,
            target_prefix: order.target_prefix,
            scope: order.scope,
            description: order.description,
            threads: if order.threads == 0 {
                TaskSpec::MAX_THREADS
            } else {
                order.threads
            },
            kms: order.kms,
            migrate_since: order.migrate_since,
            restore: order.restore,
            record_failures: order.record_failures,
            record_settled: order.record_settled,
            cdn: order.cdn,
            notification: order.notification,
            rules: order.rules,
        }
        .validate()?;
        Ok(Prepared {
            stem,
            spec,
            bandwidth: order.bandwidth,
            credentials: order.credentials,
        })
    }

    /// The task with the next id. Two processes may make the same id in the same millisecond: the ledger refuses the second.
    fn numbered(&self, prepared: &Prepared, project: &ProjectId, now: UnixMillis) -> Result<NewTask> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) % 100;
        let id = TaskId::at(now, sequence);
        Ok(NewTask {
            id,
            project: project.clone(),
            name: format!("{}_{sequence}", prepared.stem),
            spec: prepared.spec.clone(),
            bandwidth: prepared.bandwidth.clone(),
            credentials: self.sealer.seal(id.get(), &prepared.credentials)?,
        })
    }
}

/// `yyyyMMddHHmmssSSS` in UTC, as in the names that OMS gives.
fn compact_time(now: UnixMillis) -> String {
    Timestamp::from_millisecond(now.0)
        .map(|t| t.strftime("%Y%m%d%H%M%S%3f").to_string())
        .unwrap_or_else(|_| now.0.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_time_to_the_millisecond() {
        assert_eq!(compact_time(UnixMillis(1_589_267_678_170)), "20200512071438170");
    }
}
