//! How long a worker may still write to the target under a lease.
//!
//! A process that was paused, or cut off from the ledger, does not notice that its lease has ended: another worker may have its
//! shard by then. So it counts by itself. After [`LeaseTimes::give_up`] without a word from the ledger nothing is written any
//! more. A request that is on its way then may still arrive. At a target without conditional writes it may replace what the next
//! holder has written, by the same version or an older one; the next pass repairs that.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[expect(unused_imports, reason = "named in the documentation")]
use crate::engine::settings::LeaseTimes;
use crate::error::{Error, ErrorKind, Result};

/// The time up to which a lease is known to hold. Clones share it.
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    began: Instant,
    give_up: Duration,
    /// Milliseconds after `began`.
    until: Arc<AtomicU64>,
}

impl LeaseGuard {
    /// For a lease that was asked for at `asked`.
    #[must_use]
    pub fn new(asked: Instant, give_up: Duration) -> Self {
        let guard = Self {
            began: asked,
            give_up,
            until: Arc::default(),
        };
        guard.extend(asked);
        guard
    }

    /// The ledger has accepted what was sent to it at `asked`.
    pub fn extend(&self, asked: Instant) {
        let until = asked.duration_since(self.began).saturating_add(self.give_up);
        self.until.fetch_max(millis(until), Ordering::AcqRel);
    }

    /// Whether the lease is known to hold at `now`.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        millis(now.duration_since(self.began)) < self.until.load(Ordering::Acquire)
    }

    /// Fails if the lease is not known to hold.
    ///
    /// # Errors
    /// `Cancelled`, because nothing is wrong with the object.
    pub fn check(&self) -> Result<()> {
        if self.holds(Instant::now()) {
            return Ok(());
        }
        let text =
            "the ledger was not heard of for so long that another worker may have this part of the task";
        Err(Error::new(ErrorKind::Cancelled, text))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_until_nothing_was_heard_for_a_while() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let guard = LeaseGuard::new(began, Duration::from_secs(12));
        let clone = guard.clone();
        assert!(guard.holds(at(11)) && !guard.holds(at(12)));
        clone.extend(at(4));
        assert!(guard.holds(at(15)) && !guard.holds(at(16)));
        // An answer that comes late says nothing about the time after its question.
        guard.extend(at(2));
        assert!(guard.holds(at(15)) && !guard.holds(at(16)));
    }
}
