//! Several workers with a NATS server between them: work goes through its stream, and nothing depends on it.

use std::time::Duration;

use oms::dispatch::jetstream::JetStream;
use oms::dispatch::{WorkItem, WorkKind};
use oms::sandbox::{Fault, FaultRule, Operation};
use oms::task::TaskId;
use serde_json::{Value, json};

use super::cluster::{Cluster, PREFIXES, SEAL_KEY};
use super::jetstream::{info, settings};
use crate::support::nats::Nats;
use crate::support::proxy::{Mode, Proxy};
use crate::support::rig::TIMEOUT;
use crate::support::service::{TOKEN, start_body};
use crate::support::tools::{Need, Tools, require};
use crate::support::wait::until;

/// Objects below each prefix. Together with [`SLOWLY`], a task lasts much longer than a test, unless [`hurry`] lets it end.
const EACH: usize = 40;
/// Time between two writes at the target.
const SLOWLY: Duration = Duration::from_millis(50);
/// A part of each key, and of nothing else.
const PART_OF_KEYS: &str = "/0000";
/// How often it is tried to let the queue be faster than a look into the ledger.
const TRIES: usize = 20;

fn tools() -> Option<Tools> {
    require(&[Need::Postgres, Need::Nats])
}

/// The workers with a server and a client of the test.
async fn start(tools: &Tools, workers: usize) -> (Nats, JetStream, Cluster) {
    let nats = Nats::start(tools).await;
    let cluster = Cluster::with_queue(tools, &nats.url(), workers).await;
    let client = JetStream::connect(&settings(&nats.url())).await.unwrap();
    until_there(&nats).await;
    (nats, client, cluster)
}

/// What the server says of the stream.
async fn stream(nats: &Nats) -> Value {
    info(&nats.url(), "STREAM.INFO.OMS_WORK").await
}

/// What the server says of a queue.
async fn consumer(nats: &Nats, kind: WorkKind) -> Value {
    let name = match kind {
        WorkKind::Task => "tasks",
        WorkKind::Shard => "shards",
    };
    info(&nats.url(), &format!("CONSUMER.INFO.OMS_WORK.{name}")).await
}

/// How many messages were delivered, each time counted.
async fn delivered(nats: &Nats, kind: WorkKind) -> u64 {
    let consumer = consumer(nats, kind).await;
    consumer["delivered"]["consumer_seq"].as_u64().unwrap_or_default()
}

/// Waits until the service has created the stream and both queues.
async fn until_there(nats: &Nats) {
    until("the queues are there", async || {
        let [tasks, shards] = [
            consumer(nats, WorkKind::Task).await,
            consumer(nats, WorkKind::Shard).await,
        ];
        tasks["error"].is_null() && shards["error"].is_null()
    })
    .await;
}

/// Waits until the stream has no message, and asserts that its files have no secret and no key of an object.
async fn ends(nats: &Nats, cluster: &Cluster) {
    until("the stream is empty", async || {
        stream(nats).await["state"]["messages"] == 0
    })
    .await;
    assert_discreet(nats, cluster);
}

#[track_caller]
fn assert_discreet(nats: &Nats, cluster: &Cluster) {
    nats.assert_store_free_of(&[
        cluster.stores.source.secret_key(),
        cluster.stores.source.access_key(),
        cluster.stores.target.secret_key(),
        cluster.stores.target.access_key(),
        "secret-canary",
        SEAL_KEY,
        TOKEN,
        PART_OF_KEYS,
    ]);
}

fn item(task: i64) -> WorkItem {
    WorkItem::Task(TaskId::new(task).unwrap())
}

/// What the queue holds of a task: its own message, and those of its shards.
async fn held(client: &JetStream, task: i64) -> Option<(usize, usize)> {
    let present = client.present().await.ok()?;
    let shards = present
        .iter()
        .filter(|found| found.kind() == WorkKind::Shard && found.task() == item(task).task());
    Some((usize::from(present.contains(&item(task))), shards.count()))
}

/// Creates a long task that these workers take part in, all of them with shards.
async fn under_way(cluster: &Cluster, workers: &[usize]) -> i64 {
    let task = create(cluster, "").await;
    cluster.until_all_hold(task, workers).await;
    task
}

/// Creates a long task. All keys begin with `part`.
async fn create(cluster: &Cluster, part: &str) -> i64 {
    let prefixes = PREFIXES.map(|prefix| format!("{part}{prefix}"));
    let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    cluster.fill(&prefixes, EACH);
    cluster.slow_down(SLOWLY);
    cluster.create(&prefixes).await
}

/// Lets tasks end soon.
fn hurry(cluster: &Cluster) {
    cluster.stores.target.faults().clear();
}

/// Lets this worker, the only one, have got a long task from the queue.
async fn got_from_the_queue(cluster: &Cluster, worker: usize, task: i64) {
    for _ in 0..TRIES {
        until("the worker holds the task", async || {
            cluster.coordinator(task).await == Some(worker)
        })
        .await;
        if handed_out(cluster, worker, "a task", task) {
            return;
        }
        // It was faster with a look into the ledger.
        cluster.pause(task).await;
        cluster.caller.update(task, &start_body(&cluster.stores)).await;
    }
    panic!("the queue never hands out a task first");
}

/// Whether a worker has logged that the queue has handed out something to it.
fn handed_out(cluster: &Cluster, worker: usize, what: &str, task: i64) -> bool {
    let said = format!("the queue has handed out {what}");
    let item = format!("item=oms.work.task.{task}");
    let log = cluster.log(worker);
    log.lines()
        .any(|line| line.contains(&said) && line.contains(&item))
}

#[tokio::test]
async fn work_goes_through_the_queue() {
    let Some(tools) = tools() else { return };
    let (nats, _client, cluster) = start(&tools, 3).await;
    let task = under_way(&cluster, &[0, 1, 2]).await;
    until("the task and shards of it were handed out", async || {
        delivered(&nats, WorkKind::Task).await > 0 && delivered(&nats, WorkKind::Shard).await > 0
    })
    .await;
    assert!(stream(&nats).await["state"]["last_seq"].as_u64() >= Some(2));
    hurry(&cluster);
    cluster.succeeds(task).await;
    ends(&nats, &cluster).await;
}

#[tokio::test]
async fn a_lost_store_is_filled_again_while_holders_go_on() {
    let Some(tools) = tools() else { return };
    let (mut nats, _client, cluster) = start(&tools, 2).await;
    let task = under_way(&cluster, &[0, 1]).await;
    let holder = format!("SELECT held_by, fencing_token FROM tasks WHERE id = {task}");
    let before = cluster.sql(&holder).await;
    nats.kill();
    nats.wipe();
    let done = cluster.caller.show(task).await["success_num"].as_i64().unwrap();
    cluster.caller.wait_for_objects(task, done + 20).await;
    nats.restart().await;
    until_there(&nats).await;
    until("open shards are offered again", async || {
        delivered(&nats, WorkKind::Shard).await > 0
    })
    .await;
    assert_eq!(cluster.sql(&holder).await, before, "{}", cluster.log(0));
    hurry(&cluster);
    cluster.succeeds(task).await;
    ends(&nats, &cluster).await;
}

#[tokio::test]
async fn a_holder_that_is_cut_from_the_queue_alone_keeps_its_task() {
    let Some(tools) = tools() else { return };
    let (nats, client, mut cluster) = start(&tools, 0).await;
    let proxy = Proxy::to(nats.addr()).await;
    let (url, queue) = (cluster.url.clone(), format!("nats://{}", proxy.addr()));
    let cut = cluster
        .worker_with(
            |mut command| {
                command.env("OMS_NATS_URL", queue);
                command
            },
            &url,
        )
        .await;
    let task = create(&cluster, "").await;
    got_from_the_queue(&cluster, cut, task).await;
    proxy.set(Mode::BlackHole);
    let other = cluster.worker().await;
    until("the other one finds the task held", async || {
        handed_out(&cluster, other, "what needs nobody here", task)
    })
    .await;
    until("the queue has no message of it", async || {
        held(&client, task).await.is_some_and(|(own, _)| own == 0)
    })
    .await;
    assert_eq!(cluster.coordinator(task).await, Some(cut));
    cluster.until_all_hold(task, &[cut, other]).await;
    proxy.set(Mode::Pass);
    hurry(&cluster);
    cluster.succeeds(task).await;
    assert!(!cluster.log(other).contains("task leased"));
    ends(&nats, &cluster).await;
}

#[tokio::test]
async fn a_worker_asks_the_queue_for_no_more_than_it_can_do() {
    const TASKS: usize = 4;
    let Some(tools) = tools() else { return };
    let (nats, client, mut cluster) = start(&tools, 0).await;
    let url = cluster.url.clone();
    for _ in 0..2 {
        cluster
            .worker_with(
                |mut command| {
                    command.env("OMS_PARALLEL_TASKS", "1");
                    command
                },
                &url,
            )
            .await;
    }
    let waiting = async |wanted: u64| {
        let [tasks, shards] = [
            consumer(&nats, WorkKind::Task).await,
            consumer(&nats, WorkKind::Shard).await,
        ];
        tasks["num_waiting"] == wanted && shards["num_waiting"] == wanted
    };
    until("each worker asks for a task and a shard", async || {
        waiting(2).await
    })
    .await;
    cluster.slow_down(SLOWLY);
    let mut tasks = Vec::new();
    for prefix in PREFIXES.into_iter().take(TASKS) {
        cluster.fill(&[prefix], EACH);
        tasks.push(cluster.create(&[prefix]).await);
    }
    until("each worker has a task", async || {
        let running = "SELECT count(DISTINCT held_by) FROM tasks WHERE state = 'running'";
        cluster.number(running).await == 2
    })
    .await;
    until("they ask for nothing more", async || waiting(0).await).await;
    let idle = "SELECT count(*) FROM tasks WHERE state = 'waiting'";
    assert_eq!(cluster.number(idle).await, 2);
    let present = client.present().await.unwrap();
    let left = present
        .iter()
        .filter(|found| found.kind() == WorkKind::Task)
        .count();
    assert!((2..=TASKS).contains(&left), "{present:?}");
    hurry(&cluster);
    for task in &tasks {
        cluster.caller.wait_until_succeeded(*task).await;
    }
    for task in tasks {
        let shown = cluster.caller.show(task).await;
        cluster.check(task, &shown).await;
    }
    cluster.stores.assert_same();
    ends(&nats, &cluster).await;
    until("each worker asks again, and once", async || waiting(2).await).await;
}

#[tokio::test]
async fn a_late_acknowledgement_of_an_earlier_holder_loses_nothing() {
    let Some(tools) = tools() else { return };
    let (nats, client, mut cluster) = start(&tools, 1).await;
    // One shard of which nothing can be split off, so that nobody can take part who does not hold the task.
    let prefixes = &PREFIXES[..1];
    cluster.fill(prefixes, 3);
    let hangs = FaultRule::new(Operation::GetObject, Fault::Delay(Duration::from_secs(600)));
    cluster.stores.source.faults().add(hangs);
    let task = cluster.create(prefixes).await;
    got_from_the_queue(&cluster, 0, task).await;
    let question = json!({"last_by_subj": item(task).subject()}).to_string();
    let raw = async_nats::connect(nats.url()).await.unwrap();
    let answer = raw.request("$JS.API.STREAM.MSG.GET.OMS_WORK", question.into());
    let message: Value = serde_json::from_slice(&answer.await.unwrap().payload).unwrap();
    let sequence = message["message"]["seq"].as_u64().unwrap();
    let other = cluster.worker().await;
    cluster.signal(0, "STOP");
    until("the other worker holds the task", async || {
        cluster.coordinator(task).await == Some(other)
    })
    .await;
    // What the first worker could say of its delivery.
    let late = format!("$JS.ACK.OMS_WORK.tasks.1.{sequence}.1.1.0");
    raw.publish(late, "+ACK".into()).await.unwrap();
    until("the queue has no message of the task", async || {
        held(&client, task).await.is_some_and(|(own, _)| own == 0)
    })
    .await;
    cluster.kill(other);
    cluster.stores.source.faults().clear();
    cluster.signal(0, "CONT");
    cluster.succeeds(task).await;
    ends(&nats, &cluster).await;
}

#[tokio::test]
async fn an_older_copy_of_the_store_is_no_work() {
    let Some(tools) = tools() else { return };
    let (mut nats, client, cluster) = start(&tools, 2).await;
    let task = under_way(&cluster, &[0, 1]).await;
    // Nobody takes what is offered now.
    for worker in [0, 1] {
        cluster.signal(worker, "STOP");
    }
    until("the task and its shards are offered", async || {
        held(&client, task)
            .await
            .is_some_and(|(own, shards)| own == 1 && shards > 10)
    })
    .await;
    nats.stop().await;
    assert_discreet(&nats, &cluster);
    let copy = nats.copy_store().await;
    nats.restart().await;
    for worker in [0, 1] {
        cluster.signal(worker, "CONT");
    }
    hurry(&cluster);
    cluster.succeeds(task).await;
    ends(&nats, &cluster).await;

    // Another task is under way when the messages of the first one come back, and its own are lost.
    let next = create(&cluster, "next/").await;
    cluster.until_all_hold(next, &[0, 1]).await;
    nats.kill();
    nats.restore(&copy).await;
    nats.restart().await;
    until_there(&nats).await;
    until("the messages of the first task are gone", async || {
        held(&client, task).await == Some((0, 0))
    })
    .await;
    hurry(&cluster);
    cluster.succeeds(next).await;
    ends(&nats, &cluster).await;
}

#[tokio::test]
async fn a_stop_does_not_need_the_queue() {
    let Some(tools) = tools() else { return };
    let (mut nats, _client, cluster) = start(&tools, 3).await;
    let task = under_way(&cluster, &[0, 1, 2]).await;
    nats.kill();
    let paused = cluster.pause(task).await;
    let held = "SELECT count(*) FROM shards WHERE held_by IS NOT NULL";
    assert_eq!(cluster.number(held).await, 0, "{paused:#}");
    // Nor does a start.
    cluster.caller.update(task, &start_body(&cluster.stores)).await;
    cluster.until_all_hold(task, &[0, 1, 2]).await;
    nats.restart().await;
    hurry(&cluster);
    cluster.succeeds(task).await;
    ends(&nats, &cluster).await;
}

#[tokio::test]
async fn work_is_found_without_the_queue() {
    let Some(tools) = tools() else { return };
    let mut nats = Nats::start(&tools).await;
    nats.kill();
    let cluster = Cluster::with_queue(&tools, &nats.url(), 2).await;
    let first = under_way(&cluster, &[0, 1]).await;
    hurry(&cluster);
    cluster.succeeds(first).await;
    // The queue is there later.
    nats.restart().await;
    let client = JetStream::connect(&settings(&nats.url())).await.unwrap();
    client.connected(TIMEOUT).await.unwrap();
    until_there(&nats).await;
    cluster.fill(&["next/"], 5);
    let next = cluster.create(&["next/"]).await;
    cluster.succeeds(next).await;
    until("the task was handed out", async || {
        delivered(&nats, WorkKind::Task).await > 0
    })
    .await;
    ends(&nats, &cluster).await;
}
