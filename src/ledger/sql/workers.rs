//! The workers that share the ledger, and facts about the ledger itself.

use super::database::{Database, get, sql};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::json::damaged;
use crate::ledger::{WorkerBeat, WorkerInfo};
use crate::task::{UnixMillis, WorkerId};

/// After so many lengths of a lease without a word a worker is forgotten.
const FORGOTTEN_AFTER: i64 = 30;

pub(super) async fn beat(
    ledger: &Database,
    lease_millis: i64,
    beat: &WorkerBeat,
    now: UnixMillis,
) -> Result<()> {
    let upsert = sql(
        "INSERT INTO workers (id, name, version, slots, idle, seen_at) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET slots = excluded.slots, idle = excluded.idle, seen_at = excluded.seen_at",
    )
    .bind(beat.worker.get())
    .bind(beat.name.as_str())
    .bind(beat.version.as_str())
    .bind(beat.slots)
    .bind(beat.idle)
    .bind(now.0);
    ledger.change(upsert).await?;
    let forget = sql("DELETE FROM workers WHERE seen_at < $1")
        .bind(now.0.saturating_sub(lease_millis.saturating_mul(FORGOTTEN_AFTER)));
    ledger.change(forget).await.map(drop)
}

pub(super) async fn all(ledger: &Database) -> Result<Vec<WorkerInfo>> {
    let select = sql(
        "SELECT w.*, (SELECT count(*) FROM tasks t WHERE t.held_by = w.id AND t.state IN ('running', 'pausing')) AS tasks, \
         (SELECT count(*) FROM shards s WHERE s.held_by = w.id AND s.closed = 0) AS shards \
         FROM workers w ORDER BY w.name, w.id",
    );
    ledger
        .all(select, |row| {
            Ok(WorkerInfo {
                worker: WorkerId::known(get(row, "id")?).ok_or_else(|| damaged("worker"))?,
                name: get(row, "name")?,
                version: get(row, "version")?,
                slots: get(row, "slots")?,
                seen_at: UnixMillis(get(row, "seen_at")?),
                tasks: get(row, "tasks")?,
                shards: get(row, "shards")?,
            })
        })
        .await
}

pub(super) async fn check_seal(ledger: &Database, check: &str) -> Result<()> {
    const KEY: &str = "seal_check";
    let mut tx = ledger.begin().await?;
    let insert = sql("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING")
        .bind(KEY)
        .bind(check);
    if tx.run(insert).await? > 0 {
        return tx.end().await;
    }
    let known = sql("SELECT value FROM meta WHERE key = $1").bind(KEY);
    if get::<&str>(&known.one(&mut tx).await?, "value")? == check {
        return Ok(());
    }
    let text = "the sealing key is not the one that this ledger was made with: the credentials in it cannot be opened";
    Err(Error::new(ErrorKind::Conflict, text))
}

/// Milliseconds since 1970-01-01 UTC, by the clock of the server. `None` for a file, which has no clock.
pub(super) async fn server_time(ledger: &Database) -> Result<Option<UnixMillis>> {
    match ledger {
        Database::Sqlite(_) => Ok(None),
        Database::Postgres(_) => {
            let now = sql("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now");
            Ok(Some(UnixMillis(get(&now.one(ledger).await?, "now")?)))
        }
    }
}
