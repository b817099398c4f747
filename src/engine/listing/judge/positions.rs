//! Detects a listing that goes round in circles. Pure.

use crate::object::ListFrom;

/// Detects that a listing goes round in circles. It remembers one position at a time, and keeps each position twice as
/// long as the one before (Brent's algorithm).
#[derive(Debug, Default)]
pub(super) struct Positions {
    kept: Option<ListFrom>,
    age: u64,
    keep_for: u64,
}

impl Positions {
    /// Whether `position` was seen before. A circle is found within a few rounds.
    pub(super) fn repeats(&mut self, position: &ListFrom) -> bool {
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
