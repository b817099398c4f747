//! Tasks that need a worker, and how crashes of the worker count.

use crate::task::{BandwidthPolicy, ProjectId, Reason, State, TaskId, reasons};

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

/// What a worker reads regularly while it runs a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// State.
    pub state: State,
    /// Bandwidth windows.
    pub bandwidth: BandwidthPolicy,
    /// Objects that are copied, skipped, missing or failed.
    pub settled: i64,
}

/// Weight of a crash if the worker had only just leased the task.
pub(super) const EARLY_CRASH: i64 = 1;
/// Weight of a crash if the worker had run the task for a while ([`super::Ledger::confirm_running`]).
pub(super) const CRASH: i64 = 30;
/// A task is not resumed if its crashes have this weight: three crashes, or ninety early ones. So an operator who kills
/// processes in quick succession does not end a task.
pub(super) const MOST_CRASHES: i64 = 90;

/// The reason of a task that is not resumed because of crashes.
pub(super) fn crashed() -> Reason {
    Reason {
        code: reasons::SYSTEM_ERROR.to_owned(),
        message: "the service ended unexpectedly several times while it ran this task, and the task made no progress in \
                  between; it is not resumed by itself any more. Look at the log of the service, then start the task again"
            .to_owned(),
    }
}

/// How much background cleanup is left in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tidied {
    /// Nothing.
    All,
    /// More work that can be done at once.
    Some,
    /// Work that must wait, for example for a reader that holds the log.
    Blocked,
}
