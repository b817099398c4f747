//! The number of objects in flight finds its own level: at a store that is far away, at one that limits its rate of requests, and
//! at one that begins to do so.

use std::sync::Arc;
use std::time::Duration;

use oms::engine::settings::Tuning;
use oms::engine::sync_points::SyncPoints;
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::service::CreateTask;
use oms::task::State;
use tempfile::TempDir;

use crate::support::rig::{Rig, SOURCE, Stores};

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
