//! What a pass has found out about stores that differ from S3. It is found out once and not for each object.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::HeaderName;

/// Maximum number of header names that are remembered.
const MAX_NAMES: usize = 100;

/// Deviations of both sides that the pass has seen.
#[derive(Debug, Default)]
pub struct Quirks {
    conditions: AtomicBool,
    copies: AtomicBool,
    headers: Mutex<HashSet<HeaderName>>,
}

impl Quirks {
    /// The source refuses `If-Match` with an ETag that it gave itself.
    pub(super) fn note_broken_conditions(&self) {
        self.conditions.store(true, Ordering::Relaxed);
    }

    /// Whether the source is read without `If-Match`.
    pub(super) fn conditions_are_broken(&self) -> bool {
        self.conditions.load(Ordering::Relaxed)
    }

    /// The store does not copy objects internally, or copies them wrongly.
    pub(super) fn note_unusable_copies(&self) {
        self.copies.store(true, Ordering::Relaxed);
    }

    /// Whether copies inside the store cannot be used.
    pub(super) fn copies_are_unusable(&self) -> bool {
        self.copies.load(Ordering::Relaxed)
    }

    /// Remembers a header for which there is no rule. Returns whether it is new.
    pub(super) fn note_header(&self, name: &HeaderName) -> bool {
        let mut names = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        names.len() < MAX_NAMES && names.insert(name.clone())
    }
}
