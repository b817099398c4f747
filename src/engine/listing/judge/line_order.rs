//! Which orders a listing may have, learnt from its keys: pure.

use std::cmp::Ordering;

use crate::engine::order::Order;
use crate::task::Key;

/// Which orders the pages of a listing have inside.
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

    /// The orders that it may have; both where it has none that is known.
    pub(super) fn orders(&self) -> impl Iterator<Item = Order> {
        let bytes = !self.bytes_broken || self.is_broken();
        let path = !self.path_broken || self.is_broken();
        [(Order::Bytes, bytes), (Order::Path, path)]
            .into_iter()
            .filter_map(|(order, fits)| fits.then_some(order))
    }

    /// Whether `key` is behind `last` in at least one of them.
    pub(super) fn behind(&self, last: &Key, key: &Key) -> bool {
        self.orders()
            .any(|order| order.compare(last.as_bytes(), key.as_bytes()) == Ordering::Less)
    }

    /// Whether it is in all of them.
    pub(super) fn surely_behind(&self, last: &Key, key: &Key) -> bool {
        self.orders()
            .all(|order| order.compare(last.as_bytes(), key.as_bytes()) == Ordering::Less)
    }
}
