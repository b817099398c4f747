//! Objects written and read in one request, copies, tags and buckets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::sandbox::{SandboxObject, Support};

#[tokio::test]
async fn headers_and_metadata_come_back() {
    let (sandbox, client) = plain().await;
    let headers = [
        ("content-type", "text/x-odd; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-disposition", "attachment; filename=\"a.txt\""),
        ("cache-control", "max-age=60"),
        ("expires", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("x-amz-meta-mixed-case", "Value"),
        ("x-amz-storage-class", "STANDARD_IA"),
    ];
    let mut all = headers.to_vec();
    all.extend([("x-amz-meta-text", "grün"), ("x-amz-tagging", "a=1&b+c=%C3%A9")]);
    assert_eq!(client.put("k", &all, "data").await.status, 200);
    let stored = sandbox.get(BUCKET, "k").unwrap();
    assert_eq!(stored.metadata["text"], "grün");
    assert_eq!(
        stored.tags,
        [("a".into(), "1".into()), ("b c".into(), "é".into())]
    );
    for method in ["GET", "HEAD"] {
        let answer = client.call(method, &path_of("k"), &[], "").await.unwrap();
        for (name, value) in headers {
            assert_eq!(answer.header(name), Some(value), "{method}");
        }
        // As Amazon S3 does, and as s3s reads it back.
        assert_eq!(answer.header("x-amz-meta-text"), Some("=?UTF-8?B?Z3LDvG4=?="));
        assert_eq!(answer.header("x-amz-tagging-count"), Some("2"));
        assert_eq!(
            answer.header("etag"),
            Some("\"8d777f385d3dfec8815d20f7496026dc\"")
        );
        assert_eq!(answer.header("content-length"), Some("4"));
        assert!(answer.header("last-modified").is_some() && answer.header("x-amz-request-id").is_some());
    }
    let tags = client
        .call("GET", &format!("{}?tagging=", path_of("k")), &[], "")
        .await
        .unwrap();
    assert_eq!(
        (tags.all("Key"), tags.all("Value")),
        (vec!["a".into(), "b c".into()], vec!["1".into(), "é".into()])
    );
    let document = "<Tagging><TagSet><Tag><Key>x</Key><Value>y</Value></Tag></TagSet></Tagging>";
    let answer = client
        .call("PUT", &format!("{}?tagging=", path_of("k")), &[], document)
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(sandbox.get(BUCKET, "k").unwrap().tags, [("x".into(), "y".into())]);
    let odd = SandboxObject {
        expires: Some("0".into()),
        ..SandboxObject::new("")
    };
    sandbox.put(BUCKET, "odd", odd);
    assert_eq!(client.get("odd", &[]).await.header("expires"), Some("0"));
}

#[tokio::test]
async fn ranges_parts_and_conditions() {
    let (sandbox, client) = plain().await;
    sandbox.put(BUCKET, "k", SandboxObject::multipart("0123456789", 4));
    for (range, status, body, content_range) in [
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=8-", 206, "89", Some("bytes 8-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=5-100", 206, "56789", Some("bytes 5-9/10")),
    ] {
        let answer = client.get("k", &[("range", range)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "{range}");
        assert_eq!(answer.header("content-range"), content_range);
    }
    assert_eq!(
        client.get("k", &[("range", "bytes=10-")]).await.code(),
        "InvalidRange"
    );
    for method in ["GET", "HEAD"] {
        let answer = client
            .call(method, &format!("{}?partNumber=3", path_of("k")), &[], "")
            .await
            .unwrap();
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (206, Some("bytes 8-9/10"))
        );
        assert_eq!(
            (
                answer.header("x-amz-mp-parts-count"),
                answer.header("content-length")
            ),
            (Some("3"), Some("2"))
        );
        let answer = client
            .call(method, &format!("{}?partNumber=4", path_of("k")), &[], "")
            .await
            .unwrap();
        assert_eq!(answer.status, 416);
    }
    let etag = format!("\"{}\"", SandboxObject::multipart("0123456789", 4).etag);
    assert_eq!(client.get("k", &[("if-match", &etag)]).await.status, 200);
    assert_eq!(
        client.get("k", &[("if-match", "\"other\"")]).await.code(),
        "PreconditionFailed"
    );
    assert_eq!(client.get("k", &[("if-none-match", &etag)]).await.status, 304);
    let missing = client.get("nothing", &[]).await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "NoSuchKey"));
    assert_eq!(
        client
            .call("HEAD", &path_of("nothing"), &[], "")
            .await
            .unwrap()
            .status,
        404
    );
}

#[tokio::test]
async fn large_bodies_arrive() {
    let (sandbox, client) = plain().await;
    let data: Vec<u8> = (0..20_000_003_u32)
        .map(|at| at.to_le_bytes()[at as usize % 3])
        .collect();
    assert_eq!(client.put("k", &[], data.clone()).await.status, 200);
    assert_eq!(
        sandbox.get(BUCKET, "k").unwrap(),
        SandboxObject {
            last_modified: sandbox.get(BUCKET, "k").unwrap().last_modified,
            ..SandboxObject::new(data.clone())
        }
    );
    assert!(client.get("k", &[]).await.body == data);
    assert!(client.get("k", &[("range", "bytes=8388600-8388620")]).await.body == data[8_388_600..=8_388_620]);
}

#[tokio::test]
async fn conditional_writes() {
    let (sandbox, client) = plain().await;
    let etag = format!("\"{}\"", SandboxObject::new("1").etag);
    assert_eq!(
        client.put("k", &[("if-match", &etag)], "0").await.code(),
        "NoSuchKey"
    );
    assert_eq!(client.put("k", &[("if-none-match", "*")], "1").await.status, 200);
    let refused = client.put("k", &[("if-none-match", "*")], "2").await;
    assert_eq!(
        (refused.status, refused.code().as_str()),
        (412, "PreconditionFailed")
    );
    assert_eq!(client.put("k", &[("if-match", "\"x\"")], "2").await.status, 412);
    assert_eq!(sandbox.get(BUCKET, "k").unwrap().data, "1");
    assert_eq!(client.put("k", &[("if-match", &etag)], "3").await.status, 200);

    let options = SandboxOptions {
        conditional_writes: Support::Ignored,
        ..SandboxOptions::default()
    };
    let (sandbox, client) = start(options).await;
    for body in ["1", "2"] {
        assert_eq!(client.put("k", &[("if-none-match", "*")], body).await.status, 200);
    }
    assert_eq!(sandbox.get(BUCKET, "k").unwrap().data, "2");
}

#[tokio::test]
async fn broken_uploads_store_nothing() {
    let (sandbox, mut client) = plain().await;
    let md5 = STANDARD.encode(Md5::digest("other"));
    assert_eq!(
        client.put("k", &[("content-md5", &md5)], "data").await.code(),
        "BadDigest"
    );
    assert_eq!(
        client.put("k", &[("content-md5", "short")], "data").await.code(),
        "InvalidDigest"
    );
    client.payload = Some(SignableBody::Precomputed("0".repeat(64)));
    assert_eq!(
        client.put("k", &[], "data").await.code(),
        "XAmzContentSHA256Mismatch"
    );
    client.payload = Some(SignableBody::UnsignedPayload);
    let request = client.sign("PUT", &path_of("k"), &[], Bytes::new());
    let mut head = format!("PUT {} HTTP/1.1\r\ncontent-length: 100\r\n", path_of("k"));
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let host = client.endpoint.strip_prefix("http://").unwrap();
    head.push_str(&format!("host: {host}\r\n\r\nonly so much"));
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    while sandbox.requests().len() < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(sandbox.keys(BUCKET).is_empty());
    let md5 = STANDARD.encode(Md5::digest("data"));
    assert_eq!(
        client.put("k", &[("content-md5", &md5)], "data").await.status,
        200
    );
}

#[tokio::test]
async fn copies() {
    let (sandbox, client) = plain().await;
    let metadata = [("a".to_owned(), "1".to_owned())].into();
    let origin = SandboxObject {
        metadata,
        ..SandboxObject::multipart("0123456789", 4)
    };
    sandbox.put(BUCKET, "from", origin.clone());
    let source = ("x-amz-copy-source", "test-bucket/from");
    let answer = client.put("to", &[source], "").await;
    let copied = sandbox.get(BUCKET, "to").unwrap();
    assert_eq!(
        answer.one("ETag").unwrap(),
        format!("\"{}\"", SandboxObject::new("0123456789").etag)
    );
    assert_eq!((copied.metadata, copied.part_sizes.len()), (origin.metadata, 0));
    let replace = [
        source,
        ("x-amz-metadata-directive", "REPLACE"),
        ("x-amz-meta-b", "2"),
        ("content-type", "x/y"),
    ];
    assert_eq!(client.put("to", &replace, "").await.status, 200);
    let copied = sandbox.get(BUCKET, "to").unwrap();
    assert_eq!(
        (copied.metadata, copied.content_type.as_deref()),
        ([("b".into(), "2".into())].into(), Some("x/y"))
    );
    let stale = client
        .put("to", &[source, ("x-amz-copy-source-if-match", "\"old\"")], "")
        .await;
    assert_eq!(stale.code(), "PreconditionFailed");
    assert_eq!(
        client
            .put("to", &[("x-amz-copy-source", "test-bucket/none")], "")
            .await
            .code(),
        "NoSuchKey"
    );
    assert_eq!(client.put("from", &[source], "").await.code(), "InvalidRequest");
}

#[tokio::test]
async fn buckets() {
    let (_sandbox, client) = plain().await;
    assert_eq!(client.call("PUT", "/second", &[], "").await.unwrap().status, 200);
    assert_eq!(
        client.call("PUT", "/second", &[], "").await.unwrap().code(),
        "BucketAlreadyOwnedByYou"
    );
    assert_eq!(
        client.call("GET", "/", &[], "").await.unwrap().all("Name"),
        ["second", BUCKET]
    );
    assert_eq!(client.call("HEAD", "/second", &[], "").await.unwrap().status, 200);
    assert_eq!(client.call("HEAD", "/third", &[], "").await.unwrap().status, 404);
    let location = client.query("location=").await;
    assert!(location.text().contains("us-east-1"), "{}", location.text());
}
