//! Begins uploads and aborts them. Aborting is repeated until the target does not know the upload any more, and never affects
//! an upload of another client.
//!
//! The id of an upload is in the ledger before its first part is sent. A crash between the target's answer and that entry
//! leaves an upload with an unknown id. Before each upload is requested, the ledger records the uploads that others have open
//! under the same key. The lost upload is found with this record: it is newer and has no part. If more than one upload fits,
//! none is aborted, because they cannot be distinguished. All are reported, and the bucket's lifecycle rule must remove ours.
//! In only one case is an upload of another client taken for ours: it was begun under the same key after the record was made,
//! has no part yet, and ours was never begun.

use crate::engine::context::Context;
use crate::engine::copy::metadata_fallback::Refusals;
use crate::engine::errors::{PassError, written};
use crate::engine::retry::{self, At as _, Pace, SideError};
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{OpenUpload, Owner};
use crate::object::clouds::Side;
use crate::object::{NewObject, SharedStore, UploadId};
use crate::task::Key;

/// Maximum number of other uploads under one key that are recorded. If there are more, a lost upload is not searched.
const MAX_FOREIGN_UPLOADS: usize = 100;

/// The uploads that others have open under a key, before ours is requested; `None` if the target does not list them.
pub(in crate::engine) async fn foreign_uploads(ctx: &Context, key: &Key) -> Option<Vec<String>> {
    let found = retry::run(ctx.tuning.pace, || ctx.target.list_uploads(key)).await;
    match found {
        Ok(found) if found.len() <= MAX_FOREIGN_UPLOADS => Some(found.into_iter().map(|id| id.0).collect()),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(task.id = %ctx.task.id, ?key, %error, "the open uploads of the key cannot be listed");
            None
        }
    }
}

/// Records an upload that is about to begin, or has begun, at the target.
async fn note(ctx: &Context, upload: &OpenUpload) -> Result<(), PassError> {
    written(ctx.ledger.put_upload(ctx.task.id, ctx.writer(), upload).await)
}

/// Begins an upload. The ledger records the intent, with the uploads that others have open under the key, before the upload is
/// requested. It records the id before the first part is sent. So after a crash every upload is known.
pub(in crate::engine) async fn begin(
    ctx: &Context,
    key: &Key,
    intent: OpenUpload,
    new: &NewObject,
    refusals: &Refusals,
) -> Result<UploadId, PassError> {
    note(ctx, &intent).await?;
    let intent = OpenUpload {
        foreign_uploads: foreign_uploads(ctx, key).await,
        ..intent
    };
    note(ctx, &intent).await?;
    let answer = ctx.target.create_upload(key, new).await;
    let upload = refusals.observe(new, answer).at_target()?;
    ctx.sync_points.reach(SyncPoint::UploadCreated).await;
    let record = OpenUpload {
        upload_id: Some(upload.0.clone()),
        foreign_uploads: None,
        ..intent
    };
    note(ctx, &record).await?;
    ctx.sync_points.reach(SyncPoint::UploadRecorded).await;
    Ok(upload)
}

/// If an upload vanished while its parts were sent, the next attempt of the object begins a new one.
pub(in crate::engine) fn forget_if_gone(pass_error: PassError, upload: &UploadId) -> PassError {
    match pass_error {
        PassError::SideError(SideError {
            side: Side::Target,
            error,
            ..
        }) if error.kind() == ErrorKind::UploadNotFound => {
            let text = format!("the upload {} is gone", upload.0);
            SideError::target(Error::new(ErrorKind::Unavailable, text)).into()
        }
        other => other,
    }
}

/// Aborts an upload of the task, also one whose id was lost in a crash.
pub(in crate::engine) async fn give_up(ctx: &Context, open: OpenUpload) -> Result<(), PassError> {
    let key = ctx.target_key(&open.key);
    match open.upload_id {
        Some(id) => abort(ctx, &key, &open.key, &UploadId(id)).await,
        None => abort_unknown(ctx, &key, &open.key, open.foreign_uploads.as_deref()).await,
    }
}

/// Handles an upload that was requested, when it is unknown whether the target began it. It is searched for, and aborted if it
/// is certain that it is ours.
pub(in crate::engine) async fn abort_unknown(
    ctx: &Context,
    target_key: &Key,
    source_key: &Key,
    foreign_uploads: Option<&[String]>,
) -> Result<(), PassError> {
    match lost(&ctx.target, target_key, foreign_uploads).await {
        Ok(found) => {
            let mut ours = Vec::new();
            for upload in found {
                let owner = ctx.ledger.upload_owner(target_key, &upload.0).await;
                match owner.map_err(PassError::Ledger)? {
                    Owner::Task => {}
                    // It was this task that requested one.
                    Owner::Unknown | Owner::Nobody => ours.push(upload),
                }
            }
            if let Some(upload) = only_one(ours) {
                abort(ctx, target_key, source_key, &upload).await?;
            } else {
                tracing::warn!(task.id = %ctx.task.id, key = ?target_key, "an upload may have been left open");
            }
        }
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            tracing::warn!(task.id = %ctx.task.id, key = ?target_key, %error, "an upload may have been left open");
        }
        Err(error) => return Err(SideError::target(error).into()),
    }
    forget(ctx, source_key).await
}

/// The uploads of a key that may be the lost one: those that are newer than `foreign_uploads` and have no part.
///
/// # Errors
/// Errors of the target. `Unsupported` if it did not list the uploads of others before.
pub async fn lost(
    target: &SharedStore,
    key: &Key,
    foreign_uploads: Option<&[String]>,
) -> Result<Vec<UploadId>> {
    let Some(foreign_uploads) = foreign_uploads else {
        let text = "the target did not list the uploads of others, so ours cannot be identified";
        return Err(Error::new(ErrorKind::Unsupported, text));
    };
    let mut found = Vec::new();
    for upload in target.list_uploads(key).await? {
        if foreign_uploads.contains(&upload.0) {
            continue;
        }
        match target.list_parts(key, &upload).await {
            Ok(parts) if parts.is_empty() => found.push(upload),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::UploadNotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The only upload in the list; `None` if there are several or none.
#[must_use]
pub fn only_one(mut found: Vec<UploadId>) -> Option<UploadId> {
    let one = found.pop();
    one.filter(|_| found.is_empty())
}

/// Removes an upload that no longer exists from the ledger.
pub(in crate::engine) async fn forget(ctx: &Context, source_key: &Key) -> Result<(), PassError> {
    written(
        ctx.ledger
            .remove_upload(ctx.task.id, ctx.writer(), source_key)
            .await,
    )
}

/// Aborts an upload until the target does not know it any more, and removes it from the ledger.
pub(in crate::engine) async fn abort(
    ctx: &Context,
    target_key: &Key,
    source_key: &Key,
    upload: &UploadId,
) -> Result<(), PassError> {
    let gone = until_gone(&ctx.target, ctx.tuning.pace, target_key, upload);
    gone.await.at_target()?;
    forget(ctx, source_key).await
}

/// Aborts an upload, repeatedly, until the target does not know it any more.
///
/// # Errors
/// Those of the target, after retries.
pub async fn until_gone(target: &SharedStore, pace: Pace, key: &Key, upload: &UploadId) -> Result<()> {
    retry::run(pace, || async {
        let ended = match target.abort_upload(key, upload).await {
            // A part that was still on its way may bring an aborted upload back (S3 documentation of AbortMultipartUpload). The
            // upload is gone only when its parts cannot be listed.
            Ok(()) => target.list_parts(key, upload).await.map(drop),
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => {
                let text = "the aborted upload is still there";
                Err(Error::new(ErrorKind::Unavailable, text))
            }
            Err(error) if error.kind() == ErrorKind::UploadNotFound => Ok(()),
            Err(error) => Err(error),
        }
    })
    .await
}
