//! Manifests of URLs: which server responses are accepted, and which are not.

use oms::sandbox::{FaultRule, Operation};
use oms::service::{BucketRequest, CreateTask};
use oms::task::spec::{Cloud, Payer, Scope};
use oms::task::{Key, ReasonKind, StartMode, State};

use super::lists::{file, put_list};
use crate::support::rig::{Rig, Stores, TARGET};
use crate::support::web::{Page, Web};

/// The request that creates a task for a manifest of URLs.
pub fn order(stores: &Stores) -> CreateTask {
    let mut order = stores.order();
    order.source = BucketRequest {
        cloud: Cloud::UrlSource,
        region: String::new(),
        bucket: String::new(),
        endpoint: None,
        app_id: None,
        payer: Payer::Owner,
    };
    order.scope = Scope::Urls(file());
    order
}

/// A manifest with the URLs of these paths, and these names for the objects.
pub fn list(web: &Web, lines: &[(&str, &str)]) -> String {
    lines
        .iter()
        .map(|(path, name)| format!("{}\t{name}\r\n", web.url(path)))
        .collect()
}

#[tokio::test]
async fn urls_are_copied_under_their_names() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    web.put(
        "/plain",
        Page::new("plain")
            .header("ETag", "\"abc\"")
            .header("Cache-Control", "no-cache"),
    );
    web.put("/no-head", Page::new("no head").refusing_head(405));
    web.put("/signed", Page::new("signed for GET").refusing_head(403));
    web.put("/weak", Page::new("weak").header("ETag", "W/\"x\""));
    web.put(
        "/md5",
        Page::new("md5").header("ETag", "\"1bc29b36f623ba82aaf6724fd3b16718\""),
    );
    web.put(
        "/hex",
        Page::new("not md5").header("ETag", "\"0cc175b9c0f1b6a831c399e269772661\""),
    );
    web.put("/r1", Page::redirect("/r2"));
    web.put("/r2", Page::redirect(&web.url("/r3")));
    web.put("/r3", Page::redirect("plain?x=1"));
    web.put("/empty", Page::new(""));
    put_list(
        &stores,
        list(
            &web,
            &[
                ("/plain", "a%2Fplain"),
                ("/no-head", "no-head"),
                ("/signed?token=SECRET-4711", "signed"),
                ("/weak", "weak"),
                ("/md5", "md5"),
                ("/hex", "hex"),
                ("/r1", "redirected"),
                ("/empty", "%E7%A9%BA"),
                ("/plain", "a%2Fplain"),
            ],
        ),
    );
    let rig = Rig::new().await;
    let mut order = order(&stores);
    order.target_prefix = Key::from("copy/");
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 8),
        "{task:#?} {failures:#?}"
    );
    let at = |key: &str| stores.target.get(TARGET, &format!("copy/{key}")).unwrap();
    let plain = at("a/plain");
    assert_eq!(
        (&plain.data[..], plain.content_type.as_deref()),
        (&b"plain"[..], Some("text/html"))
    );
    assert_eq!(plain.cache_control.as_deref(), Some("no-cache"));
    assert_eq!(at("redirected").data, "plain");
    assert_eq!(at("signed").data, "signed for GET");
    assert_eq!(at("hex").data, "not md5");
    assert!(at("空").data.is_empty());
    for request in web.requests() {
        assert!(!request.to_lowercase().contains("authorization"), "{request}");
    }

    // A second task finds the copies of the first one and succeeds too.
    let mut again = self::order(&stores);
    again.target_prefix = Key::from("copy/");
    again.record_failures = true;
    let task = rig.end(rig.create(again).await).await;
    assert_eq!(task.state, State::Succeeded);
}

#[tokio::test]
async fn each_url_fails_alone_with_its_code() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    web.put("/fine", Page::new("fine"));
    web.put("/loop", Page::redirect("/loop"));
    web.put(
        "/to-metadata",
        Page::redirect("http://169.254.169.254/latest/meta-data"),
    );
    web.put("/to-name", Page::redirect("http://metadata.google.internal/"));
    web.put("/to-file", Page::redirect("file:///etc/passwd"));
    web.put("/denied", Page::status(403));
    web.put("/who", Page::status(401));
    web.put("/no-length", Page::new("how long?").without_length());
    let mut lines = list(
        &web,
        &[
            ("/fine", "fine"),
            ("/nowhere", "nowhere"),
            ("/loop", "loop"),
            ("/to-metadata?token=SECRET-4711", "to-metadata"),
            ("/to-name", "to-name"),
            ("/to-file", "to-file"),
            ("/denied?token=SECRET-4711", "denied"),
            ("/who", "who"),
            ("/no-length", "no-length"),
            ("/fine", &"k".repeat(1025)),
        ],
    );
    lines.push_str("http://10.0.0.1/x\tprivate\nhttps://user:SECRET-4711@h/x\tuser\nftp://h/x\tftp\n");
    put_list(&stores, lines);
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Failed, 1),
        "{task:#?}"
    );
    assert_eq!(task.reason.unwrap().kind, ReasonKind::ObjectsFailed);
    let failures = rig.ledger.failures(id, None, 100).await.unwrap();
    assert!(!format!("{failures:?}").contains("SECRET"), "{failures:#?}");
    let code = |key: &str| {
        let found = failures.iter().find(|failure| failure.key == Key::from(key));
        found
            .unwrap_or_else(|| panic!("{key}: {failures:#?}"))
            .code
            .clone()
    };
    for (key, wanted) in [
        ("nowhere", "NoSuchKey"),
        ("loop", "TooManyRedirects"),
        ("to-metadata", "URL_LIST_IP_FORBIDDEN"),
        ("to-name", "URL_LIST_DOMAIN_FORBIDDEN"),
        ("to-file", "InvalidRedirect"),
        ("denied", "PermissionDenied"),
        ("who", "PermissionDenied"),
        ("no-length", "NoContentLength"),
        (&"k".repeat(1025), "URL_LIST_OBJECT_KEY_TOO_LONG"),
        ("private", "URL_LIST_IP_FORBIDDEN"),
        ("user", "InvalidURL"),
        ("ftp", "InvalidURL"),
    ] {
        assert_eq!(code(key), wanted, "{key}");
    }
    let unknown = failures.iter().find(|failure| failure.code == "NoContentLength");
    assert!(unknown.unwrap().message.contains("no_check"), "{unknown:?}");

    // A failed-only start reads the manifest to find the URLs of the failed objects. It requests no other URL.
    let before = web.requests().len();
    web.put("/nowhere", Page::new("now it is"));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied, task.counters.failed),
        (State::Failed, 2, 11),
        "{task:#?}"
    );
    assert_eq!(stores.target.get(TARGET, "nowhere").unwrap().data, "now it is");
    assert!(
        web.requests()[before..]
            .iter()
            .all(|request| !request.contains("/fine"))
    );
}

#[tokio::test]
async fn a_malformed_line_ends_the_task() {
    let stores = Stores::new().await;
    let rig = Rig::new().await;
    for lines in [
        "http://127.0.0.1/a",
        "http://127.0.0.1/a b\tn",
        "http://h/a\tn\tm",
        "http://h/a\tn\nhttp://h/b\tn",
    ] {
        put_list(&stores, lines);
        let task = rig.end(rig.create(order(&stores)).await).await;
        let reason = task.reason.unwrap();
        assert_eq!(
            reason.kind,
            ReasonKind::ManifestLine,
            "{lines}: {}",
            reason.message
        );
    }
}

#[tokio::test]
async fn large_pages_come_in_ranges_of_one_version_or_in_one_read() {
    let stores = Stores::new().await;
    let web = Web::start().await;
    let data: Vec<u8> = (0..66_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    web.put("/tagged", Page::new(data.clone()).header("ETag", "\"v1\""));
    web.put(
        "/dated",
        Page::new(data.clone()).header("Last-Modified", "Fri, 24 May 2013 00:00:00 GMT"),
    );
    web.put(
        "/whole",
        Page::new(data.clone()).header("ETag", "\"v1\"").ignoring_ranges(),
    );
    web.put("/bare", Page::new(data.clone()));
    put_list(
        &stores,
        list(
            &web,
            &[
                ("/tagged", "tagged"),
                ("/dated", "dated"),
                ("/whole", "whole"),
                ("/bare", "bare"),
            ],
        ),
    );
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    let task = rig.end(id).await;
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert_eq!(
        (task.counters.copied, task.counters.failed),
        (3, 1),
        "{task:#?} {failures:#?}"
    );
    for key in ["tagged", "dated", "bare"] {
        assert!(
            stores.target.get(TARGET, key).unwrap().data == data,
            "{key} has other bytes"
        );
    }
    let codes: Vec<&str> = failures.iter().map(|failure| failure.code.as_str()).collect();
    assert_eq!(codes, ["RangeIgnored"]);
    assert_eq!(stores.target.open_uploads(TARGET), 0);
}

/// A manifest of pages that do not exist, and the lines of the manifest in their order.
async fn failed_addresses(count: usize) -> (Stores, Web, Vec<(String, String)>) {
    let stores = Stores::new().await;
    let web = Web::start().await;
    let lines: Vec<(String, String)> = (0..count)
        .map(|n| (format!("/page-{n}"), format!("n-{:05}", n * 7_919 % count)))
        .collect();
    for (path, _) in &lines {
        web.put(path, Page::status(404));
    }
    put_list(&stores, named(&web, &lines));
    (stores, web, lines)
}

fn named(web: &Web, lines: &[(String, String)]) -> String {
    let lines: Vec<(&str, &str)> = lines
        .iter()
        .map(|(path, name)| (path.as_str(), name.as_str()))
        .collect();
    list(web, &lines)
}

fn readings(stores: &Stores) -> usize {
    let of_list = |request: &&oms::sandbox::RequestRecord| {
        request.operation == Operation::GetObject && request.key.as_deref() == Some("dir/list.txt")
    };
    stores.target.requests().iter().filter(of_list).count()
}

#[tokio::test]
async fn a_failed_only_pass_reads_the_manifest_once() {
    // The manifest is shorter than one range read. There are more failures than are looked up at once.
    let (stores, web, lines) = failed_addresses(2_600).await;
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.failed),
        (State::Failed, 2_600),
        "{task:#?}"
    );
    for (path, name) in &lines {
        web.put(path, Page::new(name.as_str()));
    }
    stores.target.clear_requests();
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 2_600),
        "{task:#?}"
    );
    assert_eq!(readings(&stores), 1);
    for (_, name) in &lines {
        assert_eq!(stores.target.get(TARGET, name).unwrap().data, name.as_bytes());
    }
}

#[tokio::test]
async fn a_failed_only_pass_copies_each_failure_once_after_a_change_of_the_manifest() {
    let (stores, web, mut lines) = failed_addresses(300).await;
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    assert_eq!(rig.end(id).await.counters.failed, 300);
    for (path, name) in &lines {
        web.put(path, Page::new(name.as_str()));
    }
    // The manifest has another order, a repeated line, new lines, and one line less.
    lines.reverse();
    lines.push(lines[3].clone());
    lines.push(("/page-1".to_owned(), "new".to_owned()));
    lines.retain(|(_, name)| name != "n-00007");
    put_list(&stores, named(&web, &lines));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    let failures = rig.ledger.failures(id, None, 9).await.unwrap();
    let failed: Vec<_> = failures.iter().map(|failure| failure.key.lossy()).collect();
    assert_eq!(failed, ["n-00007"], "{task:#?}");
    assert_eq!(
        (task.counters.listed, task.counters.copied),
        (300, 299),
        "{task:#?}"
    );
    assert!(stores.target.get(TARGET, "new").is_none());
}

#[tokio::test]
async fn a_failed_only_pass_over_a_manifest_resumes_after_a_crash() {
    let (stores, web, lines) = failed_addresses(400).await;
    let rig = Rig::quick().await;
    let id = rig.create(order(&stores)).await;
    assert_eq!(rig.end(id).await.counters.failed, 400);
    for (path, name) in &lines {
        let page = if name.ends_with('9') {
            Page::status(404)
        } else {
            Page::new(name.as_str())
        };
        web.put(path, page);
    }
    let each = std::time::Duration::from_millis(12);
    stores
        .target
        .faults()
        .add(FaultRule::one_by_one(Operation::PutObject, each));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.counters.copied > 20).await;
    let rig = Rig::quick_in(rig.kill().await).await;
    rig.wait(id, |task| task.counters.copied > 60).await;
    rig.pause(id).await;
    stores.target.faults().clear();
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    let task = rig.end(id).await;
    let counters = task.counters;
    assert_eq!(
        (counters.listed, counters.copied + counters.skipped),
        (400, 360),
        "{task:#?}"
    );
    let failures = rig.ledger.failures(id, None, 999).await.unwrap();
    assert_eq!(failures.len(), 40);
    assert!(
        failures.iter().all(|failure| failure.code == "NoSuchKey"),
        "{failures:#?}"
    );
    assert_eq!((counters.failed, counters.not_found), (40, 40));
}
