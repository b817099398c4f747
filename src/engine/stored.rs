//! What the target has of an object that was just written, where its answer alone does not tell.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};

use super::copy::Proof;
use super::retry::{At as _, Attempt};
use super::{Context, feed};
use crate::error::{Error, ErrorKind};
use crate::object::{ETag, Portion};
use crate::task::Key;

/// A write that was acknowledged without a tag may have met something that is no store. The target is asked what it has.
pub(super) async fn acknowledged(ctx: &Context, key: &Key, size: u64) -> Attempt<Option<ETag>> {
    let stored = feed::head(ctx.tuning.pace, &ctx.target, key).await.at_target()?;
    if let Some(info) = stored.filter(|info| info.size == Some(size)) {
        return Ok(info.etag);
    }
    let text = "the target acknowledged the object, but does not have it";
    Err(Error::new(ErrorKind::Integrity, text)).at_target()
}

/// Stores that keep folders (SeaweedFS) take bytes under a key that ends with `/`, give their tag back, and keep none of
/// them. Only the size that they tell afterwards shows it.
pub(super) async fn holds_bytes(ctx: &Context, key: &Key, size: u64) -> Attempt<()> {
    let stored = feed::head(ctx.tuning.pace, &ctx.target, key).await.at_target()?;
    if stored.is_some_and(|info| info.size == Some(size)) {
        return Ok(());
    }
    let text = "the target keeps no bytes under a key that ends with '/'";
    Err(Error::new(ErrorKind::Unsupported, text).with_code("FolderWithContent")).at_target()
}

/// The target's tag is not what was expected: either it does not give MD5 sums, or it stored other bytes. Reading the
/// object once tells which; wrong bytes are removed.
pub(super) async fn read_back(ctx: &Context, key: &Key, size: u64, wanted: [u8; 16]) -> Attempt<Proof> {
    let mut object = ctx.target.get(key, Portion::Whole, None).await.at_target()?;
    let mut hash = Md5::new();
    let mut read = 0;
    while let Some(frame) = object.body.frame().await {
        if let Ok(data) = frame.at_target()?.into_data() {
            read += data.len() as u64;
            hash.update(&data);
        }
    }
    if read == size && <[u8; 16]>::from(hash.finalize()) == wanted {
        ctx.target_tags_opaque.store(true, Ordering::Relaxed);
        return Ok(Proof::Checksum);
    }
    ctx.target.delete(key).await.at_target()?;
    Err(Error::new(
        ErrorKind::Integrity,
        "the target stored other bytes than were sent; they were removed",
    ))
    .at_target()
}
