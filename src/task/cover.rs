//! Which names a set of prefixes covers, found by searching instead of by trying each prefix.

use super::key::Key;

/// Prefixes none of which begins with another, in byte order.
///
/// A name that begins with one of them sorts behind it, and no other of them lies between the two: it would begin with the
/// first. So one look at the last prefix that is not behind a name tells whether the name is covered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cover<K = Key>(Vec<K>);

impl<K: Ord + AsRef<[u8]>> Cover<K> {
    /// Drops the prefixes that another one covers. Sorts once, and compares neighbours.
    pub(super) fn new(mut prefixes: Vec<K>) -> Self {
        prefixes.sort();
        prefixes.dedup_by(|next, kept| next.as_ref().starts_with(kept.as_ref()));
        Self(prefixes)
    }

    /// Whether a name begins with one of the prefixes.
    pub(super) fn covers(&self, name: &K) -> bool {
        let behind = self.0.partition_point(|prefix| prefix <= name);
        behind
            .checked_sub(1)
            .and_then(|last| self.0.get(last))
            .is_some_and(|prefix| name.as_ref().starts_with(prefix.as_ref()))
    }

    /// Whether one of the prefixes begins with a name.
    pub(super) fn reaches_below(&self, name: &K) -> bool {
        first_below(&self.0, name)
    }

    /// The prefixes.
    pub(super) fn into_prefixes(self) -> Vec<K> {
        self.0
    }

    /// The prefixes.
    pub(super) fn prefixes(&self) -> &[K] {
        &self.0
    }
}

/// Whether one of the sorted names begins with `start`: if any does, the first that is not before it does.
pub(super) fn first_below<K: Ord + AsRef<[u8]>>(sorted: &[K], start: &K) -> bool {
    let first = sorted.partition_point(|name| name < start);
    sorted
        .get(first)
        .is_some_and(|name| name.as_ref().starts_with(start.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    /// A name that counts how often its bytes are looked at.
    #[derive(Clone, Debug, PartialEq, Eq)]
    struct CountingName(String);

    fn look() {
        LOOKS.with(|looks| looks.set(looks.get() + 1));
    }

    impl PartialOrd for CountingName {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for CountingName {
        fn cmp(&self, other: &Self) -> Ordering {
            look();
            self.0.cmp(&other.0)
        }
    }

    impl AsRef<[u8]> for CountingName {
        fn as_ref(&self) -> &[u8] {
            look();
            self.0.as_bytes()
        }
    }

    #[test]
    fn ten_thousand_names_take_some_hundred_thousand_looks() {
        let names = |format: fn(usize) -> String| -> Vec<CountingName> {
            // In an order that no sort likes in particular.
            (0..10_000_usize)
                .map(|n| CountingName(format(n * 7_919 % 10_000)))
                .collect()
        };
        let cover = Cover::new(names(|n| format!("dir-{n:05}/")));
        assert_eq!(cover.prefixes().len(), 10_000);
        for name in names(|n| format!("dir-{n:05}/file")) {
            assert!(cover.covers(&name));
        }
        for name in names(|n| format!("file-{n:05}")) {
            assert!(!cover.covers(&name) && !cover.reaches_below(&name));
        }
        let looks = LOOKS.with(Cell::get);
        // 10,000 names, each compared about 14 times in each of four passes; every pair would be 100,000,000.
        assert!(looks > 100_000 && looks < 1_500_000, "{looks}");
    }

    proptest! {
        #[test]
        fn it_covers_what_the_prefixes_cover_one_by_one(
            prefixes in prop::collection::vec("[ab/]{0,4}", 0..9),
            name in "[ab/]{0,5}",
        ) {
            let keys: Vec<Key> = prefixes.iter().map(|prefix| Key::from(prefix.as_str())).collect();
            let cover = Cover::new(keys);
            let found = cover.covers(&Key::from(name.as_str()));
            prop_assert_eq!(found, prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())));
            let below = cover.reaches_below(&Key::from(name.as_str()));
            let kept = cover.prefixes().iter().any(|prefix| prefix.as_bytes().starts_with(name.as_bytes()));
            prop_assert_eq!(below, kept);
        }
    }
}
