//! The database of a ledger: one SQLite file, or PostgreSQL. Statements, rows and transactions look the same for both.

mod error;
mod postgres;
mod reserve;
mod row;
mod sqlite;
mod statement;

use std::future::Future;

use sqlx::{Postgres, Sqlite, Transaction};

pub(super) use self::error::misuse;
pub(super) use self::error::{translate, translate_postgres};
pub(super) use self::postgres::PostgresDatabase;
pub use self::postgres::Schema;
pub(super) use self::row::{Row, flag, get, small};
pub use self::sqlite::Disk;
#[cfg(test)]
pub(super) use self::sqlite::MIGRATIONS;
pub(super) use self::sqlite::SqliteDatabase;
pub(super) use self::statement::{Statement, sql};
use crate::error::{Error, ErrorKind, Result};
use crate::task::TaskId;

/// The open database.
#[derive(Debug)]
pub(super) enum Database {
    /// A file, or a database in memory.
    Sqlite(SqliteDatabase),
    /// A server.
    Postgres(PostgresDatabase),
}

/// A transaction. It is rolled back when dropped.
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Where a statement is executed: in a transaction, or on a database that it only reads.
pub(super) trait On: Send {
    /// All rows.
    fn rows(self, statement: Statement) -> impl Future<Output = Result<Vec<Row>>> + Send;
    /// The first row; `None` if there is none.
    fn maybe(self, statement: Statement) -> impl Future<Output = Result<Option<Row>>> + Send;
}

impl Statement {
    /// The only row.
    pub(super) async fn one(self, on: impl On) -> Result<Row> {
        let row = on.maybe(self).await?;
        row.ok_or_else(|| Error::internal("the ledger returned no row"))
    }

    /// The first row; `None` if there is none.
    pub(super) async fn maybe(self, on: impl On) -> Result<Option<Row>> {
        on.maybe(self).await
    }

    /// All rows.
    pub(super) async fn rows(self, on: impl On) -> Result<Vec<Row>> {
        on.rows(self).await
    }
}

impl On for &mut Tx {
    async fn rows(self, statement: Statement) -> Result<Vec<Row>> {
        match self {
            Tx::Sqlite(tx) => statement
                .for_sqlite()
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                .map_err(translate),
            Tx::Postgres(tx) => statement
                .for_postgres()
                .fetch_all(&mut **tx)
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect())
                .map_err(translate_postgres),
        }
    }

    async fn maybe(self, statement: Statement) -> Result<Option<Row>> {
        match self {
            Tx::Sqlite(tx) => statement
                .for_sqlite()
                .fetch_optional(&mut **tx)
                .await
                .map(|row| row.map(Row::Sqlite))
                .map_err(translate),
            Tx::Postgres(tx) => statement
                .for_postgres()
                .fetch_optional(&mut **tx)
                .await
                .map(|row| row.map(Row::Postgres))
                .map_err(translate_postgres),
        }
    }
}

impl On for &Database {
    async fn rows(self, statement: Statement) -> Result<Vec<Row>> {
        match self {
            Database::Sqlite(file) => statement
                .for_sqlite()
                .fetch_all(file.readers())
                .await
                .map(|rows| rows.into_iter().map(Row::Sqlite).collect())
                .map_err(translate),
            Database::Postgres(server) => statement
                .for_postgres()
                .fetch_all(server.pool())
                .await
                .map(|rows| rows.into_iter().map(Row::Postgres).collect())
                .map_err(translate_postgres),
        }
    }

    async fn maybe(self, statement: Statement) -> Result<Option<Row>> {
        match self {
            Database::Sqlite(file) => statement
                .for_sqlite()
                .fetch_optional(file.readers())
                .await
                .map(|row| row.map(Row::Sqlite))
                .map_err(translate),
            Database::Postgres(server) => statement
                .for_postgres()
                .fetch_optional(server.pool())
                .await
                .map(|row| row.map(Row::Postgres))
                .map_err(translate_postgres),
        }
    }
}

impl Tx {
    /// All rows, each read with `read`.
    pub(super) async fn all<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        On::rows(self, statement).await?.iter().map(read).collect()
    }

    /// The first row, read with `read`; `None` if there is none.
    pub(super) async fn first<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        On::maybe(self, statement).await?.as_ref().map(read).transpose()
    }

    /// Executes a statement. Returns how many rows it changed.
    pub(super) async fn run(&mut self, statement: Statement) -> Result<u64> {
        match self {
            Self::Sqlite(tx) => statement
                .for_sqlite()
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected())
                .map_err(translate),
            Self::Postgres(tx) => statement
                .for_postgres()
                .execute(&mut **tx)
                .await
                .map(|done| done.rows_affected())
                .map_err(translate_postgres),
        }
    }

    /// Commits the transaction.
    pub(super) async fn end(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await.map_err(translate),
            Self::Postgres(tx) => tx.commit().await.map_err(translate_postgres),
        }
    }

    /// Keeps other changes of a task out until the transaction ends. A transaction of SQLite keeps all other changes out.
    pub(super) async fn lock_task(&mut self, id: TaskId) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(_) => {
                // A row that refers to the task may be inserted meanwhile. With a stronger lock, whoever has locked a shard and
                // inserts such a row would wait for this change, which may wait for the shard.
                let lock = sql("SELECT 1 FROM tasks WHERE id = $1 FOR NO KEY UPDATE").bind(id.get());
                lock.maybe(self).await.map(drop)
            }
        }
    }
}

impl Database {
    /// All rows, each read with `read`.
    pub(super) async fn all<T>(&self, statement: Statement, read: fn(&Row) -> Result<T>) -> Result<Vec<T>> {
        On::rows(self, statement).await?.iter().map(read).collect()
    }

    /// The first row, read with `read`; `None` if there is none.
    pub(super) async fn first<T>(
        &self,
        statement: Statement,
        read: fn(&Row) -> Result<T>,
    ) -> Result<Option<T>> {
        On::maybe(self, statement).await?.as_ref().map(read).transpose()
    }

    /// Begins a change.
    pub(super) async fn begin(&self) -> Result<Tx> {
        match self {
            Self::Sqlite(file) => file.begin().await.map(Tx::Sqlite),
            Self::Postgres(server) => server.begin().await.map(Tx::Postgres),
        }
    }

    /// A transaction of one statement. Returns how many rows it changed.
    pub(super) async fn change(&self, statement: Statement) -> Result<u64> {
        let mut tx = self.begin().await?;
        let done = tx.run(statement).await?;
        tx.end().await?;
        Ok(done)
    }

    /// Removes wiped credentials from the write-ahead log of SQLite. Call this after a change that deleted credentials. The change
    /// is already committed. If a reader prevents it, [`Self::retry_truncate_wal`] does it later. The log of PostgreSQL cannot
    /// be emptied; whoever runs the server protects it.
    pub(super) async fn truncate_wal(&self) {
        match self {
            Self::Sqlite(file) => file.truncate_wal().await,
            Self::Postgres(_) => {}
        }
    }

    /// Tries again what [`Self::truncate_wal`] could not do. Returns whether the log is clean.
    pub(super) async fn retry_truncate_wal(&self) -> bool {
        match self {
            Self::Sqlite(file) => file.retry_truncate_wal().await,
            Self::Postgres(_) => true,
        }
    }

    /// Releases the space that is reserved for a full disk. Returns whether there was some.
    pub(super) fn make_room(&self) -> bool {
        match self {
            Self::Sqlite(file) => file.make_room(),
            Self::Postgres(_) => false,
        }
    }

    /// Reserves space for a full disk again, if it was released and the disk has space.
    pub(super) fn keep_room(&self) {
        match self {
            Self::Sqlite(file) => file.keep_room(),
            Self::Postgres(_) => {}
        }
    }

    /// Makes SQLite refuse what such a disk would refuse. Only for a ledger in a file.
    pub(super) async fn set_disk(&self, disk: Disk) -> Result<()> {
        match self {
            Self::Sqlite(file) => file.set_disk(disk).await,
            Self::Postgres(_) => Err(Error::new(
                ErrorKind::Unsupported,
                "the disk of a server cannot be simulated",
            )),
        }
    }

    pub(super) async fn ping(&self) -> Result<()> {
        let beat = sql("UPDATE pulse SET beats = beats + 1 WHERE one = 1");
        self.change(beat).await.map(drop)
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(file) => file.close().await,
            Self::Postgres(server) => server.close().await,
        }
    }
}
