//! Orphans: multipart uploads that deleted tasks left open at their targets.

use crate::secret::SealedCredentials;
use crate::task::spec::Place;
use crate::task::{Key, TaskId, UnixMillis};

/// An open multipart upload of a task that is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its number in the ledger, which no other ever has.
    pub number: i64,
    /// The task that began it.
    pub task: TaskId,
    /// The bucket that it is open in.
    pub place: Place,
    /// Key at the target: the task's prefix is part of it.
    pub key: Key,
    /// Id that the target gave; `None` when it was being asked for, so that it has to be found among the uploads of the key.
    pub upload_id: Option<String>,
    /// As [`super::OpenUpload::strangers`].
    pub strangers: Option<Vec<String>>,
    /// When its task was deleted.
    pub orphaned_at: UnixMillis,
}

/// Which orphans to read.
#[derive(Clone, Copy, Debug)]
pub enum Orphans<'a> {
    /// Those of a deleted task.
    Of(TaskId),
    /// Those at the same address and in the same bucket, of whatever task.
    At(&'a Place),
}

/// What [`super::Ledger::delete`] left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Uploads that are open at the target, now orphans.
    pub orphans: u64,
    /// Whether the ledger has keys to give them up with.
    pub keys: OrphanKeys,
}

/// Whether there are keys for the orphans of a deleted task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanKeys {
    /// They came with the deletion, or the task still had them.
    Kept,
    /// There are none: the next task with the same target has to bring some.
    None,
}

/// Keys for the orphans of one deleted task, taken for a cleanup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// The deleted task, for which the keys are sealed.
    pub task: TaskId,
    /// The keys; those of the target are all that is sure to be in them.
    pub sealed: SealedCredentials,
}

/// What the ledger knows of an upload that was found at a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundUpload {
    /// A task that is not deleted has its id.
    pub(super) known: bool,
    /// A worker is asking the target for an upload of such a key.
    pub(super) asked_for: bool,
}

/// Whether an upload that was found at a target belongs to a task that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// No task knows it.
    Nobody,
    /// A task will resume it.
    Task,
    /// A running task is asking for an upload of such a key, and may just have been given this one.
    Unknown,
}

impl Owner {
    /// Whose the upload is. While a worker waits for the id of such an upload, it may be that one.
    pub(super) const fn of(found: FoundUpload) -> Self {
        match found {
            FoundUpload { known: true, .. } => Self::Task,
            FoundUpload { asked_for: true, .. } => Self::Unknown,
            FoundUpload { .. } => Self::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_that_may_be_a_task_s_is_not_nobody_s() {
        for (name, known, asked_for, owner) in [
            ("known", true, false, Owner::Task),
            ("known, and another is asked for", true, true, Owner::Task),
            ("one is asked for", false, true, Owner::Unknown),
            ("neither", false, false, Owner::Nobody),
        ] {
            assert_eq!(Owner::of(FoundUpload { known, asked_for }), owner, "{name}");
        }
    }
}
