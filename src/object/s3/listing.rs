//! Parses listings (`ListBucketResult`) of both versions. It must be fast: a full pass reads one page per 1,000 objects
//! and side.
//!
//! A page is parsed while it arrives, because some stores put all their objects into one page. Memory is limited in
//! bytes and in objects, whatever the length of the document.
//!
//! Times in the usual form are parsed here and not by `jiff`: each object of a listing has one, and this takes 14 ns instead of 60
//! (measured with 1,000 different times in a release build). All other forms go to the libraries, and a test compares the results.

use std::ops::Range;

use super::names::DeclaredEncoding;
use super::plain;
use super::xml::{Cursor, Element, Position, Step, malformed};
use crate::error::Result;
use crate::object::{ETag, EntryFacts, PAGE_SIZE, PageFacts, known_time};
use crate::task::{Key, UnixMillis};

/// Bytes of a document that are collected before they are parsed.
const READ_AT: usize = 64 << 10;
/// Longest element below the root, in bytes. An entry with a key of 1,024 bytes, in any encoding, is much shorter.
const LONGEST_ELEMENT: usize = 64 << 10;
/// Bytes of keys that are held at a time. 1,000 keys of usual lengths need less. So the facts at the end of a page are
/// known before its keys are passed on.
const HELD_BYTES: usize = 512 << 10;
/// Longest ETag that is kept; S3's have 32 to 38 bytes.
const LONGEST_TAG: usize = 1024;
/// Longest text of a key that is kept, because each byte may be written as `%25XX`.
const LONGEST_TEXT: usize = 5 * Key::MAX_LEN;

/// Entries of a page, with keys as in the document.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    lines: Vec<(Range<usize>, EntryFacts)>,
}

impl Lines {
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn text(&self, at: usize) -> &str {
        self.lines
            .get(at)
            .and_then(|(range, _)| self.text.get(range.clone()))
            .unwrap_or_default()
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.text(at))
    }

    /// Removes and returns the facts of line `at`.
    pub(super) fn take_facts(&mut self, at: usize) -> EntryFacts {
        self.lines.get_mut(at).map_or(EntryFacts::Nothing, |(_, facts)| {
            std::mem::replace(facts, EntryFacts::Nothing)
        })
    }

    fn push(&mut self, key: &str, facts: EntryFacts) {
        let begin = self.text.len();
        self.text.push_str(key);
        self.lines.push((begin..self.text.len(), facts));
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= PAGE_SIZE as usize || self.text.len() >= HELD_BYTES
    }
}

/// The end of a page.
#[derive(Debug)]
pub(super) struct End {
    /// The lines that have not been taken yet, in batches.
    pub pieces: Vec<Lines>,
    /// What the page says about itself.
    pub facts: PageFacts,
    /// Whether it says that its keys are encoded.
    pub declared: DeclaredEncoding,
}

/// Parses one page, piece by piece.
#[derive(Debug, Default)]
pub(super) struct PageReader {
    buffer: Vec<u8>,
    /// Number of buffered bytes at which the next attempt to parse is worthwhile.
    read_at: usize,
    place: Position,
    lines: Lines,
    full: Vec<Lines>,
    facts: PageFacts,
    declared: DeclaredEncoding,
    marker: bool,
}

impl PageReader {
    /// Adds the next bytes of the document, at most [`Self::MOST`] at a time.
    ///
    /// # Errors
    /// `Integrity` for anything but the next part of a `ListBucketResult`.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= self.read_at.max(READ_AT) {
            self.read(Rest::ToCome)?;
        }
        Ok(())
    }

    /// Adds the next bytes, and parses at once what is complete.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn push_and_read(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.read(Rest::ToCome)
    }

    /// Most bytes to push at a time. The buffer then stays below three times this size.
    pub(super) const MOST: usize = READ_AT;

    /// Lines that can be passed on before the end of the page, because there are more of them than a page should have.
    pub(super) fn take_full(&mut self) -> Option<Lines> {
        (!self.full.is_empty()).then(|| self.full.remove(0))
    }

    /// What the page has said so far about the encoding of its keys.
    pub(super) const fn declared(&self) -> DeclaredEncoding {
        self.declared
    }

    /// Ends the document.
    ///
    /// # Errors
    /// `Integrity` for a document that is not complete.
    pub(super) fn finish(mut self) -> Result<End> {
        self.read(Rest::None)?;
        self.full.push(self.lines);
        self.facts.version_1 = self.marker && self.facts.key_count.is_none() && self.facts.token.is_none();
        Ok(End {
            pieces: self.full,
            facts: self.facts,
            declared: self.declared,
        })
    }

    fn read(&mut self, rest: Rest) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let text = match (std::str::from_utf8(&buffer), rest) {
            (Ok(text), _) => text,
            // An incomplete character at the end.
            (Err(error), Rest::ToCome) if error.error_len().is_none() => {
                std::str::from_utf8(&buffer[..error.valid_up_to()]).map_err(|_| malformed("not UTF-8"))?
            }
            (Err(_), _) => return Err(malformed("not UTF-8")),
        };
        let used = self.read_text(text, rest)?;
        let left = buffer.len() - used;
        self.buffer = buffer;
        self.buffer.copy_within(used.., 0);
        self.buffer.truncate(left);
        if left > LONGEST_ELEMENT {
            return Err(malformed("an element of the listing is too long"));
        }
        self.read_at = left + READ_AT;
        Ok(())
    }

    /// Parses what is complete, and returns how many bytes that was.
    fn read_text(&mut self, text: &str, rest: Rest) -> Result<usize> {
        let mut used = 0;
        loop {
            used += self.plain_entries(&text[used..])?;
            match self.read_parsed(&text[used..], rest)? {
                Parsed::UntilEntry(more) => used += more,
                Parsed::All(more) => return Ok(used + more),
            }
        }
    }

    /// Parses the entries in plain form at the start of `text`, and returns how many bytes they have.
    fn plain_entries(&mut self, text: &str) -> Result<usize> {
        let mut used = 0;
        if matches!(self.place, Position::Inside(_)) {
            while let Some((entry, length)) = plain::entry(&text[used..]) {
                self.entry(entry.key, entry.size, entry.etag, entry.last_modified)?;
                used += length;
            }
        }
        Ok(used)
    }

    /// Parses with the XML parser what is complete, until an entry in plain form follows.
    fn read_parsed(&mut self, text: &str, rest: Rest) -> Result<Parsed> {
        let mut cursor = Cursor::resume(text, &self.place);
        // Bytes that were parsed completely.
        let mut used = 0;
        loop {
            let begin = cursor.position();
            let step = match cursor.step(&mut self.place, Element::ListBucketResult) {
                Ok(Step::Child(tag)) => self.element(tag, &mut cursor).map(|()| Step::Between),
                other => other,
            };
            match step {
                Ok(Step::Child(_) | Step::Between) => {
                    used = cursor.position();
                    let inside = matches!(self.place, Position::Inside(_));
                    if inside && plain::entry(&text[used..]).is_some() {
                        return Ok(Parsed::UntilEntry(used));
                    }
                }
                Ok(Step::End) if rest == Rest::ToCome => return Ok(Parsed::All(used.max(begin))),
                Ok(Step::End) if self.place == Position::After => return Ok(Parsed::All(text.len())),
                Ok(Step::End) => return Err(malformed("truncated")),
                Err(_) if cursor.is_cut_off() && rest == Rest::ToCome => return Ok(Parsed::All(used)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Parses an element below the root. Nothing is recorded before it is complete.
    fn element(&mut self, tag: Element, cursor: &mut Cursor<'_>) -> Result<()> {
        match tag {
            Element::Contents => return self.parsed_entry(cursor),
            Element::IsTruncated => self.facts.truncated = Some(cursor.truth()?),
            Element::NextContinuationToken => {
                self.facts.token = Some(cursor.text()?.into_owned()).filter(|token| !token.is_empty());
            }
            Element::NextMarker => {
                self.facts.marker = Some(cursor.text()?.into_owned()).filter(|marker| !marker.is_empty());
            }
            Element::EncodingType => {
                let url = cursor.text()?.trim().eq_ignore_ascii_case("url");
                self.declared = if url {
                    DeclaredEncoding::Url
                } else {
                    DeclaredEncoding::Other
                };
            }
            Element::Marker => {
                cursor.skip()?;
                self.marker = true;
            }
            // Neither number is needed, so one that cannot be parsed is ignored.
            Element::KeyCount => self.facts.key_count = Some(cursor.text()?.trim().parse().unwrap_or(0)),
            Element::MaxKeys => self.facts.max_keys = cursor.text()?.trim().parse().ok(),
            Element::CommonPrefixes => {
                let mut named = 0;
                while let Some(tag) = cursor.child()? {
                    match tag {
                        Element::Prefix if !cursor.text()?.is_empty() => named += 1,
                        Element::Prefix => {}
                        _ => cursor.skip()?,
                    }
                }
                self.facts.common_prefixes += named;
            }
            _ => cursor.skip()?,
        }
        Ok(())
    }

    fn parsed_entry(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let (mut key, mut size, mut etag, mut last_modified) = (None, None, None, None);
        while let Some(tag) = cursor.child()? {
            match tag {
                Element::Key => key = Some(cursor.text()?),
                Element::Size => size = Some(cursor.text()?),
                Element::ETag => etag = Some(cursor.text()?),
                Element::LastModified => last_modified = Some(cursor.text()?),
                _ => cursor.skip()?,
            }
        }
        self.entry(
            key.as_deref(),
            size.as_deref(),
            etag.as_deref(),
            last_modified.as_deref(),
        )
    }

    /// Records an entry.
    fn entry(
        &mut self,
        key: Option<&str>,
        size: Option<&str>,
        etag: Option<&str>,
        last_modified: Option<&str>,
    ) -> Result<()> {
        let size = size.map_or(Ok(None), size_of)?;
        let etag = etag
            .filter(|text| text.len() <= LONGEST_TAG)
            .map(ETag::new)
            .filter(|tag| !tag.as_str().is_empty());
        let last_modified = last_modified.and_then(|text| time(text.trim()));
        let key = key
            .filter(|key| !key.is_empty())
            .ok_or_else(|| malformed("an entry without a key"))?;
        if self.lines.is_full() {
            let full = std::mem::take(&mut self.lines);
            self.full.push(full);
        }
        if key.len() > LONGEST_TEXT {
            let bytes = key.len();
            let begin = key.floor_char_boundary(LONGEST_TEXT);
            self.lines.push(&key[..begin], EntryFacts::KeyTooLong { bytes });
            return Ok(());
        }
        let facts = size.map_or(EntryFacts::Nothing, |size| EntryFacts::Object {
            size,
            etag,
            last_modified,
        });
        self.lines.push(key, facts);
        Ok(())
    }
}

/// How far the XML parser came.
enum Parsed {
    /// This many bytes; an entry in plain form follows.
    UntilEntry(usize),
    /// This many bytes, which is all that is complete.
    All(usize),
}

/// Whether more of a document is to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    ToCome,
    None,
}

/// A length; `None` for an empty text.
fn size_of(text: &str) -> Result<Option<u64>> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| malformed("a size that is no number")),
    }
}

/// Parses a complete page.
#[cfg(test)]
fn read(document: &[u8]) -> Result<End> {
    let mut page = PageReader::default();
    let mut pieces = Vec::new();
    for bytes in document.chunks(PageReader::MOST) {
        page.push(bytes)?;
        while let Some(lines) = page.take_full() {
            pieces.push(lines);
        }
    }
    let mut end = page.finish()?;
    pieces.append(&mut end.pieces);
    end.pieces = pieces;
    Ok(end)
}

/// Parses a time stamp. The form `YYYY-MM-DDTHH:MM:SS[.fraction]Z` is parsed without a library. A text that is no time,
/// or that has no time zone, gives `None`: one bad time must not stop a whole bucket.
fn time(text: &str) -> Option<UnixMillis> {
    let given = plain_time(text.as_bytes()).map(UnixMillis).or_else(|| {
        let library = text.parse::<jiff::Timestamp>().ok();
        library
            .map(|time| UnixMillis(time.as_millisecond()))
            .or_else(|| httpdate::parse_http_date(text).ok().map(UnixMillis::from_system))
    });
    given.and_then(known_time)
}

fn plain_time(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        text.get(from..to)?.iter().try_fold(0_i64, |value, digit| {
            digit
                .is_ascii_digit()
                .then(|| value * 10 + i64::from(digit - b'0'))
        })
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if !separators.iter().all(|(at, b)| text.get(*at) == Some(b)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let millis = match text.get(19..)? {
        b"Z" => 0,
        [b'.', _, _, _, b'Z'] => number(20, 23)?,
        _ => return None,
    };
    if !(1..=days_of(year, month)?).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days from the civil calendar, counted in years that begin in March (Howard Hinnant).
    let years = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * years + years / 4 - years / 100 + years / 400 + day_of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

/// How many days a month has; `None` if there is no such month.
const fn days_of(year: i64, month: i64) -> Option<i64> {
    let days = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    Some(days)
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
