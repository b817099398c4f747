//! Objects that are read once, from the first byte to the last: objects of unknown length, and large ones without an ETag,
//! whose ranges could be of different versions.
//!
//! One piece at a time is in memory and is hashed when it arrives. An object that ends within the first piece becomes one
//! write. Every other object becomes an upload whose parts are the pieces. Such an upload is never resumed, because another
//! read may return another version. If it ends early, it is aborted, and nothing of it becomes visible.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use md5::{Digest as _, Md5};

use crate::engine::context::Context;
use crate::engine::copy::metadata::describe;
use crate::engine::copy::metadata_fallback::Refusals;
use crate::engine::copy::metered_body::{Hashing, metered};
use crate::engine::copy::overwrite_guard::{self, OwnWrites};
use crate::engine::copy::pinned_read;
use crate::engine::copy::pinned_read::check_length;
use crate::engine::copy::proof::{Proof, gate, wants_hashes};
use crate::engine::copy::upload::{self, begin, forget, forget_if_gone};
use crate::engine::copy::upload_complete::complete;
use crate::engine::copy::verify::{acknowledged, encrypted, holds_bytes, read_back};
use crate::engine::errors::PassError;
use crate::engine::findings::OverwriteGuard;
use crate::engine::outcome::Copied;
use crate::engine::progress::WHOLE;
use crate::engine::retry::{self, At as _, SideError, SideResult};
use crate::engine::source_object::SourceObject;
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind};
use crate::ledger::OpenUpload;
use crate::object::{Body, ByteRange, ETag, Entry, NewObject, Part, UploadId};
use crate::task::Key;

/// Copies an object with one read.
pub(in crate::engine) async fn copy(
    ctx: &Context,
    item: &SourceObject,
    refusals: &Refusals,
    sent: &OwnWrites,
) -> Result<Copied, PassError> {
    give_up(ctx, item.key()).await?;
    if item.size().is_some_and(|size| size > largest(ctx)) {
        return Err(SideError::source(too_large(ctx)).into());
    }
    let _permits = ctx.streams.acquire_with_piece().await.at_source()?;
    let (key, etag) = (item.key(), item.etag());
    let object = pinned_read::open(ctx, key, ByteRange::Whole, etag).await?;
    if let (Some(size), Some(length)) = (item.size(), object.length) {
        check_length(ctx, size, etag, Some(length)).at_source()?;
    }
    ctx.sync_points.reach(SyncPoint::ObjectOpened).await;

    let source_tag = object.info.etag.clone().filter(|_| object.info.md5().is_some());
    if source_tag.is_none() {
        gate(ctx, Proof::Checksum).at_source()?;
    }
    let length = object.length.or(item.size());
    let (new, left_out) = describe(ctx, key, object.info, refusals).await?;
    let (body, _) = metered(
        object.body,
        length,
        &ctx.throttle,
        ctx.progress.flow(key, WHOLE),
        Hashing::None,
    );
    let mut pieces = Pieces::new(body, ctx.tuning.sizes.piece);
    let first = pieces.next().await.at_source()?;
    let target = ctx.target_key(key);
    let in_one = pieces.at_end;
    let written = if in_one {
        sent.note(Some(first.md5), left_out);
        put(ctx, &target, &new, first, refusals).await?
    } else {
        match upload(ctx, item, &target, &new, &mut pieces, first, refusals).await {
            Ok(written) => written,
            Err(pass_error) => {
                if let Err(PassError::SideError(SideError { error, .. })) = give_up(ctx, key).await {
                    // The ledger keeps it for the next attempt of this object, or for the end of the pass.
                    tracing::warn!(task.id = %ctx.task.id, ?key, %error, "an upload could not be aborted yet");
                }
                return Err(pass_error);
            }
        }
    };
    let bytes = pieces.bytes;
    if bytes > 0 && target.as_bytes().ends_with(b"/") {
        holds_bytes(ctx, &target, bytes).await?;
    }
    let as_source = matches!((&written.tag, &source_tag), (Some(a), Some(b)) if a.same(b));
    let proof = match written.evidence {
        EtagEvidence::Same if as_source => Proof::ETag,
        EtagEvidence::Same => Proof::Checksum,
        EtagEvidence::Other => read_back(ctx, &target, bytes, pieces.md5(), written.tag.as_ref()).await?,
        EtagEvidence::Nothing if wants_hashes(ctx) => {
            read_back(ctx, &target, bytes, pieces.md5(), written.tag.as_ref()).await?
        }
        EtagEvidence::Nothing => Proof::Size,
    };
    // Only now, because an upload that is open in the ledger marks an object that is not verified.
    if !in_one {
        forget(ctx, key).await?;
    }
    Ok(Copied {
        bytes,
        proof,
        left_out,
    })
}

/// Aborts the upload that the ledger has for a key, if there is one.
async fn give_up(ctx: &Context, key: &Key) -> Result<(), PassError> {
    match ctx
        .ledger
        .upload(ctx.task.id, key)
        .await
        .map_err(PassError::Ledger)?
    {
        Some(open) => upload::give_up(ctx, open).await,
        None => Ok(()),
    }
}

/// Largest object that can be uploaded from one read.
fn largest(ctx: &Context) -> u64 {
    let sizes = ctx.tuning.sizes;
    sizes.pieces.saturating_mul(sizes.piece as u64)
}

fn too_large(ctx: &Context) -> Error {
    let text = format!(
        "the object is larger than {} bytes, and cannot be read in ranges",
        largest(ctx)
    );
    Error::new(ErrorKind::Unsupported, text).with_code("EntityTooLarge")
}

/// What was written, in one piece or several.
struct Written {
    /// Its ETag at the target.
    tag: Option<ETag>,
    evidence: EtagEvidence,
}

/// What the target's ETags show about the bytes, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum EtagEvidence {
    /// The bytes are those that were sent.
    Same,
    /// Nothing: the ETags are not hashes.
    Nothing,
    /// The bytes are others, or the ETags only look like hashes.
    Other,
}

impl EtagEvidence {
    fn by(ctx: &Context, tag: Option<&ETag>, sent: [u8; 16]) -> Self {
        match tag.and_then(ETag::md5) {
            Some(md5) if md5 == sent => Self::Same,
            Some(_) if !ctx.etags.target_is_opaque() => Self::Other,
            Some(_) | None => Self::Nothing,
        }
    }
}

/// Writes an object that is one piece.
async fn put(
    ctx: &Context,
    key: &Key,
    new: &NewObject,
    piece: Piece,
    refusals: &Refusals,
) -> SideResult<Written> {
    let (length, md5) = (piece.data.len() as u64, piece.md5);
    if ctx.guard == OverwriteGuard::Look {
        overwrite_guard::look(ctx, key).await?;
    }
    let condition = ctx.guard.condition();
    let answer = ctx
        .target
        .put(key, new, length, Some(md5), &condition, piece.body())
        .await;
    let written = refusals.observe(new, answer).at_target()?;
    ctx.sync_points.reach(SyncPoint::ObjectWritten).await;
    encrypted(ctx, key, &written).await?;
    let tag = match written.etag {
        Some(tag) => Some(tag),
        None => acknowledged(ctx, key, length).await?,
    };
    let evidence = EtagEvidence::by(ctx, tag.as_ref(), md5);
    Ok(Written { tag, evidence })
}

/// Uploads the first piece and all that follow, and completes the upload.
async fn upload(
    ctx: &Context,
    item: &SourceObject,
    key: &Key,
    new: &NewObject,
    pieces: &mut Pieces,
    mut piece: Piece,
    refusals: &Refusals,
) -> Result<Written, PassError> {
    // The ETag of an upload never equals that of a source that was written in another way.
    gate(ctx, Proof::Checksum).at_target()?;
    let intent = OpenUpload {
        key: item.key().clone(),
        upload_id: None,
        part_size: i64::try_from(pieces.size).unwrap_or(i64::MAX),
        source_etag: None,
        size: 0,
        foreign_uploads: None,
    };
    let upload = begin(ctx, key, intent, new, refusals).await?;
    let mut parts = Vec::new();
    let mut evidence = EtagEvidence::Same;
    for number in 1.. {
        if u64::from(number) > ctx.tuning.sizes.pieces {
            return Err(SideError::source(too_large(ctx)).into());
        }
        let mut part = send(ctx, key, &upload, number, &piece).await?;
        // Either the part was damaged on its way, or its ETag is not a hash. A second attempt shows which. Once is enough for
        // the whole object.
        if EtagEvidence::by(ctx, Some(&part.etag), piece.md5) == EtagEvidence::Other
            && evidence < EtagEvidence::Other
        {
            part = send(ctx, key, &upload, number, &piece).await?;
        }
        evidence = evidence.max(EtagEvidence::by(ctx, Some(&part.etag), piece.md5));
        parts.push(part);
        ctx.sync_points.reach(SyncPoint::PartWritten).await;
        if pieces.at_end {
            break;
        }
        drop(piece);
        piece = pieces.next().await.at_source()?;
    }
    let entry = Entry {
        key: item.key().clone(),
        size: pieces.bytes,
        etag: None,
        last_modified: item.last_modified(),
    };
    let tag = complete(ctx, &entry, key, &upload, &parts).await?;
    ctx.sync_points.reach(SyncPoint::UploadCompleted).await;
    // The target is asked, because the answer with this information may have been lost.
    let answer = crate::object::Written {
        etag: tag.clone(),
        encryption: None,
    };
    encrypted(ctx, key, &answer).await?;
    Ok(Written { tag, evidence })
}

/// Sends a piece, with its own retries: the piece is in memory, while the object would have to be read again from its
/// beginning.
async fn send(
    ctx: &Context,
    key: &Key,
    upload: &UploadId,
    number: u32,
    piece: &Piece,
) -> Result<Part, PassError> {
    let length = piece.data.len() as u64;
    let sent = retry::run(ctx.tuning.pace, || {
        let md5 = ctx.target.demands_md5().then_some(piece.md5);
        ctx.target
            .upload_part(key, upload, number, length, md5, piece.body())
    });
    match sent.await {
        Ok(part) => Ok(Part { size: length, ..part }),
        Err(error) => Err(forget_if_gone(SideError::target(error).into(), upload)),
    }
}

/// Some bytes of an object, in memory.
struct Piece {
    data: Bytes,
    md5: [u8; 16],
}

impl Piece {
    fn body(&self) -> Body {
        Full::new(self.data.clone())
            .map_err(|never| match never {})
            .boxed_unsync()
    }
}

/// A body, divided into pieces of one size.
struct Pieces {
    body: Body,
    size: usize,
    /// Bytes that came with the last frame and belong to the next piece.
    rest: Bytes,
    at_end: bool,
    /// Bytes and hash of all pieces so far.
    bytes: u64,
    hash: Md5,
}

impl Pieces {
    fn new(body: Body, size: usize) -> Self {
        Self {
            body,
            size,
            rest: Bytes::new(),
            at_end: false,
            bytes: 0,
            hash: Md5::new(),
        }
    }

    /// The next piece; only the last may be shorter. Reads ahead far enough to know whether this piece is the last, so that
    /// only an empty body has an empty piece.
    async fn next(&mut self) -> crate::error::Result<Piece> {
        let mut data: Vec<u8> = Vec::new();
        let mut hash = Md5::new();
        loop {
            let room = self.size - data.len();
            let fresh = self.rest.split_to(self.rest.len().min(room));
            if data.capacity() - data.len() < fresh.len() {
                // Doubles the buffer, so that small objects need little memory, but never beyond one piece.
                data.reserve_exact(data.len().max(fresh.len()).min(room));
            }
            data.extend_from_slice(&fresh);
            hash.update(&fresh);
            self.hash.update(&fresh);
            self.bytes += fresh.len() as u64;
            if !self.rest.is_empty() {
                break;
            }
            match self.body.frame().await {
                None => {
                    self.at_end = true;
                    break;
                }
                Some(frame) => self.rest = frame?.into_data().unwrap_or_default(),
            }
        }
        Ok(Piece {
            data: data.into(),
            md5: hash.finalize().into(),
        })
    }

    /// Hash of all pieces so far.
    fn md5(&self) -> [u8; 16] {
        self.hash.clone().finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use proptest::prelude::*;

    fn body(frames: &[Vec<u8>]) -> Body {
        let frames: Vec<crate::error::Result<Frame<Bytes>>> = frames
            .iter()
            .map(|frame| Ok(Frame::data(Bytes::from(frame.clone()))))
            .collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    proptest! {
        #[test]
        fn pieces_are_the_body_and_all_but_the_last_are_full(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20),
            size in 1..9_usize,
        ) {
            let whole = frames.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut pieces = Pieces::new(body(&frames), size);
            let mut found = Vec::new();
            runtime.block_on(async {
                while !pieces.at_end {
                    found.push(pieces.next().await.unwrap());
                }
            });
            let cut: Vec<&[u8]> = if whole.is_empty() { vec![&[]] } else { whole.chunks(size).collect() };
            prop_assert_eq!(found.iter().map(|piece| &piece.data[..]).collect::<Vec<_>>(), cut);
            for piece in &found {
                prop_assert_eq!(piece.md5, <[u8; 16]>::from(Md5::digest(&piece.data)));
            }
            prop_assert_eq!(pieces.md5(), <[u8; 16]>::from(Md5::digest(&whole)));
            prop_assert_eq!(pieces.bytes, whole.len() as u64);
        }
    }
}
