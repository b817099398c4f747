//! Workers lease tasks and leave them.

use super::database::{Database, Tx, get, sql};
use super::facts::{facts, leave, one_row};
use super::lists;
use super::rows::{self, select_tasks};
use crate::error::Result;
use crate::ledger::decisions::facts::{TaskEnd, TaskFacts};
use crate::ledger::decisions::reports::Lines;
use crate::ledger::decisions::work::{self, Finish, Lease, Shards};
use crate::ledger::{Ending, LeasedTask};
use crate::secret::SealedCredentials;
use crate::task::{State, TaskId, UnixMillis};

pub(super) async fn lease_task(ledger: &Database, id: TaskId, now: UnixMillis) -> Result<Option<LeasedTask>> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts(&mut tx, id).await? else {
        return Ok(None);
    };
    let Some(Lease { state, ran_for }) = work::lease(&task) else {
        return Ok(None);
    };
    // A task that is already running has lost its worker. Its run time counts up to its last commit.
    let update = sql(
        "UPDATE tasks SET state = $3, fencing_token = fencing_token + 1, started_at = coalesce(started_at, $4), \
         ran_for = ran_for + $5, running_since = $4, seen_at = $4, speed = 0, concurrency_reason = NULL, \
         held = 1 \
         WHERE id = $1 AND state = $2",
    )
    .bind(id.get())
    .bind(task.state.name())
    .bind(state.name())
    .bind(now.0)
    .bind(ran_for);
    one_row(tx.run(update).await?)?;
    let row = sql(select_tasks!("WHERE t.id = $1"))
        .bind(id.get())
        .one(&mut tx)
        .await?;
    let sealed = sql("SELECT sealed FROM credentials WHERE task_id = $1").bind(id.get());
    let leased = LeasedTask {
        task: rows::task(&row)?,
        credentials: tx
            .first(sealed, |row| get(row, "sealed").map(SealedCredentials))
            .await?,
        fencing_token: get(&row, "fencing_token")?,
        mode: rows::mode(&row)?,
    };
    tx.end().await?;
    Ok(Some(leased))
}

pub(super) async fn finish(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    ending: Ending,
    now: UnixMillis,
) -> Result<Option<State>> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts(&mut tx, id).await? else {
        return Ok(None);
    };
    let shards = shards(&mut tx, id).await?;
    let Some(Finish { leaving, pass, lines }) = work::finish(&task, fencing_token, ending, shards, now)?
    else {
        return Ok(None);
    };
    if let Some(number) = pass {
        let update =
            sql("UPDATE passes SET finished = 1, finished_at = $3 WHERE task_id = $1 AND number = $2")
                .bind(id.get())
                .bind(number)
                .bind(now.0);
        tx.run(update).await?;
    }
    match lines {
        Lines::Drop => lists::forget_lines(&mut tx, id).await?,
        Lines::Keep => {}
    }
    leave(&mut tx, id, &leaving).await?;
    tx.end().await?;
    ledger.truncate_wal().await;
    Ok(Some(leaving.to))
}

/// The shards of the last pass.
async fn shards(tx: &mut Tx, id: TaskId) -> Result<Shards> {
    let open = sql(
        "SELECT 1 FROM shards WHERE task_id = $1 AND pass = (SELECT pass FROM tasks WHERE id = $1) \
         AND closed = 0 LIMIT 1",
    )
    .bind(id.get())
    .maybe(&mut *tx)
    .await?;
    Ok(match open {
        Some(_) => Shards::Open,
        None => Shards::Closed,
    })
}

pub(super) async fn release(ledger: &Database, id: TaskId) -> Result<()> {
    without_worker(ledger, id, work::release).await
}

pub(super) async fn pause(ledger: &Database, id: TaskId) -> Result<()> {
    without_worker(ledger, id, work::pause).await
}

/// Leaves a task that nobody works on, if `decide` says so.
async fn without_worker(
    ledger: &Database,
    id: TaskId,
    decide: fn(&TaskFacts) -> Option<TaskEnd>,
) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let leaving = facts(&mut tx, id).await?.as_ref().and_then(decide);
    let Some(leaving) = leaving else { return Ok(()) };
    leave(&mut tx, id, &leaving).await?;
    tx.end().await?;
    ledger.truncate_wal().await;
    Ok(())
}
