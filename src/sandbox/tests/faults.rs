//! Every fault as a client sees it.

use std::time::{Duration, Instant};

use super::*;
use crate::sandbox::{Fault, FaultRule, Operation, RequestRecord, SandboxObject};

const DATA: &str = "0123456789";

async fn with(fault: Fault) -> (Sandbox, Client) {
    let (sandbox, client) = plain().await;
    sandbox.put(BUCKET, "k", SandboxObject::new(DATA));
    sandbox
        .faults()
        .add(FaultRule::new(Operation::Any, fault).key("k").times(1));
    (sandbox, client)
}

/// The bytes that arrived before the body ended or broke.
async fn read(client: &Client) -> (Response<()>, Vec<u8>, bool) {
    let (parts, mut body) = client
        .send("GET", &path_of("k"), &[], "")
        .await
        .unwrap()
        .into_parts();
    let mut data = Vec::new();
    let complete = loop {
        match body.frame().await {
            Some(Ok(frame)) => data.extend_from_slice(frame.data_ref().unwrap()),
            Some(Err(_)) => break false,
            None => break true,
        }
    };
    (Response::from_parts(parts, ()), data, complete)
}

async fn is_well_again(sandbox: &Sandbox, client: &Client) {
    assert_eq!(client.get("k", &[]).await.body, DATA);
    assert_eq!(sandbox.faults().fired(), 1);
}

#[tokio::test]
async fn status() {
    let retry_after = Some("7".to_owned());
    let (sandbox, client) = with(Fault::Status {
        status: 503,
        code: "SlowDown".to_owned(),
        retry_after,
    })
    .await;
    // A body larger than any socket buffer: the response must arrive nevertheless.
    let answer = client.put("k", &[], vec![0; 8 << 20]).await;
    assert_eq!(
        (
            answer.status,
            answer.code().as_str(),
            answer.header("retry-after")
        ),
        (503, "SlowDown", Some("7"))
    );
    is_well_again(&sandbox, &client).await;
    let record = |operation, status| RequestRecord {
        operation,
        bucket: Some(BUCKET.to_owned()),
        key: Some("k".to_owned()),
        status: Some(status),
    };
    assert_eq!(
        sandbox.requests(),
        [
            record(Operation::PutObject, 503),
            record(Operation::GetObject, 200)
        ]
    );
    sandbox.clear_requests();
    assert_eq!(sandbox.requests_count(Operation::Any), 0);
}

#[tokio::test]
async fn delay() {
    let (_sandbox, client) = with(Fault::Delay(Duration::from_millis(150))).await;
    let start = Instant::now();
    assert_eq!(client.get("k", &[]).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn reset_before() {
    let (sandbox, client) = with(Fault::ResetBefore).await;
    assert!(client.send("PUT", &path_of("k"), &[], "new").await.is_err());
    is_well_again(&sandbox, &client).await;
    assert_eq!(sandbox.requests()[0].status, None);
}

#[tokio::test]
async fn reset_after_effect() {
    let (sandbox, client) = with(Fault::ResetAfterEffect).await;
    assert!(client.send("PUT", &path_of("k"), &[], "new").await.is_err());
    assert_eq!(sandbox.get(BUCKET, "k").unwrap().data, "new");
}

#[tokio::test]
async fn truncated_body() {
    let (sandbox, client) = with(Fault::TruncateBody { after: 4 }).await;
    let (head, data, complete) = read(&client).await;
    assert_eq!(
        (
            head.headers()["content-length"].to_str().unwrap(),
            data.as_slice(),
            complete
        ),
        ("10", &b"0123"[..], false)
    );
    is_well_again(&sandbox, &client).await;
}

#[tokio::test]
async fn early_close() {
    let (sandbox, client) = with(Fault::EarlyClose { after: 4 }).await;
    let (head, data, complete) = read(&client).await;
    assert_eq!(
        (head.headers().get("content-length"), data.as_slice(), complete),
        (None, &b"0123"[..], true)
    );
    is_well_again(&sandbox, &client).await;
}

#[tokio::test]
async fn stall() {
    let (sandbox, client) = with(Fault::Stall { after: 4 }).await;
    let mut body = client
        .send("GET", &path_of("k"), &[], "")
        .await
        .unwrap()
        .into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "0123");
    assert!(
        tokio::time::timeout(Duration::from_millis(200), body.frame())
            .await
            .is_err()
    );
    drop(body);
    is_well_again(&sandbox, &client).await;
}

#[tokio::test]
async fn ok_with_error() {
    let (sandbox, client) = with(Fault::OkWithError {
        code: "InternalError".to_owned(),
    })
    .await;
    let answer = client
        .put("k", &[("x-amz-copy-source", "test-bucket/k")], "")
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (200, "InternalError"));
    is_well_again(&sandbox, &client).await;
}

#[tokio::test]
async fn white_space() {
    let pause = Duration::from_millis(30);
    for error in [None, Some("InternalError".to_owned())] {
        let (sandbox, client) = with(Fault::WhiteSpace {
            pieces: 3,
            pause,
            error: error.clone(),
        })
        .await;
        let began = Instant::now();
        let (head, data, complete) = read(&client).await;
        let text = String::from_utf8(data).unwrap();
        let rest = text.strip_prefix(" \n \n \n").unwrap();
        assert!(complete && began.elapsed() >= 3 * pause);
        assert_eq!(
            (head.status().as_u16(), head.headers().get("content-length")),
            (200, None)
        );
        match error {
            None => assert_eq!(rest, DATA),
            Some(code) => assert!(rest.contains(&format!("<Code>{code}</Code>")), "{rest}"),
        }
        is_well_again(&sandbox, &client).await;
    }
}

#[tokio::test]
async fn wrong_lengths() {
    for (fault, expected) in [
        (Fault::ExtraBytes(3), &b"0123456789\0\0\0"[..]),
        (Fault::WrongLength(4), b"0123"),
        (Fault::WrongLength(12), b"0123456789\0\0"),
    ] {
        let (sandbox, client) = with(fault).await;
        let (head, data, complete) = read(&client).await;
        assert_eq!((data.as_slice(), complete), (expected, true));
        assert_eq!(
            head.headers()["content-length"].to_str().unwrap(),
            expected.len().to_string()
        );
        is_well_again(&sandbox, &client).await;
    }
}

#[tokio::test]
async fn ignored_range() {
    let (_sandbox, client) = with(Fault::IgnoreRange).await;
    for (status, body) in [(200, DATA), (206, "234")] {
        let answer = client.get("k", &[("range", "bytes=2-4")]).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
    }
}

#[tokio::test]
async fn corrupt_body() {
    for (at, index) in [(3, 3), (99, 9)] {
        let (sandbox, client) = with(Fault::CorruptBody { at }).await;
        let mut expected = DATA.as_bytes().to_vec();
        expected[index] ^= 0xff;
        assert_eq!(client.get("k", &[]).await.body, expected);
        is_well_again(&sandbox, &client).await;
    }
}

#[tokio::test]
async fn changed_object() {
    let (sandbox, client) = with(Fault::ChangeObject { data: "other".into() }).await;
    let etag = format!("\"{}\"", SandboxObject::new(DATA).etag);
    let answer = client
        .get("k", &[("if-match", &etag), ("range", "bytes=0-1")])
        .await;
    assert_eq!(answer.code(), "PreconditionFailed");
    assert_eq!(
        sandbox.get(BUCKET, "k").unwrap().etag,
        SandboxObject::new("other").etag
    );
}

#[tokio::test]
async fn a_rule_for_one_request_hits_one_of_many() {
    let (sandbox, client) = plain().await;
    let fault = Fault::Status {
        status: 500,
        code: "InternalError".to_owned(),
        retry_after: None,
    };
    sandbox
        .faults()
        .add(FaultRule::new(Operation::PutObject, fault).skip(5).times(1));
    let client = std::sync::Arc::new(client);
    let tasks: Vec<_> = (0..20)
        .map(|index| {
            let client = std::sync::Arc::clone(&client);
            tokio::spawn(async move { client.put(&format!("k{index}"), &[], "x").await.status })
        })
        .collect();
    let mut failed = 0;
    for task in tasks {
        failed += usize::from(task.await.unwrap() == 500);
    }
    assert_eq!((failed, sandbox.keys(BUCKET).len()), (1, 19));
}
