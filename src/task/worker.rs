//! Workers, as far as a task shows them.

use std::fmt;

/// A worker process. A random number, so that a process that starts again is another worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(i64);

impl WorkerId {
    /// From random bits. The number is positive.
    #[must_use]
    pub const fn new(bits: u64) -> Self {
        Self(positive(bits))
    }

    /// A number that the ledger has; `None` if it is not positive.
    #[must_use]
    pub const fn known(number: i64) -> Option<Self> {
        if number > 0 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A positive number of 63 random bits.
#[must_use]
#[expect(clippy::cast_possible_wrap, reason = "the highest bit is cleared")]
pub const fn positive(bits: u64) -> i64 {
    let number = (bits >> 1) as i64;
    if number == 0 { 1 } else { number }
}

/// What a worker does for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskWorker {
    /// The worker.
    pub worker: WorkerId,
    /// How many shards it holds.
    pub shards: i64,
    /// Bytes per second over the last seconds.
    pub speed: i64,
}
