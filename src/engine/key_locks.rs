//! Locks of keys: one copy of a key at a time. A manifest may name a key twice, and two shards may read the two lines at the same time. Two copies
//! of one key would share its open upload.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::task::Key;

/// The keys that are being copied.
#[derive(Debug, Default)]
pub struct KeyLocks {
    taken: Mutex<HashSet<Key>>,
    freed: Notify,
}

/// The lock of a key, until it is dropped.
#[derive(Debug)]
pub struct KeyLock<'a> {
    locks: &'a KeyLocks,
    key: Key,
}

impl KeyLocks {
    /// Waits until nobody else copies this key.
    pub async fn lock(&self, key: &Key) -> KeyLock<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on no wake-up is missed.
            freed.as_mut().enable();
            if self.taken().insert(key.clone()) {
                return KeyLock {
                    locks: self,
                    key: key.clone(),
                };
            }
            freed.await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyLock<'_> {
    fn drop(&mut self) {
        self.locks.taken().remove(&self.key);
        self.locks.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_copied_by_one_at_a_time() {
        let locks = KeyLocks::default();
        let (a, b) = (Key::from("a"), Key::from("b"));
        let first = locks.lock(&a).await;
        let other = locks.lock(&b).await;
        let second = locks.lock(&a);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(other);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(futures_util::poll!(&mut second).is_ready());
        assert!(
            locks.taken().is_empty(),
            "the lock of a finished future is released"
        );
    }
}
