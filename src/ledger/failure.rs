//! The record of an object that could not be copied, and the limits of its size.

use sha2::{Digest as _, Sha256};

use crate::task::{Key, UnixMillis};

/// Most failures that are recorded for a task. One more ends the task, because with an incomplete list a failed-only start
/// would lose objects.
pub const MOST_FAILURES: i64 = 1_000_000;

/// Longest key that is stored without cutting. Keys longer than [`Failure::KEY`] are refused anyway.
const WHOLE_KEY: usize = 1_152;
/// Most bytes of a code, a message, and a request id.
const CODE: usize = 128;
const MESSAGE: usize = 1_024;
const REQUEST_ID: usize = 256;

/// An object that could not be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Source key.
    pub key: Key,
    /// Length in bytes, as listed.
    pub size: i64,
    /// The store's code, or one of the engine's.
    pub code: String,
    /// A message for people.
    pub message: String,
    /// Request id in the store's error response.
    pub request_id: Option<String>,
    /// How often it was tried in the last pass.
    pub attempts: i64,
    /// When it failed last.
    pub at: UnixMillis,
}

impl Failure {
    /// Longest key of S3, in bytes.
    const KEY: usize = 1_024;

    /// The same failure with every text cut to a bounded length, because texts of a store have no limit. A cut key ends with its
    /// length and its hash. So it still differs from other keys. It is also still longer than any key that can be copied, so a
    /// later pass refuses it again.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let whole = self.key.as_bytes();
        if whole.len() > WHOLE_KEY {
            let mark = format!(
                "...[{} bytes, sha256 {}]",
                whole.len(),
                hex::encode(Sha256::digest(whole))
            );
            let mut key = whole.get(..Self::KEY).unwrap_or(whole).to_vec();
            key.extend_from_slice(mark.as_bytes());
            self.key = Key::from(key.as_slice());
        }
        cut(&mut self.code, CODE);
        cut(&mut self.message, MESSAGE);
        if let Some(id) = &mut self.request_id {
            cut(id, REQUEST_ID);
        }
        self
    }
}

/// Cuts a text to at most `most` bytes, at a character.
fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(key: &[u8], text: &str) -> Failure {
        Failure {
            key: Key::from(key),
            size: 1,
            code: text.to_owned(),
            message: text.to_owned(),
            request_id: Some(text.to_owned()),
            attempts: 1,
            at: UnixMillis(0),
        }
    }

    #[test]
    fn short_texts_are_not_cut() {
        for length in [0, 1, 1_024, 1_152] {
            let short = failure(&vec![b'k'; length], "AccessDenied");
            assert_eq!(short.clone().bounded(), short, "{length}");
        }
    }

    #[test]
    fn long_keys_are_cut_and_stay_different_and_too_long() {
        let mut one = vec![b'k'; 20_000];
        let first = failure(&one, "x").bounded();
        one[19_999] = b'j';
        let other = failure(&one, "x").bounded();
        assert_ne!(first.key, other.key);
        for cut in [&first, &other] {
            let length = cut.key.as_bytes().len();
            assert!(length > Failure::KEY && length <= WHOLE_KEY, "{length}");
            assert_eq!(cut.clone().bounded(), *cut, "cut twice");
        }
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        let cut = failure(b"k", &"ä".repeat(9_999)).bounded();
        let id = cut.request_id.as_ref().unwrap();
        assert_eq!((cut.code.len(), cut.message.len(), id.len()), (128, 1_024, 256));
        let odd = format!("x{}", "ä".repeat(9_999));
        assert_eq!(failure(b"k", &odd).bounded().code.len(), 127);
    }
}
