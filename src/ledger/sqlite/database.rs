//! The file, its owner, its connections and transactions.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection as _, Row as _, Sqlite, SqlitePool, Transaction};

use super::error::{io_kind, translate};
use super::reserve::Reserve;
use super::rows::Statement;
use crate::error::{Error, ErrorKind, Result};

/// A transaction on the writing connection; rolled back when dropped.
pub(super) type Tx = Transaction<'static, Sqlite>;

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("src/ledger/migrations/sqlite");

const READERS: u32 = 4;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a change waits for its turn on the writing connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// More than the number of different statements here, so that each is prepared once per connection.
const STATEMENTS: usize = 128;

/// What the disk below a ledger does. For tests, which have no full disk at hand.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// It has room.
    Fine,
    /// It has no room for one page more.
    Full,
    /// It takes no change.
    ReadOnly,
}

/// Which connection is made anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Renew {
    /// One that counts a transaction as open.
    OutOfStep,
    /// Whichever it is.
    Any,
}

/// The open database.
#[derive(Debug)]
pub(super) struct Database {
    /// One connection.
    writer: SqlitePool,
    /// Read-only connections; the writer itself where the database lives in memory.
    readers: SqlitePool,
    /// Empties the log, and never waits for anybody; `None` where the database lives in memory, which has no log.
    keeper: Option<SqlitePool>,
    /// Whether the log may hold credentials that were wiped.
    unclean: AtomicBool,
    /// Room that is kept for a full disk.
    reserve: Option<Reserve>,
    /// Keeps other processes out for as long as it is open.
    owner: Option<File>,
}

impl Database {
    pub(super) async fn open(path: &Path) -> Result<Self> {
        // A path without a name has no place for the lock beside it, and SQLite reads "" as a temporary database.
        if path.file_name().is_none() {
            return Err(Error::invalid(format!("{} is not a file name", path.display())));
        }
        let owner = own(path)?;
        private_file(path).map_err(|e| unusable(path, e))?;
        let reserve = Reserve::beside(path);
        let mut opened = Self::connect(path, owner.try_clone().map_err(|e| unusable(path, e))?).await;
        // A full disk has no room for the log either, without which nothing can be read or deleted.
        if opened.as_ref().is_err_and(out_of_room) && reserve.release() {
            tracing::warn!(
                "the disk is full: the room that was kept for this is used, so that tasks can be deleted"
            );
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
        // Connected when first needed: from here on the log and its index exist, as a read-only connection requires.
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
        // A crash may have left wiped credentials in the log.
        ledger.scrub().await;
        Ok(ledger)
    }

    pub(super) async fn in_memory() -> Result<Self> {
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
    pub(super) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Begins a change.
    pub(super) async fn begin(&self) -> Result<Tx> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        let mut begun = self.writer.begin_with(BEGIN).await;
        for _ in 0..RENEWALS {
            // Without a file the connection is the ledger.
            if self.owner.is_none() || !matches!(begun, Err(sqlx::Error::InvalidSavePointStatement)) {
                break;
            }
            self.renew(Renew::OutOfStep).await?;
            begun = self.writer.begin_with(BEGIN).await;
        }
        begun.map_err(translate)
    }

    /// Makes the writing connection anew. SQLite ends a transaction by itself when its disk fails; the rollback that follows
    /// finds none, and sqlx goes on counting it as open: every later one would be refused for as long as the process lives.
    async fn renew(&self, which: Renew) -> Result<()> {
        let writer = self.writer.acquire().await.map_err(translate)?;
        if which == Renew::Any || writer.is_in_transaction() {
            writer.close().await.map_err(translate)?;
        }
        Ok(())
    }

    /// A change of one statement; returns how many rows it touched.
    pub(super) async fn change(&self, statement: Statement) -> Result<u64> {
        let mut tx = self.begin().await?;
        let done = run(&mut tx, statement).await?;
        end(tx).await?;
        Ok(done)
    }

    /// Moves the log into the database and empties it, so that what was wiped from the one is not kept by the other.
    /// To be called after credentials were deleted. Not essential for that change, which is committed: when somebody is
    /// in the way, [`Self::scrub_again`] does it later.
    pub(super) async fn scrub(&self) {
        self.unclean.store(true, Ordering::Release);
        self.scrub_again().await;
    }

    /// Empties the log if [`Self::scrub`] could not. It waits for nobody: neither for a reader, which may stay for long,
    /// nor while it holds the writing connection. Returns whether the log is clean.
    pub(super) async fn scrub_again(&self) -> bool {
        let Some(keeper) = &self.keeper else { return true };
        // Before it tries: what is wiped meanwhile marks the log again.
        if !self.unclean.swap(false, Ordering::AcqRel) {
            return true;
        }
        let done = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(keeper)
            .await;
        // The first column is 1 when somebody was in the way.
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

    /// Gives up the room that was kept for a full disk; returns whether there was some.
    pub(super) fn make_room(&self) -> bool {
        self.reserve.as_ref().is_some_and(Reserve::release)
    }

    /// Keeps room for a full disk again, where it was given up and there is some.
    pub(super) fn keep_room(&self) {
        if let Some(reserve) = &self.reserve {
            reserve.keep();
        }
    }

    /// Lets SQLite refuse what such a disk would refuse. Only for a ledger in a file.
    pub(super) async fn set_disk(&self, disk: Disk) -> Result<()> {
        // Fewer pages than there are mean as many as there are.
        let (pages, query_only) = match disk {
            Disk::Fine => ("4294967294", "OFF"),
            Disk::Full => ("1", "OFF"),
            Disk::ReadOnly => ("4294967294", "ON"),
        };
        let options = SqliteConnectOptions::clone(&self.writer.connect_options())
            .pragma("max_page_count", pages)
            .pragma("query_only", query_only);
        self.writer.set_connect_options(options);
        self.renew(Renew::Any).await
    }

    pub(super) async fn ping(&self) -> Result<()> {
        let beat = sqlx::query("UPDATE pulse SET beats = beats + 1 WHERE one = 1");
        self.change(beat).await.map(drop)
    }

    pub(super) async fn close(&self) {
        // Readers first: the last connection to go writes the log back and removes it.
        self.readers.close().await;
        if let Some(keeper) = &self.keeper {
            keeper.close().await;
        }
        self.writer.close().await;
    }
}

/// How often the writing connection is made anew for one change. While the disk fails, the change of somebody else may spoil
/// the new connection before this change gets it.
const RENEWALS: u32 = 3;

/// Executes a statement of a change; returns how many rows it touched.
pub(super) async fn run(tx: &mut Tx, statement: Statement) -> Result<u64> {
    let done = statement.execute(&mut **tx).await.map_err(translate)?;
    Ok(done.rows_affected())
}

/// Commits a change.
pub(super) async fn end(tx: Tx) -> Result<()> {
    tx.commit().await.map_err(translate)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(TURN_TIMEOUT)
        // A local file does not hang up, and the database in memory ends with its connection.
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

/// Takes the lock that makes this process the only one: `recover` must never run beside somebody else's worker.
fn own(path: &Path) -> Result<File> {
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

/// Opens a file for writing, made for its owner's eyes only. SQLite gives its log the same rights.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether an error may be one of a disk without room: SQLite says so only where it writes, and speaks of input and output,
/// or of a file that cannot be opened, where it makes its log.
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
