//! Every operation against the sandbox, which checks signatures and stores keys exactly. Failures are in `failures`.

use super::*;
use crate::object::{ByteRange, CopySource, ETag, ListFrom, UploadId};
use crate::sandbox::{
    Fault, FaultRule, KeyEncoding, Operation, Sandbox, SandboxObject, SandboxOptions, Support,
};

pub(super) async fn sandbox(options: SandboxOptions) -> (Sandbox, S3Store) {
    let sandbox = Sandbox::start(options).await.unwrap();
    sandbox.create_bucket(BUCKET);
    let store = S3Store::new(settings(&sandbox)).unwrap();
    (sandbox, store)
}

pub(super) fn settings(sandbox: &Sandbox) -> S3Options {
    options(sandbox.endpoint(), (sandbox.access_key(), sandbox.secret_key()))
}

/// Keys that other clients normalise, refuse or confuse.
fn awkward_keys() -> Vec<String> {
    let mut keys: Vec<String> = [
        "plain",
        "a/b",
        "a//b",
        "//",
        "/",
        ".",
        "..",
        "./a",
        "../a",
        "a/../b",
        "a/./b",
        "a/",
        "a/b/",
        "a b",
        " ",
        "a+b",
        "a%20b",
        "%",
        "%%41",
        "a&b=c",
        "?",
        "a?b",
        "#",
        "a;b",
        "a:b",
        "a@b",
        "!$'()*,",
        "[]{}|\\^`\"<>",
        "~-_.",
        "\u{1}\t\u{1f}",
        "line\nbreak",
        "cr\rlf\r\n",
        "\u{7f}",
        "ü",
        "日本語/キー",
        "🦀",
        "e\u{301}",
        "\u{feff}x",
        "&amp;",
        "<Key>",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    keys.push("k".repeat(1024));
    keys.push("/".repeat(1024));
    keys.push("é".repeat(512));
    keys
}

#[tokio::test]
async fn every_key_survives_every_operation() {
    for key_encoding in [
        KeyEncoding::Form,
        KeyEncoding::Percent,
        KeyEncoding::Path,
        KeyEncoding::Undeclared,
        KeyEncoding::DeclaredPlain,
        KeyEncoding::EscapedTwice,
    ] {
        let (sandbox, store) = sandbox(SandboxOptions {
            key_encoding,
            page_size: 7,
            ..SandboxOptions::default()
        })
        .await;
        let mut keys = awkward_keys();
        for key in &keys {
            let key = Key::from(key.as_str());
            write(&store, &key, "bytes").await.unwrap();
            assert_eq!(store.head(&key, None).await.unwrap().size, Some(5), "{key:?}");
            let object = store.get(&key, ByteRange::Whole, None).await.unwrap();
            assert_eq!(read(object).await.unwrap(), "bytes", "{key:?}");
            let upload = store.create_upload(&key, &NewObject::default()).await.unwrap();
            assert!(store.list_parts(&key, &upload).await.unwrap().is_empty());
            store.abort_upload(&key, &upload).await.unwrap();
            let from = CopySource {
                bucket: BUCKET.into(),
                key: key.clone(),
                if_match: None,
            };
            store
                .copy(&from, &Key::from("copy"), &NewObject::default())
                .await
                .unwrap();
            store.delete(&Key::from("copy")).await.unwrap();
        }
        keys.sort();
        assert_eq!(sandbox.keys(BUCKET), keys);
        for version in [ListVersion::V2, ListVersion::V1] {
            let mut settings = settings(&sandbox);
            settings.list_version = version;
            let store = S3Store::new(settings).unwrap();
            let mut from = ListFrom::Start;
            let mut listed = Vec::new();
            loop {
                let (page, facts) = list(&store, "", from).await.unwrap();
                listed.extend(page.iter().map(|entry| entry.key.lossy().into_owned()));
                let Some(last) = page.last().filter(|_| facts.truncated == Some(true)) else {
                    break;
                };
                from = match facts.token {
                    Some(token) => ListFrom::Token(token),
                    None => ListFrom::After(last.key.clone()),
                };
            }
            assert_eq!(listed, keys, "{version:?}");
            // A listing can continue after every key.
            for (at, key) in keys.iter().enumerate() {
                let after = ListFrom::After(Key::from(key.as_str()));
                let (page, _) = list(&store, "", after).await.unwrap();
                let first = page.first().map(|entry| entry.key.lossy().into_owned());
                assert_eq!(first.as_ref(), keys.get(at + 1), "{key:?}");
            }
            let (page, _) = list(&store, "日本語/", ListFrom::Start).await.unwrap();
            assert_eq!(page.len(), 1);
        }
        for key in &keys {
            store.delete(&Key::from(key.as_str())).await.unwrap();
            store.delete(&Key::from(key.as_str())).await.unwrap();
        }
        assert!(sandbox.keys(BUCKET).is_empty());
    }
}

#[tokio::test]
async fn what_describes_an_object_travels_with_it() {
    let (sandbox, store) = sandbox(SandboxOptions::default()).await;
    let mut source = SandboxObject::new("12345");
    source.content_type = Some("text/plain; charset=utf-8".into());
    source.content_encoding = Some("gzip".into());
    source.content_language = Some("de, en".into());
    source.content_disposition = Some("attachment; filename=\"a b.txt\"".into());
    source.cache_control = Some("max-age=5".into());
    source.expires = Some("Fri, 24 May 2030 00:00:00 GMT".into());
    source.metadata = [("a", "1"), ("two-words", "x y")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    source.tags = vec![("k 1".into(), "v&".into()), ("b".into(), String::new())];
    sandbox.put(BUCKET, "from", source.clone());
    let from = Key::from("from");

    let object = store.get(&from, ByteRange::Whole, None).await.unwrap();
    assert_eq!(
        (object.info.tag_count, object.info.size, object.length),
        (2, Some(5), Some(5))
    );
    let tags = store.tags(&from).await.unwrap();
    assert_eq!(tags, source.tags);
    let new = NewObject {
        carried: object.info.carried.clone(),
        tagging: Some("k%201=v%26&b=".into()),
        storage_class: Some("STANDARD_IA".into()),
        kms: false,
    };
    let etag = store
        .put(&Key::from("put"), &new, 5, None, &WriteIf::Always, object.body)
        .await
        .unwrap()
        .etag
        .unwrap();
    assert!(etag.same(&object.info.etag.unwrap()));
    let copy = CopySource {
        bucket: BUCKET.into(),
        key: from,
        if_match: Some(etag),
    };
    store.copy(&copy, &Key::from("copied"), &new).await.unwrap();
    let upload = store.create_upload(&Key::from("parts"), &new).await.unwrap();
    let part = store
        .upload_part(&Key::from("parts"), &upload, 1, 5, None, body("12345"))
        .await
        .unwrap();
    store
        .complete_upload(&Key::from("parts"), &upload, &[part], &WriteIf::Always)
        .await
        .unwrap();
    for key in ["put", "copied", "parts"] {
        let found = sandbox.get(BUCKET, key).unwrap();
        assert_eq!(found.data, "12345");
        let described = |o: &SandboxObject| {
            [
                o.content_type.clone(),
                o.content_encoding.clone(),
                o.content_language.clone(),
                o.content_disposition.clone(),
                o.cache_control.clone(),
                o.expires.clone(),
            ]
        };
        assert_eq!(described(&found), described(&source), "{key}");
        assert_eq!(
            (&found.metadata, found.tags.len()),
            (&source.metadata, 2),
            "{key}"
        );
        let head = store.head(&Key::from(key), None).await.unwrap();
        assert_eq!(head.storage_class.as_deref(), Some("STANDARD_IA"), "{key}");
        assert_eq!(head.encryption, None, "{key}");
    }
    assert!(store.tags(&Key::from("none")).await.is_err());
    store
        .put(
            &Key::from("empty"),
            &NewObject::default(),
            0,
            None,
            &WriteIf::Always,
            body(""),
        )
        .await
        .unwrap();
    assert!(store.tags(&Key::from("empty")).await.unwrap().is_empty());
    let empty = store
        .get(&Key::from("empty"), ByteRange::Whole, None)
        .await
        .unwrap();
    assert_eq!((empty.length, read(empty).await.unwrap().len()), (Some(0), 0));
}

#[tokio::test]
async fn ranges_parts_and_conditions_hold() {
    let (sandbox, store) = sandbox(SandboxOptions::default()).await;
    sandbox.put(BUCKET, "k", SandboxObject::multipart("0123456789", 4));
    let key = Key::from("k");
    let info = store.head(&key, Some(1)).await.unwrap();
    assert_eq!((info.size, info.parts_count), (Some(4), Some(3)));
    let etag = info.etag.unwrap();
    assert_eq!(etag.parts(), Some(3));
    for (portion, wanted) in [
        (ByteRange::Whole, "0123456789"),
        (ByteRange::Range { offset: 3, length: 4 }, "3456"),
        (ByteRange::Range { offset: 9, length: 1 }, "9"),
        (ByteRange::Part(1), "0123"),
        (ByteRange::Part(3), "89"),
    ] {
        let object = store.get(&key, portion, Some(&etag)).await.unwrap();
        assert_eq!(
            (object.info.size, object.length),
            (Some(10), Some(wanted.len() as u64))
        );
        assert_eq!(read(object).await.unwrap(), wanted);
    }
    let beyond = ByteRange::Range { offset: 8, length: 5 };
    assert_eq!(kind(store.get(&key, beyond, None).await), ErrorKind::Integrity);
    let other = ETag::new("d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(
        kind(store.get(&key, ByteRange::Whole, Some(&other)).await),
        ErrorKind::PreconditionFailed
    );
    sandbox
        .faults()
        .add(FaultRule::new(Operation::GetObject, Fault::IgnoreRange));
    let range = ByteRange::Range { offset: 3, length: 4 };
    let error = store.get(&key, range, None).await.err().unwrap();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Integrity, Some("RangeIgnored"))
    );
    assert_eq!(
        kind(store.get(&key, ByteRange::Part(2), None).await),
        ErrorKind::Integrity
    );

    let put = |condition: WriteIf| {
        let store = &store;
        let key = &key;
        async move {
            store
                .put(key, &NewObject::default(), 1, None, &condition, body("x"))
                .await
        }
    };
    assert_eq!(kind(put(WriteIf::Absent).await), ErrorKind::PreconditionFailed);
    assert_eq!(
        kind(put(WriteIf::Matches(other)).await),
        ErrorKind::PreconditionFailed
    );
    put(WriteIf::Matches(etag)).await.unwrap();
}

#[tokio::test]
async fn a_store_without_part_numbers_is_found_out() {
    let (sandbox, store) = sandbox(SandboxOptions {
        part_number: Support::Ignored,
        ..SandboxOptions::default()
    })
    .await;
    sandbox.put(BUCKET, "k", SandboxObject::multipart("0123456789", 4));
    assert_eq!(
        store.head(&Key::from("k"), Some(1)).await.unwrap().parts_count,
        None
    );
    assert_eq!(
        kind(store.get(&Key::from("k"), ByteRange::Part(1), None).await),
        ErrorKind::Integrity
    );
}

#[tokio::test]
async fn multipart_uploads_are_completed_listed_and_aborted() {
    let (sandbox, store) = sandbox(SandboxOptions {
        min_part_size: 1,
        page_size: 2,
        ..SandboxOptions::default()
    })
    .await;
    sandbox.put(BUCKET, "from", SandboxObject::new("abcdefgh"));
    let key = Key::from("k");
    let upload = store.create_upload(&key, &NewObject::default()).await.unwrap();
    let from = CopySource {
        bucket: BUCKET.into(),
        key: Key::from("from"),
        if_match: None,
    };
    let mut parts = Vec::new();
    for (number, text) in [(3, "333"), (1, "1"), (2, "22")] {
        let length = text.len() as u64;
        parts.push(
            store
                .upload_part(&key, &upload, number, length, None, body(text))
                .await
                .unwrap(),
        );
    }
    let range = ByteRange::Range { offset: 2, length: 3 };
    parts.push(store.copy_part(&from, range, &key, &upload, 7).await.unwrap());
    parts.sort_by_key(|part| part.number);
    assert_eq!(store.list_parts(&key, &upload).await.unwrap(), parts);
    let etag = store
        .complete_upload(&key, &upload, &parts, &WriteIf::Always)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(etag.parts(), Some(4));
    assert_eq!(sandbox.get(BUCKET, "k").unwrap().data, "122333cde");

    let upload = store.create_upload(&key, &NewObject::default()).await.unwrap();
    assert_eq!(sandbox.open_uploads(BUCKET), 1);
    store.abort_upload(&key, &upload).await.unwrap();
    assert_eq!(sandbox.open_uploads(BUCKET), 0);
    let gone = UploadId("0123456789abcdef".into());
    for upload in [&upload, &gone] {
        assert_eq!(
            kind(store.abort_upload(&key, upload).await),
            ErrorKind::UploadNotFound
        );
        assert_eq!(
            kind(store.list_parts(&key, upload).await),
            ErrorKind::UploadNotFound
        );
        let part = store.upload_part(&key, upload, 1, 1, None, body("x")).await;
        assert_eq!(kind(part), ErrorKind::UploadNotFound);
        let done = store
            .complete_upload(&key, upload, &parts, &WriteIf::Always)
            .await;
        assert_eq!(kind(done), ErrorKind::UploadNotFound);
    }
    assert_eq!(
        kind(store.upload_part(&key, &gone, 0, 1, None, body("x")).await),
        ErrorKind::InvalidArgument
    );
}
