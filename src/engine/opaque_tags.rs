//! Handles objects whose ETags look like different hashes but are not hashes. A store that encrypts with a key management
//! service gives ETags of 32 digits that are not MD5 sums (Amazon S3 user guide, SSE-KMS). A listing does not show that, but a
//! HEAD of the object does.
//!
//! Without this check every pass would copy every such object again. Only objects that would be copied because of their ETags
//! alone are checked. These are few if ETags are the hashes that they look like.

use futures_util::{StreamExt as _, stream};

use crate::engine::context::Context;
use crate::engine::decide::{Decision, SkipReason};
use crate::engine::listing::candidate::{Candidate, Found, HEADS_AT_ONCE};
use crate::engine::lookup;
use crate::engine::source_object::SourceObject;
use crate::object::SharedStore;
use crate::task::Key;

/// Skips those of the candidates at these indices whose ETags are not hashes. They would be copied because of their ETags
/// alone.
pub(super) async fn leave(ctx: &Context, candidates: &mut [Candidate], doubtful: &[usize]) {
    let keys: Vec<(usize, Key)> = doubtful
        .iter()
        .filter_map(|index| Some((*index, candidates.get(*index)?.key.clone())))
        .collect();
    let opaque: Vec<(usize, bool)> = stream::iter(keys)
        .map(|(index, key)| async move { (index, tells_nothing(ctx, &key).await) })
        .buffered(HEADS_AT_ONCE)
        .collect()
        .await;
    for (index, opaque) in opaque {
        if let Some(candidate) = candidates.get_mut(index).filter(|_| opaque) {
            skip(&mut candidate.step);
        }
    }
}

/// The same for one candidate.
pub(super) async fn left(ctx: &Context, key: &Key, mut step: Found) -> Found {
    if tells_nothing(ctx, key).await {
        skip(&mut step);
    }
    step
}

fn skip(step: &mut Found) {
    if let Found::Planned(SourceObject::KnownSize(_), decision @ Decision::Copy) = step {
        *decision = Decision::Skip(SkipReason::Identical);
    }
}

/// Whether one of the two ETags of an object says nothing about its bytes.
async fn tells_nothing(ctx: &Context, key: &Key) -> bool {
    is_opaque(ctx, &ctx.source, key).await || is_opaque(ctx, &ctx.target, &ctx.target_key(key)).await
}

/// If the check fails, the object is copied. The copy meets the same error and reports it.
async fn is_opaque(ctx: &Context, store: &SharedStore, key: &Key) -> bool {
    let found = lookup::head(ctx.tuning.pace, store, key).await;
    matches!(found, Ok(Some(info)) if !info.tag_is_hash())
}
