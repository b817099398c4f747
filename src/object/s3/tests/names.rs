//! The client asks a store to find out how it writes keys in its listings.

use super::sandbox::sandbox;
use super::*;
use crate::sandbox::{KeyEncoding, Operation, SandboxObject, SandboxOptions};

/// Keys are read exactly, however a store encodes them. Each kind of doubt costs one request.
#[tokio::test]
async fn every_encoding_is_found_out_and_asked_about_once() {
    use KeyEncoding::{DeclaredPlain, EscapedTwice, Form, Path, Percent, Undeclared};
    for (key_encoding, keys, asked) in [
        (Form, vec!["plain/-_.txt"], 0),
        (Form, vec!["plain/ü"], 1),
        (Form, vec!["a b"], 1),
        (Form, vec!["a b", "a+b", "a&b"], 1),
        (Form, vec!["a%20b"], 1),
        (Form, vec!["a%20b", "x%41y"], 2),
        (Path, vec!["a+b"], 2),
        (Path, vec!["a b", "a+b"], 3),
        (Percent, vec!["a b", "a+b", "50%"], 2),
        (Undeclared, vec!["plain"], 0),
        (Undeclared, vec!["a b", "c+d", "größe.txt", "x=="], 4),
        (DeclaredPlain, vec!["größe & more.txt"], 0),
        (DeclaredPlain, vec!["a+b", "a b"], 2),
        (DeclaredPlain, vec!["a%20b", "50%", "a b", "x+y"], 4),
        (DeclaredPlain, vec!["a&amp;b", "x&y"], 1),
        (EscapedTwice, vec!["a&b", "x<y", "plain"], 2),
        (EscapedTwice, vec!["a&amp;b"], 2),
    ] {
        let (sandbox, store) = sandbox(SandboxOptions {
            key_encoding,
            ..SandboxOptions::default()
        })
        .await;
        for key in &keys {
            sandbox.put(BUCKET, key, SandboxObject::new("x"));
        }
        let mut wanted: Vec<Key> = keys.iter().map(|key| Key::from(*key)).collect();
        wanted.sort();
        let mut before = 0;
        for round in 1..=2 {
            let (found, _) = list(&store, "", ListFrom::Start).await.unwrap();
            let found: Vec<Key> = found.into_iter().map(|entry| entry.key).collect();
            assert_eq!(found, wanted, "{key_encoding:?}");
            let requests = sandbox.requests_count(Operation::ListObjectsV2);
            let questions = requests - before - 1;
            before = requests;
            if round == 1 {
                assert!(questions <= asked, "{key_encoding:?} {keys:?}: {questions}");
            } else {
                assert_eq!(questions, 0, "{key_encoding:?} {keys:?}");
            }
        }
    }
}

/// A key without an object is never guessed.
#[tokio::test]
async fn a_key_that_stands_for_nothing_is_an_error() {
    let (sandbox, store) = sandbox(SandboxOptions::default()).await;
    let listing = |inner: &str| crate::sandbox::Fault::OkWithBody {
        content_type: "application/xml".to_owned(),
        body: format!("<ListBucketResult><IsTruncated>false</IsTruncated>{inner}</ListBucketResult>").into(),
    };
    let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
    let first = listing(&format!("{}{}", entry("a%20b"), entry("plain")));
    let rule = crate::sandbox::FaultRule::new(Operation::ListObjectsV2, first).times(1);
    sandbox.faults().add(rule);
    let error = list(&store, "", ListFrom::Start).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains("a%20b"), "{error}");
    // One of two was deleted in the meantime: the other one decides.
    sandbox.put(BUCKET, "c d", SandboxObject::new("x"));
    let url = "<EncodingType>url</EncodingType>";
    let second = listing(&format!("{}{}{url}", entry("a%20b"), entry("c%20d")));
    let rule = crate::sandbox::FaultRule::new(Operation::ListObjectsV2, second).times(1);
    sandbox.faults().add(rule);
    let found = list(&store, "", ListFrom::Start).await;
    // The sandbox writes a space as `+`, so the same text does not come back.
    assert!(found.is_err());
    sandbox.put(BUCKET, "ü", SandboxObject::new("x"));
    let third = listing(&format!("{}{}{url}", entry("a%C3%BC"), entry("%C3%BC")));
    let rule = crate::sandbox::FaultRule::new(Operation::ListObjectsV2, third).times(1);
    sandbox.faults().add(rule);
    let (found, _) = list(&store, "", ListFrom::Start).await.unwrap();
    let keys: Vec<Key> = found.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, [Key::from("aü"), Key::from("ü")]);
}
