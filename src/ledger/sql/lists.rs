//! Lines of the reports of copied and skipped objects, from their commit until they are at the target.

use super::database::{Database, Tx, get, sql};
use super::facts::lease_holds;
use super::rows::problem;
use crate::error::Result;
use crate::ledger::decisions::reports::{self, Lines};
use crate::ledger::{Committed, ReportChunk};
use crate::task::{ReportKind, ReportProblem, TaskId, UnixMillis};

/// A timestamp that no pass and no lines of the task have had: `now`, or the next unused one.
pub(super) async fn next_timestamp(tx: &mut Tx, id: TaskId, now: UnixMillis) -> Result<UnixMillis> {
    let row = sql(
        "UPDATE tasks SET list_stamp = CASE WHEN $2 > list_stamp THEN $2 ELSE list_stamp + 1 END WHERE id = $1 RETURNING list_stamp",
    )
    .bind(id.get())
    .bind(now.0)
    .one(&mut *tx)
    .await?;
    get(&row, "list_stamp").map(UnixMillis)
}

/// Stores the lines of a commit.
pub(super) async fn keep(
    tx: &mut Tx,
    id: TaskId,
    shard: i64,
    lines: [(ReportKind, Vec<u8>); 2],
    now: UnixMillis,
) -> Result<()> {
    if lines.iter().all(|(_, lines)| lines.is_empty()) {
        return Ok(());
    }
    let stamp = next_timestamp(tx, id, now).await?;
    for (kind, lines) in lines {
        if lines.is_empty() {
            continue;
        }
        let insert = sql(
            "INSERT INTO list_chunks (task_id, kind, stamp, shard, bytes, lines) \
             VALUES ($1, $2, $3, $4, length($5), $5)",
        )
        .bind(id.get())
        .bind(kind.name())
        .bind(stamp.0)
        .bind(shard)
        .bind(lines);
        tx.run(insert).await?;
    }
    Ok(())
}

/// Deletes the lines of a task that will not be written.
pub(super) async fn forget_lines(tx: &mut Tx, id: TaskId) -> Result<()> {
    let forget = sql("DELETE FROM list_chunks WHERE task_id = $1").bind(id.get());
    tx.run(forget).await.map(drop)
}

/// Begins new reports.
pub(super) async fn begin_anew(tx: &mut Tx, id: TaskId) -> Result<()> {
    forget_lines(tx, id).await?;
    let forget = sql("DELETE FROM list_troubles WHERE task_id = $1").bind(id.get());
    tx.run(forget).await.map(drop)
}

/// Deletes the lines of a shard that starts again.
pub(super) async fn forget_shard(tx: &mut Tx, id: TaskId, shard: i64) -> Result<()> {
    let forget = sql("DELETE FROM list_chunks WHERE task_id = $1 AND shard = $2")
        .bind(id.get())
        .bind(shard);
    tx.run(forget).await.map(drop)
}

pub(super) async fn chunks(
    ledger: &Database,
    id: TaskId,
    kind: ReportKind,
    limit: i64,
) -> Result<Vec<ReportChunk>> {
    let select = sql("SELECT stamp, bytes FROM list_chunks \
         WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') AND kind = $2 \
         ORDER BY stamp LIMIT $3")
    .bind(id.get())
    .bind(kind.name())
    .bind(limit.max(0));
    ledger
        .all(select, |row| {
            Ok(ReportChunk {
                stamp: UnixMillis(get(row, "stamp")?),
                bytes: get(row, "bytes")?,
            })
        })
        .await
}

pub(super) async fn lines(
    ledger: &Database,
    id: TaskId,
    kind: ReportKind,
    stamp: UnixMillis,
) -> Result<Option<Vec<u8>>> {
    let select = sql("SELECT lines FROM list_chunks \
         WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') AND kind = $2 AND stamp = $3")
    .bind(id.get())
    .bind(kind.name())
    .bind(stamp.0);
    ledger.first(select, |row| get(row, "lines")).await
}

pub(super) async fn written(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    kind: ReportKind,
    last: UnixMillis,
) -> Result<Committed> {
    let mut tx = ledger.begin().await?;
    if !lease_holds(&mut tx, id, fencing_token).await? {
        return Ok(Committed::Fenced);
    }
    let delete = sql("DELETE FROM list_chunks WHERE task_id = $1 AND kind = $2 AND stamp <= $3")
        .bind(id.get())
        .bind(kind.name())
        .bind(last.0);
    tx.run(delete).await?;
    let over = sql("DELETE FROM list_troubles WHERE task_id = $1 AND kind = $2 AND trouble = $3")
        .bind(id.get())
        .bind(kind.name())
        .bind(ReportProblem::NotStored.name());
    tx.run(over).await?;
    tx.end().await?;
    Ok(Committed::Done)
}

pub(super) async fn refused(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    kind: ReportKind,
    most: i64,
) -> Result<Committed> {
    let mut tx = ledger.begin().await?;
    if !lease_holds(&mut tx, id, fencing_token).await? {
        return Ok(Committed::Fenced);
    }
    let row = sql("SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) AS waiting, \
         (SELECT trouble FROM list_troubles WHERE task_id = $1 AND kind = $2) AS trouble \
         FROM list_chunks WHERE task_id = $1 AND kind = $2")
    .bind(id.get())
    .bind(kind.name())
    .one(&mut tx)
    .await?;
    let (now, lines) = reports::refused(get(&row, "waiting")?, most, problem(&row, "trouble")?);
    if lines == Lines::Drop {
        let delete = sql("DELETE FROM list_chunks WHERE task_id = $1 AND kind = $2")
            .bind(id.get())
            .bind(kind.name());
        tx.run(delete).await?;
    }
    let insert = sql(
        "INSERT INTO list_troubles (task_id, kind, trouble) VALUES ($1, $2, $3) \
         ON CONFLICT (task_id, kind) DO UPDATE SET trouble = excluded.trouble",
    )
    .bind(id.get())
    .bind(kind.name())
    .bind(now.name());
    tx.run(insert).await?;
    tx.end().await?;
    Ok(Committed::Done)
}
