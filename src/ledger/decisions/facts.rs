//! What a decision knows of a task, and how the work on a task ends.

use crate::ledger::lease::Lease;
use crate::task::{Counters, PassInfo, Reason, State, UnixMillis, WorkerId};

/// What the ledger holds of a task before a change.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct TaskFacts {
    /// Its state.
    pub(in crate::ledger) state: State,
    /// The last fencing token that was given for it.
    pub(in crate::ledger) fencing_token: i64,
    /// Its last pass.
    pub(in crate::ledger) pass: Option<PassInfo>,
    /// Whether its failures are being deleted before a new full pass.
    pub(in crate::ledger) forgetting: bool,
    /// Its counters.
    pub(in crate::ledger) counters: Counters,
    /// Its current run.
    pub(in crate::ledger) run: Run,
    /// How far the work of its holder is.
    pub(in crate::ledger) lease: LeaseState,
    /// Its holder; `None` if nobody holds it.
    pub(in crate::ledger) holder: Option<Lease>,
    /// Why a worker that takes part in it cannot continue.
    pub(in crate::ledger) trouble: Option<Reason>,
    /// Sum of its crashes since it last made progress.
    pub(in crate::ledger) crashes: i64,
    /// A number that changes with all progress.
    pub(in crate::ledger) progress: i64,
}

/// A run of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Run {
    /// When it began; `None` if the task does not run.
    pub(in crate::ledger) since: Option<UnixMillis>,
    /// When a worker last wrote; `None` before the first lease.
    pub(in crate::ledger) seen: Option<UnixMillis>,
}

/// Whether other workers hold shards of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Others {
    /// At least one, and its lease has not ended.
    Hold,
    /// None.
    None,
}

/// Who works on a running task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum LeaseState {
    /// Nobody, or the process ended in an orderly way.
    Nobody,
    /// A worker that has only just leased it.
    Leased,
    /// A worker that has worked for a while ([`crate::ledger::Ledger::confirm_running`]).
    Confirmed,
}

/// How the work on a task ends, to write. The task's credentials are wiped, its count of crashes is reset, and nobody holds
/// it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct TaskEnd {
    /// The state that was read.
    pub(in crate::ledger) from: State,
    /// The new state.
    pub(in crate::ledger) to: State,
    /// Why it failed.
    pub(in crate::ledger) reason: Option<Reason>,
    /// What its run adds to the run time, in milliseconds.
    pub(in crate::ledger) ran_for: i64,
    /// When it ended; `None` if it can still run.
    pub(in crate::ledger) ended_at: Option<UnixMillis>,
}

impl TaskFacts {
    /// Whether the worker with this fencing token may write: nobody has leased or started the task since, and it was not left.
    pub(in crate::ledger) fn lease_holds(&self, fencing_token: i64) -> bool {
        self.fencing_token == fencing_token && matches!(self.state, State::Running | State::Pausing)
    }

    /// Whether another worker holds the task at `now`, with leases of `length` milliseconds.
    pub(in crate::ledger) fn is_held_by_another(
        &self,
        worker: WorkerId,
        now: UnixMillis,
        length: i64,
    ) -> bool {
        self.holder
            .is_some_and(|lease| lease.keeps_out(worker, now, length))
    }

    /// Ends the work on the task. `to` is its new state, and its run ended at `until`.
    pub(super) fn left(&self, to: State, until: Option<UnixMillis>, reason: Option<Reason>) -> TaskEnd {
        TaskEnd {
            from: self.state,
            to,
            reason,
            ran_for: self.run.length(until),
            ended_at: match to {
                State::Failed | State::Succeeded => until,
                State::Waiting | State::Running | State::Pausing | State::Paused => None,
            },
        }
    }
}

impl Run {
    /// How long the run took until a moment, in milliseconds. It is never negative, even if the clock was set back.
    pub(super) fn length(self, until: Option<UnixMillis>) -> i64 {
        match (self.since, until) {
            (Some(since), Some(until)) => until.0.saturating_sub(since.0).max(0),
            _ => 0,
        }
    }
}

#[cfg(test)]
impl TaskFacts {
    /// A task with the fencing token 7 and no pass. If it runs, it does so since moment 1000, and its worker last wrote at 3000.
    pub(super) fn of(state: State) -> Self {
        let runs = matches!(state, State::Running | State::Pausing);
        Self {
            state,
            fencing_token: 7,
            pass: None,
            forgetting: false,
            counters: Counters::default(),
            run: Run {
                since: runs.then_some(UnixMillis(1_000)),
                seen: runs.then_some(UnixMillis(3_000)),
            },
            lease: LeaseState::Nobody,
            holder: None,
            trouble: None,
            crashes: 0,
            progress: 0,
        }
    }

    /// The same with a last pass that has the number 3.
    pub(super) fn with_pass(self, kind: crate::task::PassKind, finished: bool) -> Self {
        let pass = PassInfo {
            number: 3,
            kind,
            finished,
            opened_at: UnixMillis(500),
        };
        Self {
            pass: Some(pass),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_under_the_last_token_of_a_task_that_is_worked_on() {
        for (name, state, fencing_token, holds) in [
            ("running", State::Running, 7, true),
            ("pausing", State::Pausing, 7, true),
            ("an earlier token", State::Running, 6, false),
            ("a token that was never given", State::Running, 8, false),
            ("started, but not leased", State::Waiting, 7, false),
            ("paused", State::Paused, 7, false),
            ("failed", State::Failed, 7, false),
            ("succeeded", State::Succeeded, 7, false),
        ] {
            assert_eq!(TaskFacts::of(state).lease_holds(fencing_token), holds, "{name}");
        }
    }

    #[test]
    fn a_run_is_as_long_as_the_clock_says_but_never_negative() {
        let at = |millis| Some(UnixMillis(millis));
        for (name, since, until, length) in [
            ("forwards", at(1_000), at(4_000), 3_000),
            ("the clock was set back", at(1_000), at(400), 0),
            ("as far as it goes", at(i64::MIN), at(i64::MAX), i64::MAX),
            ("it never ran", None, at(4_000), 0),
            ("nobody knows its end", at(1_000), None, 0),
        ] {
            let run = Run { since, seen: None };
            assert_eq!(run.length(until), length, "{name}");
        }
    }

    #[test]
    fn only_a_task_that_cannot_run_has_ended() {
        for (name, to, ended_at) in [
            ("failed", State::Failed, Some(UnixMillis(4_000))),
            ("succeeded", State::Succeeded, Some(UnixMillis(4_000))),
            ("paused", State::Paused, None),
        ] {
            let left = TaskFacts::of(State::Running).left(to, Some(UnixMillis(4_000)), None);
            assert_eq!((left.ended_at, left.ran_for), (ended_at, 3_000), "{name}");
        }
    }
}
