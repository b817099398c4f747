//! Counts crashes of the process or of a worker while a task runs, and ends a task that keeps crashing.

use super::database::{Database, Tx, sql};
use super::facts::{facts, leave, read, select_facts};
use super::{orphans, rows};
use crate::error::Result;
use crate::ledger::decisions::crashes::{AfterCrash, of_process, of_worker};
use crate::task::{State, TaskId};

pub(super) async fn confirm_running(ledger: &Database, id: TaskId, fencing_token: i64) -> Result<()> {
    let statement = sql(
        "UPDATE tasks SET held = 2 WHERE id = $1 AND fencing_token = $2 AND state = 'running' AND held = 1",
    )
    .bind(id.get())
    .bind(fencing_token);
    ledger.change(statement).await.map(drop)
}

pub(super) async fn record_shutdown(ledger: &Database) -> Result<()> {
    let statement =
        sql("UPDATE tasks SET held = 0, crashes = 0 WHERE state = 'running' AND (held > 0 OR crashes > 0)");
    ledger.change(statement).await.map(drop)
}

pub(super) async fn record_crash(ledger: &Database, id: TaskId) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let after = facts(&mut tx, id).await?.as_ref().and_then(of_worker);
    let Some(after) = after else { return Ok(()) };
    let wiped = write(&mut tx, id, &after).await?;
    tx.end().await?;
    if wiped == Wiped::Yes {
        ledger.truncate_wal().await;
    }
    Ok(())
}

pub(super) async fn recover(ledger: &Database) -> Result<()> {
    let mut tx = ledger.begin().await?;
    // Other tasks had no worker and have not crashed.
    let select = sql(select_facts!(
        "(t.state = 'pausing' OR t.state = 'running' AND (t.held > 0 OR t.crashes > 0))"
    ));
    let tasks = tx
        .all(select, |row| Ok((rows::task_id(row)?, read(row)?)))
        .await?;
    let mut wiped = Wiped::No;
    for (id, task) in &tasks {
        if let Some(after) = of_process(task)
            && write(&mut tx, *id, &after).await? == Wiped::Yes
        {
            wiped = Wiped::Yes;
        }
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
enum Wiped {
    Yes,
    No,
}

async fn write(tx: &mut Tx, id: TaskId, after: &AfterCrash) -> Result<Wiped> {
    match after {
        AfterCrash::Resumed(crashes) => {
            let update = sql("UPDATE tasks SET crashes = $2, held = 0 WHERE id = $1")
                .bind(id.get())
                .bind(*crashes);
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
