//! Tasks that want a worker, and what becomes of one whose worker was cut short.

use crate::task::{BandwidthPolicy, ProjectId, Reason, State, TaskId, reasons};

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

/// What a crash weighs when the worker had the task for a moment only.
pub(super) const EARLY_CRASH: i64 = 1;
/// What a crash weighs when the worker had been at the task for a while ([`super::Ledger::confirm_running`]).
pub(super) const CRASH: i64 = 30;
/// From this weight on a task is not resumed: three crashes, or ninety that came at once. Whoever kills processes by hand
/// in quick succession does no harm to a task.
pub(super) const MOST_CRASHES: i64 = 90;

/// The reason of a task that is not resumed any more.
pub(super) fn crashed() -> Reason {
    Reason {
        code: reasons::SYSTEM_ERROR.to_owned(),
        message: "the service ended unexpectedly several times while it ran this task, and the task made no progress in \
                  between; it is not resumed by itself any more. Look at the log of the service, then start the task again"
            .to_owned(),
    }
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
