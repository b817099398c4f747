//! What users and operators ask of several workers: stops, limits, and what a worker must have to begin.

use std::time::{Duration, Instant};

use oms::sandbox::{Operation, SandboxObject};
use serde_json::json;

use super::cluster::{Cluster, PREFIXES, SEAL_KEY, worker_command};
use crate::support::rig::{SOURCE, TIMEOUT};
use crate::support::service::start_body;
use crate::support::tools::{Need, require, run};
use crate::support::wait::until;

#[tokio::test]
async fn a_stop_ends_the_requests_of_all_workers() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let cluster = Cluster::start(&tools, 3).await;
    cluster.fill(&PREFIXES, 24);
    cluster.slow_down(Duration::from_millis(6));
    let task = cluster.create(&PREFIXES).await;
    for _ in 0..2 {
        cluster.until_all_hold(task, &[0, 1, 2]).await;
        let paused = cluster.pause(task).await;
        let held = "SELECT count(*) FROM shards WHERE held_by IS NOT NULL";
        assert_eq!(cluster.number(held).await, 0, "{paused:#}");
        assert_eq!(cluster.coordinator(task).await, None);
        cluster.order(task, &start_body(&cluster.stores)).await;
    }
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn workers_share_the_bandwidth_of_a_task() {
    const LIMIT: u32 = 5_000_000;
    const SIZE: usize = 100_000;
    const OBJECTS: u32 = 450;
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut cluster = Cluster::start(&tools, 1).await;
    for n in 0..OBJECTS {
        let prefix = PREFIXES[usize::try_from(n).unwrap() % PREFIXES.len()];
        let object = SandboxObject::new(vec![0; SIZE]);
        cluster
            .stores
            .source
            .put(SOURCE, &format!("{prefix}{n:05}"), object);
    }
    let task = cluster
        .create_with(&PREFIXES, |body| {
            body["bandwidth_policy"] = json!([{"start": "00:00", "end": "23:59", "max_bandwidth": LIMIT}]);
        })
        .await;
    until("the first object is read", async || {
        cluster.stores.source.requests_count(Operation::GetObject) > 0
    })
    .await;
    let began = Instant::now();
    cluster.worker().await;
    cluster.worker().await;
    cluster.until_all_hold(task, &[0, 1, 2]).await;
    cluster.caller.wait_until_succeeded(task).await;
    let took = began.elapsed().as_secs_f64();
    let speed = f64::from(OBJECTS) * 100_000.0 / took;
    assert!(
        speed <= 1.1 * f64::from(LIMIT),
        "{speed} bytes per second, {took} seconds"
    );
    cluster.succeeds(task).await;
}

#[tokio::test]
async fn a_worker_that_cannot_take_part_says_why_and_ends() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let cluster = Cluster::start(&tools, 0).await;
    let other_key = SEAL_KEY.replace('5', "6");
    let empty = cluster.postgres().database("empty").await;
    let no_server = cluster
        .url
        .replace(&format!(":{}/", cluster.postgres().addr().port()), ":1/");
    let password = cluster.url.split([':', '@']).nth(2).unwrap().to_owned();
    let wrong_password = cluster.url.replace(&password, "wrong-canary");
    // The last one changes the ledger.
    for (what, url, key, change, said) in [
        (
            "another sealing key",
            &cluster.url,
            other_key.as_str(),
            "",
            "the sealing key is not the one",
        ),
        ("no schema", &empty, SEAL_KEY, "", "`oms serve` first"),
        (
            "no server",
            &no_server,
            SEAL_KEY,
            "",
            "open the ledger on 127.0.0.1:1/",
        ),
        (
            "a wrong password",
            &wrong_password,
            SEAL_KEY,
            "",
            "open the ledger on 127.0.0.1",
        ),
        (
            "a newer schema",
            &cluster.url,
            SEAL_KEY,
            "INSERT INTO _sqlx_migrations SELECT version + 1, 'newer', now(), true, checksum, 1 FROM _sqlx_migrations",
            "its schema is of another version",
        ),
    ] {
        if !change.is_empty() {
            cluster.sql(change).await;
        }
        let mut command = worker_command(url);
        command.env("OMS_SEAL_KEY", key);
        let ran = run(command, TIMEOUT).await;
        assert_eq!(ran.status.code(), Some(1), "{what}: {}", ran.shown());
        let text = ran.stderr.as_str();
        assert!(text.contains(said), "{what}: {}", ran.shown());
        assert!(!ran.stdout.contains("is ready"), "{what}: {}", ran.shown());
        for secret in [password.as_str(), "wrong-canary", SEAL_KEY, &other_key] {
            assert!(!ran.shown().contains(secret), "{what}: {}", ran.shown());
        }
    }
}
