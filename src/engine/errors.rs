//! Why a shard or a pass ended early.

use crate::engine::retry::SideError;
use crate::error::Error;
use crate::ledger::Committed;
use crate::task::{Reason, ReasonKind};

/// Why a shard ended early.
#[derive(Debug)]
pub enum PassError {
    /// An error of a store that concerns the whole task.
    SideError(SideError),
    /// The ledger cannot be read or written. Nothing is recorded.
    Ledger(Error),
    /// A bug of this program. It would happen again, so the task fails and gives it as the reason.
    Internal(Error),
    /// Another worker has the task, or ranges of a prefix became one shard again, which ends the leases on them.
    Fenced,
}

impl From<SideError> for PassError {
    fn from(side_error: SideError) -> Self {
        Self::SideError(side_error)
    }
}

/// What follows from a write to the ledger.
pub(in crate::engine) fn written(written: crate::error::Result<Committed>) -> Result<(), PassError> {
    match written.map_err(PassError::Ledger)? {
        Committed::Done => Ok(()),
        Committed::Fenced => Err(PassError::Fenced),
        Committed::TooManyFailures => Err(SideError::too_many_failures().into()),
    }
}

/// The reason of a task that a bug of this program ended.
#[must_use]
pub fn internal_error(error: &Error) -> Reason {
    tracing::error!(%error, cause = ?std::error::Error::source(error), "a bug of this program ended the pass");
    Reason {
        kind: ReasonKind::SystemError,
        message: error.message().to_owned(),
    }
}
