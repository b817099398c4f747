//! Asks a store for the first key after some names, to find out where a range can be cut.

use async_trait::async_trait;
use futures_util::future::join_all;

use crate::engine::listing::cuts::{Answer, Search};
use crate::engine::listing::range::Snapshot;
use crate::engine::order::Orders;
use crate::engine::retry::{self, Pace};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{EntryFacts, ListFrom, ListQuery, ListingEntry, PageSink, SharedStore};
use crate::task::Key;

/// A range that probably has fewer pages before it is not split. It would be over before cuts are found.
pub(in crate::engine) const FEWEST_PAGES: f64 = 8.0;
/// Requests that splits of a listing may take in any case.
const FREE_REQUESTS: u64 = 320;
/// Pages for which a split may take another request: splits add at most one per cent to the requests of a listing.
const PAGES_PER_REQUEST: u64 = 100;

/// Whether splits may take another request, after this many, in a listing of this many pages so far.
pub(in crate::engine) const fn may_ask(requests: u64, pages: u64) -> bool {
    requests < FREE_REQUESTS + pages / PAGES_PER_REQUEST
}

/// What a search has found.
#[derive(Debug)]
pub(in crate::engine) struct Found {
    /// Keys at which the range can be cut, in the order of their bytes.
    pub cuts: Vec<Key>,
    /// How many requests it took.
    pub requests: u64,
}

/// Looks for up to `wanted` cuts of a range below `prefix`.
///
/// # Errors
/// Those of the store, after retries. `Unsupported` if the store ignores where a listing should begin.
pub(in crate::engine) async fn cuts(
    store: &SharedStore,
    pace: Pace,
    prefix: &Key,
    from: Snapshot,
    wanted: usize,
) -> Result<Found> {
    let mut search = Search::new(from, prefix.as_bytes().len(), wanted);
    let mut requests = 0;
    loop {
        let names = search.ask();
        if names.is_empty() {
            return Ok(Found {
                cuts: search.cuts(),
                requests,
            });
        }
        requests += names.len() as u64;
        let answers = names.iter().map(|name| {
            // Some stores begin with the name itself if it is a key, so the answer may be the name.
            retry::run(pace, || first_after(store, prefix, name))
        });
        search.answer(join_all(answers).await.into_iter().collect::<Result<_>>()?);
    }
}

/// The first key below `prefix` after `name`.
async fn first_after(store: &SharedStore, prefix: &Key, name: &Key) -> Result<Answer> {
    let query = ListQuery {
        prefix: prefix.clone(),
        from: ListFrom::After(name.clone()),
        version: store.list_version(),
        limit: 1,
    };
    let mut first = First(None);
    let facts = store.list(&query, &mut first).await?;
    let Some(entry) = first.0 else {
        return match facts.truncated {
            Some(true) | None => Err(ignored(
                "gives no key after a name and does not say that there is none",
            )),
            Some(false) => Ok(Answer::Nothing),
        };
    };
    if matches!(entry.facts, EntryFacts::KeyTooLong { .. }) {
        return Ok(Answer::Nothing);
    }
    if entry.key == *name || Orders::ANY.may_follow(name.as_bytes(), entry.key.as_bytes()) {
        Ok(Answer::Key(entry.key))
    } else {
        Err(ignored("ignores after which key a listing should begin"))
    }
}

fn ignored(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the store {what}"))
}

/// Keeps the first entry of a page.
struct First(Option<ListingEntry>);

#[async_trait]
impl PageSink for First {
    async fn take(&mut self, piece: Vec<ListingEntry>) -> Result<()> {
        if self.0.is_none() {
            self.0 = piece.into_iter().next();
        }
        Ok(())
    }
}
