//! Parses entries of a listing in the plain form that nearly every store writes, without an XML parser.
//!
//! A pass that finds nothing to do spends most of its CPU time on listings. This parser takes a third of the time of
//! `quick-xml` events. It supports only elements without attributes that contain text or elements. Everything else
//! (references, comments, CDATA, empty-element tags, prefixes, an incomplete entry) is left to [`super::xml`]. Both
//! must give the same result for entries that this parser accepts; a property test checks that.

/// The texts of one `Contents` element, as in the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PlainEntry<'a> {
    pub key: Option<&'a str>,
    pub size: Option<&'a str>,
    /// Without its quotes, if they are written as `&quot;`.
    pub etag: Option<&'a str>,
    pub last_modified: Option<&'a str>,
}

/// How deep elements may be nested below an entry: S3 has `Owner/ID`.
const DEEPEST: u32 = 3;

/// Parses the entry at the start of `text`, and returns how many bytes it has; `None` for anything but a complete entry
/// in the plain form.
pub(super) fn entry(text: &str) -> Option<(PlainEntry<'_>, usize)> {
    let mut at = "<Contents>".len();
    if !text.as_bytes().starts_with(b"<Contents>") {
        return None;
    }
    let mut found = PlainEntry::default();
    loop {
        let (name, inside) = match tag(text, at)? {
            Tag::Begin { name, end } => (name, end),
            Tag::End {
                name: "Contents",
                end,
            } => return Some((found, end)),
            Tag::End { .. } => return None,
        };
        let place = match name {
            "Key" => &mut found.key,
            "Size" => &mut found.size,
            "LastModified" => &mut found.last_modified,
            "ETag" => {
                let (value, end) = etag(text, inside)?;
                found.etag = Some(value);
                at = closed(text, end, name)?;
                continue;
            }
            _ => {
                at = skip(text, inside, name, DEEPEST)?;
                continue;
            }
        };
        let end = end_of_text(text, inside)?;
        *place = Some(&text[inside..end]);
        at = closed(text, end, name)?;
    }
}

/// A tag and where it ends.
enum Tag<'a> {
    Begin { name: &'a str, end: usize },
    End { name: &'a str, end: usize },
}

/// The tag at `at`, after white space.
fn tag(text: &str, at: usize) -> Option<Tag<'_>> {
    let bytes = text.as_bytes();
    let mut at = at;
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    if bytes.get(at) != Some(&b'<') {
        return None;
    }
    let slash = usize::from(bytes.get(at + 1) == Some(&b'/'));
    let begin = at + 1 + slash;
    let mut end = begin;
    while bytes.get(end).is_some_and(u8::is_ascii_alphanumeric) {
        end += 1;
    }
    if end == begin || bytes.get(end) != Some(&b'>') {
        return None;
    }
    let (name, end) = (&text[begin..end], end + 1);
    Some(match slash {
        0 => Tag::Begin { name, end },
        _ => Tag::End { name, end },
    })
}

/// Where the text that begins at `at` ends; `None` if it contains a reference.
fn end_of_text(text: &str, at: usize) -> Option<usize> {
    let length = memchr::memchr2(b'<', b'&', text.as_bytes().get(at..)?)?;
    let end = at + length;
    (text.as_bytes()[end] == b'<').then_some(end)
}

/// The entity tag that begins at `at`, without `&quot;` around it, and where its text ends.
fn etag(text: &str, at: usize) -> Option<(&str, usize)> {
    const QUOTE: &str = "&quot;";
    let rest = text.get(at..)?;
    let Some(inside) = rest.strip_prefix(QUOTE) else {
        let end = end_of_text(text, at)?;
        return Some((&text[at..end], end));
    };
    let length = memchr::memchr2(b'<', b'&', inside.as_bytes())?;
    inside[length..].strip_prefix(QUOTE)?;
    let begin = at + QUOTE.len();
    let end = begin + length + QUOTE.len();
    (text.as_bytes().get(end) == Some(&b'<')).then_some((&text[begin..begin + length], end))
}

/// Where the end tag `name`, which must stand at `at`, ends.
fn closed(text: &str, at: usize, name: &str) -> Option<usize> {
    let rest = text.get(at..)?;
    let after = rest.strip_prefix("</")?.strip_prefix(name)?.strip_prefix('>')?;
    Some(text.len() - after.len())
}

/// Leaves the element `name`, whose content begins at `at`.
fn skip(text: &str, at: usize, name: &str, levels: u32) -> Option<usize> {
    let end = end_of_text(text, at)?;
    if let Some(end) = closed(text, end, name) {
        return Some(end);
    }
    let levels = levels.checked_sub(1)?;
    let mut at = end;
    loop {
        match tag(text, at)? {
            Tag::Begin { name, end } => at = skip(text, end, name, levels)?,
            Tag::End { name: found, end } => return (found == name).then_some(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const FULL: &str = "<Contents><Key>a/ü b</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>\
                        <ETag>&quot;0f&quot;</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass>\
                        <Owner><ID>1</ID><DisplayName></DisplayName></Owner></Contents>";
    const READ: PlainEntry<'_> = PlainEntry {
        key: Some("a/ü b"),
        size: Some("12"),
        etag: Some("0f"),
        last_modified: Some("2026-01-02T03:04:05.000Z"),
    };
    const EMPTY: PlainEntry<'_> = PlainEntry {
        key: None,
        size: None,
        etag: None,
        last_modified: None,
    };

    /// Runs a test, which fails if the reader never ends.
    fn in_time(test: fn()) {
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            test();
            done.send(())
        });
        ended.recv_timeout(Duration::from_secs(30)).unwrap();
    }

    fn key(key: &'static str) -> PlainEntry<'static> {
        PlainEntry {
            key: Some(key),
            ..EMPTY
        }
    }

    fn etag(etag: &'static str) -> PlainEntry<'static> {
        PlainEntry {
            etag: Some(etag),
            ..EMPTY
        }
    }

    #[test]
    fn plain_entries_are_read() {
        in_time(|| {
            let spaced = FULL.replace("><", ">\r\n\t  <");
            let rows = [
                ("all fields", FULL, READ),
                ("white space between elements", &spaced, READ),
                ("nothing", "<Contents></Contents>", EMPTY),
                ("an empty key", "<Contents><Key></Key></Contents>", key("")),
                (
                    "spaces around a key",
                    "<Contents><Key> a </Key></Contents>",
                    key(" a "),
                ),
                (
                    "an ETag without quotes",
                    "<Contents><ETag>0f</ETag></Contents>",
                    etag("0f"),
                ),
                (
                    "an ETag in quotes that need no reference",
                    "<Contents><ETag>\"0f\"</ETag></Contents>",
                    etag("\"0f\""),
                ),
                ("an empty ETag", "<Contents><ETag></ETag></Contents>", etag("")),
                (
                    "quotes alone",
                    "<Contents><ETag>&quot;&quot;</ETag></Contents>",
                    etag(""),
                ),
                (
                    "the deepest elements",
                    "<Contents><a><b><c><d>x</d></c></b></a><Key>k</Key></Contents>",
                    key("k"),
                ),
                (
                    "elements of one name in each other",
                    "<Contents><a><a><a></a></a></a><Key>k</Key></Contents>",
                    key("k"),
                ),
                (
                    "fields of something else",
                    "<Contents><Owner><Key>o</Key><Size>1</Size></Owner><Key>k</Key></Contents>",
                    key("k"),
                ),
                (
                    "unknown elements with digits",
                    "<Contents><x1>1</x1><2>2</2><Key>k</Key></Contents>",
                    key("k"),
                ),
            ];
            for (name, text, wanted) in rows {
                assert_eq!(entry(text), Some((wanted, text.len())), "{name}");
                for rest in ["<Contents>", "</ListBucketResult>", "&", " "] {
                    let longer = format!("{text}{rest}");
                    assert_eq!(entry(&longer), Some((wanted, text.len())), "{name}, and {rest:?}");
                }
            }
        });
    }

    #[test]
    fn an_entry_that_is_not_complete_is_not_read() {
        in_time(|| {
            for (end, _) in FULL.char_indices() {
                assert_eq!(entry(&FULL[..end]), None, "{end} bytes");
            }
        });
    }

    #[test]
    fn whatever_is_written_in_another_way_is_left_to_the_parser() {
        in_time(|| {
            for (name, text) in [
                (
                    "another element",
                    "<CommonPrefixes><Prefix>a</Prefix></CommonPrefixes>",
                ),
                ("white space before it", " <Contents><Key>a</Key></Contents>"),
                ("white space in its tag", "<Contents ><Key>a</Key></Contents>"),
                ("white space in its end tag", "<Contents><Key>a</Key></Contents >"),
                ("an empty-element tag", "<Contents/>"),
                ("an empty-element tag inside", "<Contents><Key/></Contents>"),
                ("a prefix", "<s:Contents><s:Key>a</s:Key></s:Contents>"),
                ("a prefix inside", "<Contents><s:Key>a</s:Key></Contents>"),
                ("an attribute", "<Contents><Key x='1'>a</Key></Contents>"),
                ("a reference", "<Contents><Key>a&amp;b</Key></Contents>"),
                (
                    "a reference in another element",
                    "<Contents><a>&lt;</a></Contents>",
                ),
                ("CDATA", "<Contents><Key><![CDATA[a]]></Key></Contents>"),
                ("a comment", "<Contents><Key>a<!-- --></Key></Contents>"),
                (
                    "a comment between elements",
                    "<Contents><!-- --><Key>a</Key></Contents>",
                ),
                ("text between elements", "<Contents>text<Key>a</Key></Contents>"),
                (
                    "text behind an inner element",
                    "<Contents><a><b></b>text</a></Contents>",
                ),
                ("a tag without a name", "<Contents><>a</></Contents>"),
                ("an end tag without a name", "<Contents></></Contents>"),
                ("another end tag", "<Contents><Key>a</Size></Contents>"),
                ("a longer end tag", "<Contents><Key>a</Keys></Contents>"),
                (
                    "another end tag of an ETag",
                    "<Contents><ETag>&quot;a&quot;</Key></Contents>",
                ),
                (
                    "another end tag of an unknown element",
                    "<Contents><a><b></b></c></Contents>",
                ),
                (
                    "no end tag of an inner element",
                    "<Contents><Owner><ID></Owner></Contents>",
                ),
                ("an end tag too many", "<Contents></Key></Contents>"),
                ("an element in a key", "<Contents><Key><a></a></Key></Contents>"),
                (
                    "one quote before an ETag",
                    "<Contents><ETag>&quot;a</ETag></Contents>",
                ),
                (
                    "one quote behind an ETag",
                    "<Contents><ETag>a&quot;</ETag></Contents>",
                ),
                (
                    "text behind the quotes",
                    "<Contents><ETag>&quot;a&quot;b</ETag></Contents>",
                ),
                (
                    "a reference in quotes",
                    "<Contents><ETag>&quot;a&amp;&quot;</ETag></Contents>",
                ),
                (
                    "elements below the deepest",
                    "<Contents><a><b><c><d><e></e></d></c></b></a></Contents>",
                ),
            ] {
                assert_eq!(entry(text), None, "{name}");
            }
        });
    }
}
