//! Copies inside one store, without sending the bytes through this process, and verifies these copies.
//!
//! A status of 200 does not prove a copy: some stores answer 200 although they store an empty object or nothing. Two different
//! hashes prove that a copy is wrong. If there is no hash, the target is asked for the size. If a store does not know the
//! operation, refuses it or copies wrongly, objects are read and written instead for the rest of the task.

use crate::engine::context::Context;
use crate::engine::copy::metadata::describe;
use crate::engine::copy::metadata_fallback::Refusals;
use crate::engine::copy::overwrite_guard::{self, OwnWrites};
use crate::engine::copy::pinned_read::pinned;
use crate::engine::copy::proof::Proof;
use crate::engine::copy::verify::{ObjectIdentity, encrypted, remove_written};
use crate::engine::lookup;
use crate::engine::outcome::Copied;
use crate::engine::retry::{At as _, SideError, SideResult};
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind, Result};
use crate::object::clouds::Side;
use crate::object::{CopySource, ETag, Encryption, Entry, ObjectInfo, Written};
use crate::task::Key;

/// Copies an object in one request.
pub(in crate::engine) async fn copy(
    ctx: &Context,
    entry: &Entry,
    refusals: &Refusals,
    sent: &OwnWrites,
) -> SideResult<Copied> {
    let info = ctx.source.head(&entry.key, None).await.at_source()?;
    pinned(entry.etag.as_ref(), info.etag.as_ref()).at_source()?;
    let source = SourceVersion::of(ctx, entry, &info);
    let (new, left_out) = describe(ctx, &entry.key, info, refusals).await?;
    let from = copy_source(ctx, entry);
    let key = ctx.target_key(&entry.key);
    overwrite_guard::look(ctx, &key).await?;
    sent.note(None, left_out);
    let written = match ctx.target.copy(&from, &key, &new).await {
        Ok(written) => refusals.observe(&new, Ok(written)).at_target()?,
        Err(error) if is_refusal(&error) => {
            refusals.refuse_copy(ctx, &error);
            return Err(error).at_target();
        }
        Err(error) => return Err(of_copy(refusals.observe::<()>(&new, Err(error)).err())),
    };
    ctx.sync_points.reach(SyncPoint::ObjectWritten).await;
    encrypted(ctx, &key, &written).await?;
    let proof = match source.judge(&written) {
        Tells::Same => Proof::ETag,
        Tells::Other => return Err(wrong(ctx, &key, &written, refusals).await),
        Tells::Nothing => match stored(ctx, &key, entry.size, &source, &written).await? {
            Some(proof) => proof,
            None => return Err(wrong(ctx, &key, &written, refusals).await),
        },
    };
    ctx.progress.add(entry.size);
    Ok(Copied {
        bytes: entry.size,
        proof,
        left_out,
    })
}

/// The source of a copy, pinned to the listed version.
pub(in crate::engine) fn copy_source(ctx: &Context, entry: &Entry) -> CopySource {
    CopySource {
        bucket: ctx.task.spec.source.bucket.clone(),
        key: entry.key.clone(),
        if_match: entry.etag.clone(),
    }
}

/// If the condition was refused, the source has changed. All other errors are the target's.
fn of_copy(error: Option<Error>) -> SideError {
    let error = error.unwrap_or_else(|| Error::internal("a copy failed without an error"));
    let side = match error.kind() {
        ErrorKind::PreconditionFailed | ErrorKind::NotFound => Side::Source,
        _ => Side::Target,
    };
    SideError::new(side, error)
}

/// Whether a store says that it does not copy internally. If it calls the request invalid, this may concern only this object;
/// reading and writing the object will show it.
pub(in crate::engine) fn is_refusal(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidArgument)
}

/// Checks what the target has if the answer to the copy proves nothing; `None` if the target has something else.
async fn stored(
    ctx: &Context,
    key: &Key,
    size: u64,
    source: &SourceVersion,
    written: &Written,
) -> SideResult<Option<Proof>> {
    let found = lookup::head(ctx.tuning.pace, &ctx.target, key)
        .await
        .at_target()?;
    Ok(found.and_then(|info| source.judge_stored(size, written, &info)))
}

/// Whether the target has an object of the source's length. Used if nothing else proves a copy inside the store.
pub(in crate::engine) async fn is_as_long(ctx: &Context, entry: &Entry) -> SideResult<bool> {
    let key = ctx.target_key(&entry.key);
    let found = lookup::head(ctx.tuning.pace, &ctx.target, &key)
        .await
        .at_target()?;
    Ok(found.is_some_and(|info| info.size == Some(entry.size)))
}

/// Removes a wrong copy, if it is ours. The object will be read and written instead.
pub(in crate::engine) async fn wrong(
    ctx: &Context,
    key: &Key,
    written: &Written,
    refusals: &Refusals,
) -> SideError {
    let text = "the store acknowledged an internal copy, but stored something else";
    let error = Error::new(ErrorKind::Integrity, text).with_code("WrongCopy");
    refusals.refuse_copy(ctx, &error);
    let mark = ObjectIdentity {
        etag: written.etag.clone(),
        last_modified: None,
        size: None,
    };
    // A copy that cannot be removed now is overwritten by the next attempt.
    if let Err(SideError { error, .. }) = remove_written(ctx, key, &mark).await {
        tracing::debug!(task.id = %ctx.task.id, ?key, %error, "a wrong copy cannot be removed");
    }
    SideError::target(error)
}

/// What an answer shows about a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tells {
    /// The copy has the hash of the source.
    Same,
    /// The copy has another hash.
    Other,
    /// Nothing: the ETag is not a hash, or there is none.
    Nothing,
}

/// The version that is copied, with what can be compared. Pure.
#[derive(Debug)]
struct SourceVersion {
    etag: Option<ETag>,
    /// The ETag, if it is a hash that a correct copy must have too.
    md5: Option<[u8; 16]>,
}

impl SourceVersion {
    fn of(ctx: &Context, entry: &Entry, info: &ObjectInfo) -> Self {
        let etag = entry.etag.clone().or_else(|| info.etag.clone());
        let comparable = info.tag_is_hash() && !ctx.task.spec.kms;
        Self {
            md5: etag.as_ref().filter(|_| comparable).and_then(ETag::md5),
            etag,
        }
    }

    fn compare(&self, found: Option<&ETag>, encryption: Option<Encryption>) -> Tells {
        let Some(found) = found else {
            return Tells::Nothing;
        };
        if self.etag.as_ref().is_some_and(|etag| etag.same(found)) {
            return Tells::Same;
        }
        let hash = found.md5().filter(|_| encryption != Some(Encryption::Kms));
        match (self.md5, hash) {
            (Some(_), Some(_)) => Tells::Other,
            _ => Tells::Nothing,
        }
    }

    fn judge(&self, written: &Written) -> Tells {
        self.compare(written.etag.as_ref(), written.encryption)
    }

    /// What the object at the target proves, if the answer to the copy proved nothing. If the answer had no ETag, perhaps
    /// nothing was copied, and the object may be an older one. Then only an equal ETag proves the copy.
    fn judge_stored(&self, size: u64, written: &Written, found: &ObjectInfo) -> Option<Proof> {
        if found.size != Some(size) {
            return None;
        }
        match self.compare(found.etag.as_ref(), found.encryption) {
            Tells::Same => Some(Proof::ETag),
            Tells::Other => None,
            Tells::Nothing => written.etag.is_some().then_some(Proof::Size),
        }
    }
}

/// The MD5 of zero bytes.
const EMPTY: [u8; 16] = *b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e";

/// Checks the ETag of a part that was copied inside the store. The part is wrong if it should have `length` bytes but has the
/// hash of zero bytes.
///
/// # Errors
/// `Integrity` with the code `WrongCopy` if the part is wrong.
pub(in crate::engine) fn check_part(length: u64, etag: &ETag) -> Result<()> {
    if length > 0 && etag.md5() == Some(EMPTY) {
        let text = "the store acknowledged the internal copy of a part, but stored no bytes";
        return Err(Error::new(ErrorKind::Integrity, text).with_code("WrongCopy"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{NotCarried, ObjectHeaders};

    const A: &str = "0cc175b9c0f1b6a831c399e269772661";
    const B: &str = "92eb5ffee6ae2fec3ad71c777531578f";
    const NONE: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const PARTS: &str = "0cc175b9c0f1b6a831c399e269772661-2";

    fn version(etag: &str, comparable: bool) -> SourceVersion {
        let etag = ETag::new(etag);
        SourceVersion {
            md5: etag.md5().filter(|_| comparable),
            etag: Some(etag),
        }
    }

    fn written(etag: Option<&str>) -> Written {
        Written {
            etag: etag.map(ETag::new),
            encryption: None,
        }
    }

    fn found(size: u64, etag: Option<&str>) -> ObjectInfo {
        ObjectInfo {
            size: Some(size),
            etag: etag.map(ETag::new),
            last_modified: None,
            carried: ObjectHeaders::default(),
            tag_count: 0,
            parts_count: None,
            storage_class: None,
            missing_metadata: 0,
            encryption: None,
            uncarried: NotCarried::default(),
        }
    }

    #[test]
    fn two_hashes_that_differ_prove_a_wrong_copy() {
        for (source, comparable, answer, wanted) in [
            (A, true, Some(A), Tells::Same),
            (A, true, Some(B), Tells::Other),
            (A, true, Some(NONE), Tells::Other),
            (A, true, Some("opaque"), Tells::Nothing),
            (A, true, None, Tells::Nothing),
            (A, false, Some(B), Tells::Nothing),
            (PARTS, true, Some(PARTS), Tells::Same),
            (PARTS, true, Some(B), Tells::Nothing),
        ] {
            let tells = version(source, comparable).judge(&written(answer));
            assert_eq!(tells, wanted, "{source} {comparable} {answer:?}");
        }
        let sealed = Written {
            encryption: Some(Encryption::Kms),
            ..written(Some(B))
        };
        assert_eq!(version(A, true).judge(&sealed), Tells::Nothing);
    }

    #[test]
    fn a_size_is_asked_when_nothing_else_proves() {
        let size = Some(Proof::Size);
        for (source, answer, there, wanted) in [
            (PARTS, Some(B), found(3, Some(B)), size),
            (PARTS, Some(B), found(0, Some(B)), None),
            (PARTS, Some("x"), found(3, None), size),
            (A, None, found(3, Some(A)), Some(Proof::ETag)),
            (A, None, found(3, Some(B)), None),
            // Nothing shows whether it is the copy or what was there before.
            (A, None, found(3, None), None),
            (PARTS, None, found(3, Some(B)), None),
        ] {
            let judged = version(source, true).judge_stored(3, &written(answer), &there);
            assert_eq!(judged, wanted, "{source} {answer:?} {there:?}");
        }
    }

    #[test]
    fn an_empty_part_is_wrong_unless_it_is_empty() {
        for (length, etag, fine) in [
            (5, A, true),
            (5, "opaque", true),
            (5, NONE, false),
            (0, NONE, true),
        ] {
            assert_eq!(
                check_part(length, &ETag::new(etag)).is_ok(),
                fine,
                "{length} {etag}"
            );
        }
    }
}
