//! Crashes at every sync point of the worker. The next process reaches the same result.
//!
//! At each point the worker is held and then dropped with everything it runs, like in a power cut: nothing is drained and
//! nothing more is written. A new worker with the same ledger must finish the task by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::object::s3::Timeouts;
use oms::sandbox::{SandboxObject, SandboxOptions};
use oms::task::{ReasonKind, StartMode, State, TaskId};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::matrix::row::{OBJECTS, fill};
use crate::support::checker::{History, check};
use crate::support::rig::{QUICK, Rig, SOURCE, Stores};

async fn stores() -> Stores {
    let stores = Stores::small().await;
    assert_eq!(fill(&stores), OBJECTS);
    stores
}

async fn open(folder: &Arc<TempDir>, sync_points: SyncPoints) -> Rig {
    Rig::tuned(Arc::clone(folder), sync_points, QUICK, Timeouts::default()).await
}

/// Sync points that hold the worker for ever when it reaches `point` for the `occurrence`th time, and notify that it did.
fn hold_at(point: SyncPoint, occurrence: usize) -> (SyncPoints, Arc<Notify>) {
    let reached = Arc::new(Notify::new());
    let times = Arc::new(AtomicUsize::new(0));
    let tell = Arc::clone(&reached);
    let sync_points = SyncPoints::new(move |here| {
        if here == point && times.fetch_add(1, Ordering::SeqCst) + 1 >= occurrence {
            tell.notify_one();
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    });
    (sync_points, reached)
}

/// Runs a worker and crashes it at `point`. Returns whether the point was reached before the task ended.
async fn crash_at(
    folder: &Arc<TempDir>,
    stores: &Stores,
    id: Option<TaskId>,
    point: SyncPoint,
    occurrence: usize,
) -> (TaskId, bool) {
    let (sync_points, reached) = hold_at(point, occurrence);
    let rig = open(folder, sync_points).await;
    let id = match id {
        Some(id) => id,
        None => rig.create(stores.order()).await,
    };
    let crashed = tokio::select! {
        () = reached.notified() => true,
        _ = rig.end(id) => false,
    };
    rig.kill().await;
    (id, crashed)
}

/// Asserts that the next process finishes the task by itself.
async fn converges(folder: &Arc<TempDir>, stores: &Stores, history: &History, id: TaskId, what: &str) {
    let rig = open(folder, SyncPoints::default()).await;
    rig.end(id).await;
    let task = check(stores, &rig, id, history).await;
    let c = task.counters;
    assert_eq!(task.state, State::Succeeded, "{what}: {task:#?}");
    assert_eq!(
        usize::try_from(c.copied + c.skipped),
        Ok(OBJECTS),
        "{what}: {c:#?}"
    );
    assert_eq!(c.bytes_settled, c.bytes_listed, "{what}: {c:#?}");
    assert!(rig.pending().await.is_empty(), "{what}");
    rig.shut_down().await;
}

#[tokio::test]
async fn a_task_survives_a_crash_at_any_point() {
    for point in SyncPoint::ALL {
        let stores = stores().await;
        let history = History::of(&stores);
        let folder = Arc::new(TempDir::new().unwrap());
        let (id, crashed) = crash_at(&folder, &stores, None, point, 1).await;
        assert!(crashed, "{point:?} was never reached");
        converges(&folder, &stores, &history, id, &format!("{point:?}")).await;
    }
}

#[tokio::test]
async fn a_task_survives_several_crashes() {
    let stores = stores().await;
    let history = History::of(&stores);
    let folder = Arc::new(TempDir::new().unwrap());
    let mut id = None;
    for (n, point) in SyncPoint::ALL.into_iter().enumerate() {
        let (task, _) = crash_at(&folder, &stores, id, point, 1 + n % 3).await;
        id = Some(task);
    }
    converges(&folder, &stores, &history, id.unwrap(), "a row of crashes").await;
}

/// A lister that panics is not mistaken for a finished one, and the task is not retried for ever.
#[tokio::test]
async fn a_panic_of_the_lister_ends_the_task_with_a_reason() {
    let pages = SandboxOptions {
        page_size: 10,
        ..SandboxOptions::default()
    };
    let stores = Stores::with(pages, SandboxOptions::default()).await;
    for n in 0..60 {
        stores
            .source
            .put(SOURCE, &format!("{n:04}"), SandboxObject::new("x"));
    }
    let times = AtomicUsize::new(0);
    let sync_points = SyncPoints::new(move |here| {
        let third = here == SyncPoint::PageJoined && times.fetch_add(1, Ordering::SeqCst) == 2;
        assert!(!third, "a panic, on purpose");
        Box::pin(std::future::ready(()))
    });
    let rig = Rig::open(Arc::new(TempDir::new().unwrap()), sync_points).await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let reason = task.reason.clone().unwrap();
    assert_eq!(
        (task.state, reason.kind),
        (State::Failed, ReasonKind::SystemError),
        "{task:#?}"
    );
    assert_eq!(task.counters.failed, 0, "{task:#?}");
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.listed),
        (State::Succeeded, 60),
        "{task:#?}"
    );
    stores.assert_same();
}
