//! The bandwidth limit of a task. [`crate::engine::concurrency`] decides how many transfers run at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use crate::engine::concurrency::{Streams, TaskStreams};

/// How far a transfer may run ahead of its rate, so that one frame of a body does not delay the next for long.
const BURST: Duration = Duration::from_millis(250);

/// Bytes per second for one task, changeable while it runs.
#[derive(Debug)]
pub struct Throttle(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    rate: Option<u64>,
    /// The moment until which the rate is already used up.
    spent_until: Option<Instant>,
}

impl Throttle {
    /// Starts with a rate in bytes per second; `None` is unlimited.
    #[must_use]
    pub const fn new(rate: Option<u64>) -> Self {
        Self(Mutex::new(Bucket {
            rate,
            spent_until: None,
        }))
    }

    /// Changes the rate. Bytes that were spent ahead of the old rate are paid for under the new one: a worker's share of a limit
    /// changes every second, and must not begin each time with a burst.
    pub fn set(&self, rate: Option<u64>) {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.rate == rate {
            return;
        }
        let now = Instant::now();
        bucket.spent_until = match (bucket.rate, rate, bucket.spent_until) {
            (Some(old), Some(new), Some(until)) if until > now => {
                let bytes = until.duration_since(now).as_secs_f64() * as_rate(old);
                Some(now + Duration::from_secs_f64(bytes / as_rate(new)))
            }
            (Some(_), Some(_), until) => until,
            (None, _, _) | (_, None, _) => None,
        };
        bucket.rate = rate;
    }

    /// Spends `bytes` at `now` and returns how long to wait before the next bytes.
    pub fn spend(&self, bytes: usize, now: Instant) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = bucket.rate else {
            return Duration::ZERO;
        };
        #[expect(clippy::cast_precision_loss, reason = "no body has so many bytes")]
        let cost = Duration::from_secs_f64(bytes as f64 / as_rate(rate));
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let from = bucket.spent_until.map_or(earliest, |spent| spent.max(earliest));
        let until = from + cost;
        bucket.spent_until = Some(until);
        until.saturating_duration_since(now)
    }

    /// How long the bytes spent so far still take.
    pub fn remaining_wait(&self, now: Instant) -> Duration {
        let bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bucket
            .spent_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

/// Bytes per second, at least one.
#[expect(clippy::cast_precision_loss, reason = "a rate needs no 53rd bit")]
fn as_rate(rate: u64) -> f64 {
    rate.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_over_time() {
        let throttle = Throttle::new(Some(1000));
        let start = Instant::now();
        let mut now = start;
        for _ in 0..40 {
            now += throttle.spend(100, now);
        }
        let took = now - start;
        assert!(
            took >= Duration::from_millis(3700) && took <= Duration::from_millis(4000),
            "{took:?}"
        );
    }

    #[test]
    fn a_pause_does_not_save_up_more_than_a_burst() {
        let throttle = Throttle::new(Some(1000));
        let start = Instant::now();
        throttle.spend(100, start);
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.spend(250, later), Duration::ZERO);
        assert_eq!(throttle.spend(100, later), Duration::from_millis(100));
    }

    #[test]
    fn what_was_spent_is_paid_for_under_the_next_rate() {
        let throttle = Throttle::new(Some(1_000));
        let now = Instant::now();
        // A burst of 250 bytes, and 10,000 that are owed.
        throttle.spend(10_250, now);
        for (rate, seconds) in [(2_000, 5), (500, 20), (1_000, 10)] {
            throttle.set(Some(rate));
            let owed = throttle.remaining_wait(Instant::now());
            let wanted = Duration::from_secs(seconds);
            // The clock runs between the calls.
            assert!(owed <= wanted && owed > wanted * 9 / 10, "{rate}: {owed:?}");
        }
    }

    #[test]
    fn the_rate_changes_at_once() {
        let throttle = Throttle::new(Some(1));
        let now = Instant::now();
        assert!(throttle.spend(100, now) > Duration::from_secs(90));
        assert!(throttle.remaining_wait(now) > Duration::from_secs(90));
        throttle.set(None);
        assert_eq!(throttle.remaining_wait(now), Duration::ZERO);
        assert_eq!(throttle.spend(1 << 30, now), Duration::ZERO);
        throttle.set(Some(1000));
        assert!(throttle.spend(1000, now) <= Duration::from_secs(1));
    }
}
