//! What the counters contain for an object before it is settled. Pure.

use crate::ledger::Failure;

/// Error code of an object that the task names and the source does not have.
pub const NO_SUCH_KEY: &str = "NoSuchKey";

/// What the counters already contain for an object: nothing in a full pass, the failure in a pass over the failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriorCount {
    /// Its bytes in the count of listed bytes.
    pub bytes: i64,
    /// 1 if it is counted as not found.
    pub not_found: i64,
}

impl PriorCount {
    /// What the counters contain for a recorded failure.
    #[must_use]
    pub fn failed(failure: &Failure) -> Self {
        Self {
            bytes: failure.size,
            not_found: not_found(failure),
        }
    }
}

/// 1 for the failure of an object that the task names and the source does not have; 0 for others.
#[must_use]
pub fn not_found(failure: &Failure) -> i64 {
    i64::from(failure.code == NO_SUCH_KEY)
}
