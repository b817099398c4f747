//! Bytes on the wire, for the speed that people see.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The speed is an average over this long, as in OMS.
const WINDOW: Duration = Duration::from_secs(5);

/// Counts the bytes that a task has moved since it was taken up.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    samples: Mutex<VecDeque<(Instant, u64)>>,
}

impl Progress {
    /// Adds bytes that were read from the source and handed to the target.
    pub fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes per second over the last five seconds.
    pub fn speed(&self, now: Instant) -> i64 {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        while samples.len() > 1
            && samples
                .get(1)
                .is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        {
            samples.pop_front();
        }
        samples.push_back((now, bytes));
        let Some((since, before)) = samples.front().copied() else {
            return 0;
        };
        let millis = now.duration_since(since).as_millis().max(1);
        let per_second = u128::from(bytes.saturating_sub(before)) * 1000 / millis;
        if now == since {
            0
        } else {
            i64::try_from(per_second).unwrap_or(i64::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_an_average_over_the_window() {
        let progress = Progress::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(progress.speed(start), 0);
        progress.add(1000);
        assert_eq!(progress.speed(at(1)), 1000);
        for second in 2..=10 {
            progress.add(100);
            progress.speed(at(second));
        }
        assert_eq!(progress.speed(at(10)), 100);
        assert_eq!(progress.speed(at(30)), 0);
    }
}
