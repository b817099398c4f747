//! What a caller may do with tasks. Knows the ledger and the dispatcher, no HTTP and no engine.
//!
//! Each method is one decision and at most one change in the ledger; the dispatcher is told afterwards. Errors carry
//! the code of the OMS reference for the rule that was broken.

mod create;
mod refusal;

use std::sync::Arc;
use std::sync::atomic::AtomicU8;

pub use self::create::{CreateTask, Creation, PlaceRequest};
use self::refusal::{conflict, refused, unknown};
use crate::dispatch::{Dispatch, Message};
use crate::error::{Error, Result};
use crate::object::cdn::Authentication;
use crate::object::clouds::Catalogue;
use crate::secret::{Credentials, KeyPair, Sealer};
pub use crate::store::Failure;
use crate::store::{Deleted, OrphanKeys, Refusal, Store, TaskFilter};
use crate::task::spec::Cdn;
use crate::task::{BandwidthPolicy, Key, ProjectId, StartMode, State, Task, TaskId, UnixMillis};

/// The tasks of all projects, as callers see them.
pub struct TaskService {
    store: Arc<dyn Store>,
    dispatch: Arc<dyn Dispatch>,
    sealer: Sealer,
    catalogue: Catalogue,
    parallel_tasks: u32,
    sequence: AtomicU8,
}

impl TaskService {
    /// Puts the service together. `parallel_tasks` is the number of tasks that run at the same time, shown as quota.
    pub fn new(
        store: Arc<dyn Store>,
        dispatch: Arc<dyn Dispatch>,
        sealer: Sealer,
        catalogue: Catalogue,
        parallel_tasks: u32,
    ) -> Self {
        Self {
            store,
            dispatch,
            sealer,
            catalogue,
            parallel_tasks,
            sequence: AtomicU8::new(0),
        }
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
        self.store
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
        self.store
            .count(&TaskFilter {
                project: project.clone(),
                states,
            })
            .await
    }

    /// One task.
    ///
    /// # Errors
    /// OMS.0053 when the project has no such task.
    pub async fn show(&self, project: &ProjectId, id: TaskId) -> Result<Task> {
        self.store.task(project, id).await?.ok_or_else(unknown)
    }

    /// Starts a paused or failed task with fresh keys; of many starts at once exactly one succeeds.
    ///
    /// # Errors
    /// OMS.0065 (already started), OMS.0070 (succeeded), OMS.0167 (no failures recorded), OMS.0308 (list of failures
    /// incomplete), OMS.0053 (unknown task), OMS.1032 (CDN key missing).
    pub async fn start(
        &self,
        project: &ProjectId,
        id: TaskId,
        mode: StartMode,
        credentials: Credentials,
        now: UnixMillis,
    ) -> Result<()> {
        // An order never changes, so that nothing can come between this look and the start.
        let task = self.show(project, id).await?;
        check_cdn_key(task.spec.cdn.as_ref(), &credentials)?;
        let sealed = self.sealer.seal(id.get(), &credentials)?;
        self.store
            .start(project, id, mode, sealed, now)
            .await?
            .map_err(refused)?;
        tracing::info!(task.id = %id, ?mode, "task started");
        self.dispatch.publish(Message::Work(id)).await;
        Ok(())
    }

    /// Stops a task: a waiting one pauses at once, a running one when its worker has committed, within about a second.
    ///
    /// # Errors
    /// OMS.0066 (not in progress), OMS.0070 (succeeded), OMS.0053 (unknown task).
    pub async fn stop(&self, project: &ProjectId, id: TaskId, now: UnixMillis) -> Result<State> {
        let state = self.store.stop(project, id, now).await?.map_err(refused)?;
        tracing::info!(task.id = %id, state = state.name(), "task asked to stop");
        self.dispatch.publish(Message::Look(id)).await;
        Ok(state)
    }

    /// Replaces the bandwidth windows; a running task follows at once.
    ///
    /// # Errors
    /// OMS.0086 when the task has succeeded, OMS.0053 for an unknown task.
    pub async fn set_bandwidth(
        &self,
        project: &ProjectId,
        id: TaskId,
        policy: BandwidthPolicy,
    ) -> Result<()> {
        self.store
            .set_bandwidth(project, id, policy)
            .await?
            .map_err(|refusal| match refusal {
                Refusal::State(_) => conflict(
                    "the task is complete; its bandwidth_policy cannot be changed",
                    "OMS.0086",
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
    /// OMS.0063 (in progress), OMS.0053 (unknown task).
    pub async fn delete(
        &self,
        project: &ProjectId,
        id: TaskId,
        target: Option<KeyPair>,
        now: UnixMillis,
    ) -> Result<()> {
        let sealed = target
            .map(|target| self.sealer.seal(id.get(), &Credentials::of_target(target)))
            .transpose()?;
        let left = self
            .store
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
                self.dispatch.publish(Message::Sweep).await;
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
    /// OMS.0053 for an unknown task.
    pub async fn failures(
        &self,
        project: &ProjectId,
        id: TaskId,
        after: Option<&Key>,
        limit: i64,
    ) -> Result<Vec<Failure>> {
        self.show(project, id).await?;
        self.store.failures(id, after, limit).await
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
        self.store.ping().await
    }
}

/// Whether the CDN's key is there, where its authentication needs one.
fn check_cdn_key(cdn: Option<&Cdn>, credentials: &Credentials) -> Result<()> {
    let kind = cdn.and_then(|cdn| Authentication::from_name(&cdn.authentication_type));
    if kind.is_some_and(Authentication::wants_key) && credentials.cdn_key.is_none() {
        let text = "the CDN's authentication key is required for this authentication_type";
        return Err(Error::invalid(text).with_code("OMS.1032"));
    }
    Ok(())
}
