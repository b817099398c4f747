//! What happens to the reports of copied and skipped objects.

use crate::ledger::report_file::{FileSize, Fullness};
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

/// The chunks of the next file of a report: the oldest of those that wait, each with its length, until the file is full. `None` if
/// there is no file to write.
pub(in crate::ledger) fn next_file(
    waiting: &[(i64, i64)],
    size: FileSize,
    fullness: Fullness,
) -> Option<Vec<i64>> {
    let mut chunks = Vec::new();
    let mut bytes = 0_i64;
    for (chunk, length) in waiting {
        chunks.push(*chunk);
        bytes = bytes.saturating_add(*length);
        let count = i64::try_from(chunks.len()).unwrap_or(i64::MAX);
        if bytes >= size.bytes || count >= size.chunks {
            return Some(chunks);
        }
    }
    (fullness == Fullness::Any && !chunks.is_empty()).then_some(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_oldest_lines_until_it_is_full() {
        let size = FileSize { bytes: 10, chunks: 3 };
        for (name, waiting, full, any) in [
            ("nothing waits", &[][..], None, None),
            ("too little", &[(1, 4), (2, 5)], None, Some(vec![1, 2])),
            (
                "just enough",
                &[(1, 4), (2, 6), (3, 1)],
                Some(vec![1, 2]),
                Some(vec![1, 2]),
            ),
            (
                "one large chunk",
                &[(7, 99), (8, 1)],
                Some(vec![7]),
                Some(vec![7]),
            ),
            (
                "many small chunks",
                &[(1, 1), (2, 1), (3, 1), (4, 1)],
                Some(vec![1, 2, 3]),
                Some(vec![1, 2, 3]),
            ),
        ] {
            assert_eq!(next_file(waiting, size, Fullness::Full), full, "{name}");
            assert_eq!(next_file(waiting, size, Fullness::Any), any, "{name}");
        }
    }

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
