//! The lists of copied and skipped objects at the target. Their files consist of the lines that commits stored in the ledger,
//! oldest first.
//!
//! While a pass runs, a file is written whenever enough lines of a list are waiting, so that the ledger does not grow with the
//! number of objects. The end of the pass writes the rest. The name of a file comes from its oldest lines, and the lines are
//! deleted only when the target has the file. So after a crash the same file is written again, beginning with the same lines.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::engine::context::Context;
use crate::engine::reports::failed::{measure, place, put};
use crate::engine::sync_points::SyncPoint;
use crate::error::Result;
use crate::ledger::Committed;
use crate::task::{Key, ReportKind, UnixMillis};

/// Maximum number of chunks in a file: if objects take long, there are many small chunks.
const CHUNKS: usize = 4096;

/// Writes the files of a running pass until the pass is stopped or `over`. A file that was begun before `over` is finished, so
/// that no write is under way when the rest is written.
///
/// # Errors
/// Errors of the ledger. They also stop the pass, because without these files the ledger would grow without limit.
pub async fn run(ctx: Arc<Context>, over: CancellationToken) -> Result<()> {
    if !ctx.task.spec.record_settled {
        return Ok(());
    }
    let ended = full_files(&ctx, &over).await;
    if ended.is_err() {
        ctx.stop.cancel();
    }
    ended
}

async fn full_files(ctx: &Context, over: &CancellationToken) -> Result<()> {
    let limits = ctx.tuning.lists;
    let mut wait = limits.look_every;
    loop {
        tokio::select! {
            biased;
            () = ctx.stop.cancelled() => return Ok(()),
            () = over.cancelled() => return Ok(()),
            () = tokio::time::sleep(wait) => wait = limits.look_every,
        }
        for &kind in ReportKind::ALL {
            while let Some(file) = next(ctx, kind).await?.filter(|file| file.is_full(limits.file)) {
                let written = tokio::select! {
                    written = write(ctx, &file) => written?,
                    () = ctx.stop.cancelled() => return Ok(()),
                };
                if written == Written::No {
                    wait = limits.refused;
                    break;
                }
            }
        }
    }
}

/// Writes what is left at the end of a pass.
///
/// # Errors
/// Those of the ledger. If the target refuses a list, this is reported in the task, and the objects are not affected.
pub async fn rest(ctx: &Context) -> Result<()> {
    for &kind in ReportKind::ALL {
        while let Some(file) = next(ctx, kind).await? {
            if write(ctx, &file).await? == Written::No {
                break;
            }
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    No,
}

/// A file to write: the oldest chunks of a list.
struct File {
    kind: ReportKind,
    first: UnixMillis,
    rest: Vec<UnixMillis>,
    bytes: i64,
}

impl File {
    fn is_full(&self, bytes: i64) -> bool {
        self.rest.len() + 1 >= CHUNKS || self.bytes >= bytes
    }
}

/// The oldest waiting lines of a report: enough for a full file, or all.
async fn next(ctx: &Context, kind: ReportKind) -> Result<Option<File>> {
    let limit = i64::try_from(CHUNKS).unwrap_or(i64::MAX);
    let mut waiting = ctx
        .ledger
        .report_chunks(ctx.task.id, kind, limit)
        .await?
        .into_iter();
    let Some(first) = waiting.next() else {
        return Ok(None);
    };
    let mut file = File {
        kind,
        first: first.stamp,
        rest: Vec::new(),
        bytes: first.bytes,
    };
    for chunk in waiting {
        if file.is_full(ctx.tuning.lists.file) {
            break;
        }
        file.rest.push(chunk.stamp);
        file.bytes += chunk.bytes;
    }
    Ok(Some(file))
}

/// Writes a file and deletes its lines from the ledger.
async fn write(ctx: &Context, file: &File) -> Result<Written> {
    let id = ctx.task.id;
    let key = place(&ctx.task.name, file.kind.name(), file.first);
    let body = || lines(ctx, file);
    let size = measure(body()).await?;
    if size.length == 0 {
        return Ok(Written::Yes);
    }
    if let Err(error) = put(ctx, &Key::from(key.as_str()), size, body).await {
        tracing::warn!(task.id = %id, key, %error, "a list of objects cannot be written");
        let most = ctx.tuning.lists.most;
        ctx.ledger
            .report_refused(id, ctx.fencing_token, file.kind, most)
            .await?;
        return Ok(Written::No);
    }
    ctx.sync_points.reach(SyncPoint::ListWritten).await;
    let last = *file.rest.last().unwrap_or(&file.first);
    match ctx
        .ledger
        .report_written(id, ctx.fencing_token, file.kind, last)
        .await?
    {
        Committed::Done => Ok(Written::Yes),
        // The worker that has the task now writes it again.
        Committed::Fenced | Committed::TooManyFailures => Ok(Written::No),
    }
}

/// The lines of a file, one chunk at a time, without those of a shard that began again meanwhile.
fn lines(ctx: &Context, file: &File) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let (store, id, kind) = (ctx.ledger.clone(), ctx.task.id, file.kind);
    let stamps = file.rest.clone();
    stream::iter(std::iter::once(file.first).chain(stamps))
        .then(move |stamp| {
            let store = store.clone();
            async move { store.report_lines(id, kind, stamp).await }
        })
        .try_filter_map(|lines| std::future::ready(Ok(lines.map(Bytes::from))))
}
