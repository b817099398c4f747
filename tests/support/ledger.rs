//! A ledger in memory for tests of the API. A test can put any task into it, and can see whether a request changed anything.
//!
//! It follows the rules that callers can observe, with the same pure state machine as the real ledgers. It does not
//! support workers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use oms::error::{Error, ErrorKind, Result};
use oms::ledger::*;
use oms::secret::SealedCredentials;
use oms::task::spec::{Addressing, BucketLocation, Cloud, Endpoint, EndpointOrigin, Payer, Scope};
use oms::task::*;

/// What a request with an `Idempotency-Key` has created: the request, the task and its name.
type Created = (RequestKey, TaskId, String);

/// Tasks, failures, and an error that every call returns if it is set.
#[derive(Default)]
pub struct TestLedger {
    tasks: Mutex<BTreeMap<TaskId, Task>>,
    failures: Mutex<Vec<Failure>>,
    warnings: Mutex<Vec<KeptWarning>>,
    found: Mutex<FoundScope>,
    broken: Mutex<Option<ErrorKind>>,
    left_with: Mutex<Option<SealedCredentials>>,
    requests: Mutex<BTreeMap<(String, String), Created>>,
}

impl TestLedger {
    /// Puts a task in, or replaces it.
    pub fn put(&self, task: Task) {
        self.tasks.lock().unwrap().insert(task.id, task);
    }

    /// Puts a failure in.
    pub fn put_failure(&self, key: &str) {
        self.failures.lock().unwrap().push(Failure {
            key: Key::from(key),
            size: 7,
            code: "AccessDenied".to_owned(),
            message: "the source refused".to_owned(),
            request_id: Some("r-1".to_owned()),
            attempts: 3,
            at: UnixMillis(1_795_000_000_000),
        });
    }

    /// Puts a warning in.
    pub fn put_warning(&self, warning: KeptWarning) {
        self.warnings.lock().unwrap().push(warning);
    }

    /// Sets what was found of the scope.
    pub fn put_found(&self, found: FoundScope) {
        *self.found.lock().unwrap() = found;
    }

    /// Makes every call fail.
    pub fn break_with(&self, kind: ErrorKind) {
        *self.broken.lock().unwrap() = Some(kind);
    }

    /// Everything in it, as text to compare.
    pub fn picture(&self) -> String {
        format!("{:#?}", self.tasks.lock().unwrap())
    }

    /// A task in it.
    pub fn get(&self, id: i64) -> Option<Task> {
        self.tasks.lock().unwrap().get(&TaskId::new(id).unwrap()).cloned()
    }

    /// The credentials of the last deletion.
    pub fn left_with(&self) -> Option<SealedCredentials> {
        self.left_with.lock().unwrap().clone()
    }

    fn check(&self) -> Result<()> {
        match *self.broken.lock().unwrap() {
            None => Ok(()),
            Some(kind) => Err(Error::new(kind, "table tasks on /var/lib/oms").with_source("disk on fire")),
        }
    }

    fn change<T>(
        &self,
        project: &ProjectId,
        id: TaskId,
        change: impl FnOnce(&mut Task) -> Change<T>,
    ) -> Result<Change<T>> {
        self.check()?;
        let mut tasks = self.tasks.lock().unwrap();
        let task = tasks.get_mut(&id).filter(|task| task.project == *project);
        Ok(task.map_or(Err(Refusal::Unknown), change))
    }
}

/// A task of the project `project`, waiting.
pub fn task(id: i64, project: &str) -> Task {
    let place = |bucket: &str| BucketLocation {
        cloud: Cloud::Aws,
        region: "eu-west-1".to_owned(),
        bucket: bucket.to_owned(),
        endpoint: Endpoint {
            url: "http://127.0.0.1:9000".to_owned(),
            addressing: Addressing::Path,
            origin: EndpointOrigin::Request,
        },
        app_id: None,
        payer: Payer::Owner,
    };
    let spec = TaskSpec {
        source: place("photos"),
        target: place("photos-copy"),
        target_prefix: Key::from(""),
        scope: Scope::Objects(vec![Key::from("")]),
        description: String::new(),
        threads: 50,
        kms: false,
        migrate_since: None,
        restore: false,
        record_failures: true,
        record_settled: true,
        cdn: None,
        notification: None,
        rules: CopyRules::default(),
    };
    Task {
        id: TaskId::new(id).unwrap(),
        project: project.parse().unwrap(),
        name: "photos-photos-copy-20261122150405123_0".to_owned(),
        spec,
        bandwidth: BandwidthPolicy::default(),
        state: State::Waiting,
        reason: None,
        counters: Counters::default(),
        survey: Estimate::default(),
        speed: 0,
        concurrency: None,
        epoch: 1,
        pass: None,
        created_at: UnixMillis(1_795_000_000_000),
        started_at: None,
        ended_at: None,
        running_since: None,
        ran_for: 0,
        failed_list: oms::task::FailedReport::default(),
        workers: Vec::new(),
        report_problems: oms::task::ReportProblems::default(),
    }
}

#[async_trait]
impl Ledger for TestLedger {
    async fn create(&self, new: NewTask, now: UnixMillis) -> Result<Task> {
        self.check()?;
        let created = Task {
            name: new.name,
            spec: new.spec,
            bandwidth: new.bandwidth,
            created_at: now,
            ..task(new.id.get(), new.project.as_str())
        };
        self.put(created.clone());
        Ok(created)
    }

    async fn created_before(
        &self,
        project: &ProjectId,
        request: &RequestKey,
        _: UnixMillis,
    ) -> Result<Option<CreatedOnce>> {
        self.check()?;
        let place = (project.as_str().to_owned(), request.key.clone());
        let known = self.requests.lock().unwrap().get(&place).cloned();
        Ok(known.map(|(known, id, name)| {
            if known == *request {
                CreatedOnce::Before { id, name }
            } else {
                CreatedOnce::OtherRequest
            }
        }))
    }

    async fn create_once(&self, new: NewTask, request: &RequestKey, now: UnixMillis) -> Result<CreatedOnce> {
        match self.created_before(&new.project, request, now).await? {
            Some(known) => Ok(known),
            None => {
                let place = (new.project.as_str().to_owned(), request.key.clone());
                let task = self.create(new, now).await?;
                let kept = (request.clone(), task.id, task.name.clone());
                self.requests.lock().unwrap().insert(place, kept);
                Ok(CreatedOnce::Now(Box::new(task)))
            }
        }
    }

    async fn task(&self, project: &ProjectId, id: TaskId) -> Result<Option<Task>> {
        self.check()?;
        let tasks = self.tasks.lock().unwrap();
        Ok(tasks.get(&id).filter(|task| task.project == *project).cloned())
    }

    async fn tasks(&self, filter: &TaskFilter, offset: i64, limit: i64) -> Result<Vec<Task>> {
        self.check()?;
        let tasks = self.tasks.lock().unwrap();
        let wanted = |task: &&Task| {
            task.project == filter.project
                && (filter.states.is_empty() || filter.states.contains(&task.state))
        };
        let (offset, limit) = (usize::try_from(offset).unwrap(), usize::try_from(limit).unwrap());
        Ok(tasks
            .values()
            .rev()
            .filter(wanted)
            .skip(offset)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn count(&self, filter: &TaskFilter) -> Result<i64> {
        Ok(i64::try_from(self.tasks(filter, 0, i64::MAX).await?.len()).unwrap())
    }

    async fn start(
        &self,
        project: &ProjectId,
        id: TaskId,
        mode: StartMode,
        _: SealedCredentials,
        _: UnixMillis,
    ) -> Result<Change<()>> {
        self.change(project, id, |task| {
            let next = task.state.apply(Event::Start).map_err(Refusal::State)?;
            if mode == StartMode::FailedOnly {
                if !task.pass.is_some_and(|pass| pass.finished) {
                    return Err(Refusal::ListIncomplete);
                }
                if task.counters.failed == 0 {
                    return Err(Refusal::NothingFailed);
                }
            }
            task.state = next;
            task.epoch += 1;
            Ok(())
        })
    }

    async fn stop(&self, project: &ProjectId, id: TaskId, _: UnixMillis) -> Result<Change<State>> {
        self.change(project, id, |task| {
            task.state = task.state.apply(Event::Stop).map_err(Refusal::State)?;
            Ok(task.state)
        })
    }

    async fn set_bandwidth(
        &self,
        project: &ProjectId,
        id: TaskId,
        policy: BandwidthPolicy,
    ) -> Result<Change<()>> {
        self.change(project, id, |task| {
            if task.state == State::Succeeded {
                return Err(Refusal::State(Rejection::Complete));
            }
            task.bandwidth = policy;
            Ok(())
        })
    }

    async fn delete(
        &self,
        project: &ProjectId,
        id: TaskId,
        keys: Option<SealedCredentials>,
        _: UnixMillis,
    ) -> Result<Change<Deleted>> {
        let change = self.change(project, id, |task| {
            task.state.apply(Event::Delete).map(drop).map_err(Refusal::State)
        })?;
        if change.is_ok() {
            self.tasks.lock().unwrap().remove(&id);
            *self.left_with.lock().unwrap() = keys;
        }
        Ok(change.map(|()| Deleted {
            orphans: 0,
            keys: OrphanKeys::None,
        }))
    }

    async fn failures(&self, _: TaskId, after: Option<&Key>, limit: i64) -> Result<Vec<Failure>> {
        let failures = self.failures.lock().unwrap();
        let behind = |failure: &&Failure| after.is_none_or(|after| failure.key > *after);
        let limit = usize::try_from(limit).unwrap();
        Ok(failures.iter().filter(behind).take(limit).cloned().collect())
    }

    async fn found_scope(&self, _: TaskId, _: i64) -> Result<FoundScope> {
        Ok(self.found.lock().unwrap().clone())
    }

    async fn warnings(&self, _: TaskId) -> Result<Vec<KeptWarning>> {
        Ok(self.warnings.lock().unwrap().clone())
    }

    async fn ping(&self) -> Result<()> {
        self.check()
    }

    async fn close(&self) {}

    async fn waiting(&self, project: &ProjectId) -> Result<i64> {
        let filter = TaskFilter {
            project: project.clone(),
            states: vec![State::Waiting],
        };
        self.count(&filter).await
    }

    async fn pending(&self, _: Option<&ProjectId>, _: WorkerId, _: UnixMillis) -> Result<Vec<Pending>> {
        unreachable!("no worker")
    }
    async fn joinable(&self, _: WorkerId, _: UnixMillis) -> Result<Vec<TaskId>> {
        unreachable!("no worker")
    }
    async fn pause(&self, _: TaskId, _: WorkerId, _: UnixMillis) -> Result<()> {
        unreachable!("no worker")
    }
    async fn confirm_running(&self, _: TaskId, _: i64) -> Result<()> {
        unreachable!("no worker")
    }
    async fn record_crash(&self, _: TaskId, _: WorkerId) -> Result<()> {
        unreachable!("no worker")
    }
    async fn record_shutdown(&self, _: WorkerId) -> Result<()> {
        unreachable!("no worker")
    }
    async fn forget_failures(&self, _: TaskId, _: i64) -> Result<Purged> {
        unreachable!("no worker")
    }
    async fn purge(&self) -> Result<Purged> {
        unreachable!("no worker")
    }
    async fn recover(&self, _: UnixMillis) -> Result<()> {
        unreachable!("no worker")
    }
    async fn release(&self, _: TaskId, _: WorkerId, _: UnixMillis) -> Result<()> {
        Ok(())
    }

    async fn lease_task(&self, _: TaskId, _: Holder, _: UnixMillis) -> Result<Option<LeasedTask>> {
        unreachable!("no worker")
    }
    async fn keep_task(&self, _: TaskId, _: i64, _: UnixMillis) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn join_task(&self, _: TaskId) -> Result<Option<JoinedTask>> {
        unreachable!("no worker")
    }
    async fn control(&self, _: TaskId, _: WorkerId, _: UnixMillis) -> Result<Option<Control>> {
        unreachable!("no worker")
    }
    async fn open_pass(&self, _: TaskId, _: i64, _: NewPass<'_>, _: UnixMillis) -> Result<PassInfo> {
        unreachable!("no worker")
    }
    async fn lease_shard(
        &self,
        _: TaskId,
        _: Holder,
        _: (ShardKinds, Option<i64>),
        _: UnixMillis,
    ) -> Result<ShardLease> {
        unreachable!("no worker")
    }
    async fn leave_shards(&self, _: TaskId, _: WorkerId) -> Result<()> {
        unreachable!("no worker")
    }
    async fn report_trouble(&self, _: TaskId, _: WorkerId, _: &Reason) -> Result<()> {
        unreachable!("no worker")
    }
    async fn split(&self, _: TaskId, _: &LeasedShard, _: &[Key]) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn set_unordered(&self, _: TaskId, _: &LeasedShard) -> Result<Unordered> {
        unreachable!("no worker")
    }
    async fn failure_cuts(&self, _: TaskId, _: Option<&Key>, _: Option<&Key>, _: i64) -> Result<Vec<Key>> {
        unreachable!("no worker")
    }
    async fn commit(&self, _: TaskId, _: &LeasedShard, _: Commit, _: UnixMillis) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn set_failed_report(&self, _: TaskId, _: i64, _: &FailedReport) -> Result<()> {
        unreachable!("no worker")
    }
    async fn report_file(
        &self,
        _: TaskId,
        _: i64,
        _: ReportKind,
        _: FileSize,
        _: Fullness,
        _: UnixMillis,
    ) -> Result<Option<ReportFile>> {
        unreachable!("no worker")
    }
    async fn wanted(&self, _: WorkerId, _: UnixMillis, _: i64) -> Result<Vec<Wanted>> {
        unreachable!("no worker")
    }

    async fn waiting_chunks(&self, _: TaskId, _: ReportKind) -> Result<Vec<i64>> {
        unreachable!("no worker")
    }

    async fn report_lines(&self, _: TaskId, _: i64) -> Result<Option<Vec<u8>>> {
        unreachable!("no worker")
    }
    async fn report_written(&self, _: TaskId, _: i64, _: ReportKind, _: UnixMillis) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn report_refused(&self, _: TaskId, _: i64, _: ReportKind, _: i64) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn take_failures(&self, _: TaskId, _: &LeasedShard, _: &[Key]) -> Result<Option<Vec<Failure>>> {
        unreachable!("no worker")
    }
    async fn untaken_failures(&self, _: TaskId, _: Option<&Key>, _: i64) -> Result<Vec<Failure>> {
        unreachable!("no worker")
    }
    async fn empty_prefixes(&self, _: TaskId, _: i64) -> Result<Vec<Key>> {
        unreachable!("no worker")
    }
    async fn warn(&self, _: TaskId, _: Writer<'_>, _: &[Warning], _: UnixMillis) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn set_estimate(&self, _: TaskId, _: Estimate) -> Result<()> {
        unreachable!("no worker")
    }
    async fn finish(&self, _: TaskId, _: i64, _: Ending, _: UnixMillis) -> Result<Finished> {
        unreachable!("no worker")
    }
    async fn put_upload(&self, _: TaskId, _: Writer<'_>, _: &OpenUpload) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn upload(&self, _: TaskId, _: &Key) -> Result<Option<OpenUpload>> {
        unreachable!("no worker")
    }
    async fn uploads(&self, _: TaskId) -> Result<Vec<OpenUpload>> {
        unreachable!("no worker")
    }
    async fn remove_upload(&self, _: TaskId, _: Writer<'_>, _: &Key) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn put_part_hash(
        &self,
        _: TaskId,
        _: Writer<'_>,
        _: &Key,
        _: (u32, [u8; 16]),
    ) -> Result<Committed> {
        unreachable!("no worker")
    }
    async fn part_hashes(&self, _: TaskId, _: &Key) -> Result<BTreeMap<u32, [u8; 16]>> {
        unreachable!("no worker")
    }
    async fn orphans(&self, _: Orphans<'_>, _: i64, _: i64) -> Result<Vec<Orphan>> {
        unreachable!("no worker")
    }
    async fn take_cleanup(&self, _: UnixMillis, _: UnixMillis) -> Result<Option<Cleanup>> {
        unreachable!("no worker")
    }
    async fn remove_orphan(&self, _: i64) -> Result<()> {
        unreachable!("no worker")
    }
    async fn wipe_orphan_keys(&self, _: TaskId) -> Result<()> {
        unreachable!("no worker")
    }
    async fn upload_owner(&self, _: &Key, _: &str) -> Result<Owner> {
        unreachable!("no worker")
    }
    fn sharing(&self) -> Sharing {
        Sharing::OneProcess
    }
    async fn beat(&self, _: &WorkerBeat, _: UnixMillis) -> Result<()> {
        unreachable!("no worker")
    }
    async fn workers(&self) -> Result<Vec<WorkerInfo>> {
        self.check()?;
        Ok(Vec::new())
    }
    async fn check_seal(&self, _: &str) -> Result<()> {
        self.check()
    }
    async fn server_time(&self) -> Result<Option<UnixMillis>> {
        self.check()?;
        Ok(None)
    }
}
