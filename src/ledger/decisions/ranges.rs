//! With which ranges a new pass begins.

use crate::task::Key;

/// Most ranges of one prefix at the beginning of a pass.
pub(in crate::ledger) const AT_MOST: i64 = 16;
/// Fewest objects of a range at the beginning of a pass. A smaller range is not worth the extra requests that it costs.
pub(in crate::ledger) const FEWEST: i64 = 5_000;

/// A range of the pass before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct EarlierRange {
    /// The key after which it began.
    pub start_after: Option<Key>,
    /// Its last key.
    pub until: Option<Key>,
    /// How many objects it listed.
    pub listed: i64,
}

/// The keys at which a new pass cuts a prefix. They are ends of ranges of the pass before, chosen so that each new range has
/// about the same number of objects. The order of the listing need not be known, because each earlier range begins where
/// another one ended. If the earlier ranges do not form such a chain, there are no cuts.
pub(in crate::ledger) fn cuts(mut earlier: Vec<EarlierRange>) -> Vec<Key> {
    let total: i64 = earlier.iter().map(|range| range.listed).sum();
    let size = (total / AT_MOST).max(FEWEST);
    let mut cuts = Vec::new();
    let mut after: Option<Key> = None;
    let (mut gathered, mut rest) = (0, total);
    loop {
        let Some(next) = earlier.iter().position(|range| range.start_after == after) else {
            return Vec::new();
        };
        let range = earlier.swap_remove(next);
        gathered += range.listed;
        rest -= range.listed;
        let Some(until) = range.until else {
            return if earlier.is_empty() { cuts } else { Vec::new() };
        };
        if gathered >= size && rest >= size / 2 {
            cuts.push(until.clone());
            gathered = 0;
        }
        after = Some(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(rows: &[(&str, i64)]) -> Vec<EarlierRange> {
        let mut start_after = None;
        let mut ranges = Vec::new();
        for (until, listed) in rows {
            let until = (!until.is_empty()).then(|| Key::from(*until));
            ranges.push(EarlierRange {
                start_after: std::mem::replace(&mut start_after, until.clone()),
                until,
                listed: *listed,
            });
        }
        ranges
    }

    fn named(ranges: Vec<EarlierRange>) -> Vec<String> {
        cuts(ranges).iter().map(|key| key.lossy().into_owned()).collect()
    }

    #[test]
    fn ranges_of_the_pass_before_become_even() {
        let even = chain(&[("b", 6_000), ("c", 6_000), ("", 6_000)]);
        for (name, ranges, wanted) in [
            ("one range", chain(&[("", 1_000_000)]), &[][..]),
            ("even ranges stay", even.clone(), &["b", "c"]),
            (
                "small neighbours are joined",
                chain(&[("b", 10), ("c", 4_980), ("d", 30), ("e", 5_000), ("", 9_000)]),
                &["d", "e"],
            ),
            (
                "a small last range is joined",
                chain(&[("b", 9_000), ("", 2_000)]),
                &[],
            ),
            ("small ones altogether", chain(&[("b", 2_000), ("", 2_000)]), &[]),
            ("none", Vec::new(), &[]),
            ("out of order", even.iter().rev().cloned().collect(), &["b", "c"]),
            ("a gap", vec![even[0].clone(), even[2].clone()], &[]),
            (
                "two that overlap",
                even.iter().chain(&even[2..]).cloned().collect(),
                &[],
            ),
        ] {
            assert_eq!(named(ranges), wanted, "{name}");
        }
    }

    #[test]
    fn a_pass_begins_with_a_bounded_number_of_ranges() {
        let rows: Vec<(String, i64)> = (0..500).map(|n| (format!("{n:03}"), 1_000_000)).collect();
        let mut rows: Vec<(&str, i64)> = rows.iter().map(|(key, listed)| (key.as_str(), *listed)).collect();
        rows.push(("", 1));
        let cuts = named(chain(&rows));
        assert!(
            cuts.len() < usize::try_from(AT_MOST).unwrap() && cuts.len() > 12,
            "{cuts:?}"
        );
    }
}
