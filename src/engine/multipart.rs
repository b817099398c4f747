//! Large objects: parts in parallel, an upload that outlives a stop, a crash and a change of keys.
//!
//! A source that was itself uploaded in equal parts is copied along the same boundaries, so that the target's tag
//! becomes equal to the source's and proves every byte.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use md5::{Digest as _, Md5};

use super::copy::{Copied, Proof, pinned, target_key};
use super::hooks::Point;
use super::item::Item;
use super::layout::{Boundaries, Layout, layout};
use super::metadata::{Tagging, describe};
use super::part::{self, PartJob};
use super::retry::{At as _, Attempt, Trouble};
use super::stream::Hashing;
use super::uploads::{abort, abort_unknown};
use super::{Context, feed, sequential};
use crate::error::{Error, ErrorKind};
use crate::object::clouds::Side;
use crate::object::{ETag, Entry, NewObject, ObjectInfo, Part, UploadId, WriteIf};
use crate::store::OpenUpload;
use crate::task::Key;

/// Parts of one object at the same time.
const PARTS_AT_ONCE: usize = 4;

/// Copies an object in parts, going on with an upload that the ledger knows.
pub(super) async fn copy(ctx: &Context, entry: &Entry, tags: &Tagging) -> Attempt<Copied> {
    let (info, source_part) = look_at_source(ctx, entry).await?;
    let mut entry = entry.clone();
    if entry.etag.is_none() {
        entry.etag.clone_from(&info.etag);
    }
    let Some(etag) = entry.etag.clone() else {
        // Parts of one version could not be told from those of another, if they were read one by one.
        return sequential::copy(ctx, &Item::Measured(entry), tags).await;
    };
    let layout = layout(ctx.tuning.sizes, entry.size, source_part);
    let hashing = part::hashing(ctx, layout).at_target()?;
    let (new, metadata) = describe(ctx, &entry.key, info, tags).await?;
    let job = Upload {
        entry: &entry,
        etag: &etag,
        new: &new,
        layout,
        hashing,
    };
    let proof = match upload_all(ctx, &job).await? {
        Joined::AsSource => Proof::ETag,
        Joined::Otherwise(Some(first))
            if layout.boundaries == Boundaries::Source
                && !ctx.source_joined_opaque.load(Ordering::Relaxed) =>
        {
            second_read(ctx, &job, &first).await?
        }
        Joined::Otherwise(_) => job.proof_of_parts(),
    };
    Ok(Copied {
        bytes: entry.size,
        proof,
        metadata,
    })
}

/// What is uploaded, and how.
struct Upload<'a> {
    entry: &'a Entry,
    etag: &'a ETag,
    new: &'a NewObject,
    layout: Layout,
    hashing: Hashing,
}

impl Upload<'_> {
    /// What the parts prove by themselves: where they were hashed, each hash was compared with the part's tag, or the copy
    /// would not have come so far.
    fn proof_of_parts(&self) -> Proof {
        match self.hashing {
            Hashing::Md5 => Proof::Checksum,
            Hashing::None => Proof::Size,
        }
    }
}

/// The tag of an object that was joined from its parts.
enum Joined {
    /// Equal to the source's.
    AsSource,
    /// Another one; with its text where the target makes the tags of S3.
    Otherwise(Option<ETag>),
}

/// Cut as the source's was, and joined by a target that makes the tags of S3, the object has another tag. Either bytes
/// were damaged on their way, or the source makes other tags: a second read that gives the same again tells.
async fn second_read(ctx: &Context, job: &Upload<'_>, first: &ETag) -> Attempt<Proof> {
    let key = target_key(ctx, &job.entry.key);
    // Not left for a moment longer than needed: after a crash nothing would tell that it is wrong.
    ctx.target.delete(&key).await.at_target()?;
    match upload_all(ctx, job).await? {
        Joined::AsSource => Ok(Proof::ETag),
        Joined::Otherwise(Some(second)) if second.same(first) => {
            ctx.source_joined_opaque.store(true, Ordering::Relaxed);
            Ok(job.proof_of_parts())
        }
        Joined::Otherwise(_) => {
            ctx.target.delete(&key).await.at_target()?;
            let text = "two reads of the source gave different bytes; what was written is removed";
            Err(Error::new(ErrorKind::Integrity, text)).at_source()
        }
    }
}

/// Uploads what is missing, and joins it.
async fn upload_all(ctx: &Context, job: &Upload<'_>) -> Attempt<Joined> {
    let &Upload {
        entry,
        etag,
        new,
        layout,
        hashing,
    } = job;
    let key = target_key(ctx, &entry.key);
    let (upload, done) = match resume(ctx, entry, etag, &key, layout).await? {
        Some(found) => found,
        None => {
            let intent = OpenUpload {
                key: entry.key.clone(),
                upload_id: None,
                part_size: i64::try_from(layout.part_size).unwrap_or(i64::MAX),
                source_etag: Some(etag.clone()),
                size: i64::try_from(entry.size).unwrap_or(i64::MAX),
            };
            (begin(ctx, &key, intent, new).await?, BTreeMap::new())
        }
    };

    let (kept, to_send) = part::divide(done, layout.count, hashing);
    let send = |(number, had)| {
        let job = PartJob {
            entry,
            key: &key,
            upload: &upload,
            layout,
            number,
            hashing,
        };
        part::send(ctx, job, had)
    };
    let fresh: Vec<Part> = stream::iter(to_send.into_iter().map(send))
        .buffer_unordered(PARTS_AT_ONCE)
        .try_collect()
        .await
        .map_err(|trouble| forget_if_gone(trouble, &upload))?;
    let mut parts: Vec<Part> = kept.into_iter().chain(fresh).collect();
    parts.sort_by_key(|part| part.number);

    let written = complete(ctx, entry, &key, &upload, &parts).await?;
    ctx.hooks.reach(Point::UploadCompleted).await;
    ctx.store
        .remove_upload(ctx.task.id, &entry.key)
        .await
        .at_target()?;
    Ok(match written {
        Some(told) if told.same(etag) => Joined::AsSource,
        told => Joined::Otherwise(told.filter(|told| joined_tag(&parts).is_some_and(|made| made.same(told)))),
    })
}

/// Begins an upload. The intent stands in the ledger before it is asked for, and its id before it gets a part, so that a
/// crash leaves none that is not known.
pub(super) async fn begin(
    ctx: &Context,
    key: &Key,
    intent: OpenUpload,
    new: &NewObject,
) -> Attempt<UploadId> {
    ctx.store.put_upload(ctx.task.id, &intent).await.at_target()?;
    let upload = ctx.target.create_upload(key, new).await.at_target()?;
    ctx.hooks.reach(Point::UploadCreated).await;
    let record = OpenUpload {
        upload_id: Some(upload.0.clone()),
        ..intent
    };
    ctx.store.put_upload(ctx.task.id, &record).await.at_target()?;
    ctx.hooks.reach(Point::UploadRecorded).await;
    Ok(upload)
}

/// Headers of the source, and its part boundaries where it has some.
async fn look_at_source(ctx: &Context, entry: &Entry) -> Attempt<(ObjectInfo, Option<(u64, u32)>)> {
    let parts = entry.etag.as_ref().and_then(ETag::parts);
    if let Some(count) = parts {
        match ctx.source.head(&entry.key, Some(1)).await {
            Ok(info) => {
                pinned(entry, info.etag.as_ref()).at_source()?;
                // A store that ignores the part number gives the whole size, which fits no cut into `count` parts.
                let first = (info.told_size().at_source()?, count);
                return Ok((info, Some(first)));
            }
            // Stores that know no part numbers may refuse or ignore them.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidArgument | ErrorKind::Unsupported | ErrorKind::Integrity
                ) => {}
            Err(error) => return Err(error).at_source(),
        }
    }
    let info = ctx.source.head(&entry.key, None).await.at_source()?;
    pinned(entry, info.etag.as_ref()).at_source()?;
    Ok((info, None))
}

/// The upload that an earlier attempt left, with the parts that the target holds of it; `None` to begin anew. An
/// upload of another version or another cut is given up first.
async fn resume(
    ctx: &Context,
    entry: &Entry,
    etag: &ETag,
    key: &Key,
    layout: Layout,
) -> Attempt<Option<(UploadId, BTreeMap<u32, Part>)>> {
    let Some(open) = ctx.store.upload(ctx.task.id, &entry.key).await.at_target()? else {
        return Ok(None);
    };
    let Some(id) = open.upload_id.clone() else {
        abort_unknown(ctx, key, &entry.key).await.at_target()?;
        return Ok(None);
    };
    let upload = UploadId(id);
    let fits = open.source_etag.is_some_and(|known| known.same(etag))
        && u64::try_from(open.size) == Ok(entry.size)
        && u64::try_from(open.part_size) == Ok(layout.part_size);
    if !fits {
        abort(ctx, key, &entry.key, &upload).await.at_target()?;
        return Ok(None);
    }
    match ctx.target.list_parts(key, &upload).await {
        Ok(parts) => {
            let whole = |part: &Part| {
                (1..=layout.count).contains(&part.number)
                    && part.size == layout.range(entry.size, part.number).1
            };
            let done: BTreeMap<u32, Part> = parts
                .into_iter()
                .filter(whole)
                .map(|part| (part.number, part))
                .collect();
            tracing::debug!(task.id = %ctx.task.id, key = ?entry.key, parts = done.len(), "upload goes on");
            Ok(Some((upload, done)))
        }
        Err(error) if error.kind() == ErrorKind::UploadNotFound => {
            abort(ctx, key, &entry.key, &upload).await.at_target()?;
            Ok(None)
        }
        Err(error) => Err(error).at_target(),
    }
}

/// An upload that vanished while its parts were sent is begun again by the next try of the object.
pub(super) fn forget_if_gone(trouble: Trouble, upload: &UploadId) -> Trouble {
    if trouble.side == Side::Target && trouble.error.kind() == ErrorKind::UploadNotFound {
        let text = format!("the upload {} is gone", upload.0);
        return Trouble {
            side: Side::Target,
            error: Error::new(ErrorKind::Unavailable, text),
        };
    }
    trouble
}

/// Joins the parts. When the answer is lost, or an earlier attempt had completed it, the target is asked what it has.
pub(super) async fn complete(
    ctx: &Context,
    entry: &Entry,
    key: &Key,
    upload: &UploadId,
    parts: &[Part],
) -> Attempt<Option<ETag>> {
    let error = match ctx
        .target
        .complete_upload(key, upload, parts, &WriteIf::Always)
        .await
    {
        Ok(written) => return Ok(written),
        Err(error) => error,
    };
    let unclear = matches!(
        error.kind(),
        ErrorKind::UploadNotFound | ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Integrity
    );
    if matches!(error.code(), Some("InvalidPart" | "InvalidPartOrder")) {
        // The target does not have what it said it has: nothing of this upload can be believed.
        abort(ctx, key, &entry.key, upload).await.at_target()?;
        let again = Error::new(ErrorKind::Integrity, error.message());
        return Err(again.with_code("InvalidPart")).at_target();
    }
    if !unclear {
        return Err(error).at_target();
    }
    let info = feed::head(ctx.tuning.pace, &ctx.target, key).await.at_target()?;
    // Size and number of parts say nothing: an older version may have the same. Only the tag that these parts make, or the
    // source's own, is this object; where the target makes other tags, it is uploaded once more.
    let made = joined_tag(parts);
    let joined = info.filter(|info| {
        let known = || entry.etag.iter().chain(&made);
        let same = |tag: &ETag| known().any(|known| known.same(tag));
        info.size == Some(entry.size) && info.etag.as_ref().is_some_and(same)
    });
    match joined {
        Some(info) => Ok(info.etag),
        None if error.kind() == ErrorKind::UploadNotFound => {
            // Giving it up makes sure of that before it is forgotten.
            abort(ctx, key, &entry.key, upload).await.at_target()?;
            Err(Error::new(
                ErrorKind::Unavailable,
                "the upload is gone and its object is not there",
            ))
            .at_target()
        }
        None => Err(error).at_target(),
    }
}

/// The tag that S3 gives to an object of these parts: the MD5 of their MD5 sums. `None` where their tags are none.
fn joined_tag(parts: &[Part]) -> Option<ETag> {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part.etag.md5()?);
    }
    Some(ETag::new(&format!(
        "{}-{}",
        hex::encode(hash.finalize()),
        parts.len()
    )))
}
