//! How a worker leaves a task.

use super::{PROBE_GRACE, Parts};
use crate::engine::hooks::Point;
use crate::engine::retry::Trouble;
use crate::engine::{self, Context, Halt};
use crate::error::{Error, Result};
use crate::store::Ending;
use crate::task::{PassInfo, Reason, State, TaskId, Warning};

/// All shards are closed: gives up what is left of uploads, writes the lists of objects, and ends the task. A list that the
/// target refuses is told of, and keeps no task from ending.
pub(super) async fn pass(parts: &Parts, ctx: &Context, pass: PassInfo, attempt: i64) -> Result<()> {
    let id = ctx.task.id;
    parts.hooks.reach(Point::BeforeFinish).await;
    let given_up = async {
        ctx.stop.cancelled().await;
        tokio::time::sleep(PROBE_GRACE).await;
    };
    let aborted = tokio::select! {
        aborted = engine::abort_uploads(ctx) => aborted,
        () = given_up => return drained(parts, id, attempt).await,
    };
    match aborted {
        Ok(()) => {
            let list = tokio::select! {
                list = engine::report::failed_list(ctx, pass) => list?,
                // The pass stays open, and ends with the next start.
                () = ctx.stop.cancelled() => return drained(parts, id, attempt).await,
            };
            if let Some(list) = list {
                ctx.store.set_failed_list(id, attempt, &list).await?;
            }
            tokio::select! {
                written = engine::spool::rest(ctx) => written?,
                () = ctx.stop.cancelled() => return drained(parts, id, attempt).await,
            }
            match judge_scope(ctx).await {
                Ok(ending) => end(parts, id, attempt, ending).await,
                Err(Halt::Ledger(error)) => Err(error),
                Err(Halt::Defect(error)) => {
                    end(parts, id, attempt, Ending::Broken(engine::defect(&error))).await
                }
                Err(Halt::Fenced | Halt::Trouble(_)) => Ok(()),
            }
        }
        // The task keeps the uploads, and the next start ends here again; once it has succeeded nobody could.
        Err(Halt::Trouble(Trouble { side, error })) => {
            let trouble = Trouble {
                side,
                error: error.during("give up an upload"),
            };
            end(parts, id, attempt, Ending::Broken(trouble.reason())).await
        }
        Err(Halt::Ledger(error)) => Err(error),
        Err(Halt::Defect(error)) => end(parts, id, attempt, Ending::Broken(engine::defect(&error))).await,
        Err(Halt::Fenced) => Ok(()),
    }
}

/// How a pass ends that is through: what of the scope matches nothing is warned of, and when nothing does the task fails.
async fn judge_scope(ctx: &Context) -> std::result::Result<Ending, Halt> {
    let id = ctx.task.id;
    let most = i64::try_from(Warning::MOST).unwrap_or(i64::MAX);
    let found = ctx.store.found_scope(id, most).await.map_err(Halt::Ledger)?;
    let empty = if found.empty_prefixes > 0 {
        ctx.store.empty_prefixes(id, most).await.map_err(Halt::Ledger)?
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

/// After a stop: paused if a user asked for it; otherwise the process is going down, and the task stays running.
pub(super) async fn drained(parts: &Parts, id: TaskId, attempt: i64) -> Result<()> {
    match parts.store.control(id).await? {
        Some(control) if control.state == State::Pausing => end(parts, id, attempt, Ending::Drained).await,
        _ => Ok(()),
    }
}

/// A panic outside of the pass ends the task. Its text may hold anything and is not shown; the log of the process has it.
pub(super) async fn panicked(parts: &Parts, id: TaskId, attempt: i64) -> Result<()> {
    let text = "working on the task panicked, which is a defect of this program; its log says where";
    let reason = engine::defect(&Error::internal(text));
    end(parts, id, attempt, Ending::Broken(reason)).await
}

pub(super) async fn end(parts: &Parts, id: TaskId, attempt: i64, ending: Ending) -> Result<()> {
    if let Ending::Broken(Reason { code, message }) = &ending {
        tracing::warn!(task.id = %id, code, message, "the task cannot go on");
    }
    match parts.store.finish(id, attempt, ending, parts.clock.now()).await? {
        Some(state) => tracing::info!(task.id = %id, state = state.name(), "task left"),
        None => tracing::warn!(task.id = %id, attempt, "another worker has the task"),
    }
    Ok(())
}
