//! Stops that take effect in memory at once, before the ledger knows of them.
//!
//! A message may be lost, and a ledger may be slow or take no change; a stop must not wait for either. Who runs a task holds
//! its token; who stops it cancels the token. An entry goes when the ledger shows the task as stopped.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::task::TaskId;

/// Tasks that somebody asked to stop.
#[derive(Debug, Default)]
pub struct Stops(Mutex<HashMap<TaskId, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    token: CancellationToken,
    asked: Option<Instant>,
    runs: bool,
}

impl Stops {
    fn entries(&self) -> MutexGuard<'_, HashMap<TaskId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whoever runs the task to stop, or not to begin. Only for a task that the ledger shows as running, so that the
    /// number of entries is bounded by theirs.
    pub fn ask(&self, task: TaskId, now: Instant) {
        let mut entries = self.entries();
        let entry = entries.entry(task).or_default();
        entry.asked.get_or_insert(now);
        entry.token.cancel();
    }

    /// The token of a task, for who begins to run it. It is cancelled when the task is asked to stop.
    pub fn token(&self, task: TaskId) -> CancellationToken {
        let mut entries = self.entries();
        let entry = entries.entry(task).or_default();
        entry.runs = true;
        entry.token.clone()
    }

    /// Says that the run has ended. A stop that was asked for stays until it is forgotten.
    pub fn ended(&self, task: TaskId) {
        if let Some(entry) = self.entries().get_mut(&task) {
            entry.runs = false;
        }
    }

    /// Whether somebody holds the token of the task.
    #[doc(hidden)]
    #[must_use]
    pub fn runs(&self, task: TaskId) -> bool {
        self.entries().get(&task).is_some_and(|entry| entry.runs)
    }

    /// Since when a task is asked to stop.
    pub fn asked(&self, task: TaskId) -> Option<Instant> {
        self.entries().get(&task).and_then(|entry| entry.asked)
    }

    /// All tasks that are asked to stop.
    pub fn all_asked(&self) -> Vec<TaskId> {
        let entries = self.entries();
        let asked = entries.iter().filter(|(_, entry)| entry.asked.is_some());
        asked.map(|(task, _)| *task).collect()
    }

    /// Forgets the stop of a task, which the ledger knows by now. A run that was asked stays asked.
    pub fn forget(&self, task: TaskId) {
        self.entries().remove(&task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_reaches_who_runs_the_task_and_who_is_about_to() {
        let (stops, now) = (Stops::default(), Instant::now());
        let [one, other] = [1, 2].map(|n| TaskId::new(n).unwrap());
        let run = stops.token(one);
        assert!(stops.asked(one).is_none() && stops.all_asked().is_empty());
        stops.ask(one, now);
        stops.ask(other, now);
        assert!(run.is_cancelled() && stops.token(other).is_cancelled());
        assert_eq!(stops.all_asked().len(), 2);
        // The first moment counts.
        stops.ask(one, now + std::time::Duration::from_secs(1));
        assert_eq!(stops.asked(one), Some(now));
        assert!(stops.runs(one));
        stops.ended(one);
        assert!(!stops.runs(one) && stops.asked(one).is_some());
        stops.forget(one);
        assert!(run.is_cancelled(), "that run is over in any case");
        assert!(!stops.token(one).is_cancelled(), "the next one is not");
    }
}
