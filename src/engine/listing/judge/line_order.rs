//! Which orders a listing may have, learned from its keys. Pure.

use std::cmp::Ordering;

use crate::engine::order::Order;
use crate::task::Key;

/// Which orders the keys within the pages of a listing may have.
#[derive(Debug, Default)]
pub(super) struct LineOrder {
    bytes_broken: bool,
    path_broken: bool,
}

impl LineOrder {
    pub(super) fn note(&mut self, before: &[u8], key: &[u8]) {
        self.bytes_broken |= before > key;
        if !self.path_broken {
            self.path_broken = Order::Path.compare(before, key) == Ordering::Greater;
        }
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.bytes_broken && self.path_broken
    }

    /// The orders that the listing may have. Both, if the keys fit neither.
    pub(super) fn orders(&self) -> impl Iterator<Item = Order> {
        let bytes = !self.bytes_broken || self.is_broken();
        let path = !self.path_broken || self.is_broken();
        [(Order::Bytes, bytes), (Order::Path, path)]
            .into_iter()
            .filter_map(|(order, fits)| fits.then_some(order))
    }

    /// Whether `key` is after `last` in at least one of these orders.
    pub(super) fn behind(&self, last: &Key, key: &Key) -> bool {
        self.orders()
            .any(|order| order.compare(last.as_bytes(), key.as_bytes()) == Ordering::Less)
    }

    /// Whether `key` is after `last` in all of these orders.
    pub(super) fn surely_behind(&self, last: &Key, key: &Key) -> bool {
        self.orders()
            .all(|order| order.compare(last.as_bytes(), key.as_bytes()) == Ordering::Less)
    }
}
