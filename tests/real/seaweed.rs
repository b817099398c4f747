//! A migration between two SeaweedFS servers with different credentials: create, stop, start, then compare byte for byte
//! with boto3.

use serde_json::{Value, json};

use crate::support::binary::Home;
use crate::support::tools::{Need, Tools, require, run};
use crate::support::weed::Weed;

const SOURCE: &str = "source-bucket";
const TARGET: &str = "target-bucket";
pub(super) const LIMIT: std::time::Duration = std::time::Duration::from_secs(900);

/// The objects to migrate.
pub(super) struct Size {
    pub small: usize,
    pub bytes: usize,
    /// `COUNT:BYTES`.
    pub large: &'static str,
    pub stops: u32,
}

#[tokio::test]
async fn a_stopped_and_restarted_task_makes_identical_copies() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    // `OMS_TEST_SCALE=full` is the size that the project promises to handle. It takes minutes.
    let size = match std::env::var("OMS_TEST_SCALE").as_deref() {
        Ok("full") => Size {
            small: 20_000,
            bytes: 4096,
            large: "4:268435456",
            stops: 3,
        },
        _ => Size {
            small: 2000,
            bytes: 4096,
            large: "1:83886080",
            stops: 2,
        },
    };
    migrate(&tools, &size).await;
}

async fn migrate(tools: &Tools, size: &Size) {
    let (source, target) = tokio::join!(Weed::start(tools, "source"), Weed::start(tools, "target"));
    fill(tools, &source, SOURCE, size).await;
    empty_bucket(tools, &target).await;

    let home = Home::new();
    let mut serve = home.serve().await;
    let mut caller = serve.caller(&home.token());
    caller.timeout = LIMIT;
    let task = caller.create(&order(&source, &target)).await;
    let total = i64::try_from(size.small).unwrap();
    for stop in 1..=size.stops {
        caller
            .wait_for_objects(task, total * i64::from(stop) / i64::from(size.stops + 1))
            .await;
        let paused = caller.pause(task).await;
        assert!(
            paused["success_num"].as_i64().unwrap() < total,
            "stopped too late: {paused:#}"
        );
        caller.update(task, &keys(&source, &target)).await;
    }
    let ended = caller.wait_until_succeeded(task).await;

    // The peak must be read before the process ends.
    let peak = serve.peak_memory_mib();
    eprintln!("peak resident memory {peak} MiB; {}", ended["proved"]);
    assert!(peak < 200, "resident memory rose to {peak} MiB");

    verify(tools, &source, &target, &ended).await;
    assert!(serve.terminate().await.0.success());
}

/// Compares both sides byte for byte with another client, and the number of objects with the task's counters.
pub(super) async fn verify(tools: &Tools, source: &Weed, target: &Weed, ended: &Value) {
    let mut verify = tools.script("verify.py");
    verify.arg("--source").args(source.arguments()).args([SOURCE, ""]);
    verify
        .arg("--target")
        .args(target.arguments())
        .args([TARGET, ""])
        .args(["--ignore-prefix", "oms/", "--tags"]);
    let verified = run(verify, LIMIT).await;
    assert!(verified.status.success(), "{verified:?}");
    let summary: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(summary["compared"], ended["total_num"], "{summary}");
}

pub(super) async fn fill(tools: &Tools, weed: &Weed, bucket: &str, size: &Size) {
    let mut fill = tools.script("fill.py");
    fill.args(weed.arguments()).arg(bucket);
    fill.args([
        "--objects",
        &size.small.to_string(),
        "--size",
        &size.bytes.to_string(),
    ]);
    fill.args(["--large", size.large, "--zoo", "--tags"]);
    let filled = run(fill, LIMIT).await;
    assert!(filled.status.success(), "{filled:?}");
}

pub(super) async fn empty_bucket(tools: &Tools, weed: &Weed) {
    let mut fill = tools.script("fill.py");
    fill.args(weed.arguments()).args([TARGET, "--objects", "0"]);
    let made = run(fill, LIMIT).await;
    assert!(made.status.success(), "{made:?}");
}

pub(super) fn order(source: &Weed, target: &Weed) -> Value {
    json!({
        "task_type": "object",
        "src_node": {
            "region": "us-east-1", "endpoint": source.url, "bucket": SOURCE, "cloud_type": "AWS", "object_key": "",
            "ak": source.access_key, "sk": source.secret_key,
        },
        "dst_node": {
            "region": "us-east-1", "endpoint": target.url, "bucket": TARGET, "object_key": "",
            "ak": target.access_key, "sk": target.secret_key,
        },
        "enableKMS": false,
        "thread_num": 32,
    })
}

fn keys(source: &Weed, target: &Weed) -> Value {
    json!({
        "operation": "start",
        "source_ak": source.access_key, "source_sk": source.secret_key,
        "target_ak": target.access_key, "target_sk": target.secret_key,
    })
}
