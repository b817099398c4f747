//! A full disk: the program with a data folder that cannot grow, and what it does once there is space again.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::binary::{Files, Home};
use crate::support::rig::{SOURCE, Stores};
use crate::support::service::{PAUSED, RUNNING, create_body, fill, slow_down, start_body};
use crate::support::small_disk::SmallDisk;

/// Number of small objects. [`fill`] adds one more.
const OBJECTS: usize = 400;
/// How long the test watches the full disk. It is longer than the worker needs to leave a task and to look for it again.
const WATCHED: Duration = Duration::from_secs(7);

#[tokio::test]
async fn a_full_disk_stops_a_task_until_there_is_space() {
    let (home, stores) = (Home::new(), Stores::new().await);
    fill(&stores, OBJECTS);
    slow_down(&stores, Duration::from_millis(5));
    let mut serve = home.serve().await;
    let caller = serve.caller(&home.token());
    let task = caller.create(&create_body(&stores)).await;
    caller.wait_for_objects(task, 60).await;

    // From here on every write to a file fails, also writes to the log.
    serve.limit(Files::NoByte);
    assert_eq!(caller.get_bare("/livez").await.status, 200);
    let unready = caller.get_bare("/readyz").await;
    assert_eq!(unready.status, 503, "{unready:?}");
    let path = format!("/task/{task}");
    let window = json!({"start": "08:00", "end": "19:59", "max_bandwidth": 50_000_000});
    let bandwidth = json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": [window]});
    for (method, path, body) in [
        (Method::POST, "/task", create_body(&stores)),
        (Method::PUT, &*path, json!({"operation": "stop"})),
        (Method::PUT, &*path, bandwidth),
    ] {
        let refused = caller.call(method.clone(), path, Some(&body)).await;
        assert_eq!(refused.status, 503, "{method} {path} {body}: {refused:?}");
        let body = refused.json();
        assert_eq!(body["error_code"], "OMS.1001", "{method} {path}: {body}");
        assert!(
            body["error_msg"].as_str().unwrap().contains("try again later"),
            "{body}"
        );
    }
    let since = Instant::now();
    let mut before = caller.show(task).await;
    while since.elapsed() < WATCHED {
        let now = caller.show(task).await;
        assert_eq!(now["status"], RUNNING, "it is reported wrong: {now:#}");
        assert_eq!(now["error_reason"], "", "{now:#}");
        assert!(
            now["success_num"].as_i64() >= before["success_num"].as_i64(),
            "{now:#}"
        );
        before = now;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        before["success_num"].as_u64().unwrap() < OBJECTS as u64,
        "{before:#}"
    );
    assert_eq!(before["bandwidth_policy"], json!([]), "{before:#}");
    let count = caller.call(Method::GET, "/task?totalcount=true", None).await;
    assert_eq!(count.fine()["taskcount"], 1, "what was refused is not there");

    serve.limit(Files::Free);
    assert_eq!(
        caller.get_bare("/readyz").await.status,
        200,
        "{}",
        serve.printed()
    );
    // The stop could not be recorded, but it has ended the transfers.
    let stopped = |task: &serde_json::Value| task["status"] == PAUSED;
    let paused = caller.wait(task, "pause by itself", stopped).await;
    assert_eq!(paused["bandwidth_policy"], json!([]), "{paused:#}");
    caller.update(task, &start_body(&stores)).await;
    let ended = caller.wait_until_succeeded(task).await;
    assert_eq!(ended["total_num"], stores.source.keys(SOURCE).len(), "{ended:#}");
    assert_eq!(ended["start_time"], before["start_time"], "it is the same task");
    stores.assert_same();
    assert_eq!(serve.terminate().await.0.code(), Some(0), "{}", serve.printed());
    assert!(!serve.stderr().contains("panicked"), "{}", serve.printed());
}

/// A process that starts on a full disk answers reads and deletes tasks, which frees space.
#[tokio::test]
async fn a_start_on_a_full_disk_serves_reads_and_deletions() {
    let home = Home::new();
    let Some(disk) = SmallDisk::on(&home.data(), 8) else {
        return;
    };
    let stores = Stores::new().await;
    fill(&stores, 5);
    slow_down(&stores, Duration::from_secs(600));
    let mut serve = home.serve().await;
    let caller = serve.caller(&home.token());
    let paused = caller.create(&create_body(&stores)).await;
    caller.wait(paused, "run", |task| task["status"] == RUNNING).await;
    caller.pause(paused).await;
    let other = caller.create(&create_body(&stores)).await;
    caller.wait(other, "run", |task| task["status"] == RUNNING).await;
    caller.pause(other).await;
    // The reserved space is restored once the ledger has been purged.
    let reserve = home.data().join("oms.db.reserve");
    let until = Instant::now() + caller.timeout;
    while !std::fs::metadata(&reserve).is_ok_and(|file| file.len() == 1 << 20) {
        assert!(Instant::now() < until, "no room is kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(serve.terminate().await.0.code(), Some(0), "{}", serve.printed());

    disk.fill();
    let mut serve = home.serve().await;
    let caller = serve.caller(&home.token());
    assert_eq!(caller.show(paused).await["status"], PAUSED);
    let list = caller.call(Method::GET, "/task?totalcount=true", None).await;
    assert_eq!(list.fine()["taskcount"], 2);
    let path = format!("/task/{paused}");
    let deleted = caller.call(Method::DELETE, &path, None).await;
    assert!(deleted.status.is_success(), "{deleted:?}\n{}", serve.printed());
    assert_eq!(caller.call(Method::GET, &path, None).await.status, 400);

    disk.free();
    stores.target.faults().clear();
    caller.update(other, &start_body(&stores)).await;
    caller.wait_until_succeeded(other).await;
    assert_eq!(serve.terminate().await.0.code(), Some(0), "{}", serve.printed());
    assert!(!serve.stderr().contains("panicked"), "{}", serve.printed());
    drop((serve, disk));
}
