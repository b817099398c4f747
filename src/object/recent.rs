//! A map of bounded size that forgets what was added first.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::task::Key;

/// How many names are remembered. This is more than a shard of the engine ever processes at once, so the URL of an
/// object that is being copied is always known.
pub const REMEMBERED: usize = 16_384;

/// The values of the last [`REMEMBERED`] names.
#[derive(Clone, Debug)]
pub struct Recent<V> {
    values: HashMap<Key, V>,
    order: VecDeque<Key>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            order: VecDeque::new(),
        }
    }
}

impl<V> Recent<V> {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &Key) -> Option<&V> {
        self.values.get(name)
    }

    /// Adds a name, or replaces its value.
    pub fn add(&mut self, name: Key, value: V) {
        if self.values.insert(name.clone(), value).is_some() {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}

/// The URLs of the objects of a URL manifest that are being copied, by name. A URL may contain a signature, so it is
/// kept only here: not in the ledger, not in a message, not in a log.
#[derive(Default)]
pub struct ObjectUrls(Mutex<Recent<Arc<str>>>);

impl std::fmt::Debug for ObjectUrls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectUrls(…)")
    }
}

impl ObjectUrls {
    /// The URL of a name.
    #[must_use]
    pub fn get(&self, name: &Key) -> Option<Arc<str>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).cloned()
    }

    /// Remembers the URL of a name.
    pub fn add(&self, name: Key, url: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.add(name, url.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let addresses = ObjectUrls::default();
        let key = |n: usize| Key::from(n.to_string().as_str());
        for n in 0..=REMEMBERED {
            addresses.add(key(n), "https://h/secret");
        }
        assert!(addresses.get(&key(0)).is_none());
        assert!(addresses.get(&key(1)).is_some() && addresses.get(&key(REMEMBERED)).is_some());
        assert!(!format!("{addresses:?}").contains("secret"));
    }
}
