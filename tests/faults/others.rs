//! Other applications use the same target: their uploads are not aborted, and their objects are not deleted.

use std::sync::Arc;
use std::time::Duration;

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::task::{StartMode, State, TaskId};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::matrix::bytes;
use crate::support::checker::failures;
use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores, TARGET};
use crate::support::wait::until;

const KEY: &str = "large";

async fn stores() -> Stores {
    let stores = Stores::small().await;
    let object = SandboxObject::new(bytes(1, 9 * SMALL_PART));
    stores.source.put(SOURCE, KEY, object);
    stores
}

/// Another application: a service with its own ledger. It is paused with an open upload for the same key, which has this
/// many parts.
async fn other_application(stores: &Stores, parts: u64) -> (Rig, TaskId) {
    let before = stores.target.open_uploads(TARGET);
    let slow = FaultRule::new(O::UploadPart, Fault::Delay(Duration::from_secs(30)));
    stores.target.faults().add(slow.skip(parts));
    stores.target.clear_requests();
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    until("it has an upload", async || {
        let open = rig.ledger.uploads(id).await.unwrap();
        let begun = open.iter().any(|upload| upload.upload_id.is_some());
        begun && stores.target.requests_count(O::UploadPart) as u64 >= parts
    })
    .await;
    rig.pause(id).await;
    stores.target.faults().clear();
    assert_eq!(stores.target.open_uploads(TARGET), before + 1);
    (rig, id)
}

/// Our own task. It crashes after the target has created an upload and before the id of the upload is recorded.
async fn crashed(stores: &Stores) -> (Arc<TempDir>, TaskId) {
    let reached = Arc::new(Notify::new());
    let tell = Arc::clone(&reached);
    let sync_points = SyncPoints::new(move |here| {
        if here == SyncPoint::UploadCreated {
            tell.notify_one();
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    });
    let folder = Arc::new(TempDir::new().unwrap());
    let rig = Rig::tuned(Arc::clone(&folder), sync_points, QUICK, Timeouts::default()).await;
    let id = rig.create(stores.order()).await;
    reached.notified().await;
    rig.kill().await;
    (folder, id)
}

/// The next process resumes the task by itself.
async fn resumed(folder: Arc<TempDir>, id: TaskId) {
    let rig = Rig::quick_in(folder).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    rig.shut_down().await;
}

/// Asserts that the other application can resume its upload.
async fn assert_resumes(stores: &Stores, rig: &Rig, id: TaskId) {
    stores.target.remove(TARGET, KEY);
    stores.target.clear_requests();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Paused).await;
    assert_eq!(rig.end(id).await.state, State::Succeeded);
    assert_eq!(
        stores.target.requests_count(O::CreateUpload),
        0,
        "its upload is gone"
    );
}

#[tokio::test]
async fn older_uploads_of_others_are_left_and_ours_is_aborted() {
    for parts in [0, 1] {
        let stores = stores().await;
        let (other, theirs) = other_application(&stores, parts).await;
        let (folder, ours) = crashed(&stores).await;
        assert_eq!(stores.target.open_uploads(TARGET), 2);
        resumed(folder, ours).await;
        assert_eq!(stores.target.open_uploads(TARGET), 1, "{parts} parts");
        assert_resumes(&stores, &other, theirs).await;
        assert_eq!(stores.target.open_uploads(TARGET), 0);
        stores.assert_same();
    }
}

#[tokio::test]
async fn a_newer_upload_with_parts_is_left_and_ours_is_aborted() {
    let stores = stores().await;
    let (folder, ours) = crashed(&stores).await;
    let (other, theirs) = other_application(&stores, 1).await;
    resumed(folder, ours).await;
    assert_eq!(stores.target.open_uploads(TARGET), 1);
    assert_resumes(&stores, &other, theirs).await;
}

#[tokio::test]
async fn uploads_that_cannot_be_told_apart_are_left() {
    let stores = stores().await;
    let (folder, ours) = crashed(&stores).await;
    let (other, theirs) = other_application(&stores, 0).await;
    resumed(folder, ours).await;
    // Our upload stays too. A lifecycle rule of the bucket must remove it.
    assert_eq!(stores.target.open_uploads(TARGET), 2);
    assert_resumes(&stores, &other, theirs).await;
    assert_eq!(stores.target.open_uploads(TARGET), 1);
}

fn theirs() -> Fault {
    Fault::ChangeObject {
        data: "written by somebody else".into(),
    }
}

fn foreign_tag() -> Fault {
    Fault::Header {
        name: "etag",
        value: Some("\"0cc175b9c0f1b6a831c399e269772661\"".to_owned()),
    }
}

#[tokio::test]
async fn a_newer_object_of_others_is_not_deleted() {
    // Others write the object before it is read back, or right before it is deleted.
    let rows = [
        (
            "one piece, read back",
            vec![(O::PutObject, foreign_tag()), (O::GetObject, theirs())],
            "small",
        ),
        ("parts, deleted", vec![(O::DeleteObject, theirs())], "joined"),
    ];
    for (name, faults, key) in rows {
        let stores = Stores::small().await;
        stores
            .source
            .put(SOURCE, "small", SandboxObject::new(bytes(1, 500)));
        let joined = SandboxObject::multipart(bytes(2, 5 * SMALL_PART), 2 * SMALL_PART);
        stores.source.put(SOURCE, "joined", joined);
        for (operation, fault) in faults {
            let rule = FaultRule::new(operation, fault).key(key).times(1);
            stores.target.faults().add(rule);
        }
        if key == "joined" {
            // The first read is damaged. The ETag of the completed upload shows that.
            let damaged = FaultRule::new(O::GetObject, Fault::CorruptBody { at: 5 }).key(key);
            stores.source.faults().add(damaged.times(1));
        }
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.record_settled = false;
        let id = rig.create(order).await;
        let task = rig.end(id).await;
        assert!(stores.target.faults().fired() > 0, "{name}");
        let failed = failures(&rig, id).await;
        assert_eq!(
            (failed.len(), failed[0].code.as_str()),
            (1, "TargetChanged"),
            "{name} {task:#?}"
        );
        let found = stores.target.get(TARGET, key).unwrap();
        assert_eq!(found.data, "written by somebody else", "{name}");
        rig.shut_down().await;
    }
}
