//! Creation of tasks.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::TaskService;
use super::place::{check_cdn_key, place};
use super::refusal::too_many_waiting;
use crate::dispatch::Message;
#[expect(unused_imports, reason = "named in the documentation")]
use crate::error::Rule;
use crate::error::{ErrorKind, Result};
use crate::ledger::{CreatedOnce, NewTask, RequestKey};
use crate::object::clouds::Side;
use crate::secret::TaskCredentials;
use crate::task::spec::{Cdn, Cloud, Notification, Payer, Scope};
use crate::task::{BandwidthPolicy, CopyRules, Key, ProjectId, Task, TaskId, TaskSpec, UnixMillis};

/// A bucket as a request names it: the endpoint may be left to the region catalogue.
#[derive(Clone, Debug)]
pub struct PlaceRequest {
    /// Whose cloud.
    pub cloud: Cloud,
    /// Region name.
    pub region: String,
    /// Bucket name.
    pub bucket: String,
    /// Address of the store, where the request gives one.
    pub endpoint: Option<String>,
    /// Tencent's account number.
    pub app_id: Option<String>,
    /// Who pays for the requests.
    pub payer: Payer,
}

/// A task to create. Lengths and forms of single fields were checked where they were read; the rest is checked here.
#[derive(Clone, Debug)]
pub struct CreateTask {
    /// Source bucket.
    pub source: PlaceRequest,
    /// Target bucket.
    pub target: PlaceRequest,
    /// Written before each key at the target.
    pub target_prefix: Key,
    /// Which objects.
    pub scope: Scope,
    /// A sentence of the user.
    pub description: String,
    /// Objects at the same time; 0 for the most allowed.
    pub threads: u8,
    /// Encrypt at the target.
    pub kms: bool,
    /// Only objects modified after.
    pub migrate_since: Option<UnixMillis>,
    /// Restore archived objects first.
    pub restore: bool,
    /// Record failed objects.
    pub record_failures: bool,
    /// List copied and skipped objects.
    pub record_settled: bool,
    /// CDN before the source.
    pub cdn: Option<Cdn>,
    /// Whom to tell.
    pub notification: Option<Notification>,
    /// When to overwrite, how to compare, how much proof to ask for.
    pub rules: CopyRules,
    /// Bandwidth windows.
    pub bandwidth: BandwidthPolicy,
    /// Keys of both sides.
    pub credentials: TaskCredentials,
}

/// The outcome of a creation under a key of the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The task was created, now or by the same request before.
    Done {
        /// Its id.
        id: TaskId,
        /// Its name.
        name: String,
    },
    /// The key stands for another request; nothing was created.
    KeyReused,
}

/// A task that is ready to be inserted, but for its id.
struct Prepared {
    /// Name without the number at its end.
    stem: String,
    spec: TaskSpec,
    bandwidth: BandwidthPolicy,
    credentials: TaskCredentials,
}

/// How often another id is tried when one is taken.
const MAX_IDS: u32 = 100;

impl TaskService {
    /// Creates a task, which begins by itself.
    ///
    /// # Errors
    /// [`Rule::TooManyWaiting`] when too many tasks of the project wait; those of
    /// [`Catalogue::resolve`](crate::object::clouds::Catalogue::resolve); [`Rule::CdnKey`]; those of
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
            return Err(too_many_waiting(self.most_waiting));
        }
        let source = place(&self.catalogue, order.source, Side::Source)?;
        let target = place(&self.catalogue, order.target, Side::Target)?;
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
