//! One pass of a task: leases its shards, runs several at a time, and decides how the pass ends.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::context::{Context, Role};
use crate::engine::copy::upload;
use crate::engine::errors::{PassError, internal_error};
use crate::engine::listing::estimate;
use crate::engine::reports::settled;
use crate::engine::running::Running;
use crate::error::Error;
use crate::ledger::ShardScope;
use crate::task::{Reason, TaskSpec};

/// How a pass ended.
#[derive(Debug)]
pub enum PassEnd {
    /// Every shard is closed.
    Finished,
    /// It was stopped. Every settled outcome is committed.
    Stopped,
    /// It cannot continue.
    Broken(Reason),
    /// The ledger failed; the task is to be leased again later.
    Ledger(Error),
    /// Another worker has the task, or shards of it were put together and are to be leased again.
    Fenced,
}

/// The shards of a new full pass: one for each prefix, and one for the single keys or the manifest.
#[must_use]
pub fn shards(spec: &TaskSpec) -> Vec<ShardScope> {
    let mut shards: Vec<ShardScope> = spec
        .scope
        .prefixes()
        .into_iter()
        .map(ShardScope::Prefix)
        .collect();
    let scope = &spec.scope;
    if scope.list_file().is_some() || !scope.single_keys().is_empty() || !scope.covered_keys().is_empty() {
        shards.push(ShardScope::Keys);
    }
    shards
}

/// Runs all open shards of the task's last pass. While they wait for their listings, more of them run, or they are split.
/// The shard `first` is leased before the others, if it is free.
pub async fn run_pass(ctx: Arc<Context>, first: Option<i64>) -> PassEnd {
    let _survey = (ctx.role != Role::Member)
        .then(|| AbortOnDropHandle::new(tokio::spawn(estimate::run(Arc::clone(&ctx)))));
    let over = CancellationToken::new();
    let lists = AbortOnDropHandle::new(tokio::spawn(settled::run(Arc::clone(&ctx), over.clone())));
    let mut running = Running::new(Arc::clone(&ctx), first);
    let mut tick = interval(ctx.tuning.ranges.look_every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut end = PassEnd::Finished;
    loop {
        let leased = running.lease().await;
        let pass_error = match leased {
            Err(pass_error) => pass_error,
            Ok(()) => tokio::select! {
                biased;
                ended = running.next() => match ended {
                    // Shards of other workers may become free. A worker that takes part may come back.
                    None if running.others_hold() && ctx.role != Role::Member && !ctx.stop.is_cancelled() => {
                        tokio::select! {
                            () = ctx.stop.cancelled() => {}
                            () = tokio::time::sleep(ctx.tuning.lease.look_again) => {}
                        }
                        running.look_again(Instant::now());
                        continue;
                    }
                    None => break,
                    Some(Ok(())) => continue,
                    Some(Err(pass_error)) => pass_error,
                },
                _ = tick.tick(), if !ctx.stop.is_cancelled() => {
                    running.look(Instant::now());
                    running.look_again(Instant::now());
                    continue;
                }
            },
        };
        if matches!(end, PassEnd::Finished) {
            end = match pass_error {
                PassError::SideError(side_error) => PassEnd::Broken(side_error.reason()),
                PassError::Ledger(error) => PassEnd::Ledger(error),
                PassError::Internal(error) => PassEnd::Broken(internal_error(&error)),
                PassError::Fenced => PassEnd::Fenced,
            };
        }
        // The other shards commit what is settled and begin nothing new.
        ctx.stop.cancel();
        ctx.abort.cancel();
    }
    over.cancel();
    if let (PassEnd::Fenced, Some(reason)) = (&end, ctx.end_reason.get()) {
        end = PassEnd::Broken(reason.clone());
    }
    let end = match (end, lists.await) {
        (PassEnd::Finished, Err(panic)) => {
            let error = Error::internal("writing the lists of objects panicked");
            PassEnd::Broken(internal_error(&error.with_source(panic)))
        }
        (PassEnd::Finished, Ok(Err(error))) => PassEnd::Ledger(error),
        (PassEnd::Finished, Ok(Ok(()))) if ctx.stop.is_cancelled() => PassEnd::Stopped,
        (end, _) => end,
    };
    match (end, ctx.write_repeated_warnings().await) {
        (PassEnd::Finished | PassEnd::Stopped, Err(PassError::Ledger(error))) => PassEnd::Ledger(error),
        (PassEnd::Finished | PassEnd::Stopped, Err(PassError::Fenced)) => PassEnd::Fenced,
        // Every other end is the first error. It says more than the counts of warnings.
        (end, _) => end,
    }
}

/// Aborts all open uploads of a task that has ended. What cannot be aborted now stays in the ledger.
///
/// # Errors
/// Those of the ledger or the target, after retries.
pub async fn abort_uploads(ctx: &Context) -> Result<(), PassError> {
    for open in ctx.ledger.uploads(ctx.task.id).await.map_err(PassError::Ledger)? {
        upload::give_up(ctx, open).await?;
    }
    Ok(())
}
