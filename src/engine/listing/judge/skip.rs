//! What a listing that starts again from the first key leaves out. Pure.

use super::line_order::LineOrder;
use crate::object::{ListingEntry, PAGE_SIZE};
use crate::task::Key;

/// What a listing from the first key on leaves out: everything up to a key that was listed before.
#[derive(Debug)]
pub(super) struct ReplaySkip {
    pub(super) until: Key,
    /// Entries that are after the key in one order and before it in the other. Later keys may show which order the
    /// store has.
    pub(super) held: Vec<ListingEntry>,
}

impl ReplaySkip {
    /// Leaves out what was passed on before. Returns whether everything from here on is new.
    pub(super) fn leave_out(&mut self, piece: &mut Vec<ListingEntry>, order: &LineOrder) -> bool {
        let mut new = Vec::new();
        let mut rest = std::mem::take(piece).into_iter();
        let mut passed = false;
        for line in rest.by_ref() {
            if line.key == self.until {
                self.held.clear();
                passed = true;
                break;
            }
            // In a listing without an order, only the key itself shows where the new part begins.
            if order.is_broken() || !order.behind(&self.until, &line.key) {
                continue;
            }
            if order.surely_behind(&self.until, &line.key) {
                new = self.held_behind(order);
                new.push(line);
                passed = true;
                break;
            }
            if self.held.len() < PAGE_SIZE as usize {
                self.held.push(line);
            } else {
                // It is better to look at an entry twice than never.
                new.push(line);
            }
        }
        new.extend(rest);
        *piece = new;
        passed
    }

    /// The held entries that may be after the key.
    pub(super) fn held_behind(&mut self, order: &LineOrder) -> Vec<ListingEntry> {
        let mut held = std::mem::take(&mut self.held);
        held.retain(|line| order.behind(&self.until, &line.key));
        held
    }
}
