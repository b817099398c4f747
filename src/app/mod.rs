//! Builds every part of the service from the configuration, runs the parts, and stops them in order.

mod data_folder;
mod shared_clock;
mod tools;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::data_folder::TokenOrigin;
use self::data_folder::{make_folder, read_or_make_key, read_or_make_token};
use self::shared_clock::SharedClock;
pub use self::tools::{copy_ledger, workers};
use crate::api::{self, ApiState};
use crate::config::{Config, Database, Work};
use crate::dispatch::Dispatch;
use crate::dispatch::fleet::FleetDispatch;
use crate::dispatch::jetstream::{JetStream, NatsSettings};
use crate::dispatch::local::LocalDispatch;
use crate::engine::rate_limit::Streams;
use crate::engine::settings::{LeaseTimes, Tuning};
use crate::engine::sync_points::SyncPoints;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::sql::{Schema, SqlLedger};
use crate::ledger::{Ledger, Purged, Sharing};
use crate::net::{Authorities, HttpClient, NetworkPolicy};
use crate::object::s3::S3Connector;
use crate::secret::{Sealer, Secret};
use crate::service::TaskService;
use crate::task::{Clock, WorkerId};
use crate::worker::{self, Queue, QueueRole};

/// A service that is built, but not running yet.
pub struct App {
    token: Secret,
    token_origin: TokenOrigin,
    api: ApiState,
    core: Core,
    work: Work,
}

/// A worker that is built, but not running yet.
pub struct Worker {
    core: Core,
}

/// What the service and a worker have in common.
struct Core {
    ledger: Arc<dyn Ledger>,
    /// Whether the ledger has recorded that a new process has started.
    recovered: bool,
    shared_clock: Option<SharedClock>,
    /// Messages from other processes, if there is a queue between them.
    fleet: Option<Arc<FleetDispatch>>,
    worker: Arc<worker::Parts>,
}

impl App {
    /// Opens the ledger and builds every part.
    ///
    /// # Errors
    /// `InvalidArgument` for a wrong setting; `Conflict` if another process uses the data folder, or the ledger was made with
    /// another sealing key; `StorageFull`, `PermissionDenied` or `Internal` if the folder cannot be used; those of
    /// [`SqlLedger::connect`].
    pub async fn build(config: &Config, clock: Clock, sync_points: SyncPoints) -> Result<Self> {
        // This comes before anything is written.
        let authorities = config.authorities()?;
        let (ledger, sealer) = match config.database() {
            Database::Sqlite => {
                make_folder(&config.data_dir)?;
                // This comes first, because it keeps other processes out of the folder.
                let ledger = SqlLedger::open(&config.data_dir.join("oms.db")).await?;
                let key = match config.seal_key() {
                    Some(key) => key,
                    None => read_or_make_key(&config.data_dir.join("seal.key"))?,
                };
                (ledger, Sealer::new(&key))
            }
            Database::Postgres(url) => shared(config, &url, Schema::Migrate).await?,
        };
        let (token, token_origin) = match config.token() {
            Some(token) => (token, TokenOrigin::Configured),
            None => read_or_make_token(&config.data_dir.join("token"))?,
        };
        let owner = QueueRole::Owner {
            parallel_tasks: config.parallel_tasks,
        };
        let core = Core::build(
            config,
            (ledger, sealer.clone()),
            authorities,
            clock,
            sync_points,
            owner,
        )
        .await?;
        let service = TaskService::new(
            Arc::clone(&core.ledger),
            Arc::clone(&core.worker.dispatch),
            sealer,
            config.catalogue()?,
            config.parallel_tasks,
        );
        let api = ApiState::new(Arc::new(service), token.clone(), {
            let clock = core.worker.clock.clone();
            Arc::new(move || clock.now())
        })
        .with_projects(config.projects()?)
        .with_origins(config.origins()?);
        Ok(Self {
            token,
            token_origin,
            api,
            core,
            work: config.work,
        })
    }

    /// The API token that callers must send.
    #[must_use]
    pub const fn token(&self) -> &Secret {
        &self.token
    }

    /// Origin of the token.
    #[must_use]
    pub const fn token_origin(&self) -> TokenOrigin {
        self.token_origin
    }

    /// Serves until `shutdown`. Then it finishes open requests, lets running tasks commit, and closes the ledger.
    ///
    /// # Errors
    /// `Unavailable` if the listener cannot be used.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
        let api = api::serve(self.api, listener, shutdown.clone());
        self.core.run(api, self.work, &shutdown).await
    }
}

impl Worker {
    /// Connects to the ledger and builds every part.
    ///
    /// # Errors
    /// Those of [`App::build`]. `Conflict` also if the ledger's schema is of another version.
    pub async fn build(config: &Config, sync_points: SyncPoints) -> Result<Self> {
        let Database::Postgres(url) = config.database() else {
            return Err(Error::invalid(
                "ledger_url is missing: workers share a PostgreSQL ledger",
            ));
        };
        let authorities = config.authorities()?;
        let (ledger, sealer) = shared(config, &url, Schema::Check).await?;
        let core = Core::build(
            config,
            (ledger, sealer),
            authorities,
            Clock::system(),
            sync_points,
            QueueRole::User,
        )
        .await?;
        Ok(Self { core })
    }

    /// Works until `shutdown`, and answers `/livez` and `/readyz`. Then it lets running tasks commit, and closes the ledger.
    ///
    /// # Errors
    /// `Unavailable` if the listener cannot be used.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
        let ledger = Arc::clone(&self.core.ledger);
        let clock = self.core.worker.clock.clone();
        let ask = move || {
            let ledger = Arc::clone(&ledger);
            async move { ledger.ping().await }
        };
        let health = api::serve_health(ask, move || clock.now(), listener, shutdown.clone());
        self.core.run(health, Work::Here, &shutdown).await
    }
}

/// A ledger that several processes share, and the key that all of them have.
async fn shared(config: &Config, url: &Secret, schema: Schema) -> Result<(SqlLedger, Sealer)> {
    let missing = || Error::invalid("seal_key is missing: processes that share a ledger need the same key");
    let sealer = Sealer::new(&*config.seal_key().ok_or_else(missing)?);
    let ledger = SqlLedger::connect(url, schema).await?;
    let check = sealer.fingerprint("check of the sealing key", b"");
    ledger.check_seal(&hex::encode(check)).await?;
    Ok((ledger, sealer))
}

impl Core {
    async fn build(
        config: &Config,
        (ledger, sealer): (SqlLedger, Sealer),
        authorities: Authorities,
        clock: Clock,
        sync_points: SyncPoints,
        role: QueueRole,
    ) -> Result<Self> {
        let lease = config.lease();
        let millis = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
        let ledger: Arc<dyn Ledger> = Arc::new(ledger.with_lease(millis));
        let shared_clock = SharedClock::of(ledger.as_ref()).await?;
        let clock = shared_clock.as_ref().map_or(clock, SharedClock::clock);
        let recovered = match ledger.sharing() {
            // The leases of a process that is gone end by themselves.
            Sharing::ManyProcesses => true,
            Sharing::OneProcess => recovered(ledger.as_ref(), &clock).await?,
        };
        let policy = NetworkPolicy {
            allowed: config.allow_networks.clone(),
        };
        let http = HttpClient::trusting(policy, authorities);
        let (dispatch, fleet, queue) = dispatch(config, role).await?;
        let worker = Arc::new(worker::Parts {
            worker: WorkerId::new(rand::random()),
            name: config.worker_name(),
            ledger: Arc::clone(&ledger),
            dispatch,
            queue,
            sealer,
            connect: Arc::new(S3Connector::new(http, clock.clone())),
            streams: Streams::new(config.max_requests),
            clock,
            zone: config.zone()?,
            parallel_tasks: usize::try_from(config.parallel_tasks).unwrap_or(usize::MAX),
            tuning: Tuning {
                lease: LeaseTimes::of(lease),
                ..Tuning::default()
            },
            sync_points,
        });
        Ok(Self {
            ledger,
            recovered,
            shared_clock,
            fleet,
            worker,
        })
    }

    /// Runs a server and, unless others work, a worker. If the server fails, the worker stops too.
    async fn run(
        self,
        server: impl Future<Output = Result<()>>,
        work: Work,
        shutdown: &CancellationToken,
    ) -> Result<()> {
        let (recovered, parts) = (self.recovered, self.worker);
        let worker = async {
            match work {
                Work::Here if recovered || recover(&parts, shutdown).await => {
                    worker::run(Arc::clone(&parts), shutdown.clone()).await;
                }
                Work::Here => {}
                Work::Elsewhere => worker::offer_work(Arc::clone(&parts), shutdown.clone()).await,
            }
        };
        let messages = async {
            if let Some(fleet) = &self.fleet {
                fleet.listen(shutdown).await;
            }
        };
        let server = async {
            let served = server.await;
            shutdown.cancel();
            served
        };
        let clock = async {
            if let Some(clock) = &self.shared_clock {
                clock.keep(self.ledger.as_ref(), shutdown).await;
            }
        };
        let (served, (), (), ()) = tokio::join!(server, worker, clock, messages);
        self.ledger.close().await;
        served
    }
}

/// How work and messages get from process to process.
async fn dispatch(
    config: &Config,
    role: QueueRole,
) -> Result<(Arc<dyn Dispatch>, Option<Arc<FleetDispatch>>, Option<Queue>)> {
    let Some(nats) = config.nats() else {
        return Ok((Arc::new(LocalDispatch::default()), None, None));
    };
    let stream = JetStream::connect(&NatsSettings {
        url: nats.url,
        creds_file: nats.creds_file,
        nkey_file: nats.nkey_file,
        ca_file: nats.ca_file,
    })
    .await?;
    let fleet = Arc::new(FleetDispatch::new(stream.clone()));
    let dispatch: Arc<dyn Dispatch> = Arc::<FleetDispatch>::clone(&fleet);
    Ok((dispatch, Some(fleet), Some(Queue::new(stream, role))))
}

/// Records in a ledger that this process owns that it has started. False if the ledger cannot be written now.
async fn recovered(ledger: &dyn Ledger, clock: &Clock) -> Result<bool> {
    match ledger.recover(clock.now()).await {
        Ok(()) => Ok(true),
        // On a full disk, tasks can still be read and deleted. No task is run before the ledger can be written.
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::Unavailable) => {
            tracing::error!(%error, "the ledger cannot be written: tasks can be shown and deleted, and none is worked on");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Records in the ledger that a new process has started, as soon as it can be written; false if `shutdown` comes first.
async fn recover(parts: &worker::Parts, shutdown: &CancellationToken) -> bool {
    const EVERY: Duration = Duration::from_secs(1);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = tokio::time::sleep(EVERY) => {}
        }
        match parts.ledger.recover(parts.clock.now()).await {
            Ok(()) => return true,
            Err(error) => tracing::debug!(%error, "the ledger still cannot be written"),
        }
        // Deletions continue in small steps in the meantime, because they free the missing space.
        while matches!(parts.ledger.purge().await, Ok(Purged::Some)) && !shutdown.is_cancelled() {}
    }
}
