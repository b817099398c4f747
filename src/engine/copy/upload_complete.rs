//! Completes a multipart upload.

use md5::{Digest as _, Md5};

use crate::engine::context::Context;
use crate::engine::copy::overwrite_guard;
use crate::engine::copy::upload::{abort, until_gone};
use crate::engine::errors::PassError;
use crate::engine::lookup;
use crate::engine::retry::{At as _, SideError};
use crate::error::{Error, ErrorKind};
use crate::object::{ETag, Entry, Part, UploadId};
use crate::task::Key;

/// Completes the upload. If the answer is lost, or an earlier attempt had completed it, the target is asked what it has.
pub(in crate::engine) async fn complete(
    ctx: &Context,
    entry: &Entry,
    key: &Key,
    upload: &UploadId,
    parts: &[Part],
) -> Result<Option<ETag>, PassError> {
    let answer = match overwrite_guard::look(ctx, key).await {
        Ok(()) => {
            let condition = ctx.guard.condition();
            ctx.target.complete_upload(key, upload, parts, &condition).await
        }
        Err(side_error) => Err(side_error.error),
    };
    let error = match answer {
        Ok(written) => return Ok(written),
        Err(error) => error,
    };
    let unclear = matches!(
        error.kind(),
        ErrorKind::UploadNotFound
            | ErrorKind::Unavailable
            | ErrorKind::Timeout
            | ErrorKind::Integrity
            // The existing object may be this one, completed by an attempt whose answer was lost.
            | ErrorKind::PreconditionFailed
    );
    if matches!(error.code(), Some("InvalidPart" | "InvalidPartOrder")) {
        // The target does not have the parts that it acknowledged, so nothing about this upload can be trusted.
        abort(ctx, key, &entry.key, upload).await?;
        let again = Error::new(ErrorKind::Integrity, error.message());
        return Err(SideError::target(again.with_code("InvalidPart")).into());
    }
    if !unclear {
        return Err(SideError::target(error).into());
    }
    let info = lookup::head(ctx.tuning.pace, &ctx.target, key)
        .await
        .at_target()?;
    // Size and number of parts prove nothing: an older version may have the same. The object is this one only if it has the
    // ETag computed from these parts, or the source's own. If the target computes other ETags, the object is uploaded once
    // more.
    let made = joined_tag(parts);
    let joined = info.filter(|info| {
        let known = || entry.etag.iter().chain(&made);
        let same = |tag: &ETag| known().any(|known| known.same(tag));
        info.size == Some(entry.size) && info.etag.as_ref().is_some_and(same)
    });
    match joined {
        Some(info) => {
            // Another upload may have created the object. Then this upload is still open.
            let gone = until_gone(&ctx.target, ctx.tuning.pace, key, upload);
            gone.await.at_target()?;
            Ok(info.etag)
        }
        None if error.kind() == ErrorKind::UploadNotFound => {
            // Aborting confirms that the upload is gone, before it is removed from the ledger.
            abort(ctx, key, &entry.key, upload).await?;
            let text = "the upload is gone, and its object does not exist";
            Err(SideError::target(Error::new(ErrorKind::Unavailable, text)).into())
        }
        None => Err(SideError::target(error).into()),
    }
}

/// The ETag that S3 gives to an object of these parts: the MD5 of their MD5 sums. `None` if their ETags are not MD5 sums.
pub(in crate::engine) fn joined_tag(parts: &[Part]) -> Option<ETag> {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part.etag.md5()?);
    }
    Some(ETag::new(&format!(
        "{}-{}",
        hex::encode(hash.finalize()),
        parts.len()
    )))
}
