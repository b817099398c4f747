//! How slow the other side of a request or response may be. Pure: time is an argument.
//!
//! Only time in which this process waits for the other side counts. If nobody asks a body for bytes, because of a
//! bandwidth limit or because the other side of the copy is slow, that time does not count. The numbers are those of
//! [`super::s3::Timeouts`].

use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// The minimum rate of a transfer, on average, after its grace is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumRate {
    /// Bytes for each second of waiting. 0 means no minimum.
    pub bytes_per_second: u32,
    /// How much waiting is free: at the start, and the most that fast bytes can earn back.
    pub grace: Duration,
}

impl MinimumRate {
    /// How much waiting these bytes earn back.
    fn earned(self, bytes: u64) -> Duration {
        match self.bytes_per_second {
            0 => self.grace,
            rate => {
                let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate);
                Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
            }
        }
    }
}

/// The limits of one transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest single wait.
    pub stall: Duration,
    /// Minimum rate while waiting.
    pub rate: MinimumRate,
    /// Longest total wait; `None` if the rate and the length limit it.
    pub longest: Option<Duration>,
}

/// Checks the waits of one transfer.
///
/// A wait uses up grace, and each byte earns some back. So a body that only drips is ended after the grace. A body at
/// the minimum rate or faster is never ended.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    limits: Limits,
    /// What is left of the grace.
    left: Duration,
    waited: Duration,
}

impl Meter {
    /// A meter that has seen nothing yet.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            left: limits.rate.grace,
            waited: Duration::ZERO,
        }
    }

    /// How long the next wait may last.
    #[must_use]
    pub fn allowed(&self) -> Duration {
        let mut allowed = self.limits.stall;
        if self.limits.rate.bytes_per_second > 0 {
            allowed = allowed.min(self.left);
        }
        if let Some(longest) = self.limits.longest {
            allowed = allowed.min(longest.saturating_sub(self.waited));
        }
        allowed
    }

    /// Records a wait that is over.
    pub fn waited(&mut self, wait: Duration) {
        self.left = self.left.saturating_sub(wait);
        self.waited = self.waited.saturating_add(wait);
    }

    /// Records bytes that were received or sent.
    pub fn moved(&mut self, bytes: u64) {
        let left = self.left.saturating_add(self.limits.rate.earned(bytes));
        self.left = left.min(self.limits.rate.grace);
    }

    /// The error for a wait that lasted longer than allowed. `what` names what was waited for.
    #[must_use]
    pub fn ended(&self, what: &str) -> Error {
        let Limits { stall, rate, longest } = self.limits;
        let allowed = self.allowed();
        let text = if longest.is_some_and(|longest| allowed == longest.saturating_sub(self.waited)) {
            let seconds = longest.unwrap_or_default().as_secs();
            format!("{what}: not complete after {seconds} s")
        } else if allowed < stall {
            let (least, grace) = (rate.bytes_per_second, rate.grace.as_secs());
            format!("{what}: slower than {least} bytes a second for {grace} s")
        } else {
            format!("{what}: nothing for {} s", stall.as_secs())
        };
        Error::new(ErrorKind::Timeout, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits {
        stall: Duration::from_secs(60),
        rate: MinimumRate {
            bytes_per_second: 512,
            grace: Duration::from_secs(60),
        },
        longest: None,
    };

    /// After how many waits of `wait`, each of which brings `bytes`, the transfer is ended; `None` if it never is.
    fn ended_after(limits: Limits, wait: Duration, bytes: u64) -> Option<u32> {
        let mut meter = Meter::new(limits);
        for waits in 1..=100_000 {
            if wait > meter.allowed() {
                return Some(waits);
            }
            meter.waited(wait);
            meter.moved(bytes);
        }
        None
    }

    #[test]
    fn a_drip_is_ended_and_a_slow_link_is_not() {
        for (wait, bytes, ended) in [
            // A byte every five seconds, and every second.
            (5 * SECOND, 1, Some(13)),
            (SECOND, 1, Some(61)),
            // At half the rate it lasts twice the grace.
            (SECOND, 256, Some(120)),
            // The rate itself, in large and small steps.
            (SECOND, 512, None),
            (50 * SECOND, 50 * 512, None),
            (SECOND / 10, 52, None),
            // A single long wait.
            (61 * SECOND, 1 << 30, Some(1)),
        ] {
            assert_eq!(ended_after(LIMITS, wait, bytes), ended, "{wait:?} {bytes}");
        }
    }

    #[test]
    fn fast_bytes_earn_no_more_than_the_grace() {
        let mut meter = Meter::new(LIMITS);
        meter.moved(1 << 40);
        meter.waited(30 * SECOND);
        assert_eq!(meter.allowed(), 30 * SECOND);
        meter.moved(512);
        assert_eq!(meter.allowed(), 31 * SECOND);
    }

    #[test]
    fn an_exchange_with_an_end_is_ended_there_however_fast_it_is() {
        let longest = Some(300 * SECOND);
        let limits = Limits { longest, ..LIMITS };
        assert_eq!(ended_after(limits, SECOND, 1 << 20), Some(301));
        let work = Limits {
            rate: MinimumRate {
                bytes_per_second: 0,
                ..LIMITS.rate
            },
            ..limits
        };
        // A store that is still working sends a byte from time to time.
        assert_eq!(ended_after(work, 30 * SECOND, 1), Some(11));
    }

    #[test]
    fn the_error_says_which_limit_it_was() {
        let message = |meter: &Meter| meter.ended("the store's answer").message().to_owned();
        let fresh = Meter::new(LIMITS);
        assert_eq!(message(&fresh), "the store's answer: nothing for 60 s");
        let mut slow = fresh;
        slow.waited(SECOND);
        let wanted = "the store's answer: slower than 512 bytes a second for 60 s";
        assert_eq!(message(&slow), wanted);
        let longest = Some(20 * SECOND);
        let late = Meter::new(Limits { longest, ..LIMITS });
        assert_eq!(message(&late), "the store's answer: not complete after 20 s");
    }
}
