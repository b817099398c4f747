//! What the ledger decides, as pure functions: no IO, no SQL, and time is an argument.
//!
//! Every ledger reads what a decision needs ([`facts`]), asks for the decision, and writes its result, all in one
//! transaction. The SQL itself only checks that nothing has changed in between: the state that was read, and the fencing
//! token of a lease.
//!
//! | file | decides |
//! |---|---|
//! | [`changes`] | start, stop, bandwidth and deletion: what users may change |
//! | [`work`] | how a worker leases a task, and how it leaves it |
//! | [`crashes`] | what becomes of a task whose worker crashed |
//! | [`passes`] | which pass a worker works on, and what a commit may write |
//! | [`ranges`] | with which ranges a new pass begins |
//! | [`reports`] | what happens to a report that the target refused |

pub(super) mod changes;
pub(super) mod crashes;
pub(super) mod facts;
pub(super) mod passes;
pub(super) mod ranges;
pub(super) mod reports;
pub(super) mod work;
