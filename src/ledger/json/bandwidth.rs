//! Bandwidth windows as text.

use serde::{Deserialize, Serialize};

use super::text::{damaged, to_text};
use crate::error::Result;
use crate::task::{BandwidthPolicy, BandwidthWindow};

#[derive(Serialize, Deserialize)]
struct WindowRow {
    start: u16,
    end: u16,
    max_bytes_per_second: u64,
}

/// Bandwidth windows as text.
pub(in crate::ledger) fn bandwidth_to_text(policy: &BandwidthPolicy) -> Result<String> {
    let row = |window: &BandwidthWindow| {
        let BandwidthWindow {
            start,
            end,
            max_bytes_per_second,
        } = *window;
        WindowRow {
            start,
            end,
            max_bytes_per_second,
        }
    };
    to_text(&policy.windows().iter().map(row).collect::<Vec<_>>())
}

/// The windows that [`bandwidth_to_text`] wrote.
pub(in crate::ledger) fn bandwidth_from_text(text: &str) -> Result<BandwidthPolicy> {
    let rows: Vec<WindowRow> = serde_json::from_str(text).map_err(|e| damaged("bandwidth").with_source(e))?;
    let window = |row: WindowRow| BandwidthWindow {
        start: row.start,
        end: row.end,
        max_bytes_per_second: row.max_bytes_per_second,
    };
    BandwidthPolicy::new(rows.into_iter().map(window).collect())
        .map_err(|e| damaged("bandwidth").with_source(e))
}
