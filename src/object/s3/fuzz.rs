//! Access for the fuzz targets of `tests/fuzz`: parsers and encoders that nothing else calls from outside.

use super::listing::{self, Lines};
use super::names::{self, DeclaredEncoding, UrlEncoding};
use super::url::{Location, Query};
use crate::error::Result;
use crate::object::{EntryFacts, PageFacts};
use crate::task::Key;
use crate::task::spec::Endpoint;

/// A page of a listing, with keys as in the document.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The text of each key, and what else the listing says about the object.
    pub lines: Vec<(String, EntryFacts)>,
    /// What the page says about itself.
    pub facts: PageFacts,
    /// Whether it says that its keys are url-encoded.
    pub encoded: bool,
}

/// Parses a listing that arrives in pieces of at most `piece` bytes.
///
/// # Errors
/// Those of the listing's parser.
pub fn read_listing(document: &[u8], piece: usize) -> Result<Page> {
    let mut page = listing::PageReader::default();
    let mut pieces = Vec::new();
    for bytes in document.chunks(piece.clamp(1, listing::PageReader::MOST)) {
        page.push_and_read(bytes)?;
        while let Some(lines) = page.take_full() {
            pieces.push(lines);
        }
    }
    let end = page.finish()?;
    pieces.extend(end.pieces);
    let lines = pieces.into_iter().flat_map(|mut lines: Lines| {
        let each = 0..lines.len();
        each.map(|at| (lines.text(at).to_owned(), lines.take_facts(at)))
            .collect::<Vec<_>>()
    });
    Ok(Page {
        lines: lines.collect(),
        facts: end.facts,
        encoded: end.declared == DeclaredEncoding::Url,
    })
}

/// Decodes a url-encoded key; `None` for a text that no encoding produces.
#[must_use]
pub fn url_decode(text: &str, encoding: UrlEncoding) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    names::url_decode(text.as_bytes(), encoding, &mut key).then_some(key)
}

/// The URL of an object.
///
/// # Errors
/// `InvalidArgument` for an endpoint, a bucket or a key that cannot be part of one.
pub fn address(endpoint: &Endpoint, bucket: &str, key: &Key) -> Result<String> {
    Location::new(endpoint, bucket)?.address(Some(key), &Query::default())
}
