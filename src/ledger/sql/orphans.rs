//! Uploads that deleted tasks left open, and the credentials to abort them.

use super::database::{Database, Row, Tx, flag, get, sql};
use super::rows::foreign_uploads;
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
    let row = sql("SELECT spec FROM specs WHERE task_id = $1")
        .bind(id.get())
        .one(&mut *tx)
        .await?;
    let spec = spec_from_text(get(&row, "spec")?)?;
    let open = sql("SELECT key, upload_id, foreign_uploads FROM uploads WHERE task_id = $1 ORDER BY key")
        .bind(id.get());
    let open = open.rows(&mut *tx).await?;
    let place = location_to_text(&spec.target)?;
    for row in &open {
        let key = Key::from(get::<&[u8]>(row, "key")?).with_prefix(spec.target_prefix.as_bytes());
        let insert = sql(
            "INSERT INTO orphans (task_id, endpoint, bucket, location, key, upload_id, orphaned_at, foreign_uploads) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id.get())
        .bind(spec.target.endpoint.url.as_str())
        .bind(spec.target.bucket.as_str())
        .bind(place.as_str())
        .bind(key.as_bytes())
        .bind(get::<Option<&str>>(row, "upload_id")?)
        .bind(now.0)
        .bind(get::<Option<&str>>(row, "foreign_uploads")?);
        tx.run(insert).await?;
    }
    let orphans = u64::try_from(open.len()).unwrap_or(u64::MAX);
    if orphans == 0 {
        return Ok(Deleted {
            orphans,
            keys: OrphanKeys::None,
        });
    }
    let keep = sql(
        "INSERT INTO orphan_keys (task_id, sealed) \
         SELECT $1, kept FROM (SELECT coalesce($2, (SELECT sealed FROM credentials WHERE task_id = $1)) AS kept) AS found \
         WHERE kept IS NOT NULL \
         ON CONFLICT (task_id) DO UPDATE SET sealed = excluded.sealed, taken_at = NULL",
    )
    .bind(id.get())
    .bind(keys.map(|keys| keys.0));
    let kept = tx.run(keep).await?;
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
    const OF: &str = "SELECT * FROM orphans WHERE task_id = $1 AND number > $2 ORDER BY number LIMIT $3";
    const AT: &str = "SELECT * FROM orphans WHERE endpoint = $1 AND bucket = $4 AND number > $2 \
         ORDER BY number LIMIT $3";
    let statement = match which {
        Orphans::Of(task) => sql(OF).bind(task.get()).bind(after).bind(limit.max(0)),
        Orphans::At(place) => sql(AT)
            .bind(place.endpoint.url.as_str())
            .bind(after)
            .bind(limit.max(0))
            .bind(place.bucket.as_str()),
    };
    ledger.all(statement, orphan).await
}

fn orphan(row: &Row) -> Result<Orphan> {
    Ok(Orphan {
        number: get(row, "number")?,
        task: task_id(row)?,
        place: location_from_text(get(row, "location")?)?,
        key: Key::from(get::<&[u8]>(row, "key")?),
        upload_id: get(row, "upload_id")?,
        orphaned_at: UnixMillis(get(row, "orphaned_at")?),
        foreign_uploads: foreign_uploads(row)?,
    })
}

fn task_id(row: &Row) -> Result<TaskId> {
    TaskId::new(get(row, "task_id")?).map_err(|e| damaged("task id").with_source(e))
}

pub(super) async fn take(ledger: &Database, now: UnixMillis, before: UnixMillis) -> Result<Option<Cleanup>> {
    // A moment in the future means that the clock was set back since. The condition stands twice, because another process may
    // take the same credentials between the two reads.
    let take = sql(
        "UPDATE orphan_keys SET taken_at = $1 WHERE task_id = (SELECT task_id FROM orphan_keys \
         WHERE taken_at IS NULL OR taken_at <= $2 OR taken_at > $1 ORDER BY taken_at NULLS FIRST LIMIT 1) \
         AND (taken_at IS NULL OR taken_at <= $2 OR taken_at > $1) RETURNING task_id, sealed",
    )
    .bind(now.0)
    .bind(before.0);
    let mut tx = ledger.begin().await?;
    let taken = tx
        .first(take, |row| {
            Ok(Cleanup {
                task: task_id(row)?,
                sealed: SealedCredentials(get(row, "sealed")?),
            })
        })
        .await?;
    tx.end().await?;
    Ok(taken)
}

/// Makes all credentials available for a cleanup again. Used when a process starts.
pub(super) async fn recover(tx: &mut Tx) -> Result<()> {
    let reset = sql("UPDATE orphan_keys SET taken_at = NULL WHERE taken_at IS NOT NULL");
    tx.run(reset).await.map(drop)
}

pub(super) async fn remove(ledger: &Database, number: i64) -> Result<()> {
    let mut tx = ledger.begin().await?;
    tx.run(sql("DELETE FROM orphans WHERE number = $1").bind(number))
        .await?;
    let wipe = sql("DELETE FROM orphan_keys WHERE NOT EXISTS \
         (SELECT 1 FROM orphans WHERE orphans.task_id = orphan_keys.task_id)");
    let wiped = tx.run(wipe).await?;
    tx.end().await?;
    if wiped > 0 {
        ledger.truncate_wal().await;
    }
    Ok(())
}

pub(super) async fn wipe(ledger: &Database, task: TaskId) -> Result<()> {
    let wipe = sql("DELETE FROM orphan_keys WHERE task_id = $1").bind(task.get());
    if ledger.change(wipe).await? > 0 {
        ledger.truncate_wal().await;
    }
    Ok(())
}

pub(super) async fn upload_owner(ledger: &Database, key: &Key, upload_id: &str) -> Result<Owner> {
    // A key at the target ends with the source key. The prefix before it does not matter here.
    let row = sql(
        "SELECT (SELECT count(*) FROM uploads u JOIN tasks t ON t.id = u.task_id AND t.project <> '' \
         WHERE u.upload_id = $2) AS known, \
         (SELECT count(*) FROM uploads u JOIN tasks t ON t.id = u.task_id WHERE u.upload_id IS NULL \
         AND t.state IN ('running', 'pausing') AND length(u.key) <= length($1) \
         AND substr($1, length($1) - length(u.key) + 1) = u.key) AS asked_for",
    )
    .bind(key.as_bytes())
    .bind(upload_id)
    .one(ledger)
    .await?;
    Ok(Owner::of(FoundUpload {
        known: flag(&row, "known")?,
        asked_for: flag(&row, "asked_for")?,
    }))
}
