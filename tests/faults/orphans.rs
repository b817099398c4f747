//! Multipart uploads that a deleted task leaves at its target. They are aborted with the credentials of the deletion, or
//! by the next task for the same target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oms::engine::retry::Pace;
use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::ledger::{Orphan, Orphans, Owner};
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::secret::{Credentials, Secret};
use oms::task::{Key, StartMode, State, TaskId, UnixMillis};
use tempfile::TempDir;

use super::matrix::row::{answer, bytes};
use crate::support::checker::{History, check, check_deleted};
use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores, TARGET};
use crate::support::rows;
use crate::support::wait::until;

/// Large objects. Each leaves an open upload when its task is paused.
const LARGE: [&str; 3] = ["a large", "b large", "c large"];
/// Longer than several cleanup rounds of a quick rig.
const ROUNDS: Duration = Duration::from_millis(400);

async fn stores() -> Stores {
    let stores = Stores::small().await;
    for (n, key) in LARGE.into_iter().enumerate() {
        let object = SandboxObject::new(bytes(n, 20 * SMALL_PART));
        stores.source.put(SOURCE, key, object);
    }
    stores
}

fn keys(stores: &Stores) -> Option<Credentials> {
    Some(stores.credentials().target)
}

/// Creates a task and pauses it when every large object has an open upload.
async fn paused(stores: &Stores, rig: &Rig) -> TaskId {
    let before = stores.target.open_uploads(TARGET);
    let slow = FaultRule::new(O::UploadPart, Fault::Delay(Duration::from_secs(30)));
    stores.target.faults().add(slow);
    let id = rig.create(stores.order()).await;
    until("uploads are open", async || {
        rig.ledger
            .uploads(id)
            .await
            .unwrap()
            .iter()
            .filter(|u| u.upload_id.is_some())
            .count()
            == LARGE.len()
    })
    .await;
    rig.pause(id).await;
    stores.target.faults().clear();
    assert_eq!(stores.target.open_uploads(TARGET), before + LARGE.len());
    id
}

async fn orphans(rig: &Rig, id: TaskId) -> Vec<Orphan> {
    rig.ledger.orphans(Orphans::Of(id), 0, 100).await.unwrap()
}

/// Whether the ledger has credentials of any deleted task, no matter when they were last used.
async fn has_keys(rig: &Rig) -> bool {
    let ever = UnixMillis(i64::MAX);
    rig.ledger.take_cleanup(ever, ever).await.unwrap().is_some()
}

#[tokio::test]
async fn credentials_sent_with_a_deletion_abort_its_uploads_at_once() {
    let stores = stores().await;
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let id = paused(&stores, &rig).await;
    check(&stores, &rig, id, &history).await;
    rig.delete(id, keys(&stores)).await;
    check_deleted(&stores, &rig, id).await;
    assert!(!has_keys(&rig).await);
    rig.shut_down().await;
}

#[tokio::test]
async fn a_waiting_task_is_deleted_with_its_own_credentials() {
    let stores = stores().await;
    let rig = Rig::quick().await;
    let id = paused(&stores, &rig).await;
    let folder = rig.shut_down().await;
    // This rig has no worker, so the task waits.
    let ledger = Rig::idle(Arc::clone(&folder)).await;
    ledger.start(id, StartMode::Full, stores.credentials()).await;
    ledger.delete(id, None).await;
    ledger.shut_down().await;
    let rig = Rig::quick_in(folder).await;
    check_deleted(&stores, &rig, id).await;
    assert!(!has_keys(&rig).await);
}

#[tokio::test]
async fn without_credentials_the_next_task_of_the_same_bucket_aborts_the_uploads() {
    let stores = stores().await;
    let rig = Rig::quick().await;
    let id = paused(&stores, &rig).await;
    rig.delete(id, None).await;
    stores.target.clear_requests();
    tokio::time::sleep(ROUNDS).await;
    assert_eq!(stores.target.requests().len(), 0, "nobody has keys");
    assert_eq!(orphans(&rig, id).await.len(), LARGE.len());

    // A task for another bucket does not abort the uploads.
    stores.target.create_bucket("another-bucket");
    let mut order = stores.order();
    order.target.bucket = "another-bucket".to_owned();
    let other = rig.create(order).await;
    assert_eq!(rig.end(other).await.state, State::Succeeded);
    assert_eq!(stores.target.open_uploads(TARGET), LARGE.len());

    let history = History::of(&stores);
    let next = rig.create(stores.order()).await;
    assert_eq!(rig.end(next).await.state, State::Succeeded);
    check(&stores, &rig, next, &history).await;
    check_deleted(&stores, &rig, id).await;
}

#[tokio::test]
async fn errors_of_orphans_do_not_affect_the_next_task() {
    for fault in [
        answer(403, "AccessDenied"),
        answer(500, "InternalError"),
        Fault::Delay(Duration::from_secs(30)),
    ] {
        let stores = stores().await;
        let rig = Rig::quick().await;
        let id = paused(&stores, &rig).await;
        rig.delete(id, None).await;
        stores
            .target
            .faults()
            .add(FaultRule::new(O::Abort, fault.clone()));
        let next = rig.create(stores.order()).await;
        let begun = Instant::now();
        assert_eq!(rig.end(next).await.state, State::Succeeded, "{fault:?}");
        assert!(begun.elapsed() < Duration::from_secs(15), "{fault:?}");
        assert_eq!(orphans(&rig, id).await.len(), LARGE.len(), "{fault:?}");
        stores.target.faults().clear();
        let next = rig.create(stores.order()).await;
        assert_eq!(rig.end(next).await.state, State::Succeeded);
        check_deleted(&stores, &rig, id).await;
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_orphans() {
    let stores = stores().await;
    let rig = Rig::quick().await;
    let id = paused(&stores, &rig).await;
    rig.delete(id, None).await;
    let never = Fault::Delay(Duration::from_secs(30));
    stores
        .target
        .faults()
        .add(FaultRule::new(O::Abort, never.clone()));
    stores.target.faults().add(FaultRule::new(O::UploadPart, never));
    let next = rig.create(stores.order()).await;
    until("both are under way", async || stores.target.faults().fired() >= 2).await;
    let asked = Instant::now();
    rig.pause(next).await;
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    let begun = stores.target.requests_begun();
    // A fixed sleep, because the test must show that nothing happens.
    tokio::time::sleep(ROUNDS).await;
    assert_eq!(
        stores.target.requests_begun(),
        begun,
        "requests left after the stop"
    );
}

#[tokio::test]
async fn the_cleanup_continues_after_a_crash() {
    // A crash before the cleanup begins, and one in the middle of it.
    for begun in [0, 1] {
        let stores = stores().await;
        let rig = Rig::quick().await;
        let id = paused(&stores, &rig).await;
        let never = FaultRule::new(O::Abort, Fault::Delay(Duration::from_secs(30)));
        stores.target.faults().add(never);
        rig.delete(id, keys(&stores)).await;
        until("it is so far", async || stores.target.faults().fired() >= begun).await;
        let folder = rig.kill().await;
        stores.target.faults().clear();
        assert_eq!(stores.target.open_uploads(TARGET), LARGE.len());
        // With the pace of production. The first round begins at the start, not a minute later.
        let rig = Rig::open(folder, SyncPoints::default()).await;
        let started = Instant::now();
        check_deleted(&stores, &rig, id).await;
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "{:?}",
            started.elapsed()
        );
        assert!(!has_keys(&rig).await);
    }
}

#[tokio::test]
async fn an_abort_is_repeated_until_the_target_confirms_it() {
    // More often than the attempts of one round.
    let often = 15;
    for (what, operation, fault) in [
        ("an error", O::Abort, answer(500, "InternalError")),
        ("a conflict", O::Abort, answer(409, "OperationAborted")),
        // A part in flight can keep an upload alive: the abort succeeds, but the upload is still there.
        ("no effect", O::Abort, answer(204, "")),
        ("a lost answer", O::Abort, Fault::ResetAfterEffect),
        ("no listing", O::ListParts, answer(503, "SlowDown")),
    ] {
        let stores = stores().await;
        let rig = Rig::quick().await;
        let id = paused(&stores, &rig).await;
        let rule = FaultRule::new(operation, fault).key(LARGE[1]).times(often);
        stores.target.faults().add(rule);
        rig.delete(id, keys(&stores)).await;
        check_deleted(&stores, &rig, id).await;
        assert!(stores.target.faults().fired() > 0, "{what}");
        assert!(!has_keys(&rig).await, "{what}");
    }
}

#[tokio::test]
async fn an_upload_that_cannot_be_aborted_does_not_block_others() {
    for fault in [
        answer(500, "InternalError"),
        answer(403, "AccessDenied"),
        Fault::Delay(Duration::from_secs(30)),
    ] {
        let stores = stores().await;
        let rig = Rig::quick().await;
        let id = paused(&stores, &rig).await;
        let rule = FaultRule::new(O::Abort, fault.clone()).key(LARGE[0]);
        stores.target.faults().add(rule);
        rig.delete(id, keys(&stores)).await;
        until("the others are gone", async || {
            stores.target.open_uploads(TARGET) == 1
        })
        .await;
        until("the ledger knows", async || orphans(&rig, id).await.len() == 1).await;
        assert_eq!(orphans(&rig, id).await[0].key, Key::from(LARGE[0]), "{fault:?}");
        // Another task is not blocked either.
        let id = paused(&stores, &rig).await;
        rig.delete(id, keys(&stores)).await;
        until("the other task's are gone", async || {
            orphans(&rig, id).await.is_empty()
        })
        .await;
    }
}

#[tokio::test]
async fn refused_credentials_are_wiped_and_the_next_task_aborts_the_uploads() {
    let refused = [
        (
            Credentials {
                access_key: Secret::new("AK-target"),
                secret_key: Secret::new("SK-of-nobody"),
            },
            None,
        ),
        (
            stores().await.credentials().target,
            Some(FaultRule::new(O::Abort, answer(403, "AccessDenied"))),
        ),
    ];
    for (pair, rule) in refused {
        let stores = stores().await;
        let rig = Rig::quick().await;
        let id = paused(&stores, &rig).await;
        if let Some(rule) = rule {
            stores.target.faults().add(rule);
        }
        rig.delete(id, Some(pair)).await;
        until("the keys were tried", async || {
            stores
                .target
                .requests()
                .iter()
                .any(|r| r.operation == O::Abort && r.status == Some(403))
        })
        .await;
        until("they are wiped", async || {
            stores.target.clear_requests();
            tokio::time::sleep(ROUNDS).await;
            stores.target.requests().is_empty()
        })
        .await;
        assert!(!has_keys(&rig).await);
        assert_eq!(orphans(&rig, id).await.len(), LARGE.len());
        stores.target.faults().clear();
        let next = rig.create(stores.order()).await;
        assert_eq!(rig.end(next).await.state, State::Succeeded);
        check_deleted(&stores, &rig, id).await;
    }
}

#[tokio::test]
async fn an_upload_is_gone_with_its_bucket() {
    let stores = stores().await;
    let rig = Rig::quick().await;
    let id = paused(&stores, &rig).await;
    stores
        .target
        .faults()
        .add(FaultRule::new(O::Abort, answer(404, "NoSuchBucket")));
    rig.delete(id, keys(&stores)).await;
    until("the ledger knows", async || orphans(&rig, id).await.is_empty()).await;
    assert!(!has_keys(&rig).await);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_cleanup() {
    let stores = stores().await;
    let rig = Rig::quick().await;
    let id = paused(&stores, &rig).await;
    stores
        .target
        .faults()
        .add(FaultRule::new(O::Abort, Fault::Delay(Duration::from_secs(30))));
    rig.delete(id, keys(&stores)).await;
    until("it is under way", async || stores.target.faults().fired() > 0).await;
    let asked = Instant::now();
    let folder = rig.shut_down().await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    stores.target.faults().clear();
    let rig = Rig::quick_in(folder).await;
    check_deleted(&stores, &rig, id).await;
}

/// Puts the ledger into the state after a crash between the request for an upload and the record of its id. No worker has the
/// task, so nobody may write this through the ledger.
async fn forget_id(rig: &Rig, id: TaskId, key: &str) {
    rows::forget_upload_id(rig, id, key).await;
    let known = rig.ledger.upload(id, &Key::from(key)).await.unwrap().unwrap();
    assert_eq!((known.upload_id, known.foreign_uploads), (None, Some(vec![])));
}

#[tokio::test]
async fn an_upload_with_a_lost_id_is_aborted_and_no_other_one() {
    let stores = stores().await;
    let rig = Rig::quick().await;
    let id = paused(&stores, &rig).await;
    for key in LARGE {
        forget_id(&rig, id, key).await;
    }
    // Another task has open uploads for the same keys and resumes them later.
    let living = paused(&stores, &rig).await;
    let open = rig.ledger.uploads(living).await.unwrap();
    let one = open[0].upload_id.as_deref().unwrap();
    let whose = rig.ledger.upload_owner(&open[0].key, one).await.unwrap();
    assert_eq!(whose, Owner::Task);
    rig.delete(id, keys(&stores)).await;
    until("the ledger knows", async || orphans(&rig, id).await.is_empty()).await;
    assert_eq!(stores.target.open_uploads(TARGET), LARGE.len());
    stores.target.clear_requests();
    rig.start(living, StartMode::Full, stores.credentials()).await;
    assert_eq!(rig.end(living).await.state, State::Succeeded);
    assert_eq!(stores.target.requests_count(O::CreateUpload), 0, "it goes on");
    assert_eq!(stores.target.open_uploads(TARGET), 0);
    stores.assert_same();
}

#[tokio::test]
async fn an_upload_that_was_just_begun_is_not_aborted() {
    let stores = stores().await;
    // The worker records the id of a new upload only after a delay.
    let sync_points = SyncPoints::new(|here| {
        let held = if here == SyncPoint::UploadCreated { 400 } else { 0 };
        Box::pin(tokio::time::sleep(Duration::from_millis(held)))
    });
    let folder = Arc::new(TempDir::new().unwrap());
    let rig = Rig::tuned(folder, sync_points, QUICK, Timeouts::default()).await;
    let id = paused(&stores, &rig).await;
    for key in LARGE {
        forget_id(&rig, id, key).await;
    }
    rig.delete(id, None).await;
    // The search for the orphaned uploads runs during this delay.
    let later = Fault::Delay(Duration::from_millis(200));
    stores.target.faults().add(FaultRule::new(O::ListUploads, later));
    stores.target.clear_requests();
    let next = rig.create(stores.order()).await;
    assert_eq!(rig.end(next).await.state, State::Succeeded);
    // The worker searches for each upload of the deleted task. The new task lists uploads before it begins each of its own.
    assert_eq!(stores.target.requests_count(O::ListUploads), 2 * LARGE.len());
    assert_eq!(
        stores.target.requests_count(O::CreateUpload),
        LARGE.len(),
        "each once"
    );
    assert_eq!(orphans(&rig, id).await.len(), LARGE.len());
    stores.assert_same();
    let another = rig.create(stores.order()).await;
    assert_eq!(rig.end(another).await.state, State::Succeeded);
    check_deleted(&stores, &rig, id).await;
}

#[tokio::test]
async fn in_production_rounds_are_a_minute_apart() {
    // The tests above are fast because the time between rounds depends on the retry delay.
    assert_eq!(Pace::default().longest * 6, Duration::from_secs(60));
    let stores = stores().await;
    let folder = Arc::new(TempDir::new().unwrap());
    let slow = oms::engine::settings::Tuning {
        pace: Pace::default(),
        ..QUICK
    };
    let rig = Rig::tuned(folder, SyncPoints::default(), slow, Timeouts::default()).await;
    let id = paused(&stores, &rig).await;
    let denied = FaultRule::new(O::Abort, answer(409, "BucketNotEmpty"));
    stores.target.faults().add(denied);
    stores.target.clear_requests();
    rig.delete(id, keys(&stores)).await;
    until("each was tried", async || {
        stores.target.requests_count(O::Abort) == LARGE.len()
    })
    .await;
    tokio::time::sleep(ROUNDS).await;
    assert_eq!(
        stores.target.requests_count(O::Abort),
        LARGE.len(),
        "once a round"
    );
}
