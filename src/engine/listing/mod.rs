//! Where the work of a shard comes from: from listings, which are joined with the target's, or from single keys, which
//! are looked up one by one.
//!
//! A prefix is listed at the source and at the target side by side, as long as both listings are in the target's order.
//! As soon as one is not, the target is asked for each key of a page instead. "Could not be read" never means "is not
//! there": it fails the object or ends the pass.
//!
//! A shard covers a range of a listing (`range`). Where it can be cut into several is found out with a few requests (`cuts`,
//! `alphabet`, `probe`).

mod alphabet;
pub mod candidate;
pub(in crate::engine) mod cuts;
pub mod estimate;
pub mod judge;
pub mod manifest;
pub(in crate::engine) mod manifest_cuts;
pub mod manifest_lines;
pub mod manifest_scan;
pub mod matcher;
pub mod pages;
pub mod plan;
pub(in crate::engine) mod probe;
pub(in crate::engine) mod range;
mod range_pages;

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::context::Context;
use crate::engine::decide::RefuseReason;
use crate::engine::errors::PassError;
use crate::engine::listing::candidate::{Batch, Candidate, Found, KEYS_PER_BATCH, Sender, Wanted};
use crate::engine::listing::matcher::Matcher;
use crate::engine::listing::plan::{look_up, only_tags_differ, plan};
use crate::engine::listing::range::{Page, Range};
use crate::engine::listing::range_pages::RangePages;
use crate::engine::order::Orders;
use crate::engine::retry::At as _;
use crate::engine::shard::prior_count::PriorCount;
use crate::engine::source_object::SourceObject;
use crate::engine::sync_points::SyncPoint;
use crate::engine::{opaque_tags, target_names};
use crate::ledger::{LeasedShard, ShardScope, Unordered};
use crate::object::{EntryFacts, ListingEntry};
use crate::task::spec::Scope;
use crate::task::{Key, PassKind};

/// Produces all batches of a shard after its checkpoint.
pub(super) async fn feed(
    ctx: Arc<Context>,
    shard: LeasedShard,
    range: Arc<Range>,
    sender: mpsc::Sender<std::result::Result<Batch, PassError>>,
) {
    let end = match &shard.scope {
        ShardScope::Prefix(prefix) => feed_prefix(&ctx, prefix, &shard, &range, &sender).await,
        ShardScope::Keys => match ctx.task.spec.scope.list_file() {
            Some(file) => manifest::feed_list(&ctx, file, &shard, &range, &sender).await,
            None => feed_keys(&ctx, shard.checkpoint.as_ref(), &sender).await,
        },
        ShardScope::Failures => match &ctx.task.spec.scope {
            Scope::Urls(file) => {
                manifest_scan::feed_failures(&ctx, file, shard.checkpoint.as_ref(), &sender).await
            }
            Scope::Objects(_) | Scope::Prefixes(_) | Scope::List(_) => {
                feed_failures(&ctx, shard.checkpoint.clone(), &range, &sender).await
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
    shard: &LeasedShard,
    range: &Arc<Range>,
    sender: &Sender,
) -> std::result::Result<(), PassError> {
    let after = shard.checkpoint.as_ref();
    let mut pages = RangePages::new(
        Arc::clone(&ctx.source),
        ctx.tuning.pace,
        prefix.clone(),
        after,
        Arc::clone(range),
    );
    let mut target = Matcher::new(ctx, prefix, after, range);
    while let Some(entries) = pages.next().await.at_source()? {
        let refused = target_names::not_kept(ctx, entries.iter().map(|entry| &entry.key)).await?;
        let existing = target.find(ctx, &entries, pages.watch()).await?;
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
        let batch = Batch {
            candidates,
            order: pages.order(),
        };
        ctx.sync_points.reach(SyncPoint::PageJoined).await;
        if sender.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
    if pages.end() == Page::EndsUnclear {
        return lose_order(ctx, shard).await;
    }
    Ok(())
}

/// Ends a range whose last key has disappeared, in a listing whose order nobody knows: a key may belong to it or to the range
/// behind it. The ranges become one shard again.
async fn lose_order(ctx: &Context, shard: &LeasedShard) -> std::result::Result<(), PassError> {
    tracing::warn!(task.id = %ctx.task.id, "the last key of a range has disappeared; its prefix is listed again as a whole");
    let marked = ctx.ledger.set_unordered(ctx.task.id, shard).await;
    match marked.map_err(PassError::Ledger)? {
        Unordered::Marked | Unordered::Rejoined | Unordered::Fenced => Err(PassError::Fenced),
    }
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
    range: &Range,
    sender: &Sender,
) -> std::result::Result<(), PassError> {
    let limit = i64::try_from(KEYS_PER_BATCH).unwrap_or(i64::MAX);
    loop {
        let mut failures = ctx
            .ledger
            .failures(ctx.task.id, after.as_ref(), limit)
            .await
            .map_err(PassError::Ledger)?;
        after = failures.last().map(|failure| failure.key.clone());
        let keys: Vec<&Key> = failures.iter().map(|failure| &failure.key).collect();
        let (inside, page) = match after {
            None => (0, range.finish().await),
            Some(_) => range.admit(&keys, Orders::BYTES).await,
        };
        failures.truncate(inside);
        let wanted = failures
            .into_iter()
            .map(|failure| Wanted::new(failure.key.clone(), PriorCount::failed(&failure)))
            .collect();
        let candidates = look_up(ctx, wanted).await?;
        if sender.send(Ok(Batch::resumable(candidates))).await.is_err() {
            return Ok(());
        }
        if page != Page::GoesOn {
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
