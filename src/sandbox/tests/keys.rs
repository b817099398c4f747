//! Keys are stored exactly, and listings of every kind find them.

use percent_encoding::percent_decode_str;

use super::*;
use crate::sandbox::{ListOrder, NameHandling, Operation, SandboxObject};

fn awkward_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "/",
        "//",
        "a",
        "a/",
        "a//",
        "a//b",
        "/a",
        "//a",
        ".",
        "..",
        "./a",
        "../a",
        "a/./b",
        "a/../b",
        "a/..",
        "a b",
        " a",
        "a ",
        "a+b",
        "a%20b",
        "a%2Fb",
        "%",
        "?",
        "a?b=c&d",
        "#",
        "a#b",
        "&",
        "<>\"'",
        "é",
        "e\u{301}",
        "日本語/キー",
        "😀",
        "\u{ffff}",
        "\0",
        "\u{1}",
        "a\tb",
        "a\nb",
        "a\rb",
        "a\r\nb",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "*",
        "~",
        "=",
        ";",
        ",",
        "@",
        "$",
        ":",
        "\\",
        "|",
        "^",
        "`",
        "{}",
        "[]",
        "tagging",
        "a!",
        "a-",
        "a0",
        "a/b-",
        "a/b/3",
    ]
    .map(ToOwned::to_owned)
    .to_vec();
    keys.push("k".repeat(1024));
    keys.push("é".repeat(512));
    keys
}

#[tokio::test]
async fn every_key_comes_back_as_it_was() {
    let (sandbox, client) = plain().await;
    let keys = awkward_keys();
    for key in &keys {
        let answer = client.put(key, &[], key.clone()).await;
        assert_eq!(answer.status, 200, "{key:?} {}", answer.text());
    }
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(sandbox.keys(BUCKET), sorted);
    for key in &keys {
        assert_eq!(client.get(key, &[]).await.body, key.as_bytes(), "{key:?}");
        assert_eq!(
            client.call("HEAD", &path_of(key), &[], "").await.unwrap().status,
            200,
            "{key:?}"
        );
    }
    assert!(
        sandbox
            .requests()
            .iter()
            .all(|record| keys.contains(record.key.as_ref().unwrap()))
    );
    for key in &keys {
        let source = format!("/{BUCKET}/{}", utf8_percent_encode(key, PATH));
        let answer = client.put("copy", &[("x-amz-copy-source", &source)], "").await;
        assert_eq!(answer.status, 200, "{key:?} {}", answer.text());
        assert_eq!(sandbox.get(BUCKET, "copy").unwrap().data, key.as_bytes());
    }
    sandbox.remove(BUCKET, "copy");
    for key in &keys {
        assert_eq!(
            client
                .call("DELETE", &path_of(key), &[], "")
                .await
                .unwrap()
                .status,
            204,
            "{key:?}"
        );
    }
    assert!(sandbox.keys(BUCKET).is_empty());
    let answer = client.put(&"k".repeat(1025), &[], "").await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "KeyTooLongError"));
}

#[tokio::test]
async fn delete_objects_takes_every_key() {
    let (sandbox, client) = plain().await;
    for key in awkward_keys() {
        sandbox.put(BUCKET, &key, SandboxObject::new(""));
    }
    let mut document = "<Delete>".to_owned();
    for key in awkward_keys() {
        // As few references as possible: s3s refuses those of control characters and of U+10000 to U+FFFFF.
        let escaped = quick_xml::escape::escape(&key).replace('\r', "&#xd;");
        document.push_str(&format!("<Object><Key>{escaped}</Key></Object>"));
    }
    document.push_str("</Delete>");
    let answer = client
        .call("POST", &format!("/{BUCKET}?delete="), &[], document)
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(sandbox.keys(BUCKET).is_empty(), "{:?}", sandbox.keys(BUCKET));
}

/// All pages of a listing, with keys and common prefixes together.
async fn walk(client: &Client, version: u8, query: &str, after: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let name = if version == 1 { "marker" } else { "start-after" };
    let mut next = after
        .map(|after| format!("&{name}={}", encode(after)))
        .unwrap_or_default();
    loop {
        let base = if version == 2 { "list-type=2&" } else { "" };
        let answer = client
            .query(&format!("{base}encoding-type=url&{query}{next}"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let decode = |text: &String| {
            percent_decode_str(&text.replace('+', " "))
                .decode_utf8()
                .unwrap()
                .into_owned()
        };
        let keys: Vec<String> = answer.all("Key").iter().map(decode).collect();
        // The first <Prefix> is that of the request.
        let prefixes: Vec<String> = answer.all("Prefix").iter().skip(1).map(decode).collect();
        let last = keys.last().cloned();
        found.extend(keys);
        found.extend(prefixes);
        if answer.one("IsTruncated").as_deref() != Some("true") {
            return found;
        }
        next = if version == 2 {
            format!(
                "&continuation-token={}",
                encode(&answer.one("NextContinuationToken").unwrap())
            )
        } else {
            let marker = answer.one("NextMarker").as_ref().map(decode);
            assert_eq!(marker.is_some(), query.contains("delimiter"));
            format!("&marker={}", encode(&marker.or(last).unwrap()))
        };
    }
}

#[tokio::test]
async fn listings_of_both_versions_in_both_orders() {
    for order in [ListOrder::Bytes, ListOrder::Path] {
        let (sandbox, client) = start(SandboxOptions {
            order,
            page_size: 7,
            ..SandboxOptions::default()
        })
        .await;
        for key in awkward_keys() {
            sandbox.put(BUCKET, &key, SandboxObject::new(""));
        }
        let mut sorted = awkward_keys();
        sorted.sort_by_key(|key| order.sort_key(key));
        assert_eq!(sandbox.keys(BUCKET), sorted);
        let below_a: Vec<String> = sorted
            .iter()
            .filter(|key| key.starts_with("a/"))
            .cloned()
            .collect();
        for version in [1, 2] {
            for max in [1, 2, 5, 1000] {
                assert_eq!(
                    walk(&client, version, &format!("max-keys={max}"), None).await,
                    sorted
                );
                assert_eq!(
                    walk(&client, version, &format!("max-keys={max}&prefix=a%2F"), None).await,
                    below_a
                );
                let query = format!("max-keys={max}&prefix=a%2F&delimiter=%2F");
                let mut grouped = walk(&client, version, &query, None).await;
                grouped.sort();
                assert_eq!(grouped, ["a/", "a/..", "a/../", "a/./", "a//", "a/b-", "a/b/"]);
            }
            for (index, key) in sorted.iter().enumerate() {
                let rest = walk(&client, version, "max-keys=1000", Some(key)).await;
                assert_eq!(rest, sorted[index + 1..], "{version} after {key:?}");
            }
        }
        assert!(sandbox.requests_count(Operation::ListObjectsV1) > 0);
        let both = sandbox.requests_count(Operation::ListObjectsV1)
            + sandbox.requests_count(Operation::ListObjectsV2);
        assert_eq!(sandbox.requests_count(Operation::ListObjects), both);
    }
}

#[tokio::test]
async fn listing_details() {
    let (sandbox, client) = plain().await;
    let object = SandboxObject {
        storage_class: Some("STANDARD_IA".to_owned()),
        ..SandboxObject::new("12345")
    };
    sandbox.put(BUCKET, "a b+c/d&e", object.clone());
    let answer = client.query("list-type=2&encoding-type=url").await;
    assert_eq!(answer.all("Key"), ["a+b%2Bc/d%26e"]);
    assert_eq!(answer.all("ETag"), [format!("\"{}\"", object.etag)]);
    assert_eq!(answer.all("Size"), ["5"]);
    assert_eq!(answer.all("StorageClass"), ["STANDARD_IA"]);
    assert_eq!(answer.all("KeyCount"), ["1"]);
    assert_eq!(client.query("list-type=2").await.all("Key"), ["a b+c/d&e"]);
    let empty = client.query("list-type=2&max-keys=0").await;
    assert_eq!(
        (empty.all("Key").len(), empty.one("IsTruncated").as_deref()),
        (0, Some("false"))
    );
    assert_eq!(
        client.query("list-type=2&max-keys=-1").await.code(),
        "InvalidArgument"
    );
    assert_eq!(
        client.query("list-type=2&continuation-token=%21").await.code(),
        "InvalidArgument"
    );
    let missing = client
        .call("GET", "/no-such-bucket?list-type=2", &[], "")
        .await
        .unwrap();
    assert_eq!((missing.status, missing.code().as_str()), (404, "NoSuchBucket"));
}

#[test]
fn folded_names_are_what_paths_of_files_are() {
    for (name, kept) in [
        ("a/b", "a/b"),
        ("a//b", "a/b"),
        ("/lead", "lead"),
        ("a/./b", "a/b"),
        ("a/x/../b", "a/b"),
        ("../b", "b"),
        ("a/", "a/"),
        ("a//", "a/"),
    ] {
        assert_eq!(NameHandling::Folded.keep(name.to_owned()), kept, "{name}");
        assert_eq!(NameHandling::Exact.keep(name.to_owned()), name);
    }
}
