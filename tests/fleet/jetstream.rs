//! The client of the work queue at a real NATS server: what is delivered to whom, and what survives failures of the server.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _};
use oms::dispatch::jetstream::{Delivery, JetStream, NatsSettings, Offered};
use oms::dispatch::{WorkItem, WorkKind};
use oms::error::ErrorKind;
use oms::secret::Secret;
use oms::task::TaskId;
use serde_json::{Value, json};

use super::local_nats::Nats;
use crate::support::rig::TIMEOUT;
use crate::support::tools::{Need, Tools, require};
use crate::support::wait::until;

/// Longer than any test: what is delivered again earlier has another reason.
const LONG: Duration = Duration::from_secs(3600);
/// Short, to wait for its end.
const SHORT: Duration = Duration::from_secs(1);

pub fn settings(url: &str) -> NatsSettings {
    NatsSettings {
        url: Secret::new(url),
        creds_file: None,
        nkey_file: None,
        ca_file: None,
    }
}

async fn connect(nats: &Nats) -> JetStream {
    let client = JetStream::connect(&settings(&nats.url())).await.unwrap();
    client.connected(TIMEOUT).await.unwrap();
    client
}

/// A server whose stream is set up, and a client.
async fn start(tools: &Tools, ack_wait: Duration) -> (Nats, JetStream) {
    let nats = Nats::start(tools).await;
    let client = connect(&nats).await;
    client.set_up(10, 1, ack_wait).await.unwrap();
    (nats, client)
}

pub fn tools() -> Option<Tools> {
    let tools = require(&[Need::Python])?;
    // The Python tools contain the server.
    let there = tools.python_bin("nats-server").is_file();
    let all = std::env::var_os("TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(there || !all, "missing: nats-server");
    there.then_some(tools)
}

pub fn task(id: i64) -> TaskId {
    TaskId::new(id).unwrap()
}

pub fn shard(number: i64) -> WorkItem {
    WorkItem::Shard {
        task: task(7),
        pass: 1,
        number,
    }
}

/// Pulls until an item arrives, whatever goes wrong meanwhile.
async fn take(client: &JetStream, kind: WorkKind) -> Delivery {
    let end = Instant::now() + TIMEOUT;
    loop {
        match client.pull(kind).await {
            Ok(Some(delivery)) => return delivery,
            Ok(None) => {}
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::NotFound
                ),
                "{error:?}"
            ),
        }
        assert!(Instant::now() < end, "waited too long for an item");
    }
}

async fn take_shard(client: &JetStream) -> Delivery {
    take(client, WorkKind::Shard).await
}

/// What the server says of an object of the stream: `STREAM.INFO.OMS_WORK`, `CONSUMER.INFO.OMS_WORK.shards`.
pub async fn info(url: &str, what: &str) -> Value {
    let client = async_nats::connect(url).await.unwrap();
    let answer = client
        .request(format!("$JS.API.{what}"), "".into())
        .await
        .unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

async fn in_flight(nats: &Nats) -> u64 {
    let info = info(&nats.url(), "CONSUMER.INFO.OMS_WORK.shards").await;
    info["num_ack_pending"].as_u64().unwrap()
}

/// Waits until the stream has exactly these items.
async fn until_present(client: &JetStream, items: &[WorkItem]) {
    let wanted: HashSet<WorkItem> = items.iter().copied().collect();
    until("the stream has the items", async || {
        client.present().await.is_ok_and(|found| found == wanted)
    })
    .await;
}

#[tokio::test]
async fn an_item_is_in_the_stream_once_until_it_is_acknowledged() {
    let Some(tools) = tools() else { return };
    let (_nats, client) = start(&tools, SHORT).await;
    for item in [shard(1), WorkItem::Task(task(7))] {
        assert_eq!(client.offer(&item).await.unwrap(), Offered::Published);
        assert_eq!(client.offer(&item).await.unwrap(), Offered::Present, "waiting");
        let first = take(&client, item.kind()).await;
        assert_eq!(first.item, item);
        assert_eq!(client.offer(&item).await.unwrap(), Offered::Present, "in flight");
        // The first worker says nothing more, so the item is delivered again.
        let second = take(&client, item.kind()).await;
        assert_eq!(second.item, item);
        assert_eq!(
            client.offer(&item).await.unwrap(),
            Offered::Present,
            "redelivered"
        );
        assert_eq!(client.present().await.unwrap(), HashSet::from([item]));
        second.ack().await.unwrap();
        until_present(&client, &[]).await;
        assert_eq!(client.offer(&item).await.unwrap(), Offered::Published);
        take(&client, item.kind()).await.ack().await.unwrap();
        until_present(&client, &[]).await;
    }
}

#[tokio::test]
async fn an_item_that_is_given_back_comes_again_after_the_delay() {
    let Some(tools) = tools() else { return };
    let (_nats, client) = start(&tools, LONG).await;
    client.offer(&shard(1)).await.unwrap();
    take_shard(&client).await.nak(Duration::ZERO).await.unwrap();
    let again = take_shard(&client).await;
    let delay = Duration::from_secs(1);
    let given_back = Instant::now();
    again.nak(delay).await.unwrap();
    take_shard(&client).await;
    assert!(given_back.elapsed() >= delay, "{:?}", given_back.elapsed());
}

#[tokio::test]
async fn progress_keeps_an_item() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, SHORT).await;
    let other = connect(&nats).await;
    client.offer(&shard(1)).await.unwrap();
    let held = take_shard(&client).await;
    let progress = async {
        loop {
            held.progress().await.unwrap();
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    // A pull waits longer than several deliveries last.
    tokio::select! {
        () = progress => {}
        pulled = other.pull(WorkKind::Shard) => assert!(pulled.unwrap().is_none()),
    }
    // Without progress it is lost.
    assert_eq!(take_shard(&other).await.item, shard(1));
}

#[tokio::test]
async fn what_a_late_acknowledgement_removes_is_offered_again() {
    let Some(tools) = tools() else { return };
    let (nats, slow) = start(&tools, SHORT).await;
    let other = connect(&nats).await;
    slow.offer(&shard(1)).await.unwrap();
    let late = take_shard(&slow).await;
    let current = take_shard(&other).await;
    late.ack().await.unwrap();
    // The server takes it for the other delivery: nats-server#4786.
    until_present(&other, &[]).await;
    // The other worker does not notice.
    current.progress().await.unwrap();
    // The poll finds that the item is missing.
    assert_eq!(other.offer(&shard(1)).await.unwrap(), Offered::Published);
    let again = take_shard(&other).await;
    assert_eq!(again.item, shard(1));
    again.ack().await.unwrap();
    until_present(&other, &[]).await;
}

#[tokio::test]
async fn a_stuck_item_is_offered_again() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, LONG).await;
    let other = connect(&nats).await;
    client.offer(&shard(1)).await.unwrap();
    client.offer(&shard(2)).await.unwrap();
    let _lost = take_shard(&client).await;
    assert_eq!(client.offer_again(&shard(1)).await.unwrap(), Offered::Published);
    let items = HashSet::from([take_shard(&other).await.item, take_shard(&other).await.item]);
    assert_eq!(items, HashSet::from([shard(1), shard(2)]));
    // It need not be there.
    assert_eq!(client.offer_again(&shard(3)).await.unwrap(), Offered::Published);
}

#[tokio::test]
async fn a_pull_takes_one_item_and_no_more() {
    let Some(tools) = tools() else { return };
    let (nats, one) = start(&tools, LONG).await;
    let two = connect(&nats).await;
    let items: Vec<WorkItem> = (1..=10).map(shard).collect();
    for item in &items {
        one.offer(item).await.unwrap();
    }
    let mut seen = HashSet::new();
    for number in 1..=5 {
        let (a, b) = tokio::join!(take_shard(&one), take_shard(&two));
        assert!(seen.insert(a.item) && seen.insert(b.item), "delivered twice");
        assert_eq!(in_flight(&nats).await, 2 * number);
    }
    assert_eq!(seen, items.into_iter().collect());
}

#[tokio::test]
async fn an_item_for_a_dropped_pull_goes_to_the_next_one() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, LONG).await;
    for number in 1..=3 {
        // Dropped at several places, also while the request is on its way.
        for moment in [0, 1, 20] {
            let pull = client.pull(WorkKind::Shard);
            let dropped = tokio::time::timeout(Duration::from_millis(moment), pull).await;
            assert!(dropped.is_err());
        }
        client.offer(&shard(number)).await.unwrap();
        // The server delivers it, although nobody waits.
        until("the item is delivered", async || {
            in_flight(&nats).await == number.unsigned_abs()
        })
        .await;
        assert_eq!(take_shard(&client).await.item, shard(number));
    }
    assert_eq!(in_flight(&nats).await, 3, "no item more than those");
}

#[tokio::test]
async fn an_item_for_a_dropped_pull_is_given_back() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, LONG).await;
    let other = connect(&nats).await;
    let pull = client.pull(WorkKind::Shard);
    let dropped = tokio::time::timeout(Duration::from_millis(100), pull).await;
    assert!(dropped.is_err());
    other.offer(&shard(1)).await.unwrap();
    until("the item is delivered", async || in_flight(&nats).await == 1).await;
    // The message of the delivery may still be on its way to the client.
    until("it is given back", async || {
        client.release().await.unwrap();
        other.pull(WorkKind::Shard).await.unwrap().is_some()
    })
    .await;
}

#[tokio::test]
async fn the_limit_of_parallel_tasks_is_the_fleets() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, LONG).await;
    client.set_up(1, 1, LONG).await.unwrap();
    let other = connect(&nats).await;
    for id in [1, 2] {
        client.offer(&WorkItem::Task(task(id))).await.unwrap();
    }
    let first = take(&client, WorkKind::Task).await;
    assert_eq!(first.item, WorkItem::Task(task(1)));
    assert!(other.pull(WorkKind::Task).await.unwrap().is_none());
    // Shards have a limit of their own.
    client.offer(&shard(1)).await.unwrap();
    take_shard(&other).await;
    first.ack().await.unwrap();
    assert_eq!(take(&other, WorkKind::Task).await.item, WorkItem::Task(task(2)));
}

#[tokio::test]
async fn a_message_that_names_no_work_is_removed() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, LONG).await;
    let raw = async_nats::connect(nats.url()).await.unwrap();
    for subject in ["oms.work.shard.nonsense", "oms.work.shard.1.2.03"] {
        raw.request(subject, "x".into()).await.unwrap();
    }
    client.offer(&shard(1)).await.unwrap();
    assert_eq!(client.present().await.unwrap(), HashSet::from([shard(1)]));
    take_shard(&client).await.ack().await.unwrap();
    until("the stream is empty", async || {
        info(&nats.url(), "STREAM.INFO.OMS_WORK").await["state"]["messages"] == 0
    })
    .await;
}

#[tokio::test]
async fn a_pull_outlives_a_server_that_is_killed() {
    let Some(tools) = tools() else { return };
    let (mut nats, client) = start(&tools, LONG).await;
    let other = connect(&nats).await;
    let waiting = tokio::spawn(async move { take_shard(&client).await.item });
    until_a_pull_waits(&nats).await;
    nats.kill();
    until("the loss is noticed", async || {
        let offered = other.offer(&shard(1)).await;
        offered.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
    })
    .await;
    nats.restart().await;
    until("the item is offered", async || {
        other.offer(&shard(1)).await.is_ok()
    })
    .await;
    assert_eq!(waiting.await.unwrap(), shard(1));
}

#[tokio::test]
async fn a_pull_outlives_a_server_that_pauses() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, LONG).await;
    let other = connect(&nats).await;
    let pulls = tokio::spawn(async move {
        let first = take_shard(&client).await.item;
        (first, take_shard(&client).await.item)
    });
    until_a_pull_waits(&nats).await;
    nats.signal("STOP");
    // That takes longer than the pulling client waits for a heartbeat.
    until("the server is silent", async || {
        let present = other.present().await;
        present.is_err_and(|error| error.kind() == ErrorKind::Timeout)
    })
    .await;
    nats.signal("CONT");
    until("both are offered", async || {
        other.offer(&shard(1)).await.is_ok() && other.offer(&shard(2)).await.is_ok()
    })
    .await;
    let (first, second) = pulls.await.unwrap();
    assert_eq!(
        HashSet::from([first, second]),
        HashSet::from([shard(1), shard(2)])
    );
    assert_eq!(in_flight(&nats).await, 2);
}

async fn until_a_pull_waits(nats: &Nats) {
    until("a pull waits", async || {
        info(&nats.url(), "CONSUMER.INFO.OMS_WORK.shards").await["num_waiting"] == 1
    })
    .await;
}

#[tokio::test]
async fn a_lost_store_is_set_up_and_filled_again() {
    let Some(tools) = tools() else { return };
    let (mut nats, client) = start(&tools, LONG).await;
    client.offer(&shard(1)).await.unwrap();
    let held = take_shard(&client).await;
    let worker = connect(&nats).await;
    let waiting = tokio::spawn(async move { take_shard(&worker).await.item });
    until_a_pull_waits(&nats).await;
    nats.kill();
    nats.wipe();
    nats.restart().await;
    until("the stream is missed", async || {
        let present = client.present().await;
        present.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    })
    .await;
    let error = client.offer(&shard(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = client.pull(WorkKind::Task).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    client.set_up(10, 1, LONG).await.unwrap();
    assert_eq!(client.present().await.unwrap(), HashSet::new());
    assert_eq!(client.offer(&shard(1)).await.unwrap(), Offered::Published);
    assert_eq!(waiting.await.unwrap(), shard(1));
    held.progress().await.unwrap();
}

#[tokio::test]
async fn a_client_may_start_before_its_server() {
    let Some(tools) = tools() else { return };
    let mut nats = Nats::start(&tools).await;
    nats.kill();
    let client = JetStream::connect(&settings(&nats.url())).await.unwrap();
    let mut looks = client.looks().await.unwrap();
    for error in [
        client.connected(Duration::from_millis(1)).await.unwrap_err(),
        client.present().await.unwrap_err(),
        client.offer(&shard(1)).await.unwrap_err(),
        client.look(task(1)).await.unwrap_err(),
        client.ask_split(TIMEOUT).await.unwrap_err(),
        client.pull(WorkKind::Shard).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    nats.restart().await;
    client.set_up(10, 1, LONG).await.unwrap();
    client.offer(&shard(1)).await.unwrap();
    take_shard(&client).await;
    client.look(task(1)).await.unwrap();
    assert_eq!(looks.next().await, Some(task(1)));
}

#[tokio::test]
async fn settings_are_brought_up_to_date() {
    let Some(tools) = tools() else { return };
    let (nats, client) = start(&tools, LONG).await;
    client.offer(&shard(1)).await.unwrap();
    let ack_wait = Duration::from_millis(2500);
    client.set_up(3, 1, ack_wait).await.unwrap();
    let stream = info(&nats.url(), "STREAM.INFO.OMS_WORK").await;
    let config = &stream["config"];
    for (name, value) in [
        ("subjects", json!(["oms.work.>"])),
        ("retention", json!("workqueue")),
        ("storage", json!("file")),
        ("num_replicas", json!(1)),
        ("discard", json!("new")),
        ("max_msgs_per_subject", json!(1)),
        ("discard_new_per_subject", json!(true)),
        ("max_age", json!(0)),
        ("max_bytes", json!(-1)),
        ("max_msgs", json!(-1)),
        ("allow_direct", json!(true)),
    ] {
        assert_eq!(config[name], value, "{name}");
    }
    assert_eq!(stream["state"]["messages"], 1, "nothing is lost");
    for (consumer, filter, in_flight, waiting) in [
        ("tasks", "oms.work.task.*", 3, None),
        ("shards", "oms.work.shard.>", 20_000, Some(4_096)),
    ] {
        let info = info(&nats.url(), &format!("CONSUMER.INFO.OMS_WORK.{consumer}")).await;
        let config = &info["config"];
        for (name, value) in [
            ("durable_name", json!(consumer)),
            ("filter_subject", json!(filter)),
            ("ack_policy", json!("explicit")),
            ("ack_wait", json!(2_500_000_000_u64)),
            ("max_deliver", json!(-1)),
            ("max_ack_pending", json!(in_flight)),
        ] {
            assert_eq!(config[name], value, "{consumer}: {name}");
        }
        assert!(waiting.is_none_or(|waiting| config["max_waiting"] == waiting));
    }
}

#[tokio::test]
async fn other_settings_that_cannot_change_are_an_error() {
    let Some(tools) = tools() else { return };
    let nats = Nats::start(&tools).await;
    let client = connect(&nats).await;
    let raw = async_nats::connect(nats.url()).await.unwrap();
    let call = async |operation: &str, body: Value| {
        let answer = raw
            .request(format!("$JS.API.{operation}"), body.to_string().into())
            .await;
        let answer: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
        assert!(answer.get("error").is_none(), "{answer}");
    };
    let stream = |settings: Value| {
        let mut all = json!({"name": "OMS_WORK", "subjects": ["oms.work.>"], "retention": "workqueue", "storage": "file"});
        for (name, value) in settings.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    for (case, name, settings) in [
        ("in memory", "OMS_WORK", json!({"storage": "memory"})),
        ("keeps messages", "OMS_WORK", json!({"retention": "limits"})),
        ("another stream", "OTHER", json!({"name": "OTHER"})),
    ] {
        call(&format!("STREAM.CREATE.{name}"), stream(settings)).await;
        let error = client.set_up(10, 1, LONG).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{case}: {error}");
        assert!(error.message().contains("OMS_WORK"), "{case}: {error}");
        call(&format!("STREAM.DELETE.{name}"), json!({})).await;
    }
    client.set_up(10, 1, LONG).await.unwrap();
    call("CONSUMER.DELETE.OMS_WORK.tasks", json!({})).await;
    let push = json!({"stream_name": "OMS_WORK", "config": {"durable_name": "tasks", "deliver_subject": "somewhere",
        "filter_subject": "oms.work.task.*", "ack_policy": "explicit"}});
    call("CONSUMER.CREATE.OMS_WORK.tasks.oms.work.task.*", push).await;
    let error = client.set_up(10, 1, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.message().contains("tasks"), "{error}");
    // More copies than there are servers.
    call("STREAM.DELETE.OMS_WORK", json!({})).await;
    let error = client.set_up(10, 3, LONG).await.unwrap_err();
    assert!(error.message().contains("replicas"), "{error}");
}

#[tokio::test]
async fn workers_hear_signals_also_after_a_restart() {
    let Some(tools) = tools() else { return };
    let (mut nats, client) = start(&tools, LONG).await;
    let worker = connect(&nats).await;
    let mut looks = worker.looks().await.unwrap();
    let mut sweeps = worker.sweeps().await.unwrap();
    for round in 1..=2 {
        // Subscriptions may reach the server later than the first message.
        let heard = async {
            assert_eq!(looks.next().await, Some(task(round)));
            assert_eq!(sweeps.next().await, Some(()));
        };
        let says = async {
            loop {
                // It fails while the connection is being made again.
                client.look(task(round)).await.unwrap_or_default();
                client.sweep().await.unwrap_or_default();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = heard => {}
            () = says => {}
            () = tokio::time::sleep(TIMEOUT) => panic!("nothing was heard"),
        }
        nats.restart().await;
        until("both are connected", async || {
            worker.connected(TIMEOUT).await.is_ok() && client.connected(TIMEOUT).await.is_ok()
        })
        .await;
        // What was said before and not read yet.
        while looks.next().now_or_never().flatten().is_some() {}
        while sweeps.next().now_or_never().flatten().is_some() {}
    }
}

#[tokio::test]
async fn exactly_one_holder_is_asked_to_split() {
    let Some(tools) = tools() else { return };
    let (mut nats, idle) = start(&tools, LONG).await;
    assert!(!idle.ask_split(TIMEOUT).await.unwrap(), "nobody holds a shard");
    let (one, two) = (connect(&nats).await, connect(&nats).await);
    let mut both = futures_util::stream::select(
        one.split_requests().await.unwrap(),
        two.split_requests().await.unwrap(),
    );
    // A holder that cannot split says nothing. Before the holders have subscribed, nobody is asked.
    let mut requested = false;
    while !requested {
        let answer = Duration::from_secs(1);
        let (asked, request) =
            tokio::join!(idle.ask_split(answer), tokio::time::timeout(answer, both.next()));
        assert!(!asked.unwrap());
        requested = request.is_ok();
    }
    nats.restart().await;
    let mut requests = 0;
    let accepts = async {
        while let Some(request) = both.next().await {
            requests += 1;
            request.accept().await.unwrap();
        }
    };
    let asks = async {
        for _ in 0..3 {
            until_split(&idle).await;
        }
    };
    tokio::select! {
        () = accepts => panic!("the requests have ended"),
        () = asks => {}
    }
    assert_eq!(requests, 3, "each question goes to one holder");
}

/// Asks until a holder accepts. After a restart, and before the holders have subscribed, nobody can.
async fn until_split(idle: &JetStream) {
    until("a holder accepts", async || {
        idle.ask_split(TIMEOUT).await.unwrap_or_default()
    })
    .await;
}

/// What a worker's user may do, as the documentation of the module says.
fn worker_permissions() -> Value {
    json!({
        "publish": [
            "oms.work.>", "oms.look.>", "oms.sweep", "oms.split", "$JS.API.STREAM.INFO.OMS_WORK",
            "$JS.API.CONSUMER.INFO.OMS_WORK.*", "$JS.API.CONSUMER.MSG.NEXT.OMS_WORK.*", "$JS.ACK.OMS_WORK.>",
        ],
        "subscribe": ["oms.look.*", "oms.sweep", "oms.split", "_INBOX.>"],
        "allow_responses": true,
    })
}

fn serve_permissions() -> Value {
    json!({
        "publish": [
            "oms.work.>", "oms.look.>", "oms.sweep", "$JS.API.*.*.OMS_WORK", "$JS.API.CONSUMER.CREATE.OMS_WORK.>",
        ],
        "subscribe": ["_INBOX.>"],
    })
}

#[tokio::test]
async fn a_workers_user_may_work_and_no_more() {
    let Some(tools) = tools() else { return };
    let users = json!({"users": [
        {"user": "serve", "password": "s", "permissions": serve_permissions()},
        {"user": "worker", "password": "w", "permissions": worker_permissions()},
    ]});
    let nats = Nats::start_with(&tools, json!({ "authorization": users })).await;
    let login = async |login: &str| {
        let url = format!("nats://{login}@{}", nats.address());
        let client = JetStream::connect(&settings(&url)).await.unwrap();
        client.connected(TIMEOUT).await.unwrap();
        client
    };
    let (serve, worker, other) = (
        login("serve:s").await,
        login("worker:w").await,
        login("worker:w").await,
    );

    let began = Instant::now();
    let error = worker.set_up(10, 1, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    serve.set_up(10, 1, LONG).await.unwrap();
    let error = worker.set_up(20, 1, LONG).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    worker.offer(&shard(1)).await.unwrap();
    let error = worker.offer_again(&shard(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "a refusal is not a timeout"
    );
    let url = format!("nats://{}", nats.address());
    let options = || async_nats::ConnectOptions::with_user_and_password("worker".into(), "w".into());
    let raw = options()
        .request_timeout(Some(SHORT))
        .connect(&url)
        .await
        .unwrap();
    for operation in [
        "STREAM.CREATE.OTHER",
        "STREAM.UPDATE.OMS_WORK",
        "STREAM.DELETE.OMS_WORK",
        "STREAM.PURGE.OMS_WORK",
        "STREAM.MSG.DELETE.OMS_WORK",
        "CONSUMER.CREATE.OMS_WORK.tasks.oms.work.task.*",
        "CONSUMER.DELETE.OMS_WORK.tasks",
    ] {
        let answer = raw.request(format!("$JS.API.{operation}"), "{}".into()).await;
        assert!(answer.is_err(), "{operation}");
    }

    assert_eq!(worker.present().await.unwrap(), HashSet::from([shard(1)]));
    let held = take_shard(&worker).await;
    held.progress().await.unwrap();
    held.nak(Duration::ZERO).await.unwrap();
    take_shard(&other).await.ack().await.unwrap();
    until_present(&worker, &[]).await;
    worker.offer(&WorkItem::Task(task(1))).await.unwrap();
    take(&other, WorkKind::Task).await.ack().await.unwrap();
    let (mut looks, mut sweeps) = (other.looks().await.unwrap(), other.sweeps().await.unwrap());
    let mut splits = other.split_requests().await.unwrap();
    let accepts = async {
        while let Some(request) = splits.next().await {
            request.accept().await.unwrap();
        }
    };
    tokio::select! {
        () = accepts => panic!("the requests have ended"),
        () = until_split(&worker) => {}
    }
    let heard = async {
        assert_eq!(looks.next().await, Some(task(1)));
        assert_eq!(sweeps.next().await, Some(()));
    };
    let says = async {
        loop {
            serve.look(task(1)).await.unwrap();
            worker.sweep().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = heard => {}
        () = says => {}
        () = tokio::time::sleep(TIMEOUT) => panic!("nothing was heard"),
    }
}
