//! Checks whether a side still works for other objects, after objects have failed in a way that may concern all of them.
//!
//! A folder that a policy denies must not stop a task for ever. Credentials that may read nothing must not make every object of
//! a list fail. The failures alone look the same in both cases. Only another object, the canary, shows the difference.

use std::collections::HashSet;

use crate::engine::context::{Context, Route};
use crate::engine::listing::pages;
use crate::engine::retry::Pace;
use crate::engine::shard::systemic::{FailureClass, SystemicFailure};
use crate::engine::{preflight, retry};
use crate::error::{ErrorKind, Result};
use crate::object::clouds::Side;
use crate::object::{ByteRange, ListFrom};
use crate::task::Key;

/// Number of prefixes of the scope in which an object to read is searched.
const PREFIXES: usize = 3;
/// Size of the largest object that is written to find out whether the target is full.
const LARGEST: u64 = 1 << 20;

/// The result of the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Verdict {
    /// The side serves other objects.
    Works,
    /// The side failed for every object that was tried.
    Fails,
}

/// What is known before the canary is asked.
#[derive(Debug)]
pub(in crate::engine) struct Question {
    /// What the failures have in common.
    pub suspect: SystemicFailure,
    /// Objects that succeeded before.
    pub known: Vec<Key>,
    /// Objects that have just failed.
    pub held: HashSet<Key>,
    /// Length of the smallest of these failed objects.
    pub smallest: u64,
}

/// Tries another object on the side where a failure is suspected.
pub(in crate::engine) async fn ask(ctx: &Context, question: Question) -> Verdict {
    let Question {
        suspect,
        known,
        held,
        smallest,
    } = question;
    match (suspect.side, suspect.class) {
        // Another request to a store that asks for fewer requests would show nothing, and throttling ends by itself.
        (_, FailureClass::Throttled) => Verdict::Fails,
        (Side::Target, class) => {
            let length = match class {
                FailureClass::Full => smallest.min(LARGEST),
                _ => 0,
            };
            let answer = tried(suspect, ctx.tuning.pace, || preflight::write_once(ctx, length)).await;
            judge(class, &answer)
        }
        (Side::Source, class) => source(ctx, class, suspect, known, &held).await,
    }
}

async fn source(
    ctx: &Context,
    class: FailureClass,
    suspect: SystemicFailure,
    known: Vec<Key>,
    held: &HashSet<Key>,
) -> Verdict {
    let pace = ctx.tuning.pace;
    let mut asked = false;
    for key in known.into_iter().filter(|key| !held.contains(key)) {
        asked = true;
        let answer = tried(suspect, pace, || read(ctx, &key)).await;
        if judge(class, &answer) == Verdict::Works {
            return Verdict::Works;
        }
    }
    for key in sample(ctx).await {
        if held.contains(&key) {
            continue;
        }
        asked = true;
        let answer = tried(suspect, pace, || read(ctx, &key)).await;
        if judge(class, &answer) == Verdict::Works {
            return Verdict::Works;
        }
    }
    if asked || !class.is_grave() {
        return Verdict::Fails;
    }
    // There is no other object. A listing at least shows that the credentials and the bucket are good.
    match preflight::source(&ctx.source, pace, &ctx.task.spec).await {
        Ok(_) => Verdict::Works,
        Err(_) => Verdict::Fails,
    }
}

/// What an answer to the canary says about the suspected problem.
fn judge(class: FailureClass, answer: &Result<()>) -> Verdict {
    let works = match (class, answer) {
        (_, Ok(())) => true,
        // A store that looks an object up, or refuses this object, has accepted the credentials.
        (FailureClass::WrongCredentials, Err(error)) => matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::Archived | ErrorKind::StorageFull
        ),
        (FailureClass::Bucket, Err(error)) => error.kind() == ErrorKind::Archived,
        (_, Err(_)) => false,
    };
    if works { Verdict::Works } else { Verdict::Fails }
}

/// Retries if the verdict is grave, because that must not depend on one lost answer. For the other classes the caller has tried
/// often enough.
async fn tried<F>(suspect: SystemicFailure, pace: Pace, mut operation: impl FnMut() -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    if suspect.class.is_grave() {
        retry::run(pace, operation).await
    } else {
        operation().await
    }
}

async fn read(ctx: &Context, key: &Key) -> Result<()> {
    match ctx.route {
        // Only the headers of the answer are needed. Dropping the body ends the transfer.
        Route::Stream => ctx.source.get(key, ByteRange::Whole, None).await.map(drop),
        Route::ServerSide => ctx.source.head(key, None).await.map(drop),
    }
}

/// Some objects of the scope, as far apart as one page of a listing allows.
async fn sample(ctx: &Context) -> Vec<Key> {
    let scope = &ctx.task.spec.scope;
    let mut found = spread(&scope.single_keys());
    for prefix in scope.prefixes().iter().take(PREFIXES) {
        // A listing that fails gives no object to try. Nothing more is needed from it here.
        if let Ok(page) = pages::page(&ctx.source, ctx.tuning.pace, prefix, &ListFrom::Start).await {
            let keys: Vec<Key> = page.entries.into_iter().map(|entry| entry.key).collect();
            found.extend(spread(&keys));
        }
    }
    found
}

/// The first, the middle and the last key.
fn spread(keys: &[Key]) -> Vec<Key> {
    let places = [0, keys.len() / 2, keys.len().saturating_sub(1)];
    places
        .iter()
        .filter_map(|place| keys.get(*place))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn an_answer_clears_only_what_it_disproves() {
        use ErrorKind as K;
        use FailureClass as A;
        let all = [
            A::WrongCredentials,
            A::Bucket,
            A::Full,
            A::Blocked,
            A::Denied,
            A::Down,
        ];
        for (answer, cleared) in [
            (None, all.to_vec()),
            (Some(K::NotFound), vec![A::WrongCredentials]),
            (Some(K::PermissionDenied), vec![A::WrongCredentials]),
            (Some(K::Archived), vec![A::WrongCredentials, A::Bucket]),
            (Some(K::Unauthenticated), vec![]),
            (Some(K::BucketNotFound), vec![]),
            (Some(K::Unavailable), vec![]),
            (Some(K::RateLimited), vec![]),
        ] {
            let answer = answer.map_or(Ok(()), |kind| Err(Error::new(kind, "x")));
            let found: Vec<A> = all
                .into_iter()
                .filter(|class| judge(*class, &answer) == Verdict::Works)
                .collect();
            assert_eq!(found, cleared, "{answer:?}");
        }
    }
}
