//! The window of a shard: objects in listing order, some settled, some in flight. Pure.
//!
//! Only objects that are settled without a gap from the front may be committed, because everything before the checkpoint must be
//! settled.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::copy::proof::Proof;
use crate::engine::decide::MAX_OBJECT;
use crate::engine::outcome::{Copied, Outcome};
use crate::engine::progress::Meter;
use crate::engine::reports::line::Record;
use crate::engine::shard::prior_count::{PriorCount, not_found};
use crate::ledger::{Commit, Failure};
use crate::task::{Counters, Key, PassKind};

/// Maximum number of objects from the oldest in flight to the newest. Limits memory while one large object is at the front.
pub const MAX_OPEN: usize = 10_000;
/// Failures and resolutions that cause an early commit.
const RECORDS_PER_COMMIT: usize = 1000;
/// Bytes of report lines that cause an early commit.
const LINES_PER_COMMIT: usize = 256 << 10;

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
    prior_count: PriorCount,
    /// Counts the bytes of a large object while they are in flight.
    meter: Option<Arc<Meter>>,
    outcome: Option<Outcome>,
}

/// Which bytes of uncommitted objects to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// All that are at the target or on their way.
    All,
    /// Those that survive a stop: finished parts of open uploads. A complete object that is not committed is checked again after the
    /// stop, and counted then.
    Resumable,
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
    /// A size that no object can have is counted as the largest that is copied, so that it cannot make the counters overflow.
    pub fn push_at(&mut self, key: Key, position: Option<Key>, size: u64, prior_count: PriorCount) -> u64 {
        let size = i64::try_from(size.min(MAX_OBJECT)).unwrap_or(i64::MAX);
        self.open.push_back(Slot {
            key,
            position,
            size,
            prior_count,
            meter: None,
            outcome: None,
        });
        self.first + self.open.len() as u64 - 1
    }

    /// Settles an object. What is settled without a gap moves into the next commit. Does nothing for an object that is already in a
    /// commit, and for a number that was never given.
    pub fn settle(&mut self, number: u64, outcome: Outcome) {
        if let Some(slot) = self.slot(number) {
            slot.outcome = Some(outcome);
            self.advance();
        }
    }

    /// The object of this number, if it is not in a commit yet.
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let index = self.index(number)?;
        self.open.get_mut(index)
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok()
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
                prior_count,
                meter: _,
                outcome: Some(outcome),
            }) = self.open.pop_front()
            else {
                break;
            };
            self.first += 1;
            self.note(&key, size, &outcome);
            self.count(&key, size, prior_count, outcome);
            self.settled.checkpoint = Some(position.unwrap_or(key));
        }
    }

    /// Counts the bytes of an object while they are in flight.
    pub fn measure(&mut self, number: u64, meter: Arc<Meter>) {
        if let Some(slot) = self.slot(number) {
            slot.meter = Some(meter);
        }
    }

    /// Bytes of objects that are not in the next commit.
    pub fn bytes(&self, in_flight: InFlight) -> i64 {
        let bytes = |slot: &Slot| match (&slot.outcome, &slot.meter, in_flight) {
            (Some(Outcome::Copied(copied)), _, InFlight::All) => copied.bytes,
            (None, Some(meter), InFlight::All) => meter.bytes(),
            (None, Some(meter), InFlight::Resumable) => meter.kept(),
            (Some(_), _, _) | (None, None, _) => 0,
        };
        let sum = self.open.iter().map(bytes).sum::<u64>();
        i64::try_from(sum).unwrap_or(i64::MAX)
    }

    /// The key of an object that is not settled yet.
    pub fn key(&self, number: u64) -> Option<&Key> {
        self.open.get(self.index(number)?).map(|slot| &slot.key)
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

    fn count(&mut self, key: &Key, planned: i64, prior_count: PriorCount, outcome: Outcome) {
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
                    bytes_listed: size - prior_count.bytes,
                    not_found: -prior_count.not_found,
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
#[path = "window_tests.rs"]
mod tests;
