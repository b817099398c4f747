//! One part of a large object: it is read and written, or copied inside the store, with its own retries. It is hashed while it
//! is transferred, and compared with the ETag that the target gives it.

use std::collections::BTreeMap;

use http_body_util::BodyExt as _;

use crate::engine::context::{Context, Route};
use crate::engine::copy::hash::hash_first;
use crate::engine::copy::layout::{Boundaries, Layout};
use crate::engine::copy::metadata_fallback::Refusals;
use crate::engine::copy::metered_body::{Hashing, metered};
use crate::engine::copy::mode::SourceTag;
use crate::engine::copy::proof::{Proof, gate, wants_hashes};
use crate::engine::copy::{pinned_read, server_side};
use crate::engine::errors::{PassError, written};
use crate::engine::retry::{self, At as _, Retryable as _, SideError, SideResult};
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind, Result, pluralize};
use crate::object::clouds::Side;
use crate::object::{ByteRange, Entry, Part, UploadId};
use crate::task::Key;

/// The part to send.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct PartJob<'a> {
    /// Source object.
    pub entry: &'a Entry,
    /// Key at the target.
    pub key: &'a Key,
    /// Upload that the part belongs to.
    pub upload: &'a UploadId,
    /// How the object is divided.
    pub layout: Layout,
    /// Number, from 1.
    pub number: u32,
    /// Whether to hash the bytes.
    pub hashing: Hashing,
    /// How the bytes get to the target.
    pub route: Route,
    /// What earlier attempts of the object have shown.
    pub refusals: &'a Refusals,
}

/// A part that the target has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct SentPart {
    /// The part as the target describes it.
    pub part: Part,
    /// MD5 of the bytes that were read for it, if they were hashed.
    pub hash: Option<[u8; 16]>,
}

impl SentPart {
    /// Whether the target's ETag is the hash of the bytes that were read.
    pub(in crate::engine) fn is_proved(&self) -> bool {
        self.hash.is_some() && self.hash == self.part.etag.md5()
    }
}

/// Whether to hash parts. This is not needed if the ETag of the completed object will be compared with the source's, or if
/// nothing can be compared with the hashes.
///
/// # Errors
/// `Unsupported` if the task asks for the source's ETag, which an object with other part boundaries cannot have.
pub(in crate::engine) fn hashing(
    ctx: &Context,
    layout: Layout,
    tag: SourceTag,
    route: Route,
) -> Result<Hashing> {
    let own = layout.boundaries == Boundaries::Own;
    if own {
        gate(ctx, Proof::Checksum)?;
    }
    let wanted = wants_hashes(ctx);
    let useful = match route {
        // The bytes of a copy inside the store cannot be hashed on the way. They are read only if the task asks for more proof
        // than such a copy gives.
        Route::ServerSide => own && wanted,
        Route::Stream => wanted || can_compare(ctx),
    };
    let tag_decides = !own && tag == SourceTag::Md5 && !ctx.etags.target_multipart_is_opaque();
    Ok(if useful && !tag_decides {
        Hashing::Md5
    } else {
        Hashing::None
    })
}

/// Whether the target's ETags of parts may be hashes. If they are not, only a second read could prove the bytes, and that is
/// not done for every object unless the task asks for it.
pub(in crate::engine) fn can_compare(ctx: &Context) -> bool {
    !ctx.task.spec.kms && !ctx.etags.target_parts_are_opaque()
}

/// Divides the parts into those that are kept as the target has them, and those that are sent or read again and compared. A
/// part whose answer was lost was never compared. `recorded` has the hashes of what was sent earlier.
pub(in crate::engine) fn divide(
    mut done: BTreeMap<u32, Part>,
    mut recorded: BTreeMap<u32, [u8; 16]>,
    count: u32,
    unproved: Unproved,
) -> (Vec<SentPart>, Vec<(u32, Option<Part>)>) {
    let (mut kept, mut to_send) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let hash = recorded.remove(&number);
        match done.remove(&number) {
            None => to_send.push((number, None)),
            Some(part) if hash.is_none() && unproved == Unproved::ReadAgain => {
                to_send.push((number, Some(part)));
            }
            Some(part) => kept.push(SentPart { part, hash }),
        }
    }
    (kept, to_send)
}

/// What to do with parts that the target has and nothing proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Unproved {
    /// Keep them: the ETag of the whole object proves them.
    Keep,
    /// Read the source again and compare.
    ReadAgain,
}

/// Sends one part with its own retries and records its hash.
pub(in crate::engine) async fn send(
    ctx: &Context,
    job: PartJob<'_>,
    mut had: Option<Part>,
) -> std::result::Result<SentPart, PassError> {
    let mut attempts = 0;
    let mut before = None;
    loop {
        attempts += 1;
        let side_error = match once(ctx, job, had.take()).await {
            Ok(sent) if is_settled(ctx, &sent, before) => {
                if let Some(hash) = sent.hash {
                    let noted = ctx.ledger.put_part_hash(
                        ctx.task.id,
                        ctx.writer(),
                        &job.entry.key,
                        (job.number, hash),
                    );
                    written(noted.await)?;
                }
                ctx.progress.keep(&job.entry.key, job.number, sent.part.size);
                ctx.sync_points.reach(SyncPoint::PartWritten).await;
                return Ok(sent);
            }
            Ok(sent) => {
                before = sent.hash;
                let text = format!("part {} at the target has other bytes than were read", job.number);
                SideError::target(Error::new(ErrorKind::Integrity, text))
            }
            Err(side_error) => side_error,
        };
        let again = retry::delay(ctx.tuning.pace, &side_error.error, attempts, rand::random());
        match again.filter(|_| job.refusals.route(ctx) == job.route) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(side_error.after(attempts).into()),
        }
    }
}

/// Reads the source of a part once more, to hash what was sent to the target.
pub(in crate::engine) async fn read_again(
    ctx: &Context,
    job: PartJob<'_>,
    part: Part,
) -> SideResult<SentPart> {
    retry::run(ctx.tuning.pace, || once(ctx, job, Some(part.clone()))).await
}

/// Whether a part needs no other attempt. A part whose ETag is another hash is sent once more. If the same bytes get another
/// ETag again, the target's ETags may not be hashes. The completed object will show that.
fn is_settled(ctx: &Context, sent: &SentPart, before: Option<[u8; 16]>) -> bool {
    sent.is_proved()
        || sent.hash.is_none()
        || sent.part.etag.md5().is_none()
        || sent.hash == before
        || !can_compare(ctx)
}

async fn once(ctx: &Context, job: PartJob<'_>, had: Option<Part>) -> SideResult<SentPart> {
    let PartJob {
        entry,
        key,
        upload,
        layout,
        number,
        hashing,
        route,
        refusals,
    } = job;
    let (offset, length) = layout.range(entry.size, number);
    let range = ByteRange::Range { offset, length };
    if route == Route::ServerSide && hashing == Hashing::None {
        let from = server_side::copy_source(ctx, entry);
        let answer = ctx.target.copy_part(&from, range, key, upload, number).await;
        let answer = answer.and_then(|part| server_side::check_part(length, &part.etag).map(|()| part));
        let part = answer.map_err(|error| {
            let wrong = error.code() == Some("WrongCopy");
            if wrong || server_side::is_refusal(&error) {
                refusals.refuse_copy(ctx, &error);
            }
            let changed = error.kind() == ErrorKind::PreconditionFailed;
            let side = if changed { Side::Source } else { Side::Target };
            SideError::new(side, error)
        })?;
        ctx.progress.add(length);
        let part = Part { size: length, ..part };
        return Ok(SentPart { part, hash: None });
    }
    let _permit = ctx.streams.acquire().await.at_source()?;
    let md5 = match had {
        None => hash_first(ctx, entry, range, length).await?,
        Some(_) => None,
    };
    let object = pinned_read::open(ctx, &entry.key, range, entry.etag.as_ref()).await?;
    if object.length != Some(length) {
        let announced = object
            .length
            .map_or_else(|| "nothing".to_owned(), |n| n.to_string());
        let asked = pluralize(length, "byte", "bytes");
        let text = format!("asked for {asked} from {offset} on, the source announced {announced}");
        return Err(Error::new(ErrorKind::Integrity, text)).at_source();
    }
    let flow = match had {
        None => ctx.progress.flow(&entry.key, number),
        Some(_) => ctx.progress.read_again(),
    };
    let (mut body, watch) = metered(object.body, length, &ctx.throttle, flow, hashing);
    if let Some(part) = had {
        while let Some(frame) = body.frame().await {
            frame.at_source()?;
        }
        let hash = watch.take_md5();
        return Ok(SentPart { part, hash });
    }
    let sent = ctx.target.upload_part(key, upload, number, length, md5, body);
    match sent.await {
        Ok(part) => Ok(SentPart {
            part: Part { size: length, ..part },
            hash: watch.take_md5(),
        }),
        Err(error) => match watch.take_error() {
            Some(cause) => Err(cause).at_source(),
            None => Err(error).at_target(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::ETag;

    fn part(number: u32) -> Part {
        Part {
            number,
            etag: ETag::new("01010101010101010101010101010101"),
            size: 1,
        }
    }

    fn sent(number: u32, hash: Option<[u8; 16]>) -> SentPart {
        let part = part(number);
        SentPart { part, hash }
    }

    #[test]
    fn parts_that_were_never_compared_are_not_taken_for_proved() {
        let done = BTreeMap::from([(2, part(2)), (3, part(3))]);
        let recorded = BTreeMap::from([(3, [1; 16]), (4, [9; 16])]);
        let divided = |unproved| divide(done.clone(), recorded.clone(), 4, unproved);
        let (kept, to_send) = divided(Unproved::Keep);
        assert_eq!(kept, [sent(2, None), sent(3, Some([1; 16]))]);
        assert_eq!(to_send, [(1, None), (4, None)]);
        let (kept, to_send) = divided(Unproved::ReadAgain);
        assert_eq!(kept, [sent(3, Some([1; 16]))]);
        assert_eq!(to_send, [(1, None), (2, Some(part(2))), (4, None)]);
    }

    #[test]
    fn only_an_equal_hash_proves_a_part() {
        for (hash, tag, proved) in [
            (Some([1; 16]), "01010101010101010101010101010101", true),
            (Some([2; 16]), "01010101010101010101010101010101", false),
            (None, "01010101010101010101010101010101", false),
            (None, "opaque", false),
            (Some([1; 16]), "opaque", false),
        ] {
            let part = Part {
                etag: ETag::new(tag),
                ..part(1)
            };
            assert_eq!(SentPart { part, hash }.is_proved(), proved, "{hash:?} {tag}");
        }
    }
}
