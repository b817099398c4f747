//! Decides what to do with single keys, after asking both sides for each.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::engine::context::Context;
use crate::engine::decide::{Decision, Existing, RefuseReason, SkipReason, decide};
use crate::engine::errors::PassError;
use crate::engine::listing::candidate::{Candidate, Found, HEADS_AT_ONCE, Wanted};
use crate::engine::lookup::{existing_at_target, find};
use crate::engine::name_kinds::{Kinds, NameKind};
use crate::engine::retry::SideResult;
use crate::engine::source_object::SourceObject;
use crate::engine::{opaque_tags, target_names};
use crate::task::Key;

/// Asks both sides for each key, several at a time, and keeps the order.
pub(in crate::engine) async fn look_up(
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
                prior_count,
                position,
            } = wanted;
            // A list may contain any name. A key too long for every store is not looked up.
            if listed && prefix + key.as_bytes().len() > Key::MAX_LEN {
                return Ok(Candidate {
                    key,
                    prior_count,
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
                Err(side_error) => Found::Unknown(side_error),
            };
            Ok(Candidate {
                key,
                prior_count,
                position,
                step,
            })
        })
        .buffered(HEADS_AT_ONCE)
        .try_collect()
        .await;
    Ok(found?)
}

/// Whether an object would be copied only because its ETag differs from the target's.
pub(in crate::engine) fn only_tags_differ(
    ctx: &Context,
    item: &SourceObject,
    existing: &SideResult<Option<Existing>>,
) -> bool {
    let (SourceObject::KnownSize(entry), Ok(Some(existing))) = (item, existing) else {
        return false;
    };
    ctx.has_one_source() && crate::engine::decide::only_tags_differ(entry, existing, &ctx.task.spec)
}

pub(in crate::engine) fn plan(
    ctx: &Context,
    item: SourceObject,
    existing: SideResult<Option<Existing>>,
    refused: Kinds,
) -> Found {
    match existing {
        Ok(existing) => {
            let decision = match decide(&item, existing.as_ref(), &ctx.task.spec) {
                // The upload was completed, but interrupted before the copy was verified. Only an equal ETag proves the
                // copy.
                Decision::Skip(SkipReason::Identical)
                    if ctx.open.contains(item.key()) && !same_tag(&item, existing.as_ref()) =>
                {
                    Decision::Copy
                }
                decision => decision,
            };
            let decision = match name_not_kept(ctx, item.key(), refused) {
                // The target may have another object under such a name.
                Some(kind) if decision != Decision::Skip(SkipReason::Older) => {
                    Decision::Refuse(RefuseReason::NameNotKept(kind))
                }
                _ => decision,
            };
            Found::Planned(item, decision)
        }
        Err(side_error) => Found::Unknown(side_error),
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
