//! How a store encodes keys in its listings. This is found out for each store by asking, and only if a key can be
//! decoded in two ways.
//!
//! Listings are requested with url-encoded keys, so that they can contain any key. Most stores then encode as HTML
//! forms do, where a `+` is a space. A few encode as in paths, where it stays a plus. Some encode and do not say so,
//! some say so and do not encode, and some escape twice. A key that is decoded wrongly would be looked up under a name
//! that does not exist, and would count as deleted.

use std::sync::atomic::{AtomicU8, Ordering};

use percent_encoding::percent_decode;

/// What was done to a key before it was written into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlEncoding {
    /// Nothing.
    Plain,
    /// Url-encoded as in HTML forms: a `+` is a space.
    Form,
    /// Url-encoded as in paths: a `+` is a plus.
    Path,
    /// Url-encoded as in HTML forms, twice.
    Twice,
}

impl UrlEncoding {
    const ALL: [Self; 4] = [Self::Plain, Self::Form, Self::Path, Self::Twice];

    /// The bit of this encoding with this number of XML escapes.
    const fn bit(self, escapes: Escapes) -> u8 {
        let place = self as u8
            + match escapes {
                Escapes::Once => 0,
                Escapes::Twice => 4,
            };
        1 << place
    }

    /// All readings with this encoding.
    const fn bits(self) -> u8 {
        self.bit(Escapes::Once) | self.bit(Escapes::Twice)
    }
}

/// How often the document escapes XML characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escapes {
    Once,
    Twice,
}

/// Whether a document says that its keys are url-encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DeclaredEncoding {
    /// `EncodingType` is `url`.
    Url,
    /// It says nothing, or something else.
    #[default]
    Other,
}

/// The readings that are not ruled out yet, as a set of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Readings(u8);

/// Parts of a text that can be decoded in more than one way.
const PERCENT: u8 = 1;
const PLUS: u8 = 2;
const PERCENT_TWICE: u8 = 4;
const ENTITY: u8 = 8;

/// Entities that remain after a second escaping.
const ENTITIES: [&str; 6] = ["&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#"];

fn features(text: &str) -> u8 {
    let bytes = text.as_bytes();
    let mut found = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                found |= PERCENT;
                if bytes.get(at + 1..at + 3) == Some(b"25") {
                    found |= PERCENT_TWICE;
                }
            }
            b'+' => found |= PLUS,
            b'&' if ENTITIES
                .iter()
                .any(|entity| bytes[at..].starts_with(entity.as_bytes())) =>
            {
                found |= ENTITY;
            }
            _ => {}
        }
    }
    found
}

impl Readings {
    const ALL: Self = Self(u8::MAX);

    /// On which parts of a text these readings disagree.
    fn open(self) -> u8 {
        let set = self.0;
        let both = |some: u8| set & some != 0 && set & !some != 0;
        let mut open = 0;
        if both(UrlEncoding::Plain.bits()) {
            open |= PERCENT;
        }
        if both(UrlEncoding::Plain.bits() | UrlEncoding::Path.bits()) {
            open |= PLUS;
        }
        if both(UrlEncoding::Twice.bits()) {
            open |= PERCENT_TWICE;
        }
        if both(0x0f) {
            open |= ENTITY;
        }
        open
    }

    /// Single readings, the most likely first.
    fn each(self, declared: DeclaredEncoding) -> impl Iterator<Item = (UrlEncoding, Escapes, u8)> {
        let encodings = match declared {
            DeclaredEncoding::Url => [
                UrlEncoding::Form,
                UrlEncoding::Path,
                UrlEncoding::Plain,
                UrlEncoding::Twice,
            ],
            DeclaredEncoding::Other => UrlEncoding::ALL,
        };
        [Escapes::Once, Escapes::Twice]
            .into_iter()
            .flat_map(move |escapes| encodings.map(|encoding| (encoding, escapes, encoding.bit(escapes))))
            .filter(move |(_, _, bit)| self.0 & bit != 0)
    }

    /// Decodes a text if all readings agree.
    pub(super) fn read(self, text: &str, declared: DeclaredEncoding, out: &mut Vec<u8>) -> Read {
        out.clear();
        if !text.bytes().any(|byte| matches!(byte, b'%' | b'+' | b'&')) {
            return Read::AsWritten;
        }
        if features(text) & self.open() != 0 {
            return Read::Unclear;
        }
        match self.each(declared).next() {
            Some((encoding, escapes, _)) if decode(text, encoding, escapes, out) => Read::Decoded,
            _ => Read::Unclear,
        }
    }

    /// The different keys that a text may stand for, the most likely first, each with its readings.
    pub(super) fn candidates(self, text: &str, declared: DeclaredEncoding) -> Vec<(Vec<u8>, Self)> {
        let mut found: Vec<(Vec<u8>, Self)> = Vec::new();
        for (encoding, escapes, bit) in self.each(declared) {
            let mut key = Vec::new();
            if !decode(text, encoding, escapes, &mut key) || key.is_empty() {
                continue;
            }
            match found.iter_mut().find(|(known, _)| *known == key) {
                Some((_, readings)) => readings.0 |= bit,
                None => found.push((key, Self(bit))),
            }
        }
        found
    }
}

/// The result of decoding a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// The text is the key.
    AsWritten,
    /// The key was decoded.
    Decoded,
    /// The text may stand for more than one key, or for none.
    Unclear,
}

/// What is known about one store. Documents that say that they are encoded, and those that do not, are kept apart.
#[derive(Debug)]
pub(super) struct KeyReadings {
    url: AtomicU8,
    other: AtomicU8,
}

impl Default for KeyReadings {
    fn default() -> Self {
        Self {
            url: AtomicU8::new(Readings::ALL.0),
            other: AtomicU8::new(Readings::ALL.0),
        }
    }
}

impl KeyReadings {
    const fn set(&self, declared: DeclaredEncoding) -> &AtomicU8 {
        match declared {
            DeclaredEncoding::Url => &self.url,
            DeclaredEncoding::Other => &self.other,
        }
    }

    pub(super) fn readings(&self, declared: DeclaredEncoding) -> Readings {
        Readings(self.set(declared).load(Ordering::Relaxed))
    }

    /// Rules out all other readings. Concurrent callers get a result that is consistent with this one.
    pub(super) fn narrow(&self, declared: DeclaredEncoding, proved: Readings) {
        let narrowed = |known: u8| {
            Some(if known & proved.0 == 0 {
                proved.0
            } else {
                known & proved.0
            })
        };
        // The closure always returns a value.
        let _before = self
            .set(declared)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, narrowed);
    }
}

/// Decodes a key; returns whether the text is a possible encoding.
fn decode(text: &str, encoding: UrlEncoding, escapes: Escapes, out: &mut Vec<u8>) -> bool {
    match escapes {
        Escapes::Once => url_decode(text.as_bytes(), encoding, out),
        Escapes::Twice => match quick_xml::escape::unescape(text) {
            Ok(text) => url_decode(text.as_bytes(), encoding, out),
            Err(_) => false,
        },
    }
}

/// Url-decodes `text` and appends the bytes to `out`. `false` for a text that no encoding produces. Otherwise a lone
/// `%` would stay as it is, and the object would be looked up under a wrong key.
pub(super) fn url_decode(text: &[u8], encoding: UrlEncoding, out: &mut Vec<u8>) -> bool {
    if encoding == UrlEncoding::Plain {
        out.extend_from_slice(text);
        return true;
    }
    let sound = text
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'%')
        .all(|(at, _)| {
            let digits = text.get(at + 1..at + 3);
            digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
        });
    if !sound {
        return false;
    }
    match encoding {
        UrlEncoding::Plain | UrlEncoding::Path => out.extend(percent_decode(text)),
        UrlEncoding::Form => {
            for (i, piece) in text.split(|b| *b == b'+').enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                out.extend(percent_decode(piece));
            }
        }
        UrlEncoding::Twice => {
            let mut once = Vec::new();
            return url_decode(text, UrlEncoding::Form, &mut once)
                && url_decode(&once, UrlEncoding::Form, out);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, encoding: UrlEncoding) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        url_decode(text.as_bytes(), encoding, &mut out).then_some(out)
    }

    #[test]
    fn every_encoding_is_undone() {
        use UrlEncoding::{Form, Path, Plain, Twice};
        for (text, encoding, key) in [
            ("a%20b", Plain, Some("a%20b")),
            ("a%20b", Form, Some("a b")),
            ("a%20b", Path, Some("a b")),
            ("a+b", Plain, Some("a+b")),
            ("a+b", Form, Some("a b")),
            ("a+b", Path, Some("a+b")),
            ("a%2Bb", Form, Some("a+b")),
            ("a%2520b", Form, Some("a%20b")),
            ("a%2520b", Twice, Some("a b")),
            ("%C3%BC%01//..", Form, Some("ü\u{1}//..")),
            ("ü", Form, Some("ü")),
            ("%", Plain, Some("%")),
            ("%", Form, None),
            ("a%2", Path, None),
            ("%zz", Form, None),
            ("%+1", Form, None),
            ("%25zz", Twice, None),
        ] {
            let wanted = key.map(|key| key.as_bytes().to_vec());
            assert_eq!(plain(text, encoding), wanted, "{text} {encoding:?}");
        }
        assert_eq!(plain("%FF", Form), Some(vec![0xff]));
    }

    #[test]
    fn only_what_could_be_read_in_two_ways_is_unclear() {
        let all = Readings::ALL;
        let mut out = Vec::new();
        for (text, wanted) in [
            ("photos/2024/a.jpg", Read::AsWritten),
            ("größe & more.txt", Read::Decoded),
            ("a%20b", Read::Unclear),
            ("50%", Read::Unclear),
            ("a+b", Read::Unclear),
            ("a&amp;b", Read::Unclear),
            ("a&#38;b", Read::Unclear),
        ] {
            for declared in [DeclaredEncoding::Url, DeclaredEncoding::Other] {
                assert_eq!(all.read(text, declared, &mut out), wanted, "{text} {declared:?}");
            }
        }
    }

    #[test]
    fn an_answer_settles_its_kind_and_no_other() {
        let names = KeyReadings::default();
        let mut out = Vec::new();
        let candidates = names
            .readings(DeclaredEncoding::Url)
            .candidates("a%20b", DeclaredEncoding::Url);
        let keys: Vec<&[u8]> = candidates.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(keys, [&b"a b"[..], b"a%20b"]);
        names.narrow(DeclaredEncoding::Url, candidates[0].1);
        let known = names.readings(DeclaredEncoding::Url);
        assert_eq!(
            known.read("x%2Fy", DeclaredEncoding::Url, &mut out),
            Read::Decoded
        );
        assert_eq!(out, b"x/y");
        for open in ["a+b", "a%2520", "a&amp;b"] {
            assert_eq!(
                known.read(open, DeclaredEncoding::Url, &mut out),
                Read::Unclear,
                "{open}"
            );
        }
        let other = names.readings(DeclaredEncoding::Other);
        assert_eq!(
            other.read("x%2Fy", DeclaredEncoding::Other, &mut out),
            Read::Unclear
        );
        // Once a plus is known to be a plus, form encoding is ruled out.
        let candidates = known.candidates("a+b", DeclaredEncoding::Url);
        assert_eq!(
            (candidates[0].0.as_slice(), candidates[1].0.as_slice()),
            (&b"a b"[..], &b"a+b"[..])
        );
        names.narrow(DeclaredEncoding::Url, candidates[1].1);
        let known = names.readings(DeclaredEncoding::Url);
        assert_eq!(
            known.read("a+%20%2520", DeclaredEncoding::Url, &mut out),
            Read::Decoded
        );
        assert_eq!(out, b"a+ %20");
        // A result that contradicts everything known so far replaces it.
        names.narrow(DeclaredEncoding::Url, candidates[0].1);
        assert_eq!(
            names
                .readings(DeclaredEncoding::Url)
                .read("a+b", DeclaredEncoding::Url, &mut out),
            Read::Decoded
        );
        assert_eq!(out, b"a b");
    }

    #[test]
    fn a_text_that_was_escaped_twice_has_two_readings() {
        let found = Readings::ALL.candidates("b&amp;c", DeclaredEncoding::Other);
        let keys: Vec<&[u8]> = found.iter().map(|(key, _)| key.as_slice()).collect();
        assert_eq!(keys, [&b"b&amp;c"[..], b"b&c"]);
        // A text that no encoding produces has one reading. The store is still asked about it.
        let found = Readings::ALL.candidates("50%", DeclaredEncoding::Url);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, b"50%");
    }
}
