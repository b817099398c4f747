//! What users may change: start, stop, bandwidth, deletion.

use super::facts::{TaskEnd, TaskFacts};
use crate::ledger::contract::{Change, Refusal};
use crate::task::{Event, PassInfo, PassKind, Rejection, StartMode, State, UnixMillis};

/// Whether a task has recorded failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Recorded {
    /// It has some.
    Failures,
    /// It has none.
    Nothing,
}

/// A stop to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Stop {
    /// The worker is asked to stop; this is the new state.
    Asked(State),
    /// Nobody works on the task, so it is paused at once.
    Left(TaskEnd),
}

fn apply(task: &TaskFacts, event: Event) -> Change<State> {
    task.state.apply(event).map_err(Refusal::State)
}

/// A user starts a task; returns its new state. A failed-only start needs a list of failures that is complete and not empty.
/// An unfinished full pass leaves the list incomplete, because it has not seen every key. An unfinished failed pass leaves it
/// complete, because it visits only keys of the list.
pub(in crate::ledger) fn start(task: &TaskFacts, mode: StartMode, recorded: Recorded) -> Change<State> {
    let state = apply(task, Event::Start)?;
    let saw_all = |pass: PassInfo| pass.finished || pass.kind == PassKind::Failed;
    let complete = !task.forgetting && task.pass.is_some_and(saw_all);
    match (mode, complete, recorded) {
        (StartMode::Full, ..) | (StartMode::FailedOnly, true, Recorded::Failures) => Ok(state),
        (StartMode::FailedOnly, false, _) => Err(Refusal::ListIncomplete),
        (StartMode::FailedOnly, true, Recorded::Nothing) => Err(Refusal::NothingFailed),
    }
}

/// A user stops a task.
pub(in crate::ledger) fn stop(task: &TaskFacts, now: UnixMillis) -> Change<Stop> {
    let state = apply(task, Event::Stop)?;
    Ok(if state.keeps_credentials() {
        Stop::Asked(state)
    } else {
        Stop::Left(task.left(state, Some(now), None))
    })
}

/// A user changes the bandwidth windows, which mean nothing to a task that has succeeded.
pub(in crate::ledger) const fn set_bandwidth(task: &TaskFacts) -> Change<()> {
    match task.state {
        State::Succeeded => Err(Refusal::State(Rejection::Complete)),
        State::Waiting | State::Running | State::Pausing | State::Paused | State::Failed => Ok(()),
    }
}

/// A user deletes a task.
pub(in crate::ledger) fn delete(task: &TaskFacts) -> Change<()> {
    apply(task, Event::Delete).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_only_start_needs_a_complete_list_of_failures() {
        let paused = || TaskFacts::of(State::Paused);
        let failed = || TaskFacts::of(State::Failed);
        let forgetting = TaskFacts {
            forgetting: true,
            ..failed().with_pass(PassKind::Full, true)
        };
        let (full, failed_only) = (StartMode::Full, StartMode::FailedOnly);
        let (some, none) = (Recorded::Failures, Recorded::Nothing);
        let started = Ok(State::Waiting);
        let incomplete = Err(Refusal::ListIncomplete);
        let again = Err(Refusal::State(Rejection::AlreadyStarted));
        for (name, task, mode, recorded, change) in [
            ("full, before the first pass", paused(), full, none, started),
            (
                "full, while failures are forgotten",
                forgetting.clone(),
                full,
                some,
                started,
            ),
            ("before the first pass", paused(), failed_only, none, incomplete),
            (
                "the full pass is not finished",
                paused().with_pass(PassKind::Full, false),
                failed_only,
                some,
                incomplete,
            ),
            (
                "the full pass is finished",
                failed().with_pass(PassKind::Full, true),
                failed_only,
                some,
                started,
            ),
            (
                "the failed pass is not finished",
                paused().with_pass(PassKind::Failed, false),
                failed_only,
                some,
                started,
            ),
            (
                "failures are forgotten",
                forgetting,
                failed_only,
                some,
                incomplete,
            ),
            (
                "nothing is recorded",
                failed().with_pass(PassKind::Full, true),
                failed_only,
                none,
                Err(Refusal::NothingFailed),
            ),
            (
                "the state is looked at first",
                TaskFacts::of(State::Running),
                failed_only,
                none,
                again,
            ),
            (
                "succeeded",
                TaskFacts::of(State::Succeeded),
                full,
                none,
                Err(Refusal::State(Rejection::Complete)),
            ),
        ] {
            assert_eq!(start(&task, mode, recorded), change, "{name}");
        }
    }

    #[test]
    fn a_stop_asks_the_worker_if_there_is_one() {
        let left = TaskEnd {
            from: State::Waiting,
            to: State::Paused,
            reason: None,
            ran_for: 0,
            ended_at: None,
        };
        let not_in_progress = Err(Refusal::State(Rejection::NotInProgress));
        for (name, state, change) in [
            ("running", State::Running, Ok(Stop::Asked(State::Pausing))),
            ("waiting", State::Waiting, Ok(Stop::Left(left))),
            ("pausing", State::Pausing, not_in_progress.clone()),
            ("paused", State::Paused, not_in_progress.clone()),
            ("failed", State::Failed, not_in_progress),
            (
                "succeeded",
                State::Succeeded,
                Err(Refusal::State(Rejection::Complete)),
            ),
        ] {
            assert_eq!(stop(&TaskFacts::of(state), UnixMillis(4_000)), change, "{name}");
        }
    }

    #[test]
    fn bandwidth_and_deletion_depend_on_the_state() {
        let complete = Err(Refusal::State(Rejection::Complete));
        let in_progress = Err(Refusal::State(Rejection::InProgress));
        for (name, state, bandwidth, deletion) in [
            ("waiting", State::Waiting, Ok(()), Ok(())),
            ("running", State::Running, Ok(()), in_progress),
            ("pausing", State::Pausing, Ok(()), in_progress),
            ("paused", State::Paused, Ok(()), Ok(())),
            ("failed", State::Failed, Ok(()), Ok(())),
            ("succeeded", State::Succeeded, complete, Ok(())),
        ] {
            let task = TaskFacts::of(state);
            assert_eq!(
                (set_bandwidth(&task), delete(&task)),
                (bandwidth, deletion),
                "{name}"
            );
        }
    }
}
