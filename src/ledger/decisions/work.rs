//! How a worker leases a task, and how it leaves it.

use super::facts::{TaskEnd, TaskFacts};
use super::reports::Lines;
use crate::error::{Error, Result, pluralize};
use crate::ledger::contract::Ending;
use crate::task::{Counters, Event, PassInfo, Reason, ReasonKind, State, UnixMillis};

/// A lease to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Lease {
    /// The new state.
    pub(in crate::ledger) state: State,
    /// What an interrupted run adds to the run time, in milliseconds.
    pub(in crate::ledger) ran_for: i64,
}

/// Whether shards of the last pass are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Shards {
    /// At least one.
    Open,
    /// None.
    Closed,
}

/// The end of a worker's work on a task, to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Finish {
    /// How the work on the task ends.
    pub(in crate::ledger) leaving: TaskEnd,
    /// Number of the pass that is finished now.
    pub(in crate::ledger) pass: Option<i64>,
    /// The lines of the reports of copied and skipped objects.
    pub(in crate::ledger) lines: Lines,
}

/// A worker leases a task; `None` if the task needs no worker. If an earlier worker was cut off, its run counts up to its
/// last write.
pub(in crate::ledger) fn lease(task: &TaskFacts) -> Option<Lease> {
    let state = task.state.apply(Event::Lease).ok()?;
    Some(Lease {
        state,
        ran_for: task.run.length(task.run.seen),
    })
}

/// A worker leaves a task; `None` if it has lost its lease.
///
/// # Errors
/// `Internal` if it reports a pass as finished although no pass is open, or although a shard is still open.
pub(in crate::ledger) fn finish(
    task: &TaskFacts,
    fencing_token: i64,
    ending: Ending,
    shards: Shards,
    now: UnixMillis,
) -> Result<Option<Finish>> {
    if task.fencing_token != fencing_token {
        return Ok(None);
    }
    let of_pass = matches!(ending, Ending::PassFinished | Ending::PassFailed(_));
    let (event, reason) = match ending {
        Ending::Drained => (Event::Drain, None),
        Ending::Broken(reason) => (Event::Fail, Some(reason)),
        // Counters that do not balance matter more than the worker's reason.
        Ending::PassFailed(reason) if task.counters.balanced() => (Event::Fail, Some(reason)),
        Ending::PassFinished | Ending::PassFailed(_) => verdict(task.counters),
    };
    let Ok(state) = task.state.apply(event) else {
        return Ok(None);
    };
    let pass = if of_pass {
        Some(finished_pass(task.pass, shards)?)
    } else {
        None
    };
    Ok(Some(Finish {
        leaving: task.left(state, Some(now), reason),
        pass,
        lines: match state {
            State::Succeeded => Lines::Drop,
            State::Waiting | State::Running | State::Pausing | State::Paused | State::Failed => Lines::Keep,
        },
    }))
}

/// How a task ends when all shards of its pass are closed.
fn verdict(counters: Counters) -> (Event, Option<Reason>) {
    let Counters {
        listed,
        copied,
        skipped,
        gone,
        failed,
        ..
    } = counters;
    let (kind, message) = if !counters.balanced() {
        let text = format!(
            "counters do not balance: {listed} listed, but {copied} copied, {skipped} skipped, {gone} gone \
             and {failed} failed"
        );
        (ReasonKind::SystemError, text)
    } else if failed > 0 {
        let objects = pluralize(failed, "object", "objects");
        (ReasonKind::ObjectsFailed, format!("{objects} failed"))
    } else {
        return (Event::Succeed, None);
    };
    (Event::Fail, Some(Reason { kind, message }))
}

/// Number of the pass that a worker reports as finished. It is finished even if the counters do not balance. If it were
/// resumed, it would end the same way each time. A new full pass counts from zero.
fn finished_pass(last: Option<PassInfo>, shards: Shards) -> Result<i64> {
    let Some(pass) = last.filter(|pass| !pass.finished) else {
        return Err(Error::internal(
            "a pass was reported as finished, but none is open",
        ));
    };
    match shards {
        Shards::Closed => Ok(pass.number),
        Shards::Open => Err(Error::internal(
            "a pass was reported as finished, but a shard is open",
        )),
    }
}

/// Pauses a pausing task that no worker holds; `None` if the task stays as it is.
pub(in crate::ledger) fn release(task: &TaskFacts) -> Option<TaskEnd> {
    let state = task.state.apply(Event::Drain).ok()?;
    Some(task.left(state, task.run.seen, None))
}

/// Pauses a running or pausing task that no worker holds, after a stop that could not be written; `None` if the task stays as
/// it is.
pub(in crate::ledger) fn pause(task: &TaskFacts) -> Option<TaskEnd> {
    let asked = match task.state {
        State::Running => task.state.apply(Event::Stop),
        state => Ok(state),
    };
    let state = asked.and_then(|asked| asked.apply(Event::Drain)).ok()?;
    Some(task.left(state, task.run.seen, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::decisions::facts::Run;
    use crate::task::PassKind;

    #[test]
    fn a_lease_accounts_the_run_that_was_cut_off() {
        let late = TaskFacts {
            run: Run {
                since: None,
                seen: Some(UnixMillis(3_000)),
            },
            ..TaskFacts::of(State::Waiting)
        };
        for (name, task, ran_for) in [
            ("waiting", TaskFacts::of(State::Waiting), Some(0)),
            ("waiting, after an earlier run", late, Some(0)),
            ("running", TaskFacts::of(State::Running), Some(2_000)),
            ("pausing", TaskFacts::of(State::Pausing), None),
            ("paused", TaskFacts::of(State::Paused), None),
            ("failed", TaskFacts::of(State::Failed), None),
            ("succeeded", TaskFacts::of(State::Succeeded), None),
        ] {
            let state = State::Running;
            let leased = ran_for.map(|ran_for| Lease { state, ran_for });
            assert_eq!(lease(&task), leased, "{name}");
        }
    }

    fn reason() -> Reason {
        Reason {
            kind: ReasonKind::NoSourceObjects,
            message: "nothing".to_owned(),
        }
    }

    /// A task in the middle of pass 3.
    fn working(state: State, listed: i64, failed: i64) -> TaskFacts {
        let counters = Counters {
            listed,
            copied: 5,
            failed,
            ..Counters::default()
        };
        TaskFacts {
            counters,
            ..TaskFacts::of(state).with_pass(PassKind::Full, false)
        }
    }

    #[test]
    fn a_worker_ends_a_task_as_its_counters_say() {
        let (running, pausing) = (State::Running, State::Pausing);
        let (failed, succeeded) = (State::Failed, State::Succeeded);
        for (name, task, ending, to, wanted, pass) in [
            (
                "all copied",
                working(running, 5, 0),
                Ending::PassFinished,
                succeeded,
                None,
                Some(3),
            ),
            (
                "one failed",
                working(running, 6, 1),
                Ending::PassFinished,
                failed,
                Some(ReasonKind::ObjectsFailed),
                Some(3),
            ),
            (
                "unbalanced",
                working(running, 7, 1),
                Ending::PassFinished,
                failed,
                Some(ReasonKind::SystemError),
                Some(3),
            ),
            (
                "a stop came too late",
                working(pausing, 5, 0),
                Ending::PassFinished,
                succeeded,
                None,
                Some(3),
            ),
            (
                "a reason of its own",
                working(running, 5, 0),
                Ending::PassFailed(reason()),
                failed,
                Some(ReasonKind::NoSourceObjects),
                Some(3),
            ),
            (
                "a reason of its own, with failures",
                working(running, 6, 1),
                Ending::PassFailed(reason()),
                failed,
                Some(ReasonKind::NoSourceObjects),
                Some(3),
            ),
            (
                "counters that do not balance hide the reason",
                working(running, 7, 1),
                Ending::PassFailed(reason()),
                failed,
                Some(ReasonKind::SystemError),
                Some(3),
            ),
            (
                "drained",
                working(pausing, 7, 1),
                Ending::Drained,
                State::Paused,
                None,
                None,
            ),
            (
                "broken",
                working(running, 7, 1),
                Ending::Broken(reason()),
                failed,
                Some(ReasonKind::NoSourceObjects),
                None,
            ),
        ] {
            let now = UnixMillis(4_000);
            let end = finish(&task, 7, ending, Shards::Closed, now).unwrap().unwrap();
            let TaskEnd {
                from,
                to: new,
                reason,
                ran_for,
                ended_at,
            } = end.leaving;
            assert_eq!((from, new, ran_for), (task.state, to, 3_000), "{name}");
            assert_eq!(reason.as_ref().map(|reason| reason.kind), wanted, "{name}");
            assert_eq!(ended_at.is_some(), to != State::Paused, "{name}");
            assert_eq!(end.pass, pass, "{name}");
            assert_eq!(end.lines == Lines::Drop, to == succeeded, "{name}");
        }
    }

    #[test]
    fn reasons_name_the_numbers() {
        for (name, task, message) in [
            ("one", working(State::Running, 6, 1), "1 object failed"),
            ("two", working(State::Running, 7, 2), "2 objects failed"),
            (
                "unbalanced",
                working(State::Running, 9, 1),
                "counters do not balance: 9 listed, but 5 copied, 0 skipped, 0 gone and 1 failed",
            ),
        ] {
            let (_, reason) = verdict(task.counters);
            assert_eq!(reason.unwrap().message, message, "{name}");
        }
    }

    #[test]
    fn who_has_lost_the_lease_ends_nothing() {
        for (name, state, fencing_token, ending) in [
            ("an earlier token", State::Running, 6, Ending::PassFinished),
            ("nobody asked for a stop", State::Running, 7, Ending::Drained),
            ("paused", State::Paused, 7, Ending::Drained),
            ("failed", State::Failed, 7, Ending::Broken(reason())),
            ("succeeded", State::Succeeded, 7, Ending::PassFinished),
            ("started again", State::Waiting, 7, Ending::PassFinished),
        ] {
            // A worker that has lost its lease gets no error because of an open shard.
            let end = finish(
                &working(state, 5, 0),
                fencing_token,
                ending,
                Shards::Open,
                UnixMillis(1),
            );
            assert_eq!(end.unwrap(), None, "{name}");
        }
    }

    #[test]
    fn a_pass_does_not_end_too_early() {
        let task = || working(State::Running, 5, 0);
        for (name, task, shards, text) in [
            (
                "no pass",
                TaskFacts::of(State::Running),
                Shards::Closed,
                "none is open",
            ),
            (
                "finished before",
                task().with_pass(PassKind::Full, true),
                Shards::Closed,
                "none is open",
            ),
            ("a shard is open", task(), Shards::Open, "a shard is open"),
        ] {
            for ending in [Ending::PassFinished, Ending::PassFailed(reason())] {
                let error = finish(&task, 7, ending, shards, UnixMillis(1)).unwrap_err();
                assert!(error.to_string().contains(text), "{name}: {error}");
            }
        }
    }

    #[test]
    fn what_nobody_works_on_is_paused() {
        for (name, state, released, paused) in [
            ("waiting", State::Waiting, false, false),
            ("running", State::Running, false, true),
            ("pausing", State::Pausing, true, true),
            ("paused", State::Paused, false, false),
            ("failed", State::Failed, false, false),
            ("succeeded", State::Succeeded, false, false),
        ] {
            let task = TaskFacts::of(state);
            let left = TaskEnd {
                from: state,
                to: State::Paused,
                reason: None,
                // Up to the last write.
                ran_for: 2_000,
                ended_at: None,
            };
            assert_eq!(release(&task), released.then(|| left.clone()), "{name}");
            assert_eq!(pause(&task), paused.then_some(left), "{name}");
        }
    }
}
