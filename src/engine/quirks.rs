//! What a pass has found out about stores that differ from S3, so that it is found out once and not for each object.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::HeaderName;

/// Names of headers that are remembered at most.
const MAX_NAMES: usize = 100;

/// Habits of both sides, as far as a pass has met them.
#[derive(Debug, Default)]
pub struct Quirks {
    conditions: AtomicBool,
    copies: AtomicBool,
    headers: Mutex<HashSet<HeaderName>>,
}

impl Quirks {
    /// The source refuses `If-Match` with a tag that it gives itself.
    pub(super) fn note_broken_conditions(&self) {
        self.conditions.store(true, Ordering::Relaxed);
    }

    /// Whether the source is read without `If-Match`.
    pub(super) fn conditions_are_broken(&self) -> bool {
        self.conditions.load(Ordering::Relaxed)
    }

    /// The store does not copy inside itself, or copies wrongly.
    pub(super) fn note_unusable_copies(&self) {
        self.copies.store(true, Ordering::Relaxed);
    }

    /// Whether copies inside the store are of no use.
    pub(super) fn copies_are_unusable(&self) -> bool {
        self.copies.load(Ordering::Relaxed)
    }

    /// Remembers a header that nobody has decided about; tells whether it is new.
    pub(super) fn note_header(&self, name: &HeaderName) -> bool {
        let mut names = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        names.len() < MAX_NAMES && names.insert(name.clone())
    }
}
