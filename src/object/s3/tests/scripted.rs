//! Exact responses, from a server that sends what the test gives it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::object::{ByteRange, ETag, ListFrom};

/// Answers the only request of each connection with the next response; returns the heads of the requests.
async fn scripted(answers: Vec<String>) -> (S3Store, JoinHandle<Vec<String>>) {
    let (listener, store) = bound().await;
    let server = tokio::spawn(async move {
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            heads.push(head(&mut stream).await);
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        heads
    });
    (store, server)
}

async fn bound() -> (TcpListener, S3Store) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let store = S3Store::new(options(url, ("ACCESSKEY", "secret"))).unwrap();
    (listener, store)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn keys_are_on_the_wire_as_they_are() {
    let keys = ["//", ".", "..", "/", "a//../b/./", "+ %&?"];
    let wanted = ["//", ".", "..", "/", "a//../b/./", "%2B%20%25%26%3F"];
    let (store, server) = scripted(vec![answer("204", "", ""); keys.len()]).await;
    for key in keys {
        store.delete(&Key::from(key)).await.unwrap();
    }
    for (head, wanted) in server.await.unwrap().iter().zip(wanted) {
        let line = head.lines().next().unwrap();
        assert_eq!(line, format!("DELETE /bucket/{wanted} HTTP/1.1"));
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("accept-encoding: identity") && !lower.contains("transfer-encoding"));
    }
    assert_eq!(
        kind(store.delete(&Key::from("")).await),
        ErrorKind::InvalidArgument
    );
}

#[tokio::test]
async fn a_put_announces_its_length_and_is_not_chunked() {
    let (listener, store) = bound().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        let mut body = [0; 5];
        stream.read_exact(&mut body).await.unwrap();
        stream
            .write_all(answer("200", "ETag: \"a\"\r\n", "").as_bytes())
            .await
            .unwrap();
        (head.to_ascii_lowercase(), body)
    });
    let source = frames(vec![Ok("12"), Ok("345")]);
    let key = Key::from("k");
    let etag = store
        .put(
            &key,
            &NewObject::default(),
            5,
            Some([0; 16]),
            &WriteIf::Absent,
            source,
        )
        .await;
    assert_eq!(etag.unwrap().etag, Some(ETag::new("a")));
    let (head, body) = server.await.unwrap();
    assert_eq!(&body, b"12345");
    for wanted in [
        "content-length: 5\r\n",
        "x-amz-content-sha256: unsigned-payload\r\n",
        "content-md5: aaaaaaaaaaaaaaaaaaaaaa==\r\n",
        "if-none-match: *\r\n",
    ] {
        assert!(head.contains(wanted), "{head}");
    }
    assert!(!head.contains("chunked"), "{head}");
}

#[tokio::test]
async fn an_early_refusal_wins_and_ends_the_upload() {
    let (listener, store) = bound().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let text = "<Error><Code>AccessDenied</Code><Message>no, ACCESSKEY</Message></Error>";
        stream
            .write_all(answer("403", "x-amz-request-id: r1\r\n", text).as_bytes())
            .await
            .unwrap();
        // The client closes the connection instead of sending the rest.
        let mut rest = Vec::new();
        let _ended = stream.read_to_end(&mut rest).await;
        rest.len()
    });
    // The source never ends, so only the response can end the upload.
    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>>>(1);
    sender
        .send(Ok(Frame::data(Bytes::from_static(b"12"))))
        .await
        .unwrap();
    let source = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (frame, receiver))
    });
    let source = StreamBody::new(source).boxed_unsync();
    let result = store
        .put(
            &Key::from("k"),
            &NewObject::default(),
            5,
            None,
            &WriteIf::Always,
            source,
        )
        .await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::PermissionDenied, Some("AccessDenied"))
    );
    assert_eq!(error.message(), "the store answered 403: no, ***");
    assert_eq!(error.request_id(), Some("r1"));
    sender.closed().await;
    assert_eq!(server.await.unwrap(), 2);
}

#[tokio::test]
async fn a_success_before_the_last_byte_is_an_error() {
    let (store, _server) = scripted(vec![answer("200", "ETag: \"a\"\r\n", "")]).await;
    let source = StreamBody::new(stream::pending::<Result<Frame<Bytes>>>()).boxed_unsync();
    let result = store
        .put(
            &Key::from("k"),
            &NewObject::default(),
            5,
            None,
            &WriteIf::Always,
            source,
        )
        .await;
    assert_eq!(kind(result), ErrorKind::Integrity);
}

#[tokio::test]
async fn silence_is_limited_but_a_slow_source_is_not_the_stores_fault() {
    let (listener, store) = bound().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let mut body = [0; 2];
        stream.read_exact(&mut body).await.unwrap();
        stream
            .write_all(answer("200", "ETag: \"a\"\r\n", "").as_bytes())
            .await
            .unwrap();
        let (mut silent, _) = listener.accept().await.unwrap();
        head(&mut silent).await;
        silent
    });
    // Two frames, each after the limit.
    let source = stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        (n < 2).then(|| (Ok(Frame::data(Bytes::from_static(b"x"))), n + 1))
    });
    let source = StreamBody::new(source).boxed_unsync();
    let (key, new) = (Key::from("k"), NewObject::default());
    let put = store.put(&key, &new, 2, None, &WriteIf::Always, source);
    assert_eq!(put.await.unwrap().etag, Some(ETag::new("a")));
    assert_eq!(
        kind(write(&store, &Key::from("k"), "x").await),
        ErrorKind::Timeout
    );
    drop(server.await.unwrap());
}

#[tokio::test]
async fn lengths_are_not_guessed() {
    let chunked =
        "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n";
    let (store, _server) = scripted(vec![
        chunked.to_owned(),
        "HTTP/1.1 200 X\r\nConnection: close\r\n\r\nabc".to_owned(),
        "HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc".to_owned(),
        answer("200", "ETag: \"other\"\r\n", "abc"),
    ])
    .await;
    let key = Key::from("k");
    for wanted in ["a", "abc"] {
        let unknown = store.get(&key, ByteRange::Whole, None).await.unwrap();
        assert_eq!((unknown.length, unknown.info.size), (None, None));
        assert_eq!(read(unknown).await.unwrap(), wanted);
    }
    let short = store.get(&key, ByteRange::Whole, None).await.unwrap();
    assert_eq!(kind(read(short).await), ErrorKind::Integrity);
    // This store ignores the condition.
    let tag = ETag::new("listed");
    assert_eq!(
        kind(store.get(&key, ByteRange::Whole, Some(&tag)).await),
        ErrorKind::PreconditionFailed
    );
}

#[tokio::test]
async fn what_is_no_listing_is_an_error() {
    let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let missing = "<Error><Code>NoSuchKey</Code><Message>nothing there</Message></Error>";
    let (store, _server) = scripted(vec![
        answer("200", "", "<html><body>welcome</body></html>"),
        answer("200", "Content-Encoding: gzip\r\n", "\u{1f}compressed"),
        answer("200", "Content-Encoding: identity\r\n", empty),
        answer(
            "301",
            "x-amz-bucket-region: eu-west-1\r\nLocation: http://elsewhere/\r\n",
            "",
        ),
        answer("404", "", ""),
        answer("404", "", "<Error><Code>NoSuchBucket</Code></Error>"),
        // `NoSuchKey` may also mean that the server takes the bucket for a key, so the bucket itself is requested.
        answer("404", "", missing),
        answer("404", "", ""),
        answer("404", "", missing),
        answer("200", "", ""),
        // The bucket is requested only once.
        answer("404", "", missing),
    ])
    .await;
    let page = || list(&store, "p/", ListFrom::Start);
    assert_eq!(kind(page().await), ErrorKind::Integrity);
    let error = page().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.message().contains("gzip"), "{error}");
    assert_eq!(page().await.unwrap().1.truncated, Some(false));
    let error = page().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("eu-west-1"));
    for _ in 0..3 {
        assert_eq!(kind(page().await), ErrorKind::BucketNotFound);
    }
    for _ in 0..2 {
        let (found, facts) = page().await.unwrap();
        assert_eq!((found.len(), facts.truncated), (0, Some(false)));
    }
    assert!(!format!("{store:?}{}", store.describe()).contains("ACCESSKEY"));
}

/// What Amazon S3 answers if the newest version of a key is a delete marker, and if the requested version is one.
#[tokio::test]
async fn a_delete_marker_is_no_object() {
    let marker = "x-amz-delete-marker: true\r\nx-amz-version-id: v2\r\n";
    let gone = "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>";
    let refused = "<Error><Code>MethodNotAllowed</Code></Error>";
    let key = Key::from("k");
    let (store, server) = scripted(vec![
        answer("404", marker, ""),
        answer("404", marker, gone),
        answer("405", marker, ""),
        answer("405", marker, refused),
    ])
    .await;
    assert_eq!(kind(store.head(&key, None).await), ErrorKind::NotFound);
    assert_eq!(
        kind(store.get(&key, ByteRange::Whole, None).await),
        ErrorKind::NotFound
    );
    assert_eq!(kind(store.head(&key, None).await), ErrorKind::Unsupported);
    let error = store.get(&key, ByteRange::Whole, None).await.err().unwrap();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Unsupported, Some("MethodNotAllowed"))
    );
    for head in server.await.unwrap() {
        assert!(
            !head.contains("versionId"),
            "only the newest is asked for: {head}"
        );
    }
}

#[tokio::test]
async fn no_value_of_ours_breaks_a_header() {
    let (_listener, store) = bound().await;
    let breaks = "x\r\nx-amz-acl: public-read".to_owned();
    let tagged = NewObject {
        tagging: Some(breaks.clone()),
        ..NewObject::default()
    };
    let classed = NewObject {
        storage_class: Some(breaks),
        ..NewObject::default()
    };
    for new in [tagged, classed] {
        let key = Key::from("k");
        // There is no server: the value is refused before anything is sent.
        let put = store.put(&key, &new, 0, None, &WriteIf::Always, body(""));
        assert_eq!(kind(put.await), ErrorKind::InvalidArgument);
        assert_eq!(
            kind(store.create_upload(&key, &new).await),
            ErrorKind::InvalidArgument
        );
    }
}

/// Over a socket, from a store and from a plain web server: bodies and documents that drip for ever. Each byte arrives
/// within the limit for a single wait.
#[tokio::test]
async fn what_drips_for_ever_is_ended_everywhere() {
    let (listener, store) = bound().await;
    let address = format!("http://{}/object", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                head(&mut stream).await;
                let start = "HTTP/1.1 200 OK\r\nETag: \"t\"\r\nContent-Length: 100000\r\n\r\n<";
                let mut piece = start.as_bytes();
                // Until the client closes the connection, as it must.
                while stream.write_all(piece).await.is_ok() {
                    piece = b" ";
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    let key = Key::from("k");
    let object = store.get(&key, ByteRange::Whole, None).await.unwrap();
    assert_eq!(kind(object.body.collect().await), ErrorKind::Timeout);
    assert_eq!(kind(list(&store, "", ListFrom::Start).await), ErrorKind::Timeout);
    assert_eq!(kind(store.tags(&key).await), ErrorKind::Timeout);
    let policy = NetworkPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let reader = crate::object::http::HttpReader::new(HttpClient::new(policy), store.timeouts);
    let object = reader.get(&address, ByteRange::Whole, None).await.unwrap();
    assert_eq!(kind(object.body.collect().await), ErrorKind::Timeout);
    server.abort();
}
