//! What is known of a page of a listing while it is read, and what is asked about it.

use crate::task::Key;

/// What is known of the page that is being read.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Its entries.
    pub(super) lines: u64,
    /// Those that were given.
    pub(super) fresh: u64,
    /// Entries that were given or left out.
    pub(super) settled: u64,
    /// Its first key.
    pub(super) first: Option<Key>,
    /// The last key before it, and the keys that came last.
    pub(super) before: Option<Key>,
    pub(super) recent: Vec<Key>,
    /// Whether a part of it was left out because it was given before a resume.
    pub(super) skips: bool,
    /// Its last key so far.
    pub(super) last: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tokens {
    Trusted,
    Doubted,
}

/// Why a page that says that it is the last one is not believed, and how large it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) lines: u64,
    pub(super) need: Need,
    /// Its `IsTruncated`.
    pub(super) truncated: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Without an answer the listing may be incomplete.
    Proof,
    /// Without an answer the page is believed.
    Look,
}

/// What follows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Next {
    /// Another page: [`super::Walk::query`] says which.
    Page,
    /// Nothing.
    Done,
}
