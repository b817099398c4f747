//! What is refused, in the words and codes of the OMS reference.

use crate::error::{Error, ErrorKind};
use crate::store::Refusal;
use crate::task::Rejection;

/// The state of the task does not allow it.
pub(super) fn conflict(message: &str, code: &str) -> Error {
    Error::new(ErrorKind::Conflict, message).with_code(code)
}

/// There is no such task, as far as the caller may know.
pub(super) fn unknown() -> Error {
    let text = "task_id: no such task in this project, or no permission to see it";
    Error::new(ErrorKind::NotFound, text).with_code("OMS.0053")
}

/// What the ledger refused, with its code.
pub(super) fn refused(refusal: Refusal) -> Error {
    match refusal {
        Refusal::Unknown => unknown(),
        Refusal::State(Rejection::AlreadyStarted) => conflict("the task has already started", "OMS.0065"),
        Refusal::State(Rejection::NotInProgress) => {
            conflict("failed to pause the task: it is not in progress", "OMS.0066")
        }
        Refusal::State(Rejection::Complete) => conflict(
            "the task is complete; it cannot be started or stopped",
            "OMS.0070",
        ),
        Refusal::State(Rejection::InProgress) => {
            conflict("the task is in progress; stop it first", "OMS.0063")
        }
        Refusal::State(Rejection::Stale) => Error::internal("the task was changed by somebody else"),
        Refusal::ListIncomplete => conflict(
            "migration_failed_object: the last run did not finish, so its list of failed objects is incomplete; start without it",
            "OMS.0308",
        ),
        Refusal::NothingFailed => conflict(
            "migration_failed_object: no failed objects are recorded for this task",
            "OMS.0167",
        ),
    }
}
