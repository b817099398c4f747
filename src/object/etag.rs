//! Entity tags, and what can be concluded from their form.

use std::fmt;

/// An entity tag without its quotes, as the store gave it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ETag(Box<str>);

impl ETag {
    /// Removes the quotes and the `W/` of a weak tag.
    #[must_use]
    pub fn new(raw: &str) -> Self {
        Self(raw.trim().trim_start_matches("W/").trim_matches('"').into())
    }

    /// The text without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The MD5 of the content, if the ETag has the form of one (32 hexadecimal digits). A store that encrypts with its
    /// own keys may return such an ETag although it is no MD5. Only a comparison with the target's ETag proves it.
    #[must_use]
    pub fn md5(&self) -> Option<[u8; 16]> {
        let mut digest = [0; 16];
        hex::decode_to_slice(self.0.as_bytes(), &mut digest)
            .ok()
            .map(|()| digest)
    }

    /// The number of parts, if the ETag has the form of a multipart upload's (`md5-N`).
    #[must_use]
    pub fn parts(&self) -> Option<u32> {
        let (digest, count) = self.0.split_once('-')?;
        let digest_fine = digest.len() == 32 && digest.bytes().all(|b| b.is_ascii_hexdigit());
        count.parse().ok().filter(|n| digest_fine && *n > 0)
    }

    /// Whether both are the same ETag. Hexadecimal digits are compared without case.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_are_read_in_every_spelling() {
        let md5 = ETag::new("\"D41D8CD98F00B204E9800998ECF8427E\"");
        assert!(md5.same(&ETag::new("d41d8cd98f00b204e9800998ecf8427e")));
        assert_eq!(md5.md5().map(|d| d[0]), Some(0xd4));
        assert_eq!(md5.parts(), None);
        let multipart = ETag::new("W/\"d41d8cd98f00b204e9800998ecf8427e-12\"");
        assert_eq!((multipart.md5(), multipart.parts()), (None, Some(12)));
        for odd in [
            "",
            "abc",
            "abc-3",
            "d41d8cd98f00b204e9800998ecf8427e-0",
            "d41d8cd98f00b204e9800998ecf8427e-",
        ] {
            assert_eq!(
                (ETag::new(odd).md5(), ETag::new(odd).parts()),
                (None, None),
                "{odd}"
            );
        }
    }
}
