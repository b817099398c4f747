//! A panic is a bug of the program. It fails the object or the task with a reason, and is not retried for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::object::s3::Timeouts;
use oms::task::{ReasonKind, StartMode, State};
use tempfile::TempDir;

use super::matrix::row::{OBJECTS, fill};
use crate::support::checker::failures;
use crate::support::rig::{QUICK, Rig, Stores};

/// Sync points that panic at `point` as long as the returned switch is true.
fn panic_at(point: SyncPoint) -> (SyncPoints, Arc<AtomicBool>) {
    let on = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&on);
    let sync_points = SyncPoints::new(move |here| {
        assert!(here != point || !on.load(Ordering::SeqCst), "a panic, on purpose");
        Box::pin(std::future::ready(()))
    });
    (sync_points, switch)
}

#[tokio::test]
async fn a_panic_fails_the_object_or_the_task_with_a_reason() {
    // Sync points of the task, of a shard, and of one object.
    let rows = [
        (SyncPoint::Probed, ReasonKind::SystemError),
        (SyncPoint::PassOpened, ReasonKind::SystemError),
        (SyncPoint::ShardLeased, ReasonKind::SystemError),
        (SyncPoint::PageJoined, ReasonKind::SystemError),
        (SyncPoint::BeforeCommit, ReasonKind::SystemError),
        (SyncPoint::BeforeFinish, ReasonKind::SystemError),
        (SyncPoint::ListWritten, ReasonKind::SystemError),
        (SyncPoint::ObjectOpened, ReasonKind::ObjectsFailed),
        (SyncPoint::ObjectWritten, ReasonKind::ObjectsFailed),
        (SyncPoint::UploadCreated, ReasonKind::ObjectsFailed),
        (SyncPoint::PartWritten, ReasonKind::ObjectsFailed),
        (SyncPoint::UploadCompleted, ReasonKind::ObjectsFailed),
    ];
    for (point, kind) in rows {
        let stores = Stores::small().await;
        assert_eq!(fill(&stores), OBJECTS);
        let (sync_points, on) = panic_at(point);
        let folder = Arc::new(TempDir::new().unwrap());
        let rig = Rig::tuned(folder, sync_points, QUICK, Timeouts::default()).await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        let reason = task.reason.clone().unwrap();
        assert_eq!(
            (task.state, reason.kind),
            (State::Failed, kind),
            "{point:?} {task:#?}"
        );
        assert!(!reason.message.contains("on purpose"), "{reason:?}");
        for failure in failures(&rig, id).await {
            assert_eq!(failure.code, "InternalError", "{point:?} {failure:?}");
        }
        on.store(false, Ordering::SeqCst);
        rig.start(id, StartMode::Full, stores.credentials()).await;
        rig.wait(id, |task| task.state != State::Failed).await;
        let task = rig.end(id).await;
        assert_eq!(task.state, State::Succeeded, "{point:?} {task:#?}");
        stores.assert_same();
        rig.shut_down().await;
    }
}
