//! Builds every part of the service from the configuration, runs the parts, and stops them in order.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::api::{self, ApiState};
use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::dispatch::local::LocalDispatch;
use crate::engine::rate_limit::Streams;
use crate::engine::settings::Tuning;
use crate::engine::sync_points::SyncPoints;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::sql::SqlLedger;
use crate::ledger::{Ledger, Purged};
use crate::net::{HttpClient, NetworkPolicy};
use crate::object::s3::S3Connector;
use crate::secret::{KEY_LEN, Sealer, Secret};
use crate::service::TaskService;
use crate::task::Clock;
use crate::worker;

/// A service that is built, but not running yet.
pub struct App {
    token: Secret,
    token_origin: TokenOrigin,
    ledger: Arc<dyn Ledger>,
    /// Whether the ledger has recorded that a new process has started.
    recovered: bool,
    api: ApiState,
    worker: Arc<worker::Parts>,
}

/// Origin of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// It was created just now, at the first start.
    Made,
    /// It was in the data folder.
    File,
    /// The configuration or `OMS_TOKEN` set it.
    Configured,
}

impl App {
    /// Opens the ledger and builds every part.
    ///
    /// # Errors
    /// `InvalidArgument` for a wrong setting; `Conflict` if another process uses the data folder; `StorageFull`,
    /// `PermissionDenied` or `Internal` if the folder cannot be used.
    pub async fn build(config: &Config, clock: Clock, sync_points: SyncPoints) -> Result<Self> {
        let authorities = config.authorities()?;
        make_folder(&config.data_dir)?;
        // This comes first, because it keeps other processes out of the folder.
        let ledger: Arc<dyn Ledger> = Arc::new(SqlLedger::open(&config.data_dir.join("oms.db")).await?);
        let (token, token_origin) = match config.token() {
            Some(token) => (token, TokenOrigin::Configured),
            None => read_or_make_token(&config.data_dir.join("token"))?,
        };
        let sealer = Sealer::new(&*read_or_make_key(&config.data_dir.join("seal.key"))?);
        let recovered = match ledger.recover(clock.now()).await {
            Ok(()) => true,
            // On a full disk, tasks can still be read and deleted. No task is run before the ledger can be written.
            Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::Unavailable) => {
                tracing::error!(%error, "the ledger cannot be written: tasks can be shown and deleted, and none is worked on");
                false
            }
            Err(error) => return Err(error),
        };

        let dispatch: Arc<dyn Dispatch> = Arc::new(LocalDispatch::default());
        let policy = NetworkPolicy {
            allowed: config.allow_networks.clone(),
        };
        let http = HttpClient::trusting(policy, authorities);
        let service = TaskService::new(
            Arc::clone(&ledger),
            Arc::clone(&dispatch),
            sealer.clone(),
            config.catalogue()?,
            config.parallel_tasks,
        );
        let api = ApiState::new(Arc::new(service), token.clone(), {
            let clock = clock.clone();
            Arc::new(move || clock.now())
        })
        .with_projects(config.projects()?)
        .with_origins(config.origins()?);
        let worker = Arc::new(worker::Parts {
            ledger: Arc::clone(&ledger),
            dispatch,
            sealer,
            connect: Arc::new(S3Connector::new(http, clock.clone())),
            streams: Streams::new(config.max_requests),
            clock,
            zone: config.zone()?,
            parallel_tasks: usize::try_from(config.parallel_tasks).unwrap_or(usize::MAX),
            tuning: Tuning::default(),
            sync_points,
        });
        Ok(Self {
            token,
            token_origin,
            ledger,
            recovered,
            api,
            worker,
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
        let (recovered, parts) = (self.recovered, self.worker);
        let worker = async {
            if recovered || recover(&parts, &shutdown).await {
                worker::run(parts, shutdown.clone()).await;
            }
        };
        let api = async {
            let served = api.await;
            // If the server fails, the worker stops too.
            shutdown.cancel();
            served
        };
        let (served, ()) = tokio::join!(api, worker);
        self.ledger.close().await;
        served
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

fn make_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| unusable(folder, error))
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        Io::StorageFull => ErrorKind::StorageFull,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{} cannot be used: {error}", path.display())).with_source(error)
}

fn read_or_make_token(path: &Path) -> Result<(Secret, TokenOrigin)> {
    let (text, made) = read_or_make(path)?;
    if text.len() < 16 {
        return Err(Error::invalid(format!(
            "{}: the token must have at least 16 characters",
            path.display()
        )));
    }
    Ok((
        Secret::new(text.as_str()),
        if made {
            TokenOrigin::Made
        } else {
            TokenOrigin::File
        },
    ))
}

fn read_or_make_key(path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>> {
    let (text, _) = read_or_make(path)?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    hex::decode_to_slice(text.as_str(), &mut *key).map_err(|_| {
        let text = format!("{}: must hold {} hexadecimal digits", path.display(), KEY_LEN * 2);
        Error::invalid(text)
    })?;
    Ok(key)
}

/// A file of one line that only its owner may read. Returns its line; if there is no file, writes 32 random bytes in
/// hexadecimal to it.
fn read_or_make(path: &Path) -> Result<(Zeroizing<String>, bool)> {
    match fs::read_to_string(path) {
        Ok(text) => Ok((Zeroizing::new(text.trim().to_owned()), false)),
        Err(error) if error.kind() == Io::NotFound => {
            let text = Zeroizing::new(hex::encode(rand::random::<[u8; KEY_LEN]>()));
            write_whole(path, &text).map_err(|error| unusable(path, error))?;
            Ok((text, true))
        }
        Err(error) => Err(unusable(path, error)),
    }
}

/// Writes a private file so that a crash leaves either all of it or nothing. An incomplete key would prevent the
/// service from starting.
fn write_whole(path: &Path, line: &str) -> std::io::Result<()> {
    let mut draft = path.to_owned();
    draft.as_mut_os_string().push(".new");
    // A file that a crash left behind may have other permissions.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != Io::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_token_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let (made, first) = read_or_make_token(&path).unwrap();
        let (read, second) = read_or_make_token(&path).unwrap();
        assert_eq!((first, second), (TokenOrigin::Made, TokenOrigin::File));
        assert!(made == read && made.expose().len() == 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no draft remains"
        );
    }

    #[test]
    fn a_crash_while_the_token_is_made_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(folder.path().join("token.new"), "half").unwrap();
        let (made, _) = read_or_make_token(&path).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_broken_key_file_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        fs::write(&path, "nonsense").unwrap();
        assert!(
            read_or_make_key(&path)
                .unwrap_err()
                .message()
                .contains("seal.key")
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "nonsense");
    }
}
