//! Copies large objects: parts in parallel, in an upload that survives a stop, a crash and a change of credentials.
//!
//! If the source itself was uploaded in equal parts, the copy uses the same part boundaries. Then the target's ETag becomes
//! equal to the source's and proves every byte.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::engine::context::{Context, Route};
use crate::engine::copy::layout::{Boundaries, Layout, layout};
use crate::engine::copy::metadata::describe;
use crate::engine::copy::metadata_fallback::Refusals;
use crate::engine::copy::metered_body::Hashing;
use crate::engine::copy::mode::SourceTag;
use crate::engine::copy::part::{self, PartJob, SentPart, Unproved};
use crate::engine::copy::parts_at_once::PartsAtOnce;
use crate::engine::copy::pinned_read::pinned;
use crate::engine::copy::proof::{Proof, wants_hashes};
use crate::engine::copy::upload::{abort, abort_unknown, begin, forget, forget_if_gone};
use crate::engine::copy::upload_complete::{complete, joined_tag};
use crate::engine::copy::verify::{
    ObjectIdentity, Removal, changed, encrypted, read_back_parts, remove_written,
};
use crate::engine::copy::{one_read, overwrite_guard, server_side};
use crate::engine::errors::PassError;
use crate::engine::outcome::Copied;
use crate::engine::retry::{At as _, SideError, SideResult};
use crate::engine::source_object::SourceObject;
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind};
use crate::ledger::OpenUpload;
use crate::object::{ETag, Entry, NewObject, ObjectInfo, Part, UploadId, Written};
use crate::task::Key;

/// Parts of one object that are read again at the same time.
const READ_AT_ONCE: usize = 4;

/// Copies an object in parts, and resumes an upload that the ledger has recorded.
pub(in crate::engine) async fn copy(
    ctx: &Context,
    entry: &Entry,
    refusals: &Refusals,
    wrote: &overwrite_guard::OwnWrites,
) -> Result<Copied, PassError> {
    let (info, source_part) = look_at_source(ctx, entry).await?;
    let mut entry = entry.clone();
    if entry.etag.is_none() {
        entry.etag.clone_from(&info.etag);
    }
    let Some(etag) = entry.etag.clone() else {
        // If the parts were read one by one, it could not be checked that they are of one version.
        return one_read::copy(ctx, &SourceObject::KnownSize(entry), refusals, wrote).await;
    };
    let can_use = |layout: &Layout| {
        layout.boundaries != Boundaries::Guessed || !ctx.etags.source_parts_are_unguessable()
    };
    let sizes = ctx.tuning.sizes;
    let layout = Some(layout(sizes, entry.size, source_part))
        .filter(can_use)
        .unwrap_or_else(|| layout(sizes, entry.size, None));
    let tag = if info.tag_is_hash() && !ctx.etags.source_multipart_is_opaque() {
        SourceTag::Md5
    } else {
        SourceTag::Opaque
    };
    let route = refusals.route(ctx);
    let hashing = part::hashing(ctx, layout, tag, route).at_target()?;
    let (new, left_out) = describe(ctx, &entry.key, info, refusals).await?;
    let job = Upload {
        entry: &entry,
        etag: &etag,
        new: &new,
        refusals,
        layout,
        hashing,
        route,
    };
    let joined = upload_all(ctx, &job).await?;
    let reported = joined.reported.clone();
    let known = layout.boundaries == Boundaries::Source && tag == SourceTag::Md5;
    let proof = match joined.tag {
        Tag::AsSource => Proof::ETag,
        // Two different hashes prove that the store copied something else.
        Tag::Made(_) if known && route == Route::ServerSide => {
            return Err(wrong_copy(ctx, &job, reported).await?.into());
        }
        Tag::Made(first) if known => second_read(ctx, &job, &first).await?,
        other => {
            // The ETag does not prove the copy. From now on parts are hashed while they are transferred.
            let guessed = layout.boundaries == Boundaries::Guessed;
            match other {
                Tag::Made(_) if guessed => ctx.etags.source_parts_were_misguessed(),
                Tag::Made(_) | Tag::AsSource => {}
                Tag::Other => ctx.etags.target_multipart_is_no_hash(),
            }
            let parts = read_again(ctx, &job, joined.parts).await?;
            proof_of_parts(ctx, &job, &parts, reported.as_ref()).await?
        }
    };
    if proof == Proof::Size && route == Route::ServerSide && !server_side::is_as_long(ctx, &entry).await? {
        return Err(wrong_copy(ctx, &job, reported).await?.into());
    }
    // Only now, because an upload that is open in the ledger marks an object that is not verified.
    forget(ctx, &entry.key).await?;
    Ok(Copied {
        bytes: entry.size,
        proof,
        left_out,
    })
}

/// What is uploaded, and how.
#[derive(Clone, Copy)]
struct Upload<'a> {
    entry: &'a Entry,
    etag: &'a ETag,
    new: &'a NewObject,
    refusals: &'a Refusals,
    layout: Layout,
    hashing: Hashing,
    route: Route,
}

/// Handles an object whose parts the store copied wrongly: it is removed, and its bytes are read and written.
async fn wrong_copy(ctx: &Context, job: &Upload<'_>, etag: Option<ETag>) -> Result<SideError, PassError> {
    let key = ctx.target_key(&job.entry.key);
    let written = Written {
        etag,
        encryption: None,
    };
    let side_error = server_side::wrong(ctx, &key, &written, job.refusals).await;
    forget(ctx, &job.entry.key).await?;
    Ok(side_error)
}

/// Removes the completed object, if it is still there.
async fn remove_joined(ctx: &Context, key: &Key, etag: Option<&ETag>) -> SideResult<()> {
    match remove_written(ctx, key, &ObjectIdentity::tag(etag)).await? {
        Removal::Gone => Ok(()),
        Removal::Left => Err(changed()).at_target(),
    }
}

/// An object that was completed from its parts.
struct Joined {
    /// The ETag in the answer to its completion.
    reported: Option<ETag>,
    tag: Tag,
    parts: Vec<SentPart>,
}

/// The ETag of the completed object.
enum Tag {
    /// It equals the source's.
    AsSource,
    /// It differs from the source's and is the one that S3 computes from the parts.
    Made(ETag),
    /// It proves nothing.
    Other,
}

/// Handles a copy with the source's part boundaries, at a target that computes ETags as S3 does, whose ETag differs from the
/// source's. Either bytes were damaged on their way, or the source computes ETags in another way. A second read that gives the
/// same ETag again shows that it is the source, unless the source is known to compute ETags as S3 does.
async fn second_read(ctx: &Context, job: &Upload<'_>, first: &ETag) -> Result<Proof, PassError> {
    let key = ctx.target_key(&job.entry.key);
    // The wrong object must not stay longer than necessary.
    remove_joined(ctx, &key, Some(first)).await?;
    forget(ctx, &job.entry.key).await?;
    let job = &Upload {
        hashing: part::hashing(ctx, job.layout, SourceTag::Opaque, job.route).at_target()?,
        ..*job
    };
    let again = upload_all(ctx, job).await?;
    match again.tag {
        Tag::AsSource => return Ok(Proof::ETag),
        Tag::Made(second) if second.same(first) && !ctx.etags.source_multipart_is_proved() => {
            ctx.etags.source_multipart_is_no_hash();
            return proof_of_parts(ctx, job, &again.parts, again.reported.as_ref()).await;
        }
        Tag::Made(_) | Tag::Other => {}
    }
    remove_joined(ctx, &key, again.reported.as_ref()).await?;
    let text = "the bytes from the source do not match its ETag; the copy was removed";
    Err(SideError::source(Error::new(ErrorKind::Integrity, text)).into())
}

/// Hashes parts that were sent without hashing, by reading the source once more, if the hashes can be compared with anything.
async fn read_again(
    ctx: &Context,
    job: &Upload<'_>,
    parts: Vec<SentPart>,
) -> Result<Vec<SentPart>, PassError> {
    let hashing = part::hashing(ctx, job.layout, SourceTag::Opaque, job.route).at_target()?;
    if hashing == Hashing::None || job.hashing == Hashing::Md5 {
        return Ok(parts);
    }
    let key = ctx.target_key(&job.entry.key);
    // The upload is completed, and nothing is sent any more.
    let upload = UploadId(String::new());
    let hash = |sent: SentPart| {
        let job = PartJob {
            entry: job.entry,
            key: &key,
            upload: &upload,
            layout: job.layout,
            number: sent.part.number,
            hashing,
            route: job.route,
            refusals: job.refusals,
        };
        part::read_again(ctx, job, sent.part)
    };
    let hashed = stream::iter(parts).map(hash).buffered(READ_AT_ONCE);
    Ok(hashed.try_collect().await?)
}

/// What the parts themselves prove. Some ETags look like hashes of other bytes, and some do not look like hashes. In both cases
/// the parts of the completed object are read back once and compared with what was sent.
async fn proof_of_parts(
    ctx: &Context,
    job: &Upload<'_>,
    parts: &[SentPart],
    reported: Option<&ETag>,
) -> Result<Proof, PassError> {
    if parts.iter().all(SentPart::is_proved) {
        return Ok(Proof::Checksum);
    }
    let Some(hashes) = parts.iter().map(|sent| sent.hash).collect::<Option<Vec<_>>>() else {
        return Ok(Proof::Size);
    };
    if !wants_hashes(ctx) && !part::can_compare(ctx) {
        return Ok(Proof::Size);
    }
    let key = ctx.target_key(&job.entry.key);
    let spans = (1..).map(|number| job.layout.range(job.entry.size, number));
    Ok(read_back_parts(ctx, &key, spans.zip(hashes), reported).await?)
}

/// Uploads what is missing and completes the upload. In the ledger the upload stays open.
async fn upload_all(ctx: &Context, job: &Upload<'_>) -> Result<Joined, PassError> {
    let &Upload {
        entry,
        etag,
        new,
        refusals,
        layout,
        hashing,
        route,
    } = job;
    let key = ctx.target_key(&entry.key);
    let (upload, done) = match resume(ctx, entry, etag, &key, layout).await? {
        Some(found) => found,
        None => {
            let intent = OpenUpload {
                key: entry.key.clone(),
                upload_id: None,
                part_size: i64::try_from(layout.part_size).unwrap_or(i64::MAX),
                source_etag: Some(etag.clone()),
                size: i64::try_from(entry.size).unwrap_or(i64::MAX),
                foreign_uploads: None,
            };
            (begin(ctx, &key, intent, new, refusals).await?, BTreeMap::new())
        }
    };

    let held = done.values().map(|part| (part.number, part.size));
    ctx.progress.resume(&entry.key, held);
    let recorded = ctx.ledger.part_hashes(ctx.task.id, &entry.key).await;
    let unproved = if hashing == Hashing::Md5 && (layout.boundaries == Boundaries::Own || wants_hashes(ctx)) {
        Unproved::ReadAgain
    } else {
        Unproved::Keep
    };
    let (kept, to_send) = part::divide(done, recorded.map_err(PassError::Ledger)?, layout.count, unproved);
    let send = |(number, had)| {
        let job = PartJob {
            entry,
            key: &key,
            upload: &upload,
            layout,
            number,
            hashing,
            route,
            refusals,
        };
        part::send(ctx, job, had)
    };
    let fresh = send_all(ctx, to_send, route, send)
        .await
        .map_err(|pass_error| forget_if_gone(pass_error, &upload))?;
    let mut sent: Vec<SentPart> = kept.into_iter().chain(fresh).collect();
    sent.sort_by_key(|sent| sent.part.number);
    let parts: Vec<Part> = sent.iter().map(|sent| sent.part.clone()).collect();

    let reported = complete(ctx, entry, &key, &upload, &parts).await?;
    ctx.sync_points.reach(SyncPoint::UploadCompleted).await;
    // The target is asked, because the answer with this information may have been lost.
    let answer = Written {
        etag: reported.clone(),
        encryption: None,
    };
    encrypted(ctx, &key, &answer).await?;
    let made = reported
        .clone()
        .filter(|reported| joined_tag(&parts).is_some_and(|made| made.same(reported)) || reported.same(etag));
    let tag = match made {
        Some(tag) if tag.same(etag) => {
            ctx.etags.source_multipart_is_a_hash();
            Tag::AsSource
        }
        Some(tag) => Tag::Made(tag),
        None => Tag::Other,
    };
    Ok(Joined {
        reported,
        tag,
        parts: sent,
    })
}

/// Sends parts, as many at a time as help.
async fn send_all<P, F>(
    ctx: &Context,
    parts: Vec<P>,
    route: Route,
    send: impl Fn(P) -> F,
) -> Result<Vec<SentPart>, PassError>
where
    F: Future<Output = Result<SentPart, PassError>>,
{
    let timed = |part| {
        let (sent, begun) = (send(part), Instant::now());
        async move { Ok::<_, PassError>((sent.await?, begun.elapsed())) }
    };
    let mut all = Vec::with_capacity(parts.len());
    let mut waiting = parts.into_iter();
    let mut in_flight = FuturesUnordered::new();
    let mut at_once = PartsAtOnce::new();
    loop {
        let share = ctx.objects.share();
        let room = at_once.limit(share).saturating_sub(in_flight.len());
        in_flight.extend(waiting.by_ref().take(room).map(timed));
        let Some((sent, took)) = in_flight.try_next().await? else {
            return Ok(all);
        };
        at_once.finished(took, share);
        if route == Route::Stream {
            ctx.stream_speed.measured(sent.part.size, took);
        }
        all.push(sent);
    }
}

/// Headers of the source, and the size of its first part and the number of its parts, if it has parts.
async fn look_at_source(ctx: &Context, entry: &Entry) -> SideResult<(ObjectInfo, Option<(u64, u32)>)> {
    let parts = entry.etag.as_ref().and_then(ETag::parts);
    if let Some(count) = parts {
        match ctx.source.head(&entry.key, Some(1)).await {
            Ok(info) => {
                pinned(entry.etag.as_ref(), info.etag.as_ref()).at_source()?;
                // A store that ignores the part number, or reports no length, gives the whole size. A layout with `count` parts
                // cannot have parts of that size.
                let first = (info.size.unwrap_or(entry.size), count);
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
    pinned(entry.etag.as_ref(), info.etag.as_ref()).at_source()?;
    Ok((info, parts.map(|count| (entry.size, count))))
}

/// The upload that an earlier attempt left, with the parts that the target has; `None` to begin a new one. An upload of another
/// version or with other part sizes is aborted first.
async fn resume(
    ctx: &Context,
    entry: &Entry,
    etag: &ETag,
    key: &Key,
    layout: Layout,
) -> Result<Option<(UploadId, BTreeMap<u32, Part>)>, PassError> {
    let known = ctx.ledger.upload(ctx.task.id, &entry.key).await;
    let Some(open) = known.map_err(PassError::Ledger)? else {
        return Ok(None);
    };
    let Some(id) = open.upload_id.clone() else {
        abort_unknown(ctx, key, &entry.key, open.foreign_uploads.as_deref()).await?;
        return Ok(None);
    };
    let upload = UploadId(id);
    let fits = open.source_etag.is_some_and(|known| known.same(etag))
        && u64::try_from(open.size) == Ok(entry.size)
        && u64::try_from(open.part_size) == Ok(layout.part_size);
    if !fits {
        abort(ctx, key, &entry.key, &upload).await?;
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
            tracing::debug!(task.id = %ctx.task.id, key = ?entry.key, parts = done.len(), "upload is resumed");
            Ok(Some((upload, done)))
        }
        Err(error) if error.kind() == ErrorKind::UploadNotFound => {
            abort(ctx, key, &entry.key, &upload).await?;
            Ok(None)
        }
        Err(error) => Err(SideError::target(error).into()),
    }
}
