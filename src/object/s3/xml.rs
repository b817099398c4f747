//! A cursor over XML answers, on `quick-xml` events. The documents are read in `documents` and `listing`.
//!
//! A document must be complete, begin with the expected root element and declare no document type (so there are no
//! entities to expand); anything else is an error and never an empty result.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

use crate::error::{Error, ErrorKind, Result};

/// Deepest nesting of an element that is skipped; S3 has no more than four levels.
const MAX_DEPTH: u32 = 32;

/// The elements that are read; namespaces and prefixes are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Code,
    CompleteMultipartUploadResult,
    Contents,
    CopyObjectResult,
    CopyPartResult,
    ETag,
    EncodingType,
    Error,
    InitiateMultipartUploadResult,
    IsTruncated,
    Key,
    KeyCount,
    LastModified,
    ListBucketResult,
    ListMultipartUploadsResult,
    ListPartsResult,
    Marker,
    Message,
    NextContinuationToken,
    NextMarker,
    NextPartNumberMarker,
    Part,
    PartNumber,
    Region,
    RequestId,
    Size,
    Tag,
    TagSet,
    Tagging,
    Upload,
    UploadId,
    Value,
    Other,
}

impl Element {
    fn of(start: &BytesStart<'_>) -> Self {
        match start.local_name().as_ref() {
            "Key" => Self::Key,
            "Size" => Self::Size,
            "ETag" => Self::ETag,
            "LastModified" => Self::LastModified,
            "Contents" => Self::Contents,
            "Code" => Self::Code,
            "CompleteMultipartUploadResult" => Self::CompleteMultipartUploadResult,
            "CopyObjectResult" => Self::CopyObjectResult,
            "CopyPartResult" => Self::CopyPartResult,
            "EncodingType" => Self::EncodingType,
            "Error" => Self::Error,
            "InitiateMultipartUploadResult" => Self::InitiateMultipartUploadResult,
            "IsTruncated" => Self::IsTruncated,
            "KeyCount" => Self::KeyCount,
            "ListBucketResult" => Self::ListBucketResult,
            "ListMultipartUploadsResult" => Self::ListMultipartUploadsResult,
            "ListPartsResult" => Self::ListPartsResult,
            "Marker" => Self::Marker,
            "Message" => Self::Message,
            "NextContinuationToken" => Self::NextContinuationToken,
            "NextMarker" => Self::NextMarker,
            "NextPartNumberMarker" => Self::NextPartNumberMarker,
            "Part" => Self::Part,
            "PartNumber" => Self::PartNumber,
            "Region" => Self::Region,
            "RequestId" => Self::RequestId,
            "Tag" => Self::Tag,
            "TagSet" => Self::TagSet,
            "Tagging" => Self::Tagging,
            "Upload" => Self::Upload,
            "UploadId" => Self::UploadId,
            "Value" => Self::Value,
            _ => Self::Other,
        }
    }
}

/// A position in a document.
pub(super) struct Cursor<'a> {
    reader: Reader<&'a [u8]>,
}

pub(super) fn malformed(what: &str) -> Error {
    Error::new(
        ErrorKind::Integrity,
        format!("the store's XML answer is malformed: {what}"),
    )
}

impl<'a> Cursor<'a> {
    /// Opens a document and enters its root element.
    pub fn open(body: &'a [u8]) -> Result<(Self, Element)> {
        // Stores keep a slow answer alive with white space before the document.
        let text = std::str::from_utf8(body).map_err(|_| malformed("not UTF-8"))?;
        let text = text.trim_start_matches('\u{feff}').trim_ascii_start();
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut cursor = Self { reader };
        loop {
            match cursor.next()? {
                Event::Start(start) => {
                    let tag = Element::of(&start);
                    return Ok((cursor, tag));
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Text(text) if is_blank(&text) => {}
                Event::Eof => return Err(malformed("empty")),
                _ => return Err(malformed("no root element")),
            }
        }
    }

    /// Opens a document whose root element must be `wanted`.
    pub fn expect(body: &'a [u8], wanted: Element) -> Result<Self> {
        match Self::open(body)? {
            (cursor, found) if found == wanted => Ok(cursor),
            _ => Err(malformed("another document than expected")),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<Event<'a>> {
        self.reader
            .read_event()
            .map_err(|error| malformed("not well-formed").with_source(error))
    }

    /// Enters the next child of the current element, or leaves the element when there is none.
    #[inline]
    pub fn child(&mut self) -> Result<Option<Element>> {
        loop {
            match self.next()? {
                Event::Start(start) => return Ok(Some(Element::of(&start))),
                Event::End(_) => return Ok(None),
                Event::Text(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return Err(malformed("truncated")),
                _ => return Err(malformed("unexpected content")),
            }
        }
    }

    /// The text of the element just entered, which is left. Line ends are kept as they are, for the sake of keys.
    #[inline]
    pub fn text(&mut self) -> Result<Cow<'a, str>> {
        let mut text = Cow::Borrowed("");
        loop {
            match self.next()? {
                Event::Text(piece) => push(&mut text, piece.into_inner()),
                Event::CData(piece) => push(&mut text, piece.into_inner()),
                Event::GeneralRef(reference) => text.to_mut().push(resolve(&reference)?),
                Event::End(_) => return Ok(text),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return Err(malformed("truncated")),
                _ => return Err(malformed("an element within text")),
            }
        }
    }

    /// The text of the element just entered as a number.
    pub fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        self.text()?.trim().parse().map_err(|_| malformed("not a number"))
    }

    /// The text of the element just entered as a truth value.
    pub fn truth(&mut self) -> Result<bool> {
        let text = self.text()?;
        match text.trim() {
            t if t.eq_ignore_ascii_case("true") => Ok(true),
            t if t.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(malformed("neither true nor false")),
        }
    }

    /// Leaves the element just entered, whatever is in it.
    pub fn skip(&mut self) -> Result<()> {
        let mut depth = 1_u32;
        while depth > 0 {
            match self.next()? {
                Event::Start(_) if depth == MAX_DEPTH => return Err(malformed("nested too deeply")),
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(malformed("truncated")),
                Event::DocType(_) => return Err(malformed("unexpected content")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that nothing follows the root element, which was left.
    pub fn finish(mut self) -> Result<()> {
        loop {
            match self.next()? {
                Event::Eof => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if is_blank(&text) => {}
                _ => return Err(malformed("something follows the document")),
            }
        }
    }
}

fn is_blank(text: &str) -> bool {
    text.trim_ascii().is_empty()
}

fn push<'a>(text: &mut Cow<'a, str>, piece: Cow<'a, str>) {
    if text.is_empty() {
        *text = piece;
    } else {
        text.to_mut().push_str(&piece);
    }
}

fn resolve(reference: &BytesRef<'_>) -> Result<char> {
    if let Some(found) = reference
        .resolve_char_ref()
        .map_err(|error| malformed("a wrong character reference").with_source(error))?
    {
        return Ok(found);
    }
    match &**reference {
        "quot" => Ok('"'),
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "apos" => Ok('\''),
        _ => Err(malformed("an unknown entity")),
    }
}
