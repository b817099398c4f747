//! When an object goes in one piece, and when in parts.

use super::*;
use crate::engine::copy::layout::Sizes;
use crate::error::Error;
use crate::object::ETag;
use crate::task::spec::Manifest;
use crate::task::{Key, testing};

const MD5: &str = "0cc175b9c0f1b6a831c399e269772661";
const OF_PARTS: &str = "0cc175b9c0f1b6a831c399e269772661-2";

#[test]
fn only_a_tag_that_proves_the_whole_keeps_a_large_object_in_one_piece() {
    use Mode::{Multipart, Single};
    use SourceTag::{Md5, Opaque};
    // Objects above 10 bytes are large.
    let rows = [
        ("empty", 0, None, Opaque, 0, Single),
        ("at the threshold", 10, Some("opaque"), Opaque, 0, Single),
        ("above it", 11, Some(MD5), Md5, 0, Multipart),
        ("above it, one byte too large", 11, Some(MD5), Md5, 10, Multipart),
        ("at the largest that is proved", 11, Some(MD5), Md5, 11, Single),
        ("above that", 12, Some(MD5), Md5, 11, Multipart),
        ("encrypted", 11, Some(MD5), Opaque, 11, Multipart),
        ("without a tag", 11, None, Md5, 11, Multipart),
        ("with the tag of parts", 11, Some(OF_PARTS), Md5, 11, Multipart),
        ("with another tag", 11, Some("opaque"), Md5, 11, Multipart),
    ];
    for (name, size, etag, tag, longest, wanted) in rows {
        let entry = Entry {
            key: Key::from("k"),
            size,
            etag: etag.map(ETag::new),
            last_modified: None,
        };
        assert_eq!(choose(10, &entry, tag, longest), wanted, "{name}");
    }
}

#[test]
fn the_largest_single_piece_depends_on_the_route_and_the_proof() {
    use MinimumProof::{Checksum, ETag, Size};
    use Route::{ServerSide, Stream};
    const WHOLE: u64 = 536_870_912;
    const PUT: u64 = 5_368_709_120;
    let rows = [
        ("streamed", Stream, Size, false, WHOLE),
        (
            "streamed, a checksum is asked for",
            Stream,
            Checksum,
            false,
            WHOLE,
        ),
        ("streamed, the ETag is asked for", Stream, ETag, false, PUT),
        ("copied by the store", ServerSide, Size, false, PUT),
        (
            "copied by the store, the ETag is asked for",
            ServerSide,
            ETag,
            false,
            PUT,
        ),
        ("streamed, encrypted", Stream, Size, true, 0),
        (
            "streamed, encrypted, the ETag is asked for",
            Stream,
            ETag,
            true,
            0,
        ),
        ("copied by the store, encrypted", ServerSide, Size, true, 0),
    ];
    for (name, route, minimum_proof, kms, wanted) in rows {
        let mut spec = testing::spec();
        spec.kms = kms;
        spec.rules.minimum_proof = minimum_proof;
        assert_eq!(
            longest_single(&spec, Sizes::default().whole, route),
            wanted,
            "{name}"
        );
    }
}

#[test]
fn an_object_may_become_parts_unless_that_proves_too_little_or_ranges_may_be_missing() {
    use MinimumProof::{Checksum, ETag, Size};
    let rows = [
        ("at the threshold", 10, Size, false),
        ("above it", 11, Size, true),
        ("a checksum is asked for", 11, Checksum, true),
        ("the ETag is asked for", 11, ETag, false),
    ];
    let urls = Scope::Urls(Manifest {
        bucket: "lists".to_owned(),
        key: Key::from("list.txt"),
    });
    let buckets = rows.map(|(name, size, proof, wanted)| (name, size, proof, testing::spec().scope, wanted));
    let of_urls = [("a list of URLs", 11, Size, urls, false)];
    for (name, size, minimum_proof, scope, wanted) in buckets.into_iter().chain(of_urls) {
        let mut spec = testing::spec();
        spec.scope = scope;
        spec.rules.minimum_proof = minimum_proof;
        let entry = Entry {
            key: Key::from("k"),
            size,
            etag: None,
            last_modified: None,
        };
        assert_eq!(may_become_parts(&spec, 10, &entry), wanted, "{name}");
    }
}

#[test]
fn bytes_that_were_found_wrong_are_not_sent_by_a_weaker_way() {
    use ErrorKind as Kind;
    // Whether parts may help after an error of the source, and of the target.
    let rows = [
        (Kind::Integrity, true, false),
        (Kind::Unavailable, true, true),
        (Kind::Timeout, true, true),
        (Kind::InvalidArgument, true, true),
        (Kind::Unsupported, true, true),
        (Kind::NotFound, false, false),
        (Kind::BucketNotFound, false, false),
        (Kind::UploadNotFound, false, false),
        (Kind::Unauthenticated, false, false),
        (Kind::PermissionDenied, false, false),
        (Kind::PreconditionFailed, false, false),
        (Kind::Conflict, false, false),
        (Kind::Archived, false, false),
        (Kind::StorageFull, false, false),
        (Kind::RateLimited, false, false),
        (Kind::Cancelled, false, false),
        (Kind::Forbidden, false, false),
        (Kind::Internal, false, false),
    ];
    for (kind, at_source, at_target) in rows {
        let helps = |side| parts_may_help(&SideError::new(side, Error::new(kind, "x")));
        assert_eq!(
            (helps(Side::Source), helps(Side::Target)),
            (at_source, at_target),
            "{kind:?}"
        );
    }
}
