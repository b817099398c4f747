//! Counts crashes of the process or of a worker while a task runs, and ends a task that keeps crashing.

use std::sync::LazyLock;

use super::database::{Database, Tx, sql};
use super::facts::{facts, leave, read, select_facts};
use super::{orphans, rows};
use crate::error::Result;
use crate::ledger::decisions::crashes::{AfterCrash, of_process, of_worker};
use crate::ledger::decisions::facts::TaskFacts;
use crate::task::{State, TaskId, WorkerId};

pub(super) async fn confirm_running(ledger: &Database, id: TaskId, fencing_token: i64) -> Result<()> {
    let statement = sql(
        "UPDATE tasks SET held = 2 WHERE id = $1 AND fencing_token = $2 AND state = 'running' AND held = 1",
    )
    .bind(id.get())
    .bind(fencing_token);
    ledger.change(statement).await.map(drop)
}

pub(super) async fn record_shutdown(ledger: &Database, worker: WorkerId) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let tasks =
        sql("UPDATE tasks SET held = 0, held_by = NULL, fencing_token = 0, crashes = 0 WHERE held_by = $1")
            .bind(worker.get());
    tx.run(tasks).await?;
    let shards = sql("UPDATE shards SET held_by = NULL, lost_leases = 0 WHERE held_by = $1 AND closed = 0")
        .bind(worker.get());
    tx.run(shards).await?;
    let gone = sql("DELETE FROM workers WHERE id = $1").bind(worker.get());
    tx.run(gone).await?;
    tx.end().await
}

pub(super) async fn record_crash(ledger: &Database, id: TaskId, worker: WorkerId) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts(&mut tx, id).await? else {
        return Ok(());
    };
    if task.holder.is_some_and(|lease| lease.worker != worker) {
        return Ok(());
    }
    let Some(after) = of_worker(&task) else {
        return Ok(());
    };
    let wiped = count(&mut tx, id, &task, &after).await?;
    tx.end().await?;
    if wiped == Wiped::Yes {
        ledger.truncate_wal().await;
    }
    Ok(())
}

pub(super) async fn recover(ledger: &Database) -> Result<()> {
    // Other tasks had no worker and have not crashed.
    static SELECT: LazyLock<String> = LazyLock::new(|| {
        select_facts("(t.state = 'pausing' OR t.state = 'running' AND (t.held > 0 OR t.crashes > 0))")
    });
    let mut tx = ledger.begin().await?;
    let tasks = tx
        .all(sql(SELECT.as_str()), |row| Ok((rows::task_id(row)?, read(row)?)))
        .await?;
    let mut wiped = Wiped::No;
    for (id, task) in &tasks {
        if let Some(after) = of_process(task)
            && count(&mut tx, *id, task, &after).await? == Wiped::Yes
        {
            wiped = Wiped::Yes;
        }
    }
    let tasks = "UPDATE tasks SET held = 0, held_by = NULL, fencing_token = 0 WHERE held_by IS NOT NULL";
    let shards = "UPDATE shards SET held_by = NULL WHERE closed = 0 AND held_by IS NOT NULL";
    for free in [tasks, shards] {
        tx.run(sql(free)).await?;
    }
    orphans::recover(&mut tx).await?;
    tx.end().await?;
    if wiped == Wiped::Yes {
        ledger.truncate_wal().await;
    }
    Ok(())
}

/// Whether credentials were wiped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wiped {
    Yes,
    No,
}

/// Writes what becomes of a task whose worker crashed.
pub(super) async fn count(tx: &mut Tx, id: TaskId, task: &TaskFacts, after: &AfterCrash) -> Result<Wiped> {
    match after {
        AfterCrash::Resumed(crashes) => {
            let update = sql(
                "UPDATE tasks SET crashes = $2, counted_progress = $3, held = 0, held_by = NULL, fencing_token = 0 \
                 WHERE id = $1",
            )
            .bind(id.get())
            .bind(*crashes)
            .bind(task.progress);
            tx.run(update).await?;
            Ok(Wiped::No)
        }
        AfterCrash::Left(leaving) => {
            leave(tx, id, leaving).await?;
            if leaving.to == State::Failed {
                tracing::error!(task.id = %id, "the task ended the service several times; it is not resumed by itself any more");
            }
            Ok(Wiped::Yes)
        }
    }
}
