//! Bandwidth windows: how fast a task may go at which time of the day.

use crate::error::{Error, Result};

const DAY: u16 = 24 * 60;

/// One window of the day with a limit. Both ends belong to the window; a start later than the end means the window
/// goes over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthWindow {
    /// First minute, counted from midnight.
    pub start: u16,
    /// Last minute, counted from midnight; included.
    pub end: u16,
    /// Limit in bytes per second.
    pub max_bytes_per_second: u64,
}

impl BandwidthWindow {
    /// Whether `minute` of the day lies in the window.
    #[must_use]
    pub const fn contains(&self, minute: u16) -> bool {
        if self.start <= self.end {
            self.start <= minute && minute <= self.end
        } else {
            minute >= self.start || minute <= self.end
        }
    }
}

/// Up to five windows that do not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BandwidthPolicy(Vec<BandwidthWindow>);

impl BandwidthPolicy {
    /// The most windows a policy may have.
    pub const MAX_WINDOWS: usize = 5;

    /// Checks number, times and overlap.
    ///
    /// # Errors
    /// OMS.0083 for too many windows, OMS.0087 for a time outside the day, OMS.0085 for windows that overlap.
    pub fn new(windows: Vec<BandwidthWindow>) -> Result<Self> {
        if windows.len() > Self::MAX_WINDOWS {
            let text = format!("bandwidth_policy must have at most {} windows", Self::MAX_WINDOWS);
            return Err(Error::invalid(text).with_code("OMS.0083"));
        }
        if let Some(index) = windows.iter().position(|w| w.start >= DAY || w.end >= DAY) {
            let text = format!("bandwidth_policy[{index}]: start and end must lie between 00:00 and 23:59");
            return Err(Error::invalid(text).with_code("OMS.0087"));
        }
        for (index, window) in windows.iter().enumerate() {
            let overlaps =
                |other: &BandwidthWindow| other.contains(window.start) || window.contains(other.start);
            if let Some(other) = windows[..index].iter().position(overlaps) {
                let text = format!("bandwidth_policy[{index}] overlaps bandwidth_policy[{other}]");
                return Err(Error::invalid(text).with_code("OMS.0085"));
            }
        }
        Ok(Self(windows))
    }

    /// The windows.
    #[must_use]
    pub fn windows(&self) -> &[BandwidthWindow] {
        &self.0
    }

    /// The limit at `minute` of the day in bytes per second; `None` outside all windows: unlimited.
    #[must_use]
    pub fn limit_at(&self, minute: u16) -> Option<u64> {
        self.0
            .iter()
            .find(|w| w.contains(minute))
            .map(|w| w.max_bytes_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(start: u16, end: u16) -> BandwidthWindow {
        BandwidthWindow {
            start,
            end,
            max_bytes_per_second: 1,
        }
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let night = window(22 * 60, 5 * 60 + 59);
        assert!(night.contains(22 * 60) && night.contains(0) && night.contains(359));
        assert!(!night.contains(360) && !night.contains(22 * 60 - 1));
    }

    #[test]
    fn overlaps_are_found_over_midnight_too() {
        for (a, b) in [
            ((0, 10), (10, 20)),
            ((1300, 100), (50, 60)),
            ((50, 60), (1300, 100)),
            ((5, 5), (5, 5)),
        ] {
            let policy = BandwidthPolicy::new(vec![window(a.0, a.1), window(b.0, b.1)]);
            assert_eq!(policy.unwrap_err().code(), Some("OMS.0085"), "{a:?} {b:?}");
        }
        assert!(BandwidthPolicy::new(vec![window(0, 9), window(10, 20), window(1300, 1439)]).is_ok());
    }

    #[test]
    fn the_limit_follows_the_minute() {
        let policy = BandwidthPolicy::new(vec![window(0, 59)]).unwrap();
        assert_eq!((policy.limit_at(59), policy.limit_at(60)), (Some(1), None));
    }

    #[test]
    fn number_and_times_are_limited() {
        let six = (0..6).map(|n| window(n * 10, n * 10 + 5)).collect();
        assert_eq!(BandwidthPolicy::new(six).unwrap_err().code(), Some("OMS.0083"));
        assert_eq!(
            BandwidthPolicy::new(vec![window(0, 1440)]).unwrap_err().code(),
            Some("OMS.0087")
        );
    }
}
