//! An object that is to be copied, and how much of it is known before.

use crate::error::{Error, Result};
use crate::object::{ETag, Entry, ObjectInfo, unknown_length};
use crate::task::rules::ConsistencyCheck;
use crate::task::spec::Scope;
use crate::task::{Key, TaskSpec, UnixMillis};

/// An object to copy.
#[derive(Clone, Debug)]
pub enum SourceObject {
    /// Its length is known, as that of everything that a bucket lists.
    KnownSize(Entry),
    /// Its source, a plain web server, tells no length, and the task takes what comes.
    UnknownSize {
        /// Name that the list gives it.
        key: Key,
        /// When it was last written, where the server says so.
        last_modified: Option<UnixMillis>,
    },
}

impl SourceObject {
    /// What a source tells of a key.
    ///
    /// # Errors
    /// `Unsupported` with the code `NoContentLength` where it tells no length, and the task does not take that.
    pub fn of(key: Key, info: ObjectInfo, spec: &TaskSpec) -> Result<Self> {
        let last_modified = info.last_modified;
        match info.size {
            Some(size) => Ok(Self::KnownSize(Entry {
                key,
                size,
                etag: info.etag,
                last_modified,
            })),
            None if allows_unknown_size(spec) => Ok(Self::UnknownSize { key, last_modified }),
            None => Err(unknown_size(spec)),
        }
    }

    /// Source key.
    #[must_use]
    pub const fn key(&self) -> &Key {
        match self {
            Self::KnownSize(entry) => &entry.key,
            Self::UnknownSize { key, .. } => key,
        }
    }

    /// What is known of it, where its length is.
    #[must_use]
    pub const fn measured(&self) -> Option<&Entry> {
        match self {
            Self::KnownSize(entry) => Some(entry),
            Self::UnknownSize { .. } => None,
        }
    }

    /// Length in bytes, where it is known.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        match self {
            Self::KnownSize(entry) => Some(entry.size),
            Self::UnknownSize { .. } => None,
        }
    }

    /// Tag of the version to copy. One whose length nobody told is copied in the version that there is.
    #[must_use]
    pub const fn etag(&self) -> Option<&ETag> {
        match self {
            Self::KnownSize(entry) => entry.etag.as_ref(),
            Self::UnknownSize { .. } => None,
        }
    }

    /// When it was last written, where the source says so.
    #[must_use]
    pub const fn last_modified(&self) -> Option<UnixMillis> {
        match self {
            Self::KnownSize(entry) => entry.last_modified,
            Self::UnknownSize { last_modified, .. } => *last_modified,
        }
    }

    /// Bytes to count for it before it was copied: none where nobody told how many.
    #[must_use]
    pub fn known_bytes(&self) -> u64 {
        self.size().unwrap_or_default()
    }
}

/// Whether an object may be copied that nobody tells the length of. Source: the OMS reference on `no_check`: web servers
/// only, and then a read that comes to its end is a success.
#[must_use]
pub fn allows_unknown_size(spec: &TaskSpec) -> bool {
    matches!(spec.scope, Scope::Urls(_)) && spec.rules.consistency == ConsistencyCheck::NoCheck
}

/// The error where it may not, or where it would help if it might.
#[must_use]
pub fn unknown_size(spec: &TaskSpec) -> Error {
    let error = unknown_length();
    if !matches!(spec.scope, Scope::Urls(_)) || allows_unknown_size(spec) {
        return error;
    }
    let text = format!(
        "{}; a task with the consistency_check no_check would take it as it comes",
        error.message()
    );
    Error::new(error.kind(), text).with_code(error.code().unwrap_or_default())
}
