//! Failures, tested against the sandbox.

use md5::{Digest, Md5};

use super::sandbox::{sandbox, settings};
use super::*;
use crate::object::{ByteRange, CopySource, ListFrom};
use crate::sandbox::{Fault, FaultRule, Operation, SandboxObject, SandboxOptions};

#[tokio::test]
async fn wrong_bytes_are_never_stored() {
    let (sandbox, store) = sandbox(SandboxOptions::default()).await;
    let key = Key::from("k");
    let (new, always) = (NewObject::default(), WriteIf::Always);
    let md5 = Some(<[u8; 16]>::from(Md5::digest("12345")));
    assert!(
        store
            .put(&key, &new, 5, md5, &always, body("12345"))
            .await
            .is_ok()
    );
    sandbox.remove(BUCKET, "k");
    assert_eq!(
        kind(store.put(&key, &new, 5, md5, &always, body("12346")).await),
        ErrorKind::Integrity
    );
    for (length, source) in [
        (5, vec![Ok("1234")]),
        (5, vec![Ok("123456")]),
        (5, vec![Ok("12345"), Ok("6")]),
        (5, vec![]),
        (0, vec![Ok("1")]),
    ] {
        let result = store.put(&key, &new, length, None, &always, frames(source)).await;
        assert_eq!(kind(result), ErrorKind::Integrity, "{length}");
    }
    let cause = Error::new(ErrorKind::PreconditionFailed, "the source changed").with_code("SourceChanged");
    let result = store
        .put(&key, &new, 5, None, &always, frames(vec![Ok("12"), Err(cause)]))
        .await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::PreconditionFailed, Some("SourceChanged"))
    );
    assert!(sandbox.get(BUCKET, "k").is_none());
    store
        .put(
            &key,
            &new,
            5,
            None,
            &always,
            frames(vec![Ok("1"), Ok(""), Ok("2345")]),
        )
        .await
        .unwrap();
    assert_eq!(sandbox.get(BUCKET, "k").unwrap().data, "12345");
}

#[tokio::test]
async fn broken_reads_are_noticed() {
    let (sandbox, store) = sandbox(SandboxOptions::default()).await;
    sandbox.put(BUCKET, "k", SandboxObject::new(vec![7; 300_000]));
    let key = Key::from("k");
    for (fault, allowed) in [
        (
            Fault::TruncateBody { after: 1000 },
            &[ErrorKind::Unavailable, ErrorKind::Integrity][..],
        ),
        (Fault::Stall { after: 1000 }, &[ErrorKind::Timeout]),
    ] {
        sandbox.faults().clear();
        sandbox
            .faults()
            .add(FaultRule::new(Operation::GetObject, fault.clone()));
        let found = match store.get(&key, ByteRange::Whole, None).await {
            Ok(object) => kind(read(object).await),
            Err(error) => error.kind(),
        };
        assert!(allowed.contains(&found), "{fault:?}: {found:?}");
    }
    // Without an announced length, only the end of the body is known. The caller compares it with the listing.
    sandbox.faults().clear();
    let early = Fault::EarlyClose { after: 1000 };
    sandbox.faults().add(FaultRule::new(Operation::GetObject, early));
    let object = store.get(&key, ByteRange::Whole, None).await.unwrap();
    assert_eq!((object.length, object.info.size), (None, None));
    assert_eq!(read(object).await.unwrap().len(), 1000);
    // A length other than that of the range is noticed before a byte is read.
    sandbox.faults().clear();
    sandbox
        .faults()
        .add(FaultRule::new(Operation::GetObject, Fault::WrongLength(10)));
    let range = ByteRange::Range {
        offset: 0,
        length: 20,
    };
    assert_eq!(kind(store.get(&key, range, None).await), ErrorKind::Integrity);
    sandbox.faults().clear();
    assert_eq!(
        read(store.get(&key, ByteRange::Whole, None).await.unwrap())
            .await
            .unwrap()
            .len(),
        300_000
    );
}

#[tokio::test]
async fn failures_become_kinds() {
    let (sandbox, store) = sandbox(SandboxOptions::default()).await;
    let key = Key::from("k");
    assert_eq!(
        kind(store.get(&key, ByteRange::Whole, None).await),
        ErrorKind::NotFound
    );
    assert_eq!(kind(store.head(&key, None).await), ErrorKind::NotFound);
    sandbox.put(BUCKET, "k", SandboxObject::new("x"));
    let fault = |status, code: &str, retry_after: Option<&str>| Fault::Status {
        status,
        code: code.into(),
        retry_after: retry_after.map(str::to_owned),
    };
    for (fault, wanted) in [
        (fault(503, "SlowDown", Some("7")), ErrorKind::RateLimited),
        (fault(500, "InternalError", None), ErrorKind::Unavailable),
        (fault(403, "InvalidObjectState", None), ErrorKind::Archived),
        (Fault::ResetBefore, ErrorKind::Unavailable),
        (Fault::ResetAfterEffect, ErrorKind::Unavailable),
        (Fault::Delay(Duration::from_secs(5)), ErrorKind::Timeout),
    ] {
        sandbox.faults().clear();
        sandbox
            .faults()
            .add(FaultRule::new(Operation::Any, fault.clone()));
        let error = store.get(&key, ByteRange::Whole, None).await.err().unwrap();
        assert_eq!(error.kind(), wanted, "{fault:?}");
        if wanted == ErrorKind::RateLimited {
            assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        }
        let error = write(&store, &key, "y").await.unwrap_err();
        assert_eq!(error.kind(), wanted, "{fault:?}");
    }
    sandbox.faults().clear();
    let inner = || Fault::OkWithError {
        code: "InternalError".into(),
    };
    sandbox
        .faults()
        .add(FaultRule::new(Operation::CopyObject, inner()));
    sandbox.faults().add(FaultRule::new(Operation::Complete, inner()));
    sandbox
        .faults()
        .add(FaultRule::new(Operation::ListObjects, inner()));
    let from = CopySource {
        bucket: BUCKET.into(),
        key: key.clone(),
        if_match: None,
    };
    assert_eq!(
        kind(store.copy(&from, &key, &NewObject::default()).await),
        ErrorKind::Unavailable
    );
    let upload = store.create_upload(&key, &NewObject::default()).await.unwrap();
    assert_eq!(
        kind(store.complete_upload(&key, &upload, &[], &WriteIf::Always).await),
        ErrorKind::Unavailable
    );
    assert!(list(&store, "", ListFrom::Start).await.is_err());
}

#[tokio::test]
async fn wrong_keys_clocks_and_buckets_are_told_apart() {
    let (sandbox, _) = sandbox(SandboxOptions::default()).await;
    let list = |settings: S3Options| async move {
        let store = S3Store::new(settings).unwrap();
        let error = list(&store, "", ListFrom::Start).await.unwrap_err();
        assert!(
            !error.to_string().contains("SANDBOX") && !error.to_string().contains("UNKNOWN"),
            "{error}"
        );
        error.kind()
    };
    let with_keys = |a: &str, s: &str| options(sandbox.endpoint(), (a, s));
    assert_eq!(list(with_keys("UNKNOWN", "x")).await, ErrorKind::Unauthenticated);
    assert_eq!(
        list(with_keys(sandbox.access_key(), "wrong")).await,
        ErrorKind::Unauthenticated
    );
    let mut skewed = settings(&sandbox);
    skewed.clock = Clock::new(|| UnixMillis(1_000_000_000_000));
    assert_eq!(list(skewed).await, ErrorKind::Unauthenticated);
    let mut nowhere = settings(&sandbox);
    nowhere.bucket = "nowhere".into();
    assert_eq!(list(nowhere).await, ErrorKind::BucketNotFound);
    let mut refused = settings(&sandbox);
    refused.http = HttpClient::new(NetworkPolicy::default());
    assert_eq!(list(refused).await, ErrorKind::Forbidden);
}
