//! The lists of copied and skipped objects at the target. Their files consist of the lines that commits stored in the ledger,
//! oldest first.
//!
//! While a pass runs, a file is written whenever enough lines of a list are waiting, so that the ledger does not grow with the
//! number of objects. The end of the pass writes the rest. The ledger decides which lines a file has before it is written, and
//! deletes them only when the target has the file. So after a crash the same file is written again.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::engine::context::{Context, Role};
use crate::engine::reports::failed::{measure, place, put};
use crate::engine::sync_points::SyncPoint;
use crate::error::Result;
use crate::ledger::{Committed, FileSize, Fullness, ReportFile};
use crate::task::{Key, ReportKind};

/// Maximum number of chunks in a file: if objects take long, there are many small chunks.
const CHUNKS: i64 = 4096;

/// Writes the files of a running pass until the pass is stopped or `over`. A file that was begun before `over` is finished, so
/// that no write is under way when the rest is written.
///
/// # Errors
/// Errors of the ledger. They also stop the pass, because without these files the ledger would grow without limit.
pub async fn run(ctx: Arc<Context>, over: CancellationToken) -> Result<()> {
    if !ctx.task.spec.record_settled || ctx.role == Role::Member {
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
            while let Some(file) = next(ctx, kind, Fullness::Full).await? {
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
        while let Some(file) = next(ctx, kind, Fullness::Any).await? {
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

/// A file to write.
struct File {
    kind: ReportKind,
    lines: ReportFile,
}

/// The next file of a report.
async fn next(ctx: &Context, kind: ReportKind, fullness: Fullness) -> Result<Option<File>> {
    let Role::Coordinator(fencing_token) = ctx.role else {
        return Ok(None);
    };
    let size = FileSize {
        bytes: ctx.tuning.lists.file,
        chunks: CHUNKS,
    };
    let now = ctx.clock.now();
    let file = ctx
        .ledger
        .report_file(ctx.task.id, fencing_token, kind, size, fullness, now);
    Ok(file.await?.map(|lines| File { kind, lines }))
}

/// Writes a file and deletes its lines from the ledger.
async fn write(ctx: &Context, file: &File) -> Result<Written> {
    let id = ctx.task.id;
    let Role::Coordinator(fencing_token) = ctx.role else {
        return Ok(Written::No);
    };
    let key = place(&ctx.task.name, file.kind.name(), file.lines.number);
    let body = || lines(ctx, file);
    let size = measure(body()).await?;
    if size.length == 0 {
        // The lines were taken back, because their shard began again.
        return Ok(Written::Yes);
    }
    if let Err(error) = put(ctx, &Key::from(key.as_str()), size, body).await {
        tracing::warn!(task.id = %id, key, %error, "a list of objects cannot be written");
        let most = ctx.tuning.lists.most;
        ctx.ledger
            .report_refused(id, fencing_token, file.kind, most)
            .await?;
        return Ok(Written::No);
    }
    ctx.sync_points.reach(SyncPoint::ListWritten).await;
    match ctx
        .ledger
        .report_written(id, fencing_token, file.kind, file.lines.number)
        .await?
    {
        Committed::Done => Ok(Written::Yes),
        // The worker that has the task now writes it again.
        Committed::Fenced | Committed::TooManyFailures => Ok(Written::No),
    }
}

/// The lines of a file, one chunk at a time, without those of a shard that began again meanwhile.
fn lines(ctx: &Context, file: &File) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
    let (store, id) = (ctx.ledger.clone(), ctx.task.id);
    stream::iter(file.lines.chunks.clone())
        .then(move |chunk| {
            let store = store.clone();
            async move { store.report_lines(id, chunk).await }
        })
        .try_filter_map(|lines| std::future::ready(Ok(lines.map(Bytes::from))))
}
