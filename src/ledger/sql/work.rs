//! Workers lease tasks and leave them.

use std::sync::LazyLock;

use super::crashes::count;
use super::database::{Database, Tx, get, sql};
use super::facts::{facts, leave, may_write, one_row};
use super::lists;
use super::rows::{self, select_tasks};
use crate::error::Result;
use crate::ledger::decisions::crashes::{self, AfterCrash};
use crate::ledger::decisions::facts::{Others, TaskEnd, TaskFacts};
use crate::ledger::decisions::reports::Lines;
use crate::ledger::decisions::work::{self, AfterWork, Finish, Shards, TaskLease};
use crate::ledger::{Committed, Ending, Finished, Holder, JoinedTask, LeasedTask, Writer};
use crate::secret::SealedCredentials;
use crate::task::{Event, Reason, State, TaskId, UnixMillis, WorkerId};

pub(super) async fn lease_task(
    ledger: &Database,
    lease_millis: i64,
    id: TaskId,
    holder: Holder,
    now: UnixMillis,
) -> Result<Option<LeasedTask>> {
    static SELECT: LazyLock<String> = LazyLock::new(|| select_tasks("WHERE t.id = $1"));
    let mut tx = ledger.begin().await?;
    let Some(mut task) = facts(&mut tx, id).await? else {
        return Ok(None);
    };
    if task.is_held_by_another(holder.worker, now, lease_millis) {
        return Ok(None);
    }
    let own = task.holder.is_none_or(|lease| lease.worker == holder.worker);
    // The worker is already asked to stop, and ends the work.
    if task.state == State::Pausing && task.holder.is_some_and(|lease| lease.worker == holder.worker) {
        return Ok(None);
    }
    let lost = task.holder.filter(|_| !own).map(|lease| lease.worker);
    if let Some(lost) = lost
        && !holds_shards(&mut tx, id, lost).await?
        && let Some(after) = crashes::of_lost_holder(&task)
    {
        let ended = matches!(after, AfterCrash::Left(_));
        count(&mut tx, id, &task, &after).await?;
        if ended {
            tx.end().await?;
            ledger.truncate_wal().await;
            return Ok(None);
        }
        let Some(again) = facts(&mut tx, id).await? else {
            return Ok(None);
        };
        task = again;
    }
    let Some(TaskLease { state, ran_for }) = work::lease(&task) else {
        return Ok(None);
    };
    // A task that is already running has lost its worker. Its run time counts up to its last commit.
    let update = sql(
        "UPDATE tasks SET state = $3, fencing_token = $4, held_by = $5, started_at = coalesce(started_at, $6), \
         ran_for = ran_for + $7, running_since = $6, seen_at = $6, held = 1 WHERE id = $1 AND state = $2",
    )
    .bind(id.get())
    .bind(task.state.name())
    .bind(state.name())
    .bind(holder.fencing_token)
    .bind(holder.worker.get())
    .bind(now.0)
    .bind(ran_for);
    one_row(tx.run(update).await?)?;
    // This worker begins anew.
    let free = sql(
        "UPDATE shards SET held_by = NULL, lost_leases = 0 WHERE task_id = $1 AND closed = 0 AND held_by = $2",
    )
    .bind(id.get())
    .bind(holder.worker.get());
    tx.run(free).await?;
    let row = sql(SELECT.as_str()).bind(id.get()).one(&mut tx).await?;
    let sealed = sql("SELECT sealed FROM credentials WHERE task_id = $1").bind(id.get());
    let leased = LeasedTask {
        task: rows::task(&row)?,
        credentials: tx
            .first(sealed, |row| get(row, "sealed").map(SealedCredentials))
            .await?,
        fencing_token: holder.fencing_token,
        mode: rows::mode(&row)?,
    };
    tx.end().await?;
    Ok(Some(leased))
}

/// Whether a worker that has ended without a word still has shards of the last pass. Then that is counted there, so that the shard
/// can be named that ends its workers.
async fn holds_shards(tx: &mut Tx, id: TaskId, worker: WorkerId) -> Result<bool> {
    let one = sql(
        "SELECT CAST(1 AS BIGINT) AS one FROM shards WHERE task_id = $1 AND pass = (SELECT pass FROM tasks WHERE id = $1) \
         AND closed = 0 AND held_by = $2 LIMIT 1",
    )
    .bind(id.get())
    .bind(worker.get());
    Ok(one.maybe(tx).await?.is_some())
}

pub(super) async fn keep_task(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    now: UnixMillis,
) -> Result<Committed> {
    let keep = sql(
        "UPDATE tasks SET seen_at = $3 WHERE id = $1 AND fencing_token = $2 AND state IN ('running', 'pausing')",
    )
    .bind(id.get())
    .bind(fencing_token)
    .bind(now.0);
    Ok(match ledger.change(keep).await? {
        0 => Committed::Fenced,
        _ => Committed::Done,
    })
}

pub(super) async fn join_task(ledger: &Database, id: TaskId) -> Result<Option<JoinedTask>> {
    static SELECT: LazyLock<String> = LazyLock::new(|| {
        let with_credentials = "JOIN credentials c ON c.task_id = t.id \
                                WHERE t.id = $1 AND t.state = 'running' AND t.findings IS NOT NULL";
        select_tasks(with_credentials).replacen("t.*,", "t.*, c.sealed,", 1)
    });
    let select = sql(SELECT.as_str()).bind(id.get());
    ledger
        .first(select, |row| {
            Ok(JoinedTask {
                task: rows::task(row)?,
                credentials: SealedCredentials(get(row, "sealed")?),
                findings: get(row, "findings")?,
            })
        })
        .await
}

pub(super) async fn report_trouble(
    ledger: &Database,
    id: TaskId,
    worker: WorkerId,
    reason: &Reason,
) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts(&mut tx, id).await? else {
        return Ok(());
    };
    let Ok(state) = task.state.apply(Event::Stop) else {
        return Ok(());
    };
    // A waiting task has no workers.
    if state != State::Pausing || !may_write(&mut tx, id, Writer::Worker(worker)).await? {
        return Ok(());
    }
    let update = sql(
        "UPDATE tasks SET state = $2, trouble_code = $3, trouble_message = $4 WHERE id = $1 AND state = $5",
    )
    .bind(id.get())
    .bind(state.name())
    .bind(reason.kind.name())
    .bind(reason.message.as_str())
    .bind(task.state.name());
    one_row(tx.run(update).await?)?;
    tx.end().await
}

pub(super) async fn finish(
    ledger: &Database,
    lease_millis: i64,
    id: TaskId,
    fencing_token: i64,
    ending: Ending,
    now: UnixMillis,
) -> Result<Finished> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts(&mut tx, id).await? else {
        return Ok(Finished::Fenced);
    };
    let shards = shards(&mut tx, id).await?;
    let me = task.holder.map(|lease| lease.worker);
    let others = others(&mut tx, id, me, now, lease_millis).await?;
    let Finish { leaving, pass, lines } =
        match work::finish(&task, fencing_token, ending, (shards, others), now)? {
            AfterWork::Ends(finish) => *finish,
            AfterWork::Waits => return Ok(Finished::Held),
            AfterWork::Fenced => return Ok(Finished::Fenced),
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
    Ok(Finished::State(leaving.to))
}

/// Whether workers other than `me` hold shards of a task.
async fn others(
    tx: &mut Tx,
    id: TaskId,
    me: Option<WorkerId>,
    now: UnixMillis,
    lease_millis: i64,
) -> Result<Others> {
    let one = sql(
        "SELECT CAST(1 AS BIGINT) AS one FROM shards WHERE task_id = $1 AND pass = (SELECT pass FROM tasks WHERE id = $1) \
         AND closed = 0 AND held_by <> $2 AND seen_at > $3 LIMIT 1",
    )
    .bind(id.get())
    .bind(me.map_or(0, WorkerId::get))
    .bind(now.0.saturating_sub(lease_millis));
    Ok(match one.maybe(tx).await? {
        Some(_) => Others::Hold,
        None => Others::None,
    })
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

/// Leaves a task that no other worker works on, if `decide` says so.
pub(super) async fn without_worker(
    ledger: &Database,
    lease_millis: i64,
    id: TaskId,
    worker: WorkerId,
    now: UnixMillis,
    decide: fn(&TaskFacts) -> Option<TaskEnd>,
) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts(&mut tx, id).await? else {
        return Ok(());
    };
    let Some(leaving) = decide(&task) else {
        return Ok(());
    };
    if task.is_held_by_another(worker, now, lease_millis)
        || others(&mut tx, id, Some(worker), now, lease_millis).await? == Others::Hold
    {
        return Ok(());
    }
    leave(&mut tx, id, &leaving).await?;
    tx.end().await?;
    ledger.truncate_wal().await;
    Ok(())
}
