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
    use super::*;

    #[test]
    fn plain_entries_are_read() {
        let full = "<Contents><Key>a/ü b</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>\
                    <ETag>&quot;0f&quot;</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass>\
                    <Owner><ID>1</ID><DisplayName></DisplayName></Owner></Contents>";
        let wanted = PlainEntry {
            key: Some("a/ü b"),
            size: Some("12"),
            etag: Some("0f"),
            last_modified: Some("2026-01-02T03:04:05.000Z"),
        };
        let spaced = full.replace("><", ">\n  <");
        for text in [full.to_owned(), format!("{full}<Contents>")] {
            assert_eq!(entry(&text), Some((wanted, full.len())), "{text}");
        }
        assert_eq!(entry(&spaced), Some((wanted, spaced.len())));
    }

    #[test]
    fn whatever_is_written_in_another_way_is_left_to_the_parser() {
        for text in [
            "",
            "<Contents",
            "<Contents><Key>a</Key>",
            "<Contents><Key>a</Key></Contents",
            "<Contents ><Key>a</Key></Contents>",
            "<Contents/>",
            "<s:Contents><s:Key>a</s:Key></s:Contents>",
            "<Contents><Key>a&amp;b</Key></Contents>",
            "<Contents><Key><![CDATA[a]]></Key></Contents>",
            "<Contents><Key>a<!-- --></Key></Contents>",
            "<Contents><Key>a</Size></Contents>",
            "<Contents><Key x='1'>a</Key></Contents>",
            "<Contents><Key/></Contents>",
            "<Contents>text<Key>a</Key></Contents>",
            "<Contents><ETag>&quot;a</ETag></Contents>",
            "<Contents><ETag>&quot;a&amp;&quot;</ETag></Contents>",
            "<Contents><ETag>a&quot;</ETag></Contents>",
            "<Contents><Owner><ID></Owner></Contents>",
            "<Contents><a><b><c><d><e></e></d></c></b></a></Contents>",
            "<CommonPrefixes><Prefix>a</Prefix></CommonPrefixes>",
        ] {
            assert_eq!(entry(text), None, "{text}");
        }
    }
}
