//! Sizes and delays of a pass.

use std::time::Duration;

use crate::engine::copy::layout;
use crate::engine::retry;

/// Sizes and delays that nobody sets in production; tests make them small, so that they need neither large objects nor
/// long waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// How fast tries follow each other.
    pub pace: retry::Pace,
    /// How objects are cut into parts.
    pub sizes: layout::Sizes,
    /// When lists of objects are written.
    pub lists: ReportLimits,
    /// When shards are split.
    pub ranges: Ranges,
    /// How leases are kept.
    pub lease: LeaseTimes,
    /// From when on a crash of the process counts fully against a task that it was working on.
    pub crash_grace: CrashGrace,
}

/// How a worker keeps its leases, and what it does when it cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a lease holds after its holder's last write.
    pub length: Duration,
    /// A holder writes at least this often.
    pub keep_every: Duration,
    /// After this time without a write a holder ends everything that it does under the lease. It is shorter than the lease, so
    /// that the next holder finds nobody at work.
    pub give_up: Duration,
    /// How often a worker without work asks for shards that other workers may have left.
    pub look_again: Duration,
}

impl LeaseTimes {
    /// For leases of this length.
    #[must_use]
    pub fn of(length: Duration) -> Self {
        Self {
            length,
            keep_every: length / 5,
            give_up: length * 3 / 5,
            look_again: (length / 40).min(Duration::from_millis(500)),
        }
    }

    /// How often a worker asks for tasks and shards that it could work on.
    #[must_use]
    pub fn poll_every(&self) -> Duration {
        self.keep_every.min(Duration::from_secs(1))
    }
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self::of(Duration::from_secs(20))
    }
}

/// How many shards of a task are listed at the same time, and when they are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranges {
    /// Most shards at the same time.
    pub at_once: usize,
    /// How often the shards are looked at. A shard that has waited for its listing for most of this time is split.
    pub look_every: Duration,
}

impl Default for Ranges {
    fn default() -> Self {
        Self {
            at_once: 16,
            look_every: Duration::from_millis(25),
        }
    }
}

/// How long a worker is at a task until a crash of the process counts fully against it. Whoever ends processes by hand in
/// quick succession does so before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashGrace(pub Duration);

impl Default for CrashGrace {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

/// How much of a list waits, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportLimits {
    /// Bytes of a file that is written before the end of the pass.
    pub file: i64,
    /// Bytes that may wait for a target that refuses them.
    pub most: i64,
    /// How often what waits is looked at.
    pub look_every: Duration,
    /// How long a target that has refused a list is left alone with them.
    pub refused: Duration,
}

impl Default for ReportLimits {
    fn default() -> Self {
        Self {
            file: 64 << 20,
            most: 1 << 30,
            look_every: Duration::from_secs(2),
            refused: Duration::from_secs(60),
        }
    }
}
