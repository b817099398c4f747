//! How many parts of one object are sent at the same time. Pure.
//!
//! Four at first. Each part that took about as long as the quickest one allows another part, up to the object's share of the task's
//! threads: the limit doubles from round to round, as in the slow start of TCP (RFC 5681, section 3.1). A part that took clearly
//! longer takes one back: parts that wait for each other only make a stop lose more (TCP Vegas, Brakmo and Peterson, 1995). A part
//! that a store has throttled was retried, so it took long, too.

use std::time::Duration;

/// Parts at the same time in any case.
pub(in crate::engine) const AT_LEAST: usize = 4;
/// Up to this multiple of the quickest time the limit grows.
const AS_FAST: f64 = 1.2;
/// From this multiple of the quickest time on, the limit falls.
const SLOWER: f64 = 1.5;

/// The limit for one object.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct PartsAtOnce {
    limit: usize,
    quickest: Option<Duration>,
}

impl PartsAtOnce {
    pub(in crate::engine) const fn new() -> Self {
        Self {
            limit: AT_LEAST,
            quickest: None,
        }
    }

    /// Parts at the same time, if the object's share of the threads is `share`.
    pub(in crate::engine) fn limit(&self, share: usize) -> usize {
        self.limit.min(share.max(AT_LEAST))
    }

    /// A part was sent in this time. All parts but the last have one size.
    pub(in crate::engine) fn finished(&mut self, took: Duration, share: usize) {
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        let limit = self.limit(share);
        self.limit = if took <= quickest.mul_f64(AS_FAST) {
            (limit + 1).min(share.max(AT_LEAST))
        } else if took > quickest.mul_f64(SLOWER) {
            (limit - 1).max(AT_LEAST)
        } else {
            limit
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit after parts that took these milliseconds.
    fn after(times: &[u64], share: usize) -> usize {
        let mut parts = PartsAtOnce::new();
        for time in times {
            parts.finished(Duration::from_millis(*time), share);
        }
        parts.limit(share)
    }

    #[test]
    fn the_limit_follows_how_long_parts_take() {
        for (name, times, share, wanted) in [
            ("nothing is known", &[][..], 20, 4),
            ("as quick as the first", &[100, 100, 120, 90], 20, 8),
            ("never above the share", &[100; 40], 20, 20),
            ("four, however small the share is", &[100; 40], 1, 4),
            ("neither quick nor slow", &[100, 121, 150, 140], 20, 5),
            ("slower", &[100, 100, 100, 151, 151], 20, 5),
            ("never below four", &[100, 300, 300, 300, 300, 300], 20, 4),
            ("quick again", &[100, 300, 100, 100], 20, 6),
        ] {
            assert_eq!(after(times, share), wanted, "{name}");
        }
    }

    #[test]
    fn a_smaller_share_counts_at_once() {
        let mut parts = PartsAtOnce::new();
        for _ in 0..40 {
            parts.finished(Duration::from_millis(1), 20);
        }
        assert_eq!((parts.limit(20), parts.limit(10), parts.limit(2)), (20, 10, 4));
        parts.finished(Duration::from_millis(1), 10);
        assert_eq!(parts.limit(20), 10);
    }
}
