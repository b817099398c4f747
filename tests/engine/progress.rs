//! Progress of a task: the estimate of its scope in every pass, and the bytes of large objects during transfer.

use std::sync::Arc;
use std::time::Duration;

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::service::CreateTask;
use oms::task::{PassKind, StartMode, State};
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};

use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores};

/// Holds the worker at a point. Each permit of `turns` lets it pass once.
fn gate(at: SyncPoint, turns: &Arc<Semaphore>) -> SyncPoints {
    let turns = Arc::clone(turns);
    SyncPoints::new(move |point| {
        let turns = Arc::clone(&turns);
        Box::pin(async move {
            if point == at
                && let Ok(turn) = turns.acquire().await
            {
                turn.forget();
            }
        })
    })
}

fn denied() -> Fault {
    Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    }
}

#[tokio::test]
async fn every_full_pass_counts_its_scope() {
    let stores = Stores::new().await;
    for n in 0..5 {
        let object = SandboxObject::new(vec![1; 1000]);
        stores.source.put(SOURCE, &format!("{n}"), object);
    }
    let (open, _) = watch::channel(false);
    let held = open.clone();
    let sync_points = SyncPoints::new(move |point| {
        let mut held = held.subscribe();
        Box::pin(async move {
            if point == SyncPoint::ObjectOpened {
                held.wait_for(|open| *open).await.map(drop).unwrap_or_default();
            }
        })
    });
    let rule = FaultRule::new(Operation::PutObject, denied()).key("4");
    stores.target.faults().add(rule);
    let rig = Rig::open(Arc::new(TempDir::new().unwrap()), sync_points).await;
    let id = rig.create(stores.order()).await;
    let first = rig.wait(id, |task| task.survey.complete).await;
    assert_eq!((first.survey.objects, first.survey.bytes), (5, 5000));
    open.send_replace(true);
    assert_eq!(rig.end(id).await.state, State::Failed);

    // The object has changed its size and must be copied again.
    stores.source.put(SOURCE, "5", SandboxObject::new(vec![1; 2000]));
    open.send_replace(false);
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let second = rig
        .wait(id, |task| {
            task.pass.is_some_and(|pass| pass.number == 2) && task.survey.complete
        })
        .await;
    assert_eq!(second.state, State::Running, "the pass is held");
    assert_eq!((second.survey.objects, second.survey.bytes), (6, 7000));
    stores.target.faults().clear();
    open.send_replace(true);
    assert_eq!(rig.end(id).await.state, State::Succeeded);
}

#[tokio::test]
async fn the_bytes_of_a_running_transfer_are_shown() {
    let stores = Stores::new().await;
    let bytes = 3 << 20;
    stores
        .source
        .put(SOURCE, "one", SandboxObject::new(vec![1; bytes]));
    let stall = Fault::Stall { after: 2 << 20 };
    let rule = FaultRule::new(Operation::GetObject, stall).key("one");
    stores.source.faults().add(rule);
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig
        .wait(id, |task| task.counters.bytes_in_flight == 2 << 20)
        .await;
    assert_eq!(
        (task.state, task.counters.bytes_transferred()),
        (State::Running, 2 << 20)
    );
    // A stop loses the bytes that were in transfer.
    let task = rig.pause(id).await;
    assert_eq!(task.counters.bytes_transferred(), 0, "{task:#?}");
    stores.source.faults().clear();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let task = rig.end(id).await;
    let counters = task.counters;
    assert_eq!(
        (counters.bytes_in_flight, counters.bytes_transferred()),
        (0, 3 << 20)
    );
}

#[tokio::test]
async fn finished_parts_count_once_over_stops_and_crashes() {
    const PARTS: i64 = 24;
    let stores = Stores::small().await;
    let part = i64::try_from(2 * SMALL_PART).unwrap();
    let data = vec![7; usize::try_from(PARTS * part).unwrap()];
    let object = SandboxObject::multipart(data, 2 * SMALL_PART);
    stores.source.put(SOURCE, "large", object);
    stores.source.put(SOURCE, "small", SandboxObject::new("small"));
    let open = async |folder, turns: &Arc<Semaphore>| {
        let sync_points = gate(SyncPoint::PartWritten, turns);
        Rig::tuned(folder, sync_points, QUICK, Timeouts::default()).await
    };
    // Four parts are sent at a time, and each is held once it is written. Three may pass, so seven are written.
    let turns = Arc::new(Semaphore::new(3));
    let rig = open(Arc::new(TempDir::new().unwrap()), &turns).await;
    let order = CreateTask {
        threads: 4,
        ..stores.order()
    };
    let id = rig.create(order).await;
    let held = |parts: i64| move |task: &oms::task::Task| task.counters.bytes_in_flight == parts * part + 5;
    rig.wait(id, held(7)).await;

    // A crash.
    let turns = Arc::new(Semaphore::new(0));
    let rig = open(rig.kill().await, &turns).await;
    let task = rig.task(id).await;
    assert!(task.counters.bytes_in_flight >= 7 * part, "{task:#?}");
    rig.wait(id, |task| {
        let bytes = task.counters.bytes_in_flight;
        assert!(bytes <= 11 * part + 5, "a part was counted twice: {bytes}");
        bytes >= 11 * part
    })
    .await;

    // A stop.
    let task = rig.pause(id).await;
    assert_eq!(task.counters.bytes_in_flight, 11 * part, "{task:#?}");
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| {
        let bytes = task.counters.bytes_in_flight;
        assert!(bytes >= 11 * part, "went back to {bytes}");
        assert!(bytes <= 15 * part + 5, "a part was counted twice: {bytes}");
        bytes >= 15 * part
    })
    .await;
    turns.add_permits(1_000);
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    let counters = task.counters;
    assert_eq!(counters.bytes_in_flight, 0);
    assert!(counters.bytes_transferred() >= PARTS * part, "{counters:#?}");
    assert_eq!(counters.bytes_transferred(), counters.bytes_copied);
    stores.assert_same();
}

#[tokio::test]
async fn a_part_that_is_sent_again_does_not_reduce_progress() {
    let stores = Stores::small().await;
    let part = 2 * SMALL_PART;
    let object = SandboxObject::multipart(vec![7; usize::try_from(8 * part).unwrap()], part);
    stores.source.put(SOURCE, "large", object);
    let broken = Fault::TruncateBody { after: part / 2 };
    let rule = FaultRule::new(Operation::GetObject, broken).key("large").times(6);
    stores.source.faults().add(rule);
    let rig = Rig::tuned(
        Arc::new(TempDir::new().unwrap()),
        SyncPoints::default(),
        QUICK,
        Timeouts::default(),
    )
    .await;
    let id = rig.create(stores.order()).await;
    let mut most = 0;
    let task = loop {
        let task = rig.task(id).await;
        let bytes = task.counters.bytes_transferred();
        assert!(bytes >= most, "{bytes} after {most}");
        most = bytes;
        if task.state == State::Succeeded {
            break task;
        }
        assert_ne!(task.state, State::Failed, "{task:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(
        task.counters.bytes_transferred(),
        i64::try_from(8 * part).unwrap()
    );
}

#[tokio::test]
async fn a_failed_only_pass_begins_with_the_counters_of_the_full_pass() {
    let stores = Stores::new().await;
    for n in 0..4 {
        stores
            .source
            .put(SOURCE, &format!("{n}"), SandboxObject::new(vec![1; 1000]));
    }
    let rule = FaultRule::new(Operation::PutObject, denied()).key("3");
    stores.target.faults().add(rule);
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    assert_eq!(rig.end(id).await.counters.bytes_settled, 3000);
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    assert_eq!(task.pass.unwrap().kind, PassKind::Failed);
    assert_eq!(
        (task.counters.bytes_listed, task.counters.bytes_settled),
        (4000, 3000)
    );
}
