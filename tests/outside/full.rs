//! A disk that takes no more: the program on a data folder that cannot grow, and what it does once there is room again.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::support::binary::{Files, Home};
use crate::support::rig::{SOURCE, Stores};
use crate::support::service::{RUNNING, create_body, fill, slow_down};

/// Small objects; [`fill`] adds one.
const OBJECTS: usize = 400;
/// How long the full disk is watched: longer than the worker takes to leave a task, and to look for it again.
const WATCHED: Duration = Duration::from_secs(7);

#[tokio::test]
async fn a_disk_that_takes_no_more_stops_a_task_until_there_is_room() {
    let (home, stores) = (Home::new(), Stores::new().await);
    fill(&stores, OBJECTS);
    slow_down(&stores, Duration::from_millis(40));
    let mut serve = home.serve().await;
    let caller = serve.caller(&home.token());
    let task = caller.create(&create_body(&stores)).await;
    caller.wait_for_objects(task, 60).await;

    // Every write to a file fails from here on, also those of the log.
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
    let ended = caller.wait_until_succeeded(task).await;
    assert_eq!(ended["total_num"], stores.source.keys(SOURCE).len(), "{ended:#}");
    assert_eq!(ended["start_time"], before["start_time"], "it is the same run");
    stores.assert_same();
    assert_eq!(serve.terminate().await.0.code(), Some(0), "{}", serve.printed());
    assert!(!serve.stderr().contains("panicked"), "{}", serve.printed());
}
