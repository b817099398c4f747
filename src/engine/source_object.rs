//! An object to copy, and how much is known about it before.

use crate::error::{Error, Result};
use crate::object::{ETag, Entry, ObjectInfo, unknown_length};
use crate::task::rules::ConsistencyCheck;
use crate::task::spec::Scope;
use crate::task::{Key, TaskSpec, UnixMillis};

/// An object to copy.
#[derive(Clone, Debug)]
pub enum SourceObject {
    /// Its length is known, as for every object that a bucket lists.
    KnownSize(Entry),
    /// Its source, a plain web server, does not report a length, and the task allows that.
    UnknownSize {
        /// Name of the object in the list.
        key: Key,
        /// When it was last written, if the server reports that.
        last_modified: Option<UnixMillis>,
    },
}

impl SourceObject {
    /// The object that a source describes for a key.
    ///
    /// # Errors
    /// `Unsupported` with the code `NoContentLength` if the source reports no length and the task does not allow that.
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

    /// What is known about the object, if its length is known.
    #[must_use]
    pub const fn measured(&self) -> Option<&Entry> {
        match self {
            Self::KnownSize(entry) => Some(entry),
            Self::UnknownSize { .. } => None,
        }
    }

    /// Length in bytes, if it is known.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        match self {
            Self::KnownSize(entry) => Some(entry.size),
            Self::UnknownSize { .. } => None,
        }
    }

    /// ETag of the version to copy. An object of unknown length is copied in its current version.
    #[must_use]
    pub const fn etag(&self) -> Option<&ETag> {
        match self {
            Self::KnownSize(entry) => entry.etag.as_ref(),
            Self::UnknownSize { .. } => None,
        }
    }

    /// When it was last written, if the source reports that.
    #[must_use]
    pub const fn last_modified(&self) -> Option<UnixMillis> {
        match self {
            Self::KnownSize(entry) => entry.last_modified,
            Self::UnknownSize { last_modified, .. } => *last_modified,
        }
    }

    /// Bytes to count before the object is copied: none if its length is unknown.
    #[must_use]
    pub fn known_bytes(&self) -> u64 {
        self.size().unwrap_or_default()
    }
}

/// Whether objects of unknown length may be copied. Source: the OMS reference on `no_check`. It applies to web servers only,
/// and then a read that reaches its end is a success.
#[must_use]
pub fn allows_unknown_size(spec: &TaskSpec) -> bool {
    matches!(spec.scope, Scope::Urls(_)) && spec.rules.consistency == ConsistencyCheck::NoCheck
}

/// The error for an object of unknown length. It suggests `no_check` if that would allow the copy.
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
