//! Reads exactly one version of a source object, or fails.
//!
//! A read carries `If-Match` with the ETag of that version. Some stores answer 412 although the ETag is their own: they compare it
//! with its quotes, or not at all (SeaweedFS 3.97, DigitalOcean Spaces, S3Mock). Once that is noticed, such a source is read without
//! the condition, and the ETag of each response is compared instead. That is as safe, because the headers of a response describe its
//! body.

use crate::engine::context::Context;
use crate::engine::retry::{At as _, SideResult};
use crate::engine::source_object::unknown_size;
use crate::error::{Error, ErrorKind, Result, pluralize};
use crate::object::{ByteRange, ETag, Entry, Object};
use crate::task::Key;

/// Starts to read `portion` of the version with this ETag.
///
/// # Errors
/// The source's; `PreconditionFailed` for another version.
pub(in crate::engine) async fn open(
    ctx: &Context,
    key: &Key,
    portion: ByteRange,
    etag: Option<&ETag>,
) -> SideResult<Object> {
    if !ctx.quirks.conditions_are_broken() {
        return ctx.source.get(key, portion, etag).await.at_source();
    }
    let object = ctx.source.get(key, portion, None).await.at_source()?;
    pinned(etag, object.info.etag.as_ref()).at_source()?;
    Ok(object)
}

/// Whether the source refused a read of the version `before` and still has that version. Then its conditions do not work.
pub(in crate::engine) fn is_same_version(before: &Entry, now: &Entry) -> bool {
    let tags = (&before.etag, &now.etag);
    before.size == now.size && matches!(tags, (Some(before), Some(now)) if before.same(now))
}

/// Checks that a response has the length that was listed for this ETag. If the response has no length, the body must have the listed
/// one.
pub(in crate::engine) fn check_length(
    ctx: &Context,
    listed: u64,
    etag: Option<&ETag>,
    got: Option<u64>,
) -> Result<()> {
    let Some(got) = got else {
        return if ctx.has_one_source() {
            Ok(())
        } else {
            Err(unknown_size(&ctx.task.spec))
        };
    };
    if got == listed {
        return Ok(());
    }
    let has = pluralize(got, "byte", "bytes");
    let text = format!("the object has {has}, the listing said {listed}");
    // With the same ETag it is the same version, so one of the two lengths is wrong. Without an ETag it may have changed.
    let kind = if etag.is_some() {
        ErrorKind::Integrity
    } else {
        ErrorKind::PreconditionFailed
    };
    Err(Error::new(kind, text))
}

/// Checks that a response is of the listed version.
pub(in crate::engine) fn pinned(listed: Option<&ETag>, now: Option<&ETag>) -> Result<()> {
    match (listed, now) {
        (Some(listed), Some(now)) if !listed.same(now) => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "the object has changed since it was listed",
        )),
        (Some(_), None) => Err(Error::new(
            ErrorKind::Integrity,
            "the answer does not say which version of the object it is",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_equal_tag_and_size_is_the_same_version() {
        let entry = |size, etag: Option<&str>| Entry {
            key: Key::from("k"),
            size,
            etag: etag.map(ETag::new),
            last_modified: None,
        };
        let before = entry(1, Some("\"a\""));
        for (now, same) in [
            (entry(1, Some("a")), true),
            (entry(1, Some("A")), true),
            (entry(2, Some("a")), false),
            (entry(1, Some("b")), false),
            (entry(1, None), false),
        ] {
            assert_eq!(is_same_version(&before, &now), same, "{now:?}");
        }
        assert!(!is_same_version(&entry(1, None), &entry(1, None)));
    }
}
