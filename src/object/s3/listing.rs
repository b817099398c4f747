//! Reading listings (`ListBucketResult`), both versions, fast: a full pass reads one of these per 1,000 objects and side.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::PlusMeans;
use super::xml::{Cursor, Element, malformed};
use crate::error::Result;
use crate::object::{ETag, Entry, known_time};
use crate::task::{Key, UnixMillis};

/// One answer to a listing request.
#[derive(Debug)]
pub(super) struct Listing {
    pub entries: Vec<Entry>,
    /// Whether there are more objects.
    pub truncated: bool,
    /// Where the next page begins, version 2.
    pub token: Option<String>,
    /// Where the next page begins, version 1, decoded.
    pub next_marker: Option<Vec<u8>>,
    /// Whether it has the form of version 1: `Marker` without anything of version 2.
    pub version_1: bool,
    /// How its keys write a plus and a space.
    pub plus: PlusSigns,
}

/// What a page shows of how a store writes a plus and a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PlusSigns {
    /// The first key that holds a bare `+`, as it was written.
    pub bare: Option<String>,
    /// Whether a key holds `%20`: then a `+` is no space.
    pub escaped_space: bool,
    /// Whether a key holds `%2B`: then a `+` is no plus.
    pub escaped_plus: bool,
}

impl PlusSigns {
    fn note(&mut self, key: &str) {
        let bytes = key.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            match (byte, bytes.get(at + 1..at + 3)) {
                (b'+', _) if self.bare.is_none() => self.bare = Some(key.to_owned()),
                (b'%', Some(b"20")) => self.escaped_space = true,
                (b'%', Some(b"2B" | b"2b")) => self.escaped_plus = true,
                _ => {}
            }
        }
    }
}

/// An entry whose key is still encoded: the element that says how comes anywhere in the document.
struct Raw<'a> {
    key: Cow<'a, str>,
    size: u64,
    etag: Option<ETag>,
    last_modified: Option<UnixMillis>,
}

/// Reads a listing.
///
/// # Errors
/// `Integrity` for anything but a complete `ListBucketResult` that says whether it is truncated.
pub(super) fn read(body: &[u8], plus: PlusMeans) -> Result<Listing> {
    let mut cursor = Cursor::expect(body, Element::ListBucketResult)?;
    let mut raw = Vec::with_capacity(1000);
    let (mut truncated, mut token, mut next_marker) = (None, None, None);
    let (mut encoded, mut has_marker, mut has_count) = (false, false, false);
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::Contents => raw.push(entry(&mut cursor)?),
            Element::IsTruncated => truncated = Some(cursor.truth()?),
            Element::NextContinuationToken => token = Some(cursor.text()?.into_owned()),
            Element::NextMarker => next_marker = Some(cursor.text()?),
            Element::EncodingType => encoded = cursor.text()?.trim().eq_ignore_ascii_case("url"),
            Element::Marker => {
                has_marker = true;
                cursor.skip()?;
            }
            Element::KeyCount => {
                has_count = true;
                cursor.skip()?;
            }
            _ => cursor.skip()?,
        }
    }
    cursor.finish()?;
    let truncated = truncated.ok_or_else(|| malformed("the listing does not say whether it is complete"))?;
    let mut signs = PlusSigns::default();
    let mut scratch = Vec::new();
    let mut decode = |text: &str| -> Result<Key> {
        if !encoded || !text.bytes().any(|b| b == b'%' || b == b'+') {
            return Ok(Key::from(text));
        }
        signs.note(text);
        scratch.clear();
        decode_into(text, plus, &mut scratch)?;
        Ok(Key::from(scratch.as_slice()))
    };
    let next_marker = next_marker
        .filter(|marker| !marker.is_empty())
        .map(|marker| decode(&marker).map(|key| key.as_bytes().to_vec()))
        .transpose()?;
    let entries = raw
        .into_iter()
        .map(|raw| {
            Ok(Entry {
                key: decode(&raw.key)?,
                size: raw.size,
                etag: raw.etag,
                last_modified: raw.last_modified,
            })
        })
        .collect::<Result<_>>()?;
    let plus = signs;
    let token = token.filter(|token| !token.is_empty());
    Ok(Listing {
        entries,
        truncated,
        version_1: has_marker && !has_count && token.is_none(),
        token,
        next_marker,
        plus,
    })
}

fn entry<'a>(cursor: &mut Cursor<'a>) -> Result<Raw<'a>> {
    let (mut key, mut size, mut etag, mut last_modified) = (None, None, None, None);
    while let Some(tag) = cursor.child()? {
        match tag {
            Element::Key => key = Some(cursor.text()?),
            Element::Size => size = Some(cursor.number()?),
            Element::ETag => etag = Some(ETag::new(&cursor.text()?)).filter(|tag| !tag.as_str().is_empty()),
            Element::LastModified => last_modified = time(cursor.text()?.trim()),
            _ => cursor.skip()?,
        }
    }
    Ok(Raw {
        key: key
            .filter(|key| !key.is_empty())
            .ok_or_else(|| malformed("an entry without a key"))?,
        size: size.ok_or_else(|| malformed("an entry without a size"))?,
        etag,
        last_modified,
    })
}

/// Undoes the url-encoding of a listing. A `+` is a space as in HTML forms, which most stores mean, or itself; see
/// [`PlusMeans`].
pub(super) fn decode_into(text: &str, plus: PlusMeans, out: &mut Vec<u8>) -> Result<()> {
    // A lone `%` would otherwise pass as itself, and the object be looked for under a wrong key.
    let bytes = text.as_bytes();
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b == b'%') {
        let digits = bytes.get(at + 1..at + 3);
        if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            return Err(malformed("a key is not url-encoded"));
        }
    }
    match plus {
        PlusMeans::Plus => out.extend(percent_decode(bytes)),
        PlusMeans::Space => {
            for (i, piece) in bytes.split(|b| *b == b'+').enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                out.extend(percent_decode(piece));
            }
        }
    }
    Ok(())
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

    fn listed(inner: &str) -> Result<Listing> {
        let text = format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{inner}</ListBucketResult>"
        );
        read(text.as_bytes(), PlusMeans::Space)
    }

    fn one(key: &str) -> String {
        format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")
    }

    const END: &str = "<IsTruncated>false</IsTruncated>";
    const URL: &str = "<EncodingType>url</EncodingType>";

    #[test]
    fn entries_are_read_in_the_form_of_every_store() {
        let page = listed(&format!(
            "<Name>b</Name><Prefix/><KeyCount>2</KeyCount>{END}\n  <Contents><Key>a b</Key>\
             <LastModified>2024-02-29T12:34:56.789Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>12</Size>\
             <Owner><ID>x</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>\
             <Contents><Size>0</Size><Key>&lt;&amp;&#10;</Key><ETag></ETag><LastModified>2024-01-01T00:00:00+01:00</LastModified></Contents>\
             <CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
        ))
        .unwrap();
        let [first, second] = page.entries.as_slice() else {
            panic!("{page:?}")
        };
        assert_eq!((first.key.clone(), first.size), (Key::from("a b"), 12));
        assert_eq!(first.etag, Some(ETag::new("abc")));
        assert_eq!(first.last_modified, Some(UnixMillis(1_709_210_096_789)));
        assert_eq!(
            (second.key.clone(), second.etag.clone()),
            (Key::from("<&\n"), None)
        );
        assert_eq!(second.last_modified, Some(UnixMillis(1_704_063_600_000)));
        assert!(!page.truncated && page.token.is_none() && !page.version_1);
    }

    #[test]
    fn keys_are_decoded_only_if_the_answer_says_so() {
        let key = |text: &str, plus| {
            let text = format!("<ListBucketResult>{}{END}{URL}</ListBucketResult>", one(text));
            read(text.as_bytes(), plus).map(|page| page.entries[0].key.as_bytes().to_vec())
        };
        for (given, space, plus) in [
            ("a%20b", "a b", "a b"),
            ("a+b", "a b", "a+b"),
            ("a%2Bb", "a+b", "a+b"),
            ("%C3%BC%01//..", "ü\u{1}//..", "ü\u{1}//.."),
            ("ü", "ü", "ü"),
            ("%2525", "%25", "%25"),
        ] {
            assert_eq!(key(given, PlusMeans::Space).unwrap(), space.as_bytes(), "{given}");
            assert_eq!(key(given, PlusMeans::Plus).unwrap(), plus.as_bytes(), "{given}");
        }
        assert_eq!(key("%FF", PlusMeans::Space).unwrap(), [0xff]);
        for wrong in ["%", "a%2", "%zz", "%+1"] {
            assert!(key(wrong, PlusMeans::Space).is_err(), "{wrong}");
        }
        let literal = listed(&format!("{}{END}", one("a%20+b"))).unwrap();
        assert_eq!(literal.entries[0].key, Key::from("a%20+b"));
    }

    #[test]
    fn a_defect_is_never_an_empty_listing() {
        let whole = format!("<ListBucketResult>{}{END}</ListBucketResult>", one("k"));
        for cut in 0..whole.len() {
            assert!(read(&whole.as_bytes()[..cut], PlusMeans::Space).is_err(), "{cut}");
        }
        assert!(read(whole.as_bytes(), PlusMeans::Space).is_ok());
        for wrong in [
            "<html><body/></html>",
            "<Error><Code>x</Code></Error>",
            "<ListBucketResult></ListBucketResult>",
            "<ListAllMyBucketsResult><IsTruncated>false</IsTruncated></ListAllMyBucketsResult>",
            "<!DOCTYPE a><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
        ] {
            assert!(read(wrong.as_bytes(), PlusMeans::Space).is_err(), "{wrong}");
        }
        assert!(read(b"\xff<ListBucketResult/>", PlusMeans::Space).is_err());
        for wrong in [
            "<Contents><Size>1</Size></Contents>",
            "<Contents><Key>k</Key></Contents>",
            "<Contents><Key/><Size>1</Size></Contents>",
            "<Contents><Key>k</Key><Size>-1</Size></Contents>",
            "<Contents><Key>k<b/></Key><Size>1</Size></Contents>",
        ] {
            assert!(listed(&format!("{wrong}{END}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_version_of_an_answer_is_recognised() {
        let page = |inner: &str| listed(inner).unwrap();
        let truncated = "<IsTruncated>true</IsTruncated>";
        let first = page(&format!(
            "<Marker/>{truncated}<NextMarker>a%20b</NextMarker>{URL}"
        ));
        assert!(first.version_1);
        assert_eq!(first.next_marker.as_deref(), Some(&b"a b"[..]));
        let second = page(&format!(
            "<KeyCount>0</KeyCount>{truncated}<NextContinuationToken>t+%20</NextContinuationToken>{URL}"
        ));
        assert_eq!(second.token.as_deref(), Some("t+%20"));
        assert!(!second.version_1);
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
