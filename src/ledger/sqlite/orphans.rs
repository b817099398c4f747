//! Uploads that deleted tasks left open, and the credentials to abort them.

use sqlx::sqlite::SqliteRow;

use super::database::{Database, Tx, end, run};
use super::error::translate;
use super::rows::{foreign_uploads, get, read_all, read_first};
use crate::error::Result;
use crate::ledger::json::{damaged, location_from_text, location_to_text, spec_from_text};
use crate::ledger::orphan::FoundUpload;
use crate::ledger::{Cleanup, Deleted, Orphan, OrphanKeys, Orphans, Owner};
use crate::secret::SealedCredentials;
use crate::task::{Key, TaskId, UnixMillis};

/// Turns the open uploads of a task that is about to be deleted into orphans. Keeps credentials for them: the given ones,
/// or those that the task still has. Without orphans no credentials are kept.
pub(super) async fn leave(
    tx: &mut Tx,
    id: TaskId,
    keys: Option<SealedCredentials>,
    now: UnixMillis,
) -> Result<Deleted> {
    let row = sqlx::query("SELECT spec FROM specs WHERE task_id = ?1")
        .bind(id.get())
        .fetch_one(&mut **tx)
        .await
        .map_err(translate)?;
    let spec = spec_from_text(get(&row, "spec")?)?;
    // CAST to BLOB, because `||` makes a text of two BLOBs.
    let insert = sqlx::query(
        "INSERT INTO orphans (task_id, endpoint, bucket, place, key, upload_id, orphaned_at, strangers) \
         SELECT ?1, ?2, ?3, ?4, CAST(?5 || key AS BLOB), upload_id, ?6, strangers FROM uploads \
         WHERE task_id = ?1 ORDER BY key",
    )
    .bind(id.get())
    .bind(spec.target.endpoint.url.clone())
    .bind(spec.target.bucket.clone())
    .bind(location_to_text(&spec.target)?)
    .bind(spec.target_prefix.as_bytes().to_vec())
    .bind(now.0);
    let orphans = run(tx, insert).await?;
    if orphans == 0 {
        return Ok(Deleted {
            orphans,
            keys: OrphanKeys::None,
        });
    }
    let keep = sqlx::query(
        "INSERT INTO orphan_keys (task_id, sealed) \
         SELECT ?1, kept FROM (SELECT coalesce(?2, (SELECT sealed FROM credentials WHERE task_id = ?1)) AS kept) \
         WHERE kept IS NOT NULL \
         ON CONFLICT (task_id) DO UPDATE SET sealed = excluded.sealed, taken_at = NULL",
    )
    .bind(id.get())
    .bind(keys.map(|keys| keys.0));
    let kept = run(tx, keep).await?;
    Ok(Deleted {
        orphans,
        keys: if kept == 0 {
            OrphanKeys::None
        } else {
            OrphanKeys::Kept
        },
    })
}

pub(super) async fn read(
    ledger: &Database,
    which: Orphans<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<Orphan>> {
    const OF: &str =
        "SELECT * FROM orphans WHERE task_id = ?1 AND number > ?2 ORDER BY number LIMIT max(?3, 0)";
    const AT: &str = "SELECT * FROM orphans WHERE endpoint = ?1 AND bucket = ?4 AND number > ?2 \
         ORDER BY number LIMIT max(?3, 0)";
    let statement = match which {
        Orphans::Of(task) => sqlx::query(OF).bind(task.get()).bind(after).bind(limit),
        Orphans::At(place) => sqlx::query(AT)
            .bind(place.endpoint.url.as_str())
            .bind(after)
            .bind(limit)
            .bind(place.bucket.as_str()),
    };
    read_all(ledger.readers(), statement, orphan).await
}

fn orphan(row: &SqliteRow) -> Result<Orphan> {
    Ok(Orphan {
        number: get(row, "number")?,
        task: task_id(row)?,
        place: location_from_text(get(row, "place")?)?,
        key: Key::from(get::<&[u8]>(row, "key")?),
        upload_id: get(row, "upload_id")?,
        orphaned_at: UnixMillis(get(row, "orphaned_at")?),
        foreign_uploads: foreign_uploads(row)?,
    })
}

fn task_id(row: &SqliteRow) -> Result<TaskId> {
    TaskId::new(get(row, "task_id")?).map_err(|e| damaged("task id").with_source(e))
}

pub(super) async fn take(ledger: &Database, now: UnixMillis, before: UnixMillis) -> Result<Option<Cleanup>> {
    // A moment in the future means that the clock was set back since.
    let take = sqlx::query(
        "UPDATE orphan_keys SET taken_at = ?1 WHERE task_id = (SELECT task_id FROM orphan_keys \
         WHERE taken_at IS NULL OR taken_at <= ?2 OR taken_at > ?1 ORDER BY taken_at LIMIT 1) \
         RETURNING task_id, sealed",
    )
    .bind(now.0)
    .bind(before.0);
    let mut tx = ledger.begin().await?;
    let taken = read_first(&mut *tx, take, |row| {
        Ok(Cleanup {
            task: task_id(row)?,
            sealed: SealedCredentials(get(row, "sealed")?),
        })
    })
    .await?;
    end(tx).await?;
    Ok(taken)
}

/// Makes all credentials available for a cleanup again. Used when a process starts.
pub(super) async fn recover(tx: &mut Tx) -> Result<()> {
    let reset = sqlx::query("UPDATE orphan_keys SET taken_at = NULL WHERE taken_at IS NOT NULL");
    run(tx, reset).await.map(drop)
}

pub(super) async fn remove(ledger: &Database, number: i64) -> Result<()> {
    let mut tx = ledger.begin().await?;
    run(
        &mut tx,
        sqlx::query("DELETE FROM orphans WHERE number = ?1").bind(number),
    )
    .await?;
    let wipe = sqlx::query(
        "DELETE FROM orphan_keys WHERE NOT EXISTS \
         (SELECT 1 FROM orphans WHERE orphans.task_id = orphan_keys.task_id)",
    );
    let wiped = run(&mut tx, wipe).await?;
    end(tx).await?;
    if wiped > 0 {
        ledger.truncate_wal().await;
    }
    Ok(())
}

pub(super) async fn wipe(ledger: &Database, task: TaskId) -> Result<()> {
    let wipe = sqlx::query("DELETE FROM orphan_keys WHERE task_id = ?1").bind(task.get());
    if ledger.change(wipe).await? > 0 {
        ledger.truncate_wal().await;
    }
    Ok(())
}

pub(super) async fn upload_owner(ledger: &Database, key: &Key, upload_id: &str) -> Result<Owner> {
    // A key at the target ends with the source key. The prefix before it does not matter here.
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM uploads u JOIN tasks t ON t.id = u.task_id AND t.project <> '' \
         WHERE u.upload_id = ?2) AS known, \
         EXISTS (SELECT 1 FROM uploads u JOIN tasks t ON t.id = u.task_id WHERE u.upload_id IS NULL \
         AND t.state IN ('running', 'pausing') AND substr(?1, -length(u.key)) = u.key) AS asked_for",
    )
    .bind(key.as_bytes())
    .bind(upload_id)
    .fetch_one(ledger.readers())
    .await
    .map_err(translate)?;
    Ok(Owner::of(FoundUpload {
        known: get(&row, "known")?,
        asked_for: get(&row, "asked_for")?,
    }))
}
