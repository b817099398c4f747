//! Valid and invalid requests that Schemathesis generates from the document, against a service with tasks of every kind.

use std::time::Duration;

use oms::sandbox::{Fault, FaultRule, Operation};
use serde_json::json;

use crate::support::rig::Stores;
use crate::support::service::{
    Caller, FAILED, PROJECT, Service, TOKEN, WAITING, create_body, fill, slow_down,
};
use crate::support::tools::{Need, require, succeed};

/// Enough for thousands of requests, one after another.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::test]
async fn no_request_causes_a_server_error_or_an_undocumented_response() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    let stores = Stores::new().await;
    fill(&stores, 60);
    let (service, tasks) = with_tasks(&stores).await;
    let caller = &service.caller;

    let script = |arguments: &[&str]| {
        let mut fuzz = tools.script("schemathesis.sh");
        fuzz.args([&caller.base, TOKEN, PROJECT]).args(arguments);
        fuzz
    };
    // Every operation on an existing task. DELETE is excluded, because the task must stay.
    for task in tasks {
        let mut fuzz = script(&["--include-path-regex", "task_id", "--exclude-method", "DELETE"]);
        fuzz.env("OMS_TEST_FUZZ_TASK", task.to_string());
        succeed(fuzz, LIMIT).await;
        assert_eq!(caller.show(task).await["id"], task);
    }
    // The fuzzer must also get past the validation, so it must have created tasks.
    let before = count(caller).await;
    let output = succeed(script(&["--phases", "examples,coverage,fuzzing"]), LIMIT).await;
    let after = count(caller).await;
    assert!(after > before, "{before} tasks before, {after} after\n{output}");
    // The stateful phase follows links from one operation to the next: from a new task to its deletion, from the list to
    // each task.
    let output = succeed(script(&["--phases", "stateful"]), LIMIT).await;
    let left = count(caller).await;
    assert_ne!(left, after, "it has created and deleted nothing\n{output}");
    assert_eq!(caller.get_bare("/readyz").await.status.as_u16(), 200);
    service.stop().await;
}

async fn count(caller: &Caller) -> i64 {
    let count = caller.call(reqwest::Method::GET, "/tasks/count", None).await;
    count.fine()["taskcount"].as_i64().unwrap()
}

/// A service with a task in each permanent state. Two of them can be started.
///
/// It runs no tasks any more, so it never connects to a store that a fuzzed task names.
async fn with_tasks(stores: &Stores) -> (Service, [i64; 2]) {
    let service = Service::start().await;
    let caller = &service.caller;
    let succeeded = caller.create(&create_body(stores)).await;
    caller.wait_until_succeeded(succeeded).await;

    let denied = Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    };
    let elsewhere = |prefix: &str| {
        let mut body = create_body(stores);
        body["dst_node"]["object_key"] = json!(prefix);
        body
    };
    let some = |operation, fault| FaultRule::new(operation, fault).key_prefix("denied/0001");
    stores.target.faults().add(some(Operation::PutObject, denied));
    let failed = caller.create(&elsewhere("denied/")).await;
    caller.wait(failed, "fail", |task| task["status"] == FAILED).await;

    slow_down(stores, Duration::from_millis(50));
    let paused = caller.create(&elsewhere("paused/")).await;
    caller.wait_for_objects(paused, 1).await;
    caller.pause(paused).await;

    let service = Service::open(service.stop().await, 0).await;
    let waiting = service.caller.create(&elsewhere("waiting/")).await;
    assert_eq!(service.caller.show(waiting).await["status"], WAITING);
    (service, [failed, paused])
}
