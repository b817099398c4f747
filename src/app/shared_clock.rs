//! The clock of a ledger that several processes share. All of them judge leases by it, so that a process whose own clock is wrong
//! does no harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::ledger::Ledger;
use crate::task::{Clock, UnixMillis};

/// How often the clock is compared with the ledger's.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// The time of the ledger, carried forward by the monotonic clock of this machine.
#[derive(Clone, Debug)]
pub(super) struct SharedClock {
    began: Instant,
    /// The ledger's time when this clock began, in milliseconds.
    base: Arc<AtomicI64>,
}

impl SharedClock {
    /// Asks the ledger; `None` if it has no clock, because one process owns it.
    pub(super) async fn of(ledger: &dyn Ledger) -> Result<Option<Self>> {
        let asked = Instant::now();
        let Some(now) = ledger.server_time().await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            began: asked,
            base: Arc::new(AtomicI64::new(now.0)),
        }))
    }

    /// The clock.
    pub(super) fn clock(&self) -> Clock {
        let shared = self.clone();
        Clock::new(move || shared.now())
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(
            self.base
                .load(Ordering::Relaxed)
                .saturating_add(millis(self.began.elapsed())),
        )
    }

    /// Compares this clock with the ledger's from time to time, until `stop`.
    pub(super) async fn keep(&self, ledger: &dyn Ledger, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(COMPARE_EVERY) => {}
            }
            let asked = self.began.elapsed();
            match ledger.server_time().await {
                Ok(Some(now)) => self
                    .base
                    .store(now.0.saturating_sub(millis(asked)), Ordering::Relaxed),
                Ok(None) => return,
                Err(error) => tracing::debug!(%error, "the ledger cannot be asked for the time"),
            }
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
