//! Listings as a stream of pages: one request ahead of its reader, retried, bounded.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::retry::{self, MAX_TRIES, Pace};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Entry, ListFrom, ListPage, SharedStore};
use crate::task::Key;

/// Pages waiting for their reader; with the one being fetched this bounds a listing to three pages in memory.
const AHEAD: usize = 2;

/// Empty pages in a row that a store may send while it claims that there is more.
const MAX_EMPTY_PAGES: u32 = 1000;

/// The pages of one listing. Dropping it ends the requests.
#[derive(Debug)]
pub struct Pages {
    receiver: mpsc::Receiver<Result<Vec<Entry>>>,
    /// Until its end was looked at.
    lister: Option<AbortOnDropHandle<()>>,
}

impl Pages {
    /// Lists everything below `prefix` from `from` on.
    #[must_use]
    pub fn new(store: SharedStore, pace: Pace, prefix: Key, from: ListFrom) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let lister = tokio::spawn(async move {
            let end = produce(&store, pace, &prefix, from, &sender).await;
            if let Err(error) = end {
                // The reader is gone when this fails, and with it whoever would care.
                sender.send(Err(error)).await.unwrap_or_default();
            }
        });
        Self {
            receiver,
            lister: Some(AbortOnDropHandle::new(lister)),
        }
    }

    /// The next page that is not empty; `None` at the end of the listing.
    ///
    /// # Errors
    /// Those of the store, when retries did not help; `Integrity` for a listing that does not move on.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        if let Some(page) = self.receiver.recv().await {
            return page.map(Some);
        }
        // A lister that fell over has not come to the end of the listing.
        if let Some(lister) = self.lister.take() {
            lister
                .await
                .map_err(|e| Error::internal("the listing ended by a defect").with_source(e))?;
        }
        Ok(None)
    }
}

async fn produce(
    store: &SharedStore,
    pace: Pace,
    prefix: &Key,
    mut from: ListFrom,
    sender: &mpsc::Sender<Result<Vec<Entry>>>,
) -> Result<()> {
    let mut empty = 0;
    let mut seen = Positions::default();
    loop {
        let ListPage { entries, next } = page(store, pace, prefix, &from).await?;
        if let Some(stray) = entries
            .iter()
            .find(|e| !e.key.as_bytes().starts_with(prefix.as_bytes()))
        {
            let text = format!(
                "the listing names {:?}, which lies outside the prefix asked for",
                stray.key
            );
            return Err(Error::new(ErrorKind::Integrity, text));
        }
        empty = if entries.is_empty() { empty + 1 } else { 0 };
        let token = next.map(ListFrom::Token);
        let again = token.as_ref().is_some_and(|token| seen.repeats(token));
        if again || token.as_ref() == Some(&from) || empty > MAX_EMPTY_PAGES {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the listing does not move on: it repeats its position",
            ));
        }
        if !entries.is_empty() && sender.send(Ok(entries)).await.is_err() {
            return Ok(());
        }
        match token {
            Some(token) => from = token,
            None => return Ok(()),
        }
    }
}

/// Finds out that a listing goes round in circles, by remembering one position at a time and for twice as long each time
/// (Brent). Pure.
#[derive(Debug, Default)]
struct Positions {
    kept: Option<ListFrom>,
    age: u64,
    keep_for: u64,
}

impl Positions {
    /// Whether `position` was seen before; a circle is found within a few rounds.
    fn repeats(&mut self, position: &ListFrom) -> bool {
        if self.kept.as_ref() == Some(position) {
            return true;
        }
        self.age += 1;
        if self.age >= self.keep_for {
            self.kept = Some(position.clone());
            self.age = 0;
            self.keep_for = (self.keep_for * 2).max(1);
        }
        false
    }
}

/// One page, tried again while that may help.
pub(super) async fn page(store: &SharedStore, pace: Pace, prefix: &Key, from: &ListFrom) -> Result<ListPage> {
    let mut tries = 0;
    loop {
        tries += 1;
        match store.list(prefix.as_bytes(), from).await {
            Ok(page) => return Ok(page),
            Err(error) => match retry::delay(pace, &error, tries, rand::random()) {
                Some(wait) => {
                    tracing::debug!(store = %store.describe(), %error, tries, "listing is tried again");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error.during("list").with_tries(tries.min(MAX_TRIES))),
            },
        }
    }
}

/// Entries of a target listing, one by one, without the prefix that the target puts before each key.
#[derive(Debug)]
pub struct Cursor {
    pages: Pages,
    page: std::vec::IntoIter<Entry>,
    cut: usize,
}

impl Cursor {
    /// Reads the target's keys below `target_prefix + prefix`, behind the source key `after`.
    #[must_use]
    pub fn new(
        store: &SharedStore,
        pace: Pace,
        target_prefix: &Key,
        prefix: &Key,
        after: Option<&Key>,
    ) -> Self {
        let from = after.map_or(ListFrom::Start, |key| {
            ListFrom::After(key.with_prefix(target_prefix.as_bytes()))
        });
        let whole = prefix.with_prefix(target_prefix.as_bytes());
        Self {
            pages: Pages::new(Arc::clone(store), pace, whole, from),
            page: Vec::new().into_iter(),
            cut: target_prefix.as_bytes().len(),
        }
    }

    /// The next entry with the source's form of its key; `None` at the end.
    ///
    /// # Errors
    /// Those of [`Pages::next`].
    pub async fn next(&mut self) -> Result<Option<(Entry, usize)>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Ok(Some((entry, self.cut)));
            }
            match self.pages.next().await? {
                Some(page) => self.page = page.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_of_any_length_are_found_and_progress_is_not_one() {
        let at = |n: u64| ListFrom::Token(n.to_string());
        for (lead, length) in [(0, 1), (0, 2), (5, 3), (100, 17)] {
            let mut positions = Positions::default();
            let mut walk = (0..lead).chain((lead..lead + length).cycle());
            let pages = walk.position(|n| positions.repeats(&at(n)));
            assert!(
                pages.is_some_and(|pages| pages as u64 <= 4 * (lead + length)),
                "{lead} {length}"
            );
        }
        let mut positions = Positions::default();
        assert!((0..10_000).all(|n| !positions.repeats(&at(n))));
    }
}
