//! How fast one stream of a task is, and what follows for objects that are sent in one piece. Pure, except for its memory.
//!
//! A stop loses all of an object that is sent in one piece, and at most one part of an object that is sent in parts. So an object
//! is sent in one piece only if that takes a few seconds. If it turns out to take longer, it is sent in parts instead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Transfers below this many bytes say more about the latency than about the speed.
const TELLING: u64 = 1 << 20;

/// The speed of one stream of a task.
#[derive(Debug, Default)]
pub struct StreamSpeed {
    /// Bytes per second; 0 if nothing is known.
    per_second: AtomicU64,
}

impl StreamSpeed {
    /// One stream has moved this many bytes in this time. Later streams count more than earlier ones.
    pub fn measured(&self, bytes: u64, took: Duration) {
        if bytes < TELLING {
            return;
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let now = bytes.saturating_mul(1_000_000) / micros;
        let before = self.per_second.load(Ordering::Relaxed);
        let mean = if before == 0 {
            now
        } else {
            before - before / 4 + now / 4
        };
        // If two streams end at once, one of the two measurements may be lost.
        self.per_second.store(mean.max(1), Ordering::Relaxed);
    }

    /// The largest object that one stream moves within `time`: at most `whole` bytes, and exactly so many if nothing is known.
    #[must_use]
    pub fn longest(&self, whole: u64, time: Duration) -> u64 {
        match self.per_second.load(Ordering::Relaxed) {
            0 => whole,
            speed => {
                let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                whole.min((speed / 1000).saturating_mul(millis))
            }
        }
    }
}

/// Whether a stream that has moved `moved` bytes in `took`, and has `left` more to move, will take more than `allowed` from now
/// on. Before that much time has passed, nothing can be said.
#[must_use]
pub fn is_too_slow(moved: u64, left: u64, took: Duration, allowed: Duration) -> bool {
    took >= allowed
        && u128::from(left).saturating_mul(took.as_nanos())
            > u128::from(moved).saturating_mul(allowed.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_longest_object_is_what_a_stream_moves_in_time() {
        let speed = StreamSpeed::default();
        let longest = || speed.longest(512 * MIB, 4 * SECOND) / MIB;
        assert_eq!(longest(), 512, "nothing is known");
        speed.measured(MIB - 1, 100 * SECOND);
        assert_eq!(longest(), 512, "small objects say nothing");
        speed.measured(100 * MIB, 10 * SECOND);
        assert_eq!(longest(), 39);
        speed.measured(500 * MIB, SECOND);
        assert_eq!(longest(), 512, "never more than asked for");
        for _ in 0..60 {
            speed.measured(8 * MIB, 2 * SECOND);
        }
        assert_eq!(longest(), 15, "it follows what is measured");
        speed.measured(u64::MAX, Duration::ZERO);
        assert_eq!(longest(), 512, "extreme values do not overflow");
    }

    #[test]
    fn a_stream_is_too_slow_if_the_rest_takes_longer_than_allowed() {
        for (name, moved, left, seconds, too_slow) in [
            ("too early to say", 0, 100, 3, false),
            ("nothing came", 0, 100, 4, true),
            ("half is left at the same speed", 100, 100, 4, false),
            ("a little more than half", 100, 101, 4, true),
            ("later, and fast enough", 1000, 100, 40, false),
            ("later, and too slow", 1000, 101, 40, true),
            ("at its end", 100, 0, 400, false),
            ("large numbers", u64::MAX, u64::MAX, 4, false),
        ] {
            assert_eq!(
                is_too_slow(moved, left, seconds * SECOND, 4 * SECOND),
                too_slow,
                "{name}"
            );
        }
    }
}
