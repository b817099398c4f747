//! Reads what a decision needs to know of a task, and writes how the work on a task ends.

use super::database::{Row, Tx, flag, get, sql};
use super::rows;
use crate::error::{Error, Result};
use crate::ledger::decisions::facts::{LeaseState, Run, TaskEnd, TaskFacts};
use crate::ledger::json::damaged;
use crate::task::{ProjectId, TaskId, UnixMillis};

/// Reads tasks that are not deleted, as [`read`] wants them; a condition follows.
macro_rules! select_facts {
    ($condition:literal) => {
        concat!(
            "SELECT t.*, p.number AS pass_number, p.kind AS pass_kind, p.finished AS pass_finished, \
             p.opened_at AS pass_opened_at FROM tasks t \
             LEFT JOIN passes p ON p.task_id = t.id AND p.number = t.pass WHERE t.project <> '' AND ",
            $condition
        )
    };
}
pub(super) use select_facts;

/// A task, read inside a change.
pub(super) async fn facts(tx: &mut Tx, id: TaskId) -> Result<Option<TaskFacts>> {
    tx.lock_task(id).await?;
    let select = sql(select_facts!("t.id = $1")).bind(id.get());
    tx.first(select, read).await
}

/// A task of a project, read inside a change.
pub(super) async fn facts_in(tx: &mut Tx, project: &ProjectId, id: TaskId) -> Result<Option<TaskFacts>> {
    tx.lock_task(id).await?;
    let select = sql(select_facts!("t.id = $1 AND t.project = $2"))
        .bind(id.get())
        .bind(project.as_str());
    tx.first(select, read).await
}

/// Whether the worker with this fencing token may write.
pub(super) async fn lease_holds(tx: &mut Tx, id: TaskId, fencing_token: i64) -> Result<bool> {
    let facts = facts(tx, id).await?;
    Ok(facts.is_some_and(|task| task.lease_holds(fencing_token)))
}

/// A row of [`select_facts`].
pub(super) fn read(row: &Row) -> Result<TaskFacts> {
    let moment = |column| Ok::<_, Error>(get::<Option<i64>>(row, column)?.map(UnixMillis));
    Ok(TaskFacts {
        state: rows::state(row)?,
        fencing_token: get(row, "fencing_token")?,
        pass: rows::pass(row)?,
        forgetting: flag(row, "forgetting")?,
        counters: rows::counters(row)?,
        run: Run {
            since: moment("running_since")?,
            seen: moment("seen_at")?,
        },
        lease: match get::<i64>(row, "held")? {
            0 => LeaseState::Nobody,
            1 => LeaseState::Leased,
            2 => LeaseState::Confirmed,
            _ => return Err(damaged("holder of a task")),
        },
        crashes: get(row, "crashes")?,
    })
}

/// Checks that an update has changed the row of its task. The update requires the state that was read before; inside the
/// transaction nobody else can have changed it.
pub(super) fn one_row(touched: u64) -> Result<()> {
    if touched == 1 {
        Ok(())
    } else {
        Err(Error::internal("a task changed its state inside a transaction"))
    }
}

/// Writes how the work on a task ends, and wipes the task's credentials. The caller truncates the log after the commit.
pub(super) async fn leave(tx: &mut Tx, id: TaskId, leaving: &TaskEnd) -> Result<()> {
    let TaskEnd {
        from,
        to,
        reason,
        ran_for,
        ended_at,
    } = leaving;
    let update = sql(
        "UPDATE tasks SET state = $3, reason_code = $4, reason_message = $5, speed = 0, concurrency_reason = NULL, \
         running_since = NULL, held = 0, crashes = 0, ran_for = ran_for + $6, ended_at = $7 WHERE id = $1 AND state = $2",
    )
    .bind(id.get())
    .bind(from.name())
    .bind(to.name())
    .bind(reason.as_ref().map(|reason| reason.kind.name()))
    .bind(reason.as_ref().map(|reason| reason.message.as_str()))
    .bind(*ran_for)
    .bind(ended_at.map(|moment| moment.0));
    one_row(tx.run(update).await?)?;
    let wipe = sql("DELETE FROM credentials WHERE task_id = $1").bind(id.get());
    tx.run(wipe).await.map(drop)
}
