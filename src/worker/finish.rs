//! How a worker ends its work on a task.

use super::parts::{PROBE_GRACE, Parts};
use crate::engine;
use crate::engine::context::Context;
use crate::engine::errors::PassError;
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, Result};
use crate::ledger::{Ending, Finished};
use crate::task::{PassInfo, Reason, State, TaskId, Warning};

/// Ends a task whose shards are all closed: aborts the remaining uploads, writes the reports, and records the end. A report
/// that the target refuses is reported and does not block completion.
pub(super) async fn pass(parts: &Parts, ctx: &Context, pass: PassInfo, fencing_token: i64) -> Result<()> {
    let id = ctx.task.id;
    parts.sync_points.reach(SyncPoint::BeforeFinish).await;
    let given_up = async {
        ctx.stop.cancelled().await;
        tokio::time::sleep(PROBE_GRACE).await;
    };
    let aborted = tokio::select! {
        aborted = engine::pass::abort_uploads(ctx) => aborted,
        () = given_up => return drained(parts, id, fencing_token).await,
    };
    match aborted {
        Ok(()) => {
            let list = tokio::select! {
                list = engine::reports::failed::failed_list(ctx, pass) => list?,
                // The pass stays open; the next start ends it.
                () = ctx.stop.cancelled() => return drained(parts, id, fencing_token).await,
            };
            if let Some(list) = list {
                ctx.ledger.set_failed_report(id, fencing_token, &list).await?;
            }
            tokio::select! {
                written = engine::reports::settled::rest(ctx) => written?,
                () = ctx.stop.cancelled() => return drained(parts, id, fencing_token).await,
            }
            match judge_scope(ctx).await {
                Ok(ending) => end(parts, id, fencing_token, ending).await,
                Err(pass_error) => broken(parts, id, fencing_token, pass_error).await,
            }
        }
        // The task keeps its uploads, so that the next start can abort them. After a success there would be no next start.
        Err(PassError::SideError(side_error)) => {
            let side_error = side_error.during("abort an upload");
            broken(parts, id, fencing_token, side_error.into()).await
        }
        Err(pass_error) => broken(parts, id, fencing_token, pass_error).await,
    }
}

/// Ends a task that an error stopped at its end, unless the ledger failed or another worker has the task.
async fn broken(parts: &Parts, id: TaskId, fencing_token: i64, pass_error: PassError) -> Result<()> {
    let reason = match pass_error {
        PassError::SideError(side_error) => side_error.reason(),
        PassError::Internal(error) => engine::errors::internal_error(&error),
        PassError::Ledger(error) => return Err(error),
        PassError::Fenced => return Ok(()),
    };
    end(parts, id, fencing_token, Ending::Broken(reason)).await
}

/// How a complete pass ends: entries of the scope that match nothing become warnings; if nothing matches, the task fails.
async fn judge_scope(ctx: &Context) -> std::result::Result<Ending, PassError> {
    let id = ctx.task.id;
    let most = i64::try_from(Warning::MOST).unwrap_or(i64::MAX);
    let found = ctx
        .ledger
        .found_scope(id, most)
        .await
        .map_err(PassError::Ledger)?;
    let empty = if found.empty_prefixes > 0 {
        ctx.ledger
            .empty_prefixes(id, most)
            .await
            .map_err(PassError::Ledger)?
    } else {
        Vec::new()
    };
    let judgement = engine::scope::judge(&ctx.task.spec, &found, &empty);
    for warning in judgement.warnings {
        ctx.warn(warning).await?;
    }
    ctx.write_repeated_warnings().await?;
    Ok(judgement.reason.map_or(Ending::PassFinished, Ending::PassFailed))
}

/// After a stop: the task is paused if a user asked for that. Otherwise the process is ending, and the task stays running.
pub(super) async fn drained(parts: &Parts, id: TaskId, fencing_token: i64) -> Result<()> {
    match parts.ledger.control(id, parts.worker, parts.clock.now()).await? {
        Some(control) if control.state == State::Pausing => {
            end(parts, id, fencing_token, Ending::Drained).await
        }
        _ => Ok(()),
    }
}

/// A panic outside the pass ends the task. Its text may contain secrets, so only the log of the process has it.
pub(super) async fn panicked(parts: &Parts, id: TaskId, fencing_token: i64) -> Result<()> {
    let text = "the task panicked because of a bug in this program; its log says where";
    let reason = engine::errors::internal_error(&Error::internal(text));
    end(parts, id, fencing_token, Ending::Broken(reason)).await
}

/// Ends the work on a task. Other workers that hold shards of it are asked to leave, and are waited for.
pub(super) async fn end(parts: &Parts, id: TaskId, fencing_token: i64, ending: Ending) -> Result<()> {
    if let Ending::Broken(Reason { kind, message }) = &ending {
        tracing::warn!(task.id = %id, reason = kind.name(), message, "the task cannot continue");
    }
    let mut asked = false;
    loop {
        let now = parts.clock.now();
        let ended = parts
            .ledger
            .finish(id, fencing_token, ending.clone(), now)
            .await?;
        match ended {
            Finished::State(state) => {
                tracing::info!(task.id = %id, state = state.name(), "the work on the task ended");
                return Ok(());
            }
            Finished::Fenced => {
                tracing::warn!(task.id = %id, fencing_token, "another worker has the task");
                return Ok(());
            }
            Finished::Held => {}
        }
        if !asked && let Ending::Broken(reason) = &ending {
            parts.ledger.report_trouble(id, parts.worker, reason).await?;
            asked = true;
        }
        tokio::time::sleep(parts.tuning.lease.look_again).await;
    }
}
