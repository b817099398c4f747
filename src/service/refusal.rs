//! What is refused, and the rule that stands against it.

use crate::error::{Error, ErrorKind, Rule};
use crate::ledger::Refusal;
use crate::task::Rejection;

/// The state of the task does not allow it.
pub(super) fn conflict(message: &str, rule: Rule) -> Error {
    Error::new(ErrorKind::Conflict, message).with_rule(rule)
}

/// The project has as many tasks waiting as it may.
pub(super) fn too_many_waiting(most: i64) -> Error {
    let text = format!(
        "the number of created migration tasks has exceeded the limit: {most} tasks of this project wait for their turn; \
         create more when some of them have begun"
    );
    conflict(&text, Rule::TooManyWaiting)
}

/// A running task was asked to stop in memory, and the ledger cannot be told.
pub(super) fn stopped_in_memory(error: Error) -> Error {
    let text = "the transfers of the task end now, but the ledger cannot be written, so the task is still shown as running. \
                It becomes paused as soon as the ledger can be written; if the service ends before, the task resumes with \
                the next one. Make room on its disk, then try again later";
    Error::new(ErrorKind::Unavailable, text)
        .with_rule(Rule::StopRecorded)
        .with_source(error)
}

/// There is no such task, as far as the caller may know.
pub(super) fn unknown() -> Error {
    let text = "task_id: no such task in this project, or no permission to see it";
    Error::new(ErrorKind::NotFound, text).with_rule(Rule::UnknownTask)
}

/// What the ledger refused, with its rule.
pub(super) fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Unknown => unknown(),
        Refusal::State(Rejection::AlreadyStarted) => {
            conflict("the task has already started", Rule::AlreadyStarted)
        }
        Refusal::State(Rejection::NotInProgress) => conflict(
            "failed to pause the task: it is not in progress",
            Rule::NotInProgress,
        ),
        Refusal::State(Rejection::Complete) => conflict(
            "the task is complete; it cannot be started or stopped",
            Rule::Complete,
        ),
        Refusal::State(Rejection::InProgress) => {
            conflict("the task is in progress; stop it first", Rule::InProgress)
        }
        Refusal::State(Rejection::Stale) => Error::internal("the task was changed by somebody else"),
        Refusal::ListIncomplete => conflict(
            "migration_failed_object: the last run did not finish, so its list of failed objects is incomplete; start without it",
            Rule::FailuresIncomplete,
        ),
        Refusal::NothingFailed => conflict(
            "migration_failed_object: no failed objects are recorded for this task",
            Rule::NothingFailed,
        ),
    }
}
