//! Reads a task's reports of copied and skipped objects at the target.

use std::collections::BTreeSet;

use jiff::Timestamp;
use oms::task::{ReportKind, Task, UnixMillis};
use percent_encoding::percent_decode_str;

use super::rig::{Stores, TARGET};

/// A line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Key of the object at the source.
    pub key: Vec<u8>,
    /// Its length.
    pub bytes: u64,
    /// What proved the copy, or why the object was not copied.
    pub word: String,
}

/// Keys of a report's files, ordered by their timestamps.
pub fn files(stores: &Stores, task: &Task, kind: ReportKind) -> Vec<String> {
    let folder = folder(task, kind);
    let mut keys = stores.target.keys(TARGET);
    keys.retain(|key| key.starts_with(&folder));
    keys.sort();
    keys
}

/// All lines of the files whose timestamp is not before `since`.
pub fn lines(stores: &Stores, task: &Task, kind: ReportKind, since: UnixMillis) -> Vec<Line> {
    let first = Timestamp::from_millisecond(since.0).unwrap();
    let first = format!("{}{}", folder(task, kind), first.strftime("%Y%m%d%H%M%S%3f"));
    let files = files(stores, task, kind);
    files
        .iter()
        .filter(|file| **file >= first)
        .flat_map(|file| {
            let list = stores.target.get(TARGET, file).unwrap();
            assert_eq!(list.content_type.as_deref(), Some("text/plain"));
            let text = String::from_utf8(list.data.to_vec()).unwrap();
            assert!(text.ends_with('\n'), "{file} ends within a line");
            text.lines().map(line).collect::<Vec<_>>()
        })
        .collect()
}

fn folder(task: &Task, kind: ReportKind) -> String {
    format!("oms/task/{}/{}_object_lists/", task.name, kind.name())
}

fn line(text: &str) -> Line {
    let fields: Vec<&str> = text.split('\t').collect();
    let [time, name, bytes, word] = fields[..] else {
        panic!("a line has other fields: {text:?}");
    };
    time.parse::<Timestamp>().unwrap();
    let words = ["etag", "checksum", "size", "identical", "exists", "older", "gone"];
    assert!(words.contains(&word), "{text:?}");
    Line {
        key: percent_decode_str(name).collect(),
        bytes: bytes.parse().unwrap(),
        word: word.to_owned(),
    }
}

/// Asserts that the reports since this moment name each object that the counters count since then exactly once. A report
/// that could not be written may lack lines, but may not name an object that was not counted.
#[track_caller]
pub fn agree(stores: &Stores, task: &Task, since: UnixMillis) {
    let c = &task.counters;
    let mut seen = BTreeSet::new();
    for (kind, counted, problem) in [
        (ReportKind::Success, c.copied, task.report_problems.success),
        (ReportKind::Skip, c.skipped + c.gone, task.report_problems.skip),
    ] {
        let listed = lines(stores, task, kind, since);
        let number = i64::try_from(listed.len()).unwrap();
        assert!(
            number == counted || (problem.is_some() && number < counted),
            "{kind:?}: {number} lines, but {c:#?}, {problem:?}, {:#?}",
            files(stores, task, kind)
        );
        if kind == ReportKind::Success && problem.is_none() {
            let proved = |word: &str| listed.iter().filter(|line| line.word == word).count();
            assert_eq!(
                ["etag", "checksum", "size"].map(|word| i64::try_from(proved(word)).unwrap()),
                [c.proved_etag, c.proved_checksum, c.proved_size]
            );
            let bytes: u64 = listed.iter().map(|line| line.bytes).sum();
            assert_eq!(i64::try_from(bytes), Ok(c.bytes_copied));
        }
        for line in listed {
            let twice = !seen.insert(line.key.clone());
            assert!(!twice, "{:?} is listed twice", String::from_utf8_lossy(&line.key));
        }
    }
}
