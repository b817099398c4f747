//! Creations that can be repeated safely: the same request with the same idempotency key creates one task.

use std::fmt;

use crate::secret::FINGERPRINT_LEN;
use crate::task::{Task, TaskId};

/// How long a key is stored, in milliseconds: a day.
pub const KEY_LIFETIME: i64 = 24 * 60 * 60 * 1000;

/// An idempotency key and the request that was sent with it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// The key. It belongs to a project.
    pub key: String,
    /// Keyed hash of the request. It detects another request with the same key.
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
    /// The same request created this task before. The task may have been deleted since.
    Before {
        /// Its id.
        id: TaskId,
        /// Its name.
        name: String,
    },
    /// Another request was sent with the key within [`KEY_LIFETIME`]. Nothing was created.
    OtherRequest,
}
