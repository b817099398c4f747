//! User metadata and signatures: which values every implementation signs alike, and what to do with the others. Pure.
//!
//! A signature covers header values in a canonical form, and implementations disagree about that form. The AWS
//! reference (Signature Version 4, canonical headers) trims a value and replaces a run of spaces by one. Some signers
//! and servers treat a TAB like a space (botocore, Ceph, MinIO, SeaweedFS), some treat all Unicode white space so
//! (servers in Go, such as the last two), and some only spaces (the AWS SDKs for Go and Rust). The value itself is
//! never changed; it is sent as it is.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The error code for an object whose user metadata a store refuses because it computes a different signature.
pub const UNSIGNABLE: &str = "UnsignableMetadata";

const USER_METADATA: &str = "x-amz-meta-";

/// Which characters the canonical form treats as white space, so that a run of them becomes one space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WhiteSpace {
    /// Spaces and TABs.
    #[default]
    Ascii,
    /// All that Unicode defines as white space.
    Unicode,
    /// Spaces only.
    Spaces,
}

impl WhiteSpace {
    /// The rules in the order of attempts.
    pub const ALL: [Self; 3] = [Self::Ascii, Self::Unicode, Self::Spaces];

    const fn covers(self, c: char) -> bool {
        match self {
            Self::Ascii => matches!(c, ' ' | '\t'),
            Self::Unicode => c.is_whitespace(),
            Self::Spaces => c == ' ',
        }
    }

    /// The canonical form of a value under this rule.
    pub fn canonical(self, value: &str) -> Cow<'_, str> {
        let mut words = value.split(|c| self.covers(c)).filter(|word| !word.is_empty());
        let first = words.next().unwrap_or_default();
        if first.len() == value.len() {
            return Cow::Borrowed(value);
        }
        let mut form = String::with_capacity(value.len());
        form.push_str(first);
        for word in words {
            form.push(' ');
            form.push_str(word);
        }
        Cow::Owned(form)
    }
}

/// Whether the rules give different canonical forms of a value.
pub(super) fn is_ambiguous(value: &str) -> bool {
    let [first, rest @ ..] = WhiteSpace::ALL.map(|rule| rule.canonical(value));
    rest.iter().any(|form| *form != first)
}

/// Whether a value is words of visible ASCII characters, separated by single spaces. All implementations sign such a
/// value alike.
pub(super) fn is_plain_value(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let visible = bytes.iter().all(|b| matches!(b, b' '..=b'~'));
    let edges = bytes.first() == Some(&b' ') || bytes.last() == Some(&b' ');
    visible && !bytes.is_empty() && !edges && !bytes.windows(2).any(|pair| pair == b"  ")
}

/// Whether a header is user metadata.
pub(super) fn is_user_metadata(name: &HeaderName) -> bool {
    name.as_str().starts_with(USER_METADATA)
}

/// Whether every proxy keeps a header of this name: it has only letters, digits and hyphens. Some proxies drop a header
/// with another character, such as `_` or `.`, and the store then computes a signature without it.
pub(super) fn is_plain_name(name: &HeaderName) -> bool {
    name.as_str()
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Names of the user metadata whose values no signature can cover: those that are not UTF-8.
#[must_use]
pub fn unsendable(headers: &HeaderMap) -> Vec<HeaderName> {
    named(headers, |_, value| std::str::from_utf8(value.as_bytes()).is_err())
}

/// Names of the user metadata that a store may sign differently: those with unusual names, white space, characters
/// outside ASCII, no value, or several values.
#[must_use]
pub fn signed_differently(headers: &HeaderMap) -> Vec<HeaderName> {
    named(headers, |name, value| {
        !is_plain_name(name) || !is_plain_value(value) || headers.get_all(name).iter().nth(1).is_some()
    })
}

fn named(headers: &HeaderMap, wanted: impl Fn(&HeaderName, &HeaderValue) -> bool) -> Vec<HeaderName> {
    let mut names: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| is_user_metadata(name) && wanted(name, value))
        .map(|(name, _)| name.clone())
        .collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_rule_makes_one_space_of_its_white_space() {
        let forms = |value| WhiteSpace::ALL.map(|rule| rule.canonical(value).into_owned());
        for (value, ascii, unicode, spaces) in [
            ("a b", "a b", "a b", "a b"),
            ("  a   b ", "a b", "a b", "a b"),
            ("", "", "", ""),
            ("   ", "", "", ""),
            ("a\tb", "a b", "a b", "a\tb"),
            ("a \t b", "a b", "a b", "a \t b"),
            ("a\u{a0}b", "a\u{a0}b", "a b", "a\u{a0}b"),
            (
                "a\u{2003}\u{2003}b",
                "a\u{2003}\u{2003}b",
                "a b",
                "a\u{2003}\u{2003}b",
            ),
            ("\u{a0}a", "\u{a0}a", "a", "\u{a0}a"),
            ("gr\u{fc}n", "gr\u{fc}n", "gr\u{fc}n", "gr\u{fc}n"),
        ] {
            assert_eq!(forms(value), [ascii, unicode, spaces], "{value:?}");
            assert_eq!(
                is_ambiguous(value),
                ascii != unicode || ascii != spaces,
                "{value:?}"
            );
        }
    }

    #[test]
    fn what_signers_may_read_otherwise_is_named() {
        let mut headers = HeaderMap::new();
        let rows: [(&'static str, &[u8], bool, bool); 14] = [
            ("x-amz-meta-plain", b"annual report", false, false),
            ("x-amz-meta-quoted", b"\"a\", b=c;", false, false),
            ("x-amz-meta-two", b"annual  report", true, false),
            ("x-amz-meta-tab", b"annual\treport", true, false),
            ("x-amz-meta-nbsp", "a\u{a0}b".as_bytes(), true, false),
            ("x-amz-meta-em", "a\u{2003}b".as_bytes(), true, false),
            ("x-amz-meta-utf8", "gr\u{fc}n".as_bytes(), true, false),
            ("x-amz-meta-edge", b" a", true, false),
            ("x-amz-meta-empty", b"", true, false),
            ("x-amz-meta-under_score", b"a", true, false),
            ("x-amz-meta-dot.ted", b"a", true, false),
            ("x-amz-meta-latin1", b"caf\xe9", true, true),
            ("content-type", b"text/plain; name=caf\xe9", false, false),
            ("content-disposition", b"a  b", false, false),
        ];
        for (name, value, ..) in rows {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers.append("x-amz-meta-twice", HeaderValue::from_static("a"));
        headers.append("x-amz-meta-twice", HeaderValue::from_static("b"));
        let (odd, unsendable) = (signed_differently(&headers), unsendable(&headers));
        for (name, _, is_odd, is_unsendable) in rows {
            assert_eq!(odd.iter().any(|found| found == name), is_odd, "{name}");
            assert_eq!(
                unsendable.iter().any(|found| found == name),
                is_unsendable,
                "{name}"
            );
        }
        assert_eq!(odd.iter().filter(|name| *name == "x-amz-meta-twice").count(), 1);
    }

    proptest! {
        #[test]
        fn plain_values_have_one_form(value in "[ -~]{0,20}") {
            let header = HeaderValue::from_str(&value).unwrap();
            if is_plain_value(&header) {
                prop_assert!(!is_ambiguous(&value));
                prop_assert_eq!(WhiteSpace::Ascii.canonical(&value), value.as_str());
            }
        }
    }
}
