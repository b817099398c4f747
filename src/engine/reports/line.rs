//! One report line for each object that was copied or skipped, made when the object is settled. Pure.
//!
//! The lines are part of the commit of their objects, so the lists contain exactly what the counters count. A line has four
//! fields, separated by TABs: time, URL-encoded name, bytes, and what proved the copy or why there was none. The reference says
//! where the lists are, but not what a line contains ([`crate::engine::reports::failed`]).

use std::io::Write as _;

use jiff::Timestamp;
use percent_encoding::percent_encode;

use crate::engine::reports::failed::NAME;
use crate::task::{Clock, Key};

/// Makes lines.
#[derive(Debug)]
pub struct Record {
    clock: Clock,
    /// The time of the first line of the commit, in seconds, which all its lines share; empty before the first line. Reading
    /// and formatting the time takes longer than the rest of a line.
    time: String,
}

impl Record {
    /// Takes the times from `clock`.
    pub const fn new(clock: Clock) -> Self {
        Self {
            clock,
            time: String::new(),
        }
    }

    /// Appends a line. `word` has neither TABs nor line ends.
    pub fn line(&mut self, lines: &mut Vec<u8>, key: &Key, bytes: i64, word: &str) {
        if self.time.is_empty() {
            self.time = Timestamp::from_millisecond(self.clock.now().0)
                .unwrap_or_default()
                .strftime("%Y-%m-%dT%H:%M:%SZ")
                .to_string();
        }
        lines.extend_from_slice(self.time.as_bytes());
        lines.push(b'\t');
        for part in percent_encode(key.as_bytes(), NAME) {
            lines.extend_from_slice(part.as_bytes());
        }
        // Writing to a vector does not fail.
        writeln!(lines, "\t{bytes}\t{word}").unwrap_or_default();
    }

    /// The next lines belong to another commit.
    pub fn next_commit(&mut self) {
        self.time.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::UnixMillis;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[test]
    fn a_line_has_four_fields_whatever_the_name_holds() {
        let now = AtomicI64::new(1_795_003_200_000);
        let clock = Clock::new(move || UnixMillis(now.fetch_add(1999, Ordering::Relaxed)));
        let mut record = Record::new(clock);
        let mut lines = Vec::new();
        record.line(&mut lines, &Key::from("a/b c+%.txt"), 7, "etag");
        record.line(&mut lines, &Key::from("ü\t\n"), 0, "identical");
        record.next_commit();
        record.line(&mut lines, &Key::from(&b"\xff"[..]), i64::MAX, "gone");
        let wanted = "2026-11-18T12:00:00Z\ta/b%20c%2B%25.txt\t7\tetag\n\
                      2026-11-18T12:00:00Z\t%C3%BC%09%0A\t0\tidentical\n\
                      2026-11-18T12:00:01Z\t%FF\t9223372036854775807\tgone\n";
        assert_eq!(String::from_utf8(lines).unwrap(), wanted);
    }
}
