//! Finds the keys of source pages at the target: by walking both listings in the same order, or by asking for each key.

use std::cmp::Ordering;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use crate::engine::context::Context;
use crate::engine::decide::Existing;
use crate::engine::findings::Listing;
use crate::engine::listing::candidate::HEADS_AT_ONCE;
use crate::engine::listing::pages::Cursor;
use crate::engine::listing::range::Range;
use crate::engine::lookup::existing_at_target;
use crate::engine::order::{Order, OrderWatch};
use crate::engine::retry::{At as _, SideResult};
use crate::error::Result;
use crate::object::{EntryFacts, ListingEntry};
use crate::task::Key;

/// Finds the keys of source pages at the target.
#[derive(Debug)]
pub(in crate::engine) enum Matcher {
    /// There is nothing to find: the target has no key below the prefix.
    Empty,
    /// Both listings are walked in the same order.
    Merge {
        cursor: Box<Cursor>,
        order: Order,
        held: Option<(ListingEntry, usize)>,
        watch: OrderWatch,
        begun: CursorState,
    },
    /// Each key is asked for.
    Heads,
}

/// How much of the target's listing a cursor has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum CursorState {
    /// Nothing yet; it will begin at the first key.
    AtStart,
    /// Nothing yet; it will begin after a checkpoint.
    AfterCheckpoint,
    /// The first read is done.
    Started,
}

impl Matcher {
    /// For a shard below `prefix` that begins after `after` and goes to the end of `range`.
    pub(in crate::engine) fn new(
        ctx: &Context,
        prefix: &Key,
        after: Option<&Key>,
        range: &Arc<Range>,
    ) -> Self {
        if ctx.target_listing == Listing::Late {
            return Self::Heads;
        }
        // If the order is not known, the listing only shows whether the target has any key at all.
        let order = ctx.target_order.unwrap_or(Order::Bytes);
        if ctx.target_order.is_none() && after.is_some() {
            return Self::Heads;
        }
        let cursor = Box::new(Cursor::new(
            &ctx.target,
            ctx.tuning.pace,
            &ctx.task.spec.target_prefix,
            prefix,
            after,
            range,
        ));
        let begun = if after.is_some() {
            CursorState::AfterCheckpoint
        } else {
            CursorState::AtStart
        };
        Self::Merge {
            cursor,
            order,
            held: None,
            watch: OrderWatch::default(),
            begun,
        }
    }

    /// Returns what the target has under the keys of a page.
    pub(in crate::engine) async fn find(
        &mut self,
        ctx: &Context,
        entries: &[ListingEntry],
        source: &OrderWatch,
    ) -> SideResult<Vec<SideResult<Option<Existing>>>> {
        if let Self::Merge {
            cursor,
            held,
            watch,
            begun,
            ..
        } = self
            && *begun != CursorState::Started
        {
            *held = cursor.next().await.at_target()?;
            match held {
                None if *begun == CursorState::AtStart => *self = Self::Empty,
                None => *begun = CursorState::Started,
                Some((entry, cut)) => {
                    watch.next(&entry.key.as_bytes()[*cut..]);
                    *begun = CursorState::Started;
                }
            }
        }
        if let Self::Merge { order, .. } = self
            && (ctx.target_order.is_none() || !source.fits(*order))
        {
            tracing::info!(task.id = %ctx.task.id, "source and target list in different orders; asking for each key");
            *self = Self::Heads;
        }
        if let Self::Merge {
            cursor,
            order,
            held,
            watch,
            ..
        } = self
        {
            match merge(cursor, *order, held, watch, entries).await.at_target()? {
                Some(found) => return complete(ctx, found, entries).await,
                None => {
                    tracing::warn!(task.id = %ctx.task.id, "the target's listing is not in order; asking for each key");
                    *self = Self::Heads;
                }
            }
        }
        match self {
            Self::Empty => Ok(entries.iter().map(|_| Ok(None)).collect()),
            Self::Merge { .. } | Self::Heads => {
                let found = entries.iter().map(|_| Match::Unclear).collect();
                complete(ctx, found, entries).await
            }
        }
    }
}

/// Asks the target for the keys that its listing leaves unclear.
async fn complete(
    ctx: &Context,
    found: Vec<Match>,
    entries: &[ListingEntry],
) -> SideResult<Vec<SideResult<Option<Existing>>>> {
    if !found.iter().any(|one| matches!(one, Match::Unclear)) {
        let known = found.into_iter().map(|one| match one {
            Match::Known(existing) => Ok(Some(existing)),
            Match::None | Match::Unclear => Ok(None),
        });
        return Ok(known.collect());
    }
    let keys: Vec<Key> = entries.iter().map(|entry| entry.key.clone()).collect();
    let found: Vec<_> = stream::iter(found.into_iter().zip(keys))
        .map(|(one, key)| async move {
            match one {
                Match::None => Ok(None),
                Match::Known(existing) => Ok(Some(existing)),
                Match::Unclear => existing_at_target(ctx, &key).await,
            }
        })
        .buffered(HEADS_AT_ONCE)
        .collect()
        .await;
    Ok(found)
}

/// What the target's listing says about a key.
#[derive(Debug)]
enum Match {
    /// It does not contain the key.
    None,
    /// It contains the key and its length.
    Known(Existing),
    /// It contains the key, but nothing more about it.
    Unclear,
}

/// Walks the target's cursor along a page of the source. Returns `None` if the target does not keep to its order.
async fn merge(
    cursor: &mut Cursor,
    order: Order,
    held: &mut Option<(ListingEntry, usize)>,
    watch: &mut OrderWatch,
    entries: &[ListingEntry],
) -> Result<Option<Vec<Match>>> {
    let mut found = Vec::with_capacity(entries.len());
    for entry in entries {
        let existing = loop {
            let Some((at_target, cut)) = held.as_ref() else {
                break Match::None;
            };
            match order.compare(&at_target.key.as_bytes()[*cut..], entry.key.as_bytes()) {
                Ordering::Greater => break Match::None,
                Ordering::Equal => {
                    break match &at_target.facts {
                        EntryFacts::Object {
                            size,
                            etag,
                            last_modified,
                        } => Match::Known(Existing {
                            size: *size,
                            etag: etag.clone(),
                            last_modified: *last_modified,
                        }),
                        EntryFacts::Nothing | EntryFacts::KeyTooLong { .. } => Match::Unclear,
                    };
                }
                Ordering::Less => {
                    *held = cursor.next().await?;
                    if let Some((next, cut)) = held {
                        watch.next(&next.key.as_bytes()[*cut..]);
                        if !watch.fits(order) {
                            return Ok(None);
                        }
                    }
                }
            }
        };
        found.push(existing);
    }
    Ok(Some(found))
}
