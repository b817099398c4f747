//! Whether an object is sent in one piece or in parts. Pure, but for what the task says.
//!
//! Parts go side by side, and outlive a stop; one piece can be proved by the target with the hash that the source has.

use crate::engine::context::{Context, Route};
use crate::engine::copy::layout::MAX_PUT;
use crate::engine::retry::SideError;
use crate::error::ErrorKind;
use crate::object::Entry;
use crate::object::clouds::Side;
use crate::task::rules::MinimumProof;

/// Whether the source's tag may be taken for what S3 makes of the content when it looks like it. A store that encrypts with
/// keys of its own gives tags that only look so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum SourceTag {
    /// The MD5 of the content, or of the MD5 sums of its parts.
    Md5,
    /// Nothing that can be computed.
    Opaque,
}

/// How the bytes of an object are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Mode {
    /// One read into one write.
    Single,
    /// An upload in parts.
    Multipart,
}

/// Above the threshold an object goes in parts, unless its tag is the MD5 of all its bytes and proves it in one piece, up
/// to `longest` bytes.
pub(in crate::engine) fn choose(threshold: u64, entry: &Entry, tag: SourceTag, longest: u64) -> Mode {
    let proves = tag == SourceTag::Md5 && entry.etag.as_ref().is_some_and(|tag| tag.md5().is_some());
    if entry.size <= threshold || (proves && entry.size <= longest) {
        Mode::Single
    } else {
        Mode::Multipart
    }
}

/// The largest object that is sent in one piece for the sake of its proof.
pub(in crate::engine) fn longest_single(ctx: &Context, route: Route) -> u64 {
    let only_so = ctx.task.spec.rules.minimum_proof == MinimumProof::ETag;
    match route {
        // Encrypted with other keys than the store's own, the target has another tag either way.
        _ if ctx.task.spec.kms => 0,
        Route::Stream if !only_so => ctx.tuning.sizes.whole,
        Route::Stream | Route::ServerSide => MAX_PUT,
    }
}

/// Whether an object that was sent in one piece may go better in parts: a connection that did not last as long, a limit of
/// the store. Bytes that were found to be wrong are not sent by a way that proves less.
pub(in crate::engine) fn parts_may_help(side_error: &SideError) -> bool {
    let broke_off = side_error.side == Side::Source && side_error.error.kind() == ErrorKind::Integrity;
    broke_off
        || matches!(
            side_error.error.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::InvalidArgument | ErrorKind::Unsupported
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::object::ETag;
    use crate::task::Key;

    const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";

    #[test]
    fn only_a_tag_that_proves_the_whole_keeps_a_large_object_in_one_piece() {
        for (size, etag, tag, longest, wanted) in [
            (10, Some("opaque"), SourceTag::Opaque, 0, Mode::Single),
            (11, Some(MD5), SourceTag::Md5, 0, Mode::Multipart),
            (11, Some(MD5), SourceTag::Md5, 11, Mode::Single),
            (12, Some(MD5), SourceTag::Md5, 11, Mode::Multipart),
            (11, Some(MD5), SourceTag::Opaque, 11, Mode::Multipart),
            (11, None, SourceTag::Md5, 11, Mode::Multipart),
            (
                11,
                Some("0cc175b9c0f1b6a831c399e269772661-2"),
                SourceTag::Md5,
                11,
                Mode::Multipart,
            ),
        ] {
            let entry = Entry {
                key: Key::from("k"),
                size,
                etag: etag.map(ETag::new),
                last_modified: None,
            };
            assert_eq!(
                choose(10, &entry, tag, longest),
                wanted,
                "{size} {etag:?} {tag:?}"
            );
        }
    }

    #[test]
    fn bytes_that_were_found_wrong_are_not_sent_by_a_weaker_way() {
        for (side, kind, helps) in [
            (Side::Source, ErrorKind::Integrity, true),
            (Side::Target, ErrorKind::Integrity, false),
            (Side::Target, ErrorKind::Timeout, true),
            (Side::Target, ErrorKind::InvalidArgument, true),
            (Side::Target, ErrorKind::PermissionDenied, false),
            (Side::Source, ErrorKind::PreconditionFailed, false),
            (Side::Target, ErrorKind::RateLimited, false),
        ] {
            let error = Error::new(kind, "x");
            assert_eq!(
                parts_may_help(&SideError { side, error }),
                helps,
                "{side:?} {kind:?}"
            );
        }
    }
}
