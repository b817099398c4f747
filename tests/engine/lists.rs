//! Manifests: what a line means, what is refused, and what happens after a stop, a start or a change of the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::service::CreateTask;
use oms::task::spec::{Manifest, Scope};
use oms::task::{Key, ReasonKind, StartMode, State};

use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};

/// The bucket of the manifests.
pub const LISTS: &str = "list-bucket";

/// A text file with a content type that a manifest may have.
pub fn text(content: impl Into<Vec<u8>>) -> SandboxObject {
    let mut object = SandboxObject::new(content.into());
    object.content_type = Some("text/plain; charset=utf-8".to_owned());
    object
}

/// Puts a manifest into its bucket at the target.
pub fn put_list(stores: &Stores, content: impl Into<Vec<u8>>) {
    stores.target.create_bucket(LISTS);
    stores.target.put(LISTS, "dir/list.txt", text(content));
}

pub fn file() -> Manifest {
    Manifest {
        bucket: LISTS.to_owned(),
        key: Key::from("dir/list.txt"),
    }
}

fn order(stores: &Stores) -> CreateTask {
    let mut order = stores.order();
    order.scope = Scope::List(file());
    order
}

fn fill(stores: &Stores, keys: &[&str]) {
    for key in keys {
        stores
            .source
            .put(SOURCE, key, SandboxObject::new(format!("object {key}")));
    }
}

fn denied() -> Fault {
    Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    }
}

#[tokio::test]
async fn lines_of_a_manifest_are_decoded_once() {
    let stores = Stores::new().await;
    let keys = [
        "a",
        "a b",
        "a+b",
        "%41",
        "100%",
        "日本/🦀",
        " x ",
        "dir/",
        "a//b",
        "not encoded ü",
    ];
    fill(&stores, &keys);
    fill(&stores, &["not listed"]);
    let list = "\u{feff}a\r\na%20b\n\n\r\na+b\n%2541\n100%\n%E6%97%A5本/%F0%9F%A6%80\n x \ndir/\na%2F%2Fb\n\
                not encoded ü\na\na\nnowhere";
    put_list(&stores, list);
    let rig = Rig::new().await;
    let mut order = order(&stores);
    order.target_prefix = Key::from("copy/");
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    let c = task.counters;
    // The repeated `a` is counted once. The object that does not exist is a failure.
    assert_eq!(
        (task.state, c.listed, c.copied, c.failed),
        (State::Failed, 11, 10, 1),
        "{task:#?}"
    );
    assert_eq!(task.reason.unwrap().kind, ReasonKind::ObjectsFailed);
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert_eq!(
        (failures[0].key.clone(), failures[0].code.as_str()),
        (Key::from("nowhere"), "NoSuchKey")
    );
    assert_eq!(stores.arrived().len(), 10);
    for key in keys {
        let copy = stores.target.get(TARGET, &format!("copy/{key}")).unwrap();
        assert_eq!(copy.data, format!("object {key}"));
    }

    // Only the failed object is copied again, without the manifest.
    fill(&stores, &["nowhere"]);
    stores.target.remove(LISTS, "dir/list.txt");
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let done = rig.end(id).await;
    assert_eq!(
        (done.state, done.counters.copied, done.counters.listed),
        (State::Succeeded, 11, 11)
    );
}

#[tokio::test]
async fn a_manifest_that_cannot_be_used_ends_the_task_with_the_reason() {
    let long = |bytes: usize| format!("a\n{}", "x".repeat(bytes));
    let mut html = text("a\n");
    html.content_type = Some("text/html".to_owned());
    let mut packed = text("a\n");
    packed.content_encoding = Some("gzip".to_owned());
    let cases = [
        ("list.txt", None, ReasonKind::ManifestUnreadable),
        ("list.csv", Some(text("a\n")), ReasonKind::ManifestForm),
        ("list.txt", Some(text("")), ReasonKind::ManifestEmpty),
        (
            "list.txt",
            Some(text("\u{feff}\r\n\n")),
            ReasonKind::ManifestEmpty,
        ),
        (
            "list.txt",
            Some(text(long(65_536))),
            ReasonKind::ManifestLineTooLong,
        ),
        (
            "list.txt",
            Some(text(long(2 << 20))),
            ReasonKind::ManifestLineTooLong,
        ),
        ("list.txt", Some(html), ReasonKind::ManifestType),
        ("list.txt", Some(packed), ReasonKind::ManifestType),
    ];
    let stores = Stores::new().await;
    stores.target.create_bucket(LISTS);
    let rig = Rig::new().await;
    for (name, object, kind) in cases {
        stores.target.remove(LISTS, name);
        if let Some(object) = object {
            stores.target.put(LISTS, name, object);
        }
        let mut order = order(&stores);
        let key = Key::from(name);
        order.scope = Scope::List(Manifest { key, ..file() });
        let task = rig.end(rig.create(order).await).await;
        let reason = task.reason.unwrap();
        assert_eq!(
            (task.state, reason.kind),
            (State::Failed, kind),
            "{}",
            reason.message
        );
        assert!(!task.pass.unwrap().finished);
    }
    // A bucket that does not exist, and a bucket that may not be read.
    let mut other = order(&stores);
    let bucket = "no-such-bucket".to_owned();
    other.scope = Scope::List(Manifest { bucket, ..file() });
    let task = rig.end(rig.create(other).await).await;
    assert_eq!(task.reason.unwrap().kind, ReasonKind::ManifestUnreadable);
    put_list(&stores, "a\n");
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::GetObject, denied()).bucket(LISTS));
    let task = rig.end(rig.create(order(&stores)).await).await;
    assert_eq!(task.reason.unwrap().kind, ReasonKind::ManifestUnreadable);
}

#[tokio::test]
async fn lines_of_maximum_length_are_read_and_fail_alone() {
    let stores = Stores::new().await;
    fill(&stores, &["a", &"k".repeat(1024)]);
    let list = format!(
        "{}\na\r\n{}\n{}\n",
        "x".repeat(65_535),
        "%6B".repeat(1024),
        "y".repeat(1025)
    );
    put_list(&stores, list);
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    let task = rig.end(id).await;
    assert_eq!((task.counters.copied, task.counters.failed), (2, 2), "{task:#?}");
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert!(
        failures.iter().all(|failure| failure.code == "KeyTooLongError"),
        "{failures:?}"
    );
}

#[tokio::test]
async fn a_paused_manifest_resumes_where_it_was() {
    let stores = Stores::new().await;
    let total = 2400;
    let mut list = String::new();
    for n in 0..total {
        let key = format!("{n:05}");
        fill(&stores, &[key.as_str()]);
        list.push_str(&format!("{key}\r\n{key}\n"));
    }
    put_list(&stores, list);
    stores.target.faults().add(FaultRule::one_by_one(
        Operation::PutObject,
        Duration::from_millis(4),
    ));
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    let mut seen = 0;
    for _ in 0..3 {
        rig.wait(id, |task| task.counters.copied >= seen + 50).await;
        let paused = rig.pause(id).await;
        assert!(
            paused.counters.balanced() && paused.counters.listed < total,
            "{paused:#?}"
        );
        seen = paused.counters.copied;
        rig.start(id, StartMode::Full, stores.credentials()).await;
    }
    stores.source.clear_requests();
    // The count begins some seconds after a start. The rest of the objects takes longer.
    rig.wait(id, |task| task.survey.complete).await;
    stores.target.faults().clear();
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.listed),
        (State::Succeeded, total),
        "{task:#?}"
    );
    assert_eq!(task.pass.unwrap().number, 1);
    assert_eq!(
        (task.survey.objects, task.survey.bytes, task.survey.complete),
        (total, 0, true)
    );
    let read_again = i64::try_from(stores.source.requests_count(Operation::GetObject)).unwrap();
    assert!(read_again <= total - seen, "{read_again} reads after {seen}");
    stores.assert_same();
}

#[tokio::test]
async fn a_changed_manifest_is_read_from_its_start() {
    let stores = Stores::new().await;
    let keys: Vec<String> = (0..400).map(|n| format!("{n:04}")).collect();
    for key in &keys {
        fill(&stores, &[key.as_str()]);
    }
    put_list(&stores, keys.join("\n"));
    stores.target.faults().add(FaultRule::one_by_one(
        Operation::PutObject,
        Duration::from_millis(4),
    ));
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    rig.wait(id, |task| task.counters.copied >= 50).await;
    rig.pause(id).await;
    stores.target.faults().clear();
    fill(&stores, &["new"]);
    put_list(&stores, format!("new\n{}\n", keys[..100].join("\n")));
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Paused).await;
    let task = rig.end(id).await;
    let reason = task.reason.unwrap();
    assert_eq!(
        (task.state, reason.kind),
        (State::Failed, ReasonKind::ManifestUnreadable)
    );
    assert!(reason.message.contains("changed"), "{}", reason.message);

    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    let c = task.counters;
    assert_eq!(
        (task.state, c.listed, c.failed),
        (State::Succeeded, 101, 0),
        "{task:#?}"
    );
    assert_eq!(stores.target.get(TARGET, "new").unwrap().data, "object new");
}

#[tokio::test]
async fn a_long_manifest_is_read_in_pieces() {
    let stores = Stores::new().await;
    fill(&stores, &["a", "z"]);
    // 3 MiB of blank lines between two names.
    let list = [b"a\n".to_vec(), vec![b'\n'; 3 << 20], b"z".to_vec()].concat();
    put_list(&stores, list);
    let flaky = Fault::Status {
        status: 503,
        code: "SlowDown".to_owned(),
        retry_after: None,
    };
    stores.target.faults().add(
        FaultRule::new(Operation::GetObject, flaky)
            .bucket(LISTS)
            .skip(1)
            .times(2),
    );
    let rig = Rig::new().await;
    let id = rig.create(order(&stores)).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 2),
        "{task:#?}"
    );
    let pieces = stores
        .target
        .requests()
        .iter()
        .filter(|r| r.bucket.as_deref() == Some(LISTS))
        .count();
    assert!(pieces >= 1 + 4 + 2, "{pieces}");
}

/// The worker is held when it reaches a point for the second time, and dropped. The next worker finishes the manifest.
#[tokio::test]
async fn a_task_survives_a_crash_inside_a_manifest() {
    let keys: Vec<String> = (0..600).map(|n| format!("{n:04}")).collect();
    for point in [
        SyncPoint::PageJoined,
        SyncPoint::ObjectWritten,
        SyncPoint::BeforeCommit,
        SyncPoint::AfterCommit,
    ] {
        let stores = Stores::new().await;
        for key in &keys {
            fill(&stores, &[key.as_str()]);
        }
        put_list(&stores, keys.join("\r\n"));
        let reached = Arc::new(Notify::new());
        let (tell, visits) = (Arc::clone(&reached), AtomicUsize::new(0));
        let sync_points = SyncPoints::new(move |here| {
            if here == point && visits.fetch_add(1, Ordering::SeqCst) > 0 {
                tell.notify_one();
                return Box::pin(std::future::pending());
            }
            Box::pin(std::future::ready(()))
        });
        let slow = FaultRule::one_by_one(Operation::PutObject, Duration::from_millis(3));
        stores.target.faults().add(slow);
        let rig = Rig::open(Arc::new(TempDir::new().unwrap()), sync_points).await;
        let id = rig.create(order(&stores)).await;
        reached.notified().await;
        let folder = rig.kill().await;
        stores.target.faults().clear();
        let rig = Rig::open(folder, SyncPoints::default()).await;
        let task = rig.end(id).await;
        let c = task.counters;
        assert_eq!(
            (task.state, c.listed, c.failed),
            (State::Succeeded, 600, 0),
            "{point:?} {task:#?}"
        );
        stores.assert_same();
    }
}
