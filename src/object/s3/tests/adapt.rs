//! What is learned from refusals, against a server that computes signatures itself, in the ways of real servers.

use http::{HeaderName, HeaderValue};

use super::server::Server;
use super::*;
use crate::object::metadata_signing::UNSIGNABLE;
use crate::object::{ByteRange, ListFrom, Part, UploadId};

fn as_go_does(value: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(value);
    text.split_whitespace().collect::<Vec<_>>().join(" ").into_bytes()
}

fn as_botocore_does(value: &[u8]) -> Vec<u8> {
    let words = value
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

fn as_the_sdks_do(value: &[u8]) -> Vec<u8> {
    let words = value.split(|b| *b == b' ').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

/// Treats bytes as characters: a NO-BREAK SPACE in UTF-8 is then a letter and a white space.
fn as_latin1(value: &[u8]) -> Vec<u8> {
    let words = value
        .split(|b| matches!(b, b' ' | b'\t' | 0x85 | 0xa0))
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ')
}

fn as_they_are(value: &[u8]) -> Vec<u8> {
    value.to_vec()
}

fn described(name: &'static str, value: &[u8]) -> NewObject {
    let mut new = NewObject::default();
    let name = HeaderName::from_static(name);
    new.carried
        .0
        .insert(name, HeaderValue::from_bytes(value).unwrap());
    new
}

/// Writes, with as many attempts as the store needs.
async fn written(store: &S3Store, new: &NewObject) -> Result<()> {
    let key = Key::from("k");
    for _ in 0..4 {
        let put = store.put(&key, new, 1, None, &WriteIf::Always, body("x")).await;
        match put {
            Err(error) if error.retry_after() == Some(Duration::ZERO) => assert!(error.is_retryable()),
            other => return other.map(drop),
        }
    }
    panic!("it asks for another try again and again");
}

#[tokio::test]
async fn white_space_is_signed_as_the_server_reads_it_or_the_object_is_reported() {
    type Read = fn(&[u8]) -> Vec<u8>;
    let readers: [(&str, Read); 5] = [
        ("Go", as_go_does),
        ("botocore", as_botocore_does),
        ("the SDKs", as_the_sdks_do),
        ("Latin-1", as_latin1),
        ("as they are", as_they_are),
    ];
    let values: [(&str, &[&str]); 9] = [
        ("annual report", &[]),
        ("annual\treport", &[]),
        ("annual\t \treport", &[]),
        ("annual  report", &["as they are"]),
        ("\"a   b\", c", &["as they are"]),
        ("annual\u{a0}report", &["Latin-1"]),
        ("annual\u{2003}report", &[]),
        ("gr\u{fc}n \u{20ac}", &[]),
        ("a,b;c=d", &[]),
    ];
    for (name, read) in readers {
        let server = Server::start(Box::new(move |seen| {
            (!seen.is_signed(read)).then_some((403, "SignatureDoesNotMatch", "no"))
        }))
        .await;
        for (value, refused_by) in values {
            let store = S3Store::new(server.options()).unwrap();
            let result = written(&store, &described("x-amz-meta-d", value.as_bytes())).await;
            if refused_by.contains(&name) {
                let error = result.unwrap_err();
                let outcome = (error.kind(), error.code());
                assert_eq!(
                    outcome,
                    (ErrorKind::InvalidArgument, Some(UNSIGNABLE)),
                    "{name} {value:?}"
                );
            } else {
                assert!(result.is_ok(), "{name} {value:?}: {result:?}");
                let seen = server.take().pop().unwrap();
                assert_eq!(seen.header("x-amz-meta-d").unwrap(), value, "it travels as it is");
            }
            // Other objects are still written as before.
            assert!(
                written(&store, &described("x-amz-meta-d", b"plain"))
                    .await
                    .is_ok()
            );
            server.take();
        }
    }
}

#[tokio::test]
async fn what_was_learned_of_white_space_is_kept() {
    let server = Server::start(Box::new(|seen| {
        (!seen.is_signed(as_the_sdks_do)).then_some((403, "SignatureDoesNotMatch", "no"))
    }))
    .await;
    let store = S3Store::new(server.options()).unwrap();
    let new = described("x-amz-meta-d", b"annual\treport");
    written(&store, &new).await.unwrap();
    assert!(server.take().len() > 1);
    written(&store, &new).await.unwrap();
    assert_eq!(server.take().len(), 1);
}

#[tokio::test]
async fn wrong_keys_stay_wrong_keys_whatever_the_metadata() {
    let server = Server::start(Box::new(|_| Some((403, "SignatureDoesNotMatch", "no")))).await;
    let store = S3Store::new(server.options()).unwrap();
    for value in ["plain", "annual\treport", "gr\u{fc}n"] {
        let error = written(&store, &described("x-amz-meta-d", value.as_bytes()))
            .await
            .unwrap_err();
        let outcome = (error.kind(), error.code());
        assert_eq!(
            outcome,
            (ErrorKind::Unauthenticated, Some("SignatureDoesNotMatch")),
            "{value:?}"
        );
    }
}

#[tokio::test]
async fn names_that_a_proxy_drops_are_reported_for_their_object() {
    for name in ["x-amz-meta-a_b", "x-amz-meta-a.b"] {
        let server = Server::start(Box::new(move |seen| {
            seen.header(name).map(|_| (403, "SignatureDoesNotMatch", "no"))
        }))
        .await;
        let store = S3Store::new(server.options()).unwrap();
        let error = written(&store, &described(name, b"a")).await.unwrap_err();
        assert_eq!(error.code(), Some(UNSIGNABLE), "{name}");
    }
}

#[tokio::test]
async fn a_content_type_of_any_bytes_travels() {
    let server = Server::start(Box::new(|seen| {
        (!seen.is_signed(as_go_does)).then_some((403, "SignatureDoesNotMatch", "no"))
    }))
    .await;
    let store = S3Store::new(server.options()).unwrap();
    for value in [
        &b"text/plain"[..],
        b"text/plain; name=caf\xe9",
        b"text/plain;\tname=a",
    ] {
        written(&store, &described("content-type", value)).await.unwrap();
        let seen = server.take().pop().unwrap();
        let sent = seen
            .headers
            .iter()
            .find(|(name, _)| name == "content-type")
            .unwrap();
        assert_eq!(sent.1, value);
    }
}

#[tokio::test]
async fn a_store_that_refuses_paths_is_addressed_by_host() {
    for (status, code, message) in [
        (403, "SecondLevelDomainForbidden", "OSS third level domain"),
        (403, "PathStyleDomainForbidden", "m"),
        (400, "InvalidPathAccess", "m"),
        (400, "VirtualHostDomainRequired", "m"),
        (403, "AccessDenied", "Path-style access is not supported."),
    ] {
        let server = Server::start(Box::new(move |seen| {
            let host = seen.header("host").unwrap();
            let by_host = host.starts_with("bucket.127.0.0.1:") && !seen.target.starts_with("/bucket/");
            (!by_host || !seen.is_signed(as_go_does)).then_some((status, code, message))
        }))
        .await;
        let store = S3Store::new(server.options()).unwrap();
        let error = list(&store, "", ListFrom::Start).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, Some(code)));
        assert_eq!(error.retry_after(), Some(Duration::ZERO));
        list(&store, "", ListFrom::Start).await.unwrap();
        written(&store, &NewObject::default()).await.unwrap();
        assert_eq!(server.take().len(), 3, "it is learned once");

        // The first request may be a PUT.
        let store = S3Store::new(server.options()).unwrap();
        written(&store, &NewObject::default()).await.unwrap();
        // A HEAD has no document; the GET after it gives the name of the error.
        let store = S3Store::new(server.options()).unwrap();
        assert_eq!(
            kind(store.head(&Key::from("k"), None).await),
            ErrorKind::Unavailable,
            "{code}"
        );
        // Settings of the operator are not changed.
        let mut options = server.options();
        options.endpoint.origin = EndpointOrigin::Catalogue;
        let store = S3Store::new(options).unwrap();
        assert_ne!(
            kind(list(&store, "", ListFrom::Start).await),
            ErrorKind::Unavailable
        );
    }
}

#[tokio::test]
async fn the_words_of_a_store_stay_when_the_other_address_leads_nowhere() {
    let server = Server::start(Box::new(|_| {
        Some((403, "PathStyleDomainForbidden", "use the other"))
    }))
    .await;
    let mut options = server.options();
    options.endpoint.url = options.endpoint.url.replace("127.0.0.1", "localhost");
    let store = S3Store::new(options).unwrap();
    assert_eq!(
        kind(list(&store, "", ListFrom::Start).await),
        ErrorKind::Unavailable
    );
    let error = list(&store, "", ListFrom::Start).await.unwrap_err();
    // Some resolvers answer for every name below `localhost`; the store then refuses with the same words.
    assert!(error.message().contains("use the other"), "{error}");
}

#[tokio::test]
async fn a_store_that_demands_hashes_gets_one_with_every_write() {
    let refusal = "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters";
    let server = Server::start(Box::new(move |seen| {
        let writes = matches!(seen.method.as_str(), "PUT" | "POST");
        let hashed = seen.header("content-md5");
        if writes && hashed.is_none() {
            return Some((400, "InvalidRequest", refusal));
        }
        let right = md5_header(Md5::digest(&seen.body).into()).unwrap();
        let wrong = hashed.is_some_and(|given| given != right.to_str().unwrap());
        wrong.then_some((400, "BadDigest", "m"))
    }))
    .await;
    let store = S3Store::new(server.options()).unwrap();
    assert!(!store.demands_md5());
    let key = Key::from("k");
    let new = NewObject::default();
    let put = |md5| store.put(&key, &new, 1, md5, &WriteIf::Always, body("x"));
    let md5: [u8; 16] = Md5::digest("x").into();
    put(Some(md5)).await.unwrap();
    assert!(!store.demands_md5(), "nothing was refused");
    assert_eq!(kind(put(None).await), ErrorKind::Unavailable);
    assert!(store.demands_md5());
    put(Some(md5)).await.unwrap();
    // A body in memory is hashed without a request for it.
    store
        .put(&key, &new, 0, None, &WriteIf::Always, body(""))
        .await
        .unwrap();
    let upload = store.create_upload(&key, &new).await.unwrap();
    let part = store
        .upload_part(&key, &upload, 1, 1, Some(md5), body("x"))
        .await
        .unwrap();
    let parts: [Part; 1] = [part];
    store
        .complete_upload(&key, &UploadId("u".into()), &parts, &WriteIf::Always)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_requester_that_pays_says_so_in_every_request_and_signs_it() {
    let server = Server::start(Box::new(|seen| {
        let pays = seen.header("x-amz-request-payer").as_deref() == Some("requester");
        let signed = seen
            .header("authorization")
            .unwrap()
            .contains("x-amz-request-payer");
        (!pays || !signed || !seen.is_signed(as_go_does)).then_some((403, "AccessDenied", "m"))
    }))
    .await;
    let mut options = server.options();
    let owner = S3Store::new(options.clone()).unwrap();
    assert_eq!(
        kind(list(&owner, "", ListFrom::Start).await),
        ErrorKind::PermissionDenied
    );
    options.payer = Payer::Requester;
    let store = S3Store::new(options).unwrap();
    let key = Key::from("k");
    list(&store, "", ListFrom::Start).await.unwrap();
    store.head(&key, None).await.unwrap();
    store.get(&key, ByteRange::Whole, None).await.unwrap();
    store.get(&key, ByteRange::Part(1), None).await.err();
    written(&store, &NewObject::default()).await.unwrap();
    let refused = server
        .take()
        .iter()
        .filter(|seen| seen.header("x-amz-request-payer").is_none())
        .count();
    assert_eq!(refused, 1, "the owner's");
}

#[tokio::test]
async fn an_endpoint_with_a_path_is_addressed_and_signed_below_it() {
    let server = Server::start(Box::new(|seen| {
        let below = seen.target.starts_with("/storage/v1/s3/bucket/");
        (!below || !seen.is_signed(as_go_does)).then_some((404, "RouteNotFound", "m"))
    }))
    .await;
    let mut options = server.options();
    for slash in ["", "/"] {
        options.endpoint.url = format!("{}/storage/v1/s3{slash}", server.url);
        let store = S3Store::new(options.clone()).unwrap();
        list(&store, "a//b", ListFrom::Start).await.unwrap();
        store.delete(&Key::from("a//../b")).await.unwrap();
        written(&store, &NewObject::default()).await.unwrap();
        assert!(
            store.describe().ends_with("/storage/v1/s3/bucket"),
            "{}",
            store.describe()
        );
        let seen = server.take();
        assert_eq!(seen[1].target, "/storage/v1/s3/bucket/a//../b");
    }
}
