//! Beginning uploads, and aborting them: again and again until the target knows them no more, and never somebody else's.
//!
//! The id of an upload is in the ledger before its first part is sent. A crash between the answer of the target and that
//! entry leaves an upload whose id nobody knows. It is found by what was written down before it was asked for: the uploads
//! that others had open under the same key. Ours came later, and has no part. Where more than one upload fits, none is
//! touched, because nothing tells them apart; all are reported, and the bucket's lifecycle rule has to remove ours. The one
//! case in which an upload of somebody else is taken for ours: it was begun under the same key after we had looked, has no part
//! yet, and ours was never begun.

use crate::engine::context::Context;
use crate::engine::copy::metadata_fallback::Refusals;
use crate::engine::errors::PassError;
use crate::engine::retry::{self, At as _, Pace, SideError};
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{OpenUpload, Owner};
use crate::object::clouds::Side;
use crate::object::{NewObject, SharedStore, UploadId};
use crate::task::Key;

/// Uploads of others under one key that are written down. Where there are more, ours is not looked for.
const MAX_STRANGERS: usize = 100;

/// The uploads that others have open under a key, before one of ours is asked for; `None` where the target does not tell.
pub(in crate::engine) async fn strangers(ctx: &Context, key: &Key) -> Option<Vec<String>> {
    let found = retry::run(ctx.tuning.pace, || ctx.target.list_uploads(key)).await;
    match found {
        Ok(found) if found.len() <= MAX_STRANGERS => Some(found.into_iter().map(|id| id.0).collect()),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(task.id = %ctx.task.id, ?key, %error, "the open uploads of the key cannot be listed");
            None
        }
    }
}

/// Writes down what is about to be begun at the target, or was.
async fn note(ctx: &Context, upload: &OpenUpload) -> Result<(), PassError> {
    let written = ctx.ledger.put_upload(ctx.task.id, upload).await;
    written.map_err(PassError::Ledger)
}

/// Begins an upload. The intent stands in the ledger before it is asked for, with the uploads that others have open under the
/// key, and its id before it gets a part, so that a crash leaves none that is not known.
pub(in crate::engine) async fn begin(
    ctx: &Context,
    key: &Key,
    intent: OpenUpload,
    new: &NewObject,
    refusals: &Refusals,
) -> Result<UploadId, PassError> {
    note(ctx, &intent).await?;
    let intent = OpenUpload {
        strangers: strangers(ctx, key).await,
        ..intent
    };
    note(ctx, &intent).await?;
    let answer = ctx.target.create_upload(key, new).await;
    let upload = refusals.observe(new, answer).at_target()?;
    ctx.sync_points.reach(SyncPoint::UploadCreated).await;
    let record = OpenUpload {
        upload_id: Some(upload.0.clone()),
        strangers: None,
        ..intent
    };
    note(ctx, &record).await?;
    ctx.sync_points.reach(SyncPoint::UploadRecorded).await;
    Ok(upload)
}

/// An upload that vanished while its parts were sent is begun again by the next try of the object.
pub(in crate::engine) fn forget_if_gone(pass_error: PassError, upload: &UploadId) -> PassError {
    match pass_error {
        PassError::SideError(SideError {
            side: Side::Target,
            error,
        }) if error.kind() == ErrorKind::UploadNotFound => {
            let text = format!("the upload {} is gone", upload.0);
            SideError::target(Error::new(ErrorKind::Unavailable, text)).into()
        }
        other => other,
    }
}

/// Aborts an upload of the task, also one whose id a crash has lost.
pub(in crate::engine) async fn give_up(ctx: &Context, open: OpenUpload) -> Result<(), PassError> {
    let key = ctx.target_key(&open.key);
    match open.upload_id {
        Some(id) => abort(ctx, &key, &open.key, &UploadId(id)).await,
        None => abort_unknown(ctx, &key, &open.key, open.strangers.as_deref()).await,
    }
}

/// An upload was asked for, and whether the target began it is not known: it is looked for, and aborted where it is certain.
pub(in crate::engine) async fn abort_unknown(
    ctx: &Context,
    target_key: &Key,
    source_key: &Key,
    strangers: Option<&[String]>,
) -> Result<(), PassError> {
    match lost(&ctx.target, target_key, strangers).await {
        Ok(found) => {
            let mut ours = Vec::new();
            for upload in found {
                let holder = ctx.ledger.holder(target_key, &upload.0).await;
                match holder.map_err(PassError::Ledger)? {
                    Owner::Task => {}
                    // It is this task that has asked for one.
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

/// The uploads of a key that may be one whose id was lost: those that came after `strangers`, and have no part.
///
/// # Errors
/// Those of the target; `Unsupported` where it did not tell the uploads of others before.
pub async fn lost(target: &SharedStore, key: &Key, strangers: Option<&[String]>) -> Result<Vec<UploadId>> {
    let Some(strangers) = strangers else {
        let text = "the target did not tell the uploads of others, so that ours cannot be told from them";
        return Err(Error::new(ErrorKind::Unsupported, text));
    };
    let mut found = Vec::new();
    for upload in target.list_uploads(key).await? {
        if strangers.contains(&upload.0) {
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

/// The only upload of these; `None` for more or none.
#[must_use]
pub fn only_one(mut found: Vec<UploadId>) -> Option<UploadId> {
    let one = found.pop();
    one.filter(|_| found.is_empty())
}

/// Takes an upload that is no more out of the ledger.
pub(in crate::engine) async fn forget(ctx: &Context, source_key: &Key) -> Result<(), PassError> {
    let removed = ctx.ledger.remove_upload(ctx.task.id, source_key).await;
    removed.map_err(PassError::Ledger)
}

/// Aborts an upload, again and again until the target knows it no more, and forgets it.
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

/// Aborts an upload, again and again until the target knows it no more.
///
/// # Errors
/// Those of the target, after retries.
pub async fn until_gone(target: &SharedStore, pace: Pace, key: &Key, upload: &UploadId) -> Result<()> {
    retry::run(pace, || async {
        let ended = match target.abort_upload(key, upload).await {
            // A part that was still on its way may bring an aborted upload back (S3 documentation of
            // AbortMultipartUpload): it is gone only when its parts cannot be listed.
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
