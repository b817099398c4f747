//! Objects that are read once, from the first byte to the last: URLs whose server sends no length, and large objects
//! without an ETag.

use std::sync::Arc;

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::ledger::Failure;
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::service::CreateTask;
use oms::task::rules::{ConsistencyCheck, MinimumProof, OverwriteMode};
use oms::task::spec::Scope;
use oms::task::{CopyRules, Key, StartMode, State, Task, TaskId};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::lists::put_list;
use super::urls::{list, order};
use crate::support::checker::{self, History, failures};
use crate::support::rig::{QUICK, Rig, SMALL_PIECE as PIECE, SOURCE, Stores, TARGET};
use crate::support::web::{Page, Web};

/// A manifest of pages. The source bucket has the expected copies, because the checker compares the target with it.
struct Site {
    stores: Stores,
    web: Web,
    paths: Vec<(String, String)>,
}

impl Site {
    async fn new() -> Self {
        Self {
            stores: Stores::small().await,
            web: Web::start().await,
            paths: Vec::new(),
        }
    }

    /// Adds a page, and a line for it to the manifest.
    fn page(&mut self, name: &str, data: &[u8], page: impl FnOnce(Page) -> Page) {
        self.replace(name, data, page);
        self.paths.push((format!("/{name}"), name.to_owned()));
    }

    /// Replaces the page of a URL.
    fn replace(&self, name: &str, data: &[u8], page: impl FnOnce(Page) -> Page) {
        let mut object = SandboxObject::new(data.to_vec());
        object.content_type = Some("text/html".to_owned());
        self.stores.source.put(SOURCE, name, object);
        self.web.put(&format!("/{name}"), page(Page::new(data)));
    }

    fn order(&self, rules: CopyRules) -> CreateTask {
        let lines: Vec<(&str, &str)> = self.paths.iter().map(|(p, n)| (p.as_str(), n.as_str())).collect();
        put_list(&self.stores, list(&self.web, &lines));
        CreateTask {
            rules,
            ..order(&self.stores)
        }
    }

    fn history(&self) -> History {
        History::of(&self.stores)
    }

    /// Asserts that each page was read once and is at the target.
    async fn arrived(&self, rig: &Rig, id: TaskId, history: &History) -> Task {
        let task = checker::check(&self.stores, rig, id, history).await;
        let found = failures(rig, id).await;
        assert_eq!(task.state, State::Succeeded, "{task:#?} {found:#?}");
        let c = &task.counters;
        assert_eq!(c.bytes_listed, c.bytes_settled, "{c:#?}");
        assert_eq!(self.stores.target.open_uploads(TARGET), 0);
        task
    }
}

fn no_check() -> CopyRules {
    CopyRules {
        consistency: ConsistencyCheck::NoCheck,
        ..CopyRules::default()
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..u32::try_from(length).unwrap())
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect()
}

fn codes(failures: &[Failure]) -> Vec<(String, &str)> {
    let code = |f: &Failure| f.key.lossy().into_owned();
    failures.iter().map(|f| (code(f), f.code.as_str())).collect()
}

fn uploads(stores: &Stores) -> (usize, usize) {
    let count = |operation| stores.target.requests_count(operation);
    (count(Operation::CreateUpload), count(Operation::UploadPart))
}

#[tokio::test]
async fn pages_without_a_length_arrive_if_the_task_accepts_them() {
    let mut site = Site::new().await;
    let lengths = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5];
    for length in lengths {
        let data = bytes(length);
        site.page(&format!("chunked-{length}"), &data, Page::chunked);
        site.page(&format!("closed-{length}"), &data, Page::without_length);
    }
    let some = bytes(2 * PIECE + 9);
    site.page("head-refused", &some, |page| page.chunked().refusing_head(403));
    site.page("head-unknown", &some, |page| page.head_length(None));
    site.page("get-unknown", &some, |page| {
        page.chunked().head_length(Some(some.len()))
    });
    site.page("large-get-unknown", &bytes(5 * PIECE), |page| {
        page.chunked()
            .header("ETag", "\"v1\"")
            .head_length(Some(5 * PIECE))
    });
    site.page("dir/", b"", Page::chunked);
    site.page("redirected", &some, |_| Page::redirect("/head-refused"));
    let history = site.history();
    let rig = Rig::quick().await;
    let id = rig.create(site.order(no_check())).await;
    rig.end(id).await;
    let task = site.arrived(&rig, id, &history).await;
    let c = task.counters;
    let reported: usize = 2 * lengths.iter().sum::<usize>() + 4 * some.len() + 5 * PIECE;
    assert_eq!(c.bytes_copied, i64::try_from(reported).unwrap(), "{c:#?}");
    // Pages with a length are proved as usual. The others are proved by the hash of the received bytes.
    assert_eq!((c.proved_etag, c.proved_size), (0, 0), "{c:#?}");
    // Two pages each of 2, 3 and 4 pieces, three pages of 3, and one of 5, which needs a second upload because its upload
    // by ranges fails. Small pages with a length are written with one request.
    let parts = 2 * (2 + 3 + 4) + 3 * 3 + 5;
    assert_eq!(uploads(&site.stores), (6 + 3 + 2, parts));
}

#[tokio::test]
async fn pages_without_a_length_fail_by_default() {
    let mut site = Site::new().await;
    site.page("chunked", b"how long?", Page::chunked);
    site.page("get-unknown", b"how long?", |page| {
        page.chunked().head_length(Some(9))
    });
    let rig = Rig::quick().await;
    for consistency in [ConsistencyCheck::SizeLastModified, ConsistencyCheck::Crc64] {
        let rules = CopyRules {
            consistency,
            ..CopyRules::default()
        };
        let id = rig.create(site.order(rules)).await;
        rig.end(id).await;
        let found = failures(&rig, id).await;
        let unreported = |name: &str| (name.to_owned(), "NoContentLength");
        assert_eq!(codes(&found), [unreported("chunked"), unreported("get-unknown")]);
        for failure in &found {
            assert!(failure.message.contains("no_check"), "{}", failure.message);
        }
    }
    assert!(site.stores.arrived().is_empty());
}

#[tokio::test]
async fn existing_objects_are_overwritten_unless_the_task_forbids_it() {
    for &overwrite in OverwriteMode::ALL {
        let mut site = Site::new().await;
        site.page("same", b"page", Page::chunked);
        site.page("other", b"page", Page::chunked);
        let stores = &site.stores;
        stores.target.put(TARGET, "same", SandboxObject::new("page"));
        stores
            .target
            .put(TARGET, "other", SandboxObject::new("what was there"));
        let history = site.history();
        let rig = Rig::quick().await;
        let rules = CopyRules {
            overwrite,
            ..no_check()
        };
        let id = rig.create(site.order(rules)).await;
        rig.end(id).await;
        let task = site.arrived(&rig, id, &history).await;
        let left = overwrite == OverwriteMode::Never;
        let c = task.counters;
        assert_eq!(
            (c.copied, c.skipped),
            if left { (0, 2) } else { (2, 0) },
            "{overwrite:?}"
        );
        let wanted = if left { "what was there" } else { "page" };
        assert_eq!(
            stores.target.get(TARGET, "other").unwrap().data,
            wanted,
            "{overwrite:?}"
        );
    }
}

#[tokio::test]
async fn a_truncated_body_leaves_nothing_and_is_read_again() {
    let mut site = Site::new().await;
    let (small, large) = (bytes(PIECE / 2), bytes(6 * PIECE));
    site.page("chunked", &large, |page| page.chunked().cut(4 * PIECE, 100));
    site.page("chunked-small", &small, |page| page.chunked().cut(100, 100));
    site.page("reported", &large, |page| page.cut(4 * PIECE, 100));
    site.page("stalled", &large, |page| page.chunked().stalling(4 * PIECE));
    site.page("twice", &large, |page| page.chunked().cut(4 * PIECE, 3));
    let there = SandboxObject::new("what was there");
    site.stores.target.put(TARGET, "chunked", there.clone());
    let history = site.history();
    let rig = Rig::quick().await;
    let id = rig.create(site.order(no_check())).await;
    rig.end(id).await;
    let task = checker::check(&site.stores, &rig, id, &history).await;
    let found = failures(&rig, id).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Failed, 1),
        "{found:#?}"
    );
    let code = |name: &str, code| (name.to_owned(), code);
    assert_eq!(
        codes(&found),
        [
            code("chunked", "Integrity"),
            code("chunked-small", "Integrity"),
            code("reported", "Integrity"),
            code("stalled", "Timeout"),
        ]
    );
    assert!(found.iter().all(|failure| failure.attempts == 6), "{found:#?}");
    assert_eq!(site.stores.arrived(), ["chunked", "twice"]);
    assert_eq!(
        site.stores.target.get(TARGET, "chunked").unwrap().data,
        there.data
    );

    // A failed-only start counts each byte once.
    for name in ["chunked", "reported", "stalled"] {
        site.replace(name, &large, Page::chunked);
    }
    site.replace("chunked-small", &small, Page::chunked);
    rig.start(id, StartMode::FailedOnly, site.stores.credentials())
        .await;
    rig.wait(id, |task| task.state != State::Failed).await;
    rig.end(id).await;
    let task = site.arrived(&rig, id, &history).await;
    let all = i64::try_from(4 * large.len() + small.len()).unwrap();
    let c = task.counters;
    assert_eq!((c.bytes_listed, c.bytes_copied), (all, all), "{c:#?}");
}

/// The end of the connection is the end of the body, so a truncated body cannot be detected. The task accepts that with
/// `no_check`.
#[tokio::test]
async fn a_body_that_ends_with_the_connection_is_stored_as_received() {
    let mut site = Site::new().await;
    let data = bytes(3 * PIECE);
    site.page("closed", &data, |page| page.without_length().cut(PIECE + 1, 100));
    // If HEAD has sent a length, the body must have that length.
    site.page("held", &data, |page| {
        page.without_length()
            .cut(PIECE + 1, 100)
            .head_length(Some(data.len()))
    });
    let rig = Rig::quick().await;
    let id = rig.create(site.order(no_check())).await;
    rig.end(id).await;
    assert_eq!(
        codes(&failures(&rig, id).await),
        [("held".to_owned(), "Integrity")]
    );
    assert_eq!(site.stores.arrived(), ["closed"]);
    assert_eq!(
        site.stores.target.get(TARGET, "closed").unwrap().data,
        data[..=PIECE]
    );
    assert_eq!(site.stores.target.open_uploads(TARGET), 0);
}

#[tokio::test]
async fn two_lengths_of_one_page_count_as_a_change() {
    let mut site = Site::new().await;
    for (name, length) in [("small", 100), ("large", 6 * PIECE)] {
        site.page(name, &bytes(length), |page| page.head_length(Some(length + 1)));
        site.page(&format!("{name}-tagged"), &bytes(length), |page| {
            page.header("ETag", "\"v1\"").head_length(Some(length + 1))
        });
    }
    let rig = Rig::quick().await;
    let id = rig.create(site.order(no_check())).await;
    rig.end(id).await;
    let code = |name: &str, code| (name.to_owned(), code);
    let found = failures(&rig, id).await;
    assert_eq!(codes(&found)[..1], [code("large", "SourceChanged")], "{found:#?}");
    assert_eq!(codes(&found)[2], code("small", "SourceChanged"));
    assert_eq!(found.len(), 4);
    assert!(site.stores.arrived().is_empty());
    assert_eq!(site.stores.target.open_uploads(TARGET), 0);
}

/// Removes the ETag from every response of the source.
fn untagged(stores: &Stores) {
    let fault = || Fault::Header {
        name: "etag",
        value: None,
    };
    for operation in [Operation::HeadObject, Operation::GetObject] {
        stores.source.faults().add(FaultRule::new(operation, fault()));
    }
}

#[tokio::test]
async fn a_large_object_of_a_bucket_without_tags_is_read_once() {
    let stores = Stores::small().await;
    let mut large = SandboxObject::new(bytes(6 * PIECE));
    large.metadata.insert("k".to_owned(), "v".to_owned());
    large.tags = vec![("a".to_owned(), "b".to_owned())];
    stores.source.put(SOURCE, "large", large);
    // The first read ends in the middle. What was sent before arrives, which a reset could prevent.
    let after = Fault::EarlyClose {
        after: 4 * PIECE as u64,
    };
    let broken = FaultRule::new(Operation::GetObject, after).times(1);
    stores.source.faults().add(broken);
    untagged(&stores);
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.scope = Scope::Objects(vec![Key::from("large")]);
    let id = rig.create(order).await;
    rig.end(id).await;
    let task = checker::check(&stores, &rig, id, &history).await;
    assert_eq!(
        (task.state, task.counters.proved_checksum),
        (State::Succeeded, 1),
        "{task:#?} {:#?}",
        failures(&rig, id).await
    );
    assert_eq!(stores.target.open_uploads(TARGET), 0);
    assert_eq!(uploads(&stores).0, 2);
}

#[tokio::test]
async fn the_proof_is_what_the_target_returns_for_the_pieces() {
    let md5 = |data: &[u8]| format!("\"{}\"", hex::encode(<md5::Md5 as md5::Digest>::digest(data)));
    let (small, large) = (bytes(100), bytes(3 * PIECE));
    for (minimum, wanted, failed) in [
        (MinimumProof::Size, (1, 3, 0), vec![]),
        (MinimumProof::Checksum, (1, 3, 0), vec![]),
        (
            MinimumProof::ETag,
            (1, 0, 0),
            vec!["large", "large-tagged", "small"],
        ),
    ] {
        let mut site = Site::new().await;
        site.page("small", &small, Page::chunked);
        site.page("large", &large, Page::chunked);
        site.page("small-tagged", &small, |page| {
            page.chunked().header("ETag", &md5(&small))
        });
        site.page("large-tagged", &large, |page| {
            page.chunked().header("ETag", &md5(&large))
        });
        let rig = Rig::quick().await;
        let rules = CopyRules {
            minimum_proof: minimum,
            ..no_check()
        };
        let id = rig.create(site.order(rules)).await;
        let c = rig.end(id).await.counters;
        assert_eq!(
            (c.proved_etag, c.proved_checksum, c.proved_size),
            wanted,
            "{minimum:?}"
        );
        let found = failures(&rig, id).await;
        let weak = |name: &&str| ((*name).to_owned(), "ProofTooWeak");
        assert_eq!(codes(&found), failed.iter().map(weak).collect::<Vec<_>>());
        assert_eq!(site.stores.arrived().len() + failed.len(), 4, "{minimum:?}");
        assert_eq!(site.stores.target.open_uploads(TARGET), 0);
    }
}

/// The target returns another ETag than it computed.
fn tags(operation: Operation, value: &str) -> FaultRule {
    let fault = Fault::Header {
        name: "etag",
        value: Some(value.to_owned()),
    };
    FaultRule::new(operation, fault)
}

#[tokio::test]
async fn etags_that_are_not_hashes_prove_the_size_or_the_object_is_read_back() {
    const OTHER: &str = "\"0cc175b9c0f1b6a831c399e269772661\"";
    for (tag, minimum, wanted) in [
        ("\"opaque\"", MinimumProof::Size, (0, 1)),
        ("\"opaque\"", MinimumProof::Checksum, (1, 0)),
        (OTHER, MinimumProof::Size, (1, 0)),
    ] {
        let mut site = Site::new().await;
        site.page("small", &bytes(100), Page::chunked);
        let rule = tags(Operation::PutObject, tag).key("small");
        site.stores.target.faults().add(rule);
        let rig = Rig::quick().await;
        let rules = CopyRules {
            minimum_proof: minimum,
            ..no_check()
        };
        let id = rig.create(site.order(rules)).await;
        let c = rig.end(id).await.counters;
        assert_eq!((c.proved_checksum, c.proved_size), wanted, "{tag} {minimum:?}");
    }
    // One part seems to be damaged during transfer. It is sent again from memory.
    let mut site = Site::new().await;
    site.page("large", &bytes(3 * PIECE), Page::chunked);
    let rule = tags(Operation::UploadPart, OTHER);
    site.stores.target.faults().add(rule.skip(1).times(1));
    let history = site.history();
    let rig = Rig::quick().await;
    let id = rig.create(site.order(no_check())).await;
    rig.end(id).await;
    let task = site.arrived(&rig, id, &history).await;
    assert_eq!(task.counters.proved_checksum, 1, "{task:#?}");
    assert_eq!(uploads(&site.stores), (1, 4));
    let gets = site
        .web
        .requests()
        .iter()
        .filter(|r| r.starts_with("GET"))
        .count();
    assert_eq!(gets, 2, "the page was asked for its length, and read once");
}

#[tokio::test]
async fn a_stopped_upload_is_aborted_and_the_object_is_read_again() {
    for gone in [false, true] {
        let mut site = Site::new().await;
        let data = bytes(6 * PIECE);
        site.page("page", &data, |page| page.chunked().stalling(4 * PIECE + 1));
        site.page("other", b"x", |page| page);
        let folder = Arc::new(TempDir::new().unwrap());
        let rig = Rig::tuned(folder, SyncPoints::default(), QUICK, Timeouts::default()).await;
        let id = rig.create(site.order(no_check())).await;
        while uploads(&site.stores).1 < 4 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        rig.pause(id).await;
        assert_eq!(site.stores.target.open_uploads(TARGET), 1);
        assert_eq!(rig.ledger.uploads(id).await.unwrap().len(), 1);
        assert_eq!(site.stores.arrived(), ["other"]);

        // The page has changed, or no longer exists.
        let now: Vec<u8> = data.iter().map(|byte| !byte).collect();
        site.replace("page", &now, Page::chunked);
        if gone {
            site.web.put("/page", Page::status(404));
        }
        let history = site.history();
        rig.start(id, StartMode::Full, site.stores.credentials()).await;
        rig.wait(id, |task| task.state != State::Paused).await;
        rig.end(id).await;
        assert_eq!(site.stores.target.open_uploads(TARGET), 0);
        assert_eq!(rig.ledger.uploads(id).await.unwrap(), []);
        if gone {
            assert_eq!(
                codes(&failures(&rig, id).await),
                [("page".to_owned(), "NoSuchKey")]
            );
        } else {
            site.arrived(&rig, id, &history).await;
            assert_eq!(uploads(&site.stores).0, 2);
        }
    }
}

/// Sync points that hold the worker for ever at `point`, and notify that it got there.
fn hold_at(point: SyncPoint) -> (Arc<Notify>, SyncPoints) {
    let reached = Arc::new(Notify::new());
    let tell = Arc::clone(&reached);
    let sync_points = SyncPoints::new(move |here| {
        if here == point {
            tell.notify_one();
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    });
    (reached, sync_points)
}

#[tokio::test]
async fn a_crash_at_any_point_leaves_no_upload() {
    for point in [
        SyncPoint::ObjectOpened,
        SyncPoint::UploadCreated,
        SyncPoint::UploadRecorded,
        SyncPoint::PartWritten,
        SyncPoint::UploadCompleted,
        SyncPoint::ObjectWritten,
        SyncPoint::BeforeCommit,
        SyncPoint::BeforeFinish,
    ] {
        let mut site = Site::new().await;
        site.page("large", &bytes(5 * PIECE), Page::chunked);
        if point == SyncPoint::ObjectWritten {
            site.page("small", b"x", Page::chunked);
        }
        let history = site.history();
        let (reached, sync_points) = hold_at(point);
        let folder = Arc::new(TempDir::new().unwrap());
        let rig = Rig::tuned(folder, sync_points, QUICK, Timeouts::default()).await;
        let id = rig.create(site.order(no_check())).await;
        reached.notified().await;
        let rig = Rig::quick_in(rig.kill().await).await;
        rig.end(id).await;
        site.arrived(&rig, id, &history).await;
        assert_eq!(rig.ledger.uploads(id).await.unwrap(), [], "{point:?}");
    }
}

/// More objects than may hold pieces in memory at the same time, and more than there are streams.
#[tokio::test]
async fn many_objects_at_once_wait_for_each_other_and_finish() {
    let mut site = Site::new().await;
    for n in 0..40 {
        site.page(&format!("{n:02}"), &bytes(3 * PIECE + n), Page::chunked);
    }
    let history = site.history();
    let rig = Rig::quick().await;
    let mut order = site.order(no_check());
    order.threads = 50;
    let id = rig.create(order).await;
    rig.end(id).await;
    let task = site.arrived(&rig, id, &history).await;
    assert_eq!(task.counters.proved_checksum, 40);
}

#[tokio::test]
async fn an_object_too_large_for_any_upload_fails_and_its_upload_is_aborted_at_once() {
    let mut site = Site::new().await;
    site.page("reported", &bytes(100 * PIECE + 1), |page| page);
    site.page("unreported", &bytes(100 * PIECE + 1), Page::chunked);
    site.page("fits", &bytes(100 * PIECE), Page::chunked);
    // The worker is held before the end of the pass, which would abort the remaining uploads.
    let (reached, sync_points) = hold_at(SyncPoint::BeforeFinish);
    let folder = Arc::new(TempDir::new().unwrap());
    let rig = Rig::tuned(folder, sync_points, QUICK, Timeouts::default()).await;
    let id = rig.create(site.order(no_check())).await;
    reached.notified().await;
    let found = failures(&rig, id).await;
    let large = |name: &str| (name.to_owned(), "EntityTooLarge");
    assert_eq!(
        codes(&found),
        [large("reported"), large("unreported")],
        "{found:#?}"
    );
    assert_eq!(site.stores.arrived(), ["fits"]);
    assert_eq!(uploads(&site.stores), (2, 200));
    assert_eq!(site.stores.target.open_uploads(TARGET), 0);
    rig.kill().await;
}
