//! Whether a listing goes round in circles: pure.

use crate::object::ListFrom;

/// Finds out that a listing goes round in circles, by remembering one position at a time and for twice as long each time
/// (Brent). Pure.
#[derive(Debug, Default)]
pub(super) struct Positions {
    kept: Option<ListFrom>,
    age: u64,
    keep_for: u64,
}

impl Positions {
    /// Whether `position` was seen before; a circle is found within a few rounds.
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
