//! A worker with a real ledger between two in-process S3 servers, without the HTTP API. Tests can inspect what the worker
//! did, and can kill it at any point.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oms::dispatch::Dispatch;
use oms::dispatch::local::LocalDispatch;
use oms::engine::copy::layout::Sizes;
use oms::engine::rate_limit::Streams;
use oms::engine::retry::Pace;
use oms::engine::settings::{CrashGrace, LeaseTimes, Ranges, ReportLimits, Tuning};
use oms::engine::sync_points::SyncPoints;
use oms::error::ErrorKind;
use oms::ledger::sql::{Disk, SqlLedger};
use oms::ledger::{Ledger, Pending};
use oms::net::{Authorities, HttpClient, NetworkPolicy};
use oms::object::clouds::{Catalogue, RequestEndpoints};
use oms::object::pace::MinimumRate;
use oms::object::s3::{S3Connector, Timeouts};
use oms::sandbox::{Sandbox, SandboxOptions};
use oms::secret::{Credentials, KEY_LEN, Sealer, Secret, TaskCredentials};
use oms::service::{BucketRequest, CreateTask, TaskService};
use oms::task::spec::{Cloud, Payer, Scope};
use oms::task::{
    BandwidthPolicy, Clock, CopyRules, Key, ProjectId, StartMode, State, Task, TaskId, WorkerId,
};
use oms::worker;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Bucket at the source.
pub const SOURCE: &str = "source-bucket";
/// Bucket at the target.
pub const TARGET: &str = "target-bucket";
/// How long a test waits for anything.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The smallest part that the stores of [`Stores::small`] accept.
pub const SMALL_PART: u64 = 16 << 10;
/// With [`QUICK`], the size of the pieces in which objects of unknown length are uploaded.
pub const SMALL_PIECE: usize = 16 << 10;
/// Parts of some kilobytes and delays of a millisecond, so that hundreds of passes with faults take only seconds.
pub const QUICK: Tuning = Tuning {
    pace: Pace {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(4),
    },
    sizes: Sizes {
        threshold: 4 * SMALL_PART,
        smallest: SMALL_PART,
        usual: 2 * SMALL_PART,
        // Every object above the threshold is sent in parts, so that small test objects can have parts.
        whole: 0,
        whole_time: Duration::from_secs(600),
        piece: SMALL_PIECE,
        pieces: 100,
    },
    lists: ReportLimits {
        file: 200,
        most: 1 << 20,
        look_every: Duration::from_millis(5),
        refused: Duration::from_millis(20),
    },
    ranges: Ranges {
        at_once: 16,
        look_every: Duration::from_millis(2),
    },
    // As in production, except that a worker soon finds shards that others have left.
    lease: LeaseTimes {
        length: Duration::from_secs(20),
        keep_every: Duration::from_secs(4),
        give_up: Duration::from_secs(12),
        look_again: Duration::from_millis(5),
    },
    // Longer than any test, so that every crash counts as one soon after the start, even on a slow machine.
    crash_grace: CrashGrace(Duration::from_secs(600)),
};

/// Time limits that go with [`QUICK`].
const QUICK_TIMEOUTS: Timeouts = Timeouts {
    answer: Duration::from_secs(1),
    complete: Duration::from_secs(1),
    stall: Duration::from_millis(250),
    rate: MinimumRate {
        bytes_per_second: 512,
        grace: Duration::from_secs(2),
    },
    drain: u32::MAX,
    document: Duration::from_secs(10),
    work: Duration::from_secs(10),
};

/// Two stores with different credentials.
pub struct Stores {
    /// The source.
    pub source: Sandbox,
    /// The target.
    pub target: Sandbox,
}

impl Stores {
    /// Two stores that behave like Amazon S3.
    pub async fn new() -> Self {
        Self::with(SandboxOptions::default(), SandboxOptions::default()).await
    }

    /// Two stores with short listing pages that accept small parts.
    pub async fn small() -> Self {
        let options = || SandboxOptions {
            page_size: 10,
            min_part_size: SMALL_PART,
            ..SandboxOptions::default()
        };
        Self::with(options(), options()).await
    }

    /// Two stores with these options. Their credentials are set here.
    pub async fn with(source: SandboxOptions, target: SandboxOptions) -> Self {
        let keys = |options: SandboxOptions, side: &str| SandboxOptions {
            access_key: format!("AK-{side}"),
            secret_key: format!("SK-{side}-canary"),
            ..options
        };
        let source = Sandbox::start(keys(source, "source")).await.unwrap();
        let target = Sandbox::start(keys(target, "target")).await.unwrap();
        source.create_bucket(SOURCE);
        target.create_bucket(TARGET);
        Self { source, target }
    }

    /// The credentials of both sides.
    pub fn credentials(&self) -> TaskCredentials {
        let pair = |sandbox: &Sandbox| Credentials {
            access_key: Secret::new(sandbox.access_key()),
            secret_key: Secret::new(sandbox.secret_key()),
        };
        TaskCredentials {
            source: pair(&self.source),
            target: pair(&self.target),
            cdn_key: None,
        }
    }

    /// The request that creates a task for the whole bucket.
    pub fn order(&self) -> CreateTask {
        let place = |sandbox: &Sandbox, bucket: &str| BucketRequest {
            cloud: Cloud::Aws,
            region: "us-east-1".to_owned(),
            bucket: bucket.to_owned(),
            endpoint: Some(sandbox.endpoint()),
            app_id: None,
            payer: Payer::Owner,
        };
        CreateTask {
            source: place(&self.source, SOURCE),
            target: place(&self.target, TARGET),
            target_prefix: Key::from(""),
            scope: Scope::Prefixes(vec![Key::from("")]),
            description: String::new(),
            threads: 8,
            kms: false,
            migrate_since: None,
            restore: false,
            record_failures: true,
            record_settled: true,
            cdn: None,
            notification: None,
            rules: CopyRules::default(),
            bandwidth: BandwidthPolicy::default(),
            credentials: self.credentials(),
        }
    }

    /// Keys at the target, without the reports that a task writes there.
    pub fn arrived(&self) -> Vec<String> {
        let mut keys = self.target.keys(TARGET);
        keys.retain(|key| !key.starts_with("oms/task/"));
        keys
    }

    /// Asserts that the target has exactly the objects of the source, with the same bytes and headers.
    #[track_caller]
    pub fn assert_same(&self) {
        let sorted = |mut keys: Vec<String>| {
            keys.sort();
            keys
        };
        assert_eq!(sorted(self.arrived()), sorted(self.source.keys(SOURCE)));
        for key in self.source.keys(SOURCE) {
            let a = self.source.get(SOURCE, &key).unwrap();
            let b = self.target.get(TARGET, &key).unwrap();
            assert!(a.data == b.data, "{key:?} has other bytes");
            assert_eq!(
                (&a.content_type, &a.metadata, &a.tags),
                (&b.content_type, &b.metadata, &b.tags),
                "{key:?}"
            );
            assert_eq!(
                (&a.cache_control, &a.content_encoding),
                (&b.cache_control, &b.content_encoding),
                "{key:?}"
            );
        }
    }
}

/// The environment of a rig.
pub struct World {
    /// Its clock for everything except signatures.
    pub clock: Clock,
    /// Its clock for signatures.
    pub signing: Clock,
    /// The certificate authorities that it trusts.
    pub authorities: Authorities,
}

impl Default for World {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            signing: Clock::system(),
            authorities: Authorities::default(),
        }
    }
}

/// A ledger with a worker.
pub struct Rig {
    /// The folder of the ledger. It remains when the worker is killed.
    pub folder: Arc<TempDir>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The service that handles API calls.
    pub service: TaskService,
    /// Like a process, each rig is another worker, also if it opens the folder of an earlier one.
    worker_id: WorkerId,
    sqlite: Arc<SqlLedger>,
    dispatch: Arc<dyn Dispatch>,
    clock: Clock,
    project: ProjectId,
    worker: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Rig {
    /// A rig with a new ledger.
    pub async fn new() -> Self {
        Self::open(Arc::new(TempDir::new().unwrap()), SyncPoints::default()).await
    }

    /// A rig with the ledger in `folder`.
    pub async fn open(folder: Arc<TempDir>, sync_points: SyncPoints) -> Self {
        Self::tuned(folder, sync_points, Tuning::default(), Timeouts::default()).await
    }

    /// A rig with a new ledger, short retry delays and small parts, for [`Stores::small`].
    pub async fn quick() -> Self {
        Self::quick_in(Arc::new(TempDir::new().unwrap())).await
    }

    /// Like [`Rig::quick`], with the ledger in `folder`.
    pub async fn quick_in(folder: Arc<TempDir>) -> Self {
        Self::quick_with(folder, World::default()).await
    }

    /// Like [`Rig::quick`], but objects of up to `whole` bytes are sent in one piece if that proves them.
    pub async fn quick_whole(folder: Arc<TempDir>, whole: u64) -> Self {
        let sizes = Sizes { whole, ..QUICK.sizes };
        Self::tuned(
            folder,
            SyncPoints::default(),
            Tuning { sizes, ..QUICK },
            QUICK_TIMEOUTS,
        )
        .await
    }

    /// Like [`Rig::quick`], in this environment.
    pub async fn quick_with(folder: Arc<TempDir>, world: World) -> Self {
        Self::within(folder, SyncPoints::default(), QUICK, QUICK_TIMEOUTS, world).await
    }

    /// Like [`Rig::quick_with`], but one reader lists, so that the number of requests in flight is known.
    pub async fn quick_with_one_reader(folder: Arc<TempDir>, world: World) -> Self {
        let ranges = Ranges {
            at_once: 1,
            ..QUICK.ranges
        };
        let tuning = Tuning { ranges, ..QUICK };
        Self::within(folder, SyncPoints::default(), tuning, QUICK_TIMEOUTS, world).await
    }

    /// A rig with the ledger in `folder` whose worker has ended, so that tasks stay waiting.
    pub async fn idle(folder: Arc<TempDir>) -> Self {
        let mut rig = Self::quick_in(folder).await;
        rig.shutdown.cancel();
        (&mut rig.worker).await.unwrap();
        rig.worker = tokio::spawn(std::future::ready(()));
        rig
    }

    /// A rig with these sizes, delays and timeouts.
    pub async fn tuned(
        folder: Arc<TempDir>,
        sync_points: SyncPoints,
        tuning: Tuning,
        timeouts: Timeouts,
    ) -> Self {
        Self::within(folder, sync_points, tuning, timeouts, World::default()).await
    }

    /// A rig with these settings in this environment.
    pub async fn within(
        folder: Arc<TempDir>,
        sync_points: SyncPoints,
        tuning: Tuning,
        timeouts: Timeouts,
        world: World,
    ) -> Self {
        let World {
            clock,
            signing,
            authorities,
        } = world;
        let sqlite = Arc::new(ledger(&folder).await);
        let ledger: Arc<dyn Ledger> = Arc::clone(&sqlite) as Arc<dyn Ledger>;
        ledger.recover(clock.now()).await.unwrap();
        let dispatch: Arc<dyn Dispatch> = Arc::new(LocalDispatch::default());
        let sealer = Sealer::new(&[9; KEY_LEN]);
        let loopback = NetworkPolicy {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
        };
        let service = TaskService::new(
            Arc::clone(&ledger),
            Arc::clone(&dispatch),
            sealer.clone(),
            Catalogue::new(RequestEndpoints::Allowed),
            5,
        );
        let worker_id = WorkerId::new(rand::random());
        let parts = worker::Parts {
            worker: worker_id,
            name: "rig".to_owned(),
            ledger: Arc::clone(&ledger),
            dispatch: Arc::clone(&dispatch),
            queue: None,
            sealer,
            connect: Arc::new(S3Connector::with_timeouts(
                HttpClient::trusting(loopback, authorities),
                signing,
                timeouts,
            )),
            streams: Streams::new(32),
            clock: clock.clone(),
            zone: jiff::tz::TimeZone::UTC,
            parallel_tasks: 5,
            tuning,
            sync_points,
        };
        let shutdown = CancellationToken::new();
        let worker = tokio::spawn(worker::run(Arc::new(parts), shutdown.clone()));
        let project = "p".parse().unwrap();
        Self {
            folder,
            ledger,
            service,
            worker_id,
            sqlite,
            dispatch,
            clock,
            project,
            worker,
            shutdown,
        }
    }

    /// Changes how the ledger's disk behaves.
    pub async fn set_disk(&self, disk: Disk) {
        self.sqlite.set_disk(disk).await.unwrap();
    }

    /// Tasks that its worker could lease.
    pub async fn pending(&self) -> Vec<Pending> {
        let pending = self.ledger.pending(None, self.worker_id, self.clock.now());
        pending.await.unwrap()
    }

    /// Creates a task.
    pub async fn create(&self, order: CreateTask) -> TaskId {
        self.service
            .create(&self.project, order, self.clock.now())
            .await
            .unwrap()
            .id
    }

    /// Creates a task of another project.
    pub async fn create_in(&self, project: &ProjectId, order: CreateTask) -> TaskId {
        let created = self.service.create(project, order, self.clock.now()).await;
        created.unwrap().id
    }

    /// Waits until a task of another project has ended.
    pub async fn end_in(&self, project: &ProjectId, id: TaskId) -> Task {
        let until = Instant::now() + TIMEOUT;
        loop {
            let task = self.service.show(project, id).await.unwrap();
            if matches!(task.state, State::Succeeded | State::Failed) {
                return task;
            }
            assert!(Instant::now() < until, "waited too long: {task:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sets how many tasks of a project may wait.
    pub fn with_most_waiting(mut self, most: i64) -> Self {
        self.service = self.service.with_most_waiting(most);
        self
    }

    /// Creates a task, or returns the error.
    pub async fn try_create(&self, order: CreateTask) -> oms::error::Result<TaskId> {
        let task = self
            .service
            .create(&self.project, order, self.clock.now())
            .await?;
        Ok(task.id)
    }

    /// Starts a task again, or returns the error.
    pub async fn try_start(
        &self,
        id: TaskId,
        mode: StartMode,
        credentials: TaskCredentials,
    ) -> oms::error::Result<()> {
        self.service
            .start(&self.project, id, mode, credentials, self.clock.now())
            .await
    }

    /// Starts a task again.
    pub async fn start(&self, id: TaskId, mode: StartMode, credentials: TaskCredentials) {
        self.service
            .start(&self.project, id, mode, credentials, self.clock.now())
            .await
            .unwrap();
    }

    /// Deletes a task, with target credentials to abort its open uploads.
    pub async fn delete(&self, id: TaskId, target: Option<Credentials>) {
        self.service
            .delete(&self.project, id, target, self.clock.now())
            .await
            .unwrap();
    }

    /// Stops a task, or returns the error.
    pub async fn stop(&self, id: TaskId) -> oms::error::Result<State> {
        self.service.stop(&self.project, id, self.clock.now()).await
    }

    /// Whether the worker runs the task.
    pub fn runs(&self, id: TaskId) -> bool {
        self.dispatch.stops().runs(id)
    }

    /// Stops a task that may already have ended.
    pub async fn try_stop(&self, id: TaskId) {
        // A refusal means that the task has ended, which is fine.
        self.service
            .stop(&self.project, id, self.clock.now())
            .await
            .map(drop)
            .unwrap_or_default();
    }

    /// Stops a task and waits until it is paused.
    pub async fn pause(&self, id: TaskId) -> Task {
        self.service
            .stop(&self.project, id, self.clock.now())
            .await
            .unwrap();
        self.wait(id, |task| task.state == State::Paused).await
    }

    /// A task.
    pub async fn task(&self, id: TaskId) -> Task {
        self.service.show(&self.project, id).await.unwrap()
    }

    /// Waits until `condition` holds for a task.
    pub async fn wait(&self, id: TaskId, condition: impl Fn(&Task) -> bool) -> Task {
        let until = Instant::now() + TIMEOUT;
        loop {
            let task = self.task(id).await;
            if condition(&task) {
                return task;
            }
            assert!(Instant::now() < until, "waited too long: {task:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a task has ended, and asserts that its counters balance.
    pub async fn end(&self, id: TaskId) -> Task {
        let task = self
            .wait(id, |task| matches!(task.state, State::Succeeded | State::Failed))
            .await;
        assert!(task.counters.balanced(), "{:#?}", task.counters);
        task
    }

    /// Ends the worker like a crash: nothing is drained and nothing more is written.
    pub async fn kill(self) -> Arc<TempDir> {
        let Self {
            folder,
            ledger,
            service,
            sqlite,
            worker,
            ..
        } = self;
        worker.abort();
        assert!(worker.await.is_err());
        drop((service, ledger));
        // The runtime drops the tasks that the worker had started one after another. The last one closes the ledger.
        let until = Instant::now() + TIMEOUT;
        while Arc::strong_count(&sqlite) > 1 {
            assert!(Instant::now() < until, "parts of the killed worker still run");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        folder
    }

    /// Ends the worker as SIGTERM would.
    pub async fn shut_down(self) -> Arc<TempDir> {
        self.shutdown.cancel();
        self.worker.await.unwrap();
        self.ledger.close().await;
        self.folder
    }
}

/// Opens the ledger in `folder`. Unlike a killed process, a worker that was just killed may keep it locked for a moment.
async fn ledger(folder: &TempDir) -> SqlLedger {
    let until = Instant::now() + TIMEOUT;
    loop {
        match SqlLedger::open(&folder.path().join("oms.db")).await {
            Err(error) if error.kind() == ErrorKind::Conflict && Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            opened => return opened.unwrap(),
        }
    }
}
