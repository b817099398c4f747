//! Copies inside one store that the store refuses or does not really make.

use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::service::{BucketRequest, CreateTask};
use oms::task::State;

use super::matrix::{answer, bytes};
use crate::support::checker::failures;
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores, TARGET};

/// Small objects, one small object that was uploaded in parts, and large objects of both kinds.
const KEYS: [&str; 6] = ["a", "b", "c", "joined", "large", "large joined"];

async fn stores() -> Stores {
    let stores = Stores::small().await;
    let put = |key: &str, object| stores.source.put(SOURCE, key, object);
    for (n, key) in KEYS[..3].iter().enumerate() {
        put(key, SandboxObject::new(bytes(n, 300)));
    }
    put("joined", SandboxObject::multipart(bytes(4, 40), 20));
    put("large", SandboxObject::new(bytes(5, 5 * SMALL_PART + 7)));
    put(
        "large joined",
        SandboxObject::multipart(bytes(6, 5 * SMALL_PART), 2 * SMALL_PART),
    );
    stores.source.create_bucket(TARGET);
    stores
}

/// The request that creates a task to copy within the source's store.
fn order(stores: &Stores) -> CreateTask {
    let mut order = stores.order();
    order.target = BucketRequest {
        bucket: TARGET.to_owned(),
        ..order.source.clone()
    };
    order.credentials.target = order.credentials.source.clone();
    order.record_settled = false;
    order
}

fn assert_arrived(stores: &Stores, what: &str) {
    for key in KEYS {
        let wanted = stores.source.get(SOURCE, key).unwrap().data;
        let found = stores.source.get(TARGET, key).map(|object| object.data);
        assert!(found == Some(wanted), "{what}: {key}");
    }
}

#[tokio::test]
async fn a_store_that_copies_is_not_read() {
    let stores = stores().await;
    let rig = Rig::quick().await;
    let id = rig.create(order(&stores)).await;
    let task = rig.end(id).await;
    assert_eq!(
        task.state,
        State::Succeeded,
        "{task:#?} {:#?}",
        failures(&rig, id).await
    );
    assert_arrived(&stores, "well");
    assert_eq!(stores.source.requests_count(O::GetObject), 0);
}

#[tokio::test]
async fn objects_that_the_store_does_not_copy_are_read_and_written() {
    let unknown = |body: &'static str| Fault::OkWithBody {
        content_type: "application/xml".to_owned(),
        body: body.into(),
    };
    let rows = [
        ("501", answer(501, "NotImplemented")),
        ("405", answer(405, "MethodNotAllowed")),
        ("400", answer(400, "InvalidRequest")),
        ("400 without a known code", answer(400, "CopyIsNotSupportedHere")),
        ("nothing is copied", Fault::CopyNothing),
        ("nothing is copied, and nothing said", Fault::CopyNothingSilently),
        ("nothing is done, and nothing said", unknown("")),
    ];
    for (name, fault) in rows {
        for operation in [O::CopyObject, O::UploadPartCopy] {
            let stores = stores().await;
            // An older object with the same key and the same length. It must not be mistaken for the copy.
            stores
                .source
                .put(TARGET, "joined", SandboxObject::new(bytes(9, 40)));
            stores
                .source
                .faults()
                .add(FaultRule::new(operation, fault.clone()));
            let rig = Rig::quick().await;
            let mut order = order(&stores);
            order.rules.overwrite = oms::task::rules::OverwriteMode::Always;
            let id = rig.create(order).await;
            let task = rig.end(id).await;
            let what = format!("{name} {operation:?}");
            let failed = failures(&rig, id).await;
            assert_eq!(task.state, State::Succeeded, "{what}: {task:#?} {failed:#?}");
            assert_arrived(&stores, &what);
            assert_eq!(stores.source.open_uploads(TARGET), 0, "{what}");
            // The worker learns this once. Only copies that were in flight at that moment were tried, too.
            let asked = stores.source.requests_count(operation);
            assert!(asked <= 12, "{what}: {asked}");
        }
    }
}

#[tokio::test]
async fn a_refused_copy_of_one_object_changes_nothing_for_the_others() {
    let stores = stores().await;
    // The store refuses the object as a copy and as an upload, so the worker learns nothing about copies.
    for operation in [O::CopyObject, O::PutObject] {
        let refused = FaultRule::new(operation, answer(400, "KeyTooLongError")).key("a");
        stores.source.faults().add(refused);
    }
    let rig = Rig::quick().await;
    let mut order = order(&stores);
    order.threads = 1;
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!((task.counters.failed, task.counters.copied), (1, 5), "{task:#?}");
    assert_eq!(failures(&rig, id).await[0].code, "KeyTooLongError");
    let reads = stores
        .source
        .requests()
        .into_iter()
        .filter(|request| request.operation == O::GetObject && request.key.as_deref() != Some("a"));
    assert_eq!(reads.count(), 0, "the others are still copied inside");
}
