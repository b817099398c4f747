//! How a worker leases a task, and how it leaves it.

use super::facts::{Others, TaskEnd, TaskFacts};
use super::reports::Lines;
use crate::error::{Error, Result, pluralize};
use crate::ledger::contract::Ending;
use crate::task::{Counters, Event, PassInfo, Reason, ReasonKind, State, UnixMillis};

/// A lease to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct TaskLease {
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

/// A worker leases a task that no other worker holds; `None` if the task needs no worker. A pausing task is leased to end the work
/// on it. If an earlier worker was cut off, its run counts up to its last write.
pub(in crate::ledger) fn lease(task: &TaskFacts) -> Option<TaskLease> {
    let state = match task.state {
        State::Pausing => State::Pausing,
        state => state.apply(Event::Lease).ok()?,
    };
    Some(TaskLease {
        state,
        ran_for: task.run.length(task.run.seen),
    })
}

/// What becomes of a task that a worker leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum AfterWork {
    /// The work on the task ends.
    Ends(Box<Finish>),
    /// Other workers must leave first.
    Waits,
    /// The worker has lost its lease.
    Fenced,
}

/// So many leases of a shard may end without a word and without progress. One more is refused.
const MOST_LOST_LEASES: i64 = 5;

/// The number of lost leases of a shard that is leased now; `None` if it is leased no more. It `was_held` if its last lease ended
/// without a word, and `before` is the number so far.
pub(in crate::ledger) const fn lost_leases(was_held: Held, before: i64) -> Option<i64> {
    let lost = match was_held {
        Held::Yes => before + 1,
        Held::No => before,
    };
    if lost < MOST_LOST_LEASES { Some(lost) } else { None }
}

/// Whether a shard has a holder, whose lease has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Held {
    /// It has.
    Yes,
    /// Its last holder has left, or there was none.
    No,
}

/// A worker leaves a task.
///
/// # Errors
/// `Internal` if it reports a pass as finished although no pass is open, or although a shard is still open.
pub(in crate::ledger) fn finish(
    task: &TaskFacts,
    fencing_token: i64,
    ending: Ending,
    (shards, others): (Shards, Others),
    now: UnixMillis,
) -> Result<AfterWork> {
    if task.fencing_token != fencing_token {
        return Ok(AfterWork::Fenced);
    }
    let of_pass = matches!(ending, Ending::PassFinished | Ending::PassFailed(_));
    let (event, reason) = match ending {
        Ending::Drained => match &task.trouble {
            None => (Event::Drain, None),
            Some(reason) => (Event::Fail, Some(reason.clone())),
        },
        Ending::Broken(reason) => (Event::Fail, Some(reason)),
        // Counters that do not balance matter more than the worker's reason.
        Ending::PassFailed(reason) if task.counters.balanced() => (Event::Fail, Some(reason)),
        Ending::PassFinished | Ending::PassFailed(_) => verdict(task.counters),
    };
    let Ok(state) = task.state.apply(event) else {
        return Ok(AfterWork::Fenced);
    };
    if others == Others::Hold {
        return Ok(AfterWork::Waits);
    }
    let pass = if of_pass {
        Some(finished_pass(task.pass, shards)?)
    } else {
        None
    };
    Ok(AfterWork::Ends(Box::new(Finish {
        leaving: task.left(state, Some(now), reason),
        pass,
        lines: match state {
            State::Succeeded => Lines::Drop,
            State::Waiting | State::Running | State::Pausing | State::Paused | State::Failed => Lines::Keep,
        },
    })))
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

/// Ends the work on a pausing task that no worker holds; `None` if the task stays as it is. It is paused, or has failed if a worker
/// could not continue.
pub(in crate::ledger) fn release(task: &TaskFacts) -> Option<TaskEnd> {
    let event = match task.trouble {
        Some(_) if task.state == State::Pausing => Event::Fail,
        _ => Event::Drain,
    };
    let state = task.state.apply(event).ok()?;
    Some(task.left(state, task.run.seen, task.trouble.clone()))
}

/// Pauses a running or pausing task that no worker holds, after a stop that could not be written; `None` if the task stays as
/// it is.
pub(in crate::ledger) fn pause(task: &TaskFacts) -> Option<TaskEnd> {
    let asked = match task.state {
        State::Running => task.state.apply(Event::Stop),
        state => Ok(state),
    };
    let pausing = TaskFacts {
        state: asked.ok()?,
        ..task.clone()
    };
    let end = release(&pausing)?;
    Some(TaskEnd {
        from: task.state,
        ..end
    })
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
            ("paused", TaskFacts::of(State::Paused), None),
            ("failed", TaskFacts::of(State::Failed), None),
            ("succeeded", TaskFacts::of(State::Succeeded), None),
        ] {
            let state = State::Running;
            let leased = ran_for.map(|ran_for| TaskLease { state, ran_for });
            assert_eq!(lease(&task), leased, "{name}");
        }
        let pausing = lease(&TaskFacts::of(State::Pausing));
        assert_eq!(pausing.map(|lease| lease.state), Some(State::Pausing));
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
            let end = ended(finish(&task, 7, ending, (Shards::Closed, Others::None), now));
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

    fn ended(after: Result<AfterWork>) -> Finish {
        match after.unwrap() {
            AfterWork::Ends(finish) => *finish,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_last_worker_to_leave_ends_the_work() {
        let task = working(State::Pausing, 5, 0);
        for ending in [Ending::Drained, Ending::Broken(reason())] {
            let waits = finish(&task, 7, ending, (Shards::Open, Others::Hold), UnixMillis(1));
            assert_eq!(waits.unwrap(), AfterWork::Waits);
        }
        // What another worker could not do becomes the end of the task.
        let troubled = TaskFacts {
            trouble: Some(reason()),
            ..task
        };
        let drained = (Shards::Open, Others::None);
        let end = ended(finish(&troubled, 7, Ending::Drained, drained, UnixMillis(4_000)));
        assert_eq!(
            (end.leaving.to, end.leaving.reason),
            (State::Failed, Some(reason()))
        );
        let released = release(&troubled).unwrap();
        assert_eq!((released.to, released.reason), (State::Failed, Some(reason())));
        let paused = pause(&TaskFacts {
            state: State::Running,
            ..troubled
        });
        assert_eq!(paused.unwrap().to, State::Failed);
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
    fn a_shard_that_loses_its_holders_is_leased_a_few_times() {
        for (held, before, after) in [
            (Held::No, 0, Some(0)),
            (Held::No, 4, Some(4)),
            (Held::Yes, 0, Some(1)),
            (Held::Yes, 3, Some(4)),
            (Held::Yes, 4, None),
        ] {
            assert_eq!(lost_leases(held, before), after, "{held:?} {before}");
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
                (Shards::Open, Others::None),
                UnixMillis(1),
            );
            assert_eq!(end.unwrap(), AfterWork::Fenced, "{name}");
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
                let error = finish(&task, 7, ending, (shards, Others::None), UnixMillis(1)).unwrap_err();
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
