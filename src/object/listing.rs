//! Data of listings: requests for pages, the objects of a page, and what a page says about itself.

use async_trait::async_trait;
use percent_encoding::percent_decode_str;

use super::etag::ETag;
use crate::error::Result;
use crate::task::{Key, UnixMillis};

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key.
    pub key: Key,
    /// Length in bytes.
    pub size: u64,
    /// Entity tag; some stores leave it out of listings.
    pub etag: Option<ETag>,
    /// When it was last written; `None` if the store does not report it or reports an impossible time ([`super::known_time`]).
    pub last_modified: Option<UnixMillis>,
}

/// Where a listing begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListFrom {
    /// At the first key.
    Start,
    /// After this key, in the store's own order: `start-after`, or `marker` in version 1.
    After(Key),
    /// At this continuation token of an earlier page; in version 1 a marker.
    Token(String),
}

/// The listing operation that a store supports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListVersion {
    /// `ListObjectsV2`, with tokens.
    #[default]
    V2,
    /// `ListObjects`, with markers.
    V1,
}

/// Most objects that are requested in one page.
pub const PAGE_SIZE: u32 = 1000;

/// A request for one page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Common prefix of all keys.
    pub prefix: Key,
    /// Where the page begins.
    pub from: ListFrom,
    /// The operation.
    pub version: ListVersion,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingEntry {
    /// Its key; only the beginning if it is longer than [`Key::MAX_LEN`].
    pub key: Key,
    /// What else the listing says about it.
    pub facts: EntryFacts,
}

/// What a listing says about an object besides its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryFacts {
    /// Its length, and possibly more.
    Object {
        /// Length in bytes.
        size: u64,
        /// Entity tag; some stores leave it out of listings.
        etag: Option<ETag>,
        /// As [`Entry::last_modified`].
        last_modified: Option<UnixMillis>,
    },
    /// No length, as with folders at some stores. The object must be requested.
    Nothing,
    /// The key has more bytes than any object store allows.
    KeyTooLong {
        /// How many.
        bytes: usize,
    },
}

impl ListingEntry {
    /// The object, if its length is known.
    #[must_use]
    pub fn entry(self) -> Option<Entry> {
        match self.facts {
            EntryFacts::Object {
                size,
                etag,
                last_modified,
            } => Some(Entry {
                key: self.key,
                size,
                etag,
                last_modified,
            }),
            EntryFacts::Nothing | EntryFacts::KeyTooLong { .. } => None,
        }
    }

    /// Length in bytes; 0 if unknown.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match &self.facts {
            EntryFacts::Object { size, .. } => *size,
            EntryFacts::Nothing | EntryFacts::KeyTooLong { .. } => 0,
        }
    }
}

/// What a page says about itself, besides its objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageFacts {
    /// `IsTruncated`: whether there are more objects.
    pub truncated: Option<bool>,
    /// `NextContinuationToken`: where the next page begins in version 2.
    pub token: Option<String>,
    /// `NextMarker`: where the next page begins in version 1, as the store wrote it.
    pub marker: Option<String>,
    /// `KeyCount`: how many objects and common prefixes the page has.
    pub key_count: Option<u64>,
    /// `MaxKeys`: how many it may have at most.
    pub max_keys: Option<u64>,
    /// How many common prefixes it has.
    pub common_prefixes: u64,
    /// Whether it has the form of version 1: `Marker` and nothing of version 2.
    pub version_1: bool,
}

/// Receives the objects of a page in batches, in the order of the page.
#[async_trait]
pub trait PageSink: Send {
    /// Receives the next objects, at most [`PAGE_SIZE`].
    ///
    /// # Errors
    /// Any error that ends the reading of the page; the store passes it on.
    async fn take(&mut self, piece: Vec<ListingEntry>) -> Result<()>;
}

#[async_trait]
impl PageSink for Vec<ListingEntry> {
    async fn take(&mut self, mut piece: Vec<ListingEntry>) -> Result<()> {
        self.append(&mut piece);
        Ok(())
    }
}

/// Whether `text` is the url-encoding of `key`, and not the key itself. If a store returns a position in that form and
/// gets it back, it starts at another key.
#[must_use]
pub fn is_encoding_of(text: &str, key: &Key) -> bool {
    let key = key.as_bytes();
    if text.as_bytes() == key || !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return false;
    }
    let path = percent_decode_str(text);
    let form = text.replace('+', " ");
    let form = percent_decode_str(&form);
    path.eq(key.iter().copied()) || form.eq(key.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_encoded_key_is_taken_for_one() {
        for (text, key, wanted) in [
            ("a%20b", "a b", true),
            ("a+b", "a b", true),
            ("a+b%21", "a+b!", true),
            ("a b", "a b", false),
            ("a%20b", "a%20b", false),
            ("YStiIA==", "a b", false),
            ("1+/Zg%3D", "a b", false),
        ] {
            assert_eq!(is_encoding_of(text, &Key::from(key)), wanted, "{text} {key}");
        }
    }
}
