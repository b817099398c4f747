//! A task for testing a ledger, and test values.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::ledger::{
    Change, Commit, Committed, Deleted, Ending, Failure, Finished, Holder, LeasedShard, LeasedTask, Ledger,
    NewPass, NewTask, ShardKinds, ShardLease, ShardScope,
};
use crate::secret::SealedCredentials;
use crate::task::spec::{Addressing, BucketLocation, Cloud, Endpoint, EndpointOrigin, Payer, Scope};
use crate::task::{
    BandwidthPolicy, CopyRules, Counters, Key, PassKind, ProjectId, StartMode, State, Task, TaskId, TaskSpec,
    UnixMillis, WorkerId,
};

/// A time in milliseconds.
pub fn at(millis: i64) -> UnixMillis {
    UnixMillis(millis)
}

/// Sealed credentials that differ for each text.
pub fn sealed(text: &str) -> SealedCredentials {
    SealedCredentials(text.as_bytes().to_vec())
}

/// A spec that copies a whole bucket.
pub fn spec() -> TaskSpec {
    let place = |bucket: &str| BucketLocation {
        cloud: Cloud::Aws,
        region: "eu-west-1".into(),
        bucket: bucket.into(),
        endpoint: Endpoint {
            url: "https://s3.example".into(),
            addressing: Addressing::Path,
            origin: EndpointOrigin::Request,
        },
        app_id: None,
        payer: Payer::Owner,
    };
    TaskSpec {
        source: place("from"),
        target: place("to"),
        target_prefix: Key::from(&b"in/\xff"[..]),
        scope: Scope::Prefixes(vec![Key::from("")]),
        description: "a task".into(),
        threads: 5,
        kms: false,
        migrate_since: None,
        restore: false,
        record_failures: true,
        record_settled: true,
        cdn: None,
        notification: None,
        rules: CopyRules::default(),
    }
}

/// A number for a task or project that no other test function of this run uses.
pub fn fresh() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// A failure of a key.
pub fn failure(key: &str) -> Failure {
    Failure {
        key: Key::from(key),
        size: 7,
        code: "AccessDenied".into(),
        message: "access denied".into(),
        request_id: Some(format!("request-{key}")),
        attempts: 3,
        at: at(5_000),
    }
}

/// Counters of this many copied and failed objects of ten bytes each.
pub fn counters(copied: i64, failed: i64) -> Counters {
    Counters {
        listed: copied + failed,
        copied,
        failed,
        bytes_listed: 10 * (copied + failed),
        bytes_copied: 10 * copied,
        bytes_settled: 10 * copied,
        proved_etag: copied,
        ..Counters::default()
    }
}

/// The worker of the tests.
pub const ME: WorkerId = WorkerId::new(4);
/// Another worker.
pub const OTHER: WorkerId = WorkerId::new(8);

/// A lease that [`ME`] asks for. No two have the same fencing token.
pub fn holder() -> Holder {
    held_by(ME)
}

/// A lease that a worker asks for.
pub fn held_by(worker: WorkerId) -> Holder {
    Holder {
        worker,
        fencing_token: fresh(),
    }
}

/// A pass to open.
pub const fn pass(kind: PassKind, shards: &[ShardScope]) -> NewPass<'_> {
    NewPass {
        kind,
        shards,
        findings: "{}",
    }
}

/// A task in a new project.
pub struct Subject<'a> {
    /// The ledger under test.
    pub store: &'a dyn Ledger,
    /// Tenant.
    pub project: ProjectId,
    /// The task.
    pub id: TaskId,
}

impl<'a> Subject<'a> {
    /// Creates a task at moment 1000 with the credentials `first`.
    pub async fn new(store: &'a dyn Ledger) -> Self {
        let number = fresh();
        let project: ProjectId = format!("project-{number:08}").parse().unwrap();
        let id = TaskId::new(number).unwrap();
        store.create(new_task(&project, id), at(1_000)).await.unwrap();
        Self { store, project, id }
    }

    /// The current task.
    pub async fn task(&self) -> Task {
        self.store.task(&self.project, self.id).await.unwrap().unwrap()
    }

    /// Whether it needs a worker. Other tasks of the ledger may need one too.
    pub async fn is_pending(&self) -> bool {
        let before = format!("project-{:08}z", self.id.get() - 1).parse().unwrap();
        let pending = self.store.pending(Some(&before), ME, at(2_000)).await.unwrap();
        pending.iter().any(|task| task.id == self.id)
    }

    /// Its state.
    pub async fn state(&self) -> State {
        self.task().await.state
    }

    /// Leases it at moment 2000.
    pub async fn lease(&self) -> LeasedTask {
        self.store
            .lease_task(self.id, holder(), at(2_000))
            .await
            .unwrap()
            .unwrap()
    }

    /// Leases it, opens a pass of one shard and leases the shard.
    pub async fn work(&self, kind: PassKind) -> (LeasedTask, LeasedShard) {
        let task = self.lease().await;
        let scope = match kind {
            PassKind::Full => ShardScope::Prefix(Key::from("")),
            PassKind::Failed => ShardScope::Failures,
        };
        self.store
            .open_pass(self.id, task.fencing_token, pass(kind, &[scope]), at(2_100))
            .await
            .unwrap();
        let shard = self.shard().await.unwrap();
        (task, shard)
    }

    /// Leases the next shard at moment 2000.
    pub async fn shard(&self) -> Option<LeasedShard> {
        match self.shard_for(ME, at(2_000)).await {
            ShardLease::Leased(shard) => Some(*shard),
            ShardLease::Held | ShardLease::None => None,
            ShardLease::Poisoned(number) => panic!("shard {number} is poisoned"),
        }
    }

    /// Leases the next shard for a worker.
    pub async fn shard_for(&self, worker: WorkerId, now: UnixMillis) -> ShardLease {
        let leased = self
            .store
            .lease_shard(self.id, held_by(worker), (ShardKinds::All, None), now);
        leased.await.unwrap()
    }

    /// Commits at moment 3000.
    pub async fn commit(&self, shard: &LeasedShard, commit: Commit) -> Committed {
        self.store
            .commit(self.id, shard, commit, at(3_000))
            .await
            .unwrap()
    }

    /// Leaves it at moment 4000.
    pub async fn finish(&self, fencing_token: i64, ending: Ending) -> Option<State> {
        let finished = self.store.finish(self.id, fencing_token, ending, at(4_000));
        ended(finished.await.unwrap())
    }

    /// Starts it with the credentials `again`.
    pub async fn start(&self, mode: StartMode) -> Change<()> {
        self.store
            .start(&self.project, self.id, mode, sealed("again"), at(6_000))
            .await
            .unwrap()
    }

    /// Stops it at moment 3500.
    pub async fn stop(&self) -> Change<State> {
        self.store.stop(&self.project, self.id, at(3_500)).await.unwrap()
    }

    /// Deletes it at moment 7000, with these credentials for its orphans.
    pub async fn delete(&self, keys: Option<&str>) -> Change<Deleted> {
        self.store
            .delete(&self.project, self.id, keys.map(sealed), at(7_000))
            .await
            .unwrap()
    }

    /// Runs a full pass to its end, with these copied and failed objects.
    pub async fn full_pass(&self, copied: i64, failed: &[&str]) -> Option<State> {
        let (task, shard) = self.work(PassKind::Full).await;
        let commit = Commit {
            delta: counters(copied, i64::try_from(failed.len()).unwrap()),
            failures: failed.iter().map(|key| failure(key)).collect(),
            close: true,
            ..Commit::default()
        };
        assert_eq!(self.commit(&shard, commit).await, Committed::Done);
        self.finish(task.fencing_token, Ending::PassFinished).await
    }

    /// Keys of the recorded failures.
    pub async fn failed_keys(&self) -> Vec<String> {
        let found = self.store.failures(self.id, None, 1_000).await.unwrap();
        found
            .iter()
            .map(|failure| failure.key.lossy().into_owned())
            .collect()
    }
}

/// The new state of a task whose work ended; `None` if the worker has lost its lease.
pub fn ended(finished: Finished) -> Option<State> {
    match finished {
        Finished::State(state) => Some(state),
        Finished::Fenced => None,
        Finished::Held => panic!("another worker holds a shard"),
    }
}

/// A task to insert, with the credentials `first`.
pub fn new_task(project: &ProjectId, id: TaskId) -> NewTask {
    NewTask {
        id,
        project: project.clone(),
        name: format!("task-{id}"),
        spec: spec(),
        bandwidth: BandwidthPolicy::default(),
        credentials: sealed("first"),
    }
}
