//! The number of objects in flight finds its own level: at a store that is far away, at one that limits its rate of requests, and
//! at one that begins to do so.

use std::sync::Arc;
use std::time::Duration;

use oms::engine::settings::Tuning;
use oms::engine::sync_points::SyncPoints;
use oms::object::clouds::Side;
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::service::CreateTask;
use oms::task::spec::Scope;
use oms::task::{Concurrency, ConcurrencyReason, Key, ReasonKind, StartMode, State, Task, TaskId};
use tempfile::TempDir;

use crate::support::checker::{History, check, failures};
use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores};
use crate::support::wait::until;

fn slow_down() -> Fault {
    Fault::Status {
        status: 503,
        code: "SlowDown".to_owned(),
        retry_after: None,
    }
}

async fn rig() -> Rig {
    let folder = Arc::new(TempDir::new().unwrap());
    Rig::tuned(
        folder,
        SyncPoints::default(),
        Tuning::default(),
        Timeouts::default(),
    )
    .await
}

async fn with_objects(count: usize) -> Stores {
    let stores = Stores::new().await;
    for n in 0..count {
        stores
            .source
            .put(SOURCE, &format!("{n:05}"), SandboxObject::new(vec![7; 10]));
    }
    stores
}

/// Runs a task to its end and checks that nothing failed.
async fn copies_all(rig: &Rig, order: CreateTask, count: i64) {
    let id = rig.create(order).await;
    let ended = rig.wait(id, |task| task.ended_at.is_some()).await;
    let counters = ended.counters;
    assert_eq!(
        (ended.state, counters.copied, counters.failed),
        (State::Succeeded, count, 0),
        "{:?}",
        ended.reason
    );
}

#[tokio::test]
async fn more_objects_are_in_flight_where_answers_take_long() {
    let stores = with_objects(800).await;
    let late = Fault::Delay(Duration::from_millis(200));
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, late));
    let rig = rig().await;
    let threads = 4;
    copies_all(
        &rig,
        CreateTask {
            threads,
            ..stores.order()
        },
        800,
    )
    .await;
    let most = stores.source.requests_at_once();
    assert!(most > 2 * usize::from(threads), "{most} at once");
    // Each thread stands for 16 small objects at most; a listing may run beside them, and the count of the scope.
    assert!(most <= 16 * usize::from(threads) + 4, "{most} at once");
    rig.shut_down().await;
}

#[tokio::test]
async fn a_large_object_that_is_alone_uses_all_threads() {
    let stores = Stores::small().await;
    let data = vec![7; usize::try_from(60 * 2 * SMALL_PART).unwrap()];
    stores.source.put(SOURCE, "large", SandboxObject::new(data));
    let late = Fault::Delay(Duration::from_millis(200));
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::UploadPart, late));
    let rig = Rig::quick().await;
    let order = CreateTask {
        threads: 12,
        ..stores.order()
    };
    copies_all(&rig, order, 1).await;
    let most = stores.target.requests_at_once();
    assert!((6..=13).contains(&most), "{most} at once");
    rig.shut_down().await;
}

#[tokio::test]
async fn a_limit_of_requests_fails_no_object() {
    let stores = with_objects(2_000).await;
    let limit = FaultRule::new(Operation::PutObject, slow_down())
        .key_prefix("0")
        .above(500);
    stores.target.faults().add(limit);
    let rig = rig().await;
    copies_all(
        &rig,
        CreateTask {
            threads: 50,
            ..stores.order()
        },
        2_000,
    )
    .await;
    assert!(stores.target.faults().fired() > 0, "the limit was never reached");
    rig.shut_down().await;
}

#[tokio::test]
async fn a_limit_that_comes_in_the_middle_fails_no_object() {
    let stores = with_objects(2_500).await;
    let late = Fault::Delay(Duration::from_millis(40));
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, late).times(1_500));
    let limit = FaultRule::new(Operation::GetObject, slow_down()).above(300);
    stores.source.faults().add(limit);
    let rig = rig().await;
    copies_all(
        &rig,
        CreateTask {
            threads: 50,
            ..stores.order()
        },
        2_500,
    )
    .await;
    assert!(
        stores.source.faults().fired() > 1_500,
        "the limit was never reached"
    );
    rig.shut_down().await;
}

/// A task of 600 objects with 4 threads. The source answers 300 reads after 100 ms each, so that more and more objects are in
/// flight. All later reads meet `fault`.
async fn crowded(fault: Fault) -> (Stores, Rig, TaskId) {
    let stores = with_objects(600).await;
    let late = Fault::Delay(Duration::from_millis(100));
    let faults = stores.source.faults();
    faults.add(FaultRule::new(Operation::GetObject, late).times(300));
    faults.add(FaultRule::new(Operation::GetObject, fault));
    let rig = rig().await;
    let order = CreateTask {
        threads: 4,
        ..stores.order()
    };
    let id = rig.create(order).await;
    until("the reads meet the fault", async || {
        stores.source.faults().fired() > 300
    })
    .await;
    let most = stores.source.requests_at_once();
    assert!(most > 8, "{most} at once");
    (stores, rig, id)
}

/// Starts the task again at a source without faults, and checks that nothing is lost and nothing counted twice.
async fn finishes(stores: &Stores, rig: &Rig, id: TaskId) {
    stores.source.faults().clear();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let ended = rig.end(id).await;
    assert_eq!(ended.state, State::Succeeded, "{:?}", ended.reason);
    // Objects that arrived behind an unfinished one were not committed. They are skipped as identical.
    let counters = ended.counters;
    assert_eq!(
        (
            counters.listed,
            counters.copied + counters.skipped,
            counters.failed
        ),
        (600, 600, 0),
        "{counters:?}"
    );
    stores.assert_same();
}

#[tokio::test]
async fn a_stop_with_many_objects_in_flight_loses_none() {
    let (stores, rig, id) = crowded(Fault::Delay(Duration::from_secs(600))).await;
    rig.stop(id).await.unwrap();
    let paused = rig.wait(id, |task| task.state == State::Paused).await;
    assert_eq!(paused.counters.failed, 0, "{:?}", paused.counters);
    stores.source.clear_requests();
    finishes(&stores, &rig, id).await;
    let read = stores.source.requests_count(Operation::GetObject);
    let left = 600 - usize::try_from(paused.counters.copied).unwrap();
    // The preflight reads one object to see whether it may.
    assert!(
        read <= left + 1,
        "{read} reads of {left} objects: what is committed is not read again"
    );
    rig.shut_down().await;
}

#[tokio::test]
async fn expired_credentials_with_many_objects_in_flight_fail_no_object() {
    let expired = Fault::Status {
        status: 400,
        code: "ExpiredToken".to_owned(),
        retry_after: None,
    };
    let (stores, rig, id) = crowded(expired).await;
    let ended = rig.end(id).await;
    assert_eq!(ended.state, State::Failed);
    assert_eq!(ended.reason.unwrap().kind, ReasonKind::SourceCredentials);
    assert_eq!((ended.counters.failed, failures(&rig, id).await.len()), (0, 0));
    finishes(&stores, &rig, id).await;
    rig.shut_down().await;
}

/// What is shown of a task's concurrency.
fn shown(task: &Task) -> Option<Concurrency> {
    task.concurrency
}

fn is_because_of(task: &Task, reason: ConcurrencyReason) -> bool {
    shown(task).is_some_and(|concurrency| concurrency.reason == reason)
}

#[tokio::test]
async fn a_running_task_shows_its_concurrency_and_why_it_is_so() {
    let stores = with_objects(600).await;
    let faults = stores.source.faults();
    faults.add(FaultRule::new(Operation::GetObject, Fault::Delay(Duration::from_millis(100))).times(300));
    faults.add(FaultRule::new(
        Operation::GetObject,
        Fault::Delay(Duration::from_secs(600)),
    ));
    let rig = rig().await;
    let threads = 1;
    let id = rig
        .create(CreateTask {
            threads,
            ..stores.order()
        })
        .await;
    let at_limit = rig
        .wait(id, |task| is_because_of(task, ConcurrencyReason::AtLimit))
        .await;
    assert_eq!(shown(&at_limit).map(|concurrency| concurrency.allowed), Some(16));
    // All that may be in flight hang.
    rig.wait(id, |task| {
        shown(task).is_some_and(|concurrency| concurrency.in_flight == 16)
    })
    .await;
    let paused = rig.pause(id).await;
    assert_eq!(shown(&paused), None);
    // Half a thousand objects are left. The target refuses what comes too fast.
    faults.clear();
    let limit = FaultRule::new(Operation::PutObject, slow_down()).above(20);
    stores.target.faults().add(limit.key_prefix("0"));
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| is_because_of(task, ConcurrencyReason::Throttled))
        .await;
    stores.target.faults().clear();
    let ended = rig.end(id).await;
    assert_eq!((ended.state, shown(&ended)), (State::Succeeded, None));
    stores.assert_same();
    rig.shut_down().await;
}

#[tokio::test]
async fn every_kind_of_request_that_is_throttled_lowers_the_level() {
    let whole = || Scope::Prefixes(vec![Key::from("")]);
    let keys = (0..4).map(|n| Key::from(format!("{n:05}").as_str()));
    let named = Scope::Objects(keys.chain([Key::from("large")]).collect());
    for (side, operation, scope) in [
        (Side::Source, Operation::ListObjectsV2, whole()),
        (Side::Target, Operation::ListObjectsV2, whole()),
        (Side::Source, Operation::HeadObject, named),
        (Side::Source, Operation::GetTagging, whole()),
        (Side::Target, Operation::UploadPart, whole()),
        (Side::Target, Operation::Complete, whole()),
    ] {
        let stores = Stores::small().await;
        for n in 0..4 {
            let object = SandboxObject {
                tags: vec![("a".to_owned(), "b".to_owned())],
                ..SandboxObject::new(vec![7; 10])
            };
            stores.source.put(SOURCE, &format!("{n:05}"), object);
        }
        let large = SandboxObject::new(vec![7; usize::try_from(9 * SMALL_PART).unwrap()]);
        stores.source.put(SOURCE, "large", large);
        let refusing = match side {
            Side::Source => &stores.source,
            Side::Target => &stores.target,
        };
        refusing
            .faults()
            .add(FaultRule::new(operation, slow_down()).times(2));
        // The small objects take so long that their level is seen.
        let late = FaultRule::new(Operation::GetObject, Fault::Delay(Duration::from_millis(1_500)));
        stores.source.faults().add(late.key_prefix("0"));
        let folder = Arc::new(TempDir::new().unwrap());
        let rig = Rig::tuned(folder, SyncPoints::default(), QUICK, Timeouts::default()).await;
        let order = CreateTask {
            scope,
            ..stores.order()
        };
        let id = rig.create(order).await;
        let throttled = rig
            .wait(id, |task| is_because_of(task, ConcurrencyReason::Throttled))
            .await;
        let concurrency = shown(&throttled).unwrap();
        assert!(concurrency.allowed < 8, "{side:?} {operation:?}: {concurrency:?}");
        stores.source.faults().clear();
        let ended = rig.end(id).await;
        assert_eq!(
            (ended.state, ended.counters.failed),
            (State::Succeeded, 0),
            "{side:?} {operation:?}"
        );
        stores.assert_same();
        rig.shut_down().await;
    }
}

#[tokio::test]
async fn a_task_knows_what_throttling_taught_another_at_its_endpoint() {
    let stores = with_objects(40).await;
    let rig = rig().await;
    let late = Fault::Delay(Duration::from_millis(1_500));
    let faults = stores.source.faults();
    faults.add(FaultRule::new(Operation::GetObject, late));
    let refused = FaultRule::new(Operation::PutObject, slow_down()).key_prefix("told/0");
    stores.target.faults().add(refused.times(4));
    let with_prefix = |prefix| CreateTask {
        target_prefix: Key::from(prefix),
        ..stores.order()
    };
    let told = rig.create(with_prefix("told/")).await;
    rig.wait(told, |task| is_because_of(task, ConcurrencyReason::Throttled))
        .await;
    // It talks to the same endpoints, and no request of its own is refused.
    let other = rig.create(with_prefix("other/")).await;
    let knows = rig
        .wait(other, |task| is_because_of(task, ConcurrencyReason::Throttled))
        .await;
    let concurrency = shown(&knows).unwrap();
    assert!(concurrency.allowed < 8, "{concurrency:?}");
    stores.source.faults().clear();
    for id in [told, other] {
        let ended = rig.end(id).await;
        assert_eq!((ended.state, ended.counters.copied), (State::Succeeded, 40));
    }
    rig.shut_down().await;
}

#[tokio::test]
async fn a_kill_with_a_raised_level_at_a_far_store_loses_nothing_and_counts_nothing_twice() {
    let stores = with_objects(600).await;
    let history = History::of(&stores);
    let late = Fault::Delay(Duration::from_millis(100));
    for (sandbox, operation) in [
        (&stores.source, Operation::GetObject),
        (&stores.target, Operation::PutObject),
    ] {
        let far = FaultRule::new(operation, late.clone()).key_prefix("0");
        sandbox.faults().add(far);
    }
    let rig = rig().await;
    let threads = 4;
    let order = CreateTask {
        threads,
        ..stores.order()
    };
    let id = rig.create(order).await;
    let raised = |task: &Task| shown(task).is_some_and(|concurrency| concurrency.allowed > 8);
    let killed = rig
        .wait(id, |task| raised(task) && task.counters.copied > 0)
        .await;
    let folder = rig.kill().await;
    assert!(killed.counters.copied < 600, "{:?}", killed.counters);
    // It runs on by itself, and the level rises again.
    let rig = Rig::tuned(
        folder,
        SyncPoints::default(),
        Tuning::default(),
        Timeouts::default(),
    )
    .await;
    let ended = rig.end(id).await;
    assert_eq!(ended.state, State::Succeeded, "{:?}", ended.reason);
    check(&stores, &rig, id, &history).await;
    rig.shut_down().await;
}
