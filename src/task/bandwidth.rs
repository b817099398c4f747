//! Bandwidth windows: how fast a task may go at which time of the day.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::time::UnixMillis;
use crate::violation::Violation;

const DAY: u16 = 24 * 60;

/// One window of the day with a limit. Both ends belong to the window; a start later than the end means the window
/// goes over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<BandwidthWindow>")]
pub struct BandwidthPolicy(Vec<BandwidthWindow>);

impl BandwidthPolicy {
    /// The most windows a policy may have.
    pub const MAX_WINDOWS: usize = 5;

    /// Checks number, times and overlap.
    ///
    /// # Errors
    /// [`Violation::WindowCount`], [`Violation::WindowTime`] for a time outside the day, [`Violation::WindowOverlap`].
    pub fn new(windows: Vec<BandwidthWindow>) -> Result<Self, Violation> {
        if windows.len() > Self::MAX_WINDOWS {
            return Err(Violation::WindowCount {
                most: Self::MAX_WINDOWS,
            });
        }
        if let Some(window) = windows.iter().position(|w| w.start >= DAY || w.end >= DAY) {
            return Err(Violation::WindowTime { window });
        }
        for (index, window) in windows.iter().enumerate() {
            let overlaps =
                |other: &BandwidthWindow| other.contains(window.start) || window.contains(other.start);
            if let Some(other) = windows[..index].iter().position(overlaps) {
                return Err(Violation::WindowOverlap { window: index, other });
            }
        }
        Ok(Self(windows))
    }

    /// The windows.
    #[must_use]
    pub fn windows(&self) -> &[BandwidthWindow] {
        &self.0
    }

    /// The limit at `now`, in bytes per second. The windows follow the clock on the wall of `zone`: where an hour comes
    /// twice, so does its window; where it is left out, its window is as well.
    #[must_use]
    pub fn limit(&self, now: UnixMillis, zone: &TimeZone) -> Option<u64> {
        self.limit_at(minute_of_day(now, zone))
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

impl TryFrom<Vec<BandwidthWindow>> for BandwidthPolicy {
    type Error = Violation;
    fn try_from(windows: Vec<BandwidthWindow>) -> Result<Self, Violation> {
        Self::new(windows)
    }
}

fn minute_of_day(now: UnixMillis, zone: &TimeZone) -> u16 {
    let time = Timestamp::from_millisecond(now.0)
        .unwrap_or_default()
        .to_zoned(zone.clone());
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
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
            assert_eq!(
                policy,
                Err(Violation::WindowOverlap { window: 1, other: 0 }),
                "{a:?} {b:?}"
            );
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
        assert_eq!(BandwidthPolicy::new(six), Err(Violation::WindowCount { most: 5 }));
        assert_eq!(
            BandwidthPolicy::new(vec![window(0, 1440)]),
            Err(Violation::WindowTime { window: 0 })
        );
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn moment(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn windows_follow_the_time_zone() {
        let noon = moment("2026-11-18T12:00:00Z");
        assert_eq!(minute_of_day(noon, &TimeZone::UTC), 12 * 60);
        assert_eq!(minute_of_day(noon, &zone("Asia/Shanghai")), 20 * 60);
    }

    #[test]
    fn an_hour_that_comes_twice_or_not_at_all_has_its_window_as_often() {
        // Zone, window from the first to the last hour, and moments with whether the window holds.
        type Row = (&'static str, (u16, u16), &'static [(&'static str, bool)]);
        let rows: &[Row] = &[
            // 02:00 becomes 03:00.
            (
                "Europe/Berlin",
                (2, 2),
                &[
                    ("2026-03-29T00:59:59Z", false),
                    ("2026-03-29T01:00:00Z", false),
                    ("2026-03-28T01:30:00Z", true),
                    ("2026-03-30T00:30:00Z", true),
                ],
            ),
            // 03:00 becomes 02:00 again.
            (
                "Europe/Berlin",
                (2, 2),
                &[
                    ("2026-10-24T23:59:59Z", false),
                    ("2026-10-25T00:00:00Z", true),
                    ("2026-10-25T00:59:59Z", true),
                    ("2026-10-25T01:00:00Z", true),
                    ("2026-10-25T01:59:59Z", true),
                    ("2026-10-25T02:00:00Z", false),
                ],
            ),
            (
                "America/New_York",
                (1, 2),
                &[
                    ("2026-03-08T05:59:59Z", false),
                    ("2026-03-08T06:00:00Z", true),
                    ("2026-03-08T06:59:59Z", true),
                    ("2026-03-08T07:00:00Z", false),
                    ("2026-11-01T04:59:59Z", false),
                    ("2026-11-01T05:00:00Z", true),
                    ("2026-11-01T06:30:00Z", true),
                    ("2026-11-01T07:59:59Z", true),
                    ("2026-11-01T08:00:00Z", false),
                ],
            ),
            // There is no midnight: 00:00 becomes 01:00. A window over midnight goes on.
            (
                "America/Sao_Paulo",
                (23, 4),
                &[
                    ("2018-11-04T01:59:59Z", false),
                    ("2018-11-04T02:00:00Z", true),
                    ("2018-11-04T02:59:59Z", true),
                    ("2018-11-04T03:00:00Z", true),
                    ("2018-11-04T06:59:59Z", true),
                    ("2018-11-04T07:00:00Z", false),
                ],
            ),
            (
                "Asia/Beirut",
                (0, 0),
                &[
                    ("2022-03-26T21:59:59Z", false),
                    ("2022-03-26T22:00:00Z", false),
                    ("2022-03-27T20:59:59Z", false),
                    ("2022-03-27T21:00:00Z", true),
                    ("2022-03-27T21:59:59Z", true),
                    ("2022-03-27T22:00:00Z", false),
                ],
            ),
        ];
        for (name, (first, last), moments) in rows {
            let policy = BandwidthPolicy::new(vec![window(first * 60, last * 60 + 59)]).unwrap();
            for (text, holds) in *moments {
                let limit = policy.limit(moment(text), &zone(name));
                assert_eq!(limit.is_some(), *holds, "{name} {first}-{last} at {text}");
            }
        }
    }

    #[test]
    fn at_every_minute_the_limit_is_that_of_the_time_on_the_wall() {
        let windows = [(1380, 59, 1), (60, 179, 2), (180, 180, 3), (182, 1379, 4)];
        let policy = windows.map(|(start, end, max_bytes_per_second)| BandwidthWindow {
            start,
            end,
            max_bytes_per_second,
        });
        let policy = BandwidthPolicy::new(policy.to_vec()).unwrap();
        for (name, day) in [
            ("UTC", "2026-12-31T00:00:00Z"),
            ("Europe/Berlin", "2026-03-28T12:00:00Z"),
            ("Europe/Berlin", "2026-10-24T12:00:00Z"),
            ("America/New_York", "2026-10-31T12:00:00Z"),
            ("America/Sao_Paulo", "2018-11-03T12:00:00Z"),
            ("Asia/Beirut", "2022-03-26T12:00:00Z"),
            // By half an hour, and a zone of 45 minutes.
            ("Australia/Lord_Howe", "2026-10-03T12:00:00Z"),
            ("Asia/Kathmandu", "2026-01-01T00:00:00Z"),
            // A whole day is left out.
            ("Pacific/Apia", "2011-12-29T20:00:00Z"),
        ] {
            let zone = zone(name);
            for minute in 0..2 * 24 * 60 {
                let now = UnixMillis(moment(day).0 + minute * 60_000);
                let wall = Timestamp::from_millisecond(now.0).unwrap();
                let wall = wall.to_zoned(zone.clone()).strftime("%H:%M").to_string();
                let wanted = match wall.as_str() {
                    "03:00" => Some(3),
                    "03:01" => None,
                    wall if wall >= "23:00" || wall <= "00:59" => Some(1),
                    wall if wall <= "02:59" => Some(2),
                    _ => Some(4),
                };
                assert_eq!(policy.limit(now, &zone), wanted, "{name} {day} +{minute}: {wall}");
            }
        }
    }
}
