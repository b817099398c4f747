//! What the target has of an object that was just written, where its answer alone does not tell.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};

use super::copy::Proof;
use super::retry::{At as _, Attempt};
use super::{Context, feed};
use crate::error::{Error, ErrorKind};
use crate::object::{ETag, Encryption, Portion};
use crate::task::Key;

/// A write that was acknowledged without a tag may have met something that is no store. The target is asked what it has.
pub(super) async fn acknowledged(ctx: &Context, key: &Key, size: u64) -> Attempt<Option<ETag>> {
    let stored = feed::head(ctx.tuning.pace, &ctx.target, key).await.at_target()?;
    let stored = stored.filter(|info| info.size == Some(size));
    stored.map(|info| info.etag).ok_or_else(missing).at_target()
}

fn missing() -> Error {
    let text = "the target acknowledged the object, but does not have it";
    Error::new(ErrorKind::Integrity, text)
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
    if hash_of(ctx, key, Portion::Whole).await? == (size, wanted) {
        ctx.target_tags_opaque.store(true, Ordering::Relaxed);
        return Ok(Proof::Checksum);
    }
    remove_wrong(ctx, key).await
}

/// The same for an object that was joined from parts: each span of it must have its hash.
pub(super) async fn read_back_parts(
    ctx: &Context,
    key: &Key,
    parts: impl Iterator<Item = ((u64, u64), [u8; 16])>,
) -> Attempt<Proof> {
    for ((offset, length), wanted) in parts {
        if hash_of(ctx, key, Portion::Range { offset, length }).await? != (length, wanted) {
            return remove_wrong(ctx, key).await;
        }
    }
    ctx.target_parts_opaque.store(true, Ordering::Relaxed);
    Ok(Proof::Checksum)
}

/// How many bytes the target has, and their MD5.
async fn hash_of(ctx: &Context, key: &Key, portion: Portion) -> Attempt<(u64, [u8; 16])> {
    let mut object = ctx.target.get(key, portion, None).await.at_target()?;
    let mut hash = Md5::new();
    let mut read = 0;
    while let Some(frame) = object.body.frame().await {
        if let Ok(data) = frame.at_target()?.into_data() {
            read += data.len() as u64;
            hash.update(&data);
        }
    }
    Ok((read, hash.finalize().into()))
}

async fn remove_wrong(ctx: &Context, key: &Key) -> Attempt<Proof> {
    ctx.target.delete(key).await.at_target()?;
    Err(Error::new(
        ErrorKind::Integrity,
        "the target stored other bytes than were sent; they were removed",
    ))
    .at_target()
}

/// Where a task asks for encryption by the key management service: whether the target has done so with what was just
/// written. `told` is what its answer says; where that says nothing, the target is asked. What is not encrypted is removed.
///
/// Source: the OMS reference compares the encryption of each object with `enableKMS` after its upload.
pub(super) async fn encrypted(ctx: &Context, key: &Key, told: Option<Encryption>) -> Attempt<()> {
    if !ctx.task.spec.kms {
        return Ok(());
    }
    let found = match told {
        Some(told) => Some(told),
        None => {
            let stored = feed::head(ctx.tuning.pace, &ctx.target, key).await.at_target()?;
            stored.ok_or_else(missing).at_target()?.encryption
        }
    };
    if found == Some(Encryption::Kms) {
        return Ok(());
    }
    ctx.target.delete(key).await.at_target()?;
    let text = "the target did not encrypt the object with its key management service; it was removed";
    Err(Error::new(ErrorKind::Unsupported, text).with_code("EncryptionNotApplied")).at_target()
}
