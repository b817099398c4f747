//! Stops that take effect in memory at once, before they are recorded in the ledger.
//!
//! A message may be lost, and a ledger may be slow or refuse changes. A stop must not wait for either. The worker that
//! runs a task holds its token, and a request to stop the task cancels the token. An entry is removed when the ledger
//! shows the task as stopped.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::task::TaskId;

/// Tasks with a requested stop.
#[derive(Debug, Default)]
pub struct Stops(Mutex<HashMap<TaskId, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    token: CancellationToken,
    requested_at: Option<Instant>,
    runs: bool,
}

impl Stops {
    fn entries(&self) -> MutexGuard<'_, HashMap<TaskId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that a running task stops, or that a task does not start. Only for a task that the ledger shows as
    /// running; this limits the number of entries.
    pub fn request(&self, task: TaskId, now: Instant) {
        let mut entries = self.entries();
        let entry = entries.entry(task).or_default();
        entry.requested_at.get_or_insert(now);
        entry.token.cancel();
    }

    /// The token of a task, for the worker that starts to run it. It is cancelled when a stop is requested.
    pub fn token(&self, task: TaskId) -> CancellationToken {
        let mut entries = self.entries();
        let entry = entries.entry(task).or_default();
        entry.runs = true;
        entry.token.clone()
    }

    /// Records that the run has ended. A requested stop is kept until it is forgotten.
    pub fn ended(&self, task: TaskId) {
        if let Some(entry) = self.entries().get_mut(&task) {
            entry.runs = false;
        }
    }

    /// Whether a worker holds the token of the task.
    #[doc(hidden)]
    #[must_use]
    pub fn runs(&self, task: TaskId) -> bool {
        self.entries().get(&task).is_some_and(|entry| entry.runs)
    }

    /// When the stop of a task was requested.
    pub fn requested_at(&self, task: TaskId) -> Option<Instant> {
        self.entries().get(&task).and_then(|entry| entry.requested_at)
    }

    /// All tasks with a requested stop.
    pub fn all_requested(&self) -> Vec<TaskId> {
        let entries = self.entries();
        let requested_at = entries.iter().filter(|(_, entry)| entry.requested_at.is_some());
        requested_at.map(|(task, _)| *task).collect()
    }

    /// Forgets the stop of a task, because the ledger has it now. The token of a run that was already cancelled stays
    /// cancelled.
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
        assert!(stops.requested_at(one).is_none() && stops.all_requested().is_empty());
        stops.request(one, now);
        stops.request(other, now);
        assert!(run.is_cancelled() && stops.token(other).is_cancelled());
        assert_eq!(stops.all_requested().len(), 2);
        // The time of the first request counts.
        stops.request(one, now + std::time::Duration::from_secs(1));
        assert_eq!(stops.requested_at(one), Some(now));
        assert!(stops.runs(one));
        stops.ended(one);
        assert!(!stops.runs(one) && stops.requested_at(one).is_some());
        stops.forget(one);
        assert!(run.is_cancelled(), "that run is over in any case");
        assert!(!stops.token(one).is_cancelled(), "the next one is not");
    }
}
