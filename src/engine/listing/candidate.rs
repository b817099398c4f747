//! Work on its way to a shard: an object of the scope and what is known about it.

use tokio::sync::mpsc;

use crate::engine::decide::{Decision, RefuseReason};
use crate::engine::errors::PassError;
use crate::engine::retry::SideError;
use crate::engine::shard::prior_count::PriorCount;
use crate::engine::source_object::SourceObject;
use crate::task::Key;

/// How many single keys are looked up at the same time.
pub(in crate::engine) const HEADS_AT_ONCE: usize = 32;
/// How many single keys form one batch.
pub(in crate::engine) const KEYS_PER_BATCH: usize = 256;

/// One object of the scope and what is known about it.
#[derive(Debug)]
pub struct Candidate {
    /// Source key.
    pub key: Key,
    /// What the counters already contain for this object.
    pub prior_count: PriorCount,
    /// The checkpoint after this object is settled; `None` if that is the key.
    pub position: Option<Key>,
    /// What to do.
    pub step: Found,
}

/// What was found out about an object.
#[derive(Debug)]
pub enum Found {
    /// It exists, and a decision was made.
    Planned(SourceObject, Decision),
    /// The source has no such object.
    Missing,
    /// The lookup failed.
    Unknown(SideError),
    /// It was not looked up, because it cannot be copied in any case.
    Refused(RefuseReason),
}

/// Work for a shard, in listing order.
#[derive(Debug)]
pub struct Batch {
    /// Objects.
    pub candidates: Vec<Candidate>,
    /// Whether the listing can be resumed after a key.
    pub order: Resumable,
}

impl Batch {
    /// Work in an order in which it can be resumed.
    pub(in crate::engine) const fn resumable(candidates: Vec<Candidate>) -> Self {
        Self {
            candidates,
            order: Resumable::Yes,
        }
    }
}

/// Whether the keys of a listing ascend in a known order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumable {
    /// Yes: a checkpoint can be trusted.
    Yes,
    /// No: the shard must be listed from its beginning again.
    No,
}

/// Takes the batches for a shard.
pub(in crate::engine) type Sender = mpsc::Sender<std::result::Result<Batch, PassError>>;

/// A key to look up.
pub(in crate::engine) struct Wanted {
    /// Source key.
    pub key: Key,
    /// As [`Candidate::prior_count`].
    pub prior_count: PriorCount,
    /// As [`Candidate::position`].
    pub position: Option<Key>,
}

impl Wanted {
    pub(in crate::engine) const fn new(key: Key, prior_count: PriorCount) -> Self {
        Self {
            key,
            prior_count,
            position: None,
        }
    }
}
