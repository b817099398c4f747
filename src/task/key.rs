//! Object keys: opaque bytes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// An object key, or a prefix of keys, exactly as the store named it. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "StoredKey", try_from = "StoredKey")]
pub struct Key(Arc<[u8]>);

impl Key {
    /// Longest key of S3, in bytes.
    pub const MAX_LEN: usize = 1024;

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key with `prefix` before it.
    #[must_use]
    pub fn with_prefix(&self, prefix: &[u8]) -> Self {
        if prefix.is_empty() {
            self.clone()
        } else {
            Self([prefix, &self.0].concat().into())
        }
    }

    /// For people: invalid UTF-8 is replaced.
    #[must_use]
    pub fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

/// How a key is stored: as text where it is UTF-8, else as hexadecimal digits.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredKey {
    Text(String),
    Hex { hex: String },
}

impl From<Key> for StoredKey {
    fn from(key: Key) -> Self {
        match std::str::from_utf8(key.as_bytes()) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex {
                hex: hex::encode(key.as_bytes()),
            },
        }
    }
}

impl TryFrom<StoredKey> for Key {
    type Error = hex::FromHexError;
    fn try_from(stored: StoredKey) -> Result<Self, hex::FromHexError> {
        match stored {
            StoredKey::Text(text) => Ok(Self::from(text.into_bytes())),
            StoredKey::Hex { hex } => hex::decode(hex).map(Self::from),
        }
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lossy(), f)
    }
}
