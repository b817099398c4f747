//! Which orders a listing may have, learned from its keys. Pure.

use std::cmp::Ordering;

use crate::engine::order::{Order, Orders};
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
    pub(super) const fn orders(&self) -> Orders {
        Orders {
            bytes: !self.bytes_broken || self.is_broken(),
            path: !self.path_broken || self.is_broken(),
        }
    }

    /// Whether `key` is after `last` in at least one of these orders.
    pub(super) fn behind(&self, last: &Key, key: &Key) -> bool {
        self.orders().may_follow(last.as_bytes(), key.as_bytes())
    }

    /// Whether `key` is after `last` in all of these orders.
    pub(super) fn surely_behind(&self, last: &Key, key: &Key) -> bool {
        self.orders().surely_follows(last.as_bytes(), key.as_bytes())
    }
}
