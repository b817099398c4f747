//! Giving up uploads: again and again until the target knows them no more.

use super::copy::target_key;
use super::retry::{self, At as _, Pace, Trouble};
use super::{Context, Halt};
use crate::error::{Error, ErrorKind};
use crate::object::{SharedStore, UploadId};
use crate::store::OpenUpload;
use crate::task::Key;

/// Gives up an upload of the task, or, where a crash came before its id was written down, every upload of its key.
pub(super) async fn give_up(ctx: &Context, open: OpenUpload) -> Result<(), Halt> {
    let key = target_key(ctx, &open.key);
    match open.upload_id {
        Some(id) => abort(ctx, &key, &open.key, &UploadId(id)).await,
        None => abort_unknown(ctx, &key, &open.key).await,
    }
}

/// An upload was asked for, and whether the target began it is not known: all uploads of just this key are given up.
pub(super) async fn abort_unknown(ctx: &Context, target_key: &Key, source_key: &Key) -> Result<(), Halt> {
    match ctx.target.list_uploads(target_key).await {
        Ok(found) => {
            for upload in found {
                abort(ctx, target_key, source_key, &upload).await?;
            }
        }
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            tracing::warn!(task.id = %ctx.task.id, key = ?target_key, %error, "an upload may have been left open");
        }
        Err(error) => return Err(Trouble::target(error).into()),
    }
    forget(ctx, source_key).await
}

/// Takes an upload that is no more out of the ledger.
pub(super) async fn forget(ctx: &Context, source_key: &Key) -> Result<(), Halt> {
    let removed = ctx.store.remove_upload(ctx.task.id, source_key).await;
    removed.map_err(Halt::Ledger)
}

/// Gives an upload up, again and again until the target knows it no more, and forgets it.
pub(super) async fn abort(
    ctx: &Context,
    target_key: &Key,
    source_key: &Key,
    upload: &UploadId,
) -> Result<(), Halt> {
    let gone = until_gone(&ctx.target, ctx.tuning.pace, target_key, upload);
    gone.await.at_target()?;
    forget(ctx, source_key).await
}

/// Gives an upload up, again and again until the target knows it no more.
///
/// # Errors
/// Those of the target, after retries.
pub async fn until_gone(
    target: &SharedStore,
    pace: Pace,
    key: &Key,
    upload: &UploadId,
) -> crate::error::Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        let result = match target.abort_upload(key, upload).await {
            // A part that was still on its way may bring an aborted upload back (S3 documentation of
            // AbortMultipartUpload): it is gone only when its parts cannot be listed.
            Ok(()) => match target.list_parts(key, upload).await {
                Ok(_) => Err(Error::new(
                    ErrorKind::Unavailable,
                    "the aborted upload is still there",
                )),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        match result {
            Err(error) if error.kind() == ErrorKind::UploadNotFound => return Ok(()),
            Err(error) => match retry::delay(pace, &error, tries, rand::random()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.with_tries(tries)),
            },
            Ok(()) => {}
        }
    }
}
