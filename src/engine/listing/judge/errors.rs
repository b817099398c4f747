//! What is wrong with a listing, in words.

use crate::error::{Error, ErrorKind};

pub(super) fn wrong(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Integrity, text)
}

pub(super) fn stuck() -> Error {
    wrong("the listing does not advance: it repeats its position")
}
