//! One part of a large object: read and written, or copied inside the store, with its own tries; hashed and compared
//! where the task asks for more proof than the length.

use std::collections::BTreeMap;

use http_body_util::BodyExt as _;

use super::copy::{Proof, copy_source};
use super::hooks::Point;
use super::layout::{Boundaries, Layout};
use super::proof::{gate, wants_hashes};
use super::retry::{self, At as _, Attempt, Trouble};
use super::stream::{Hashing, metered};
use super::{Context, Route};
use crate::error::{Error, ErrorKind, Result};
use crate::object::clouds::Side;
use crate::object::{ETag, Entry, Part, Portion, UploadId};
use crate::task::Key;

/// What is to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartJob<'a> {
    /// Source object.
    pub entry: &'a Entry,
    /// Key at the target.
    pub key: &'a Key,
    /// Upload that the part belongs to.
    pub upload: &'a UploadId,
    /// How the object is cut.
    pub layout: Layout,
    /// Number, from 1.
    pub number: u32,
    /// Whether its hash must be compared with its tag.
    pub hashing: Hashing,
}

/// Whether parts have to be hashed. Parts of our own cut cannot give the target the source's tag, and the tags of a target
/// that encrypts with keys of its own are no hashes: where that leaves less proof than asked for, nothing is sent.
pub(super) fn hashing(ctx: &Context, layout: Layout) -> Result<Hashing> {
    if layout.boundaries == Boundaries::Own {
        gate(
            ctx,
            if ctx.task.spec.kms {
                Proof::Size
            } else {
                Proof::Checksum
            },
        )?;
    }
    let tags_decide =
        layout.boundaries == Boundaries::Source && (ctx.route == Route::ServerSide || ctx.task.spec.kms);
    Ok(if wants_hashes(ctx) && !tags_decide {
        Hashing::Md5
    } else {
        Hashing::None
    })
}

/// Which of the parts that the target holds already are taken as they are, and which are to be sent, or read again and
/// compared: a part whose answer was lost was never compared.
pub(super) fn divide(
    mut done: BTreeMap<u32, Part>,
    count: u32,
    hashing: Hashing,
) -> (Vec<Part>, Vec<(u32, Option<Part>)>) {
    if hashing == Hashing::Md5 {
        return (
            Vec::new(),
            (1..=count).map(|number| (number, done.remove(&number))).collect(),
        );
    }
    let missing = (1..=count)
        .filter(|number| !done.contains_key(number))
        .map(|number| (number, None));
    let missing = missing.collect();
    (done.into_values().collect(), missing)
}

/// One part with its own tries.
pub(super) async fn send(ctx: &Context, job: PartJob<'_>, mut had: Option<Part>) -> Attempt<Part> {
    let mut tries = 0;
    loop {
        tries += 1;
        match once(ctx, job, had.take()).await {
            Ok(part) => {
                ctx.hooks.reach(Point::PartWritten).await;
                return Ok(part);
            }
            Err(trouble) => match retry::delay(ctx.tuning.pace, &trouble.error, tries, rand::random()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(trouble),
            },
        }
    }
}

async fn once(ctx: &Context, job: PartJob<'_>, had: Option<Part>) -> Attempt<Part> {
    let PartJob {
        entry,
        key,
        upload,
        layout,
        number,
        hashing,
    } = job;
    let (offset, length) = layout.range(entry.size, number);
    let range = Portion::Range { offset, length };
    if ctx.route == Route::ServerSide && hashing == Hashing::None {
        let from = copy_source(ctx, entry);
        let part = ctx
            .target
            .copy_part(&from, range, key, upload, number)
            .await
            .map_err(|error| {
                let changed = error.kind() == ErrorKind::PreconditionFailed;
                Trouble {
                    side: if changed { Side::Source } else { Side::Target },
                    error,
                }
            })?;
        ctx.progress.add(length);
        return Ok(Part { size: length, ..part });
    }
    let _permit = ctx.streams.enter().await.at_source()?;
    let object = ctx
        .source
        .get(&entry.key, range, entry.etag.as_ref())
        .await
        .at_source()?;
    if object.length != Some(length) {
        let announced = object
            .length
            .map_or_else(|| "nothing".to_owned(), |n| n.to_string());
        let text = format!("asked for {length} bytes from {offset} on, the source announced {announced}");
        return Err(Error::new(ErrorKind::Integrity, text)).at_source();
    }
    let (mut body, watch) = metered(object.body, length, &ctx.throttle, &ctx.progress, hashing);
    if let Some(had) = had {
        while let Some(frame) = body.frame().await {
            frame.at_source()?;
        }
        compare(watch.take_md5(), &had.etag, number).at_target()?;
        return Ok(had);
    }
    match ctx.target.upload_part(key, upload, number, length, body).await {
        Ok(part) => {
            if hashing == Hashing::Md5 {
                compare(watch.take_md5(), &part.etag, number).at_target()?;
            }
            Ok(Part { size: length, ..part })
        }
        Err(error) => match watch.take_error() {
            Some(cause) => Err(cause).at_source(),
            None => Err(error).at_target(),
        },
    }
}

/// Compares what was read with the tag of the part. A tag that is no hash proves nothing.
fn compare(computed: Option<[u8; 16]>, tag: &ETag, number: u32) -> Result<()> {
    match (computed, tag.md5()) {
        (Some(computed), Some(told)) if computed == told => Ok(()),
        (Some(_), Some(_)) => Err(Error::new(
            ErrorKind::Integrity,
            format!("part {number} at the target has other bytes than were read"),
        )),
        _ => {
            let text = format!("the tag of part {number} is no hash, so it cannot be proved by checksum");
            Err(Error::new(ErrorKind::Unsupported, text).with_code("ProofTooWeak"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u32) -> Part {
        Part {
            number,
            etag: ETag::new("x"),
            size: 1,
        }
    }

    #[test]
    fn parts_that_were_never_compared_are_not_taken_for_proved() {
        let done = BTreeMap::from([(2, part(2))]);
        let (kept, to_send) = divide(done.clone(), 3, Hashing::None);
        assert_eq!((kept, to_send), (vec![part(2)], vec![(1, None), (3, None)]));
        let (kept, to_send) = divide(done, 3, Hashing::Md5);
        assert_eq!(
            (kept, to_send),
            (vec![], vec![(1, None), (2, Some(part(2))), (3, None)])
        );
    }

    #[test]
    fn a_hash_is_compared_and_anything_else_proves_nothing() {
        let tag = ETag::new("00000000000000000000000000000000");
        assert!(compare(Some([0; 16]), &tag, 1).is_ok());
        assert_eq!(
            compare(Some([1; 16]), &tag, 1).unwrap_err().kind(),
            ErrorKind::Integrity
        );
        let weak = compare(Some([0; 16]), &ETag::new("opaque"), 1).unwrap_err();
        assert_eq!(weak.code(), Some("ProofTooWeak"));
    }
}
