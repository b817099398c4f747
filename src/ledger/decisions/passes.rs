//! Which pass a worker works on, and what a commit may write.

use super::facts::TaskFacts;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::contract::Commit;
use crate::ledger::failure::MOST_FAILURES;
use crate::task::{PassInfo, PassKind, State};

/// The pass that a worker works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Opening {
    /// The unfinished one.
    Resumed(PassInfo),
    /// A new one with this number. Counters, failures and reports begin anew.
    Anew(i64),
    /// A new one with this number. It continues counters, failures and reports of the last.
    Continued(i64),
}

/// Which pass a worker works on when it opens one of this kind. An unfinished pass is resumed, whatever its kind.
///
/// # Errors
/// `Conflict` if it has lost its lease, or the task is deleted.
pub(in crate::ledger) fn open(
    task: Option<&TaskFacts>,
    fencing_token: i64,
    kind: PassKind,
) -> Result<Opening> {
    let Some(task) = task.filter(|task| task.lease_holds(fencing_token)) else {
        return Err(Error::new(ErrorKind::Conflict, "the task was taken over"));
    };
    let number = task.pass.map_or(0, |pass| pass.number) + 1;
    Ok(match (task.pass, kind) {
        (Some(pass), _) if !pass.finished => Opening::Resumed(pass),
        (_, PassKind::Full) => Opening::Anew(number),
        (_, PassKind::Failed) => Opening::Continued(number),
    })
}

/// Whether `step` of the `recorded` failures are deleted now, before a full pass is opened. If fewer are recorded, opening
/// the pass deletes them. If a pass is unfinished, none are deleted, because it will be resumed and needs them.
pub(in crate::ledger) fn forgets_failures(
    task: &TaskFacts,
    fencing_token: i64,
    recorded: i64,
    step: i64,
) -> bool {
    task.fencing_token == fencing_token
        && task.state == State::Running
        && task.pass.is_none_or(|pass| pass.finished)
        && recorded >= step
}

/// Whether a commit is progress, which resets the count of crashes. A new speed alone is no progress.
pub(in crate::ledger) const fn is_progress(commit: &Commit) -> bool {
    commit.checkpoint.is_some() || commit.close
}

/// Whether a commit is refused because the task would have too many failures. The commit changes their number by `change`, to
/// `failed`. A commit that adds no failure is never refused.
pub(in crate::ledger) const fn too_many_failures(change: i64, failed: i64) -> bool {
    change > 0 && failed > MOST_FAILURES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Key;

    #[test]
    fn an_unfinished_pass_is_resumed_whatever_was_asked_for() {
        let task = || TaskFacts::of(State::Running);
        let unfinished = task().with_pass(PassKind::Full, false);
        let finished = task().with_pass(PassKind::Full, true);
        let resumed = Opening::Resumed(unfinished.pass.unwrap());
        for (name, task, full, failed) in [
            ("the first", task(), Opening::Anew(1), Opening::Continued(1)),
            ("the next", finished, Opening::Anew(4), Opening::Continued(4)),
            ("unfinished", unfinished, resumed, resumed),
        ] {
            assert_eq!(open(Some(&task), 7, PassKind::Full).unwrap(), full, "{name}");
            assert_eq!(open(Some(&task), 7, PassKind::Failed).unwrap(), failed, "{name}");
        }
    }

    #[test]
    fn only_the_holder_of_the_lease_opens_a_pass() {
        let task = |state| TaskFacts::of(state).with_pass(PassKind::Full, false);
        for (name, task, fencing_token) in [
            ("an earlier token", Some(task(State::Running)), 6),
            ("not leased", Some(task(State::Waiting)), 7),
            ("paused", Some(task(State::Paused)), 7),
            ("deleted", None, 7),
        ] {
            let fenced = open(task.as_ref(), fencing_token, PassKind::Full).unwrap_err();
            assert_eq!(fenced.kind(), ErrorKind::Conflict, "{name}");
        }
    }

    #[test]
    fn failures_are_forgotten_in_steps_before_a_full_pass_only() {
        let task = |state| TaskFacts::of(state).with_pass(PassKind::Full, true);
        let unfinished = TaskFacts::of(State::Running).with_pass(PassKind::Full, false);
        for (name, task, fencing_token, recorded, forgets) in [
            ("as many as a step", task(State::Running), 7, 200, true),
            (
                "before the first pass",
                TaskFacts::of(State::Running),
                7,
                200,
                true,
            ),
            ("fewer", task(State::Running), 7, 199, false),
            ("fenced", task(State::Running), 6, 200, false),
            ("about to pause", task(State::Pausing), 7, 200, false),
            ("not leased", task(State::Waiting), 7, 200, false),
            ("the pass will be resumed", unfinished, 7, 200, false),
        ] {
            assert_eq!(
                forgets_failures(&task, fencing_token, recorded, 200),
                forgets,
                "{name}"
            );
        }
    }

    #[test]
    fn what_settles_something_is_progress() {
        let nothing = Commit::default;
        let checkpoint = Commit {
            checkpoint: Some(Key::from("k")),
            ..nothing()
        };
        let close = Commit {
            close: true,
            ..nothing()
        };
        let speed = Commit {
            speed: 7,
            ..nothing()
        };
        for (name, commit, progress) in [
            ("a checkpoint", checkpoint, true),
            ("a closed shard", close, true),
            ("a speed", speed, false),
            ("nothing", nothing(), false),
        ] {
            assert_eq!(is_progress(&commit), progress, "{name}");
        }
    }

    #[test]
    fn one_failure_above_the_limit_is_refused() {
        for (name, change, failed, refused) in [
            ("the last one", 1, MOST_FAILURES, false),
            ("one more", 1, MOST_FAILURES + 1, true),
            ("many at once", 5, MOST_FAILURES + 1, true),
            ("none, above the limit", 0, MOST_FAILURES + 1, false),
            ("one less, above the limit", -1, MOST_FAILURES + 1, false),
        ] {
            assert_eq!(too_many_failures(change, failed), refused, "{name}");
        }
    }
}
