//! The life of a task as a pure function.
//!
//! | from \ event | `Lease` | `Stop` | `Drain` | `Succeed` | `Fail` | `Start` | `Delete` |
//! |---|---|---|---|---|---|---|---|
//! | waiting | running | paused | – | – | failed | already started | (deleted) |
//! | running | running | pausing | – | succeeded | failed | already started | in progress |
//! | pausing | – | not in progress | paused | succeeded | failed | already started | in progress |
//! | paused | – | not in progress | – | – | – | waiting | (deleted) |
//! | failed | – | not in progress | – | – | – | waiting | (deleted) |
//! | succeeded | – | complete | – | – | – | complete | (deleted) |
//!
//! `–` is [`Rejection::Stale`]: the worker that reports it has lost its lease. A pausing task may still succeed or fail,
//! when its last object was settled before the stop reached the worker.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::names::stored_by_name;

/// Where a task stands. The names stand in the ledger and in logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// Waits for a worker.
    Waiting,
    /// A worker is on it, or will take it up again after a crash.
    Running,
    /// Was asked to stop; the worker is committing what it has.
    Pausing,
    /// Stopped by a user; has no credentials.
    Paused,
    /// Ended with failed objects, or could not go on; has no credentials.
    Failed,
    /// Every object is at the target.
    Succeeded,
}

/// What may happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker takes it.
    Lease,
    /// A user stops it.
    Stop,
    /// The worker has stopped and committed.
    Drain,
    /// The pass ended without a failure.
    Succeed,
    /// The pass ended with failures, or could not go on.
    Fail,
    /// A user starts it.
    Start,
    /// A user deletes it; the state stays, the task goes.
    Delete,
}

/// Why an event does not fit a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Start of a task that waits, runs or is about to pause.
    AlreadyStarted,
    /// Stop of a task that does not run.
    NotInProgress,
    /// Start or stop of a task that succeeded.
    Complete,
    /// Delete of a task that runs.
    InProgress,
    /// A worker reports on a task that is not its own any more.
    Stale,
}

impl State {
    /// The state after `event`.
    ///
    /// # Errors
    /// The [`Rejection`] of the table above.
    pub const fn apply(self, event: Event) -> Result<Self, Rejection> {
        match (self, event) {
            (Self::Waiting | Self::Running, Event::Lease) => Ok(Self::Running),
            (Self::Waiting, Event::Stop) => Ok(Self::Paused),
            (Self::Running, Event::Stop) => Ok(Self::Pausing),
            (Self::Pausing, Event::Drain) => Ok(Self::Paused),
            (Self::Running | Self::Pausing, Event::Succeed) => Ok(Self::Succeeded),
            (Self::Waiting | Self::Running | Self::Pausing, Event::Fail) => Ok(Self::Failed),
            (Self::Paused | Self::Failed, Event::Start) => Ok(Self::Waiting),
            (Self::Waiting | Self::Paused | Self::Failed | Self::Succeeded, Event::Delete) => Ok(self),

            (Self::Waiting | Self::Running | Self::Pausing, Event::Start) => Err(Rejection::AlreadyStarted),
            (Self::Succeeded, Event::Start | Event::Stop) => Err(Rejection::Complete),
            (Self::Pausing | Self::Paused | Self::Failed, Event::Stop) => Err(Rejection::NotInProgress),
            (Self::Running | Self::Pausing, Event::Delete) => Err(Rejection::InProgress),
            (Self::Pausing | Self::Paused | Self::Failed | Self::Succeeded, Event::Lease)
            | (Self::Waiting | Self::Running | Self::Paused | Self::Failed | Self::Succeeded, Event::Drain)
            | (Self::Waiting | Self::Paused | Self::Failed | Self::Succeeded, Event::Succeed)
            | (Self::Paused | Self::Failed | Self::Succeeded, Event::Fail) => Err(Rejection::Stale),
        }
    }

    /// Whether the ledger keeps credentials in this state: only while the task can run by itself.
    #[must_use]
    pub const fn keeps_credentials(self) -> bool {
        match self {
            Self::Waiting | Self::Running | Self::Pausing => true,
            Self::Paused | Self::Failed | Self::Succeeded => false,
        }
    }
}

stored_by_name!(State);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_and_start_cycle_comes_back_to_waiting() {
        let path = [Event::Lease, Event::Stop, Event::Drain, Event::Start];
        let end = path.into_iter().try_fold(State::Waiting, State::apply);
        assert_eq!(end, Ok(State::Waiting));
    }

    #[test]
    fn every_event_leads_where_the_table_says() {
        use Rejection::{AlreadyStarted, Complete, InProgress, NotInProgress, Stale};
        use State::{Failed, Paused, Pausing, Running, Succeeded, Waiting};
        let events = [
            Event::Lease,
            Event::Stop,
            Event::Drain,
            Event::Succeed,
            Event::Fail,
            Event::Start,
            Event::Delete,
        ];
        let stale = Err(Stale);
        let rows = [
            (
                Waiting,
                [
                    Ok(Running),
                    Ok(Paused),
                    stale,
                    stale,
                    Ok(Failed),
                    Err(AlreadyStarted),
                    Ok(Waiting),
                ],
            ),
            (
                Running,
                [
                    Ok(Running),
                    Ok(Pausing),
                    stale,
                    Ok(Succeeded),
                    Ok(Failed),
                    Err(AlreadyStarted),
                    Err(InProgress),
                ],
            ),
            (
                Pausing,
                [
                    stale,
                    Err(NotInProgress),
                    Ok(Paused),
                    Ok(Succeeded),
                    Ok(Failed),
                    Err(AlreadyStarted),
                    Err(InProgress),
                ],
            ),
            (
                Paused,
                [
                    stale,
                    Err(NotInProgress),
                    stale,
                    stale,
                    stale,
                    Ok(Waiting),
                    Ok(Paused),
                ],
            ),
            (
                Failed,
                [
                    stale,
                    Err(NotInProgress),
                    stale,
                    stale,
                    stale,
                    Ok(Waiting),
                    Ok(Failed),
                ],
            ),
            (
                Succeeded,
                [
                    stale,
                    Err(Complete),
                    stale,
                    stale,
                    stale,
                    Err(Complete),
                    Ok(Succeeded),
                ],
            ),
        ];
        for (state, wanted) in rows {
            assert_eq!(events.map(|event| state.apply(event)), wanted, "{state:?}");
        }
    }

    #[test]
    fn each_state_has_its_name_and_says_whether_it_keeps_credentials() {
        let rows = [
            (State::Waiting, "waiting", true),
            (State::Running, "running", true),
            (State::Pausing, "pausing", true),
            (State::Paused, "paused", false),
            (State::Failed, "failed", false),
            (State::Succeeded, "succeeded", false),
        ];
        assert_eq!(rows.map(|(state, ..)| state), State::ALL);
        for (state, name, keeps) in rows {
            assert_eq!(
                (state.name(), state.keeps_credentials()),
                (name, keeps),
                "{state:?}"
            );
            assert_eq!(State::from_name(name), Some(state), "{name}");
        }
        for other in ["", "Waiting", "waiting ", "unknown"] {
            assert_eq!(State::from_name(other), None, "{other:?}");
        }
    }

    #[test]
    fn credentials_are_asked_for_again_exactly_where_they_were_wiped() {
        for &state in State::ALL {
            if state.apply(Event::Start).is_ok() {
                assert!(!state.keeps_credentials(), "{state:?}");
            }
        }
    }
}
