//! The size of the scope: counts the source in the background, only for progress and time left.
//!
//! The count begins some seconds after the pass. A pass that is over by then needs no count, and one that mostly lists is
//! over soon, because its shards are split. It lists ahead of the work, which costs one request per thousand objects. A
//! complete count is not repeated.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::context::Context;
use crate::engine::listing::manifest_scan;
use crate::engine::listing::pages::Pages;
use crate::error::Result;
use crate::object::{ListFrom, ListingEntry};
use crate::task::{Estimate, PassKind};

const BEGIN_AFTER: Duration = Duration::from_secs(2);
const STORE_EVERY: Duration = Duration::from_secs(1);

/// Counts the scope of a full pass. It ends by itself, or when it is dropped. A pass over the failures needs no count:
/// the full pass before it has counted everything.
pub async fn run(ctx: Arc<Context>) {
    let full = ctx.task.pass.is_none_or(|pass| pass.kind == PassKind::Full);
    if !full || ctx.task.survey.complete {
        return;
    }
    tokio::time::sleep(BEGIN_AFTER).await;
    if let Some(file) = ctx.task.spec.scope.list_file() {
        if let Err(pass_error) = manifest_scan::count(&ctx, file).await {
            tracing::debug!(task.id = %ctx.task.id, ?pass_error, "the list could not be counted");
        }
        return;
    }
    if let Err(error) = count(&ctx).await {
        // Only the display suffers. The pass meets the same error itself and reports it.
        tracing::debug!(task.id = %ctx.task.id, %error, "the scope could not be counted");
    }
}

async fn count(ctx: &Context) -> Result<()> {
    let scope = &ctx.task.spec.scope;
    let single = i64::try_from(scope.single_keys().len()).unwrap_or(i64::MAX);
    let mut survey = Estimate {
        objects: single,
        ..Estimate::default()
    };
    let mut stored = Instant::now();
    for prefix in scope.prefixes() {
        let mut pages = Pages::new(
            Arc::clone(&ctx.source),
            ctx.tuning.pace,
            prefix,
            ListFrom::Start,
            (None, 0),
        );
        while let Some(page) = pages.next().await? {
            survey.objects += i64::try_from(page.len()).unwrap_or(i64::MAX);
            // A store may list sizes that no object can have.
            survey.bytes = page
                .iter()
                .map(ListingEntry::size)
                .fold(survey.bytes, i64::saturating_add_unsigned);
            if stored.elapsed() >= STORE_EVERY {
                stored = Instant::now();
                ctx.ledger
                    .set_estimate(ctx.task.id, survey.at_least(ctx.task.survey))
                    .await?;
            }
            if ctx.stop.is_cancelled() {
                return Ok(());
            }
        }
    }
    survey.complete = true;
    ctx.ledger.set_estimate(ctx.task.id, survey).await
}
