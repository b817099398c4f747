//! Orphans: multipart uploads that deleted tasks left open at their targets.

use crate::secret::SealedCredentials;
use crate::task::spec::BucketLocation;
use crate::task::{Key, TaskId, UnixMillis};

/// An open multipart upload of a deleted task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its number in the ledger. Numbers are never reused.
    pub number: i64,
    /// The task that began it.
    pub task: TaskId,
    /// The bucket of the upload.
    pub place: BucketLocation,
    /// Key at the target, with the task's prefix.
    pub key: Key,
    /// Id that the target returned. `None` if the task was deleted before the id was recorded: then the upload must be found
    /// among the uploads of the key.
    pub upload_id: Option<String>,
    /// See [`super::OpenUpload::foreign_uploads`].
    pub foreign_uploads: Option<Vec<String>>,
    /// When its task was deleted.
    pub orphaned_at: UnixMillis,
}

/// Which orphans to read.
#[derive(Clone, Copy, Debug)]
pub enum Orphans<'a> {
    /// The orphans of a deleted task.
    Of(TaskId),
    /// All orphans at the same endpoint and in the same bucket, of any task.
    At(&'a BucketLocation),
}

/// The result of [`super::Ledger::delete`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Number of open uploads that are now orphans.
    pub orphans: u64,
    /// Whether the ledger has credentials to abort them.
    pub keys: OrphanKeys,
}

/// Whether there are credentials for the orphans of a deleted task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanKeys {
    /// Yes: they were sent with the deletion, or the task still had them.
    Kept,
    /// No: the next task with the same target aborts the uploads with its credentials.
    None,
}

/// Credentials for the orphans of a deleted task, taken for a cleanup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// The deleted task, for which the credentials are sealed.
    pub task: TaskId,
    /// The credentials. Only those of the target are always present.
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
    /// A running task is creating an upload for such a key, and this upload may be the one.
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
