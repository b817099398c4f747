//! The pages of a listing, as far as they belong to a range.

use std::sync::Arc;

use crate::engine::listing::candidate::Resumable;
use crate::engine::listing::pages::Pages;
use crate::engine::listing::range::{Page, Range};
use crate::engine::order::{OrderWatch, Step};
use crate::engine::retry::Pace;
use crate::error::Result;
use crate::object::{ListFrom, ListingEntry, SharedStore};
use crate::task::Key;

/// The entries of a range. Repeated entries are left out.
#[derive(Debug)]
pub(in crate::engine) struct RangePages {
    pages: Pages,
    range: Arc<Range>,
    watch: OrderWatch,
    order: Resumable,
    page: Page,
}

impl RangePages {
    /// Lists what a range has below `prefix`, after the key `after`.
    pub(in crate::engine) fn new(
        store: SharedStore,
        pace: Pace,
        prefix: Key,
        after: Option<&Key>,
        range: Arc<Range>,
    ) -> Self {
        let from = after.cloned().map_or(ListFrom::Start, ListFrom::After);
        let mut watch = OrderWatch::default();
        // The listing goes on after this key, so the key shows the order too.
        if let Some(after) = after {
            watch.next(after.as_bytes());
        }
        Self {
            pages: Pages::new(store, pace, prefix, from, (Some(Arc::clone(&range)), 0)),
            range,
            watch,
            order: Resumable::Yes,
            page: Page::GoesOn,
        }
    }

    /// The next entries of the range; none of a page may belong to it. `None` at its end, which [`Self::end`] describes.
    ///
    /// # Errors
    /// Those of the listing.
    pub(in crate::engine) async fn next(&mut self) -> Result<Option<Vec<ListingEntry>>> {
        if self.page != Page::GoesOn {
            return Ok(None);
        }
        let Some(mut entries) = self.pages.next().await? else {
            self.page = self.range.finish().await;
            return Ok(None);
        };
        entries.retain(|entry| match self.watch.next(entry.key.as_bytes()) {
            Step::Ascends => true,
            Step::Repeats => false,
            Step::Unordered => {
                self.order = Resumable::No;
                true
            }
        });
        let keys: Vec<&Key> = entries.iter().map(|entry| &entry.key).collect();
        let (inside, page) = self.range.admit(&keys, self.watch.orders()).await;
        self.page = page;
        entries.truncate(inside);
        Ok(Some(entries))
    }

    /// The orders that fit all entries so far.
    pub(in crate::engine) const fn watch(&self) -> &OrderWatch {
        &self.watch
    }

    /// Whether all entries so far were in a known order.
    pub(in crate::engine) const fn order(&self) -> Resumable {
        self.order
    }

    /// How the range has ended, or that it goes on.
    pub(in crate::engine) const fn end(&self) -> Page {
        self.page
    }
}
