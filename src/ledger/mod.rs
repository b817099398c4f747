//! The ledger: the one place that knows what is done.
//!
//! [`Ledger`] is the trait. `decisions` holds its rules as pure functions: whether a start is allowed, how a task ends, whether a
//! lease holds. An implementation, such as [`sqlite`], reads what a decision needs, asks for it, and writes the result.
//!
//! Rules that every implementation keeps, and that its conformance suite proves:
//! * A change of a task's state is a compare-and-set that [`State::apply`] decided, in one transaction with everything
//!   that belongs to it: credentials, pass, counters.
//! * A shard's work is written by [`Ledger::commit`] in one transaction and only with the `fencing_token` of its last lease;
//!   a worker that has lost its lease gets [`Committed::Fenced`] and has written nothing.
//! * Credentials exist only in the states that [`State::keeps_credentials`] names, and for the orphans of a deleted task
//!   until the last of them is gone or the keys are refused.
//! * Time is an argument: `now` comes from the caller.

#[cfg(test)]
#[doc(hidden)]
pub mod conformance;
mod contract;
mod decisions;
mod failure;
mod json;
pub mod once;
mod orphan;
mod pending;
mod scope;
pub mod sqlite;

pub use self::contract::{
    Change, Commit, Committed, Ending, LeasedShard, LeasedTask, Ledger, NewTask, OpenUpload, Refusal,
    ReportChunk, TaskFilter,
};
pub use self::failure::{Failure, MOST_FAILURES};
pub use self::once::{CreatedOnce, RequestKey};
pub use self::orphan::{Cleanup, Deleted, Orphan, OrphanKeys, Orphans, Owner};
pub use self::pending::{Control, PROJECTS_AT_ONCE, Pending, RUNNING_AT_ONCE, TASKS_AT_ONCE, Tidied};
pub use self::scope::{FoundEntry, FoundScope, ShardScope};

#[expect(unused_imports, reason = "named in the documentation")]
use crate::task::State;
