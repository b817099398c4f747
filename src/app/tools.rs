//! What operators ask of a ledger without running a service.

use std::path::Path;

use crate::config::{Config, Database};
use crate::error::{Error, Result};
use crate::ledger::sql::{Schema, SqlLedger};
use crate::ledger::{Ledger as _, WorkerInfo};
use crate::secret::Secret;
use crate::task::{Clock, UnixMillis};

/// The workers that share the ledger of this configuration, and the ledger's time.
///
/// # Errors
/// `InvalidArgument` if the configuration has no PostgreSQL ledger; those of [`SqlLedger::connect`].
pub async fn workers(config: &Config) -> Result<(Vec<WorkerInfo>, UnixMillis)> {
    let Database::Postgres(url) = config.database() else {
        return Err(Error::invalid(
            "ledger_url is missing: workers share a PostgreSQL ledger",
        ));
    };
    let ledger = SqlLedger::connect(&url, Schema::Check).await?;
    let workers = ledger.workers().await?;
    let now = ledger
        .server_time()
        .await?
        .unwrap_or_else(|| Clock::system().now());
    ledger.close().await;
    Ok((workers, now))
}

/// Copies the ledger in a file to an empty PostgreSQL database. Returns how many rows of each table were copied.
///
/// # Errors
/// `Conflict` if a process uses the file, or the database has tasks; those of both ledgers.
pub async fn copy_ledger(from: &Path, to: &Secret) -> Result<Vec<(&'static str, u64)>> {
    let source = SqlLedger::open(from).await?;
    // What a crash has left behind is settled first, as at a start of the service.
    source.recover(Clock::system().now()).await?;
    let target = SqlLedger::connect(to, Schema::Migrate).await?;
    let copied = source.copy_to(&target).await;
    source.close().await;
    target.close().await;
    copied
}
