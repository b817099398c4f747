//! What a caller may do with tasks. Knows the ledger and the dispatcher, no HTTP and no engine.
//!
//! Each method is one decision and at most one change in the ledger; the dispatcher is notified afterwards. Errors name
//! the rule that was broken, a [`Violation`](crate::violation::Violation).

mod bucket_location;
mod refusal;
mod requests;
mod tasks;

pub use self::requests::{BucketRequest, CreateTask, Creation};
pub use self::tasks::{NamedWorker, TaskDetail, TaskService};
pub use crate::ledger::{Failure, FoundEntry, FoundScope, ShardScope};
