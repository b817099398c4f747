//! A CDN before the source: how its responses may differ from the source's, and how requests to it are authenticated.

use std::time::{Duration, SystemTime};

use oms::error::ErrorKind;
use oms::sandbox::{Operation, SandboxObject};
use oms::secret::Secret;
use oms::service::CreateTask;
use oms::task::rules::ConsistencyCheck;
use oms::task::spec::Cdn;
use oms::task::{StartMode, State};
use oms::violation::Violation;

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};
use crate::support::web::{Page, Web};

fn order(stores: &Stores, web: &Web, authentication_type: &str) -> CreateTask {
    let mut order = stores.order();
    order.cdn = Some(Cdn {
        protocol: "http".to_owned(),
        domain: web.host(),
        authentication_type: authentication_type.to_owned(),
    });
    order
}

fn date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

#[tokio::test]
async fn objects_come_through_the_cdn_and_headers_from_the_source() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    let now = SystemTime::now();
    let mut object = SandboxObject::new("content");
    object.content_type = Some("text/x-source".to_owned());
    object.tags = vec![("k".to_owned(), "v".to_owned())];
    stores.source.put(SOURCE, "a b/ü", object);
    let large = SandboxObject::multipart(vec![7; 65 << 20], 8 << 20);
    web.put("/large", Page::new(large.data.clone()));
    stores.source.put(SOURCE, "large", large);
    web.put(
        "/a%20b/%C3%BC",
        Page::new("content")
            .header("Last-Modified", &date(now))
            .header("ETag", "\"cdn\""),
    );
    let rig = Rig::new().await;
    let id = rig.create(order(&stores, &web, "NONE")).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 2),
        "{task:#?}"
    );
    stores.assert_same();
    assert_eq!(
        stores.source.requests_count(Operation::GetObject),
        0,
        "bytes came from the source itself"
    );
}

#[tokio::test]
async fn objects_that_differ_at_the_cdn_are_not_copied() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    let old = SystemTime::now() - Duration::from_secs(3600);
    for key in ["shorter", "older", "other", "missing", "denied", "same"] {
        stores.source.put(SOURCE, key, SandboxObject::new("content"));
    }
    web.put("/shorter", Page::new("conten"));
    web.put("/older", Page::new("content").header("Last-Modified", &date(old)));
    web.put(
        "/other",
        Page::new("CONTENT").header("ETag", "\"0cc175b9c0f1b6a831c399e269772661\""),
    );
    web.put("/denied", Page::status(403));
    web.put("/same", Page::new("content"));
    let rig = Rig::new().await;
    let id = rig.create(order(&stores, &web, "NONE")).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied, task.counters.failed),
        (State::Failed, 1, 5),
        "{task:#?}"
    );
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    for failure in &failures {
        let denied = failure.key.as_bytes() == b"denied";
        let wanted = if denied {
            "PermissionDenied"
        } else {
            "COMPARE_SRC_AND_CDN_FAILURE"
        };
        assert_eq!(failure.code, wanted, "{failure:?}");
    }
    assert_eq!(stores.arrived(), ["same"]);
}

/// What a CDN serves is compared with the source, so the CDN must send its length.
#[tokio::test]
async fn objects_without_a_length_from_the_cdn_fail() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    stores.source.put(SOURCE, "a", SandboxObject::new("content"));
    web.put("/a", Page::new("content").chunked());
    let rig = Rig::new().await;
    let mut order = order(&stores, &web, "NONE");
    order.rules.consistency = ConsistencyCheck::NoCheck;
    let id = rig.create(order).await;
    assert_eq!(rig.end(id).await.state, State::Failed);
    assert!(stores.arrived().is_empty());
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert_eq!(failures[0].code, "NoContentLength");
    assert!(!failures[0].message.contains("no_check"), "{failures:?}");
}

#[tokio::test]
async fn corrupt_data_from_the_cdn_is_detected() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    stores.source.put(SOURCE, "a", SandboxObject::new("content"));
    web.put("/a", Page::new("CONTENT"));
    let rig = Rig::new().await;
    let id = rig.create(order(&stores, &web, "NONE")).await;
    let task = rig.end(id).await;
    assert_eq!(
        task.state,
        State::Failed,
        "{task:#?} {:?}",
        stores.target.get(TARGET, "a")
    );
    assert!(stores.arrived().is_empty());
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert_eq!(failures[0].code, "COMPARE_SRC_AND_CDN_FAILURE");
}

#[tokio::test]
async fn the_cdn_key_is_required_at_each_start_and_never_shown() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    stores.source.put(SOURCE, "a", SandboxObject::new("content"));
    let rig = Rig::new().await;
    let refused = rig
        .try_create(order(&stores, &web, "ALIYUN_OSS_C"))
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.violation()),
        (ErrorKind::InvalidArgument, Some(&Violation::CdnKeyMissing))
    );

    let mut with_key = order(&stores, &web, "ALIYUN_OSS_A");
    with_key.credentials.cdn_key = Some(Secret::new("canary-of-the-cdn"));
    let id = rig.create(with_key).await;
    let task = rig.end(id).await;
    assert_eq!(task.counters.failed, 1);
    let asked = web.requests().concat();
    assert!(
        asked.contains("GET /a?auth_key=") && !asked.contains("canary"),
        "{asked}"
    );
    let failures = format!("{:?}", rig.ledger.failures(id, None, 10).await.unwrap());
    assert!(
        !failures.contains("auth_key") && !failures.contains("canary"),
        "{failures}"
    );

    let refused = rig
        .try_start(id, StartMode::Full, stores.credentials())
        .await
        .unwrap_err();
    assert_eq!(refused.violation(), Some(&Violation::CdnKeyMissing));
    assert_eq!(rig.task(id).await.state, State::Failed);
    let mut credentials = stores.credentials();
    credentials.cdn_key = Some(Secret::new("canary-of-the-cdn"));
    web.put("/a", Page::new("content"));
    rig.start(id, StartMode::FailedOnly, credentials).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    assert_eq!(rig.end(id).await.state, State::Succeeded);
}
