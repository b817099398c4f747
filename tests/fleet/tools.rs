//! The servers that the tests of several machines use.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::nats_client::{Client, Proof};
use crate::support::nats::{Login, Nats, User};
use crate::support::nkey::Nkey;
use crate::support::postgres::Postgres;
use crate::support::rig::TIMEOUT;
use crate::support::tools::{Need, find, require, run, succeed};
use crate::support::wait::until;

/// The environment variable that makes [`leaves_servers_behind`] do something.
const LEAVE: &str = "OMS_TEST_LEAVE_SERVERS";

#[tokio::test]
async fn postgres_has_its_data_after_a_stop_and_after_a_kill() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut postgres = Postgres::start(&tools).await;
    let (url, addr) = (postgres.url(), postgres.addr());
    assert_eq!(
        postgres.query("SHOW fsync; SHOW max_connections").await,
        "on\n300"
    );
    postgres.query("CREATE TABLE t (n BIGINT)").await;
    for (n, stops) in [(1, true), (2, false), (3, false)] {
        postgres.query(&format!("INSERT INTO t VALUES ({n})")).await;
        if stops {
            postgres.stop().await;
        } else {
            postgres.kill();
        }
        let refused = tokio::net::TcpStream::connect(addr).await;
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        postgres.restart().await;
        assert_eq!(
            postgres.query("SELECT count(*), max(n) FROM t").await,
            format!("{n}|{n}")
        );
    }
    postgres.restart().await;
    assert_eq!(postgres.query("SELECT sum(n) FROM t").await, "6");
    assert_eq!((postgres.url(), postgres.addr()), (url, addr));
}

#[tokio::test]
async fn postgres_databases_of_one_server_are_apart() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let postgres = Postgres::shared(&tools).await;
    let (one, other) = tokio::join!(postgres.database("apart"), postgres.database("apart"));
    assert_ne!(one, other);
    for (url, n) in [(&one, "1"), (&other, "2")] {
        let fill = format!("CREATE TABLE t AS SELECT {n} AS n");
        assert_eq!(postgres.query_at(url, &fill).await, "");
    }
    assert_eq!(postgres.query_at(&one, "SELECT n FROM t").await, "1");
    assert_eq!(postgres.query_at(&other, "SELECT n FROM t").await, "2");
    // And there is only one server.
    assert_eq!(Postgres::shared(&tools).await.addr(), postgres.addr());
}

#[tokio::test]
async fn postgres_wants_its_password() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let postgres = Postgres::shared(&tools).await;
    let (before, after) = postgres
        .url()
        .split_once('@')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let wrong = format!("{before}x@{after}");
    let ran = run(postgres.psql(&wrong, "SELECT 1"), TIMEOUT).await;
    assert!(!ran.status.success(), "{}", ran.shown());
    assert!(
        ran.stderr.contains("password authentication failed"),
        "{}",
        ran.shown()
    );
}

#[tokio::test]
async fn nats_keeps_its_store_when_it_is_stopped_and_killed() {
    let Some(tools) = require(&[Need::Nats]) else {
        return;
    };
    let mut nats = Nats::start(&tools).await;
    let url = nats.url();
    create_stream(&nats).await;
    for (n, stops) in [(1, true), (2, false), (3, false)] {
        publish(&nats).await;
        if stops {
            nats.stop().await;
        } else {
            nats.kill();
        }
        nats.restart().await;
        assert_eq!(messages(&nats).await, Some(n));
    }
    nats.restart().await;
    assert_eq!(messages(&nats).await, Some(3));
    assert_eq!(nats.url(), url);
}

#[tokio::test]
async fn nats_store_can_be_wiped_and_set_back() {
    let Some(tools) = require(&[Need::Nats]) else {
        return;
    };
    let mut nats = Nats::start(&tools).await;
    create_stream(&nats).await;
    publish(&nats).await;
    nats.kill();
    let copy = nats.copy_store().await;
    nats.restart().await;
    publish(&nats).await;
    assert_eq!(messages(&nats).await, Some(2));
    nats.kill();
    nats.restore(&copy).await;
    nats.restart().await;
    assert_eq!(messages(&nats).await, Some(1));
    nats.kill();
    nats.wipe();
    nats.restart().await;
    assert_eq!(messages(&nats).await, None);
}

#[tokio::test]
async fn nats_users_may_do_what_they_are_allowed_to() {
    let Some(tools) = require(&[Need::Nats]) else {
        return;
    };
    let (key, stranger) = (Nkey::generate(), Nkey::generate());
    let worker = json!({"publish": ["work.>", "$JS.API.STREAM.INFO.WORK"], "subscribe": ["_INBOX.>"]});
    let users = [
        User {
            login: Login::Password {
                user: "owner".to_owned(),
                password: "canary".to_owned(),
            },
            permissions: None,
        },
        User {
            login: Login::Nkey(key.public()),
            permissions: Some(worker),
        },
    ];
    let nats = Nats::start_for(&tools, &users).await;
    for proof in [
        Proof::None,
        Proof::Password("owner", "wrong"),
        Proof::Nkey(&stranger),
    ] {
        let refusal = Client::connect(nats.addr(), proof).await.map(drop).unwrap_err();
        assert!(refusal.contains("Authorization Violation"), "{refusal}");
    }
    let owner = Client::connect(nats.addr(), Proof::Password("owner", "canary")).await;
    let mut owner = owner.unwrap();
    let made = owner.request("$JS.API.STREAM.CREATE.WORK", STREAM).await.unwrap();
    assert_eq!(made["config"]["name"], "WORK", "{made}");
    let mut worker = Client::connect(nats.addr(), Proof::Nkey(&key)).await.unwrap();
    assert_eq!(worker.request("work.a", "{}").await.unwrap()["seq"], 1);
    let info = worker.request("$JS.API.STREAM.INFO.WORK", "").await.unwrap();
    assert_eq!(info["state"]["messages"], 1, "{info}");
    let refusal = worker.request("$JS.API.STREAM.PURGE.WORK", "").await.unwrap_err();
    assert!(refusal.contains("Permissions Violation"), "{refusal}");
}

/// A stream of all that is published below `work.`.
const STREAM: &str =
    r#"{"name": "WORK", "subjects": ["work.>"], "storage": "file", "retention": "workqueue"}"#;

async fn ask(nats: &Nats, subject: &str, body: &str) -> Value {
    let mut client = Client::connect(nats.addr(), Proof::None).await.unwrap();
    client.request(subject, body).await.unwrap()
}

async fn create_stream(nats: &Nats) {
    let made = ask(nats, "$JS.API.STREAM.CREATE.WORK", STREAM).await;
    assert_eq!(made["error"], Value::Null, "{made}");
}

async fn publish(nats: &Nats) {
    let kept = ask(nats, "work.a", "{}").await;
    assert_eq!(kept["stream"], "WORK", "{kept}");
}

/// How many messages the stream has, or `None` if there is no stream.
async fn messages(nats: &Nats) -> Option<u64> {
    let info = ask(nats, "$JS.API.STREAM.INFO.WORK", "").await;
    if info["error"]["code"] == 404 {
        return None;
    }
    Some(
        info["state"]["messages"]
            .as_u64()
            .unwrap_or_else(|| panic!("{info}")),
    )
}

#[tokio::test]
async fn faketime_sets_the_clock_of_a_program() {
    let Some(_tools) = require(&[Need::Faketime]) else {
        return;
    };
    let mut command = Command::new(find("faketime").unwrap());
    command.args(["-f", "@2030-01-02 03:04:05", "date", "-u", "+%Y"]);
    assert_eq!(succeed(command, TIMEOUT).await.trim(), "2030");
}

/// Not a test of anything: the next test runs it in a process of its own, in which it starts servers and then crashes.
#[tokio::test]
async fn leaves_servers_behind() {
    let Some(how) = std::env::var_os(LEAVE) else {
        return;
    };
    let tools = require(&[Need::Postgres, Need::Nats]).unwrap();
    let shared = Postgres::shared(&tools).await;
    let (own, nats) = (Postgres::start(&tools).await, Nats::start(&tools).await);
    let folder = std::env::temp_dir();
    std::fs::write(
        folder.join("addresses"),
        format!("{} {} {}", shared.addr(), own.addr(), nats.addr()),
    )
    .unwrap();
    if how == "abort" {
        std::process::abort();
    }
}

#[tokio::test]
async fn no_server_outlives_the_process_of_its_test() {
    let Some(_tools) = require(&[Need::Postgres, Need::Nats]) else {
        return;
    };
    for how in ["abort", "end"] {
        let folder = tempfile::TempDir::new().unwrap();
        // The user of the server must be able to enter it.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), all).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "fleet::tools::leaves_servers_behind"])
            .env(LEAVE, how)
            .env("TMPDIR", folder.path());
        let ran = run(command, Duration::from_secs(60)).await;
        assert_eq!(ran.status.success(), how == "end", "{}", ran.shown());
        let addresses = std::fs::read_to_string(folder.path().join("addresses")).unwrap();
        assert_eq!(addresses.split(' ').count(), 3, "{addresses}");
        until("all servers have ended", async || {
            addresses
                .split(' ')
                .all(|address| std::net::TcpStream::connect(address).is_err())
        })
        .await;
        until("their folders are gone", async || entries(folder.path()) == 1).await;
    }
}

fn entries(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}
