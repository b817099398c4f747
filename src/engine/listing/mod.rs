//! Where a shard's work comes from: listings joined with the target, or single keys asked for one by one.
//!
//! A prefix is listed at the source and at the target side by side, as long as both come in the target's order; the
//! moment they do not, the target is asked for each key of a page instead. "Could not be read" is never "is not there":
//! it fails the object, or ends the pass.

pub mod estimate;
pub mod judge;
pub mod manifest;
pub mod manifest_lines;
pub mod manifest_scan;
pub mod matcher;
pub mod pages;

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use crate::engine::context::Context;
use crate::engine::copy::one_source;
use crate::engine::decide::{Decision, Existing, RefuseReason, SkipReason, decide};
use crate::engine::errors::PassError;
use crate::engine::listing::matcher::Matcher;
use crate::engine::listing::pages::Pages;
use crate::engine::lookup;
use crate::engine::opaque_tags;
use crate::engine::order::{OrderWatch, Step};
use crate::engine::retry::{self, At as _, Pace, SideError, SideResult};
use crate::engine::shard::counted::Counted;
use crate::engine::source_object::SourceObject;
use crate::engine::sync_points::SyncPoint;
use crate::engine::target_names::{self, Kinds, NameKind};
use crate::error::{ErrorKind, Result};
use crate::ledger::{LeasedShard, ShardScope};
use crate::object::{ListFrom, Listed, ObjectInfo, SharedStore, Told};
use crate::task::spec::Scope;
use crate::task::{Key, PassKind};

/// Single keys asked for at the same time.
pub(super) const HEADS_AT_ONCE: usize = 32;
/// Single keys taken together.
pub(super) const KEYS_PER_BATCH: usize = 256;

/// One object of the scope, and what is known of it.
#[derive(Debug)]
pub struct Candidate {
    /// Source key.
    pub key: Key,
    /// What the counters already hold of it.
    pub counted: Counted,
    /// What the checkpoint becomes when it is settled; `None` for the key.
    pub position: Option<Key>,
    /// What to do.
    pub step: Found,
}

/// What was found out about an object.
#[derive(Debug)]
pub enum Found {
    /// It exists, and was decided about.
    Planned(SourceObject, Decision),
    /// The source has no such object.
    Missing,
    /// It could not be found out.
    Unknown(SideError),
    /// It was not asked for, because it cannot be copied whatever it is.
    Refused(RefuseReason),
}

/// Work for a shard, in listing order.
#[derive(Debug)]
pub struct Batch {
    /// Objects.
    pub candidates: Vec<Candidate>,
    /// Whether the listing's order can be resumed behind a key.
    pub order: Resumable,
}

/// Whether the keys of a listing ascend in a known order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumable {
    /// Yes: a checkpoint can be trusted.
    Yes,
    /// No: the shard must be taken from its beginning again.
    No,
}

/// Produces all batches of a shard behind its checkpoint.
pub(super) async fn feed(
    ctx: Arc<Context>,
    shard: LeasedShard,
    sender: mpsc::Sender<std::result::Result<Batch, PassError>>,
) {
    let end = match &shard.scope {
        ShardScope::Prefix(prefix) => feed_prefix(&ctx, prefix, shard.checkpoint.clone(), &sender).await,
        ShardScope::Keys => match ctx.task.spec.scope.list_file() {
            Some(file) => manifest::feed_list(&ctx, file, &shard, &sender).await,
            None => feed_keys(&ctx, shard.checkpoint.as_ref(), &sender).await,
        },
        ShardScope::Failures => match &ctx.task.spec.scope {
            Scope::Urls(file) => {
                manifest_scan::feed_failures(&ctx, file, shard.checkpoint.as_ref(), &sender).await
            }
            Scope::Objects(_) | Scope::Prefixes(_) | Scope::List(_) => {
                feed_failures(&ctx, shard.checkpoint.clone(), &sender).await
            }
        },
    };
    if let Err(halt) = end {
        // Fails only when the shard has stopped reading, and then it does not want to know.
        sender.send(Err(halt)).await.unwrap_or_default();
    }
}

pub(super) type Sender = mpsc::Sender<std::result::Result<Batch, PassError>>;

async fn feed_prefix(
    ctx: &Context,
    prefix: &Key,
    after: Option<Key>,
    sender: &Sender,
) -> std::result::Result<(), PassError> {
    let from = after.clone().map_or(ListFrom::Start, ListFrom::After);
    let mut pages = Pages::new(Arc::clone(&ctx.source), ctx.tuning.pace, prefix.clone(), from);
    let mut target = Matcher::new(ctx, prefix, after.as_ref());
    let mut watch = OrderWatch::default();
    let mut order = Resumable::Yes;
    while let Some(mut entries) = pages.next().await.at_source()? {
        entries.retain(|entry| match watch.next(entry.key.as_bytes()) {
            Step::Ascends => true,
            Step::Repeats => false,
            Step::Unordered => {
                order = Resumable::No;
                true
            }
        });
        let refused = target_names::not_kept(ctx, entries.iter().map(|entry| &entry.key)).await?;
        let existing = target.find(ctx, &entries, &watch).await?;
        let mut unclear = look_up_unclear(ctx, &entries).await?.into_iter();
        let mut doubtful = Vec::new();
        let planned = entries.into_iter().zip(existing).enumerate();
        let planned = planned.map(|(index, (listed, existing))| {
            let key = listed.key.clone();
            let step = match listed.told {
                Told::KeyTooLong { .. } => Found::Refused(RefuseReason::KeyTooLong),
                Told::Nothing => unclear.next().unwrap_or(Found::Missing),
                Told::Object { .. } => match listed.entry() {
                    Some(entry) => {
                        let item = SourceObject::KnownSize(entry);
                        if only_tags_differ(ctx, &item, &existing) {
                            doubtful.push(index);
                        }
                        plan(ctx, item, existing, refused)
                    }
                    None => Found::Missing,
                },
            };
            Candidate {
                key,
                counted: Counted::default(),
                position: None,
                step,
            }
        });
        let mut candidates: Vec<Candidate> = planned.collect();
        if !doubtful.is_empty() {
            opaque_tags::leave(ctx, &mut candidates, &doubtful).await;
        }
        let batch = Batch { candidates, order };
        ctx.sync_points.reach(SyncPoint::PageJoined).await;
        if sender.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What can be found out about the objects that a listing only names, in its order.
async fn look_up_unclear(ctx: &Context, entries: &[Listed]) -> std::result::Result<Vec<Found>, PassError> {
    let named = entries.iter().filter(|entry| entry.told == Told::Nothing);
    let wanted: Vec<Wanted> = named
        .map(|entry| Wanted::new(entry.key.clone(), Counted::default()))
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let found = look_up(ctx, wanted).await?;
    Ok(found.into_iter().map(|candidate| candidate.step).collect())
}

async fn feed_keys(
    ctx: &Context,
    after: Option<&Key>,
    sender: &Sender,
) -> std::result::Result<(), PassError> {
    let scope = &ctx.task.spec.scope;
    // Of a name that a prefix covers only its absence counts here: what exists is copied with the prefix.
    let covered = scope.covered_keys();
    let mut keys = scope.single_keys();
    keys.extend(covered.iter().cloned());
    keys.sort();
    let begin = after.map_or(0, |after| keys.partition_point(|key| key <= after));
    for chunk in keys[begin..].chunks(KEYS_PER_BATCH) {
        let wanted = chunk
            .iter()
            .map(|key| Wanted::new(key.clone(), Counted::default()))
            .collect();
        let mut candidates = look_up(ctx, wanted).await?;
        candidates.retain(|candidate| {
            matches!(candidate.step, Found::Missing) || covered.binary_search(&candidate.key).is_err()
        });
        if sender
            .send(Ok(Batch {
                candidates,
                order: Resumable::Yes,
            }))
            .await
            .is_err()
        {
            return Ok(());
        }
    }
    Ok(())
}

async fn feed_failures(
    ctx: &Context,
    mut after: Option<Key>,
    sender: &Sender,
) -> std::result::Result<(), PassError> {
    loop {
        let limit = i64::try_from(KEYS_PER_BATCH).unwrap_or(i64::MAX);
        let page = ctx
            .ledger
            .failures(ctx.task.id, after.as_ref(), limit)
            .await
            .map_err(PassError::Ledger)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.key.clone());
        let wanted = page
            .into_iter()
            .map(|failure| Wanted::new(failure.key.clone(), Counted::failed(&failure)))
            .collect();
        let candidates = look_up(ctx, wanted).await?;
        if sender
            .send(Ok(Batch {
                candidates,
                order: Resumable::Yes,
            }))
            .await
            .is_err()
        {
            return Ok(());
        }
    }
}

/// A key to ask for.
pub(super) struct Wanted {
    /// Source key.
    pub key: Key,
    /// As [`Candidate::counted`].
    pub counted: Counted,
    /// As [`Candidate::position`].
    pub position: Option<Key>,
}

impl Wanted {
    pub(super) const fn new(key: Key, counted: Counted) -> Self {
        Self {
            key,
            counted,
            position: None,
        }
    }
}

/// Asks both sides for each key, several at a time, in order.
pub(super) async fn look_up(
    ctx: &Context,
    keys: Vec<Wanted>,
) -> std::result::Result<Vec<Candidate>, PassError> {
    let listed = ctx.task.spec.scope.list_file().is_some();
    let prefix = ctx.task.spec.target_prefix.as_bytes().len();
    let refused = target_names::not_kept(ctx, keys.iter().map(|wanted| &wanted.key)).await?;
    let found: SideResult<Vec<Candidate>> = stream::iter(keys)
        .map(|wanted| async move {
            let Wanted {
                key,
                counted,
                position,
            } = wanted;
            // A list may name anything; what no store can hold is not asked for.
            if listed && prefix + key.as_bytes().len() > Key::MAX_LEN {
                return Ok(Candidate {
                    key,
                    counted,
                    position,
                    step: Found::Refused(RefuseReason::KeyTooLong),
                });
            }
            let step = match find(ctx, &key).await {
                Ok(None) => Found::Missing,
                Ok(Some(item)) => {
                    let existing = existing_at_target(ctx, &key).await;
                    let doubtful = only_tags_differ(ctx, &item, &existing);
                    let step = plan(ctx, item, existing, refused);
                    if doubtful {
                        opaque_tags::left(ctx, &key, step).await
                    } else {
                        step
                    }
                }
                Err(trouble) => Found::Unknown(trouble),
            };
            Ok(Candidate {
                key,
                counted,
                position,
                step,
            })
        })
        .buffered(HEADS_AT_ONCE)
        .try_collect()
        .await;
    Ok(found?)
}

/// Whether an object would be copied only because its tag differs from the target's.
fn only_tags_differ(ctx: &Context, item: &SourceObject, existing: &SideResult<Option<Existing>>) -> bool {
    let (SourceObject::KnownSize(entry), Ok(Some(existing))) = (item, existing) else {
        return false;
    };
    one_source(ctx) && crate::engine::decide::only_tags_differ(entry, existing, &ctx.task.spec)
}

fn plan(ctx: &Context, item: SourceObject, existing: SideResult<Option<Existing>>, refused: Kinds) -> Found {
    match existing {
        Ok(existing) => {
            let decision = match decide(&item, existing.as_ref(), &ctx.task.spec) {
                // Completed, and cut off before it was proved: only an equal tag would do.
                Decision::Skip(SkipReason::Identical)
                    if ctx.open.contains(item.key()) && !same_tag(&item, existing.as_ref()) =>
                {
                    Decision::Copy
                }
                decision => decision,
            };
            let decision = match name_not_kept(ctx, item.key(), refused) {
                // What the target has under such a name may be another object.
                Some(kind) if decision != Decision::Skip(SkipReason::Older) => {
                    Decision::Refuse(RefuseReason::NameNotKept(kind))
                }
                _ => decision,
            };
            Found::Planned(item, decision)
        }
        Err(trouble) => Found::Unknown(trouble),
    }
}

fn name_not_kept(ctx: &Context, key: &Key, refused: Kinds) -> Option<NameKind> {
    if refused == Kinds::default() {
        return None;
    }
    Kinds::of(ctx.task.spec.target_prefix.as_bytes(), key.as_bytes()).first_in(refused)
}

fn same_tag(item: &SourceObject, existing: Option<&Existing>) -> bool {
    let tags = (item.etag(), existing.and_then(|found| found.etag.as_ref()));
    matches!(tags, (Some(source), Some(target)) if source.same(target))
}

/// What the source has under a key; `None` when it really has nothing.
pub(super) async fn find(ctx: &Context, key: &Key) -> SideResult<Option<SourceObject>> {
    let Some(info) = head(ctx.tuning.pace, &ctx.source, key).await.at_source()? else {
        lookup::confirm(ctx, key).await?;
        return Ok(None);
    };
    SourceObject::of(key.clone(), info, &ctx.task.spec)
        .map(Some)
        .at_source()
}

pub(super) async fn existing_at_target(ctx: &Context, key: &Key) -> SideResult<Option<Existing>> {
    let key = key.with_prefix(ctx.task.spec.target_prefix.as_bytes());
    let info = head(ctx.tuning.pace, &ctx.target, &key).await.at_target()?;
    let existing = |info: ObjectInfo| {
        Ok(Existing {
            size: info.told_size()?,
            etag: info.etag,
            last_modified: info.last_modified,
        })
    };
    info.map(existing).transpose().at_target()
}

/// What a store says of a key, tried again while that may help; `None` when it has no such object.
pub(super) async fn head(pace: Pace, store: &SharedStore, key: &Key) -> Result<Option<ObjectInfo>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match store.head(key, None).await {
            Ok(info) if info.size.is_some() => return Ok(Some(info)),
            // The listing tells what this answer does not. Where there is none, nobody tells.
            Ok(info) => {
                let listed = lookup::listed(store, pace, key).await.unwrap_or_default();
                return Ok(Some(lookup::completed(info, listed)));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => match retry::delay(pace, &error, attempts, rand::random()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.with_attempts(attempts)),
            },
        }
    }
}

/// Kind of the pass that a shard belongs to.
#[must_use]
pub fn pass_kind(scope: &ShardScope) -> PassKind {
    match scope {
        ShardScope::Prefix(_) | ShardScope::Keys => PassKind::Full,
        ShardScope::Failures => PassKind::Failed,
    }
}
