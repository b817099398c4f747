//! Bandwidth windows on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules;
use crate::api::codes;
use crate::error::{Error, Result};
use crate::task::{BandwidthPolicy, BandwidthWindow as Window};

/// Lowest limit: 5 MB/s, as in the OMS reference.
pub const LEAST: i64 = 5_000_000;
/// Highest limit: 10 GiB/s. The OMS reference says 10 GB/s; as the larger reading, GiB, takes both.
pub const MOST: i64 = 10_737_418_240;

/// A limit for a part of the day.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"start": "00:00", "end": "23:59", "max_bandwidth": 50_000_000})))]
pub struct BandwidthWindow {
    /// First minute of the window, `hh:mm`, in the service's time zone. A start later than the end means that the
    /// window goes over midnight.
    #[schema(
        pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        min_length = 5,
        max_length = 5,
        examples("22:00")
    )]
    start: String,
    /// Last minute of the window, `hh:mm`; it belongs to the window.
    #[schema(
        pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        min_length = 5,
        max_length = 5,
        examples("05:59")
    )]
    end: String,
    /// Limit in bytes per second, from 5 MB/s (5,000,000) to 10 GiB/s (10,737,418,240).
    #[schema(minimum = 5_000_000, maximum = 10_737_418_240_i64, examples(50_000_000))]
    max_bandwidth: i64,
}

impl From<&Window> for BandwidthWindow {
    fn from(window: &Window) -> Self {
        let Window {
            start,
            end,
            max_bytes_per_second,
        } = window;
        let clock = |minute: &u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        Self {
            start: clock(start),
            end: clock(end),
            max_bandwidth: i64::try_from(*max_bytes_per_second).unwrap_or(i64::MAX),
        }
    }
}

/// Checks the windows of a request.
///
/// # Errors
/// OMS.0087 for a time, OMS.0084 for a limit, OMS.0083 for too many windows, OMS.0085 for windows that overlap.
pub fn policy(windows: Vec<BandwidthWindow>) -> Result<BandwidthPolicy> {
    let mut checked = Vec::with_capacity(windows.len());
    for (index, window) in windows.into_iter().enumerate() {
        let at = |field| format!("bandwidth_policy[{index}].{field}");
        let BandwidthWindow {
            start,
            end,
            max_bandwidth,
        } = window;
        checked.push(Window {
            start: minute(&at("start"), &start)?,
            end: minute(&at("end"), &end)?,
            max_bytes_per_second: rules::number(
                &at("max_bandwidth"),
                max_bandwidth,
                LEAST..=MOST,
                codes::WINDOW_LIMIT,
            )?,
        });
    }
    Ok(BandwidthPolicy::new(checked)?)
}

fn minute(field: &str, text: &str) -> Result<u16> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let part = |part: &str, limit: u16| {
            let fine = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u16>().ok().filter(|number| fine && *number < limit)
        };
        Some(part(hour, 24)? * 60 + part(minute, 60)?)
    };
    read().ok_or_else(|| {
        let text = format!("{field} must be a time of the day from 00:00 to 23:59");
        Error::invalid(text).with_code(codes::WINDOW_TIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_strictly() {
        assert_eq!(minute("x", "00:00").unwrap(), 0);
        assert_eq!(minute("x", "23:59").unwrap(), 1439);
        for bad in [
            "",
            "24:00",
            "12:60",
            "1:00",
            "01:0",
            "+1:00",
            "12-00",
            "12:00:00",
            "१२:००",
        ] {
            assert_eq!(minute("x", bad).unwrap_err().code(), Some("OMS.0087"), "{bad}");
        }
    }

    #[test]
    fn windows_come_back_as_they_were_given() {
        let given = BandwidthWindow {
            start: "22:00".to_owned(),
            end: "05:59".to_owned(),
            max_bandwidth: LEAST,
        };
        let policy = policy(vec![given]).unwrap();
        let shown = BandwidthWindow::from(&policy.windows()[0]);
        assert_eq!((shown.start.as_str(), shown.end.as_str()), ("22:00", "05:59"));
        assert_eq!(shown.max_bandwidth, LEAST);
    }
}
