//! Workers lease tasks and leave them.

use super::database::{Database, Tx, end, run};
use super::error::{misuse, translate};
use super::head::{Head, Until, head, leave, one_row};
use super::rows::{self, get, select_tasks};
use super::{crashes, lists, orphans};
use crate::error::{Error, Result, counted};
use crate::ledger::{Ending, LeasedTask};
use crate::secret::SealedCredentials;
use crate::task::{Counters, Event, Reason, State, TaskId, UnixMillis, reasons};

pub(super) async fn lease_task(ledger: &Database, id: TaskId, now: UnixMillis) -> Result<Option<LeasedTask>> {
    let mut tx = ledger.begin().await?;
    let Some(head) = head(&mut tx, id).await? else {
        return Ok(None);
    };
    let Ok(new) = head.state.apply(Event::Lease) else {
        return Ok(None);
    };
    // A task that is already running has lost its worker. Its run time counts up to its last commit.
    let update = sqlx::query(
        "UPDATE tasks SET state = ?3, attempt = attempt + 1, started_at = coalesce(started_at, ?4), \
         ran_for = ran_for + coalesce(max(seen_at - running_since, 0), 0), \
         running_since = ?4, seen_at = ?4, speed = 0, held = 1 WHERE id = ?1 AND state = ?2",
    )
    .bind(id.get())
    .bind(head.state.name())
    .bind(new.name())
    .bind(now.0);
    one_row(run(&mut tx, update).await?)?;
    let row = sqlx::query(select_tasks!("WHERE t.id = ?1"))
        .bind(id.get())
        .fetch_one(&mut *tx)
        .await
        .map_err(translate)?;
    let sealed = sqlx::query("SELECT sealed FROM credentials WHERE task_id = ?1")
        .bind(id.get())
        .fetch_optional(&mut *tx)
        .await
        .map_err(translate)?;
    let leased = LeasedTask {
        task: rows::task(&row)?,
        credentials: sealed
            .map(|row| get(&row, "sealed").map(SealedCredentials))
            .transpose()?,
        fencing_token: get(&row, "attempt")?,
        mode: rows::mode(&row)?,
    };
    end(tx).await?;
    Ok(Some(leased))
}

pub(super) async fn finish(
    ledger: &Database,
    id: TaskId,
    attempt: i64,
    ending: Ending,
    now: UnixMillis,
) -> Result<Option<State>> {
    let mut tx = ledger.begin().await?;
    let Some(head) = head(&mut tx, id).await?.filter(|head| head.attempt == attempt) else {
        return Ok(None);
    };
    let pass_finished = matches!(ending, Ending::PassFinished | Ending::PassFailed(_));
    let (event, reason) = match ending {
        Ending::Drained => (Event::Drain, None),
        Ending::Broken(reason) => (Event::Fail, Some(reason)),
        Ending::PassFinished => verdict(head.counters()?),
        Ending::PassFailed(reason) => match verdict(head.counters()?) {
            (Event::Fail, Some(defect)) if defect.code == reasons::SYSTEM_ERROR => {
                (Event::Fail, Some(defect))
            }
            _ => (Event::Fail, Some(reason)),
        },
    };
    let Ok(new) = head.state.apply(event) else {
        return Ok(None);
    };
    if pass_finished {
        close_pass(&mut tx, id, &head, now).await?;
    }
    if new == State::Succeeded {
        lists::forget_lines(&mut tx, id).await?;
    }
    leave(&mut tx, id, (head.state, new), Until::Now(now), reason.as_ref()).await?;
    end(tx).await?;
    ledger.scrub().await;
    Ok(Some(new))
}

/// The result of a pass whose shards are all closed.
fn verdict(counters: Counters) -> (Event, Option<Reason>) {
    let Counters {
        listed,
        copied,
        skipped,
        gone,
        failed,
        ..
    } = counters;
    let reason = |code: &str, message: String| {
        let code = code.to_owned();
        (Event::Fail, Some(Reason { code, message }))
    };
    if !counters.balanced() {
        let text = format!(
            "counters do not balance: {listed} listed, but {copied} copied, {skipped} skipped, {gone} gone \
             and {failed} failed"
        );
        reason(reasons::SYSTEM_ERROR, text)
    } else if failed > 0 {
        reason(
            reasons::OBJECTS_FAILED,
            format!("{} failed", counted(failed, "object", "objects")),
        )
    } else {
        (Event::Succeed, None)
    }
}

/// Marks the last pass as finished, even if the counters do not balance. Resuming it would end the same way for ever, but a
/// new full pass counts from zero.
async fn close_pass(tx: &mut Tx, id: TaskId, head: &Head, now: UnixMillis) -> Result<()> {
    let Some(pass) = head.pass()?.filter(|pass| !pass.finished) else {
        return Err(misuse("a pass was reported as finished, but none is open"));
    };
    let open = sqlx::query("SELECT 1 FROM shards WHERE task_id = ?1 AND pass = ?2 AND closed = 0 LIMIT 1")
        .bind(id.get())
        .bind(pass.number)
        .fetch_optional(&mut **tx)
        .await
        .map_err(translate)?;
    if open.is_some() {
        return Err(misuse("a pass was reported as finished, but a shard is open"));
    }
    let update =
        sqlx::query("UPDATE passes SET finished = 1, finished_at = ?3 WHERE task_id = ?1 AND number = ?2")
            .bind(id.get())
            .bind(pass.number)
            .bind(now.0);
    run(tx, update).await.map(drop)
}

pub(super) async fn recover(ledger: &Database) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let pausing = sqlx::query("SELECT id FROM tasks WHERE state = 'pausing'")
        .fetch_all(&mut *tx)
        .await
        .map_err(translate)?;
    for row in &pausing {
        let paused = State::Pausing
            .apply(Event::Drain)
            .map_err(|_| Error::internal("a pausing task cannot be paused"))?;
        let states = (State::Pausing, paused);
        leave(&mut tx, rows::task_id(row)?, states, Until::LastSeen, None).await?;
    }
    let ended = crashes::count_all(&mut tx).await?;
    orphans::recover(&mut tx).await?;
    end(tx).await?;
    if !pausing.is_empty() || ended > 0 {
        ledger.scrub().await;
    }
    Ok(())
}

pub(super) async fn release(ledger: &Database, id: TaskId) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let Some(head) = head(&mut tx, id).await? else {
        return Ok(());
    };
    let Ok(paused) = head.state.apply(Event::Drain) else {
        return Ok(());
    };
    leave(&mut tx, id, (head.state, paused), Until::LastSeen, None).await?;
    end(tx).await?;
    ledger.scrub().await;
    Ok(())
}

pub(super) async fn pause(ledger: &Database, id: TaskId) -> Result<()> {
    let mut tx = ledger.begin().await?;
    let Some(head) = head(&mut tx, id).await? else {
        return Ok(());
    };
    let asked = match head.state {
        State::Running => head.state.apply(Event::Stop),
        state => Ok(state),
    };
    let Ok(paused) = asked.and_then(|asked| asked.apply(Event::Drain)) else {
        return Ok(());
    };
    leave(&mut tx, id, (head.state, paused), Until::LastSeen, None).await?;
    end(tx).await?;
    ledger.scrub().await;
    Ok(())
}
