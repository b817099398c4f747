//! Complete passes: what arrives at the target, and what the counters show.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::sandbox::{Fault, FaultRule, ListOrder, Operation, SandboxObject, SandboxOptions};
use oms::task::spec::Scope;
use oms::task::{Key, ReasonKind, State};
use tempfile::TempDir;

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};

/// Unusual keys that other tools lose, rename or refuse.
const ZOO: &[&str] = &[
    "a",
    "a!",
    "a/",
    "a/1",
    "a//1",
    "a/./b",
    "a/../b",
    "..",
    "/lead",
    "trail/",
    " ",
    " x ",
    "+",
    "a+b c",
    "%2F%41%",
    "ü",
    "u\u{308}",
    "日本/🦀",
    "&<>\"'",
    "?x=1&y=2#z",
    "\u{1}\u{1f}\t",
    "CASE",
    "case",
    "x=y;z:@,$!*()[]{}^`|\\",
];

fn object(n: usize) -> SandboxObject {
    let mut object = SandboxObject::new(vec![u8::try_from(n % 251).unwrap(); n * 37 % 5000]);
    object.content_type = Some("text/x-test".to_owned());
    object.metadata.insert("number".to_owned(), n.to_string());
    object.metadata.insert("name".to_owned(), "Zoë 李".to_owned());
    object.cache_control = Some("no-cache".to_owned());
    if n.is_multiple_of(7) {
        object.tags = vec![("k 1".to_owned(), "v&=ü".to_owned())];
    }
    object
}

fn fill(stores: &Stores, count: usize) {
    for n in 0..count {
        stores
            .source
            .put(SOURCE, &format!("dir-{:02}/object-{n:05}", n % 17), object(n));
    }
}

#[tokio::test]
async fn everything_arrives_with_its_keys_and_headers() {
    let stores = Stores::new().await;
    fill(&stores, 2500);
    for (n, key) in ZOO.iter().enumerate() {
        stores.source.put(SOURCE, key, object(n));
    }
    stores.source.put(SOURCE, &"k".repeat(1024), object(1));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    stores.assert_same();
    let total = i64::try_from(2500 + ZOO.len() + 1).unwrap();
    assert_eq!(
        (
            task.counters.listed,
            task.counters.copied,
            task.counters.proved_etag
        ),
        (total, total, total)
    );
    assert_eq!(task.counters.metadata_lost, 0);
    assert!(
        stores
            .target
            .keys(TARGET)
            .iter()
            .all(|key| !key.starts_with("oms/probe/"))
    );
}

#[tokio::test]
async fn large_objects_are_copied_in_the_parts_of_the_source_and_keep_their_etag() {
    let stores = Stores::new().await;
    let data: Vec<u8> = (0..70_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24).try_into().unwrap())
        .collect();
    let mut parted = SandboxObject::multipart(data.clone(), 6 << 20);
    parted.content_type = Some("video/mp4".to_owned());
    parted
        .metadata
        .insert("made-by".to_owned(), "a camera".to_owned());
    stores.source.put(SOURCE, "in parts", parted);
    stores.source.put(SOURCE, "in one", SandboxObject::new(data));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    stores.assert_same();
    let tag = |store: &oms::sandbox::Sandbox, bucket| store.get(bucket, "in parts").unwrap().etag;
    assert_eq!(tag(&stores.source, SOURCE), tag(&stores.target, TARGET));
    assert_eq!(task.counters.proved_etag, 2);
    assert_eq!(stores.target.open_uploads(TARGET), 0);
    assert!(rig.ledger.uploads(id).await.unwrap().is_empty());
}

#[tokio::test]
async fn different_listing_orders_lose_nothing_and_copy_nothing_twice() {
    for (source, target) in [
        (ListOrder::Bytes, ListOrder::Bytes),
        (ListOrder::Bytes, ListOrder::Path),
        (ListOrder::Path, ListOrder::Bytes),
        (ListOrder::Path, ListOrder::Path),
    ] {
        let with = |order| SandboxOptions {
            order,
            page_size: 7,
            ..SandboxOptions::default()
        };
        let stores = Stores::with(with(source), with(target)).await;
        for (n, key) in ZOO.iter().enumerate() {
            stores.source.put(SOURCE, key, object(n));
        }
        fill(&stores, 60);
        // The target already has every second object, and one that the source does not have.
        for key in stores.source.keys(SOURCE).iter().step_by(2) {
            stores
                .target
                .put(TARGET, key, stores.source.get(SOURCE, key).unwrap());
        }
        stores.target.put(TARGET, "a/0-of-the-target", object(1));
        let rig = Rig::new().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        assert_eq!(task.state, State::Succeeded, "{source:?} {target:?} {task:#?}");
        stores.target.remove(TARGET, "a/0-of-the-target");
        stores.assert_same();
        let total = i64::try_from(ZOO.len() + 60).unwrap();
        assert_eq!(task.counters.listed, total, "{source:?} {target:?}");
        assert_eq!(task.counters.skipped, (total + 1) / 2, "{source:?} {target:?}");
    }
}

#[tokio::test]
async fn a_scope_of_files_and_folders_copies_just_those() {
    let stores = Stores::new().await;
    for key in ["a/1", "a/2", "b/1", "c", "d", "e"] {
        stores.source.put(SOURCE, key, object(3));
    }
    let rig = Rig::new().await;
    let mut order = stores.order();
    order.scope = Scope::Objects(["a/", "a/1", "c", "e"].map(Key::from).into());
    order.target_prefix = Key::from("copy/");
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded);
    assert_eq!(stores.arrived(), ["copy/a/1", "copy/a/2", "copy/c", "copy/e"]);
    assert_eq!(task.counters.copied, 4);
}

#[tokio::test]
async fn a_named_file_that_does_not_exist_is_a_failure() {
    let stores = Stores::new().await;
    let rig = Rig::new().await;
    let mut order = stores.order();
    order.scope = Scope::Objects(vec![Key::from("nowhere")]);
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.reason.unwrap().kind),
        (State::Failed, ReasonKind::NoSourceObjects),
        "nothing of the scope exists"
    );
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert_eq!((failures.len(), failures[0].code.as_str()), (1, "NoSuchKey"));
}

#[tokio::test]
async fn copies_within_one_store_are_made_by_the_store() {
    let stores = Stores::new().await;
    fill(&stores, 50);
    stores.source.create_bucket(TARGET);
    stores.source.put(
        SOURCE,
        "large",
        SandboxObject::multipart(vec![7; 65 << 20], 8 << 20),
    );
    let rig = Rig::new().await;
    let mut order = stores.order();
    order.target = oms::service::BucketRequest {
        bucket: TARGET.to_owned(),
        ..order.source.clone()
    };
    order.credentials.target = order.credentials.source.clone();
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(stores.source.requests_count(Operation::GetObject), 0);
    assert_eq!(stores.source.requests_count(Operation::CopyObject), 50);
    for key in stores.source.keys(SOURCE) {
        let (a, b) = (
            stores.source.get(SOURCE, &key).unwrap(),
            stores.source.get(TARGET, &key).unwrap(),
        );
        assert!(
            a.data == b.data && a.metadata == b.metadata && a.tags == b.tags,
            "{key}"
        );
    }
}

#[tokio::test]
async fn temporary_errors_are_retried_and_permanent_ones_recorded() {
    let stores = Stores::new().await;
    fill(&stores, 40);
    let faults = |status| Fault::Status {
        status,
        code: "SideError".to_owned(),
        retry_after: None,
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, faults(503)).times(5));
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::ListObjects, faults(500)).times(2));
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, Fault::TruncateBody { after: 3 }).times(3));
    stores.target.faults().add(
        FaultRule::new(Operation::PutObject, Fault::ResetBefore)
            .skip(9)
            .times(3),
    );
    stores.target.faults().add(
        FaultRule::new(Operation::PutObject, Fault::ResetAfterEffect)
            .skip(20)
            .times(2),
    );
    let denied = Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, denied).key("dir-03/object-00003"));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied, task.counters.failed),
        (State::Failed, 39, 1),
        "{task:#?}"
    );
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    let found: Vec<_> = failures
        .iter()
        .map(|f| (f.key.lossy().into_owned(), f.code.clone()))
        .collect();
    assert_eq!(
        found,
        [("dir-03/object-00003".to_owned(), "AccessDenied".to_owned())]
    );
    assert!(failures[0].request_id.is_some());
    let source = stores.source.get(SOURCE, "dir-05/object-00005").unwrap();
    assert_eq!(
        stores.target.get(TARGET, "dir-05/object-00005").unwrap().data,
        source.data
    );
}

#[tokio::test]
async fn an_object_that_changes_is_copied_in_one_version_and_one_that_goes_is_gone() {
    let stores = Stores::new().await;
    fill(&stores, 20);
    let key = "dir-04/object-00004";
    let change = Fault::ChangeObject {
        data: "the second version".into(),
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, change).key(key).times(1));
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, Fault::RemoveObject).key("dir-05/object-00005"));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied, task.counters.gone),
        (State::Succeeded, 19, 1),
        "{task:#?}"
    );
    assert_eq!(stores.target.get(TARGET, key).unwrap().data, "the second version");
}

#[tokio::test]
async fn tags_that_the_target_refuses_are_left_out_and_counted_and_other_refusals_fail() {
    let refusal = |status, code: &str| Fault::Status {
        status,
        code: code.to_owned(),
        retry_after: None,
    };
    for (status, code) in [
        (501, "NotImplemented"),
        (400, "InvalidTag"),
        (403, "AccessDenied"),
    ] {
        let stores = Stores::new().await;
        for key in ["tagged", "tagged and refused", "plain"] {
            let mut object = SandboxObject::new("x");
            if key != "plain" {
                object.tags = vec![("k".to_owned(), "v".to_owned())];
            }
            stores.source.put(SOURCE, key, object);
        }
        let large = SandboxObject {
            tags: vec![("k".to_owned(), "v".to_owned())],
            ..SandboxObject::multipart(vec![7; 65 << 20], 13 << 20)
        };
        stores.source.put(SOURCE, "large", large);
        let target = stores.target.faults();
        target.add(
            FaultRule::new(Operation::PutObject, refusal(status, code))
                .key("tagged")
                .times(2),
        );
        target.add(
            FaultRule::new(Operation::CreateUpload, refusal(status, code))
                .key("large")
                .times(2),
        );
        let too_large = refusal(400, "MetadataTooLarge");
        target.add(FaultRule::new(Operation::PutObject, too_large).key("tagged and refused"));
        let rig = Rig::new().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        let c = task.counters;
        assert_eq!(
            (c.copied, c.failed, c.metadata_lost),
            (3, 1, 2),
            "{code} {task:#?}"
        );
        assert!(stores.target.get(TARGET, "tagged").unwrap().tags.is_empty());
        assert!(stores.target.get(TARGET, "large").unwrap().tags.is_empty());
        assert_eq!(stores.target.open_uploads(TARGET), 0);
        let failures = rig.ledger.failures(id, None, 10).await.unwrap();
        let found: Vec<_> = failures
            .iter()
            .map(|f| (f.key.lossy().into_owned(), f.code.as_str()))
            .collect();
        assert_eq!(found, [("tagged and refused".to_owned(), "MetadataTooLarge")]);
    }
}

/// Copies `first` while `second` replaces it at the source, after its read has begun. Returns what arrives.
async fn replaced_while_read(first: SandboxObject, second: SandboxObject) -> SandboxObject {
    let stores = Arc::new(Stores::small().await);
    stores.source.put(SOURCE, "k", first);
    let (replaced, world) = (Arc::new(AtomicBool::new(false)), Arc::clone(&stores));
    let sync_points = SyncPoints::new(move |point| {
        if point == SyncPoint::ObjectOpened && !replaced.swap(true, Ordering::Relaxed) {
            world.source.put(SOURCE, "k", second.clone());
        }
        Box::pin(std::future::ready(()))
    });
    let rig = Rig::open(Arc::new(TempDir::new().unwrap()), sync_points).await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(task.counters.lost_tags, 0);
    stores.target.get(TARGET, "k").unwrap()
}

#[tokio::test]
async fn an_object_never_gets_the_tags_of_another_version() {
    let with = |data: &str, tag: Option<&str>| {
        let mut object = SandboxObject::new(data.to_owned());
        object.tags = tag
            .map(|tag| ("of".to_owned(), tag.to_owned()))
            .into_iter()
            .collect();
        object
    };
    for (first, second) in [
        (with("first", Some("first")), with("second", None)),
        (with("first", Some("first")), with("second", Some("second"))),
        (with("first", None), with("second", Some("second"))),
        (with("same", Some("first")), with("same", None)),
    ] {
        let copy = replaced_while_read(first.clone(), second.clone()).await;
        let is = |version: &SandboxObject| copy.data == version.data && copy.tags == version.tags;
        assert!(
            is(&first) || is(&second),
            "{:?} of {first:?} and {second:?}",
            copy.tags
        );
    }
}
