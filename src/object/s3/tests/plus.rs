//! What a store means by a `+` in its listings.

use super::sandbox::sandbox;
use super::*;
use crate::object::ListFrom;
use crate::sandbox::{KeyEncoding, Operation, SandboxObject, SandboxOptions};

/// A page whose only signs are bare ones tells nothing, so the store is asked, and asked once.
#[tokio::test]
async fn what_a_plus_stands_for_is_found_out() {
    for (key_encoding, keys, asked) in [
        (KeyEncoding::Form, vec!["a b"], 2),
        (KeyEncoding::Path, vec!["a+b"], 1),
        (KeyEncoding::Form, vec!["a b", "a+b"], 0),
        (KeyEncoding::Path, vec!["a b", "a+b"], 0),
        (KeyEncoding::Percent, vec!["a b", "a+b"], 0),
    ] {
        let (sandbox, store) = sandbox(SandboxOptions {
            key_encoding,
            ..SandboxOptions::default()
        })
        .await;
        for key in &keys {
            sandbox.put(BUCKET, key, SandboxObject::new("x"));
        }
        for round in 1..=2 {
            let page = store.list(b"", &ListFrom::Start).await.unwrap();
            let found: Vec<Key> = page.entries.into_iter().map(|entry| entry.key).collect();
            let wanted: Vec<Key> = keys.iter().map(|key| Key::from(*key)).collect();
            assert_eq!(found, wanted, "{key_encoding:?}");
            let requests = sandbox.requests_count(Operation::ListObjectsV2);
            assert_eq!(requests, asked + round, "{key_encoding:?} {keys:?}");
        }
    }
}
