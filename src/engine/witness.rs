//! Whether a side still works for anything, asked when many objects in a row have had the same trouble.
//!
//! A folder that a policy denies must not stop a task for ever, and a key that may read nothing must not burn a whole
//! list: the failures alone look the same, and only another object tells them apart.

use std::collections::HashSet;

use super::breaker::{Ailment, Suspect};
use super::{Context, Route, list, probe};
use crate::object::clouds::Side;
use crate::object::{ListFrom, Portion};
use crate::task::Key;

/// Prefixes of the scope that are looked into for an object to read.
const PREFIXES: usize = 3;

/// What the witness says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The side serves other objects.
    Works,
    /// It serves nothing that was tried.
    Fails,
}

/// Asks the side of a suspect. `known` are objects that went well before, `held` those that have just failed.
pub(super) async fn ask(ctx: &Context, suspect: Suspect, known: Vec<Key>, held: &HashSet<Key>) -> Verdict {
    match (suspect.side, suspect.ailment) {
        // To ask a store that wants fewer requests would say nothing, and throttling passes by itself.
        (_, Ailment::Throttled) => Verdict::Fails,
        (Side::Target, _) => {
            match probe::write_once(&ctx.target, ctx.tuning.pace, ctx.task.id, ctx.task.spec.kms).await {
                Ok(()) => Verdict::Works,
                Err(_) => Verdict::Fails,
            }
        }
        (Side::Source, _) => {
            for key in known {
                if reads(ctx, &key).await {
                    return Verdict::Works;
                }
            }
            for key in sample(ctx).await {
                if !held.contains(&key) && reads(ctx, &key).await {
                    return Verdict::Works;
                }
            }
            Verdict::Fails
        }
    }
}

async fn reads(ctx: &Context, key: &Key) -> bool {
    match ctx.route {
        // Only the answer's head is waited for; dropping the body ends the transfer.
        Route::Stream => ctx.source.get(key, Portion::Whole, None).await.is_ok(),
        Route::ServerSide => ctx.source.head(key, None).await.is_ok(),
    }
}

/// Some objects of the scope, as far apart as one page of a listing allows.
async fn sample(ctx: &Context) -> Vec<Key> {
    let scope = &ctx.task.spec.scope;
    let mut found = spread(&scope.single_keys());
    for prefix in scope.prefixes().iter().take(PREFIXES) {
        // A listing that fails gives no witness, which is all there is to know of it here.
        if let Ok(page) = list::page(&ctx.source, ctx.tuning.pace, prefix, &ListFrom::Start).await {
            let keys: Vec<Key> = page.entries.into_iter().map(|entry| entry.key).collect();
            found.extend(spread(&keys));
        }
    }
    found
}

/// First, middle and last.
fn spread(keys: &[Key]) -> Vec<Key> {
    let places = [0, keys.len() / 2, keys.len().saturating_sub(1)];
    places
        .iter()
        .filter_map(|place| keys.get(*place))
        .cloned()
        .collect()
}
