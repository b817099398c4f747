//! Reads of the source that give one version of an object or fail.
//!
//! A read carries `If-Match` with the tag of that version. Some stores answer 412 to that although it is the tag that they
//! give: they compare it with its quotes, or not at all (SeaweedFS 3.97, DigitalOcean Spaces, S3Mock). Such a source is read
//! without a condition, which it is found out to need once, and the tag of each answer is compared instead. That is as good:
//! the headers of an answer speak of the bytes that follow them.

use crate::engine::context::Context;
use crate::engine::copy::pinned;
use crate::engine::retry::{At as _, SideResult};
use crate::object::{ByteRange, ETag, Entry, Object};
use crate::task::Key;

/// Begins to read `portion` of the version with the tag `etag`.
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

/// Whether a source that refused a read for the version of `before` shows that very version when it is asked again, so that
/// it is its conditions that do not work.
pub(in crate::engine) fn is_same_version(before: &Entry, now: &Entry) -> bool {
    let tags = (&before.etag, &now.etag);
    before.size == now.size && matches!(tags, (Some(before), Some(now)) if before.same(now))
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
