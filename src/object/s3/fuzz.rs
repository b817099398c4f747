//! Doors for the fuzz targets of `tests/fuzz`: parsers and encoders that nobody else calls from outside.

use super::url::{Location, Query};
use super::{PlusMeans, listing};
use crate::error::Result;
use crate::object::Entry;
use crate::task::Key;
use crate::task::spec::Endpoint;

/// A page of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Its objects.
    pub entries: Vec<Entry>,
    /// Whether there are more.
    pub truncated: bool,
    /// Where the next page begins, version 2.
    pub token: Option<String>,
    /// Where it begins, version 1.
    pub next_marker: Option<Vec<u8>>,
}

/// Reads the answer to a listing.
///
/// # Errors
/// Those of the listing's parser.
pub fn read_listing(body: &[u8], plus: PlusMeans) -> Result<Page> {
    let listing::Listing {
        entries,
        truncated,
        token,
        next_marker,
        version_1: _,
        plus: _,
    } = listing::read(body, plus)?;
    Ok(Page {
        entries,
        truncated,
        token,
        next_marker,
    })
}

/// The address of an object.
///
/// # Errors
/// `InvalidArgument` for an endpoint, a bucket or a key that cannot be part of one.
pub fn address(endpoint: &Endpoint, bucket: &str, key: &Key) -> Result<String> {
    Location::new(endpoint, bucket)?.address(Some(key), &Query::default())
}
