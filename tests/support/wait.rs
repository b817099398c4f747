//! Waits for conditions, never for times.

use std::time::{Duration, Instant};

use super::rig::TIMEOUT;

/// Waits until `condition` holds. Panics after [`TIMEOUT`] with what the condition is.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !condition().await {
        assert!(Instant::now() < end, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
