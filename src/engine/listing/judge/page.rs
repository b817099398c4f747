//! What is known about a page of a listing while it is read, and what is still to be asked about it.

use crate::object::PAGE_SIZE;
use crate::task::Key;

/// How many empty pages in a row a store may send while it says that there is more.
pub(super) const MAX_EMPTY_PAGES: u32 = 1000;
/// How many keys longer than S3 allows a listing may contain. Each becomes a failure.
pub(super) const MAX_LONG_KEYS: u32 = 1000;
/// How many ways there are to request one page, including the usual one.
pub(super) const WAYS: u32 = 5;

/// What is known about the page that is being read.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Number of its entries.
    pub(super) lines: u64,
    /// Number of its entries that were passed on.
    pub(super) fresh: u64,
    /// Number of its entries that were passed on or left out.
    pub(super) settled: u64,
    /// Its first key.
    pub(super) first: Option<Key>,
    /// The last key before the page, and the keys of the last piece before it.
    pub(super) before: Option<Key>,
    pub(super) recent: Vec<Key>,
    /// Whether a part of it was left out because it was passed on before the listing started again from the first key.
    pub(super) skips: bool,
    /// Its last key so far.
    pub(super) last: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    Trusted,
    Doubted,
}

/// A page that claims to be the last one and is not believed: how large it was, and why it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) lines: u64,
    pub(super) unanswered: Unanswered,
    /// Its `IsTruncated`.
    pub(super) truncated: Option<bool>,
}

impl Check {
    /// Whether the page counts as the last one if the store does not list what follows it. A store that returns more entries than
    /// requested does not split its listing into pages.
    pub(super) fn is_believed_unanswered(&self) -> bool {
        self.unanswered == Unanswered::Believed || self.lines > u64::from(PAGE_SIZE)
    }
}

/// What a page counts as if the store does not list what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Without an answer, the listing may be incomplete.
    Incomplete,
    /// Without an answer, the page is believed.
    Believed,
}

/// What follows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Next {
    /// Another page; [`super::Walk::query`] says which.
    Page,
    /// Nothing.
    Done,
}
