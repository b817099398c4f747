//! A ledger that is out of reach for all workers or for one of them, and answers that are lost.

use std::time::Duration;

use serde_json::json;

use super::cluster::{Cluster, LEASE, PREFIXES};
use crate::support::proxy::{Mode, Proxy};
use crate::support::service::{PAUSED, RUNNING, SUCCEEDED, start_body};
use crate::support::tools::{Need, require};
use crate::support::wait::until;

/// Objects below each prefix.
const EACH: usize = 12;
/// Time between two writes at the target.
const SLOWLY: Duration = Duration::from_millis(6);

/// Starts a worker whose connections to the ledger go through a proxy.
async fn worker_behind_a_proxy(cluster: &mut Cluster) -> (usize, Proxy) {
    let addr = cluster.postgres().addr();
    let proxy = Proxy::to(addr).await;
    let url = cluster.url.replace(&addr.to_string(), &proxy.addr().to_string());
    let worker = cluster.worker_with(|command| command, &url).await;
    (worker, proxy)
}

#[tokio::test]
async fn a_restart_and_a_crash_of_the_ledgers_server_change_no_count() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::on_own_server(&tools, 2).await;
    cluster.fill(&PREFIXES, EACH);
    cluster.slow_down(SLOWLY);
    let task = cluster.create(&PREFIXES).await;
    cluster.until_all_hold(task, &[0, 1]).await;
    cluster.own_postgres().restart().await;
    cluster.caller.wait_for_objects(task, 120).await;
    cluster.own_postgres().kill();
    cluster.own_postgres().restart().await;
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn commits_whose_answers_are_lost_count_once() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 1).await;
    let (unlucky, proxy) = worker_behind_a_proxy(&mut cluster).await;
    cluster.fill(&PREFIXES, EACH);
    cluster.slow_down(SLOWLY);
    let task = cluster.create(&PREFIXES).await;
    cluster.until_all_hold(task, &[0, unlucky]).await;
    let mut lost = 0;
    while cluster.caller.show(task).await["status"] != SUCCEEDED {
        if proxy.mode() == Mode::Pass {
            lost += 1;
            proxy.set(Mode::LoseAnswer { to: "COMMIT" });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(lost > 5, "{lost}");
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn a_worker_without_the_ledger_leaves_its_shards_to_others() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 1).await;
    let (cut, proxy) = worker_behind_a_proxy(&mut cluster).await;
    cluster.fill(&PREFIXES, EACH);
    cluster.slow_down(SLOWLY);
    let task = cluster.create(&PREFIXES).await;
    cluster.until_all_hold(task, &[0, cut]).await;
    proxy.set(Mode::BlackHole);
    cluster.succeeds(task).await;
    // It takes part again when the ledger is back.
    proxy.set(Mode::Pass);
    cluster.stop_others(cut);
    cluster.fill(&["next/"], 5);
    let next = cluster.create(&["next/"]).await;
    cluster.succeeds(next).await;
}

#[tokio::test]
async fn a_stop_waits_for_the_leases_of_a_worker_without_the_ledger() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 2).await;
    let (cut, proxy) = worker_behind_a_proxy(&mut cluster).await;
    cluster.fill(&PREFIXES, 2 * EACH);
    cluster.slow_down(SLOWLY);
    let task = cluster.create(&PREFIXES).await;
    cluster.until_all_hold(task, &[0, 1, cut]).await;
    proxy.set(Mode::BlackHole);
    let seen_at = cluster
        .number(&format!(
            "SELECT coalesce(max(s.seen_at), 0) FROM shards s JOIN workers w ON w.id = s.held_by WHERE w.name = 'w{cut}' AND s.closed = 0"
        ))
        .await;
    // The others continue.
    let now = cluster.caller.show(task).await["success_num"].as_i64().unwrap();
    cluster.caller.wait_for_objects(task, now + 10).await;
    cluster.order(task, &json!({"operation": "stop"})).await;
    until("it is paused", async || {
        let status = cluster.caller.show(task).await["status"].clone();
        let clock = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
        // The worker may still copy. Only the end of its lease says that it does not.
        let holds = cluster.number(clock).await < seen_at + LEASE;
        assert!(status == RUNNING || status == PAUSED && !holds, "{status}");
        status == PAUSED
    })
    .await;
    cluster.assert_quiet().await;
    proxy.set(Mode::Pass);
    cluster.order(task, &start_body(&cluster.stores)).await;
    cluster.succeeds(task).await;
}
