//! Checks before the first object what both sides support: whether the source can be listed, whether the target can be written,
//! in which order the target lists, how soon it lists new objects, whether it encrypts if the task asks for that, and whether
//! it is the source's own bucket.
//!
//! The check writes two empty objects below `oms/probe/` to the target and removes them at once. A store may answer reads and
//! refuse every write, so only a write shows whether it can be written.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use md5::{Digest as _, Md5};

use crate::engine::context::Context;
use crate::engine::findings::{Findings, Listing};
use crate::engine::order::OrderWatch;
use crate::engine::retry::{self, At as _, Pace, SideError, SideResult};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Body, Encryption, ListFrom, NewObject, SharedStore, WriteIf};
use crate::task::{Key, ReasonKind, Task, TaskId, TaskSpec, Warning, WarningCode};

/// Names whose order shows whether a store lists bytewise or folder by folder.
const NAMES: [&str; 2] = ["a!", "a/1"];
/// How often a listing is asked for keys that were just written. The waits in between double, beginning with the pace's first
/// wait: about three seconds altogether.
const LISTINGS: u32 = 6;
/// The MD5 of zero bytes.
pub(super) const EMPTY_MD5: [u8; 16] = *b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e";

/// Checks that the source can be listed.
///
/// # Errors
/// The error of the source, after retries.
pub async fn source(store: &SharedStore, pace: Pace, spec: &TaskSpec) -> SideResult<()> {
    let first = spec.scope.prefixes().into_iter().next();
    let prefix = first
        .or_else(|| spec.scope.single_keys().into_iter().next())
        .unwrap_or_else(|| Key::from(""));
    crate::engine::listing::pages::page(store, pace, &prefix, &ListFrom::Start)
        .await
        .map(|_| ())
        .at_source()
}

/// Checks that the target can be listed and written. The names of the probes belong to the task and are the same each time. So
/// probes that stay because the credentials do not allow deletion are overwritten by a later check. Every object that lies
/// below the task's probe folder is removed, also what a run left there that was interrupted between a write and its deletion.
/// If `source` is a bucket, it is asked for the probe: a source that has it is the target itself under another name.
///
/// # Errors
/// The error of the target, after retries. [`ReasonKind::TargetEncryption`] if the task asks for encryption and the target
/// accepts that without encrypting. [`ReasonKind::TargetUnavailable`] if both sides are one bucket and the copies would fall into
/// the scope.
pub async fn target(
    store: &SharedStore,
    source: Option<&SharedStore>,
    pace: Pace,
    task: &Task,
) -> SideResult<Findings> {
    let folder = folder(task.id);
    let keys = NAMES.map(|name| Key::from(format!("{folder}{name}").as_str()));
    // Sides that are written as the same bucket were checked when the task was created.
    let other = source.filter(|_| task.spec.copies_into_scope() && !task.spec.tells_its_buckets_apart());
    let found = written(store, other, pace, &task.spec, &folder, &keys).await;
    let leftovers = found.as_ref().map_or(&[][..], |probed| &probed.leftovers);
    let removed = futures_util::future::join_all(
        keys.iter()
            .chain(leftovers)
            .map(|key| retry::run(pace, || store.delete(key))),
    )
    .await;
    let mut findings = found?.findings;
    let error = removed.into_iter().find_map(Result::err);
    findings.warnings.extend(error.as_ref().map(cannot_delete));
    Ok(findings)
}

/// What the probes of the target have shown.
#[derive(Debug)]
struct Probed {
    findings: Findings,
    /// Other objects below the task's probe folder. An interrupted run has left them.
    leftovers: Vec<Key>,
}

/// The object that is written while a target is suspected not to work.
fn canary(folder: &str) -> Key {
    Key::from(format!("{folder}canary").as_str())
}

fn folder(task: TaskId) -> String {
    format!("oms/probe/{task}/")
}

async fn written(
    store: &SharedStore,
    source: Option<&SharedStore>,
    pace: Pace,
    spec: &TaskSpec,
    folder: &str,
    keys: &[Key; 2],
) -> SideResult<Probed> {
    let new = NewObject {
        kms: spec.kms,
        ..NewObject::default()
    };
    let write = async |key: &Key| {
        let md5 = Some(EMPTY_MD5);
        let written = retry::run(pace, || store.put(key, &new, 0, md5, &WriteIf::Always, empty()))
            .await
            .map_err(|e| e.during("write the probe"))
            .at_target()?;
        if spec.kms {
            encrypts(store, pace, key, written.encryption).await?;
        }
        SideResult::Ok(())
    };
    let [first, second] = keys;
    let both = tokio::join!(write(first), write(second));
    both.0.and(both.1)?;
    let (listed, seen) = tokio::join!(
        listed(store, pace, folder, keys),
        sees(source, pace, folder, first)
    );
    let probed = listed.at_target()?;
    // A source that is the target shows the probe late if the target lists late.
    if seen == Seen::Yes
        || (probed.findings.listing == Listing::Late && sees(source, pace, folder, first).await == Seen::Yes)
    {
        let text = "the source has what was just written to the target: both are one bucket, and the copies would lie \
                    within what is to be copied; choose another target bucket, or a target prefix outside the scope";
        let error = Error::new(ErrorKind::InvalidArgument, text);
        return Err(SideError::target(error).because(ReasonKind::TargetUnavailable));
    }
    Ok(probed)
}

/// Returns the order in which the target lists the probes, once it lists them, and what else it lists in their folder.
async fn listed(store: &SharedStore, pace: Pace, folder: &str, keys: &[Key; 2]) -> Result<Probed> {
    let prefix = Key::from(folder);
    let mut wait = pace.first;
    for listing in 1..=LISTINGS {
        let page = crate::engine::listing::pages::page(store, pace, &prefix, &ListFrom::Start).await?;
        let (ours, leftovers): (Vec<Key>, Vec<Key>) = page
            .entries
            .into_iter()
            .map(|entry| entry.key)
            .partition(|key| keys.contains(key));
        if ours.len() == keys.len() {
            let names = ours.iter().map(|key| &key.as_bytes()[folder.len()..]);
            let findings = Findings {
                order: OrderWatch::of_listing(names),
                ..Findings::default()
            };
            return Ok(Probed { findings, leftovers });
        }
        if listing < LISTINGS {
            tokio::time::sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }
    for key in keys {
        retry::run(pace, || store.head(key, None))
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    let text = "the target acknowledged the probe, but neither lists it nor has it";
                    Error::new(ErrorKind::Integrity, text)
                }
                _ => error.during("look at the probe"),
            })?;
    }
    let text = "the target does not list new objects at once; it is asked for each object instead";
    let findings = Findings {
        order: None,
        listing: Listing::Late,
        warnings: vec![Warning::new(WarningCode::TargetListsLate, text)],
    };
    // The canary is the only probe that a run may leave without noticing. It is removed although the listing may not show it.
    Ok(Probed {
        findings,
        leftovers: vec![canary(folder)],
    })
}

/// Longest wait between two listings of the probe.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Whether a source has the target's probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Yes,
    No,
}

/// Looks for the target's probe at the source: by its name, or in a listing if the credentials may not read it. If the source
/// returns an error, the probe counts as not seen; the source's own check reports the error.
async fn sees(source: Option<&SharedStore>, pace: Pace, folder: &str, probe: &Key) -> Seen {
    let Some(source) = source else {
        return Seen::No;
    };
    match retry::run(pace, || source.head(probe, None)).await {
        Ok(_) => Seen::Yes,
        Err(error) if error.kind() == ErrorKind::NotFound => Seen::No,
        Err(_) => {
            match crate::engine::listing::pages::page(source, pace, &Key::from(folder), &ListFrom::Start)
                .await
            {
                Ok(page) if page.entries.iter().any(|entry| entry.key == *probe) => Seen::Yes,
                Ok(_) | Err(_) => Seen::No,
            }
        }
    }
}

/// Checks that the target has encrypted a probe: by the answer to the write if it says so, otherwise by a HEAD.
async fn encrypts(
    store: &SharedStore,
    pace: Pace,
    key: &Key,
    reported: Option<Encryption>,
) -> SideResult<()> {
    let found = match reported {
        Some(reported) => Some(reported),
        None => {
            retry::run(pace, || store.head(key, None))
                .await
                .map_err(|e| e.during("look at the probe"))
                .at_target()?
                .encryption
        }
    };
    if found == Some(Encryption::Kms) {
        return Ok(());
    }
    let text = "the task asks for encryption by the target's key management service, but the target does not encrypt \
                with it";
    let error = Error::new(ErrorKind::Unsupported, text);
    Err(SideError::target(error).because(ReasonKind::TargetEncryption))
}

/// Writes one object of `length` zeros below `oms/probe/` with the encryption that the task asks for, and removes it if that is
/// allowed. There is no retry: the caller decides whether to try again. The name is the same each time, so a target that does
/// not allow deletion keeps at most one such object.
///
/// # Errors
/// The error of the write.
pub(super) async fn write_once(ctx: &Context, length: u64) -> Result<()> {
    let key = canary(&folder(ctx.task.id));
    let new = NewObject {
        kms: ctx.task.spec.kms,
        ..NewObject::default()
    };
    let data = Bytes::from(vec![0; usize::try_from(length).unwrap_or_default()]);
    let md5 = Some(Md5::digest(&data).into());
    let body = Full::new(data).map_err(|never| match never {}).boxed_unsync();
    let written = ctx
        .target
        .put(&key, &new, length, md5, &WriteIf::Always, body)
        .await;
    // Also after an error: the write may have succeeded although its answer was lost.
    let warning = remove(&ctx.target, ctx.tuning.pace, &key).await;
    if let (Ok(_), Some(warning)) = (&written, warning) {
        ctx.recorded_warnings.defer(warning);
    }
    written.map(drop)
}

/// Removes a probe. If that fails, the work continues, because the next check removes it. Returns the warning to record.
pub(super) async fn remove(store: &SharedStore, pace: Pace, key: &Key) -> Option<Warning> {
    let error = retry::run(pace, || store.delete(key)).await.err()?;
    tracing::debug!(?key, %error, "a probe stays at the target");
    Some(cannot_delete(&error))
}

fn cannot_delete(error: &Error) -> Warning {
    let text =
        format!("the target does not let the task delete, so its probes stay below oms/probe/: {error}");
    Warning::new(WarningCode::TargetCannotDelete, text)
}

pub(super) fn empty() -> Body {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}
