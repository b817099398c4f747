//! Warnings of a pass on their way to the ledger.
//!
//! The first warning of its kind is written at once, before the work that follows it is committed. Repetitions are counted in
//! memory and written when the pass ends, so a warning that every object repeats costs one transaction.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::task::{Warning, WarningCode};

/// How many different warnings are remembered; more than the ledger keeps.
const MAX_DIFFERENT: usize = 2 * Warning::MOST;

/// Warnings that this lease has written already, with their repetitions since then.
#[derive(Debug, Default)]
pub struct RecordedWarnings(Mutex<HashMap<(WarningCode, String), Option<Warning>>>);

impl RecordedWarnings {
    /// Returns the warning if it must be written now; otherwise counts it. A warning for which there is no room is counted as
    /// [`WarningCode::MoreWarnings`].
    pub(super) fn record(&self, warning: Warning) -> Option<Warning> {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (warning.code(), warning.subject().to_owned());
        let full = recorded.len() >= MAX_DIFFERENT;
        if let Some(again) = recorded.get_mut(&key) {
            *again = Some(match again.take() {
                None => warning,
                Some(before) => warning.times(before.count().saturating_add(1)),
            });
            return None;
        }
        if full && warning.code() != WarningCode::MoreWarnings {
            drop(recorded);
            return self.record(Warning::new(
                WarningCode::MoreWarnings,
                "more different warnings occurred than are kept",
            ));
        }
        recorded.insert(key, None);
        Some(warning)
    }

    /// Counts a warning that is written at the end of the pass with the repetitions.
    pub(super) fn defer(&self, warning: Warning) {
        if let Some(first) = self.record(warning) {
            let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            recorded.insert((first.code(), first.subject().to_owned()), Some(first));
        }
    }

    /// Returns the repetitions and resets them.
    pub(super) fn take_repetitions(&self) -> Vec<Warning> {
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.values_mut().filter_map(Option::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(subject: &str) -> Warning {
        Warning::new(WarningCode::ScopeEntryEmpty, "m").about(subject)
    }

    #[test]
    fn the_first_is_written_and_the_others_are_counted() {
        let recorded = RecordedWarnings::default();
        assert_eq!(recorded.record(warning("a")), Some(warning("a")));
        for _ in 0..3 {
            assert_eq!(recorded.record(warning("a")), None);
        }
        assert_eq!(recorded.record(warning("b")), Some(warning("b")));
        assert_eq!(recorded.take_repetitions(), [warning("a").times(3)]);
        assert_eq!(recorded.take_repetitions(), []);
        assert_eq!(recorded.record(warning("a")), None);
        assert_eq!(recorded.take_repetitions(), [warning("a")]);
    }

    #[test]
    fn a_later_warning_is_written_with_the_repetitions() {
        let recorded = RecordedWarnings::default();
        recorded.defer(warning("a"));
        recorded.defer(warning("a"));
        assert_eq!(recorded.take_repetitions(), [warning("a").times(2)]);
        recorded.defer(warning("a"));
        assert_eq!(recorded.take_repetitions(), [warning("a")]);
    }

    #[test]
    fn memory_is_bounded() {
        let recorded = RecordedWarnings::default();
        let written: Vec<_> = (0..10_000)
            .filter_map(|n| recorded.record(warning(&n.to_string())))
            .collect();
        assert_eq!(written.len(), MAX_DIFFERENT + 1);
        assert_eq!(written[MAX_DIFFERENT].code(), WarningCode::MoreWarnings);
        let again = recorded.take_repetitions();
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].count() as usize, 10_000 - MAX_DIFFERENT - 1);
    }
}
