//! Workers that stand still for longer than their leases, and workers whose clocks are wrong.

use std::process::Command;
use std::time::Duration;

use oms::sandbox::{SandboxObject, SandboxOptions, Support};
use serde_json::json;

use super::cluster::{Cluster, PREFIXES, short_pages};
use crate::support::rig::{SOURCE, Stores, TIMEOUT};
use crate::support::tools::{Need, Tools, find, require, succeed};
use crate::support::wait::until;

/// Size of the objects that are under way when a worker is stopped.
const LARGE: usize = 1_500_000;
/// The lowest limit that the API takes, in bytes per second.
const LOWEST_LIMIT: i64 = 5_000_000;

/// A cluster of two workers with a task that both take part in: with large objects that are on their way for a while. The target
/// does not help to keep late writes out.
async fn under_way(tools: &Tools) -> (Cluster, i64) {
    let careless = SandboxOptions {
        conditional_writes: Support::Ignored,
        ..short_pages()
    };
    let stores = Stores::with(short_pages(), careless).await;
    let cluster = Cluster::between(tools, stores, 2).await;
    cluster.fill(&PREFIXES, 6);
    for prefix in PREFIXES {
        let object = SandboxObject::new(vec![prefix.as_bytes()[0]; LARGE]);
        cluster
            .stores
            .source
            .put(SOURCE, &format!("{prefix}00005.large"), object);
    }
    let task = cluster
        .create_with(&PREFIXES, |body| {
            body["bandwidth_policy"] = json!([
                {"start": "00:00", "end": "23:59", "max_bandwidth": LOWEST_LIMIT}
            ]);
        })
        .await;
    cluster.until_all_hold(task, &[0, 1]).await;
    (cluster, task)
}

/// Lets a task be as fast as it can, unless it is over.
async fn lift_limit(cluster: &Cluster, task: i64) {
    let no_limit = json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": []});
    cluster.order(task, &no_limit).await;
}

async fn a_stopped_worker_changes_nothing_after_its_leases(cluster: &Cluster, task: i64, stopped: usize) {
    let under_way = format!(
        "SELECT count(*) FROM shards s JOIN workers w ON w.id = s.held_by \
         WHERE w.name = 'w{stopped}' AND s.closed = 0 AND s.bytes_in_flight > 0"
    );
    cluster
        .until_sql("a large object is under way", 1, &under_way)
        .await;
    cluster.signal(stopped, "STOP");
    lift_limit(cluster, task).await;
    let shown = cluster.succeeds(task).await;
    let objects = cluster.objects();
    cluster.wake_up(stopped).await;
    // A request whose body was handed over whole before the worker stood still may be completed now; nothing can call it back.
    // It writes the same version again.
    assert_eq!(cluster.objects(), objects, "{}", cluster.log(stopped));
    cluster.check(task, &shown).await;
    // It takes part in the next task.
    cluster.stop_others(stopped);
    cluster.fill(&["next/"], 5);
    let next = cluster.create(&["next/"]).await;
    cluster.succeeds(next).await;
}

#[tokio::test]
async fn a_worker_that_stood_still_longer_than_its_leases_changes_nothing_more() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let (cluster, task) = under_way(&tools).await;
    let member = 1 - cluster.coordinator(task).await.unwrap();
    a_stopped_worker_changes_nothing_after_its_leases(&cluster, task, member).await;
}

#[tokio::test]
async fn a_holder_of_the_task_that_stood_still_longer_than_its_leases_changes_nothing_more() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let (cluster, task) = under_way(&tools).await;
    let coordinator = cluster.coordinator(task).await.unwrap();
    a_stopped_worker_changes_nothing_after_its_leases(&cluster, task, coordinator).await;
}

#[tokio::test]
async fn a_worker_that_stood_still_takes_part_again() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let (cluster, task) = under_way(&tools).await;
    for stopped in [0, 1] {
        cluster.signal(stopped, "STOP");
        until(
            "the other worker has its shards, or the task is over",
            async || cluster.shards_of(stopped).await == 0,
        )
        .await;
        cluster.signal(stopped, "CONT");
    }
    lift_limit(&cluster, task).await;
    cluster.succeeds(task).await;
}

/// What `faketime` loads into the programs that it starts. It stays their parent, so a test that kills it would leave them behind.
async fn faketime_library() -> String {
    let mut command = Command::new(find("faketime").unwrap());
    command.args(["-f", "+1h", "sh", "-c", "echo $LD_PRELOAD"]);
    succeed(command, TIMEOUT).await.trim().to_owned()
}

#[tokio::test]
async fn workers_with_wrong_clocks_keep_their_leases() {
    let Some(tools) = require(&[Need::Postgres, Need::Faketime]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 1).await;
    let (url, library) = (cluster.url.clone(), faketime_library().await);
    for offset in ["+1h", "-1h"] {
        let wrong_clock = |mut command: Command| {
            // Timers stay right. Two names, for older and newer versions.
            command
                .env("LD_PRELOAD", &library)
                .env("FAKETIME", offset)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("DONT_FAKE_MONOTONIC", "1");
            command
        };
        cluster.worker_with(wrong_clock, &url).await;
    }
    let workers = [0, 1, 2];
    cluster.fill(&PREFIXES, 12);
    cluster.slow_down(Duration::from_millis(6));
    let task = cluster.create(&PREFIXES).await;
    cluster.until_all_hold(task, &workers).await;
    cluster.succeeds(task).await;
    let first_line = |worker: usize| {
        let log = cluster.log(worker);
        let first = log.split_once(' ').map(|(time, _)| time.to_owned()).unwrap();
        first.parse::<jiff::Timestamp>().unwrap()
    };
    let apart = first_line(1).duration_since(first_line(2));
    assert!(apart.as_mins() > 100, "the clocks are right: {apart:?}");
    // All of them write and judge leases by the clock of the ledger.
    let now = cluster
        .number("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")
        .await;
    let off = cluster
        .number(&format!(
            "SELECT count(*) FROM shards WHERE abs(seen_at - {now}) > 600000"
        ))
        .await;
    assert_eq!(off, 0, "a worker has used its own clock");
}
