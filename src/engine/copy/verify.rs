//! Checks what the target has for an object that was just written, if its answer alone does not show it.
//!
//! Others may write the same key. So an object that is read back is identified by its ETag, and nothing is deleted unless it is
//! known to be what was written here.

use http_body_util::BodyExt as _;
use md5::{Digest as _, Md5};

use crate::engine::context::Context;
use crate::engine::copy::metered_body::{Hashing, metered};
use crate::engine::copy::proof::Proof;
use crate::engine::lookup;
use crate::engine::progress::Flow;
use crate::engine::retry::{At as _, SideError, SideResult};
use crate::error::{Error, ErrorKind};
use crate::object::{ByteRange, ETag, Encryption, ObjectInfo, Written};
use crate::task::{Key, UnixMillis};

/// A write that was acknowledged without an ETag may have reached a server that is no store. So the target is asked what it
/// has.
pub(in crate::engine) async fn acknowledged(ctx: &Context, key: &Key, size: u64) -> SideResult<Option<ETag>> {
    let stored = lookup::head(ctx.tuning.pace, &ctx.target, key)
        .await
        .at_target()?;
    let stored = stored.filter(|info| info.size == Some(size));
    stored.map(|info| info.etag).ok_or_else(missing).at_target()
}

fn missing() -> Error {
    let text = "the target acknowledged the object, but does not have it";
    Error::new(ErrorKind::Integrity, text)
}

/// Checks the size of an object whose key ends with `/`. Stores that keep folders (SeaweedFS) accept bytes under such a key and
/// return their ETag, but store no bytes. Only the size that they report later shows this.
pub(in crate::engine) async fn holds_bytes(ctx: &Context, key: &Key, size: u64) -> SideResult<()> {
    let stored = lookup::head(ctx.tuning.pace, &ctx.target, key)
        .await
        .at_target()?;
    if stored.is_some_and(|info| info.size == Some(size)) {
        return Ok(());
    }
    let text = "the target keeps no bytes under a key that ends with '/'";
    Err(Error::new(ErrorKind::Unsupported, text).with_code("FolderWithContent")).at_target()
}

/// Identifies an object at the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct ObjectIdentity {
    /// Its ETag.
    pub etag: Option<ETag>,
    /// When it was written, if there is no ETag.
    pub last_modified: Option<UnixMillis>,
    /// Its length, if there is no ETag.
    pub size: Option<u64>,
}

impl ObjectIdentity {
    /// The mark of a write with this ETag.
    pub(in crate::engine) fn tag(etag: Option<&ETag>) -> Self {
        Self {
            etag: etag.cloned(),
            ..Self::default()
        }
    }

    fn of(info: &ObjectInfo) -> Self {
        Self {
            etag: info.etag.clone(),
            last_modified: info.last_modified,
            size: info.size,
        }
    }

    /// Whether `found` is the same object. Without ETags, time and length must be known and equal.
    fn is(&self, found: &Self) -> bool {
        match (&self.etag, &found.etag) {
            (Some(mine), Some(found)) => mine.same(found),
            (None, None) => {
                self.last_modified.is_some()
                    && self.last_modified == found.last_modified
                    && self.size.is_some()
                    && self.size == found.size
            }
            _ => false,
        }
    }
}

/// What happened to an object that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Removal {
    /// The target does not have it any more.
    Gone,
    /// It was left: another client has written it since, or it is not known to be ours.
    Left,
}

/// Removes what was written, if it is still there. The object is checked directly before, and the deletion is conditional on
/// its ETag. Only at a store without conditional deletes there is a short time in which a newer object of another client could
/// be deleted.
pub(in crate::engine) async fn remove_written(
    ctx: &Context,
    key: &Key,
    mine: &ObjectIdentity,
) -> SideResult<Removal> {
    let found = lookup::head(ctx.tuning.pace, &ctx.target, key)
        .await
        .at_target()?;
    let Some(found) = found else {
        return Ok(Removal::Gone);
    };
    let found = ObjectIdentity::of(&found);
    if !mine.is(&found) {
        return Ok(Removal::Left);
    }
    let Some(etag) = &found.etag else {
        ctx.target.delete(key).await.at_target()?;
        return Ok(Removal::Gone);
    };
    let refused = match ctx.target.delete_if(key, etag).await {
        Ok(()) => return Ok(Removal::Gone),
        Err(error) => error,
    };
    match refused.kind() {
        // It may also be a store where no condition is ever true.
        ErrorKind::PreconditionFailed => {
            let now = lookup::head(ctx.tuning.pace, &ctx.target, key)
                .await
                .at_target()?;
            match now {
                None => return Ok(Removal::Gone),
                Some(now) if !mine.is(&ObjectIdentity::of(&now)) => return Ok(Removal::Left),
                Some(_) => {}
            }
        }
        ErrorKind::Unsupported | ErrorKind::InvalidArgument => {}
        _ => return Err(refused).at_target(),
    }
    ctx.target.delete(key).await.at_target()?;
    Ok(Removal::Gone)
}

/// Removes an object whose bytes are wrong, and returns the error.
pub(in crate::engine) async fn discard(
    ctx: &Context,
    key: &Key,
    mine: &ObjectIdentity,
    what: &str,
) -> SideError {
    match remove_written(ctx, key, mine).await {
        Ok(Removal::Gone) => {
            let text = format!("{what}; it was removed");
            SideError::target(Error::new(ErrorKind::Integrity, text))
        }
        Ok(Removal::Left) => SideError::target(changed()),
        Err(SideError { error, .. }) => {
            let text = format!("{what}; it could not be removed: {error}");
            SideError::target(Error::new(ErrorKind::Integrity, text))
        }
    }
}

/// The error when another client has written the object at the target before it was verified. The object is left as it is.
pub(in crate::engine) fn changed() -> Error {
    let text = "somebody else wrote the object at the target before it was proved; it was left as it is";
    Error::new(ErrorKind::Conflict, text).with_code("TargetChanged")
}

/// Reads the object once, because the target's ETag is not the expected one: either the ETags are not MD5 sums, or the target
/// stored other bytes. Wrong bytes are removed. `written` is the ETag from the answer to the write.
pub(in crate::engine) async fn read_back(
    ctx: &Context,
    key: &Key,
    size: u64,
    wanted: [u8; 16],
    written: Option<&ETag>,
) -> SideResult<Proof> {
    let found = hash_of(ctx, key, ByteRange::Whole).await?;
    if (found.bytes, found.md5) == (size, wanted) {
        ctx.etags.target_is_no_hash();
        return Ok(Proof::Checksum);
    }
    Err(wrong_bytes(ctx, key, written, &found.mark).await)
}

/// The same for a multipart object: each part must have its hash, and all must be of one version.
pub(in crate::engine) async fn read_back_parts(
    ctx: &Context,
    key: &Key,
    parts: impl Iterator<Item = ((u64, u64), [u8; 16])>,
    written: Option<&ETag>,
) -> SideResult<Proof> {
    let mut first: Option<ObjectIdentity> = None;
    for ((offset, length), wanted) in parts {
        let found = hash_of(ctx, key, ByteRange::Range { offset, length }).await?;
        let first = first.get_or_insert_with(|| found.mark.clone());
        if first.etag != found.mark.etag {
            return Err(changed()).at_target();
        }
        if (found.bytes, found.md5) != (length, wanted) {
            return Err(wrong_bytes(ctx, key, written, &found.mark).await);
        }
    }
    ctx.etags.target_parts_are_no_hashes();
    Ok(Proof::Checksum)
}

/// Handles bytes that differ from those sent: they are either from our write, which is removed, or from another client's.
async fn wrong_bytes(ctx: &Context, key: &Key, written: Option<&ETag>, found: &ObjectIdentity) -> SideError {
    let others = matches!((written, &found.etag), (Some(mine), Some(found)) if !mine.same(found));
    if others {
        return SideError::target(changed());
    }
    discard(ctx, key, found, "the target stored other bytes than were sent").await
}

/// What was read back.
struct ReadBack {
    bytes: u64,
    md5: [u8; 16],
    mark: ObjectIdentity,
}

/// Reads what the target has, within the bandwidth limit of the task. The bytes do not count as moved.
async fn hash_of(ctx: &Context, key: &Key, portion: ByteRange) -> SideResult<ReadBack> {
    let object = ctx.target.get(key, portion, None).await.at_target()?;
    let mark = ObjectIdentity::of(&object.info);
    let (mut body, _) = metered(object.body, None, &ctx.throttle, Flow::uncounted(), Hashing::None);
    let mut hash = Md5::new();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.at_target()?.into_data() {
            bytes += data.len() as u64;
            hash.update(&data);
        }
    }
    Ok(ReadBack {
        bytes,
        md5: hash.finalize().into(),
        mark,
    })
}

/// If the task asks for encryption by the key management service, checks that the target has encrypted what was just written.
/// If the answer to the write does not say, the target is asked. An object that is not encrypted is removed.
///
/// Source: the OMS reference compares the encryption of each object with `enableKMS` after its upload.
pub(in crate::engine) async fn encrypted(ctx: &Context, key: &Key, written: &Written) -> SideResult<()> {
    if !ctx.task.spec.kms {
        return Ok(());
    }
    let (found, mine) = match written.encryption {
        Some(reported) => (Some(reported), ObjectIdentity::tag(written.etag.as_ref())),
        None => {
            let stored = lookup::head(ctx.tuning.pace, &ctx.target, key)
                .await
                .at_target()?;
            let stored = stored.ok_or_else(missing).at_target()?;
            let others = matches!((&written.etag, &stored.etag), (Some(a), Some(b)) if !a.same(b));
            if others {
                return Err(changed()).at_target();
            }
            (stored.encryption, ObjectIdentity::of(&stored))
        }
    };
    if found == Some(Encryption::Kms) {
        return Ok(());
    }
    let text = "the target did not encrypt the object with its key management service";
    let removed = match remove_written(ctx, key, &mine).await? {
        Removal::Gone => "it was removed",
        Removal::Left => "it was left, because somebody else has written it since",
    };
    let error = Error::new(ErrorKind::Unsupported, format!("{text}; {removed}"));
    Err(error.with_code("EncryptionNotApplied")).at_target()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_to_be_ours_is_ours() {
        let mark = |etag: Option<&str>, time: Option<i64>, size: Option<u64>| ObjectIdentity {
            etag: etag.map(ETag::new),
            last_modified: time.map(UnixMillis),
            size,
        };
        let tagless = mark(None, Some(7), Some(3));
        for (mine, found, same) in [
            (
                mark(Some("a"), None, None),
                mark(Some("A"), Some(9), Some(1)),
                true,
            ),
            (mark(Some("a"), None, None), mark(Some("b"), None, None), false),
            (mark(Some("a"), None, None), tagless.clone(), false),
            (mark(None, None, None), mark(Some("a"), None, None), false),
            (mark(None, None, None), mark(None, None, None), false),
            (tagless.clone(), tagless.clone(), true),
            (tagless.clone(), mark(None, Some(8), Some(3)), false),
            (tagless, mark(None, Some(7), Some(4)), false),
        ] {
            assert_eq!(mine.is(&found), same, "{mine:?} {found:?}");
        }
    }
}
