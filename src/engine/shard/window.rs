//! The window of a shard: objects in listing order, some settled, some in flight. Pure.
//!
//! Only objects that are settled without a gap from the front may be committed, because everything before the checkpoint must be
//! settled.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::copy::proof::Proof;
use crate::engine::outcome::{Copied, Outcome};
use crate::engine::progress::Meter;
use crate::engine::reports::line::Record;
use crate::engine::shard::counted::{Counted, not_found};
use crate::ledger::{Commit, Failure};
use crate::task::{Counters, Key, PassKind};

/// Maximum number of objects from the oldest in flight to the newest. Limits memory while one large object is at the front.
pub const MAX_OPEN: usize = 10_000;
/// Failures and resolutions that cause an early commit.
const RECORDS_PER_COMMIT: usize = 1000;
/// Bytes of report lines that cause an early commit.
const LINES_PER_COMMIT: usize = 2 << 20;

/// Objects of a shard that are not committed yet.
#[derive(Debug)]
pub struct Window {
    kind: PassKind,
    open: VecDeque<Slot>,
    /// Number of the front object.
    first: u64,
    settled: Commit,
    /// Makes report lines of settled objects, if the task wants them.
    record: Option<Record>,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    /// The checkpoint after it, if that is not its key.
    position: Option<Key>,
    size: i64,
    counted: Counted,
    /// Counts the bytes of a large object while they are in flight.
    meter: Option<Arc<Meter>>,
    outcome: Option<Outcome>,
}

/// Which bytes of uncommitted objects to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under {
    /// All that are at the target or on their way.
    Way,
    /// Those that survive a stop: finished parts of open uploads. A complete object that is not committed is checked again after the
    /// stop, and counted then.
    Upload,
}

impl Window {
    /// An empty window of a pass of this kind.
    pub fn new(kind: PassKind, record: Option<Record>) -> Self {
        Self {
            kind,
            open: VecDeque::new(),
            first: 0,
            settled: Commit::default(),
            record,
        }
    }

    /// Appends the next object and returns its number. When it is settled, the checkpoint becomes `position`, or its key without one.
    pub fn push_at(&mut self, key: Key, position: Option<Key>, size: u64, counted: Counted) -> u64 {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        self.open.push_back(Slot {
            key,
            position,
            size,
            counted,
            meter: None,
            outcome: None,
        });
        self.first + self.open.len() as u64 - 1
    }

    /// Settles an object. What is settled without a gap moves into the next commit.
    pub fn settle(&mut self, number: u64, outcome: Outcome) {
        let index = usize::try_from(number - self.first).unwrap_or(usize::MAX);
        if let Some(slot) = self.open.get_mut(index) {
            slot.outcome = Some(outcome);
        }
        self.advance();
    }

    /// Moves what is settled without a gap into the next commit, until that commit is heavy; the rest goes into the commit
    /// after it. So a commit stays small, even if one large object has delayed many.
    fn advance(&mut self) {
        while !self.is_heavy()
            && let Some(Slot { outcome: Some(_), .. }) = self.open.front()
        {
            let Some(Slot {
                key,
                position,
                size,
                counted,
                meter: _,
                outcome: Some(outcome),
            }) = self.open.pop_front()
            else {
                break;
            };
            self.first += 1;
            self.note(&key, size, &outcome);
            self.count(&key, size, counted, outcome);
            self.settled.checkpoint = Some(position.unwrap_or(key));
        }
    }

    /// Counts the bytes of an object while they are in flight.
    pub fn measure(&mut self, number: u64, meter: Arc<Meter>) {
        let index = number
            .checked_sub(self.first)
            .and_then(|n| usize::try_from(n).ok());
        if let Some(slot) = index.and_then(|index| self.open.get_mut(index)) {
            slot.meter = Some(meter);
        }
    }

    /// Bytes of objects that are not in the next commit.
    pub fn bytes(&self, under: Under) -> i64 {
        let bytes = |slot: &Slot| match (&slot.outcome, &slot.meter, under) {
            (Some(Outcome::Copied(copied)), _, Under::Way) => copied.bytes,
            (None, Some(meter), Under::Way) => meter.bytes(),
            (None, Some(meter), Under::Upload) => meter.kept(),
            (Some(_), _, _) | (None, None, _) => 0,
        };
        let sum = self.open.iter().map(bytes).sum::<u64>();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// The key of an object that is not settled yet.
    pub fn key(&self, number: u64) -> Option<&Key> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.open.get(index).map(|slot| &slot.key)
    }

    /// Whether another object may be appended.
    pub fn has_room(&self) -> bool {
        self.open.len() < MAX_OPEN
    }

    /// Whether every object that was appended is settled.
    pub fn is_settled(&self) -> bool {
        self.open.iter().all(|slot| slot.outcome.is_some())
    }

    /// Whether the next commit is so heavy that it should not wait.
    pub fn is_heavy(&self) -> bool {
        let Commit {
            failures,
            resolved,
            success,
            skip,
            ..
        } = &self.settled;
        failures.len() + resolved.len() >= RECORDS_PER_COMMIT
            || success.len() + skip.len() >= LINES_PER_COMMIT
    }

    /// Whether there is anything to commit.
    pub fn has_settled(&self) -> bool {
        self.settled.checkpoint.is_some()
    }

    /// Takes the next commit.
    pub fn take(&mut self) -> Commit {
        if let Some(record) = &mut self.record {
            record.next_commit();
        }
        let commit = std::mem::take(&mut self.settled);
        self.advance();
        commit
    }

    /// Writes the report line of a settled object.
    fn note(&mut self, key: &Key, size: i64, outcome: &Outcome) {
        let Some(record) = &mut self.record else { return };
        let Commit { success, skip, .. } = &mut self.settled;
        match outcome {
            Outcome::Copied(copied) => {
                let bytes = i64::try_from(copied.bytes).unwrap_or(i64::MAX);
                record.line(success, key, bytes, copied.proof.name());
            }
            Outcome::Skipped(reason) => record.line(skip, key, size, reason.name()),
            Outcome::Gone => record.line(skip, key, size, "gone"),
            Outcome::Failed(_) | Outcome::Doubtful(..) => {}
        }
    }

    fn count(&mut self, key: &Key, planned: i64, counted: Counted, outcome: Outcome) {
        // The size of a copied object may have been unknown before.
        let size = match &outcome {
            Outcome::Copied(copied) => i64::try_from(copied.bytes).unwrap_or(i64::MAX),
            _ => planned,
        };
        let delta = &mut self.settled.delta;
        match self.kind {
            PassKind::Full => {
                *delta += Counters {
                    listed: 1,
                    bytes_listed: size,
                    ..Counters::default()
                }
            }
            // The object was listed and counted as failed by an earlier pass; its size may have changed since.
            PassKind::Failed => {
                *delta += Counters {
                    failed: -1,
                    bytes_listed: size - counted.bytes,
                    not_found: -counted.not_found,
                    ..Counters::default()
                };
            }
        }
        let settled = Counters {
            bytes_settled: size,
            ..Counters::default()
        };
        let over = match outcome {
            Outcome::Copied(Copied { proof, left_out, .. }) => {
                *delta += Counters {
                    copied: 1,
                    bytes_copied: size,
                    proved_etag: i64::from(proof == Proof::ETag),
                    proved_checksum: i64::from(proof == Proof::Checksum),
                    proved_size: i64::from(proof == Proof::Size),
                    metadata_lost: i64::from(!left_out.is_empty()),
                    lost_tags: i64::from(left_out.tags),
                    lost_storage_class: i64::from(left_out.storage_class),
                    lost_user_metadata: i64::from(left_out.user_metadata),
                    lost_website_redirect: i64::from(left_out.website_redirect),
                    lost_object_lock: i64::from(left_out.object_lock),
                    lost_other: i64::from(left_out.other),
                    ..settled
                };
                true
            }
            Outcome::Skipped(_) => {
                *delta += Counters {
                    skipped: 1,
                    ..settled
                };
                true
            }
            Outcome::Gone => {
                *delta += Counters { gone: 1, ..settled };
                true
            }
            Outcome::Failed(failure) | Outcome::Doubtful(failure, _) => {
                delta.failed += 1;
                delta.not_found += not_found(&failure);
                self.settled.failures.push(Failure { size, ..*failure }.bounded());
                false
            }
        };
        if over && self.kind == PassKind::Failed {
            self.settled.resolved.push(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::copy::metadata_fallback::Attributes;
    use crate::engine::decide::SkipReason;
    use crate::engine::shard::counted::NO_SUCH_KEY;
    use crate::task::Clock;
    use crate::task::UnixMillis;
    use proptest::prelude::*;

    const SKIPPED: Outcome = Outcome::Skipped(SkipReason::Identical);

    fn counted(bytes: i64, not_found: i64) -> Counted {
        Counted { bytes, not_found }
    }

    fn failure() -> Outcome {
        failed_with("X")
    }

    fn failed_with(code: &str) -> Outcome {
        Outcome::Failed(Box::new(Failure {
            key: Key::from("k"),
            size: 0,
            code: code.to_owned(),
            message: "x".to_owned(),
            request_id: None,
            attempts: 1,
            at: UnixMillis(0),
        }))
    }

    #[test]
    fn a_gap_holds_the_checkpoint() {
        let mut window = Window::new(PassKind::Full, None);
        let numbers: Vec<u64> = ["a", "b", "c"]
            .iter()
            .map(|k| window.push_at(Key::from(*k), None, 5, Counted::default()))
            .collect();
        window.settle(numbers[1], SKIPPED);
        assert!(!window.has_settled());
        window.settle(numbers[0], failure());
        let commit = window.take();
        assert_eq!(commit.checkpoint, Some(Key::from("b")));
        assert_eq!(
            (commit.delta.listed, commit.delta.failed, commit.delta.skipped),
            (2, 1, 1)
        );
        assert_eq!((commit.failures.len(), commit.delta.bytes_settled), (1, 5));
        window.settle(numbers[2], Outcome::Gone);
        assert_eq!(window.take().delta.gone, 1);
        assert!(window.open.is_empty());
    }

    #[test]
    fn a_failed_pass_moves_counts_from_failed() {
        let mut window = Window::new(PassKind::Failed, None);
        let again = window.push_at(Key::from("a"), None, 7, counted(5, 1));
        let gone = window.push_at(Key::from("b"), None, 5, counted(5, 0));
        window.settle(again, failure());
        window.settle(gone, Outcome::Gone);
        let commit = window.take();
        assert_eq!(
            (commit.delta.listed, commit.delta.failed, commit.delta.gone),
            (0, -1, 1)
        );
        assert_eq!((commit.delta.bytes_listed, commit.delta.not_found), (2, -1));
        assert_eq!(commit.resolved, [Key::from("b")]);
    }

    #[test]
    fn bytes_under_way_are_those_of_objects_that_no_commit_holds() {
        use crate::engine::progress::Progress;

        let mut window = Window::new(PassKind::Full, None);
        let progress = Arc::new(Progress::default());
        let keys = ["a", "b", "c"].map(Key::from);
        let numbers = keys
            .clone()
            .map(|key| window.push_at(key, None, 100, Counted::default()));
        window.measure(numbers[0], progress.watch(&keys[0]));
        progress.keep(&keys[0], 1, 30);
        progress.flow(&keys[0], 2).add(7);
        assert_eq!((window.bytes(Under::Way), window.bytes(Under::Upload)), (37, 30));
        let copied = |bytes| {
            Outcome::Copied(Copied {
                bytes,
                proof: Proof::ETag,
                left_out: Attributes::default(),
            })
        };
        window.settle(numbers[1], copied(100));
        window.settle(numbers[2], failure());
        assert_eq!((window.bytes(Under::Way), window.bytes(Under::Upload)), (137, 30));
        window.settle(numbers[0], copied(100));
        assert_eq!((window.bytes(Under::Way), window.bytes(Under::Upload)), (0, 0));
        assert_eq!(window.take().delta.bytes_copied, 200);
    }

    #[test]
    fn names_that_the_source_does_not_have_are_counted_among_the_failures() {
        let mut window = Window::new(PassKind::Full, None);
        for code in [NO_SUCH_KEY, "AccessDenied", NO_SUCH_KEY] {
            let number = window.push_at(Key::from(code), None, 0, Counted::default());
            window.settle(number, failed_with(code));
        }
        let delta = window.take().delta;
        assert_eq!((delta.failed, delta.not_found), (3, 2));
        let mut window = Window::new(PassKind::Failed, None);
        let still = window.push_at(Key::from("a"), None, 0, counted(0, 1));
        window.settle(still, failed_with(NO_SUCH_KEY));
        assert_eq!(window.take().delta.not_found, 0);
    }

    #[test]
    fn every_object_that_is_over_has_one_line_in_its_commit() {
        let clock = Clock::new(|| UnixMillis(0));
        let mut window = Window::new(PassKind::Full, Some(Record::new(clock)));
        let numbers: Vec<u64> = ["a", "b", "c", "d", "e"]
            .iter()
            .map(|k| window.push_at(Key::from(*k), None, 5, Counted::default()))
            .collect();
        let copied = Copied {
            bytes: 6,
            proof: Proof::Checksum,
            left_out: Attributes::default(),
        };
        // It is settled first, but committed only after the objects before it.
        window.settle(numbers[4], Outcome::Gone);
        window.settle(numbers[0], Outcome::Copied(copied));
        window.settle(numbers[1], failure());
        let commit = window.take();
        assert_eq!(commit.success, b"1970-01-01T00:00:00Z\ta\t6\tchecksum\n");
        assert!(commit.skip.is_empty());
        window.settle(numbers[2], Outcome::Skipped(SkipReason::Older));
        window.settle(numbers[3], SKIPPED);
        let commit = window.take();
        assert!(commit.success.is_empty());
        let words: Vec<&str> = std::str::from_utf8(&commit.skip)
            .unwrap()
            .lines()
            .map(|line| line.split_once('Z').unwrap().1)
            .collect();
        assert_eq!(words, ["\tc\t5\tolder", "\td\t5\tidentical", "\te\t5\tgone"]);
    }

    #[test]
    fn a_commit_holds_a_bounded_number_of_failures() {
        let mut window = Window::new(PassKind::Full, None);
        let numbers: Vec<u64> = (0..2_500)
            .map(|n| window.push_at(Key::from(format!("{n:05}").as_str()), None, 1, Counted::default()))
            .collect();
        // All but the first, which holds back the others.
        for number in numbers.iter().skip(1) {
            window.settle(*number, failure());
        }
        assert!(!window.has_settled());
        window.settle(numbers[0], failure());
        let mut commits = Vec::new();
        while window.has_settled() {
            let commit = window.take();
            let checkpoint = commit.checkpoint.unwrap().lossy().into_owned();
            commits.push((commit.failures.len(), commit.delta.failed, checkpoint));
        }
        let wanted = [(1_000, "00999"), (1_000, "01999"), (500, "02499")];
        let wanted = wanted.map(|(count, last)| (count, count as i64, last.to_owned()));
        assert_eq!(commits, wanted);
        assert!(window.is_settled());
    }

    #[test]
    fn many_lines_do_not_wait_for_the_second() {
        let mut window = Window::new(PassKind::Full, Some(Record::new(Clock::new(|| UnixMillis(0)))));
        let name = "x".repeat(1000);
        let line = "1970-01-01T00:00:00Z\t\t5\tgone\n".len() + name.len();
        for n in 0..2100 {
            assert_eq!(window.is_heavy(), n * line >= LINES_PER_COMMIT, "{n}");
            let number = window.push_at(Key::from(name.as_str()), None, 5, Counted::default());
            window.settle(number, Outcome::Gone);
        }
        assert!(window.is_heavy());
        window.take();
        assert!(!window.is_heavy());
    }

    proptest! {
        #[test]
        fn every_object_is_counted_once_in_any_order(order in Just((0..40u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut window = Window::new(PassKind::Full, None);
            for number in 0..40 {
                prop_assert_eq!(window.push_at(Key::from(format!("{number:02}").as_str()), None, 1, Counted::default()), number);
            }
            let mut total = Counters::default();
            for number in order {
                window.settle(number, SKIPPED);
                let commit = window.take();
                if let Some(checkpoint) = commit.checkpoint {
                    total += commit.delta;
                    prop_assert_eq!(checkpoint, Key::from(format!("{:02}", total.listed - 1).as_str()));
                }
            }
            prop_assert_eq!((total.listed, total.skipped), (40, 40));
        }
    }
}
