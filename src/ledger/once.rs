//! Creations that can be repeated safely: the same request with the same idempotency key creates one task.

use std::fmt;

use crate::secret::FINGERPRINT_LEN;
use crate::task::{Task, TaskId, UnixMillis};

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

impl RequestKey {
    /// What this request created before, if a task was created under its key by a request with this fingerprint.
    pub(super) fn created(&self, fingerprint: &[u8], id: TaskId, name: String) -> CreatedOnce {
        if fingerprint == self.fingerprint {
            CreatedOnce::Before { id, name }
        } else {
            CreatedOnce::OtherRequest
        }
    }
}

/// Keys that were used at this moment or before are free again.
pub(super) const fn expiry(now: UnixMillis) -> UnixMillis {
    UnixMillis(now.0.saturating_sub(KEY_LIFETIME))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_request_created_the_task() {
        let request = RequestKey {
            key: "k".to_owned(),
            fingerprint: [7; FINGERPRINT_LEN],
        };
        for (name, fingerprint, same) in [
            ("the same", &[7; FINGERPRINT_LEN][..], true),
            ("another", &[8; FINGERPRINT_LEN], false),
            ("a shorter one", &[7; FINGERPRINT_LEN - 1], false),
            ("none", &[], false),
        ] {
            let created = request.created(fingerprint, TaskId::new(1).unwrap(), "t".to_owned());
            assert_eq!(matches!(created, CreatedOnce::Before { .. }), same, "{name}");
            assert_eq!(matches!(created, CreatedOnce::OtherRequest), !same, "{name}");
        }
    }

    #[test]
    fn a_key_is_free_again_after_a_day() {
        for (name, now, free) in [
            ("a day later", KEY_LIFETIME + 5, 5),
            ("at the beginning of time", i64::MIN, i64::MIN),
        ] {
            assert_eq!(expiry(UnixMillis(now)), UnixMillis(free), "{name}");
        }
    }
}
