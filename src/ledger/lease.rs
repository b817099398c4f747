//! Leases: who may work on a task or a shard, and until when.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::scope::ShardScope;
use crate::task::{Key, UnixMillis, WorkerId, positive};

/// How long a lease holds after its holder's last write, in milliseconds, unless the configuration says otherwise.
pub const LEASE_MILLIS: i64 = 20_000;

/// Who asks for a lease, and the fencing token that the lease will have. Tokens are random: a database that loses its last
/// changes (an asynchronous failover) would give out a counter's number a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The worker.
    pub worker: WorkerId,
    /// The fencing token. Positive.
    pub fencing_token: i64,
}

impl Holder {
    /// A holder whose fencing token is made from random bits.
    #[must_use]
    pub const fn new(worker: WorkerId, bits: u64) -> Self {
        Self {
            worker,
            fencing_token: positive(bits),
        }
    }
}

/// A shard that a worker leased.
#[derive(Clone, Debug)]
pub struct LeasedShard {
    /// Number of the pass.
    pub pass: i64,
    /// Number within the pass, from 0.
    pub number: i64,
    /// Which keys it covers.
    pub scope: ShardScope,
    /// Everything up to this key, in listing order, is settled. Before the first commit it is the key after which the shard
    /// begins. `None` if the shard begins with the listing and has settled nothing.
    pub checkpoint: Option<Key>,
    /// The last key of the shard, inclusive; `None` if it goes to the end of the listing. [`super::Ledger::split`] moves it.
    pub until: Option<Key>,
    /// Bytes in flight that its last commit counted ([`crate::task::Counters::bytes_in_flight`]). The next commit changes that
    /// number.
    pub bytes_in_flight: i64,
    /// Fencing token. No two leases have the same.
    pub fencing_token: i64,
    /// Number of commits to the shard that its holder knows of.
    pub commits: CommitCount,
}

/// Number of commits to a shard. Clones of a lease share it. If the answer to a commit is lost, the ledger finds with this
/// number that it has been written.
#[derive(Clone, Debug, Default)]
pub struct CommitCount(Arc<AtomicI64>);

impl CommitCount {
    /// A count that begins with this number.
    #[must_use]
    pub fn at(number: i64) -> Self {
        Self(Arc::new(AtomicI64::new(number)))
    }

    /// The number.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Acquire)
    }

    /// Records that the commit after `number` has been written.
    pub(super) fn written_after(&self, number: i64) {
        self.0.fetch_max(number + 1, Ordering::AcqRel);
    }
}

/// The outcome of [`super::Ledger::lease_shard`].
#[derive(Clone, Debug)]
pub enum ShardLease {
    /// A lease on a shard.
    Leased(Box<LeasedShard>),
    /// Open shards exist, but other workers hold them.
    Held,
    /// No shard that this worker may lease is open, or the task is not running.
    None,
    /// Several leases of this shard ended without a word from their holders and without progress. Perhaps an object in it ends the
    /// process that copies it.
    Poisoned(i64),
}

/// Which shards a worker asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardKinds {
    /// All of them.
    All,
    /// Those that several workers can work on at the same time: ranges of a prefix, and recorded failures. The names of a manifest
    /// may repeat, so one worker copies all of them.
    Shareable,
}

/// Who writes to the ledger on behalf of a task.
#[derive(Clone, Copy, Debug)]
pub enum Writer<'a> {
    /// The holder of a shard.
    Shard(&'a LeasedShard),
    /// The holder of the task, with this fencing token.
    Task(i64),
    /// A worker that takes part in the task.
    Worker(WorkerId),
}

/// A lease as it stands in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its holder.
    pub worker: WorkerId,
    /// When the holder last wrote.
    pub seen_at: UnixMillis,
}

impl Lease {
    /// Whether the lease keeps `worker` out at `now`: it belongs to another worker that wrote less than `length` milliseconds
    /// ago.
    #[must_use]
    pub const fn keeps_out(self, worker: WorkerId, now: UnixMillis, length: i64) -> bool {
        self.worker.get() != worker.get() && now.0.saturating_sub(self.seen_at.0) < length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_positive() {
        for bits in [0, 1, 2, u64::MAX, 1 << 63] {
            assert!(Holder::new(WorkerId::new(bits), bits).fencing_token > 0, "{bits}");
            assert!(WorkerId::new(bits).get() > 0, "{bits}");
        }
    }

    #[test]
    fn a_lease_keeps_others_out_until_it_ends() {
        let (one, other) = (WorkerId::new(4), WorkerId::new(6));
        let lease = Lease {
            worker: one,
            seen_at: UnixMillis(1_000),
        };
        for (name, worker, now, kept_out) in [
            ("its holder", one, 1_001, false),
            ("another", other, 1_001, true),
            ("just before the end", other, 2_999, true),
            ("the end", other, 3_000, false),
            ("the clock went back", other, 500, true),
        ] {
            assert_eq!(
                lease.keeps_out(worker, UnixMillis(now), 2_000),
                kept_out,
                "{name}"
            );
        }
    }

    #[test]
    fn clones_share_the_count_of_commits() {
        let count = CommitCount::at(3);
        let clone = count.clone();
        clone.written_after(3);
        assert_eq!(count.get(), 4);
        clone.written_after(3);
        assert_eq!(count.get(), 4);
    }
}
