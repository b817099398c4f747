//! What is left to do at the target when all shards are closed, before the task ends.

use crate::engine::{self, Context};
use crate::error::Result;

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// The task can end.
    Done,
    /// It was asked to stop: the pass stays open, and ends with the next start.
    Stopped,
}

/// Gives up what uploads are still open, and writes the list of failed objects. What the target refuses here is told of,
/// and keeps no task from ending.
pub(super) async fn finish(ctx: &Context) -> Result<Finish> {
    let id = ctx.task.id;
    if let Err(error) = engine::abort_uploads(ctx).await {
        tracing::warn!(task.id = %id, %error, "open uploads remain at the target");
    }
    let list = tokio::select! {
        list = engine::report::failed_list(ctx) => list?,
        () = ctx.stop.cancelled() => return Ok(Finish::Stopped),
    };
    if let Some(list) = list {
        ctx.store.set_failed_list(id, ctx.attempt, &list).await?;
    }
    Ok(Finish::Done)
}
