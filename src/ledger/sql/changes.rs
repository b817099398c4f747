//! Changes by users: start, stop, bandwidth, delete.

use super::database::{Database, Tx, sql};
use super::facts::{facts_in, leave, one_row};
use super::{orphans, purge};
use crate::error::Result;
use crate::ledger::decisions::changes::{self, Recorded, Stop};
use crate::ledger::json::bandwidth_to_text;
use crate::ledger::{Change, Deleted, Refusal};
use crate::secret::SealedCredentials;
use crate::task::{BandwidthPolicy, ProjectId, StartMode, State, TaskId, UnixMillis};

pub(super) async fn start(
    ledger: &Database,
    project: &ProjectId,
    id: TaskId,
    mode: StartMode,
    credentials: SealedCredentials,
) -> Result<Change<()>> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts_in(&mut tx, project, id).await? else {
        return Ok(Err(Refusal::Unknown));
    };
    let state = match changes::start(&task, mode, recorded(&mut tx, id).await?) {
        Ok(state) => state,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let update = sql(
        "UPDATE tasks SET state = $3, mode = $4, epoch = epoch + 1, fencing_token = 0, held_by = NULL, findings = NULL, \
         crashes = 0, reason_code = NULL, reason_message = NULL, ended_at = NULL WHERE id = $1 AND state = $2",
    )
    .bind(id.get())
    .bind(task.state.name())
    .bind(state.name())
    .bind(mode.name());
    one_row(tx.run(update).await?)?;
    let insert = sql("INSERT INTO credentials (task_id, sealed) VALUES ($1, $2) \
         ON CONFLICT (task_id) DO UPDATE SET sealed = excluded.sealed")
    .bind(id.get())
    .bind(credentials.0);
    tx.run(insert).await?;
    tx.end().await?;
    Ok(Ok(()))
}

/// Whether a task has recorded failures.
async fn recorded(tx: &mut Tx, id: TaskId) -> Result<Recorded> {
    let one = sql("SELECT 1 FROM failures WHERE task_id = $1 LIMIT 1")
        .bind(id.get())
        .maybe(&mut *tx)
        .await?;
    Ok(match one {
        Some(_) => Recorded::Failures,
        None => Recorded::Nothing,
    })
}

pub(super) async fn stop(
    ledger: &Database,
    project: &ProjectId,
    id: TaskId,
    now: UnixMillis,
) -> Result<Change<State>> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts_in(&mut tx, project, id).await? else {
        return Ok(Err(Refusal::Unknown));
    };
    match changes::stop(&task, now) {
        Err(refusal) => Ok(Err(refusal)),
        Ok(Stop::Asked(state)) => {
            let update = sql("UPDATE tasks SET state = $3 WHERE id = $1 AND state = $2")
                .bind(id.get())
                .bind(task.state.name())
                .bind(state.name());
            one_row(tx.run(update).await?)?;
            tx.end().await?;
            Ok(Ok(state))
        }
        Ok(Stop::Left(leaving)) => {
            leave(&mut tx, id, &leaving).await?;
            tx.end().await?;
            ledger.truncate_wal().await;
            Ok(Ok(leaving.to))
        }
    }
}

pub(super) async fn set_bandwidth(
    ledger: &Database,
    project: &ProjectId,
    id: TaskId,
    policy: BandwidthPolicy,
) -> Result<Change<()>> {
    let text = bandwidth_to_text(&policy)?;
    let mut tx = ledger.begin().await?;
    let Some(task) = facts_in(&mut tx, project, id).await? else {
        return Ok(Err(Refusal::Unknown));
    };
    if let Err(refusal) = changes::set_bandwidth(&task) {
        return Ok(Err(refusal));
    }
    let update = sql("UPDATE tasks SET bandwidth = $2 WHERE id = $1")
        .bind(id.get())
        .bind(text);
    one_row(tx.run(update).await?)?;
    tx.end().await?;
    Ok(Ok(()))
}

pub(super) async fn delete(
    ledger: &Database,
    project: &ProjectId,
    id: TaskId,
    keys: Option<SealedCredentials>,
    now: UnixMillis,
) -> Result<Change<Deleted>> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts_in(&mut tx, project, id).await? else {
        return Ok(Err(Refusal::Unknown));
    };
    if let Err(refusal) = changes::delete(&task) {
        return Ok(Err(refusal));
    }
    let left = orphans::leave(&mut tx, id, keys, now).await?;
    purge::hide_deleted(&mut tx, id, task.state).await?;
    tx.end().await?;
    if task.state.keeps_credentials() {
        ledger.truncate_wal().await;
    }
    Ok(Ok(left))
}
