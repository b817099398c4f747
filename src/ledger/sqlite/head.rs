//! Reads a task's row at the start of a transaction, and ends the work on a task.

use sqlx::sqlite::SqliteRow;

use super::database::{Tx, run};
use super::error::translate;
use super::rows::{self, get};
use crate::error::{Error, Result};
use crate::task::{Counters, Reason, State, TaskId, UnixMillis};

/// An update of a task with the state that was read must change exactly one row, because the transaction excludes other
/// changes.
pub(super) fn one_row(touched: u64) -> Result<()> {
    if touched == 1 {
        Ok(())
    } else {
        Err(Error::internal("a task changed its state inside a transaction"))
    }
}

/// The moment up to which the run time of an ended run counts.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// It ends now.
    Now(UnixMillis),
    /// It ended with its process, at an unknown time. The last commit counts.
    LastSeen,
}

/// The state of a task that decides whether a worker may write to it.
pub(super) struct Head {
    pub(super) state: State,
    pub(super) attempt: i64,
    row: SqliteRow,
}

/// Reads a task inside a transaction.
pub(super) async fn head(tx: &mut Tx, id: TaskId) -> Result<Option<Head>> {
    let row = sqlx::query(
        "SELECT t.*, p.number AS pass_number, p.kind AS pass_kind, p.finished AS pass_finished, \
         p.opened_at AS pass_opened_at FROM tasks t LEFT JOIN passes p ON p.task_id = t.id AND p.number = t.pass \
         WHERE t.id = ?1 AND t.project <> ''",
    )
    .bind(id.get())
    .fetch_optional(&mut **tx)
    .await
    .map_err(translate)?;
    row.map(|row| {
        Ok(Head {
            state: rows::state(&row)?,
            attempt: get(&row, "attempt")?,
            row,
        })
    })
    .transpose()
}

impl Head {
    /// The last pass.
    pub(super) fn pass(&self) -> Result<Option<crate::task::PassInfo>> {
        rows::pass(&self.row)
    }

    /// Whether a worker with this fencing token may write.
    pub(super) fn works_under(&self, attempt: i64) -> bool {
        self.attempt == attempt && matches!(self.state, State::Running | State::Pausing)
    }

    pub(super) fn counters(&self) -> Result<Counters> {
        rows::counters(&self.row)
    }
}

/// Ends the run of a task, or its wait for a run, and wipes its credentials. The caller must scrub the log after the
/// commit.
pub(super) async fn leave(
    tx: &mut Tx,
    id: TaskId,
    (old, new): (State, State),
    until: Until,
    reason: Option<&Reason>,
) -> Result<()> {
    let until = match until {
        Until::Now(now) => Some(now.0),
        Until::LastSeen => None,
    };
    let ended = matches!(new, State::Failed | State::Succeeded);
    let update = sqlx::query(
        "UPDATE tasks SET state = ?3, reason_code = ?4, reason_message = ?5, speed = 0, running_since = NULL, \
         held = 0, crashes = 0, ran_for = ran_for + coalesce(max(coalesce(?6, seen_at) - running_since, 0), 0), \
         ended_at = CASE WHEN ?7 THEN coalesce(?6, seen_at) END \
         WHERE id = ?1 AND state = ?2",
    )
    .bind(id.get())
    .bind(old.name())
    .bind(new.name())
    .bind(reason.map(|reason| reason.code.as_str()))
    .bind(reason.map(|reason| reason.message.as_str()))
    .bind(until)
    .bind(ended);
    one_row(run(tx, update).await?)?;
    let wipe = sqlx::query("DELETE FROM credentials WHERE task_id = ?1").bind(id.get());
    run(tx, wipe).await.map(drop)
}
