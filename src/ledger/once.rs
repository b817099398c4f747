//! Creations that may be asked for again: the same request under the same key creates one task.

use std::fmt;

use crate::secret::FINGERPRINT_LEN;
use crate::task::{Task, TaskId};

/// How long a key stands for its request, in milliseconds: a day.
pub const KEY_LIFETIME: i64 = 24 * 60 * 60 * 1000;

/// A key that the caller gave to a request.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The key; it means something only within a project.
    pub key: String,
    /// Keyed hash of the request, which tells another request under the same key.
    pub fingerprint: [u8; FINGERPRINT_LEN],
}

impl fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestKey").finish_non_exhaustive()
    }
}

/// The outcome of [`super::Ledger::create_once`].
#[derive(Clone, Debug)]
pub enum CreatedOnce {
    /// The task was created.
    Now(Box<Task>),
    /// The same request created this task before. It may be deleted meanwhile.
    Before {
        /// Its id.
        id: TaskId,
        /// Its name.
        name: String,
    },
    /// Another request was sent under the key within [`KEY_LIFETIME`]; nothing was created.
    OtherRequest,
}
