//! What the answer to a write tells of the object that was stored.

use super::etag::ETag;

/// How a store encrypts an object with keys that it has itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With its key management service.
    Kms,
    /// In another way.
    Other,
}

/// What the answer to a write tells of the object that was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Entity tag.
    pub etag: Option<ETag>,
    /// How it is encrypted, when the store tells.
    pub encryption: Option<Encryption>,
}
