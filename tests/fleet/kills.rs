//! Workers that are killed at once, as by a power cut.

use std::collections::BTreeMap;
use std::time::Duration;

use oms::sandbox::{Fault, FaultRule, Operation};
use serde_json::json;

use super::cluster::{Cluster, LEASE, PREFIXES};
use crate::support::service::{FAILED, start_body};
use crate::support::tools::{Need, require};
use crate::support::wait::until;

/// Objects below each prefix.
const EACH: usize = 12;
/// Time between two writes at the target.
const SLOWLY: Duration = Duration::from_millis(6);

/// A cluster with a task that these workers take part in, all of them with shards. Returns the one that holds the task, too.
async fn under_way(cluster: &Cluster, workers: &[usize]) -> (i64, usize) {
    cluster.fill(&PREFIXES, EACH);
    cluster.slow_down(SLOWLY);
    let task = cluster.create(&PREFIXES).await;
    cluster.until_all_hold(task, workers).await;
    let coordinator = cluster.coordinator(task).await.unwrap();
    (task, coordinator)
}

/// The open shards of a worker: their numbers, with the fencing token of the lease and when the worker last wrote.
async fn shards(cluster: &Cluster, only: &str) -> BTreeMap<i64, (i64, i64)> {
    let sql = format!(
        "SELECT s.number, s.fencing_token, s.seen_at FROM shards s JOIN workers w ON w.id = s.held_by \
         WHERE s.closed = 0 AND {only}"
    );
    let text = cluster.sql(&sql).await;
    let lines = text.lines().map(|line| {
        let numbers: Vec<i64> = line.split('|').map(|n| n.parse().unwrap()).collect();
        (numbers[0], (numbers[1], numbers[2]))
    });
    lines.collect()
}

/// Kills a worker in the middle of its shards and asserts that another one has each of them only when the lease has ended.
async fn kill_mid_shard(cluster: &mut Cluster, victim: usize) {
    cluster.kill(victim);
    let of_victim = format!("w.name = 'w{victim}'");
    let lost = shards(cluster, &of_victim).await;
    assert!(!lost.is_empty());
    let cluster = &*cluster;
    until("others have the shards of the killed worker", async || {
        for (number, (token, seen_at)) in shards(cluster, "true").await {
            if let Some((before, last)) = lost.get(&number)
                && *before != token
            {
                assert!(seen_at - last >= LEASE, "shard {number} changed hands too soon");
            }
        }
        cluster.shards_of(victim).await == 0
    })
    .await;
}

#[tokio::test]
async fn a_killed_worker_is_replaced_when_its_leases_end() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    let (task, coordinator) = under_way(&cluster, &[0, 1]).await;
    let member = 1 - coordinator;
    kill_mid_shard(&mut cluster, member).await;
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn a_killed_holder_of_the_task_is_replaced_when_its_leases_end() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    let (task, coordinator) = under_way(&cluster, &[0, 1]).await;
    kill_mid_shard(&mut cluster, coordinator).await;
    // A worker that takes part in the task first does what it can find there.
    until("the other worker holds the task", async || {
        cluster.coordinator(task).await == Some(1 - coordinator)
    })
    .await;
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn other_workers_keep_their_shards_while_the_holder_of_the_task_is_replaced() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    let (task, coordinator) = under_way(&cluster, &[0, 1]).await;
    let member = 1 - coordinator;
    // This one has nothing else to do, so it comes to hold the task.
    let idle = cluster.worker().await;
    cluster.kill(coordinator);
    let of_member = format!("w.name = 'w{member}'");
    let before = shards(&cluster, &of_member).await;
    assert!(!before.is_empty());
    until("another worker holds the task", async || {
        cluster
            .coordinator(task)
            .await
            .is_some_and(|now| now != coordinator)
    })
    .await;
    let now = cluster.coordinator(task).await;
    assert!(now == Some(idle) || now == Some(member), "{now:?}");
    // No lease of the member was touched: what it still has, it has under the same lease.
    for (number, (token, _)) in shards(&cluster, "true").await {
        if let Some((before, _)) = before.get(&number) {
            assert_eq!(*before, token, "shard {number}");
        }
    }
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn a_killed_holder_of_the_task_is_replaced_while_it_finishes() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    cluster.fill(FEW, 4);
    // All objects are copied when the reports are written.
    let report = FaultRule::new(Operation::PutObject, Fault::Delay(Duration::from_secs(600)));
    let faults = cluster.stores.target.faults();
    faults.add(report.key_prefix("oms/task/"));
    let task = cluster.create(FEW).await;
    until("a report is written", async || faults.fired() > 0).await;
    let first = cluster.coordinator(task).await.unwrap();
    cluster.kill(first);
    cluster.stores.target.faults().clear();
    cluster.succeeds(task).await;
    assert!(cluster.log(1 - first).contains("state=\"succeeded\""));
}

/// Some of the prefixes.
const FEW: &[&str] = PREFIXES.split_at(6).0;
/// The last object below them, if each has four.
const LAST: &str = "05/00003";

/// Creates a task and waits until all objects are copied but the last one, which the source does not send.
async fn last_object(cluster: &Cluster) -> i64 {
    cluster.fill(FEW, 4);
    let source = cluster.stores.source.faults();
    let hangs = FaultRule::new(Operation::GetObject, Fault::Delay(Duration::from_secs(600)));
    source.add(hangs.key(LAST));
    let task = cluster.create(FEW).await;
    let all = i64::try_from(FEW.len() * 4).unwrap();
    cluster.caller.wait_for_objects(task, all - 1).await;
    task
}

/// Kills the worker that has asked for the last object, so many times, and replaces it each time.
async fn kill_at_last_object(cluster: &mut Cluster, times: u64) {
    for kill in 1..=times {
        let faults = cluster.stores.source.faults();
        until("the last object is asked for", async || faults.fired() >= kill).await;
        let sql = "SELECT w.name FROM shards s JOIN workers w ON w.id = s.held_by WHERE s.closed = 0";
        let holder = cluster.sql(sql).await;
        cluster.kill(holder.strip_prefix('w').unwrap().parse().unwrap());
        cluster.worker().await;
    }
}

#[tokio::test]
async fn a_task_whose_workers_are_killed_at_the_last_object_finishes() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    let task = last_object(&cluster).await;
    // One more would be too often.
    kill_at_last_object(&mut cluster, 4).await;
    cluster.stores.source.faults().clear();
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn a_shard_that_ends_each_worker_fails_the_task_and_is_named() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    let task = last_object(&cluster).await;
    let number = cluster.number("SELECT number FROM shards WHERE closed = 0").await;
    kill_at_last_object(&mut cluster, 5).await;
    let ended = cluster
        .caller
        .wait(task, "end", |task| task["status"] == FAILED)
        .await;
    let reason = ended["error_reason"]["error_msg"].as_str().unwrap();
    assert!(reason.contains(&format!("shard {number} ")), "{ended:#}");
    assert_eq!(ended["success_num"], json!(FEW.len() * 4 - 1), "{ended:#}");
    // A user who has removed the cause starts it again.
    cluster.stores.source.faults().clear();
    cluster.order(task, &start_body(&cluster.stores)).await;
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn workers_that_are_replaced_one_after_another_make_progress() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    cluster.fill(&PREFIXES, 2 * EACH);
    cluster.slow_down(SLOWLY);
    let task = cluster.create(&PREFIXES).await;
    let mut done = 0;
    for oldest in 0..4 {
        let now = cluster.caller.wait_for_objects(task, done + 20).await["success_num"].as_i64();
        cluster.worker().await;
        let ended = cluster.terminate(oldest).await;
        assert_eq!(ended.code(), Some(0), "{}", cluster.log(oldest));
        assert_eq!(cluster.shards_of(oldest).await, 0, "it has left its shards");
        assert_ne!(cluster.coordinator(task).await, Some(oldest), "and the task");
        let shown = cluster.caller.show(task).await["success_num"].as_i64();
        assert!(shown >= now, "{shown:?} {now:?}");
        done = shown.unwrap();
    }
    cluster.succeeds(task).await;
}
