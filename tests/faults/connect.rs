//! F10: stores that cannot be connected to. The task soon ends with a message that says why and names the side. It can be
//! started again once the store is reachable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oms::object::clouds::Side;
use oms::sandbox::{FaultRule, Operation, SandboxObject};
use oms::service::CreateTask;
use oms::task::{ReasonKind, StartMode, State, Task};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::task::AbortOnDropHandle;

use crate::support::checker::{History, Remedy, check, converges, failures};
use crate::support::rig::{Rig, SOURCE, Stores, World};
use crate::support::tls::{Authority, Shows, TlsProxy};

/// The task must have ended within this time, after all attempts.
const SOON: Duration = Duration::from_secs(20);
/// How many connections may fail because of a certificate: one for each request in flight.
const FEW: usize = 20;

async fn stores(count: usize) -> Stores {
    let stores = Stores::small().await;
    for n in 0..count {
        let object = SandboxObject::new(format!("object {n}"));
        stores.source.put(SOURCE, &format!("{n:04}"), object);
    }
    stores
}

fn at(stores: &Stores, side: Side, endpoint: String) -> CreateTask {
    let mut order = stores.order();
    match side {
        Side::Source => order.source.endpoint = Some(endpoint),
        Side::Target => order.target.endpoint = Some(endpoint),
    }
    order
}

/// Asserts that the task has ended because of this side, and that its message contains these words.
fn says(task: &Task, side: Side, words: &str) {
    let kind = match side {
        Side::Source => ReasonKind::SourceUnavailable,
        Side::Target => ReasonKind::TargetUnavailable,
    };
    assert_eq!(task.state, State::Failed, "{task:#?}");
    let reason = task.reason.as_ref().unwrap();
    assert_eq!(reason.kind, kind, "{reason:?}");
    assert!(reason.message.contains(words), "{reason:?}");
}

/// A server that answers every request with these bytes.
async fn answering(bytes: &'static str) -> (String, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            // The client may already have closed the connection.
            stream.write_all(bytes.as_bytes()).await.unwrap_or_default();
        }
    });
    (endpoint, AbortOnDropHandle::new(answering))
}

async fn trusting(authority: &Authority) -> Rig {
    let world = World {
        authorities: authority.trusted(),
        ..World::default()
    };
    Rig::quick_with_one_reader(Arc::new(TempDir::new().unwrap()), world).await
}

#[tokio::test]
async fn unknown_names_and_closed_ports_are_reported() {
    // Bound and not listening: connections are refused, and no other test can get the port.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = closed.local_addr().unwrap().port();
    // A label has at most 63 characters (RFC 1035, section 2.3.4), so the resolver refuses this name at once. For other names it asks
    // a server, and tries again after 5 s if that does not answer.
    let unknown = format!("{}.invalid", "a".repeat(64));
    for (endpoint, words) in [
        (
            format!("http://{unknown}"),
            format!("the name {unknown} cannot be resolved"),
        ),
        (
            format!("http://127.0.0.1:{port}"),
            format!("127.0.0.1 refuses the connection on port {port}"),
        ),
    ] {
        for side in [Side::Source, Side::Target] {
            let stores = stores(3).await;
            let rig = Rig::quick().await;
            let began = Instant::now();
            let id = rig.create(at(&stores, side, endpoint.clone())).await;
            let task = rig.end(id).await;
            says(&task, side, &words);
            assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
            check(&stores, &rig, id, &History::of(&stores)).await;
            rig.shut_down().await;
        }
    }
}

#[tokio::test]
async fn a_mix_up_of_http_and_https_is_reported_with_the_correct_scheme() {
    let authority = Authority::new();
    for side in [Side::Source, Side::Target] {
        let stores = stores(3).await;
        let behind = match side {
            Side::Source => &stores.source,
            Side::Target => &stores.target,
        };
        let proxy = TlsProxy::before(behind, &authority, Shows::Good).await;
        let plain = behind.endpoint();
        let secure = proxy.endpoint();
        let (go, _answering) =
            answering("HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
                .await;
        for (endpoint, words) in [
            (plain.replace("http://", "https://"), plain.as_str()),
            (secure.replace("https://", "http://"), secure.as_str()),
            (go, "write https:// instead of http://"),
        ] {
            let rig = trusting(&authority).await;
            let began = Instant::now();
            let id = rig.create(at(&stores, side, endpoint)).await;
            says(&rig.end(id).await, side, words);
            assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
            rig.shut_down().await;
        }
    }
}

#[tokio::test]
async fn an_invalid_certificate_ends_the_task_and_says_why() {
    let (known, unknown) = (Authority::new(), Authority::new());
    for (authority, shows, words) in [
        (&known, Shows::Expired, "the certificate of localhost has expired"),
        (&known, Shows::TooEarly, "is not valid yet"),
        (&known, Shows::OtherName, "is for another name"),
        (&known, Shows::SelfSigned, "no known authority has signed it"),
        (&unknown, Shows::Good, "no known authority has signed it"),
    ] {
        for side in [Side::Source, Side::Target] {
            let stores = stores(5).await;
            let history = History::of(&stores);
            let behind = match side {
                Side::Source => &stores.source,
                Side::Target => &stores.target,
            };
            let proxy = TlsProxy::before(behind, authority, shows).await;
            let rig = trusting(&known).await;
            let began = Instant::now();
            let id = rig.create(at(&stores, side, proxy.endpoint())).await;
            let task = rig.end(id).await;
            says(&task, side, words);
            assert!(began.elapsed() < SOON, "{shows:?}: {:?}", began.elapsed());
            let tries = proxy.connections();
            assert!((1..=FEW).contains(&tries), "{shows:?}: {tries} connections");
            check(&stores, &rig, id, &history).await;

            proxy.show(&known, Shows::Good);
            rig.start(id, StartMode::Full, stores.credentials()).await;
            rig.wait(id, |task| task.state == State::Succeeded).await;
            check(&stores, &rig, id, &history).await;
            stores.assert_same();
            rig.shut_down().await;
        }
    }
}

#[tokio::test]
async fn a_certificate_that_expires_during_a_task_causes_no_failures() {
    for side in [Side::Source, Side::Target] {
        let stores = stores(300).await;
        let history = History::of(&stores);
        let slow = FaultRule::one_by_one(Operation::GetObject, Duration::from_millis(5));
        stores.source.faults().add(slow);
        let authority = Authority::new();
        let behind = match side {
            Side::Source => &stores.source,
            Side::Target => &stores.target,
        };
        let proxy = TlsProxy::before(behind, &authority, Shows::Good).await;
        let rig = trusting(&authority).await;
        // One thread stands for 16 small objects at most, so FEW holds whatever level the task has found.
        let order = CreateTask {
            threads: 1,
            ..at(&stores, side, proxy.endpoint())
        };
        let id = rig.create(order).await;
        rig.wait(id, |task| task.counters.copied > 10).await;
        let before = proxy.connections();
        proxy.show(&authority, Shows::Expired);
        let task = rig.end(id).await;
        says(&task, side, "has expired");
        assert!(
            failures(&rig, id).await.is_empty(),
            "{:#?}",
            failures(&rig, id).await
        );
        let tries = proxy.connections() - before;
        assert!((1..=FEW).contains(&tries), "{tries} connections");
        check(&stores, &rig, id, &history).await;

        proxy.show(&authority, Shows::Good);
        let task = converges(&stores, &rig, id, &history, Remedy::Full).await;
        assert_eq!(task.pass.unwrap().number, 1, "it went on");
        stores.assert_same();
        rig.shut_down().await;
    }
}
