//! Lines of the reports of copied and skipped objects, from their commit until they are at the target.

use super::database::{Database, Tx, get, sql};
use super::facts::lease_holds;
use super::rows::problem;
use crate::error::Result;
use crate::ledger::decisions::reports::{self, Lines};
use crate::ledger::{Committed, FileSize, Fullness, ReportFile};
use crate::task::{ReportKind, ReportProblem, TaskId, UnixMillis};

/// A timestamp that no pass and no file of the task has had: `now`, or the next unused one.
pub(super) async fn next_timestamp(tx: &mut Tx, id: TaskId, now: UnixMillis) -> Result<UnixMillis> {
    let row = sql(
        "UPDATE tasks SET last_timestamp = CASE WHEN $2 > last_timestamp THEN $2 ELSE last_timestamp + 1 END WHERE id = $1 RETURNING last_timestamp",
    )
    .bind(id.get())
    .bind(now.0)
    .one(&mut *tx)
    .await?;
    get(&row, "last_timestamp").map(UnixMillis)
}

/// Stores the lines of a commit.
pub(super) async fn keep(
    tx: &mut Tx,
    id: TaskId,
    shard: i64,
    lines: [(ReportKind, Vec<u8>); 2],
) -> Result<()> {
    for (kind, lines) in lines {
        if lines.is_empty() {
            continue;
        }
        let insert = sql(
            "INSERT INTO report_chunks (task_id, kind, shard, bytes, lines) VALUES ($1, $2, $3, length($4), $4)",
        )
        .bind(id.get())
        .bind(kind.name())
        .bind(shard)
        .bind(lines);
        tx.run(insert).await?;
    }
    Ok(())
}

/// Deletes the lines of a task that will not be written.
pub(super) async fn forget_lines(tx: &mut Tx, id: TaskId) -> Result<()> {
    let forget = sql("DELETE FROM report_chunks WHERE task_id = $1").bind(id.get());
    tx.run(forget).await.map(drop)
}

/// Begins new reports.
pub(super) async fn begin_anew(tx: &mut Tx, id: TaskId) -> Result<()> {
    forget_lines(tx, id).await?;
    let forget = sql("DELETE FROM report_problems WHERE task_id = $1").bind(id.get());
    tx.run(forget).await.map(drop)
}

/// Deletes the lines of a shard that starts again.
pub(super) async fn forget_shard(tx: &mut Tx, id: TaskId, shard: i64) -> Result<()> {
    let forget = sql("DELETE FROM report_chunks WHERE task_id = $1 AND shard = $2")
        .bind(id.get())
        .bind(shard);
    tx.run(forget).await.map(drop)
}

pub(super) async fn file(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    kind: ReportKind,
    (size, fullness): (FileSize, Fullness),
    now: UnixMillis,
) -> Result<Option<ReportFile>> {
    let mut tx = ledger.begin().await?;
    if !lease_holds(&mut tx, id, fencing_token).await? {
        return Ok(None);
    }
    let begun = sql("SELECT min(file) AS file FROM report_chunks WHERE task_id = $1 AND kind = $2")
        .bind(id.get())
        .bind(kind.name());
    if let Some(number) = get::<Option<i64>>(&begun.one(&mut tx).await?, "file")? {
        let chunks =
            sql("SELECT id FROM report_chunks WHERE task_id = $1 AND kind = $2 AND file = $3 ORDER BY id")
                .bind(id.get())
                .bind(kind.name())
                .bind(number);
        let chunks = tx.all(chunks, |row| get(row, "id")).await?;
        return Ok(Some(ReportFile {
            number: UnixMillis(number),
            chunks,
        }));
    }
    let waiting =
        sql("SELECT id, bytes FROM report_chunks WHERE task_id = $1 AND kind = $2 ORDER BY id LIMIT $3")
            .bind(id.get())
            .bind(kind.name())
            .bind(size.chunks.max(1));
    let waiting = tx
        .all(waiting, |row| Ok((get(row, "id")?, get(row, "bytes")?)))
        .await?;
    let Some(chunks) = reports::next_file(&waiting, size, fullness) else {
        return Ok(None);
    };
    let number = next_timestamp(&mut tx, id, now).await?;
    for chunk in &chunks {
        let seal = sql("UPDATE report_chunks SET file = $2 WHERE id = $1")
            .bind(*chunk)
            .bind(number.0);
        tx.run(seal).await?;
    }
    tx.end().await?;
    Ok(Some(ReportFile { number, chunks }))
}

pub(super) async fn waiting(ledger: &Database, id: TaskId, kind: ReportKind) -> Result<Vec<i64>> {
    let select = sql("SELECT id FROM report_chunks \
         WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') AND kind = $2 ORDER BY id")
    .bind(id.get())
    .bind(kind.name());
    ledger.all(select, |row| get(row, "id")).await
}

pub(super) async fn lines(ledger: &Database, id: TaskId, chunk: i64) -> Result<Option<Vec<u8>>> {
    let select = sql("SELECT lines FROM report_chunks \
         WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') AND id = $2")
    .bind(id.get())
    .bind(chunk);
    ledger.first(select, |row| get(row, "lines")).await
}

pub(super) async fn written(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    kind: ReportKind,
    file: UnixMillis,
) -> Result<Committed> {
    let mut tx = ledger.begin().await?;
    if !lease_holds(&mut tx, id, fencing_token).await? {
        return Ok(Committed::Fenced);
    }
    let delete = sql("DELETE FROM report_chunks WHERE task_id = $1 AND kind = $2 AND file = $3")
        .bind(id.get())
        .bind(kind.name())
        .bind(file.0);
    tx.run(delete).await?;
    let over = sql("DELETE FROM report_problems WHERE task_id = $1 AND kind = $2 AND problem = $3")
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
         (SELECT problem FROM report_problems WHERE task_id = $1 AND kind = $2) AS problem \
         FROM report_chunks WHERE task_id = $1 AND kind = $2")
    .bind(id.get())
    .bind(kind.name())
    .one(&mut tx)
    .await?;
    let (now, lines) = reports::refused(get(&row, "waiting")?, most, problem(&row, "problem")?);
    if lines == Lines::Drop {
        let delete = sql("DELETE FROM report_chunks WHERE task_id = $1 AND kind = $2")
            .bind(id.get())
            .bind(kind.name());
        tx.run(delete).await?;
    }
    let insert = sql(
        "INSERT INTO report_problems (task_id, kind, problem) VALUES ($1, $2, $3) \
         ON CONFLICT (task_id, kind) DO UPDATE SET problem = excluded.problem",
    )
    .bind(id.get())
    .bind(kind.name())
    .bind(now.name());
    tx.run(insert).await?;
    tx.end().await?;
    Ok(Committed::Done)
}
