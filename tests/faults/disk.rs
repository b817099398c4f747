//! F60: the ledger's disk is full or read-only. That changes no counter, reports no failure and loses nothing. The task
//! continues once there is space.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oms::engine::sync_points::SyncPoints;
use oms::error::ErrorKind;
use oms::ledger::sql::Disk;
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::task::{ReasonKind, StartMode, State, Task, TaskId};
use oms::violation::Violation;
use tempfile::TempDir;

use super::matrix::answer;
use crate::support::checker::{History, Remedy, check, converges, failures};
use crate::support::rig::{QUICK, Rig, SOURCE, Stores, TIMEOUT};
use crate::support::wait::until;

/// Number of small objects. Each takes some time.
const OBJECTS: usize = 200;
/// The worker counts as idle if it sends no request for this long.
const QUIET: Duration = Duration::from_secs(2);

async fn stores() -> Stores {
    let stores = Stores::small().await;
    for n in 0..OBJECTS {
        let object = SandboxObject::new(format!("object {n}"));
        stores.source.put(SOURCE, &format!("{n:04}"), object);
    }
    let slow = FaultRule::one_by_one(O::GetObject, Duration::from_millis(19));
    stores.source.faults().add(slow);
    stores
}

/// Asserts that the ledger, which accepts no change, still shows the task as it was: running, without a reason.
async fn untouched(stores: &Stores, rig: &Rig, id: TaskId, history: &History) -> Task {
    let task = check(stores, rig, id, history).await;
    assert_eq!(task.state, State::Running, "{task:#?}");
    assert!(task.reason.is_none(), "{task:#?}");
    task
}

#[tokio::test]
async fn failures_on_a_full_disk_are_neither_counted_nor_lost() {
    let stores = stores().await;
    // Each failure is a row of the ledger. All rows together need new pages.
    let refused = FaultRule::new(O::PutObject, answer(400, "InvalidRequest")).key_prefix("0");
    stores.target.faults().add(refused);
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    rig.set_disk(Disk::Full).await;
    // Creating the task needs no new page.
    let id = rig.create(stores.order()).await;
    // Each time the worker leases the task again, the preflight deletes its probe objects again.
    until("a second try", async || {
        stores.target.requests_count(O::DeleteObject) >= 6
    })
    .await;
    let task = untouched(&stores, &rig, id, &history).await;
    assert!(
        task.counters.failed < OBJECTS as i64 && !task.pass.unwrap().finished,
        "{task:#?}"
    );

    rig.set_disk(Disk::Fine).await;
    let task = rig.end(id).await;
    assert_eq!(
        task.reason.as_ref().unwrap().kind,
        ReasonKind::ObjectsFailed,
        "{task:#?}"
    );
    assert_eq!(failures(&rig, id).await.len(), OBJECTS);
    converges(&stores, &rig, id, &history, Remedy::FailedOnly).await;
    stores.assert_same();
    rig.shut_down().await;
}

#[tokio::test]
async fn a_read_only_ledger_holds_the_task_where_it_is() {
    let stores = stores().await;
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.wait(id, |task| task.counters.copied > 10).await;
    rig.set_disk(Disk::ReadOnly).await;
    // The worker sends no requests if it cannot record their results.
    let begun = || stores.source.requests_begun() + stores.target.requests_begun();
    let (mut last, mut since) = (begun(), Instant::now());
    let timeout = Instant::now() + TIMEOUT;
    while since.elapsed() < QUIET {
        assert!(Instant::now() < timeout, "it continues without a ledger");
        if begun() != last {
            (last, since) = (begun(), Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let task = untouched(&stores, &rig, id, &history).await;
    assert!(task.counters.copied < OBJECTS as i64, "{task:#?}");
    assert!(rig.try_create(stores.order()).await.is_err());

    rig.set_disk(Disk::Fine).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(task.counters.listed, OBJECTS as i64, "each is counted once");
    check(&stores, &rig, id, &history).await;
    stores.assert_same();
    rig.shut_down().await;
}

/// Hanging transfers write nothing to the ledger, so no ledger error ends them. The stop itself must end them.
#[tokio::test]
async fn a_stop_ends_transfers_even_if_the_ledger_is_read_only() {
    let stores = Stores::small().await;
    for n in 0..8 {
        let object = SandboxObject::new(format!("object {n}"));
        stores.source.put(SOURCE, &format!("{n:04}"), object);
    }
    let hangs = Fault::Delay(Duration::from_secs(600));
    stores.source.faults().add(FaultRule::new(O::GetObject, hangs));
    let folder = Arc::new(TempDir::new().unwrap());
    // Default timeouts, so that the stop ends the requests before a timeout does.
    let rig = Rig::tuned(folder, SyncPoints::default(), QUICK, Timeouts::default()).await;
    let id = rig.create(stores.order()).await;
    until("a request", async || stores.source.requests_begun() > 0).await;
    rig.wait(id, |task| task.state == State::Running).await;
    until("a transfer", async || stores.source.faults().fired() > 0).await;
    rig.set_disk(Disk::ReadOnly).await;

    let refused = rig.stop(id).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(refused.violation(), Some(&Violation::StopNotRecorded));
    // The ledger still says that it runs, and no worker takes it up again.
    assert_eq!(rig.task(id).await.state, State::Running);
    until("the end of the run", async || !rig.runs(id)).await;
    let begun = stores.source.requests_begun();

    rig.set_disk(Disk::Fine).await;
    let task = rig.wait(id, |task| task.state != State::Running).await;
    assert_eq!(task.state, State::Paused, "{task:#?}");
    assert_eq!(
        stores.source.requests_begun(),
        begun,
        "a request left after the stop"
    );
    stores.source.faults().clear();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    assert_eq!(rig.end(id).await.state, State::Succeeded);
    stores.assert_same();
    rig.shut_down().await;
}
