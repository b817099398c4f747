//! The ledger: the database that records what is done.
//!
//! Every implementation follows these rules, and the conformance suite checks them:
//! * [`State::apply`] decides every change of a task's state. The change is a compare-and-set, in one transaction with the
//!   credentials, the pass and the counters that belong to it.
//! * [`Ledger::commit`] writes the work of a shard in one transaction, and only with the `fencing_token` of the last lease.
//!   A worker that has lost its lease gets [`Committed::Fenced`] and has written nothing.
//! * Credentials are stored only in the states that [`State::keeps_credentials`] names. Credentials for the orphans of a
//!   deleted task are stored until the last orphan is gone or the target refuses them.
//! * The ledger reads no clock: `now` is an argument.

#[cfg(test)]
#[doc(hidden)]
pub mod conformance;
mod contract;
mod decisions;
mod failure;
mod json;
mod lease;
pub mod once;
mod orphan;
mod pending;
mod report_file;
mod scope;
pub mod sql;
mod workers;

pub use self::contract::{
    Change, Commit, Committed, Ending, Finished, JoinedTask, LeasedTask, Ledger, NewPass, NewTask,
    OpenUpload, Refusal, TaskFilter, Unordered,
};
pub use self::failure::{Failure, MOST_FAILURES};
pub use self::lease::{
    CommitCount, Holder, LEASE_MILLIS, Lease, LeasedShard, ShardKinds, ShardLease, Writer,
};
pub use self::once::{CreatedOnce, RequestKey};
pub use self::orphan::{Cleanup, Deleted, Orphan, OrphanKeys, Orphans, Owner};
pub use self::pending::{Control, PROJECTS_AT_ONCE, Pending, Purged, RUNNING_AT_ONCE, TASKS_AT_ONCE, Wanted};
pub use self::report_file::{FileSize, Fullness, ReportFile};
pub use self::scope::{FoundEntry, FoundScope, ShardScope};

pub use self::workers::{Sharing, WorkerBeat, WorkerInfo};

#[expect(unused_imports, reason = "named in the documentation")]
use crate::task::State;
