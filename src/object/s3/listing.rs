//! Reading listings (`ListBucketResult`), both versions, fast: a full pass reads one of these per 1,000 objects and side.
//!
//! A page is read while it arrives, because some stores put everything that they have into one: what is held at a time is
//! bounded by bytes and by objects, whatever the document's length.

use std::ops::Range;

use super::names::Said;
use super::xml::{Cursor, Element, Place, Step, malformed};
use crate::error::Result;
use crate::object::{ETag, PAGE_SIZE, PageFacts, Told, known_time};
use crate::task::{Key, UnixMillis};

/// Bytes of a document that are gathered before they are read.
const READ_AT: usize = 64 << 10;
/// Longest element below the root, in bytes: an entry with a key of 1,024 bytes, in whatever encoding, is far below it.
const LONGEST_ELEMENT: usize = 64 << 10;
/// Bytes of keys that are held at a time. 1,000 keys of usual lengths are below it, so that what a page says of them at its
/// end is known before they are given away.
const HELD_BYTES: usize = 512 << 10;
/// Longest entity tag that is kept; S3's have 32 to 38 bytes.
const LONGEST_TAG: usize = 1024;
/// Longest text of a key that is kept: each byte may be written as `%25XX`.
const LONGEST_TEXT: usize = 5 * Key::MAX_LEN;

/// Lines of a page, their keys as the document has them.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    lines: Vec<(Range<usize>, Told)>,
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

    /// Takes out what line `at` tells, once.
    pub(super) fn take_told(&mut self, at: usize) -> Told {
        self.lines
            .get_mut(at)
            .map_or(Told::Nothing, |(_, told)| std::mem::replace(told, Told::Nothing))
    }

    fn push(&mut self, key: &str, told: Told) {
        let begin = self.text.len();
        self.text.push_str(key);
        self.lines.push((begin..self.text.len(), told));
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= PAGE_SIZE as usize || self.text.len() >= HELD_BYTES
    }
}

/// The end of a page.
#[derive(Debug)]
pub(super) struct End {
    /// The lines that were not taken before, some at a time.
    pub pieces: Vec<Lines>,
    /// What the page says of itself.
    pub facts: PageFacts,
    /// Whether it says that its keys are encoded.
    pub said: Said,
}

/// Reads one page, piece by piece.
#[derive(Debug, Default)]
pub(super) struct PageReader {
    buffer: Vec<u8>,
    /// Bytes at which it is worth trying again.
    read_at: usize,
    place: Place,
    lines: Lines,
    full: Vec<Lines>,
    facts: PageFacts,
    said: Said,
    marker: bool,
}

impl PageReader {
    /// Takes the next bytes of the document, at most [`Self::MOST`] at a time.
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

    /// Takes the next bytes, and reads what is complete at once.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn push_and_read(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.read(Rest::ToCome)
    }

    /// Most bytes to push at a time: with them, the buffer stays below three times as many.
    pub(super) const MOST: usize = READ_AT;

    /// Lines that can be given away before the page is at its end, because there are more of them than a page should have.
    pub(super) fn take_full(&mut self) -> Option<Lines> {
        (!self.full.is_empty()).then(|| self.full.remove(0))
    }

    /// What the page has said so far of how its keys are written.
    pub(super) const fn said(&self) -> Said {
        self.said
    }

    /// The document is at its end.
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
            said: self.said,
        })
    }

    fn read(&mut self, rest: Rest) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let text = match (std::str::from_utf8(&buffer), rest) {
            (Ok(text), _) => text,
            // A character that has only begun.
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

    /// Reads what is complete, and returns how many bytes that was.
    fn read_text(&mut self, text: &str, rest: Rest) -> Result<usize> {
        let mut cursor = Cursor::resume(text, &self.place);
        // What was read completely.
        let mut used = 0;
        loop {
            let begin = cursor.position();
            let step = match cursor.step(&mut self.place, Element::ListBucketResult) {
                Ok(Step::Child(tag)) => self.element(tag, &mut cursor).map(|()| Step::Between),
                other => other,
            };
            match step {
                Ok(Step::Child(_) | Step::Between) => used = cursor.position(),
                Ok(Step::End) if rest == Rest::ToCome => return Ok(used.max(begin)),
                Ok(Step::End) if self.place == Place::After => return Ok(text.len()),
                Ok(Step::End) => return Err(malformed("truncated")),
                Err(_) if cursor.is_cut_off() && rest == Rest::ToCome => return Ok(used),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads an element below the root. Nothing is noted before it is complete.
    fn element(&mut self, tag: Element, cursor: &mut Cursor<'_>) -> Result<()> {
        match tag {
            Element::Contents => return self.entry(cursor),
            Element::IsTruncated => self.facts.truncated = Some(cursor.truth()?),
            Element::NextContinuationToken => {
                self.facts.token = Some(cursor.text()?.into_owned()).filter(|token| !token.is_empty());
            }
            Element::NextMarker => {
                self.facts.marker = Some(cursor.text()?.into_owned()).filter(|marker| !marker.is_empty());
            }
            Element::EncodingType => {
                let url = cursor.text()?.trim().eq_ignore_ascii_case("url");
                self.said = if url { Said::Url } else { Said::Nothing };
            }
            Element::Marker => {
                cursor.skip()?;
                self.marker = true;
            }
            // Neither number is needed; one that cannot be read tells nothing.
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

    fn entry(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let (mut key, mut size, mut etag, mut last_modified) = (None, None, None, None);
        while let Some(tag) = cursor.child()? {
            match tag {
                Element::Key => key = Some(cursor.text()?),
                Element::Size => size = size_of(&cursor.text()?)?,
                Element::ETag => {
                    let text = cursor.text()?;
                    let fits = text.len() <= LONGEST_TAG;
                    etag = fits
                        .then(|| ETag::new(&text))
                        .filter(|tag| !tag.as_str().is_empty());
                }
                Element::LastModified => last_modified = time(cursor.text()?.trim()),
                _ => cursor.skip()?,
            }
        }
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
            self.lines.push(&key[..begin], Told::KeyTooLong { bytes });
            return Ok(());
        }
        let told = size.map_or(Told::Nothing, |size| Told::Object {
            size,
            etag,
            last_modified,
        });
        self.lines.push(&key, told);
        Ok(())
    }
}

/// Whether more of a document is to come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    ToCome,
    None,
}

/// A length; an empty text tells none.
fn size_of(text: &str) -> Result<Option<u64>> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| malformed("a size that is no number")),
    }
}

/// Reads a page that is at hand.
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

/// Reads a time stamp; `YYYY-MM-DDTHH:MM:SS[.fraction]Z` without a library. A text that is no moment, or that names no
/// time zone, tells nothing: an odd time of one object does not stop a bucket.
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
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days from the civil calendar, counted in years that begin in March (Howard Hinnant).
    let years = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * years + years / 4 - years / 100 + years / 400 + day_of_year - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(inner: &str) -> Result<End> {
        let text = format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</ListBucketResult>"
        );
        read(text.as_bytes())
    }

    fn keys(end: &End) -> Vec<String> {
        let texts = end.pieces.iter().flat_map(Lines::texts);
        texts.map(str::to_owned).collect()
    }

    fn one(key: &str) -> String {
        format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")
    }

    const END: &str = "<IsTruncated>false</IsTruncated>";
    const URL: &str = "<EncodingType>url</EncodingType>";

    #[test]
    fn entries_are_read_in_the_form_of_every_store() {
        let mut page = listed(&format!(
            "<Name>b</Name><Prefix/><KeyCount>2</KeyCount><MaxKeys>7</MaxKeys>{END}\n  <Contents><Key>a b</Key>\
             <LastModified>2024-02-29T12:34:56.789Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>12</Size>\
             <Owner><ID>x</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>\
             <Contents><Size>0</Size><Key>&lt;&amp;&#10;</Key><ETag></ETag><LastModified>2024-01-01T00:00:00+01:00</LastModified></Contents>\
             <Contents><Key>dir/</Key><StorageClass>STANDARD</StorageClass></Contents>\
             <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes><CommonPrefixes/>{URL}"
        ))
        .unwrap();
        assert_eq!(keys(&page), ["a b", "<&\n", "dir/"]);
        let lines = page.pieces.last_mut().unwrap();
        let told = |size, tag: Option<&str>, time| Told::Object {
            size,
            etag: tag.map(ETag::new),
            last_modified: Some(UnixMillis(time)),
        };
        assert_eq!(lines.take_told(0), told(12, Some("abc"), 1_709_210_096_789));
        assert_eq!(lines.take_told(1), told(0, None, 1_704_063_600_000));
        assert_eq!(lines.take_told(2), Told::Nothing);
        let wanted = PageFacts {
            truncated: Some(false),
            key_count: Some(2),
            max_keys: Some(7),
            common_prefixes: 1,
            ..PageFacts::default()
        };
        assert_eq!((page.facts, page.said), (wanted, Said::Url));
    }

    #[test]
    fn odd_documents_are_read_or_refused() {
        let whole = format!("<ListBucketResult>{}{END}</ListBucketResult>", one("k"));
        let inner = |text: &str| format!("<ListBucketResult>{text}{END}</ListBucketResult>");
        for (name, document, wanted) in [
            (
                "two declarations",
                format!("<?xml version=\"1.0\"?>\n<?xml version=\"1.0\"?>{whole}"),
                Some("k"),
            ),
            ("a byte order mark", format!("\u{feff}{whole}"), Some("k")),
            (
                "white space before it",
                format!(" \n \n<?xml version='1.0'?>\n{whole}"),
                Some("k"),
            ),
            (
                "a document type",
                format!("<!DOCTYPE ListBucketResult>{whole}"),
                Some("k"),
            ),
            (
                "a document type with an address",
                format!("<!DOCTYPE a SYSTEM \"http://h/x.dtd\">{whole}"),
                Some("k"),
            ),
            (
                "a document type with entities",
                format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{whole}"),
                None,
            ),
            (
                "a document type within",
                inner(&format!("<!DOCTYPE a>{}", one("k"))),
                None,
            ),
            (
                "a prefix",
                whole.replace('<', "<s3:").replace("<s3:/", "</s3:"),
                Some("k"),
            ),
            (
                "a surrogate pair",
                inner(&one("&#55357;&#56832;")),
                Some("\u{1F600}"),
            ),
            (
                "a surrogate pair in hexadecimal",
                inner(&one("&#xD83D;&#xDE00;x")),
                Some("\u{1F600}x"),
            ),
            ("half a pair", inner(&one("&#55357;x")), None),
            ("the other half", inner(&one("&#56832;")), None),
            ("two first halves", inner(&one("&#55357;&#55357;&#56832;")), None),
            ("a bare ampersand", inner(&one("A & B")), Some("A & B")),
            (
                "a bare ampersand elsewhere",
                inner(&format!("<Owner>A & B</Owner>{}", one("k"))),
                Some("k"),
            ),
            ("an HTML entity", inner(&one("M&uuml;ller")), None),
            (
                "an HTML entity elsewhere",
                inner(&format!("<Owner>M&uuml;ller</Owner>{}", one("k"))),
                Some("k"),
            ),
            ("escaped twice", inner(&one("a&amp;amp;b")), Some("a&amp;b")),
            ("CDATA", inner(&one("<![CDATA[a<b]]>")), Some("a<b")),
            ("comments", inner(&one("a<!-- x -->b")), Some("ab")),
            (
                "blanks around a size",
                inner("<Contents><Key>k</Key><Size> 1\n</Size></Contents>"),
                Some("k"),
            ),
            ("no size", inner("<Contents><Key>k</Key></Contents>"), Some("k")),
            (
                "an odd time",
                inner("<Contents><Key>k</Key><LastModified>yesterday</LastModified></Contents>"),
                Some("k"),
            ),
            ("no key", inner("<Contents><Size>1</Size></Contents>"), None),
            (
                "an empty key",
                inner("<Contents><Key/><Size>1</Size></Contents>"),
                None,
            ),
            (
                "a size below zero",
                inner("<Contents><Key>k</Key><Size>-1</Size></Contents>"),
                None,
            ),
            (
                "an element in a key",
                inner("<Contents><Key>k<b/></Key><Size>1</Size></Contents>"),
                None,
            ),
            ("another end", whole.replace("</ListB", "</B"), None),
            ("something behind it", format!("{whole}<Contents/>"), None),
            ("another document", "<html><body/></html>".to_owned(), None),
            ("an error", "<Error><Code>x</Code></Error>".to_owned(), None),
            (
                "buckets",
                format!("<ListAllMyBucketsResult>{END}</ListAllMyBucketsResult>"),
                None,
            ),
            ("nothing", String::new(), None),
        ] {
            let found = read(document.as_bytes()).map(|end| keys(&end));
            match wanted {
                Some(key) => assert_eq!(found.unwrap(), [key], "{name}"),
                None => assert!(found.is_err(), "{name}: {found:?}"),
            }
        }
        for cut in 0..whole.len() {
            assert!(read(&whole.as_bytes()[..cut]).is_err(), "{cut}");
        }
        assert!(read(b"\xff<ListBucketResult/>").is_err());
    }

    /// Whatever the pieces in which a document arrives: it is the same page.
    #[test]
    fn a_page_is_read_the_same_in_any_pieces() {
        let entries: String = (0..40)
            .map(|i| one(&format!("é{i}&amp;&#55357;&#56832;<![CDATA[x]]>")))
            .collect();
        let text = format!(
            "<?xml version='1.0'?>\n<!-- a --><ListBucketResult a='>'>{END}\n{entries}<CommonPrefixes/><!-- b -->\
             <NextMarker>m&lt;</NextMarker>{URL}</ListBucketResult>\n<!-- c -->\n"
        );
        let whole = read(text.as_bytes()).unwrap();
        for length in [1, 2, 3, 7, 64, 1000] {
            let mut page = PageReader::default();
            for bytes in text.as_bytes().chunks(length) {
                page.push_and_read(bytes).unwrap();
            }
            let end = page.finish().unwrap();
            assert_eq!(keys(&end), keys(&whole), "{length}");
            assert_eq!(
                (end.facts, end.said),
                (whole.facts.clone(), whole.said),
                "{length}"
            );
        }
    }

    /// 300,000 objects in one page, 60 MiB: what is held at a time does not grow with them.
    #[test]
    fn a_page_of_everything_is_read_with_flat_memory() {
        let mut page = PageReader::default();
        let (mut seen, mut most_held, mut piece) = (0, 0, Vec::new());
        page.push(b"<ListBucketResult><IsTruncated>false</IsTruncated>")
            .unwrap();
        for block in 0..3_000 {
            piece.clear();
            for i in 0..100 {
                let key = format!(
                    "a/prefix/of/a/usual/length/{:08}{}",
                    block * 100 + i,
                    "-".repeat(100)
                );
                piece.extend_from_slice(one(&key).as_bytes());
            }
            for bytes in piece.chunks(PageReader::MOST) {
                page.push(bytes).unwrap();
                while let Some(lines) = page.take_full() {
                    seen += lines.len();
                    assert!(lines.len() <= PAGE_SIZE as usize);
                }
                let held = page.buffer.capacity() + page.lines.text.capacity() + page.full.capacity();
                most_held = most_held.max(held);
            }
        }
        page.push(b"</ListBucketResult>").unwrap();
        seen += page
            .finish()
            .unwrap()
            .pieces
            .iter()
            .map(Lines::len)
            .sum::<usize>();
        assert_eq!(seen, 300_000);
        assert!(most_held < 2 << 20, "{most_held} bytes");
    }

    #[test]
    fn what_has_no_end_is_refused_before_it_is_held() {
        for (name, begin, more) in [
            ("a key", "<ListBucketResult><Contents><Key>", "k"),
            ("a comment", "<ListBucketResult><!--", " "),
            ("an attribute", "<ListBucketResult a='", "k"),
            ("nesting", "<ListBucketResult>", "<a>"),
            ("a declaration", "<?xml ", "k"),
            ("a document type", "<!DOCTYPE a ", "k"),
        ] {
            let mut page = PageReader::default();
            page.push(begin.as_bytes()).unwrap();
            let more = more.repeat(4096);
            let pushed = (0..1000).find(|_| page.push(more.as_bytes()).is_err());
            assert!(
                pushed.is_some_and(|pushed| pushed * 4096 < 512 << 10),
                "{name}: {pushed:?}"
            );
        }
    }

    #[test]
    fn of_an_overlong_key_only_the_beginning_is_kept() {
        let long = "é".repeat(10_000);
        let mut page = listed(&format!("{}{}{END}", one(&long), one("k"))).unwrap();
        let lines = page.pieces.last_mut().unwrap();
        assert_eq!(lines.take_told(0), Told::KeyTooLong { bytes: 20_000 });
        assert!(lines.text(0).len() <= LONGEST_TEXT && long.starts_with(lines.text(0)));
        assert_eq!(lines.text(1), "k");
    }

    #[test]
    fn the_version_of_an_answer_is_recognised() {
        let page = |inner: &str| listed(inner).unwrap().facts;
        let truncated = "<IsTruncated>true</IsTruncated>";
        let first = page(&format!(
            "<Marker/>{truncated}<NextMarker>a%20b</NextMarker>{URL}"
        ));
        assert!(first.version_1);
        assert_eq!(first.marker.as_deref(), Some("a%20b"));
        let second = page(&format!(
            "<KeyCount>0</KeyCount>{truncated}<NextContinuationToken>t+%20</NextContinuationToken>{URL}"
        ));
        assert_eq!(second.token.as_deref(), Some("t+%20"));
        assert!(!second.version_1);
        assert_eq!(page("").truncated, None);
    }

    #[test]
    fn times_agree_with_the_library() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-29T23:59:59.999Z",
            "2023-12-31T23:59:59Z",
            "2024-03-01T00:00:00.001Z",
            "2100-03-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            let wanted: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(
                plain_time(text.as_bytes()),
                Some(wanted.as_millisecond()),
                "{text}"
            );
        }
        for text in [
            "2024-01-01T00:00:00.12Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01 00:00:00Z",
            "2024-1-01T00:00:00Z",
            "",
        ] {
            assert_eq!(plain_time(text.as_bytes()), None, "{text}");
        }
        assert_eq!(
            time("2024-01-01T00:00:00.123456Z"),
            Some(UnixMillis(1_704_067_200_123))
        );
    }

    #[test]
    fn a_time_is_told_or_untold_and_never_an_error() {
        let known = Some(UnixMillis(1_704_067_200_000));
        for (name, text, wanted) in [
            ("S3", "2024-01-01T00:00:00.000Z", known),
            ("nanoseconds", "2024-01-01T00:00:00.000000000Z", known),
            ("offset", "2024-01-01T01:00:00+01:00", known),
            ("offset without a colon", "2024-01-01T01:00:00+0100", known),
            ("RFC 1123", "Mon, 01 Jan 2024 00:00:00 GMT", known),
            ("no zone", "2024-01-01T00:00:00", None),
            ("blank and no zone", "2024-01-01 00:00:00", None),
            ("empty", "", None),
            ("a word", "yesterday", None),
            ("the epoch", "1970-01-01T00:00:00.000Z", None),
            ("year 1", "0001-01-01T00:00:00Z", None),
            ("year 52047", "52047-01-01T00:00:00.000Z", None),
            ("no such day", "2024-13-45T00:00:00Z", None),
        ] {
            assert_eq!(time(text), wanted, "{name}");
        }
    }
}
