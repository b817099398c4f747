//! One object: from the decision to copy it to its end.
//!
//! The read is pinned to the listed version, the write is proved by what the target says of it, and every error is
//! tried again only where that can help. What proved a copy is counted and never quietly weakened.

use std::sync::atomic::Ordering;

use super::breaker::Suspect;
use super::hooks::Point;
use super::metadata::{Tagging, describe};
use super::plan::SkipReason;
pub use super::proof::Proof;
use super::proof::{gate, wants_hashes};
use super::retry::{self, At as _, Attempt, Trouble};
use super::stored::{acknowledged, holds_bytes, read_back};
use super::stream::{Hashing, metered};
use super::{Context, Route, feed, multipart};
use crate::error::{Error, ErrorKind};
use crate::object::clouds::Side;
use crate::object::{CopySource, ETag, Entry, ObjectInfo, Portion, WriteIf};
use crate::store::Failure;
use crate::task::Key;
use crate::task::spec::Scope;

/// Whether everything besides the bytes was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// Yes.
    Complete,
    /// Tags could not be read or written.
    Lost,
}

/// A finished copy.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// Bytes written.
    pub bytes: u64,
    /// What proved them.
    pub proof: Proof,
    /// What became of tags.
    pub metadata: Metadata,
}

/// The end of an object.
#[derive(Debug)]
pub enum Outcome {
    /// Copied.
    Copied(Copied),
    /// Left as it is.
    Skipped(SkipReason),
    /// Deleted at the source since it was listed.
    Gone,
    /// Not copied, with the reason.
    Failed(Box<Failure>),
    /// Not copied, for a reason that may concern every object: to be settled as failed once it is known that it does
    /// not.
    Doubtful(Box<Failure>, Suspect),
}

impl Outcome {
    /// Why it was not copied; empty when it was.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Failed(failure) | Self::Doubtful(failure, _) => &failure.message,
            Self::Copied(_) | Self::Skipped(_) | Self::Gone => "",
        }
    }
}

/// Copies one object with all tries it takes.
///
/// # Errors
/// Only a trouble that concerns every object alike ([`Trouble::is_fatal`]), or `Cancelled`.
pub async fn transfer(ctx: &Context, mut entry: Entry) -> Attempt<Outcome> {
    let mut tries = 0;
    let mut refreshed = None;
    let tags = Tagging::default();
    let mut tag = if ctx.source_tags_opaque.load(Ordering::Relaxed) {
        SourceTag::Opaque
    } else {
        SourceTag::Md5
    };
    loop {
        tries += 1;
        let trouble = match copy_once(ctx, &entry, tag, &tags).await {
            Ok(copied) => return Ok(Outcome::Copied(copied)),
            Err(trouble) => trouble,
        };
        let kind = trouble.error.kind();
        if trouble.is_fatal() || kind == ErrorKind::Cancelled {
            return Err(trouble);
        }
        match (trouble.side, kind) {
            (Side::Source, ErrorKind::NotFound) => return Ok(Outcome::Gone),
            (Side::Source, ErrorKind::PreconditionFailed) if refreshed.is_none() => {
                // Changed since it was listed: take the version that is there now, once.
                match feed::head(ctx.tuning.pace, &ctx.source, &entry.key)
                    .await
                    .at_source()
                {
                    Ok(None) => return Ok(Outcome::Gone),
                    Ok(Some(ObjectInfo {
                        size,
                        etag,
                        last_modified,
                        ..
                    })) => {
                        entry = Entry {
                            key: entry.key,
                            size,
                            etag,
                            last_modified,
                        };
                        refreshed = Some(());
                        continue;
                    }
                    Err(trouble) if trouble.is_fatal() => return Err(trouble),
                    Err(trouble) => return Ok(failed(ctx, &entry.key, entry.size, &trouble, tries)),
                }
            }
            _ if tags.is_to_blame(&trouble) => {
                tracing::debug!(task.id = %ctx.task.id, key = ?entry.key, error = %trouble.error, "tried again, for its tags may be refused");
                continue;
            }
            // Where other tags were true, one that is not means damaged bytes. What a CDN changed looks the same, and has no
            // other proof: there the source's tag is insisted on.
            (Side::Target, ErrorKind::Integrity)
                if ctx.task.spec.cdn.is_none() && !ctx.source_tags_proved.load(Ordering::Relaxed) =>
            {
                tag = SourceTag::Opaque;
            }
            _ => {}
        }
        let Some(wait) = retry::delay(ctx.tuning.pace, &trouble.error, tries, rand::random()) else {
            return Ok(failed(ctx, &entry.key, entry.size, &trouble, tries));
        };
        tracing::debug!(task.id = %ctx.task.id, key = ?entry.key, error = %trouble.error, tries, "object is tried again");
        tokio::time::sleep(wait).await;
    }
}

/// Whether the source's tag may be taken for the MD5 of the content when it looks like one. A store that encrypts with
/// keys of its own gives tags that only look so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SourceTag {
    Md5,
    Opaque,
}

/// The record of an object that could not be copied.
pub fn failed(ctx: &Context, key: &Key, size: u64, trouble: &Trouble, tries: u32) -> Outcome {
    let error = &trouble.error;
    let (side, code) = match (trouble.side, error.kind()) {
        (Side::Source, ErrorKind::PreconditionFailed) => {
            ("source changed while it was copied", "SourceChanged")
        }
        (Side::Source, _) => ("source", ""),
        (Side::Target, ErrorKind::Integrity) if ctx.task.spec.cdn.is_some() => (
            "the CDN's bytes are not those of the source",
            "COMPARE_SRC_AND_CDN_FAILURE",
        ),
        (Side::Target, _) => ("target", ""),
    };
    let code = match error.code() {
        _ if !code.is_empty() => code.to_owned(),
        Some(code) => code.to_owned(),
        None => format!("{:?}", error.kind()),
    };
    let failure = Box::new(Failure {
        key: key.clone(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        code,
        message: format!("{side}: {}", error.message()),
        request_id: error.request_id().map(ToOwned::to_owned),
        attempts: i64::from(tries),
        at: ctx.clock.now(),
    });
    match Suspect::of(trouble).filter(|suspect| suspect.side == Side::Target || one_source(ctx)) {
        Some(suspect) => Outcome::Doubtful(failure, suspect),
        None => Outcome::Failed(failure),
    }
}

/// Whether one object tells anything of the next: the addresses of a list are servers of their own.
fn one_source(ctx: &Context) -> bool {
    !matches!(ctx.task.spec.scope, Scope::Urls(_))
}

async fn copy_once(ctx: &Context, entry: &Entry, tag: SourceTag, tags: &Tagging) -> Attempt<Copied> {
    let copied = if entry.size > ctx.tuning.sizes.threshold {
        multipart::copy(ctx, entry, tags).await?
    } else {
        match ctx.route {
            Route::ServerSide if inside_proves(ctx, entry) => copy_inside(ctx, entry, tags).await?,
            Route::ServerSide | Route::Stream => stream_once(ctx, entry, tag, tags).await?,
        }
    };
    // The one place that every copy passes: none counts under less proof than was asked for.
    gate(ctx, copied.proof).at_target()?;
    Ok(copied)
}

/// Whether a copy inside the store can be proved as the task asks: only equal tags prove it, and only a tag that is a
/// plain MD5 survives the copy.
fn inside_proves(ctx: &Context, entry: &Entry) -> bool {
    !wants_hashes(ctx) || entry.etag.as_ref().is_some_and(|tag| tag.md5().is_some())
}

/// One read streamed into one write.
async fn stream_once(ctx: &Context, entry: &Entry, tag: SourceTag, tags: &Tagging) -> Attempt<Copied> {
    let _permit = ctx.streams.enter().await.at_source()?;
    let object = ctx
        .source
        .get(&entry.key, Portion::Whole, entry.etag.as_ref())
        .await
        .at_source()?;
    check_length(entry, object.length).at_source()?;
    ctx.hooks.reach(Point::ObjectOpened).await;

    let source_tag = object.info.etag.clone();
    let md5 = source_tag
        .as_ref()
        .and_then(ETag::md5)
        .filter(|_| tag == SourceTag::Md5);
    if md5.is_none() {
        gate(ctx, Proof::Checksum).at_source()?;
    }
    let (new, metadata) = describe(ctx, &entry.key, object.info, tags).await?;
    let hashing = if md5.is_some() {
        Hashing::None
    } else {
        Hashing::Md5
    };
    let (body, watch) = metered(object.body, entry.size, &ctx.throttle, &ctx.progress, hashing);
    let key = target_key(ctx, &entry.key);
    let (written, metadata) = match ctx
        .target
        .put(&key, &new, entry.size, md5, &WriteIf::Always, body)
        .await
    {
        Ok(written) => (written, metadata),
        // A body that failed ends the write with an error of its own; the cause is the source's.
        Err(error) => match watch.take_error() {
            Some(cause) => return Err(cause).at_source(),
            None => return Err(error).at_target(),
        },
    };
    ctx.hooks.reach(Point::ObjectWritten).await;
    let written = match written {
        Some(tag) => Some(tag),
        None => acknowledged(ctx, &key, entry.size).await?,
    };
    if entry.size > 0 && key.as_bytes().ends_with(b"/") {
        holds_bytes(ctx, &key, entry.size).await?;
    }

    let computed = watch.take_md5();
    let wanted = md5.or(computed);
    let told = written.as_ref().and_then(ETag::md5);
    let proof = match (wanted, told) {
        (Some(wanted), Some(told)) if wanted == told => {
            if md5.is_some() {
                if entry.size > 0 && one_source(ctx) {
                    ctx.source_tags_proved.store(true, Ordering::Relaxed);
                }
                Proof::ETag
            } else {
                Proof::Checksum
            }
        }
        (Some(wanted), Some(_)) if !ctx.target_tags_opaque.load(Ordering::Relaxed) => {
            read_back(ctx, &key, entry.size, wanted).await?
        }
        (Some(wanted), _) if wants_hashes(ctx) => read_back(ctx, &key, entry.size, wanted).await?,
        _ => Proof::Size,
    };
    if let (Some(computed), Some(claimed)) = (computed, source_tag.as_ref().and_then(ETag::md5))
        && computed != claimed
    {
        if ctx.source_tags_proved.load(Ordering::Relaxed) {
            ctx.target.delete(&key).await.at_target()?;
            let text = "the source sent other bytes than its tag names; what was written is removed";
            return Err(Error::new(ErrorKind::Integrity, text)).at_source();
        }
        ctx.source_tags_opaque.store(true, Ordering::Relaxed);
    }
    Ok(Copied {
        bytes: entry.size,
        proof,
        metadata,
    })
}

/// A copy inside one store, without the bytes passing through here.
async fn copy_inside(ctx: &Context, entry: &Entry, tags: &Tagging) -> Attempt<Copied> {
    let info = ctx.source.head(&entry.key, None).await.at_source()?;
    pinned(entry, info.etag.as_ref()).at_source()?;
    let (new, metadata) = describe(ctx, &entry.key, info, tags).await?;
    let from = copy_source(ctx, entry);
    // A refusal of the condition is the source's change; everything else is the target's.
    let written = ctx
        .target
        .copy(&from, &target_key(ctx, &entry.key), &new)
        .await
        .map_err(|error| {
            let side = match error.kind() {
                ErrorKind::PreconditionFailed | ErrorKind::NotFound => Side::Source,
                _ => Side::Target,
            };
            Trouble { side, error }
        })?;
    ctx.hooks.reach(Point::ObjectWritten).await;
    ctx.progress.add(entry.size);
    let same = matches!((&written, &entry.etag), (Some(a), Some(b)) if a.same(b));
    Ok(Copied {
        bytes: entry.size,
        proof: if same { Proof::ETag } else { Proof::Size },
        metadata,
    })
}

/// The source of a server-side copy, pinned to the listed version.
pub(super) fn copy_source(ctx: &Context, entry: &Entry) -> CopySource {
    CopySource {
        bucket: ctx.task.spec.source.bucket.clone(),
        key: entry.key.clone(),
        if_match: entry.etag.clone(),
    }
}

/// The key that an object has at the target.
pub(super) fn target_key(ctx: &Context, key: &Key) -> Key {
    key.with_prefix(ctx.task.spec.target_prefix.as_bytes())
}

fn check_length(entry: &Entry, got: u64) -> crate::error::Result<()> {
    let listed = entry.size;
    if got == listed {
        return Ok(());
    }
    let text = format!("the object has {got} bytes, the listing said {listed}");
    // Under the listed tag it is the same version, so one of the two lengths is wrong; without one it may have changed.
    let kind = if entry.etag.is_some() {
        ErrorKind::Integrity
    } else {
        ErrorKind::PreconditionFailed
    };
    Err(Error::new(kind, text))
}

/// Whether an answer still speaks of the listed version.
pub(super) fn pinned(entry: &Entry, etag: Option<&ETag>) -> crate::error::Result<()> {
    match (&entry.etag, etag) {
        (Some(listed), Some(now)) if !listed.same(now) => Err(Error::new(
            ErrorKind::PreconditionFailed,
            "the object has changed since it was listed",
        )),
        (Some(_), None) => Err(Error::new(
            ErrorKind::Integrity,
            "the answer does not say which version of the object it is",
        )),
        _ => Ok(()),
    }
}
