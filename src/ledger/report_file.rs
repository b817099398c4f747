//! Files of the reports of copied and skipped objects, while their lines wait in the ledger.

use crate::task::UnixMillis;

/// Lines of commits that are to be written to a file of a report at the target. The set of lines does not change any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// A timestamp that no other file of the task has. Later files have later timestamps.
    pub number: UnixMillis,
    /// Its chunks, each the lines of one commit, in order.
    pub chunks: Vec<i64>,
}

/// When waiting lines become a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSize {
    /// Length of the lines from which on a file is full.
    pub bytes: i64,
    /// Number of chunks from which on a file is full.
    pub chunks: i64,
}

/// Which files of a report are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fullness {
    /// Only full ones.
    Full,
    /// Also one with fewer lines.
    Any,
}
