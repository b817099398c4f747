//! What happens to the reports of copied and skipped objects.

use crate::task::ReportProblem;

/// What happens to the lines of a report that wait to be written to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Lines {
    /// They stay.
    Keep,
    /// They are deleted.
    Drop,
}

/// Decides what happens to a report that the target refused. `waiting` is the length of its waiting lines, and `known` is its
/// problem so far. Returns its problem now, and what happens to the lines: more than `most` bytes are dropped. After lines
/// were dropped, the problem stays `TooLarge`, because the report stays incomplete.
pub(in crate::ledger) fn refused(
    waiting: i64,
    most: i64,
    known: Option<ReportProblem>,
) -> (ReportProblem, Lines) {
    match known {
        _ if waiting > most.max(0) => (ReportProblem::TooLarge, Lines::Drop),
        Some(ReportProblem::TooLarge) => (ReportProblem::TooLarge, Lines::Keep),
        Some(ReportProblem::NotStored) | None => (ReportProblem::NotStored, Lines::Keep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_report_waits_until_it_is_too_large() {
        let (not_stored, too_large) = (ReportProblem::NotStored, ReportProblem::TooLarge);
        for (name, waiting, most, known, problem, lines) in [
            ("the first time", 4, 4, None, not_stored, Lines::Keep),
            ("once more", 4, 4, Some(not_stored), not_stored, Lines::Keep),
            ("too large", 5, 4, Some(not_stored), too_large, Lines::Drop),
            ("too large at once", 5, 4, None, too_large, Lines::Drop),
            ("lines are missing", 1, 4, Some(too_large), too_large, Lines::Keep),
            ("too large again", 5, 4, Some(too_large), too_large, Lines::Drop),
            ("nothing waits, nothing may", 0, 0, None, not_stored, Lines::Keep),
        ] {
            assert_eq!(refused(waiting, most, known), (problem, lines), "{name}");
        }
    }
}
