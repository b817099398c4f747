//! Decides whether an object is sent in one piece or in parts. Pure.
//!
//! Parts are sent in parallel and survive a stop. An object sent in one piece can be proved by the target with the source's
//! hash.

use crate::engine::context::Route;
use crate::engine::copy::layout::MAX_PUT;
use crate::engine::retry::SideError;
use crate::error::ErrorKind;
use crate::object::Entry;
use crate::object::clouds::Side;
use crate::task::TaskSpec;
use crate::task::rules::MinimumProof;
use crate::task::spec::Scope;

/// Whether an ETag of the source that looks like a hash is one: S3 would compute it from the content. A store that encrypts
/// with its own keys gives ETags that only look like hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum SourceTag {
    /// The MD5 of the content, or of the MD5 sums of its parts.
    Md5,
    /// Nothing that can be computed from the content.
    Opaque,
}

/// How the bytes of an object are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Mode {
    /// One read streamed into one write.
    Single,
    /// A multipart upload.
    Multipart,
}

/// Chooses parts for an object above the threshold, unless its ETag is the MD5 of all its bytes and it has at most `longest`
/// bytes. Then the ETag proves it in one piece.
pub(in crate::engine) fn choose(threshold: u64, entry: &Entry, tag: SourceTag, longest: u64) -> Mode {
    let proves = tag == SourceTag::Md5 && entry.etag.as_ref().is_some_and(|tag| tag.md5().is_some());
    if entry.size <= threshold || (proves && entry.size <= longest) {
        Mode::Single
    } else {
        Mode::Multipart
    }
}

/// The largest object of a task that is sent in one piece to get a stronger proof. `whole` is the largest one that is streamed in
/// one piece if the task does not ask for the ETag.
pub(in crate::engine) fn longest_single(spec: &TaskSpec, whole: u64, route: Route) -> u64 {
    let only_so = spec.rules.minimum_proof == MinimumProof::ETag;
    match route {
        // If the target encrypts with other keys than the store's own, its ETag differs in any case.
        _ if spec.kms => 0,
        Route::Stream if !only_so => whole,
        Route::Stream | Route::ServerSide => MAX_PUT,
    }
}

/// Whether an object that is sent in one piece may be sent in parts instead if one stream is too slow for it. Parts prove less than
/// the ETag, so this does not happen if the task asks for the ETag. Nor does it for a list of URLs: a web server may not serve
/// ranges.
pub(in crate::engine) fn may_become_parts(spec: &TaskSpec, threshold: u64, entry: &Entry) -> bool {
    let parts = spec.rules.minimum_proof != MinimumProof::ETag && !matches!(spec.scope, Scope::Urls(_));
    parts && entry.size > threshold
}

/// Whether an object that failed in one piece may succeed in parts: the connection broke off too early, or the store has a
/// limit. If wrong bytes were found, the object is not sent in a way that proves less.
pub(in crate::engine) fn parts_may_help(side_error: &SideError) -> bool {
    let broke_off = side_error.side == Side::Source && side_error.error.kind() == ErrorKind::Integrity;
    broke_off
        || matches!(
            side_error.error.kind(),
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::InvalidArgument | ErrorKind::Unsupported
        )
}

#[cfg(test)]
#[path = "mode_tests.rs"]
mod tests;
