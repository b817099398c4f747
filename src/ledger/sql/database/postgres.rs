//! A ledger on a PostgreSQL server, which many processes share.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool, Postgres, Transaction};

use super::error::translate_postgres;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

static MIGRATIONS: Migrator = sqlx::migrate!("src/ledger/migrations/postgres");

/// Connections of a process. A commit takes a few milliseconds once a second for each shard.
const CONNECTIONS: u32 = 4;
/// How long a call waits for a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);
/// Limits of every transaction, in the first message of the transaction: they need no connection of their own, so a pooler
/// such as PgBouncer may stand in between. A process that is cut off in the middle of a transaction must not keep its locks until
/// the server notices that, which may take hours. Others wait longer for a lock than it keeps one, so they need not fail.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL statement_timeout = '5s'; \
                     SET LOCAL lock_timeout = '3s'; SET LOCAL idle_in_transaction_session_timeout = '2s'";

/// Who may change the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// This process brings the schema up to date.
    Migrate,
    /// The schema must be the one of this version.
    Check,
}

/// A pool of connections to a server.
#[derive(Debug)]
pub(in crate::ledger::sql) struct PostgresDatabase {
    pool: PgPool,
}

impl PostgresDatabase {
    /// Connects to `url`, such as `postgres://user:password@host/database`.
    pub(in crate::ledger::sql) async fn open(url: &Secret, schema: Schema) -> Result<Self> {
        let wrong = || Error::invalid("the ledger's URL is not a URL of PostgreSQL (postgres://...)");
        if !url.expose().starts_with("postgres://") && !url.expose().starts_with("postgresql://") {
            return Err(wrong());
        }
        // The cause may quote the URL, which may hold a password.
        let options = PgConnectOptions::from_str(url.expose())
            .map_err(|_| wrong())?
            .application_name("oms")
            .disable_statement_logging();
        let place = format!(
            "the ledger on {}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        );
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(TURN_TIMEOUT)
            .connect_with(options)
            .await
            .map_err(|e| translate_postgres(e).during(&format!("open {place}")))?;
        let server = Self { pool };
        match schema {
            Schema::Migrate => server.migrate().await,
            Schema::Check => server.check().await,
        }
        .map_err(|e| e.during(&format!("open {place}")))?;
        Ok(server)
    }

    async fn migrate(&self) -> Result<()> {
        MIGRATIONS.run(&self.pool).await.map_err(|error| match error {
            MigrateError::Execute(cause) => translate_postgres(cause),
            MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
                Error::internal("it was made by a newer version").with_source(error)
            }
            _ => Error::internal("its schema cannot be brought up to date").with_source(error),
        })
    }

    /// Fails unless the schema is the one of this version.
    async fn check(&self) -> Result<()> {
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success")
                .fetch_one(&self.pool)
                .await
                .or_else(no_table)?;
        let wanted = MIGRATIONS.iter().map(|migration| migration.version).max();
        if newest == wanted {
            return Ok(());
        }
        let text =
            "its schema is of another version of oms: run the same version everywhere, and `oms serve` first";
        Err(Error::new(ErrorKind::Conflict, text))
    }

    /// For statements that only read.
    pub(in crate::ledger::sql) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        self.pool.begin_with(BEGIN).await.map_err(translate_postgres)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// The table of migrations does not exist in an empty database, which has no version.
fn no_table(error: sqlx::Error) -> Result<Option<i64>> {
    const UNDEFINED_TABLE: &str = "42P01";
    let code = error.as_database_error().and_then(|cause| cause.code());
    if code.as_deref() == Some(UNDEFINED_TABLE) {
        return Ok(None);
    }
    Err(translate_postgres(error))
}
