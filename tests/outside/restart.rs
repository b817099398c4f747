//! A process that is stopped or killed, and the next process with its data folder.

use std::time::Duration;

use oms::sandbox::{Fault, FaultRule, Operation};
use serde_json::Value;

use crate::support::binary::{Home, Serve};
use crate::support::rig::{SOURCE, Stores, TIMEOUT};
use crate::support::service::{Caller, PAUSED, RUNNING, Service, create_body, fill, slow_down, start_body};
use crate::support::tools::run;

/// Number of small objects. [`fill`] adds one more.
const OBJECTS: usize = 600;
/// How long a graceful shutdown may take, with some extra time for a busy machine.
const GRACE: Duration = Duration::from_secs(6);

/// Starts a service and a slow task, and waits until the task runs.
async fn under_way(home: &Home, stores: &Stores) -> (Serve, Caller, i64) {
    fill(stores, OBJECTS);
    slow_down(stores, Duration::from_millis(5));
    let serve = home.serve().await;
    let caller = serve.caller(&home.token());
    let task = caller.create(&create_body(stores)).await;
    caller.wait_for_objects(task, 60).await;
    (serve, caller, task)
}

/// Starts the service again, sends no start, and waits until the task has succeeded.
async fn resumes_by_itself(home: &Home, stores: &Stores, task: i64, before: &Value) {
    stores.target.faults().clear();
    let mut serve = home.serve().await;
    let caller = serve.caller(&home.token());
    let ended = caller.wait_until_succeeded(task).await;
    assert_eq!(ended["total_num"], stores.source.keys(SOURCE).len(), "{ended:#}");
    assert_eq!(ended["start_time"], before["start_time"], "it is the same run");
    assert!(
        ended["success_num"].as_i64() > before["success_num"].as_i64(),
        "something was left to do"
    );
    stores.assert_same();
    assert!(serve.terminate().await.0.success());
}

#[tokio::test]
async fn after_sigterm_a_running_task_resumes_by_itself() {
    let (home, stores) = (Home::new(), Stores::new().await);
    let (mut serve, caller, task) = under_way(&home, &stores).await;
    let before = caller.show(task).await;
    assert_eq!(before["status"], RUNNING, "{before:#}");
    let (status, took) = serve.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", serve.printed());
    assert!(took < GRACE, "it took {took:?}\n{}", serve.printed());
    resumes_by_itself(&home, &stores, task, &before).await;
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_store_that_hangs() {
    let (home, stores) = (Home::new(), Stores::new().await);
    let (mut serve, caller, task) = under_way(&home, &stores).await;
    let writes = stores.target.requests_count(Operation::PutObject);
    stores.target.faults().clear();
    for operation in [Operation::PutObject, Operation::ListObjectsV2] {
        let hangs = FaultRule::new(operation, Fault::Delay(Duration::from_secs(60)));
        stores.target.faults().add(hangs);
    }
    let before = caller.show(task).await;
    let until = std::time::Instant::now() + GRACE;
    while stores.target.requests_count(Operation::PutObject) <= writes {
        assert!(std::time::Instant::now() < until, "no write hangs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (status, took) = serve.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", serve.printed());
    assert!(took < GRACE, "it took {took:?}\n{}", serve.printed());
    resumes_by_itself(&home, &stores, task, &before).await;
}

#[tokio::test]
async fn after_a_kill_a_running_task_resumes_by_itself() {
    let (home, stores) = (Home::new(), Stores::new().await);
    let (mut serve, caller, task) = under_way(&home, &stores).await;
    let before = caller.show(task).await;
    serve.kill();
    // Kill it again, soon after the start.
    let mut again = home.serve().await;
    let caller = again.caller(&home.token());
    let more = before["success_num"].as_i64().unwrap() + 1;
    let before = caller.wait_for_objects(task, more).await;
    again.kill();
    resumes_by_itself(&home, &stores, task, &before).await;
}

#[tokio::test]
async fn a_running_task_can_be_stopped_before_a_worker_resumes_it() {
    let stores = Stores::new().await;
    fill(&stores, OBJECTS);
    slow_down(&stores, Duration::from_millis(5));
    let first = Service::start().await;
    let task = first.caller.create(&create_body(&stores)).await;
    first.caller.wait_for_objects(task, 60).await;
    // The next process runs no tasks, as if every call came before the worker looked for work.
    let second = Service::open(first.stop().await, 0).await;
    assert_eq!(second.caller.show(task).await["status"], RUNNING);
    second.caller.pause(task).await;
    second.caller.update(task, &start_body(&stores)).await;
    stores.target.faults().clear();
    let third = Service::open(second.stop().await, 5).await;
    third.caller.wait_until_succeeded(task).await;
    stores.assert_same();
    third.stop().await;
}

#[tokio::test]
async fn a_paused_task_stays_paused_over_restarts() {
    let (home, stores) = (Home::new(), Stores::new().await);
    let (mut serve, caller, task) = under_way(&home, &stores).await;
    let paused = caller.pause(task).await;
    assert!(serve.terminate().await.0.success());
    let writes = stores.target.requests_count(Operation::PutObject);

    // One restart after SIGTERM, one after a kill.
    let mut second = home.serve().await;
    let seen = second.caller(&home.token()).show(task).await;
    assert_eq!(seen["status"], PAUSED, "{seen:#}");
    second.kill();
    let mut third = home.serve().await;
    let caller = third.caller(&home.token());
    let seen = caller.show(task).await;
    assert_eq!(
        (&seen["status"], &seen["success_num"]),
        (&paused["status"], &paused["success_num"])
    );

    // Another task succeeds, so the worker has looked for work and has not resumed the paused task.
    stores.target.faults().clear();
    let mut other = create_body(&stores);
    other["dst_node"]["object_key"] = "other/".into();
    let other = caller.create(&other).await;
    caller.wait_until_succeeded(other).await;
    let rewritten = stores.target.requests_count(Operation::PutObject) - writes;
    assert!(rewritten <= OBJECTS + 10, "{rewritten} writes");
    assert_eq!(caller.show(task).await["status"], PAUSED);

    caller.update(task, &start_body(&stores)).await;
    caller.wait_until_succeeded(task).await;
    assert!(third.terminate().await.0.success());
}

#[tokio::test]
async fn a_second_process_does_not_disturb_the_task_of_the_first() {
    let (home, stores) = (Home::new(), Stores::new().await);
    let (mut serve, caller, task) = under_way(&home, &stores).await;
    let before = caller.show(task).await;
    for _ in 0..3 {
        let second = run(home.command(), TIMEOUT).await;
        assert_eq!(second.status.code(), Some(1), "{}", second.shown());
        assert!(second.stderr.contains("another process"), "{}", second.shown());
    }
    let ended = caller.wait_until_succeeded(task).await;
    assert_eq!(ended["start_time"], before["start_time"]);
    assert_eq!(ended["total_num"], stores.source.keys(SOURCE).len(), "{ended:#}");
    // Probe objects always have the same keys, so a second worker would delete one of them again.
    let requests = stores.target.requests();
    let deleted = requests
        .iter()
        .filter(|request| request.operation == Operation::DeleteObject);
    let mut deleted: Vec<_> = deleted.filter_map(|request| request.key.clone()).collect();
    deleted.sort();
    let all = deleted.clone();
    deleted.dedup();
    assert_eq!(deleted, all);
    assert!(
        !all.is_empty() && all.iter().all(|key| key.starts_with("oms/probe/")),
        "{all:?}"
    );
    stores.assert_same();
    assert!(serve.terminate().await.0.success());
}
