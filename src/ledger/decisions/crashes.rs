//! What becomes of a task whose worker crashed.

use super::facts::{LeaseState, TaskEnd, TaskFacts};
use super::work;
use crate::task::{Event, Reason, ReasonKind, State};

/// How much a crash of the process counts if the worker had only just leased the task.
const EARLY_CRASH: i64 = 1;
/// How much a crash counts if the worker had worked for a while, or panicked.
const CRASH: i64 = 30;
/// A task is no longer resumed when its crashes reach this sum: after three crashes, or ninety early ones. Early crashes
/// count so little because an operator may kill the process several times in quick succession, which must not end a task.
const MOST_CRASHES: i64 = 90;

/// What becomes of a task, to write. Nobody holds it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum AfterCrash {
    /// It is resumed; this is the new sum of its crashes.
    Resumed(i64),
    /// The task is paused or has failed, and the work on it ends.
    Left(TaskEnd),
}

/// The process ended while it held a task; `None` if the task stays as it is.
pub(in crate::ledger) fn of_process(task: &TaskFacts) -> Option<AfterCrash> {
    match task.state {
        State::Running => count_crash(task, EARLY_CRASH),
        _ => work::release(task).map(AfterCrash::Left),
    }
}

/// The lease of a worker on a task has ended without a word; `None` if nothing is to be counted.
pub(in crate::ledger) fn of_lost_holder(task: &TaskFacts) -> Option<AfterCrash> {
    count_crash(task, EARLY_CRASH)
}

/// A worker panicked while it held a task; `None` if the task stays as it is.
pub(in crate::ledger) fn of_worker(task: &TaskFacts) -> Option<AfterCrash> {
    count_crash(task, CRASH)
}

/// Counts a crash of a running task. `early` is how much it counts if the worker had only just leased the task.
fn count_crash(task: &TaskFacts, early: i64) -> Option<AfterCrash> {
    if task.state != State::Running {
        return None;
    }
    let crash = match task.lease {
        LeaseState::Nobody => 0,
        LeaseState::Leased => early,
        LeaseState::Confirmed => CRASH,
    };
    let crashes = task.crashes + crash;
    if crashes < MOST_CRASHES {
        return Some(AfterCrash::Resumed(crashes));
    }
    let state = task.state.apply(Event::Fail).ok()?;
    Some(AfterCrash::Left(task.left(
        state,
        task.run.seen,
        Some(too_many()),
    )))
}

fn too_many() -> Reason {
    Reason {
        kind: ReasonKind::SystemError,
        message: "the service ended unexpectedly several times while it ran this task, and the task made no progress in \
                  between; it is not resumed by itself any more. Look at the log of the service, then start the task again"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::UnixMillis;

    fn running(lease: LeaseState, crashes: i64) -> TaskFacts {
        TaskFacts {
            lease,
            crashes,
            ..TaskFacts::of(State::Running)
        }
    }

    #[test]
    fn crashes_add_up_until_the_task_is_not_resumed() {
        let ended = || {
            AfterCrash::Left(TaskEnd {
                from: State::Running,
                to: State::Failed,
                reason: Some(too_many()),
                ran_for: 2_000,
                ended_at: Some(UnixMillis(3_000)),
            })
        };
        let resumed = AfterCrash::Resumed;
        for (name, task, process, worker) in [
            (
                "nobody held it",
                running(LeaseState::Nobody, 60),
                resumed(60),
                resumed(60),
            ),
            (
                "an early crash",
                running(LeaseState::Leased, 0),
                resumed(1),
                resumed(30),
            ),
            (
                "the second last early crash",
                running(LeaseState::Leased, 88),
                resumed(89),
                ended(),
            ),
            (
                "the last early crash",
                running(LeaseState::Leased, 89),
                ended(),
                ended(),
            ),
            (
                "the first crash",
                running(LeaseState::Confirmed, 0),
                resumed(30),
                resumed(30),
            ),
            (
                "the second crash",
                running(LeaseState::Confirmed, 30),
                resumed(60),
                resumed(60),
            ),
            (
                "the third crash",
                running(LeaseState::Confirmed, 60),
                ended(),
                ended(),
            ),
            (
                "too many before",
                running(LeaseState::Nobody, 90),
                ended(),
                ended(),
            ),
        ] {
            assert_eq!(of_process(&task), Some(process), "{name}");
            assert_eq!(of_worker(&task), Some(worker), "{name}");
        }
    }

    #[test]
    fn only_running_tasks_crash() {
        let paused = TaskEnd {
            from: State::Pausing,
            to: State::Paused,
            reason: None,
            ran_for: 2_000,
            ended_at: None,
        };
        for (name, state, process) in [
            ("waiting", State::Waiting, None),
            ("pausing", State::Pausing, Some(AfterCrash::Left(paused))),
            ("paused", State::Paused, None),
            ("failed", State::Failed, None),
            ("succeeded", State::Succeeded, None),
        ] {
            let task = TaskFacts::of(state);
            assert_eq!((of_process(&task), of_worker(&task)), (process, None), "{name}");
        }
    }
}
