//! What travels with an object besides its bytes: content headers, user metadata, tags, encryption.
//!
//! Headers that a target refuses fail the object with the target's reason: without them it would be another object. Tags
//! are left out where one side does not give or take them, and the copy is counted as incomplete.

use std::sync::atomic::{AtomicBool, Ordering};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Context;
use super::copy::Metadata;
use super::retry::{At as _, Attempt, Trouble};
use crate::error::ErrorKind;
use crate::object::clouds::Side;
use crate::object::{NewObject, ObjectInfo};
use crate::task::Key;

/// What becomes of the tags of one object over its tries.
#[derive(Debug, Default)]
pub(super) struct Tagging {
    sent: AtomicBool,
    doubted: AtomicBool,
    left_out: AtomicBool,
}

impl Tagging {
    /// Whether a trouble may be about the tags that were sent, so that one more try is worth it: with them, because a
    /// refusal may pass, and when it comes again without them. Says so twice.
    pub(super) fn is_to_blame(&self, trouble: &Trouble) -> bool {
        // A target without tags, with other rules for them, or whose key may not write any.
        let refused = trouble.side == Side::Target
            && matches!(
                trouble.error.kind(),
                ErrorKind::Unsupported | ErrorKind::InvalidArgument | ErrorKind::PermissionDenied
            );
        if !refused || !self.sent.load(Ordering::Relaxed) {
            return false;
        }
        !self.doubted.swap(true, Ordering::Relaxed) || !self.left_out.swap(true, Ordering::Relaxed)
    }
}

/// Headers, tags and encryption of the new object. Tags that cannot be read or written are counted as lost.
pub(super) async fn describe(
    ctx: &Context,
    key: &Key,
    info: ObjectInfo,
    tags: &Tagging,
) -> Attempt<(NewObject, Metadata)> {
    let mut metadata = Metadata::Complete;
    let tagging = if info.tag_count == 0 {
        None
    } else if tags.left_out.load(Ordering::Relaxed) {
        metadata = Metadata::Lost;
        None
    } else {
        match ctx.source.tags(key).await {
            Ok(found) if found.is_empty() => None,
            Ok(found) => {
                tags.sent.store(true, Ordering::Relaxed);
                Some(tag_query(&found))
            }
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                metadata = Metadata::Lost;
                None
            }
            Err(error) => return Err(error).at_source(),
        }
    };
    Ok((
        NewObject {
            carried: info.carried,
            tagging,
            storage_class: None,
            kms: ctx.task.spec.kms,
        },
        metadata,
    ))
}

fn tag_query(tags: &[(String, String)]) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = tags
        .iter()
        .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn tags_travel_as_a_query() {
        let tags = [
            ("a b".to_owned(), "1&2=3".to_owned()),
            ("ü".to_owned(), String::new()),
        ];
        assert_eq!(tag_query(&tags), "a%20b=1%262%3D3&%C3%BC=");
    }

    #[test]
    fn tags_are_to_blame_when_a_refusal_comes_again_and_only_when_they_were_sent() {
        let trouble = |side, kind| Trouble {
            side,
            error: Error::new(kind, "x"),
        };
        let refused = trouble(Side::Target, ErrorKind::InvalidArgument);
        let tags = Tagging::default();
        assert!(!tags.is_to_blame(&refused), "none were sent");
        tags.sent.store(true, Ordering::Relaxed);
        assert!(!tags.is_to_blame(&trouble(Side::Source, ErrorKind::PermissionDenied)));
        assert!(!tags.is_to_blame(&trouble(Side::Target, ErrorKind::Unavailable)));
        assert!(
            tags.is_to_blame(&refused) && !tags.left_out.load(Ordering::Relaxed),
            "it may pass"
        );
        assert!(tags.is_to_blame(&refused) && tags.left_out.load(Ordering::Relaxed));
        assert!(!tags.is_to_blame(&refused), "they are left out already");
    }
}
