//! Warnings of the last pass of each task.

use super::database::{Database, Tx, get, sql};
use super::facts::may_write;
use crate::error::Result;
use crate::ledger::{Committed, Writer};
use crate::task::{KeptWarning, TaskId, UnixMillis, Warning, WarningCode};

/// Adds to a stored warning.
const AGAIN: &str = "UPDATE warnings SET count = count + $4, message = $5, last_at = CASE WHEN last_at < $6 THEN $6 ELSE last_at END \
     WHERE task_id = $1 AND code = $2 AND subject = $3";
/// Stores a new warning, unless the limit is reached.
const FIRST: &str = "INSERT INTO warnings (task_id, code, subject, count, message, first_at, last_at) \
     SELECT $1, $2, $3, $4, $5, $6, $6 \
     WHERE (SELECT count(*) FROM warnings WHERE task_id = $1 AND code <> $8) < $7";

pub(super) async fn add(
    ledger: &Database,
    id: TaskId,
    writer: Writer<'_>,
    warnings: &[Warning],
    now: UnixMillis,
) -> Result<Committed> {
    let mut tx = ledger.begin().await?;
    if !may_write(&mut tx, id, writer).await? {
        return Ok(Committed::Fenced);
    }
    let mut dropped = 0_u32;
    for warning in warnings {
        if !keep(&mut tx, id, warning, now).await? {
            dropped = dropped.saturating_add(warning.count());
        }
    }
    if dropped > 0 {
        let text = "more different warnings occurred than are kept";
        let rest = Warning::new(WarningCode::MoreWarnings, text).times(dropped);
        keep(&mut tx, id, &rest, now).await?;
    }
    tx.end().await?;
    Ok(Committed::Done)
}

/// Stores a warning. Returns false if the limit is reached.
async fn keep(tx: &mut Tx, id: TaskId, warning: &Warning, now: UnixMillis) -> Result<bool> {
    let most = match warning.code() {
        WarningCode::MoreWarnings => i64::MAX,
        _ => i64::try_from(Warning::MOST).unwrap_or(i64::MAX),
    };
    for text in [AGAIN, FIRST] {
        let mut statement = sql(text)
            .bind(id.get())
            .bind(warning.code().name())
            .bind(warning.subject().to_owned())
            .bind(i64::from(warning.count()))
            .bind(warning.message().to_owned())
            .bind(now.0);
        if text == FIRST {
            statement = statement.bind(most).bind(WarningCode::MoreWarnings.name());
        }
        if tx.run(statement).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes the warnings of the last pass.
pub(super) async fn forget(tx: &mut Tx, id: TaskId) -> Result<()> {
    let forget = sql("DELETE FROM warnings WHERE task_id = $1").bind(id.get());
    tx.run(forget).await.map(drop)
}

pub(super) async fn all(ledger: &Database, id: TaskId) -> Result<Vec<KeptWarning>> {
    let select = sql(
        "SELECT code, subject, message, count, first_at, last_at FROM warnings \
         WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') \
         ORDER BY first_at, code, subject",
    )
    .bind(id.get());
    ledger
        .all(select, |row| {
            Ok(KeptWarning {
                code: get(row, "code")?,
                subject: get(row, "subject")?,
                message: get(row, "message")?,
                count: get(row, "count")?,
                first_at: UnixMillis(get(row, "first_at")?),
                last_at: UnixMillis(get(row, "last_at")?),
            })
        })
        .await
}
