//! The range of a listing that a shard covers: everything after its beginning, up to and including its last key.
//!
//! The end of a range moves towards its beginning when the shard is split. Its feed and the split agree under one lock: the feed
//! takes it for each page, the split for the check, the transaction of the ledger and the new end. So a key is passed on by one
//! shard only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, MutexGuard};

use crate::engine::errors::PassError;
use crate::engine::listing::alphabet::{self, Alphabet};
use crate::engine::order::Orders;
use crate::error::Result;
use crate::ledger::Committed;
use crate::task::Key;

/// Pages whose keys are studied. More pages of one range show little that is new.
const STUDIED_PAGES: u64 = 4;

/// A range, shared by the feed of its shard and by what splits it.
#[derive(Debug)]
pub(in crate::engine) struct Range {
    state: Mutex<State>,
    /// The same end as in `state`, for readers that list ahead and must not wait.
    until: SyncMutex<Option<Key>>,
    feed_wait: SyncMutex<FeedWait>,
    pages: AtomicU64,
}

#[derive(Debug)]
struct State {
    end: End,
    /// The key after which the range was leased, or the first one that was passed on.
    start: Option<Key>,
    /// The last key that was passed on.
    listed: Option<Key>,
    orders: Orders,
    alphabet: Alphabet,
    over: bool,
    ledger: InLedger,
}

/// Whether the ledger has the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InLedger {
    Same,
    /// It may have cut the range, and its answer was lost. The work under this lease ends, and until then nothing more is passed
    /// on: other shards may have it.
    Unknown,
}

/// What is known of a range when it is about to be split.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Snapshot {
    /// The last key that was passed on.
    pub listed: Key,
    /// The last key of the range.
    pub until: Option<Key>,
    /// The orders that the listing may have.
    pub orders: Orders,
    /// The bytes that its keys consist of.
    pub alphabet: Alphabet,
}

/// What a page means for a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Page {
    /// The range goes on behind it.
    GoesOn,
    /// The range ends within it.
    Ends,
    /// The range ends within it, but its last key is not there any more, and the order of the listing is not known well enough to
    /// tell whether every key of the page belongs to it.
    EndsUnclear,
}

/// Whether a shard waits for its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Feed {
    /// It could work, but has nothing to do.
    Awaited,
    /// It has work, or as many objects in flight as are allowed.
    Enough,
}

/// What came of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Split {
    /// There are new shards to lease.
    Done,
    /// The range has gone past the cuts meanwhile.
    TooLate,
}

impl Range {
    /// The range of a shard that goes on after `checkpoint` and ends with `until`.
    pub(in crate::engine) fn new(checkpoint: Option<&Key>, until: Option<Key>) -> Self {
        let mut end = End::new(until.clone());
        if let Some(checkpoint) = checkpoint {
            end.note(checkpoint.as_bytes());
        }
        Self {
            until: SyncMutex::new(until),
            state: Mutex::new(State {
                end,
                start: checkpoint.cloned(),
                listed: None,
                orders: Orders::ANY,
                alphabet: Alphabet::default(),
                over: false,
                ledger: InLedger::Same,
            }),
            feed_wait: SyncMutex::new(FeedWait::default()),
            pages: AtomicU64::new(0),
        }
    }

    /// How many of the keys of the next page belong to the range, and what that means. The page is about to be passed on. `orders`
    /// are those that fit all keys up to the end of the page.
    pub(in crate::engine) async fn admit(&self, keys: &[&Key], orders: Orders) -> (usize, Page) {
        let mut state = self.sure_state().await;
        state.orders = orders;
        let (inside, page) = state.end.admit(keys, orders);
        let keys = &keys[..inside];
        if self.pages.fetch_add(1, Ordering::Relaxed) < STUDIED_PAGES {
            for key in keys {
                state.alphabet.note(key.as_bytes());
            }
        }
        if let Some(first) = keys.first() {
            state.start.get_or_insert_with(|| (*first).clone());
        }
        if let Some(last) = keys.last() {
            state.listed = Some((*last).clone());
        }
        state.over |= page != Page::GoesOn;
        (inside, page)
    }

    /// The listing has no more keys. Says whether all that was admitted belongs to the range.
    pub(in crate::engine) async fn finish(&self) -> Page {
        let mut state = self.sure_state().await;
        state.over = true;
        if state.end.is_clear(state.orders) {
            Page::Ends
        } else {
            Page::EndsUnclear
        }
    }

    /// For the feed. Never returns if the ledger may have another end: then the feed is aborted when its shard stops.
    async fn sure_state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock().await;
        if state.ledger == InLedger::Same {
            return state;
        }
        drop(state);
        std::future::pending().await
    }

    /// Whether `key` is surely behind the range, so that nothing after it needs to be listed.
    pub(in crate::engine) fn is_behind(&self, key: &[u8], orders: Orders) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until
            .as_ref()
            .is_some_and(|until| orders.surely_follows(until.as_bytes(), key))
    }

    /// What a split needs to know; `None` if nothing was listed yet, or everything was.
    pub(in crate::engine) async fn snapshot(&self) -> Option<Snapshot> {
        let state = self.state.lock().await;
        let listed = state.listed.clone().filter(|_| !state.over)?;
        Some(Snapshot {
            listed,
            until: state.end.until.clone(),
            orders: state.orders,
            alphabet: state.alphabet.clone(),
        })
    }

    /// Cuts the range at those of `cuts` that still lie beyond what was passed on. `write` writes them to the ledger.
    ///
    /// # Errors
    /// Those of the ledger, and [`PassError::Fenced`].
    pub(in crate::engine) async fn cut(
        &self,
        cuts: Vec<Key>,
        write: impl AsyncFnOnce(&[Key]) -> Result<Committed>,
    ) -> std::result::Result<Split, PassError> {
        let mut state = self.state.lock().await;
        let cuts = state.still_possible(cuts);
        let Some(first) = cuts.first().cloned() else {
            return Ok(Split::TooLate);
        };
        match write(&cuts).await {
            Ok(Committed::Done) => {}
            Ok(Committed::Fenced | Committed::TooManyFailures) => return Err(PassError::Fenced),
            Err(error) => {
                state.ledger = InLedger::Unknown;
                return Err(PassError::Ledger(error));
            }
        }
        state.end = End::new(Some(first.clone()));
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(first);
        Ok(Split::Done)
    }

    /// Pages that were passed on.
    pub(in crate::engine) fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    /// How many pages are probably left; `None` if nothing was listed yet, everything was, or somebody changes the range just now.
    /// A range without a last key has endlessly many.
    pub(in crate::engine) fn pages_left(&self) -> Option<f64> {
        let state = self.state.try_lock().ok()?;
        let (start, listed) = (
            state.start.as_ref()?,
            state.listed.as_ref().filter(|_| !state.over)?,
        );
        let Some(until) = &state.end.until else {
            return Some(f64::INFINITY);
        };
        let done = alphabet::progress(
            &state.alphabet,
            start.as_bytes(),
            listed.as_bytes(),
            until.as_bytes(),
        );
        Some(self.pages() as f64 * (1.0 - done) / done.max(1e-6))
    }

    /// Records whether the shard waits for its feed from now on.
    pub(in crate::engine) fn note(&self, now: Instant, feed: Feed) {
        let mut feed_wait = self.feed_wait();
        match feed {
            Feed::Awaited => {
                feed_wait.since.get_or_insert(now);
            }
            Feed::Enough => {
                if let Some(since) = feed_wait.since.take() {
                    feed_wait.waited += now.duration_since(since);
                }
            }
        }
    }

    /// How long the shard has waited since the last call.
    pub(in crate::engine) fn waited(&self, now: Instant) -> Duration {
        let mut feed_wait = self.feed_wait();
        let open = feed_wait
            .since
            .replace(now)
            .map(|since| now.duration_since(since));
        if open.is_none() {
            feed_wait.since = None;
        }
        std::mem::take(&mut feed_wait.waited) + open.unwrap_or_default()
    }

    fn feed_wait(&self) -> std::sync::MutexGuard<'_, FeedWait> {
        self.feed_wait.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a shard has waited for its feed.
#[derive(Debug, Default)]
struct FeedWait {
    waited: Duration,
    since: Option<Instant>,
}

impl State {
    /// The cuts that lie beyond what was passed on and before the end, in whatever order the listing has.
    fn still_possible(&self, cuts: Vec<Key>) -> Vec<Key> {
        let Some(listed) = self.listed.as_ref().filter(|_| !self.over) else {
            return Vec::new();
        };
        let mut possible: Vec<Key> = Vec::new();
        for cut in cuts {
            let before = possible.last().unwrap_or(listed);
            let follows = self.orders.surely_follows(before.as_bytes(), cut.as_bytes());
            let inside = match &self.end.until {
                Some(until) => self.orders.surely_follows(cut.as_bytes(), until.as_bytes()),
                None => true,
            };
            if follows && inside {
                possible.push(cut);
            }
        }
        possible
    }
}

/// Finds the end of a range in a listing. The last key of a range was listed when the range was made, so it usually appears. If
/// somebody has deleted it, the order decides.
#[derive(Debug)]
struct End {
    until: Option<Key>,
    /// A key was taken for a part of the range although it is behind the end by bytes, or by path.
    behind_by_bytes: bool,
    behind_by_path: bool,
}

impl End {
    const fn new(until: Option<Key>) -> Self {
        Self {
            until,
            behind_by_bytes: false,
            behind_by_path: false,
        }
    }

    /// How many of the next keys belong to the range, and what that means.
    fn admit(&mut self, keys: &[&Key], orders: Orders) -> (usize, Page) {
        let Some(until) = self.until.clone() else {
            return (keys.len(), Page::GoesOn);
        };
        let until = until.as_bytes();
        for (inside, key) in keys.iter().map(|key| key.as_bytes()).enumerate() {
            if key == until {
                return (inside + 1, Page::Ends);
            }
            if orders.surely_follows(until, key) {
                let page = if self.is_clear(orders) {
                    Page::Ends
                } else {
                    Page::EndsUnclear
                };
                return (inside, page);
            }
            self.note(key);
        }
        (keys.len(), Page::GoesOn)
    }

    /// Remembers that a key was admitted. If one was admitted wrongly, the keys after it were too. So the checkpoint shows it to the
    /// next lease.
    fn note(&mut self, key: &[u8]) {
        if let Some(until) = &self.until {
            self.behind_by_bytes |= Orders::BYTES.surely_follows(until.as_bytes(), key);
            self.behind_by_path |= Orders::PATH.surely_follows(until.as_bytes(), key);
        }
    }

    /// Whether every key that was admitted belongs to the range, if the listing has one of these orders.
    const fn is_clear(&self, orders: Orders) -> bool {
        !(orders.bytes && self.behind_by_bytes || orders.path && self.behind_by_path)
    }
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
