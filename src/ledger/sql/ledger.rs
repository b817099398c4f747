//! The ledger: a database, and how long leases hold.

use std::path::Path;

use super::database::{Database, Disk, PostgresDatabase, Schema, SqliteDatabase};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::LEASE_MILLIS;
use crate::secret::Secret;

/// The ledger in a SQL database.
#[derive(Debug)]
pub struct SqlLedger {
    pub(super) database: Database,
    /// How long a lease holds after its holder's last write.
    pub(super) lease_millis: i64,
}

impl SqlLedger {
    /// Opens the ledger in a file and brings its schema up to date. Creates the file if it does not exist, readable only by
    /// its owner. The file is locked by this process until the ledger is dropped.
    ///
    /// # Errors
    /// `Conflict` if another process has it open. `Internal` if the file cannot be created, opened or written, or was
    /// created by a newer version.
    pub async fn open(path: &Path) -> Result<Self> {
        let file = SqliteDatabase::open(path).await?;
        Ok(Self::with(Database::Sqlite(file)))
    }

    /// Connects to a ledger on a PostgreSQL server, such as `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// `InvalidArgument` for a wrong URL; `Unavailable` if the server does not answer; `Unauthenticated`, `PermissionDenied` or
    /// `NotFound` if it refuses the user or has no such database; `Conflict` if the schema must not be changed and is of another
    /// version; `Internal` if a newer version has made it.
    pub async fn connect(url: &Secret, schema: Schema) -> Result<Self> {
        let server = PostgresDatabase::open(url, schema).await?;
        Ok(Self::with(Database::Postgres(server)))
    }

    /// A ledger in memory, for tests and demonstrations. Its content is lost when it is dropped.
    ///
    /// # Errors
    /// `Internal` if SQLite fails.
    pub async fn in_memory() -> Result<Self> {
        let memory = SqliteDatabase::in_memory().await?;
        Ok(Self::with(Database::Sqlite(memory)))
    }

    const fn with(database: Database) -> Self {
        Self {
            database,
            lease_millis: LEASE_MILLIS,
        }
    }

    /// The same ledger with leases of another length.
    #[must_use]
    pub const fn with_lease(mut self, millis: i64) -> Self {
        self.lease_millis = millis;
        self
    }

    /// Releases the space that is reserved for a full disk, if the error may come from a full disk. Used for stops and
    /// deletions, because they free space.
    pub(super) fn makes_room(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::Unavailable) && self.database.make_room()
    }

    /// Changes how the ledger's disk behaves. Only for tests.
    ///
    /// # Errors
    /// Errors of SQLite.
    #[doc(hidden)]
    pub async fn set_disk(&self, disk: Disk) -> Result<()> {
        self.database.set_disk(disk).await
    }
}
