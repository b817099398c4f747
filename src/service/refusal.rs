//! What the ledger refuses, as broken rules.

use crate::error::Error;
use crate::ledger::Refusal;
use crate::task::Rejection;
use crate::violation::Violation;

/// The rule that stands against what was asked.
pub(super) fn refused(refusal: Refusal) -> Error {
    let violation = match refusal {
        Refusal::Unknown => Violation::UnknownTask,
        Refusal::State(Rejection::AlreadyStarted) => Violation::AlreadyStarted,
        Refusal::State(Rejection::NotInProgress) => Violation::NotInProgress,
        Refusal::State(Rejection::Complete) => Violation::Complete,
        Refusal::State(Rejection::InProgress) => Violation::InProgress,
        Refusal::State(Rejection::Stale) => {
            return Error::internal("the task was changed by somebody else");
        }
        Refusal::ListIncomplete => Violation::FailuresIncomplete,
        Refusal::NothingFailed => Violation::NothingFailed,
    };
    violation.into()
}
