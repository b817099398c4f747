//! What the response to a write says about the stored object.

use super::etag::ETag;

/// How a store encrypts an object with keys that it keeps itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// With its key management service.
    Kms,
    /// In another way.
    Other,
}

/// What the response to a write says about the stored object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Entity tag.
    pub etag: Option<ETag>,
    /// How it is encrypted, if the store reports it.
    pub encryption: Option<Encryption>,
}
