//! Changes by users: start, stop, bandwidth, delete.

use sqlx::Row;

use super::database::{Database, Tx, end, run};
use super::error::translate;
use super::head::{Until, leave, one_row};
use super::{orphans, rows, tidy};
use crate::error::Result;
use crate::ledger::json::bandwidth_to_text;
use crate::ledger::{Change, Deleted, Refusal};
use crate::secret::SealedCredentials;
use crate::task::{BandwidthPolicy, Event, ProjectId, Rejection, StartMode, State, TaskId, UnixMillis};

/// The state of a task of a project, read inside a change.
async fn state(tx: &mut Tx, project: &ProjectId, id: TaskId) -> Result<Change<State>> {
    let row = sqlx::query("SELECT state FROM tasks WHERE id = ?1 AND project = ?2")
        .bind(id.get())
        .bind(project.as_str())
        .fetch_optional(&mut **tx)
        .await
        .map_err(translate)?;
    Ok(match row {
        Some(row) => Ok(rows::state(&row)?),
        None => Err(Refusal::Unknown),
    })
}

/// The state now and after `event`.
async fn decide(
    tx: &mut Tx,
    project: &ProjectId,
    id: TaskId,
    event: Event,
) -> Result<Change<(State, State)>> {
    let old = state(tx, project, id).await?;
    Ok(old.and_then(|old| {
        let new = old.apply(event).map_err(Refusal::State)?;
        Ok((old, new))
    }))
}

pub(super) async fn start(
    ledger: &Database,
    project: &ProjectId,
    id: TaskId,
    mode: StartMode,
    credentials: SealedCredentials,
) -> Result<Change<()>> {
    let mut tx = ledger.begin().await?;
    let (old, new) = match decide(&mut tx, project, id, Event::Start).await? {
        Ok(states) => states,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if mode == StartMode::FailedOnly
        && let Err(refusal) = has_failures(&mut tx, id).await?
    {
        return Ok(Err(refusal));
    }
    // The fencing token (`attempt`) grows here too, so that an earlier worker can no longer write to the task.
    let update = sqlx::query(
        "UPDATE tasks SET state = ?3, mode = ?4, epoch = epoch + 1, attempt = attempt + 1, crashes = 0, \
         reason_code = NULL, reason_message = NULL, ended_at = NULL WHERE id = ?1 AND state = ?2",
    )
    .bind(id.get())
    .bind(old.name())
    .bind(new.name())
    .bind(rows::mode_name(mode));
    one_row(run(&mut tx, update).await?)?;
    let insert = sqlx::query(
        "INSERT INTO credentials (task_id, sealed) VALUES (?1, ?2) \
         ON CONFLICT (task_id) DO UPDATE SET sealed = excluded.sealed",
    )
    .bind(id.get())
    .bind(credentials.0);
    run(&mut tx, insert).await?;
    end(tx).await?;
    Ok(Ok(()))
}

/// Whether the task has failures and all of them are known, as a failed-only start needs. An unfinished failed pass leaves
/// them complete, because only a full pass can leave keys unseen.
async fn has_failures(tx: &mut Tx, id: TaskId) -> Result<Change<()>> {
    let row = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM passes p JOIN tasks t ON t.id = p.task_id AND t.pass = p.number \
         WHERE t.id = ?1 AND t.forgetting = 0 AND (p.finished = 1 OR p.kind = 'failed')) AS complete, \
         EXISTS (SELECT 1 FROM failures WHERE task_id = ?1) AS recorded",
    )
    .bind(id.get())
    .fetch_one(&mut **tx)
    .await
    .map_err(translate)?;
    let complete: bool = row.try_get("complete").map_err(translate)?;
    let recorded: bool = row.try_get("recorded").map_err(translate)?;
    Ok(match (complete, recorded) {
        (false, _) => Err(Refusal::ListIncomplete),
        (true, false) => Err(Refusal::NothingFailed),
        (true, true) => Ok(()),
    })
}

pub(super) async fn stop(
    ledger: &Database,
    project: &ProjectId,
    id: TaskId,
    now: UnixMillis,
) -> Result<Change<State>> {
    let mut tx = ledger.begin().await?;
    let (old, new) = match decide(&mut tx, project, id, Event::Stop).await? {
        Ok(states) => states,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if new.keeps_credentials() {
        let update = sqlx::query("UPDATE tasks SET state = ?3 WHERE id = ?1 AND state = ?2")
            .bind(id.get())
            .bind(old.name())
            .bind(new.name());
        one_row(run(&mut tx, update).await?)?;
        end(tx).await?;
    } else {
        leave(&mut tx, id, (old, new), Until::Now(now), None).await?;
        end(tx).await?;
        ledger.scrub().await;
    }
    Ok(Ok(new))
}

pub(super) async fn set_bandwidth(
    ledger: &Database,
    project: &ProjectId,
    id: TaskId,
    policy: BandwidthPolicy,
) -> Result<Change<()>> {
    let text = bandwidth_to_text(&policy)?;
    let mut tx = ledger.begin().await?;
    match state(&mut tx, project, id).await? {
        Err(refusal) => return Ok(Err(refusal)),
        Ok(State::Succeeded) => return Ok(Err(Refusal::State(Rejection::Complete))),
        Ok(State::Waiting | State::Running | State::Pausing | State::Paused | State::Failed) => {}
    }
    let update = sqlx::query("UPDATE tasks SET bandwidth = ?2 WHERE id = ?1")
        .bind(id.get())
        .bind(text);
    one_row(run(&mut tx, update).await?)?;
    end(tx).await?;
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
    let (old, _) = match decide(&mut tx, project, id, Event::Delete).await? {
        Ok(states) => states,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let left = orphans::leave(&mut tx, id, keys, now).await?;
    tidy::bury(&mut tx, id, old).await?;
    end(tx).await?;
    if old.keeps_credentials() {
        ledger.scrub().await;
    }
    Ok(Ok(left))
}
