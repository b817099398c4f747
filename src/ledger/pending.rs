//! Tasks that need a worker, and how crashes of the worker count.

use crate::task::{BandwidthPolicy, ProjectId, State, TaskId, TaskWorker};

/// Most projects whose waiting tasks are read at once.
pub const PROJECTS_AT_ONCE: i64 = 16;
/// Most waiting tasks that are read of each project.
pub const TASKS_AT_ONCE: i64 = 64;
/// Most running tasks that are read at once.
pub const RUNNING_AT_ONCE: i64 = 256;

/// A task that needs a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The task.
    pub id: TaskId,
    /// Its project.
    pub project: ProjectId,
}

/// Work that may be offered to any worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A task that nobody holds.
    Task(TaskId),
    /// An open shard of a running task, whoever holds it.
    Shard {
        /// Its task.
        task: TaskId,
        /// Number of its pass.
        pass: i64,
        /// Its number in the pass.
        number: i64,
    },
}

/// What a worker reads regularly while it runs a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// State.
    pub state: State,
    /// Bandwidth windows.
    pub bandwidth: BandwidthPolicy,
    /// Objects that are copied, skipped, missing or failed.
    pub settled: i64,
    /// The workers that hold shards of the task.
    pub workers: Vec<TaskWorker>,
    /// Number of other workers that could do more.
    pub idle: i64,
    /// Number of open shards that nobody holds and any worker may lease.
    pub free: i64,
}

/// What is left to do in the ledger behind the scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purged {
    /// Nothing.
    All,
    /// More work that can be done at once.
    Some,
    /// Work that must wait, for example for a reader that holds the log.
    Blocked,
}
