//! Slow and hanging stores do not block other tasks: they do not keep all slots or all streams.

use std::time::Duration;

use oms::engine::sync_points::SyncPoints;
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::service::CreateTask;
use oms::task::spec::Scope;
use oms::task::{Key, State};
use oms::violation::Violation;

use crate::support::rig::{QUICK, Rig, SOURCE, Stores};

/// Number of objects in each of two folders. Reads in one of them hang.
const OBJECTS: usize = 60;

async fn stores() -> Stores {
    let stores = Stores::small().await;
    for n in 0..OBJECTS {
        for folder in ["hangs", "works"] {
            let object = SandboxObject::new(format!("object {n}"));
            stores.source.put(SOURCE, &format!("{folder}/{n:04}"), object);
        }
    }
    let hangs = FaultRule::new(O::GetObject, Fault::Delay(Duration::from_secs(600)));
    stores.source.faults().add(hangs.key_prefix("hangs/"));
    stores
}

fn order(stores: &Stores, folder: &str, threads: u8) -> CreateTask {
    CreateTask {
        scope: Scope::Prefixes(vec![Key::from(folder)]),
        threads,
        ..stores.order()
    }
}

/// A rig with the default timeouts, so that hanging transfers keep their slots and streams as long as possible.
async fn rig() -> Rig {
    let folder = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    Rig::tuned(folder, SyncPoints::default(), QUICK, Timeouts::default()).await
}

#[tokio::test]
async fn hanging_tasks_of_one_project_leave_room_for_another() {
    let (stores, rig) = (stores().await, rig().await);
    // Enough tasks to use all slots, with more threads than there are streams, and one more that waits.
    let mut hanging = Vec::new();
    for _ in 0..6 {
        hanging.push(rig.create(order(&stores, "hangs/", 20)).await);
    }
    for id in &hanging[..5] {
        rig.wait(*id, |task| task.state == State::Running).await;
    }
    let other = "another-project".parse().unwrap();
    let honest = rig.create_in(&other, order(&stores, "works/", 8)).await;
    let task = rig.end_in(&other, honest).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(task.counters.copied, OBJECTS as i64);
    // The project of the hanging tasks has used all its slots, so its last task waits.
    assert_eq!(rig.task(hanging[5]).await.state, State::Waiting);
    for id in hanging {
        rig.pause(id).await;
    }
    rig.shut_down().await;
}

#[tokio::test]
async fn a_task_is_served_while_others_hold_all_streams() {
    let (stores, rig) = (stores().await, rig().await);
    // The rig has 32 streams.
    let mut hanging = Vec::new();
    for _ in 0..2 {
        hanging.push(rig.create(order(&stores, "hangs/", 20)).await);
    }
    let until = std::time::Instant::now() + crate::support::rig::TIMEOUT;
    while stores.source.faults().fired() < 32 {
        assert!(std::time::Instant::now() < until, "they do not take all streams");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let honest = rig.create(order(&stores, "works/", 8)).await;
    let task = rig.end(honest).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, OBJECTS as i64)
    );
    for id in hanging {
        rig.pause(id).await;
    }
    rig.shut_down().await;
}

#[tokio::test]
async fn the_waiting_tasks_of_a_project_are_limited() {
    let stores = stores().await;
    let rig = Rig::idle(std::sync::Arc::new(tempfile::TempDir::new().unwrap()))
        .await
        .with_most_waiting(3);
    let first = rig.create(stores.order()).await;
    for _ in 0..2 {
        rig.create(stores.order()).await;
    }
    let refused = rig.try_create(stores.order()).await.unwrap_err();
    assert_eq!(refused.violation(), Some(&Violation::TooManyWaiting { most: 3 }));
    // Others may, and so may it when one waits no more.
    let other = "another-project".parse().unwrap();
    rig.create_in(&other, stores.order()).await;
    assert_eq!(rig.stop(first).await.unwrap(), State::Paused);
    rig.create(stores.order()).await;
    rig.shut_down().await;
}
