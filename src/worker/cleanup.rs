//! Cleanup: aborts multipart uploads that deleted tasks left open at their targets.
//!
//! If the ledger kept credentials for an orphaned upload, cleanup tries it at the start of the process, after a deletion, and then in
//! rounds while the credentials are accepted. The others are aborted beside the pass of the next task with the same target bucket.
//! An orphan is deleted from the ledger only when the target says that it is gone, so cleanup may end at any point.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::engine::context::Context;
use crate::engine::copy::upload;
use crate::engine::pass::PassEnd;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Cleanup, Orphan, Orphans, Owner};
use crate::object::{ListVersion, SharedStore};
use crate::task::UnixMillis;

/// Deleted tasks that are cleaned up at the same time.
const TASKS_AT_ONCE: usize = 8;
/// Orphaned uploads of one target that are aborted at the same time.
const ORPHANS_AT_ONCE: usize = 4;
/// Orphans that are read from the ledger at once.
const PAGE: i64 = 100;
/// Longest time for one orphan in a round, so that it does not delay the others.
const ABORT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a task that has ended waits for the orphans that are being aborted beside it.
const GRACE: Duration = Duration::from_secs(5);
/// Time between two rounds, in multiples of the longest wait between two attempts: a minute.
const WAITS_PER_ROUND: u32 = 6;
/// Shortest time between two rounds.
const CLOSEST: Duration = Duration::from_millis(100);

/// Cleans up until `stop`. `left_open` wakes it when a task was deleted whose credentials the ledger kept.
pub(super) async fn run(parts: Arc<Parts>, left_open: Arc<Notify>, stop: CancellationToken) {
    let round = (parts.tuning.pace.longest * WAITS_PER_ROUND).max(CLOSEST);
    let mut tick = interval(round);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                Ok(()) => {}
                Err(panic) => tracing::error!(error = %panic, "a cleanup panicked; the next round continues"),
            },
            () = left_open.notified() => {}
            _ = tick.tick() => {}
        }
        while running.len() < TASKS_AT_ONCE {
            match next(&parts, round).await {
                Ok(Some(cleanup)) => running.spawn(with_kept_credentials(Arc::clone(&parts), cleanup)),
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "the ledger cannot be asked for orphaned uploads");
                    break;
                }
            };
        }
    }
    running.shutdown().await;
}

/// Credentials that were not used in this round yet.
async fn next(parts: &Parts, round: Duration) -> Result<Option<Cleanup>> {
    let now = parts.clock.now();
    let round = i64::try_from(round.as_millis()).unwrap_or(i64::MAX);
    let before = UnixMillis(now.0.saturating_sub(round));
    parts.ledger.take_cleanup(now, before).await
}

/// One round over the orphans of a deleted task.
async fn with_kept_credentials(parts: Arc<Parts>, cleanup: Cleanup) {
    let task = cleanup.task;
    let cleaned = match target(&parts, &cleanup).await {
        Ok(Some(target)) => abort_all(&parts, &target, Orphans::Of(task)).await,
        Ok(None) => Ok(Tally::default()),
        Err(error) => Err(error),
    };
    match cleaned {
        Ok(tally) if tally.refused > 0 && tally.gone + tally.left == 0 => {
            tracing::warn!(
                task.id = %task,
                uploads = tally.refused,
                "the credentials do not allow to abort the uploads of the deleted task, and are wiped; the uploads stay until \
                 a task with the same target bucket runs"
            );
            if let Err(error) = parts.ledger.wipe_orphan_keys(task).await {
                tracing::error!(task.id = %task, %error, "the credentials of a deleted task cannot be wiped");
            }
        }
        Ok(_) => {}
        Err(error) => {
            tracing::error!(task.id = %task, %error, "the uploads of a deleted task cannot be cleaned up")
        }
    }
}

/// The target bucket of a deleted task, opened with the kept credentials; `None` if nothing is left to abort. Credentials that
/// cannot be unsealed or used are wiped.
async fn target(parts: &Parts, cleanup: &Cleanup) -> Result<Option<SharedStore>> {
    let first = parts.ledger.orphans(Orphans::Of(cleanup.task), 0, 1).await?;
    let Some(orphan) = first.first() else {
        return Ok(None);
    };
    let connected = parts
        .sealer
        .open(cleanup.task.get(), &cleanup.sealed)
        .and_then(|keys| {
            parts
                .connect
                .connect(&orphan.place, &keys.target, ListVersion::V2)
        });
    match connected {
        Ok(target) => Ok(Some(target)),
        Err(error) => {
            tracing::warn!(task.id = %cleanup.task, %error, "the credentials of a deleted task cannot be used and are wiped");
            parts.ledger.wipe_orphan_keys(cleanup.task).await?;
            Ok(None)
        }
    }
}

/// Runs the pass of a task. At the same time, uses its credentials to abort uploads that deleted tasks left open in its target
/// bucket. An error there does not affect the task. A stop ends this work at once.
pub(super) async fn beside(parts: &Parts, ctx: &Context, pass: impl Future<Output = PassEnd>) -> PassEnd {
    let orphans = async {
        let place = &ctx.task.spec.target;
        let cleaned = tokio::select! {
            cleaned = abort_all(parts, &ctx.target, Orphans::At(place)) => cleaned,
            () = ctx.stop.cancelled() => return,
        };
        if let Err(error) = cleaned {
            tracing::warn!(task.id = %ctx.task.id, %error, "the uploads of deleted tasks cannot be cleaned up");
        }
    };
    tokio::pin!(pass, orphans);
    let end = tokio::select! {
        end = &mut pass => end,
        () = &mut orphans => return pass.await,
    };
    // The next task aborts the remaining orphans.
    timeout(GRACE, orphans).await.unwrap_or_default();
    end
}

/// How many orphans had which outcome.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    gone: u64,
    refused: u64,
    left: u64,
}

/// The outcome for one orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is gone at the target, and deleted from the ledger.
    Gone,
    /// The credentials do not allow to abort it.
    Refused,
    /// It could not be aborted this time.
    Left,
}

/// Tries to abort each orphan once, several at a time.
async fn abort_all(parts: &Parts, target: &SharedStore, which: Orphans<'_>) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut after = 0;
    loop {
        let page = parts.ledger.orphans(which, after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(tally);
        };
        after = last.number;
        let mut outcomes = stream::iter(page)
            .map(|orphan| abort_one(parts, target, orphan))
            .buffer_unordered(ORPHANS_AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            match outcome? {
                Outcome::Gone => tally.gone += 1,
                Outcome::Refused => tally.refused += 1,
                Outcome::Left => tally.left += 1,
            }
        }
    }
}

/// Aborts one orphan and deletes it from the ledger. The error is one of the ledger.
async fn abort_one(parts: &Parts, target: &SharedStore, orphan: Orphan) -> Result<Outcome> {
    let Orphan {
        number, task, key, ..
    } = &orphan;
    let ended = match timeout(ABORT_TIMEOUT, abort(parts, target, &orphan)).await {
        Ok(ended) => ended?,
        Err(_) => Err(Error::new(ErrorKind::Timeout, "it took too long")),
    };
    let error = match ended {
        Ok(()) => {
            parts.ledger.remove_orphan(*number).await?;
            tracing::info!(task.id = %task, ?key, "an upload of a deleted task was aborted");
            return Ok(Outcome::Gone);
        }
        Err(error) => error,
    };
    match error.kind() {
        // Without the bucket there is no upload.
        ErrorKind::BucketNotFound => {
            parts.ledger.remove_orphan(*number).await?;
            tracing::info!(task.id = %task, ?key, "an upload of a deleted task was deleted with its bucket");
            Ok(Outcome::Gone)
        }
        ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => {
            tracing::warn!(task.id = %task, ?key, %error, "the credentials do not allow to abort an upload of a deleted task");
            Ok(Outcome::Refused)
        }
        _ => {
            tracing::warn!(task.id = %task, ?key, %error, "an upload of a deleted task could not be aborted");
            Ok(Outcome::Left)
        }
    }
}

/// Aborts until the target says that the orphan is gone. The outer error is one of the ledger.
async fn abort(parts: &Parts, target: &SharedStore, orphan: &Orphan) -> Result<Result<()>> {
    let pace = parts.tuning.pace;
    let key = &orphan.key;
    if let Some(id) = &orphan.upload_id {
        let upload = crate::object::UploadId(id.clone());
        return Ok(upload::until_gone(target, pace, key, &upload).await);
    }
    let found = match upload::lost(target, key, orphan.foreign_uploads.as_deref()).await {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            tracing::warn!(task.id = %orphan.task, ?key, %error, "an upload may have been left open for good");
            return Ok(Ok(()));
        }
        Err(error) => return Ok(Err(error)),
    };
    let mut ours = Vec::new();
    for upload in found {
        match parts.ledger.upload_owner(key, &upload.0).await? {
            // Another task has it, so it is not the one that was being created.
            Owner::Task => {}
            Owner::Unknown => {
                let text = "a running task has just requested an upload of this key";
                return Ok(Err(Error::new(ErrorKind::Conflict, text)));
            }
            Owner::Nobody => ours.push(upload),
        }
    }
    let many = ours.len();
    match upload::only_one(ours) {
        Some(upload) => Ok(upload::until_gone(target, pace, key, &upload).await),
        None if many == 0 => Ok(Ok(())),
        None => {
            tracing::warn!(task.id = %orphan.task, ?key, uploads = many, "one of these uploads may have been left open for good");
            Ok(Ok(()))
        }
    }
}
