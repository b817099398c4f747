//! Where the work of a shard comes from: from listings, which are joined with the target's, or from single keys, which
//! are looked up one by one.
//!
//! A prefix is listed at the source and at the target side by side, as long as both listings are in the target's order.
//! As soon as one is not, the target is asked for each key of a page instead. "Could not be read" never means "is not
//! there": it fails the object or ends the pass.

pub mod candidate;
pub mod estimate;
pub mod judge;
pub mod manifest;
pub mod manifest_lines;
pub mod manifest_scan;
pub mod matcher;
pub mod pages;
pub mod plan;

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::context::Context;
use crate::engine::decide::RefuseReason;
use crate::engine::errors::PassError;
use crate::engine::listing::candidate::{Batch, Candidate, Found, KEYS_PER_BATCH, Resumable, Sender, Wanted};
use crate::engine::listing::matcher::Matcher;
use crate::engine::listing::pages::Pages;
use crate::engine::listing::plan::{look_up, only_tags_differ, plan};
use crate::engine::order::{OrderWatch, Step};
use crate::engine::retry::At as _;
use crate::engine::shard::prior_count::PriorCount;
use crate::engine::source_object::SourceObject;
use crate::engine::sync_points::SyncPoint;
use crate::engine::{opaque_tags, target_names};
use crate::ledger::{LeasedShard, ShardScope};
use crate::object::{EntryFacts, ListFrom, ListingEntry};
use crate::task::spec::Scope;
use crate::task::{Key, PassKind};

/// Produces all batches of a shard after its checkpoint.
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
    if let Err(pass_error) = end {
        // Sending fails only when the shard has stopped reading. Then it does not need the error.
        sender.send(Err(pass_error)).await.unwrap_or_default();
    }
}

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
            let step = match listed.facts {
                EntryFacts::KeyTooLong { .. } => Found::Refused(RefuseReason::KeyTooLong),
                EntryFacts::Nothing => unclear.next().unwrap_or(Found::Missing),
                EntryFacts::Object { .. } => match listed.entry() {
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
                prior_count: PriorCount::default(),
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

/// Looks up the objects of which the listing gives only the name, in the order of the listing.
async fn look_up_unclear(
    ctx: &Context,
    entries: &[ListingEntry],
) -> std::result::Result<Vec<Found>, PassError> {
    let named = entries.iter().filter(|entry| entry.facts == EntryFacts::Nothing);
    let wanted: Vec<Wanted> = named
        .map(|entry| Wanted::new(entry.key.clone(), PriorCount::default()))
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
    // Of a single key that a prefix also covers, only its absence matters here. If it exists, it is copied with the
    // prefix.
    let covered = scope.covered_keys();
    let mut keys = scope.single_keys();
    keys.extend(covered.iter().cloned());
    keys.sort();
    let begin = after.map_or(0, |after| keys.partition_point(|key| key <= after));
    for chunk in keys[begin..].chunks(KEYS_PER_BATCH) {
        let wanted = chunk
            .iter()
            .map(|key| Wanted::new(key.clone(), PriorCount::default()))
            .collect();
        let mut candidates = look_up(ctx, wanted).await?;
        candidates.retain(|candidate| {
            matches!(candidate.step, Found::Missing) || covered.binary_search(&candidate.key).is_err()
        });
        if sender.send(Ok(Batch::resumable(candidates))).await.is_err() {
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
            .map(|failure| Wanted::new(failure.key.clone(), PriorCount::failed(&failure)))
            .collect();
        let candidates = look_up(ctx, wanted).await?;
        if sender.send(Ok(Batch::resumable(candidates))).await.is_err() {
            return Ok(());
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
