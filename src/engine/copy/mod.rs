//! Copies one object and proves the copy.
//!
//! The read is pinned to the listed version. The write is verified by what the target returns. Errors are retried only if that
//! can help. Each copy is counted with its proof, and a weaker proof is never hidden.

pub mod attributes;
pub mod hash;
pub mod layout;
pub mod metadata;
pub mod metadata_fallback;
pub mod metered_body;
pub mod mode;
pub mod multipart;
pub mod one_read;
pub mod overwrite_guard;
pub mod part;
mod parts_at_once;
pub mod pinned_read;
pub mod proof;
pub mod server_side;
mod time_limited;
pub mod upload;
pub mod upload_complete;
pub mod verify;

use std::time::Instant;

use crate::engine::context::{Context, Route};
use crate::engine::copy::hash::hash_first;
use crate::engine::copy::metadata::describe;
use crate::engine::copy::metadata_fallback::{Refusals, Verdict};
use crate::engine::copy::metered_body::{Hashing, metered};
use crate::engine::copy::mode::{Mode, SourceTag, choose, longest_single, may_become_parts, parts_may_help};
use crate::engine::copy::overwrite_guard::OwnWrites;
use crate::engine::copy::pinned_read::check_length;
pub use crate::engine::copy::proof::Proof;
use crate::engine::copy::proof::{gate, wants_hashes};
use crate::engine::copy::time_limited::{TOO_SLOW, time_limited};
use crate::engine::copy::verify::{ObjectIdentity, acknowledged, discard, encrypted, holds_bytes, read_back};
use crate::engine::errors::PassError;
use crate::engine::findings::OverwriteGuard;
use crate::engine::lookup;
pub use crate::engine::outcome::{Copied, Outcome, failed};
use crate::engine::progress::WHOLE;
use crate::engine::retry::{self, At as _, SideError, SideResult};
use crate::engine::source_object::{SourceObject, allows_unknown_size};
use crate::engine::sync_points::SyncPoint;
use crate::error::ErrorKind;
use crate::object::clouds::Side;
use crate::object::{ByteRange, ETag, Entry, unknown_length};

/// Copies one object, with as many attempts as that needs.
///
/// # Errors
/// `Cancelled`, or an error of the ledger. Every other error is the outcome of this object.
pub async fn transfer(ctx: &Context, mut item: SourceObject) -> Result<Outcome, PassError> {
    let _lock = match ctx.task.spec.scope.list_file() {
        Some(_) => Some(ctx.key_locks.lock(item.key()).await),
        None => None,
    };
    let mut attempts = 0;
    let mut refreshed = None;
    let refusals = Refusals::default();
    let mut sent = OwnWrites::default();
    let mut tag = if ctx.etags.source_is_opaque() {
        SourceTag::Opaque
    } else {
        SourceTag::Md5
    };
    let mut whole_fails = false;
    loop {
        attempts += 1;
        let sizes = ctx.tuning.sizes;
        let longest = if whole_fails {
            0
        } else {
            let spec = &ctx.task.spec;
            let divisible = item
                .measured()
                .is_some_and(|entry| may_become_parts(spec, sizes.threshold, entry));
            let whole = if divisible {
                ctx.stream_speed.longest(sizes.whole, sizes.whole_time)
            } else {
                sizes.whole
            };
            longest_single(spec, whole, refusals.route(ctx))
        };
        let mode = match &item {
            SourceObject::KnownSize(entry) => choose(sizes.threshold, entry, tag, longest),
            SourceObject::UnknownSize { .. } => Mode::Single,
        };
        let begun = Instant::now();
        let side_error = match copy_once(ctx, &item, tag, mode, &refusals, &sent).await {
            Ok(copied) => {
                ctx.objects.finished(item.size(), begun, Instant::now());
                refusals.was_streamed(ctx);
                return Ok(Outcome::Copied(copied));
            }
            Err(PassError::SideError(side_error)) => side_error,
            Err(pass_error) => return Err(pass_error),
        };
        if refusals.take_copy_refusal() {
            let error = &side_error.error;
            tracing::info!(task.id = %ctx.task.id, key = ?item.key(), %error, "not copied inside the store; read and written instead");
            continue;
        }
        let mut side_error = match (side_error.side, side_error.error.kind()) {
            (Side::Source, ErrorKind::NotFound) => match lookup::confirm(ctx, item.key()).await {
                Ok(()) => return Ok(missing(ctx, &item, &side_error, attempts)),
                Err(side_error) => side_error,
            },
            _ => side_error,
        };
        let kind = side_error.error.kind();
        if kind == ErrorKind::Cancelled {
            return Err(side_error.into());
        }
        if side_error.error.code() == Some(TOO_SLOW) {
            tracing::info!(task.id = %ctx.task.id, key = ?item.key(), "one stream is too slow for the whole object; sent in parts");
            whole_fails = true;
            continue;
        }
        if mode == Mode::Single
            && item.known_bytes() > ctx.tuning.sizes.threshold
            && parts_may_help(&side_error)
        {
            whole_fails = true;
            if !side_error.error.is_retryable() {
                continue;
            }
        }
        match (side_error.side, kind) {
            (Side::Source, ErrorKind::PreconditionFailed)
                if refreshed.is_none() || !ctx.quirks.conditions_are_broken() =>
            {
                // Either the object has changed since it was listed: copy the new version, once. Or it has not changed, and `If-Match`
                // does not work at this source.
                match lookup::find(ctx, item.key()).await {
                    Ok(Some(SourceObject::KnownSize(now)))
                        if item
                            .measured()
                            .is_some_and(|before| pinned_read::is_same_version(before, &now))
                            && !ctx.quirks.conditions_are_broken() =>
                    {
                        tracing::warn!(
                            task.id = %ctx.task.id,
                            "the source refuses If-Match with its own ETag; reads go without it and compare the ETags of the answers"
                        );
                        ctx.quirks.note_broken_conditions();
                        continue;
                    }
                    Ok(Some(_)) if refreshed.is_some() => {
                        return Ok(failed(ctx, item.key(), item.known_bytes(), &side_error, attempts));
                    }
                    Ok(None) => {
                        let side_error = SideError::source(lookup::no_such_key());
                        return Ok(missing(ctx, &item, &side_error, attempts));
                    }
                    Ok(Some(now)) => {
                        item = now;
                        refreshed = Some(());
                        sent = OwnWrites::default();
                        continue;
                    }
                    Err(side_error) => {
                        return Ok(failed(ctx, item.key(), item.known_bytes(), &side_error, attempts));
                    }
                }
            }
            (Side::Target, ErrorKind::PreconditionFailed) if ctx.guard != OverwriteGuard::None => {
                match overwrite_guard::appeared(ctx, &item, &sent).await {
                    Ok(outcome) => return Ok(outcome),
                    Err(other) => side_error = other,
                }
            }
            // If other ETags were hashes, one that differs means corrupt data. Content that a CDN changed looks the same and has no
            // other proof, so there the ETag of the source must match.
            (Side::Target, ErrorKind::Integrity)
                if ctx.task.spec.cdn.is_none() && !ctx.etags.source_is_proved() =>
            {
                tag = SourceTag::Opaque;
            }
            _ => match refusals.judge(side_error, ctx.task.spec.rules.refused_metadata) {
                Verdict::Again(SideError { error, .. }) => {
                    let left_out = refusals.left_out();
                    tracing::debug!(task.id = %ctx.task.id, key = ?item.key(), %error, %left_out, "refused, and retried");
                    continue;
                }
                Verdict::Unrelated(same) => side_error = same,
                Verdict::Fail(named) => {
                    return Ok(failed(ctx, item.key(), item.known_bytes(), &named, attempts));
                }
            },
        }
        let Some(wait) = retry::delay(ctx.tuning.pace, &side_error.error, attempts, rand::random()) else {
            return Ok(failed(ctx, item.key(), item.known_bytes(), &side_error, attempts));
        };
        tracing::debug!(task.id = %ctx.task.id, key = ?item.key(), error = %side_error.error, attempts, "object is retried");
        tokio::time::sleep(wait).await;
    }
}

/// The end of an object that is confirmed to be missing.
fn missing(ctx: &Context, item: &SourceObject, side_error: &SideError, attempts: u32) -> Outcome {
    if ctx.task.spec.scope.names(item.key()) {
        failed(ctx, item.key(), item.known_bytes(), side_error, attempts)
    } else {
        Outcome::Gone
    }
}

async fn copy_once(
    ctx: &Context,
    item: &SourceObject,
    tag: SourceTag,
    mode: Mode,
    refusals: &Refusals,
    sent: &OwnWrites,
) -> Result<Copied, PassError> {
    let copied = match item {
        SourceObject::KnownSize(entry) => match copy_measured(ctx, entry, tag, mode, refusals, sent).await {
            // HEAD may report a length that GET omits.
            Err(PassError::SideError(side_error)) if length_is_unknown(ctx, &side_error) => {
                one_read::copy(ctx, item, refusals, sent).await?
            }
            copied => copied?,
        },
        SourceObject::UnknownSize { .. } => one_read::copy(ctx, item, refusals, sent).await?,
    };
    // Every copy passes here: none counts with a weaker proof than the task asks for.
    gate(ctx, copied.proof).at_target()?;
    Ok(copied)
}

async fn copy_measured(
    ctx: &Context,
    entry: &Entry,
    tag: SourceTag,
    mode: Mode,
    refusals: &Refusals,
    sent: &OwnWrites,
) -> Result<Copied, PassError> {
    Ok(match (mode, refusals.route(ctx)) {
        (Mode::Multipart, _) => multipart::copy(ctx, entry, refusals, sent).await?,
        (Mode::Single, Route::ServerSide) if inside_proves(ctx, entry) => {
            server_side::copy(ctx, entry, refusals, sent).await?
        }
        (Mode::Single, Route::ServerSide | Route::Stream) => {
            stream_once(ctx, entry, tag, refusals, sent).await?
        }
    })
}

fn length_is_unknown(ctx: &Context, side_error: &SideError) -> bool {
    let unknown = side_error.side == Side::Source && side_error.error.code() == unknown_length().code();
    unknown && allows_unknown_size(&ctx.task.spec)
}

/// Whether a copy inside the store can be proved as the task asks. Only equal ETags prove it, and only an ETag that is a plain MD5
/// survives such a copy.
fn inside_proves(ctx: &Context, entry: &Entry) -> bool {
    !wants_hashes(ctx) || entry.etag.as_ref().is_some_and(|tag| tag.md5().is_some())
}

/// One read streamed into one write.
async fn stream_once(
    ctx: &Context,
    entry: &Entry,
    tag: SourceTag,
    refusals: &Refusals,
    sent: &OwnWrites,
) -> SideResult<Copied> {
    let _permit = ctx.streams.acquire().await.at_source()?;
    let open = async || {
        let object = pinned_read::open(ctx, &entry.key, ByteRange::Whole, entry.etag.as_ref()).await?;
        check_length(ctx, entry.size, entry.etag.as_ref(), object.length).at_source()?;
        Ok(object)
    };
    let mut object = open().await?;
    ctx.sync_points.reach(SyncPoint::ObjectOpened).await;

    let source_md5 = object.info.md5();
    let md5 = source_md5.filter(|_| tag == SourceTag::Md5);
    let mut announced = md5;
    if md5.is_none() {
        gate(ctx, Proof::Checksum).at_source()?;
        if ctx.target.demands_md5() {
            // One read at a time.
            drop(object);
            announced = hash_first(ctx, entry, ByteRange::Whole, entry.size).await?;
            object = open().await?;
        }
    }
    let (new, left_out) = describe(ctx, &entry.key, object.info, refusals).await?;
    let hashing = if md5.is_some() {
        Hashing::None
    } else {
        Hashing::Md5
    };
    let body = if may_become_parts(&ctx.task.spec, ctx.tuning.sizes.threshold, entry) {
        time_limited(object.body, entry.size, ctx.tuning.sizes.whole_time)
    } else {
        object.body
    };
    let (body, watch) = metered(
        body,
        entry.size,
        &ctx.throttle,
        ctx.progress.flow(&entry.key, WHOLE),
        hashing,
    );
    let key = ctx.target_key(&entry.key);
    if ctx.guard == OverwriteGuard::Look {
        overwrite_guard::look(ctx, &key).await?;
    }
    let condition = ctx.guard.condition();
    let begun = Instant::now();
    let answer = ctx
        .target
        .put(&key, &new, entry.size, announced, &condition, body)
        .await;
    if answer.is_ok() {
        ctx.stream_speed.measured(entry.size, begun.elapsed());
    }
    let written = match refusals.observe(&new, answer) {
        Ok(written) => written,
        // If the body failed, the error of the write is a consequence. The cause is the source's error.
        Err(error) => match watch.take_error() {
            Some(cause) => return Err(cause).at_source(),
            None => {
                if error.kind() != ErrorKind::PreconditionFailed {
                    sent.note(md5.or(watch.take_md5()), left_out);
                }
                return Err(error).at_target();
            }
        },
    };
    let computed = watch.take_md5();
    sent.note(md5.or(computed), left_out);
    ctx.sync_points.reach(SyncPoint::ObjectWritten).await;
    encrypted(ctx, &key, &written).await?;
    let written = match written.etag {
        Some(tag) => Some(tag),
        None => acknowledged(ctx, &key, entry.size).await?,
    };
    if entry.size > 0 && key.as_bytes().ends_with(b"/") {
        holds_bytes(ctx, &key, entry.size).await?;
    }

    let wanted = md5.or(computed);
    let reported = written.as_ref().and_then(ETag::md5);
    let proof = match (wanted, reported) {
        (Some(wanted), Some(reported)) if wanted == reported => {
            if md5.is_some() {
                if entry.size > 0 && ctx.has_one_source() {
                    ctx.etags.source_is_a_hash();
                }
                Proof::ETag
            } else {
                Proof::Checksum
            }
        }
        (Some(wanted), Some(_)) if !ctx.etags.target_is_opaque() => {
            read_back(ctx, &key, entry.size, wanted, written.as_ref()).await?
        }
        (Some(wanted), _) if wants_hashes(ctx) => {
            read_back(ctx, &key, entry.size, wanted, written.as_ref()).await?
        }
        _ => Proof::Size,
    };
    if let (Some(computed), Some(claimed)) = (computed, source_md5)
        && computed != claimed
    {
        if ctx.etags.source_is_proved() {
            let mine = ObjectIdentity::tag(written.as_ref());
            let SideError { error, .. } = discard(
                ctx,
                &key,
                &mine,
                "the bytes from the source do not match its ETag",
            )
            .await;
            return Err(error).at_source();
        }
        ctx.etags.source_is_no_hash();
    }
    Ok(Copied {
        bytes: entry.size,
        proof,
        left_out,
    })
}
