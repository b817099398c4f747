//! A cursor over XML responses, on `quick-xml` events. `documents` and `listing` parse the documents with it.
//!
//! A document must be complete, begin with the expected root element and declare no entities (so none are expanded).
//! Anything else is an error and never an empty result.

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
    CommonPrefixes,
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
    MaxKeys,
    Message,
    NextContinuationToken,
    NextMarker,
    NextPartNumberMarker,
    Part,
    PartNumber,
    Prefix,
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
            "CommonPrefixes" => Self::CommonPrefixes,
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
            "MaxKeys" => Self::MaxKeys,
            "Message" => Self::Message,
            "NextContinuationToken" => Self::NextContinuationToken,
            "NextMarker" => Self::NextMarker,
            "NextPartNumberMarker" => Self::NextPartNumberMarker,
            "Part" => Self::Part,
            "PartNumber" => Self::PartNumber,
            "Prefix" => Self::Prefix,
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
    /// Bytes that were skipped before the reader began.
    skipped: usize,
    /// Bytes of the whole text.
    length: usize,
    /// Whether the text ended inside a token.
    cut_off: bool,
}

/// Where the next piece begins in a document that arrives in pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Position {
    /// Before the root element.
    #[default]
    Before,
    /// Between the children of the root element, whose name is this.
    Inside(String),
    /// After the root element.
    After,
}

/// What comes next in a document that arrives in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A child of the root element. The cursor is inside it.
    Child(Element),
    /// Something between children. The cursor is past it.
    Between,
    /// The end of the piece.
    End,
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
        let text = std::str::from_utf8(body).map_err(|_| malformed("not UTF-8"))?;
        let mut cursor = Self::resume(text, &Position::Before);
        loop {
            match cursor.next()? {
                Event::Start(start) => {
                    let tag = Element::of(&start);
                    return Ok((cursor, tag));
                }
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
                Event::Text(text) if is_blank(&text) => {}
                Event::DocType(text) if declares_nothing(&text) => {}
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

    /// Starts to read a piece of a document at `place`.
    pub fn resume(text: &'a str, place: &Position) -> Self {
        let rest = match place {
            // Stores send white space before the document to keep a slow response alive.
            Position::Before => text.trim_start_matches('\u{feff}').trim_ascii_start(),
            Position::Inside(_) | Position::After => text,
        };
        let mut reader = Reader::from_str(rest);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        // The root element may begin in an earlier piece; `step` compares its end tag.
        config.allow_unmatched_ends = true;
        // Some stores do not escape an ampersand. It can mean nothing else.
        config.allow_dangling_amp = true;
        Self {
            reader,
            skipped: text.len() - rest.len(),
            length: text.len(),
            cut_off: false,
        }
    }

    /// Bytes of the text before the position.
    pub fn position(&self) -> usize {
        // The position is within a text in memory, so it fits.
        self.skipped + usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// Whether the text ended inside a token.
    pub const fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Moves to the next child of the root element, which must be `wanted`.
    pub fn step(&mut self, place: &mut Position, wanted: Element) -> Result<Step> {
        let event = self.next()?;
        if matches!(event, Event::Eof) {
            return Ok(Step::End);
        }
        match (&*place, event) {
            (_, Event::Comment(_) | Event::PI(_)) | (Position::Before, Event::Decl(_)) => {}
            (Position::Before, Event::DocType(text)) if declares_nothing(&text) => {}
            (Position::Before | Position::After, Event::Text(text)) if is_blank(&text) => {}
            (Position::Before, Event::Start(start)) if Element::of(&start) == wanted => {
                *place = Position::Inside(start.name().as_ref().to_owned());
            }
            (Position::Before, Event::Start(_)) => return Err(malformed("another document than expected")),
            (Position::Before, _) => return Err(malformed("no root element")),
            (Position::Inside(_), Event::Start(start)) => return Ok(Step::Child(Element::of(&start))),
            (Position::Inside(name), Event::End(end)) if end.name().as_ref() == name.as_str() => {
                *place = Position::After;
            }
            (Position::Inside(_), Event::Text(_) | Event::GeneralRef(_)) => {}
            (Position::Inside(_), Event::End(_)) => return Err(malformed("not well-formed")),
            (Position::Inside(_), _) => return Err(malformed("unexpected content")),
            (Position::After, _) => return Err(malformed("something follows the document")),
        }
        Ok(Step::Between)
    }

    #[inline]
    fn next(&mut self) -> Result<Event<'a>> {
        match self.reader.read_event() {
            Ok(event) => {
                self.cut_off |= matches!(event, Event::Eof);
                Ok(event)
            }
            Err(error) => {
                self.cut_off |= matches!(error, quick_xml::Error::Syntax(_));
                Err(malformed("not well-formed").with_source(error))
            }
        }
    }

    /// Enters the next child of the current element, or leaves the element if there is none.
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

    /// The text of the element just entered, which is then left. Line ends are not normalised, because keys may contain
    /// them.
    #[inline]
    pub fn text(&mut self) -> Result<Cow<'a, str>> {
        let mut text = Cow::Borrowed("");
        // The first half of a surrogate pair.
        let mut half = None;
        loop {
            let event = self.next()?;
            if let Event::GeneralRef(reference) = &event {
                match (half.take(), resolve(reference)?) {
                    (None, Reference::Char(found)) => text.to_mut().push(found),
                    (None, Reference::Half(first)) => half = Some(first),
                    (Some(first), Reference::Half(second)) => text.to_mut().push(pair(first, second)?),
                    (Some(_), Reference::Char(_)) => return Err(malformed("half a character")),
                }
                continue;
            }
            if half.is_some() && !matches!(event, Event::Eof) {
                // The piece may end within the reference to the other half.
                self.cut_off |= self.position() >= self.length;
                return Err(malformed("half a character"));
            }
            match event {
                Event::Text(piece) => push(&mut text, piece.into_inner()),
                Event::CData(piece) => push(&mut text, piece.into_inner()),
                Event::End(_) => return Ok(text),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Eof => return Err(malformed("truncated")),
                _ => return Err(malformed("an element within text")),
            }
        }
    }

    /// The text of the element just entered, as a number.
    pub fn number<T: std::str::FromStr>(&mut self) -> Result<T> {
        self.text()?.trim().parse().map_err(|_| malformed("not a number"))
    }

    /// The text of the element just entered, as a boolean.
    pub fn truth(&mut self) -> Result<bool> {
        let text = self.text()?;
        match text.trim() {
            t if t.eq_ignore_ascii_case("true") => Ok(true),
            t if t.eq_ignore_ascii_case("false") => Ok(false),
            _ => Err(malformed("neither true nor false")),
        }
    }

    /// Leaves the element just entered and skips its content.
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

    /// Checks that nothing follows the root element, which has been left.
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

/// What a character reference means.
enum Reference {
    Char(char),
    /// One half of a surrogate pair: some libraries write a character outside the Basic Multilingual Plane as two
    /// references.
    Half(u16),
}

fn resolve(reference: &BytesRef<'_>) -> Result<Reference> {
    let text: &str = reference;
    if let Some(number) = text.strip_prefix('#') {
        let code = match number.strip_prefix('x') {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16),
            None if number.bytes().all(|b| b.is_ascii_digit()) => number.parse(),
            _ => return Err(malformed("a wrong character reference")),
        };
        let code = code.map_err(|_| malformed("a wrong character reference"))?;
        return match (char::from_u32(code), u16::try_from(code)) {
            // XML does not allow this character, not even as a reference.
            (Some('\0'), _) => Err(malformed("a wrong character reference")),
            (Some(found), _) => Ok(Reference::Char(found)),
            (None, Ok(half)) => Ok(Reference::Half(half)),
            (None, Err(_)) => Err(malformed("a wrong character reference")),
        };
    }
    Ok(Reference::Char(match text {
        "quot" => '"',
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "apos" => '\'',
        _ => return Err(malformed("an unknown entity")),
    }))
}

fn pair(first: u16, second: u16) -> Result<char> {
    let mut decoded = char::decode_utf16([first, second]);
    match (decoded.next(), decoded.next()) {
        (Some(Ok(found)), None) => Ok(found),
        _ => Err(malformed("half a character")),
    }
}

/// Whether a document type has no internal declarations. External ones are never fetched.
fn declares_nothing(text: &str) -> bool {
    !text.contains('[')
}
