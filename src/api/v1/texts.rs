//! Texts of requests that several resources read: secrets, names of buckets, keys.

use serde::Deserialize as DeserializeDerive;
use serde::de::Deserializer;

use crate::api::codes;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::task::Key;

/// Reads a string into a [`Secret`].
///
/// # Errors
/// Those of the deserializer.
pub fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

/// Reads a string, or nothing, into a [`Secret`].
///
/// # Errors
/// Those of the deserializer.
pub fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Secret>, D::Error> {
    #[derive(DeserializeDerive)]
    #[serde(transparent)]
    struct Text(#[serde(deserialize_with = "secret")] Secret);
    Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
}

/// Checks that a bucket's name in `field` has only letters, digits, `.`, `_` and `-`.
pub(super) fn check_bucket(field: &str, code: &str, bucket: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if bucket.bytes().all(plain) {
        Ok(())
    } else {
        let text = format!("{field} must consist of letters, digits, '.', '_' and '-'");
        Err(Error::invalid(text).with_code(code))
    }
}

/// A key in `field`, which must fit into [`Key::MAX_LEN`] bytes.
pub(super) fn named(field: &str, name: &str) -> Result<Key> {
    if name.len() > Key::MAX_LEN {
        let text = format!("{field} must have at most {} bytes in UTF-8", Key::MAX_LEN);
        return Err(Error::invalid(text).with_code(codes::SOURCE));
    }
    Ok(Key::from(name))
}
