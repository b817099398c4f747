//! Mode `NO_OVERWRITE`: keeps an object that appears at the target under the same key during the copy.
//!
//! The plan has seen that the target does not have the key. Before the write, another client may create the object. If the
//! target honours `If-None-Match: *`, the write carries this condition. In other cases the target is asked once more directly
//! before the write: without such conditions, before a large object is completed, and before a copy inside the store. A short
//! time without protection remains.
//!
//! A refusal does not say whose object it is: an earlier attempt of ours may have written it, and only its answer was lost. The
//! ETag shows that, if it is the source's or the hash of what that attempt sent.

use std::sync::{Mutex, PoisonError};

use crate::engine::context::Context;
use crate::engine::copy::metadata_fallback::Attributes;
use crate::engine::copy::proof::{Proof, gate};
use crate::engine::decide::SkipReason;
use crate::engine::findings::OverwriteGuard;
use crate::engine::outcome::{Copied, Outcome};
use crate::engine::retry::{At as _, Pace, SideResult};
use crate::engine::source_object::SourceObject;
use crate::engine::{lookup, preflight, retry};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{NewObject, ObjectInfo, SharedStore, WriteIf};
use crate::task::rules::OverwriteMode;
use crate::task::{Key, TaskId, TaskSpec, Warning};

/// Finds out how a task's writes can be protected, by writing an empty object twice below `oms/probe/`. Also returns the
/// warning to record if that object cannot be removed.
///
/// # Errors
/// The error of the target, after retries.
pub async fn find(
    store: &SharedStore,
    pace: Pace,
    task: TaskId,
    spec: &TaskSpec,
) -> SideResult<(OverwriteGuard, Option<Warning>)> {
    if spec.rules.overwrite != OverwriteMode::Never {
        return Ok((OverwriteGuard::None, None));
    }
    let key = Key::from(format!("oms/probe/{task}/c").as_str());
    let found = twice(store, pace, &key).await;
    let warning = preflight::remove(store, pace, &key).await;
    found
        .map(|guard| (guard, warning))
        .map_err(|e| e.during("probe conditional writes"))
        .at_target()
}

async fn twice(store: &SharedStore, pace: Pace, key: &Key) -> Result<OverwriteGuard> {
    let new = NewObject::default();
    let md5 = Some(preflight::EMPTY_MD5);
    let write = async |condition: WriteIf| {
        retry::run(pace, || {
            store.put(key, &new, 0, md5, &condition, preflight::empty())
        })
        .await
    };
    write(WriteIf::Always).await?;
    match write(WriteIf::Absent).await {
        Ok(_) => Ok(OverwriteGuard::Look),
        Err(error) => match error.kind() {
            ErrorKind::PreconditionFailed => Ok(OverwriteGuard::Condition),
            ErrorKind::Unsupported | ErrorKind::InvalidArgument => Ok(OverwriteGuard::Look),
            _ => Err(error),
        },
    }
}

/// Asks directly before a write without a condition whether the target has the key by now.
///
/// # Errors
/// `PreconditionFailed` if it has; otherwise the target's error.
pub(in crate::engine) async fn look(ctx: &Context, key: &Key) -> SideResult<()> {
    if ctx.guard == OverwriteGuard::None {
        return Ok(());
    }
    match lookup::head(ctx.tuning.pace, &ctx.target, key)
        .await
        .at_target()?
    {
        None => Ok(()),
        Some(_) => {
            let text = "the target already has an object of this name";
            Err(Error::new(ErrorKind::PreconditionFailed, text)).at_target()
        }
    }
}

/// What the attempts of one object have sent. It is used to recognize our own write.
#[derive(Debug, Default)]
pub(in crate::engine) struct OwnWrites(Mutex<Option<(Option<[u8; 16]>, Attributes)>>);

impl OwnWrites {
    /// Records a write that may have had an effect, with the hash of its bytes if one was computed.
    pub(in crate::engine) fn note(&self, md5: Option<[u8; 16]>, left_out: Attributes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((md5, left_out));
    }

    /// What proves that an object at the target is the one that was sent, and which attributes were left out of it.
    fn proof(&self, item: &SourceObject, found: &ObjectInfo) -> Option<(Proof, Attributes)> {
        let (md5, left_out) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let as_long = item.size().is_none_or(|size| found.size == Some(size));
        let reported = found.etag.as_ref().filter(|_| as_long)?;
        if item.etag().is_some_and(|tag| tag.same(reported)) {
            return Some((Proof::ETag, left_out));
        }
        let sent = md5.is_some() && reported.md5() == md5;
        sent.then_some((Proof::Checksum, left_out))
    }
}

/// The outcome of an object whose write was refused because the target has the key: it is skipped, unless the existing object
/// is ours.
///
/// # Errors
/// The target's error; `Unavailable` if it does not have the key after all.
pub(in crate::engine) async fn appeared(
    ctx: &Context,
    item: &SourceObject,
    sent: &OwnWrites,
) -> SideResult<Outcome> {
    let key = ctx.target_key(item.key());
    let Some(found) = lookup::head(ctx.tuning.pace, &ctx.target, &key)
        .await
        .at_target()?
    else {
        let text = "the target refused a write because of an object that it does not have";
        return Err(Error::new(ErrorKind::Unavailable, text)).at_target();
    };
    let Some((proof, left_out)) = sent.proof(item, &found) else {
        tracing::debug!(task.id = %ctx.task.id, key = ?item.key(), "an object appeared at the target and is kept");
        return Ok(Outcome::Skipped(SkipReason::Exists));
    };
    gate(ctx, proof).at_target()?;
    Ok(Outcome::Copied(Copied {
        bytes: found.size.unwrap_or_else(|| item.known_bytes()),
        proof,
        left_out,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{ETag, Entry, ObjectHeaders};

    const A: &str = "0cc175b9c0f1b6a831c399e269772661";
    const B: &str = "92eb5ffee6ae2fec3ad71c777531578f";

    fn of(size: u64, etag: &str) -> ObjectInfo {
        ObjectInfo {
            size: Some(size),
            etag: Some(ETag::new(etag)),
            last_modified: None,
            carried: ObjectHeaders::default(),
            uncarried: crate::object::NotCarried::default(),
            tag_count: 0,
            parts_count: None,
            storage_class: None,
            missing_metadata: 0,
            encryption: None,
        }
    }

    #[test]
    fn only_what_was_sent_is_ours() {
        let entry = |etag: &str| Entry {
            key: Key::from("k"),
            size: 1,
            etag: Some(ETag::new(etag)),
            last_modified: None,
        };
        let md5 = ETag::new(B).md5();
        let left_out = Attributes {
            tags: true,
            ..Attributes::default()
        };
        let parts = format!("{A}-2");
        for (sent, tag, found, wanted) in [
            (None, A, of(1, A), None),
            (Some(None), A, of(1, A), Some(Proof::ETag)),
            (Some(None), A, of(2, A), None),
            (Some(None), A, of(1, B), None),
            (Some(md5), A, of(1, B), Some(Proof::Checksum)),
            (Some(md5), A, of(2, B), None),
            (Some(None), parts.as_str(), of(1, "opaque"), None),
        ] {
            let mine = OwnWrites::default();
            if let Some(md5) = sent {
                mine.note(md5, left_out);
            }
            let proof = mine.proof(&SourceObject::KnownSize(entry(tag)), &found);
            let wanted = wanted.map(|proof| (proof, left_out));
            assert_eq!(proof, wanted, "{sent:?} {tag} {found:?}");
        }
    }
}
