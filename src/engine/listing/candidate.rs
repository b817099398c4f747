//! Work on its way to a shard: an object of the scope and what is known of it.

use tokio::sync::mpsc;

use crate::engine::decide::{Decision, RefuseReason};
use crate::engine::errors::PassError;
use crate::engine::retry::SideError;
use crate::engine::shard::counted::Counted;
use crate::engine::source_object::SourceObject;
use crate::task::Key;

/// Single keys asked for at the same time.
pub(in crate::engine) const HEADS_AT_ONCE: usize = 32;
/// Single keys taken together.
pub(in crate::engine) const KEYS_PER_BATCH: usize = 256;

/// One object of the scope, and what is known of it.
#[derive(Debug)]
pub struct Candidate {
    /// Source key.
    pub key: Key,
    /// What the counters already hold of it.
    pub counted: Counted,
    /// What the checkpoint becomes when it is settled; `None` for the key.
    pub position: Option<Key>,
    /// What to do.
    pub step: Found,
}

/// What was found out about an object.
#[derive(Debug)]
pub enum Found {
    /// It exists, and was decided about.
    Planned(SourceObject, Decision),
    /// The source has no such object.
    Missing,
    /// It could not be found out.
    Unknown(SideError),
    /// It was not asked for, because it cannot be copied whatever it is.
    Refused(RefuseReason),
}

/// Work for a shard, in listing order.
#[derive(Debug)]
pub struct Batch {
    /// Objects.
    pub candidates: Vec<Candidate>,
    /// Whether the listing's order can be resumed behind a key.
    pub order: Resumable,
}

/// Whether the keys of a listing ascend in a known order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumable {
    /// Yes: a checkpoint can be trusted.
    Yes,
    /// No: the shard must be taken from its beginning again.
    No,
}

/// Where batches go.
pub(in crate::engine) type Sender = mpsc::Sender<std::result::Result<Batch, PassError>>;

/// A key to ask for.
pub(in crate::engine) struct Wanted {
    /// Source key.
    pub key: Key,
    /// As [`Candidate::counted`].
    pub counted: Counted,
    /// As [`Candidate::position`].
    pub position: Option<Key>,
}

impl Wanted {
    pub(in crate::engine) const fn new(key: Key, counted: Counted) -> Self {
        Self {
            key,
            counted,
            position: None,
        }
    }
}
