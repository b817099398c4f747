//! In which order stores list: compares keys and recognizes the order. Pure.
//!
//! AWS and most other stores list bytewise. SeaweedFS and file-backed servers list folder by folder, which is the same as
//! comparing bytes with `/` before every other byte. A merge of two listings needs both in the same order. So each page is
//! checked against the order that the store is believed to have.

use std::cmp::Ordering;

/// An order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By bytes.
    Bytes,
    /// By bytes, `/` first: folder by folder.
    Path,
}

impl Order {
    /// Compares two keys.
    #[must_use]
    pub fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Self::Bytes => a.cmp(b),
            Self::Path => {
                let Some(at) = a.iter().zip(b).position(|(x, y)| x != y) else {
                    return a.len().cmp(&b.len());
                };
                let rank = |byte: u8| if byte == b'/' { (0, 0) } else { (1, byte) };
                rank(a[at]).cmp(&rank(b[at]))
            }
        }
    }
}

/// The orders that a listing may have, as far as its keys have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    /// By bytes.
    pub bytes: bool,
    /// By path.
    pub path: bool,
}

impl Orders {
    /// Only by bytes.
    pub const BYTES: Self = Self {
        bytes: true,
        path: false,
    };
    /// Only by path.
    pub const PATH: Self = Self {
        bytes: false,
        path: true,
    };
    /// Any of the two.
    pub const ANY: Self = Self {
        bytes: true,
        path: true,
    };

    /// The orders that are possible.
    pub fn each(self) -> impl Iterator<Item = Order> {
        [(Order::Bytes, self.bytes), (Order::Path, self.path)]
            .into_iter()
            .filter_map(|(order, possible)| possible.then_some(order))
    }

    /// Whether `key` is after `before` in at least one possible order.
    #[must_use]
    pub fn may_follow(self, before: &[u8], key: &[u8]) -> bool {
        self.each()
            .any(|order| order.compare(before, key) == Ordering::Less)
    }

    /// Whether `key` is after `before` in each possible order, and there is one.
    #[must_use]
    pub fn surely_follows(self, before: &[u8], key: &[u8]) -> bool {
        (self.bytes || self.path)
            && self
                .each()
                .all(|order| order.compare(before, key) == Ordering::Less)
    }
}

/// Watches a sequence of keys and tracks which orders it is still consistent with.
#[derive(Clone, Debug)]
pub struct OrderWatch {
    bytes: Consistent,
    path: Consistent,
    last: Vec<u8>,
    seen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consistent {
    Yes,
    No,
}

/// How a key relates to the keys before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// After them in at least one known order.
    Ascends,
    /// The same key as the last one.
    Repeats,
    /// In no known order: the listing cannot be resumed after a key.
    Unordered,
}

impl Default for OrderWatch {
    fn default() -> Self {
        Self {
            bytes: Consistent::Yes,
            path: Consistent::Yes,
            last: Vec::new(),
            seen: 0,
        }
    }
}

impl OrderWatch {
    /// Records the next key.
    pub fn next(&mut self, key: &[u8]) -> Step {
        if self.seen > 0 {
            if key == self.last {
                return Step::Repeats;
            }
            for (order, state) in [(Order::Bytes, &mut self.bytes), (Order::Path, &mut self.path)] {
                if order.compare(&self.last, key) != Ordering::Less {
                    *state = Consistent::No;
                }
            }
        }
        self.seen += 1;
        self.last.clear();
        self.last.extend_from_slice(key);
        if self.bytes == Consistent::No && self.path == Consistent::No {
            Step::Unordered
        } else {
            Step::Ascends
        }
    }

    /// Whether all keys so far ascend in `order`.
    #[must_use]
    pub fn fits(&self, order: Order) -> bool {
        match order {
            Order::Bytes => self.bytes == Consistent::Yes,
            Order::Path => self.path == Consistent::Yes,
        }
    }

    /// The orders that fit all keys so far.
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders {
            bytes: self.fits(Order::Bytes),
            path: self.fits(Order::Path),
        }
    }

    /// The order of the written keys `a!` and `a/1` in a listing; `None` if it is neither of the two.
    #[must_use]
    pub fn of_listing<'a>(keys: impl IntoIterator<Item = &'a [u8]>) -> Option<Order> {
        let mut watch = Self::default();
        for key in keys {
            watch.next(key);
        }
        [Order::Bytes, Order::Path]
            .into_iter()
            .find(|order| watch.fits(*order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folders_come_first_by_path() {
        assert_eq!(Order::Path.compare(b"a/1", b"a!"), Ordering::Less);
        assert_eq!(Order::Bytes.compare(b"a/1", b"a!"), Ordering::Greater);
        assert_eq!(Order::Path.compare(b"a/b/3", b"a/b-"), Ordering::Less);
        assert_eq!(Order::Path.compare(b"a", b"a/"), Ordering::Less);
        assert_eq!(Order::Path.compare(b"a\0", b"a/"), Ordering::Greater);
    }

    #[test]
    fn orders_are_recognised() {
        let of = |keys: &[&str]| OrderWatch::of_listing(keys.iter().map(|k| k.as_bytes()));
        assert_eq!(of(&["a!", "a/1"]), Some(Order::Bytes));
        assert_eq!(of(&["a/1", "a!"]), Some(Order::Path));
        assert_eq!(of(&["b", "a"]), None);
    }

    #[test]
    fn repeats_and_disorder_are_told_apart() {
        let mut watch = OrderWatch::default();
        let steps: Vec<Step> = ["a", "a", "b", "a"]
            .iter()
            .map(|k| watch.next(k.as_bytes()))
            .collect();
        assert_eq!(
            steps,
            [Step::Ascends, Step::Repeats, Step::Ascends, Step::Unordered]
        );
    }

    proptest! {
        #[test]
        fn both_are_total_orders_that_a_common_prefix_does_not_change(
            a in proptest::collection::vec(any::<u8>(), 0..6),
            b in proptest::collection::vec(any::<u8>(), 0..6),
            prefix in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            for order in [Order::Bytes, Order::Path] {
                prop_assert_eq!(order.compare(&a, &b), order.compare(&b, &a).reverse());
                prop_assert_eq!(order.compare(&a, &b) == Ordering::Equal, a == b);
                let with = |k: &[u8]| [prefix.as_slice(), k].concat();
                prop_assert_eq!(order.compare(&with(&a), &with(&b)), order.compare(&a, &b));
            }
        }

        #[test]
        fn a_sorted_listing_is_never_called_unordered(mut keys in proptest::collection::btree_set("[a/!-]{0,5}", 1..30)
            .prop_map(|set| set.into_iter().collect::<Vec<_>>())) {
            keys.sort_by(|a, b| Order::Path.compare(a.as_bytes(), b.as_bytes()));
            let mut watch = OrderWatch::default();
            for key in &keys {
                prop_assert_eq!(watch.next(key.as_bytes()), Step::Ascends);
            }
            prop_assert!(watch.fits(Order::Path));
        }
    }
}
