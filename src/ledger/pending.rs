//! Tasks that need a worker, and what is left to do behind the scenes.

use crate::task::{BandwidthPolicy, ProjectId, State, TaskId};

/// Most projects whose waiting tasks are read at once.
pub const PROJECTS_AT_ONCE: i64 = 16;
/// Most tasks that are read of each.
pub const TASKS_AT_ONCE: i64 = 64;
/// Most running tasks that are read.
pub const RUNNING_AT_ONCE: i64 = 256;

/// A task that wants a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The task.
    pub id: TaskId,
    /// Whose it is.
    pub project: ProjectId,
}

/// What a worker looks at while it runs a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// State.
    pub state: State,
    /// Bandwidth windows.
    pub bandwidth: BandwidthPolicy,
    /// Objects that are copied, skipped, missing or failed.
    pub settled: i64,
}

/// What is left to do in the ledger behind the scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidied {
    /// Nothing.
    All,
    /// More of it, which can go on at once.
    Some,
    /// Something that has to wait, for example for a reader that holds the log.
    Blocked,
}
