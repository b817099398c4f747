//! Counts crashes of the process or of a worker while a task runs, and ends a task that keeps crashing.

use super::database::{Database, Tx, end, run};
use super::error::translate;
use super::head::{Until, leave};
use super::rows;
use crate::error::Result;
use crate::ledger::pending::{CRASH, EARLY_CRASH, MOST_CRASHES, crashed};
use crate::task::{Event, State, TaskId};

pub(super) async fn confirm_running(ledger: &Database, id: TaskId, attempt: i64) -> Result<()> {
    let statement = sqlx::query(
        "UPDATE tasks SET held = 2 WHERE id = ?1 AND attempt = ?2 AND state = 'running' AND held = 1",
    )
    .bind(id.get())
    .bind(attempt);
    ledger.change(statement).await.map(drop)
}

pub(super) async fn record_shutdown(ledger: &Database) -> Result<()> {
    let statement = sqlx::query(
        "UPDATE tasks SET held = 0, crashes = 0 WHERE state = 'running' AND (held > 0 OR crashes > 0)",
    );
    ledger.change(statement).await.map(drop)
}

pub(super) async fn record_crash(ledger: &Database, id: TaskId) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let ended = count(&mut tx, Some(id), CRASH).await?;
    end(tx).await?;
    if ended > 0 {
        ledger.scrub().await;
    }
    Ok(())
}

/// Counts a crash for every running task that had a worker. Used when a process starts, before it leases a task. Returns
/// how many tasks this has ended.
pub(super) async fn count_all(tx: &mut Tx) -> Result<usize> {
    count(tx, None, EARLY_CRASH).await
}

async fn count(tx: &mut Tx, one: Option<TaskId>, early: i64) -> Result<usize> {
    let count = sqlx::query(
        "UPDATE tasks SET crashes = crashes + iif(held = 2, ?2, ?3), held = 0 \
         WHERE state = 'running' AND held > 0 AND (?1 IS NULL OR id = ?1)",
    )
    .bind(one.map(TaskId::get))
    .bind(CRASH)
    .bind(early);
    run(tx, count).await?;
    let over = sqlx::query(
        "SELECT id FROM tasks WHERE state = 'running' AND crashes >= ?2 AND (?1 IS NULL OR id = ?1)",
    )
    .bind(one.map(TaskId::get))
    .bind(MOST_CRASHES)
    .fetch_all(&mut **tx)
    .await
    .map_err(translate)?;
    for row in &over {
        let id = rows::task_id(row)?;
        let Ok(failed) = State::Running.apply(Event::Fail) else {
            continue;
        };
        let states = (State::Running, failed);
        leave(tx, id, states, Until::LastSeen, Some(&crashed())).await?;
        tracing::error!(task.id = %id, "the task ended the service several times; it is not resumed by itself any more");
    }
    Ok(over.len())
}
