//! The database file, its lock, its connections and transactions.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, Row as _, Sqlite, SqlitePool, Transaction};

use super::error::{io_kind, translate};
use super::reserve::Reserve;
use crate::error::{Error, ErrorKind, Result};

pub(in crate::ledger::sql) static MIGRATIONS: Migrator = sqlx::migrate!("src/ledger/migrations/sqlite");

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a change waits for the writing connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// More than the number of different statements, so that each is prepared only once per connection.
const STATEMENTS: usize = 128;

/// How the disk behaves. Only for tests, which have no real full disk.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// It works.
    Fine,
    /// It is full: the database cannot grow by a page.
    Full,
    /// It is read-only.
    ReadOnly,
}

/// When to replace the writing connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reconnect {
    /// Only if sqlx counts a transaction on it as open.
    OutOfStep,
    /// Always.
    Any,
}

/// The open database.
#[derive(Debug)]
pub(in crate::ledger::sql) struct SqliteDatabase {
    /// The only writing connection.
    writer: SqlitePool,
    /// Read-only connections. For a database in memory, the writer itself.
    readers: SqlitePool,
    /// A connection that truncates the log and never waits for a lock. `None` for a database in memory, which has no log.
    keeper: Option<SqlitePool>,
    /// Whether the log may still contain wiped credentials.
    unclean: AtomicBool,
    /// Space that is reserved for a full disk.
    reserve: Option<Reserve>,
    /// The lock file. It keeps other processes out while it is open.
    owner: Option<File>,
}

impl SqliteDatabase {
    pub(in crate::ledger::sql) async fn open(path: &Path) -> Result<Self> {
        // A path without a file name cannot have a lock file, and SQLite treats "" as a temporary database.
        if path.file_name().is_none() {
            return Err(Error::invalid(format!("{} is not a file name", path.display())));
        }
        let owner = lock_file(path)?;
        private_file(path).map_err(|e| unusable(path, e))?;
        let reserve = Reserve::beside(path);
        let mut opened = Self::connect(path, owner.try_clone().map_err(|e| unusable(path, e))?).await;
        // On a full disk there is no space for the log. Without the log nothing can be read or deleted.
        if opened.as_ref().is_err_and(out_of_room) && reserve.release() {
            tracing::warn!("the disk is full: the reserved space is released, so that tasks can be deleted");
            opened = Self::connect(path, owner).await;
        }
        let ledger = opened.map_err(|e| e.during(&format!("open the ledger {}", path.display())))?;
        Ok(Self {
            reserve: Some(reserve),
            ..ledger
        })
    }

    async fn connect(path: &Path, owner: File) -> Result<Self> {
        let options = common(
            SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(false),
        );
        let writer = pool(1)
            .connect_with(writing(options.clone()))
            .await
            .map_err(translate)?;
        migrate(&writer).await?;
        // These connect when first used. A read-only connection needs the log and its index, which exist from here on.
        let keeper = options.clone().busy_timeout(Duration::ZERO);
        let readers = pool(READERS).connect_lazy_with(options.read_only(true));
        let ledger = Self {
            writer,
            readers,
            keeper: Some(pool(1).connect_lazy_with(keeper)),
            unclean: AtomicBool::new(false),
            reserve: None,
            owner: Some(owner),
        };
        // After a crash the log may still contain wiped credentials.
        ledger.truncate_wal().await;
        Ok(ledger)
    }

    pub(in crate::ledger::sql) async fn in_memory() -> Result<Self> {
        let options = common(SqliteConnectOptions::new().in_memory(true));
        let writer = pool(1).connect_with(writing(options)).await.map_err(translate)?;
        migrate(&writer).await?;
        Ok(Self {
            readers: writer.clone(),
            writer,
            keeper: None,
            unclean: AtomicBool::new(false),
            reserve: None,
            owner: None,
        })
    }

    /// For statements that only read.
    pub(in crate::ledger::sql) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a change.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        let mut begun = self.writer.begin_with(BEGIN).await;
        for _ in 0..RENEWALS {
            // A database in memory would be lost with its connection.
            if self.owner.is_none() || !matches!(begun, Err(sqlx::Error::InvalidSavePointStatement)) {
                break;
            }
            self.reconnect(Reconnect::OutOfStep).await?;
            begun = self.writer.begin_with(BEGIN).await;
        }
        begun.map_err(translate)
    }

    /// Replaces the writing connection. If the disk fails, SQLite ends the transaction by itself. The rollback of sqlx then finds
    /// no transaction, and sqlx still counts it as open. On the old connection every later transaction would be refused.
    async fn reconnect(&self, which: Reconnect) -> Result<()> {
        let writer = self.writer.acquire().await.map_err(translate)?;
        if which == Reconnect::Any || writer.is_in_transaction() {
            writer.close().await.map_err(translate)?;
        }
        Ok(())
    }

    /// Writes the log back into the database and truncates it, so that it does not keep wiped credentials. Call this after a
    /// change that deleted credentials. The change is already committed. If a reader prevents the truncation,
    /// [`Self::retry_truncate_wal`] does it later.
    pub(super) async fn truncate_wal(&self) {
        self.unclean.store(true, Ordering::Release);
        self.retry_truncate_wal().await;
    }

    /// Truncates the log if [`Self::truncate_wal`] could not. It never waits for a reader, which may take long, and does not
    /// occupy the writing connection. Returns whether the log is clean.
    pub(super) async fn retry_truncate_wal(&self) -> bool {
        let Some(keeper) = &self.keeper else { return true };
        // Cleared before the attempt, so that credentials that are wiped meanwhile mark the log again.
        if !self.unclean.swap(false, Ordering::AcqRel) {
            return true;
        }
        let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(keeper)
            .await;
        // The first column is 1 if another connection prevented the truncation.
        let clean = match done {
            Ok(row) => row.try_get::<i64, _>(0).is_ok_and(|busy| busy == 0),
            Err(error) => {
                tracing::debug!(%error, "the ledger's log could not be emptied");
                false
            }
        };
        if !clean {
            self.unclean.store(true, Ordering::Release);
        }
        clean
    }

    /// Releases the space that is reserved for a full disk. Returns whether there was some.
    pub(super) fn make_room(&self) -> bool {
        self.reserve.as_ref().is_some_and(Reserve::release)
    }

    /// Reserves space for a full disk again, if it was released and the disk has space.
    pub(super) fn keep_room(&self) {
        if let Some(reserve) = &self.reserve {
            reserve.keep();
        }
    }

    /// Makes SQLite refuse what such a disk would refuse. Only for a ledger in a file.
    pub(super) async fn set_disk(&self, disk: Disk) -> Result<()> {
        // SQLite raises a limit below the current number of pages to that number.
        let (pages, query_only) = match disk {
            Disk::Fine => ("4294967294", "OFF"),
            Disk::Full => ("1", "OFF"),
            Disk::ReadOnly => ("4294967294", "ON"),
        };
        let options = SqliteConnectOptions::clone(&self.writer.connect_options())
            .pragma("max_page_count", pages)
            .pragma("query_only", query_only);
        self.writer.set_connect_options(options);
        self.reconnect(Reconnect::Any).await
    }

    pub(super) async fn close(&self) {
        // The readers are closed first. The last connection writes the log back and removes it, so it must be able to write.
        self.readers.close().await;
        if let Some(keeper) = &self.keeper {
            keeper.close().await;
        }
        self.writer.close().await;
    }
}

/// How often one change may replace the writing connection. While the disk fails, another change may break the new
/// connection before this change gets it.
const RENEWALS: u32 = 3;

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TURN_TIMEOUT)
        // Connections to a local file never time out, and a database in memory is lost with its connection.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

fn common(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging()
}

fn writing(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("secure_delete", "ON")
}

async fn migrate(writer: &SqlitePool) -> Result<()> {
    MIGRATIONS.run(writer).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(cause) => translate(cause),
        sqlx::migrate::MigrateError::VersionMissing(_) | sqlx::migrate::MigrateError::VersionTooNew(..) => {
            Error::internal("it was made by a newer version").with_source(error)
        }
        _ => Error::internal("its schema cannot be brought up to date").with_source(error),
    })
}

/// Takes the lock that keeps other processes out. `recover` must never run while a worker of another process runs.
fn lock_file(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let beside = PathBuf::from(name);
    let file = private_file(&beside).map_err(|e| unusable(&beside, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Conflict,
            format!("the ledger {} is in use by another process", path.display()),
        )),
        Err(TryLockError::Error(error)) => Err(unusable(&beside, error)),
    }
}

/// Opens a file for writing, and creates it with access only for its owner. SQLite gives its log the same permissions.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether an error may come from a full disk. SQLite reports a full disk only for writes. When it creates its log, it reports
/// an I/O error or a file that cannot be opened instead.
fn out_of_room(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::Unavailable | ErrorKind::Internal
    )
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    let (kind, message) = io_kind(&error);
    let text = format!("open the ledger {}: {message}: {}", path.display(), error.kind());
    Error::new(kind, text).with_source(error)
}
