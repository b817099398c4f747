//! HTTP connections at the level of bytes: which requests are executed, what the responses are, when a connection ends.

use std::time::Duration;

use oms::task::State;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ID, path, start_body, with};
use crate::support::api::{PROJECT, TOKEN, TestApi};
use crate::support::rig::TIMEOUT;

/// A response as received.
#[derive(Debug)]
struct Answer {
    /// Status line and headers, in lower case.
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Splits the bytes that a server sent into responses. `heads` says which of them answer a HEAD request.
fn answers(sent: &[u8], heads: &[bool]) -> Vec<Answer> {
    let mut rest = std::str::from_utf8(sent).unwrap();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("half an answer: {rest}"));
        let mut answer = Answer {
            head: head.to_lowercase(),
            body: String::new(),
        };
        assert!(answer.head.starts_with("http/1."), "not an answer: {rest}");
        rest = after;
        if !heads.get(found.len()).copied().unwrap_or(false) {
            let length = answer
                .header("content-length")
                .map_or(0, |length| length.parse().unwrap());
            let (body, after) = rest.split_at(length);
            body.clone_into(&mut answer.body);
            rest = after;
        }
        found.push(answer);
    }
    found
}

async fn connect(api: &TestApi) -> TcpStream {
    TcpStream::connect(api.base.trim_start_matches("http://"))
        .await
        .unwrap()
}

/// Reads until the server closes the connection.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut sent = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut sent)).await;
    // A reset after the response also ends the connection.
    let ended = read.expect("the connection stays open");
    assert!(ended.is_ok() || !sent.is_empty(), "{ended:?}");
    sent
}

/// Sends all bytes at once and reads until the server closes the connection.
async fn exchange(api: &TestApi, requests: &str) -> Vec<u8> {
    let mut stream = connect(api).await;
    stream.write_all(requests.as_bytes()).await.unwrap();
    until_closed(&mut stream).await
}

fn task_path() -> String {
    format!("/v1/{PROJECT}/objectstorage{}", path())
}

/// A request with the token and these header lines.
fn request(method: &str, path: &str, version: &str, lines: &str, body: &str) -> String {
    let length = match (method, body) {
        ("GET" | "HEAD" | "DELETE", "") => String::new(),
        _ => format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ),
    };
    format!("{method} {path} HTTP/{version}\r\nHost: h\r\nX-Auth-Token: {TOKEN}\r\n{lines}{length}\r\n{body}")
}

/// A request whose execution can be detected, because it deletes the task.
fn deletion() -> String {
    request("DELETE", &task_path(), "1.1", "", "")
}

/// Requests that end their connection, each with the expected status.
fn last_requests() -> Vec<(String, u16)> {
    let start = start_body().to_string();
    let list = format!("/v1/{PROJECT}/objectstorage/task?start=0&limit=1");
    let mut all = Vec::new();
    for (version, lines) in [
        ("1.1", "Connection: close\r\n"),
        ("1.1", "connection: CLOSE\r\n"),
        ("1.1", "Connection: keep-alive, close\r\n"),
        ("1.1", "Connection: close,keep-alive\r\n"),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n"),
        ("1.0", ""),
        ("1.0", "Connection: close\r\n"),
        ("1.0", "Connection: keep-alive, close\r\n"),
    ] {
        // Requests that do not use the ledger, that use it, that have a body, and whose response has no body.
        all.push((request("GET", "/livez", version, lines, ""), 200));
        all.push((request("GET", "/readyz", version, lines, ""), 200));
        all.push((request("GET", &list, version, lines, ""), 200));
        all.push((request("GET", "/nothing", version, lines, ""), 404));
        all.push((request("GET", "/", version, lines, ""), 302));
        all.push((request("PUT", &task_path(), version, lines, &start), 200));
        all.push((request("PUT", &task_path(), version, lines, "{"), 400));
        // The body of a request with a wrong token is not read.
        let unauthorized = request("PUT", &task_path(), version, lines, &start).replace(TOKEN, "stranger");
        all.push((unauthorized, 401));
        let nobody = request("GET", &list, version, lines, "").replace(TOKEN, "stranger");
        all.push((nobody, 401));
    }
    let chunked = format!(
        "PUT {} HTTP/1.1\r\nHost: h\r\nX-Auth-Token: {TOKEN}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{start}\r\n0\r\n\r\n",
        task_path(),
        start.len()
    );
    all.push((chunked, 200));
    all
}

#[tokio::test]
async fn nothing_after_the_last_request_of_a_connection_is_executed() {
    for (last, status) in last_requests() {
        let api = with(State::Paused).await;
        let sent = exchange(&api, &format!("{last}{}{}", deletion(), deletion())).await;
        let found = answers(&sent, &[]);
        assert_eq!(found.len(), 1, "{last}\n{found:?}");
        assert_eq!(found[0].status(), status, "{last}\n{found:?}");
        if !last.contains("HTTP/1.0") {
            assert_eq!(found[0].header("connection"), Some("close"), "{last}\n{found:?}");
        }
        assert!(
            api.ledger.get(ID).is_some(),
            "the request behind was executed: {last}"
        );
    }
}

#[tokio::test]
async fn a_request_that_arrives_later_on_a_closing_connection_is_not_executed() {
    for (last, status) in last_requests().into_iter().take(9) {
        let api = with(State::Paused).await;
        let mut stream = connect(&api).await;
        // The second request arrives in two pieces. The first is answered when only half of the second has arrived.
        let (first, second) = (
            format!("{last}DELETE {}", task_path()),
            " HTTP/1.1\r\nHost: h\r\n",
        );
        stream.write_all(first.as_bytes()).await.unwrap();
        let mut sent = vec![0; 16];
        let read = tokio::time::timeout(TIMEOUT, stream.read_exact(&mut sent)).await;
        read.expect("no answer").unwrap();
        // The write may fail, because the server may already have closed the connection. That is fine.
        let rest = format!("{second}X-Auth-Token: {TOKEN}\r\n\r\n");
        stream.write_all(rest.as_bytes()).await.unwrap_or_default();
        sent.extend(until_closed(&mut stream).await);
        let found = answers(&sent, &[]);
        assert_eq!((found.len(), found[0].status()), (1, status), "{last}\n{found:?}");
        assert!(api.ledger.get(ID).is_some(), "{last}");
    }
}

#[tokio::test]
async fn requests_before_the_last_one_are_answered_in_order() {
    let api = with(State::Paused).await;
    let show = request("GET", &task_path(), "1.1", "", "");
    let last = request("GET", "/livez", "1.1", "Connection: close\r\n", "");
    let sent = exchange(&api, &format!("{show}{show}{last}{}", deletion())).await;
    let found = answers(&sent, &[]);
    let statuses: Vec<u16> = found.iter().map(Answer::status).collect();
    assert_eq!(statuses, [200, 200, 200], "{found:?}");
    assert!(
        found[0].body.contains("\"status\":3") && found[2].body == "ok\n",
        "{found:?}"
    );
    assert!(api.ledger.get(ID).is_some());
}

#[tokio::test]
async fn a_persistent_connection_stays_open() {
    let api = with(State::Paused).await;
    for (version, lines) in [
        ("1.1", ""),
        ("1.1", "Connection: keep-alive\r\n"),
        ("1.0", "Connection: keep-alive\r\n"),
    ] {
        let mut stream = connect(&api).await;
        for _ in 0..3 {
            let livez = request("GET", "/livez", version, lines, "");
            stream.write_all(livez.as_bytes()).await.unwrap();
            let mut sent = Vec::new();
            while !sent.ends_with(b"ok\n") {
                let read = tokio::time::timeout(TIMEOUT, stream.read_buf(&mut sent)).await;
                assert_ne!(
                    read.expect("no answer").unwrap(),
                    0,
                    "it was closed: {version} {lines}"
                );
            }
            assert_eq!(answers(&sent, &[])[0].status(), 200);
        }
    }
}

#[tokio::test]
async fn a_shutdown_closes_open_connections() {
    let api = with(State::Paused).await;
    let mut idle = connect(&api).await;
    idle.write_all(request("GET", "/livez", "1.1", "", "").as_bytes())
        .await
        .unwrap();
    let mut sent = Vec::new();
    while !sent.ends_with(b"ok\n") {
        let read = tokio::time::timeout(TIMEOUT, idle.read_buf(&mut sent)).await;
        assert_ne!(read.expect("no answer").unwrap(), 0);
    }
    drop(api);
    assert!(until_closed_quietly(&mut idle).await.is_empty());
}

/// Like [`until_closed`], for a connection on which the server may send nothing.
async fn until_closed_quietly(stream: &mut TcpStream) -> Vec<u8> {
    let mut sent = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut sent)).await;
    read.expect("the connection stays open").unwrap_or_default();
    sent
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let api = with(State::Paused).await;
    let below = |path: &str| format!("/v1/{PROJECT}/objectstorage{path}");
    for path in [
        "/livez".to_owned(),
        "/readyz".to_owned(),
        "/".to_owned(),
        "/swagger-ui".to_owned(),
        "/swagger-ui/".to_owned(),
        "/swagger-ui/index.html".to_owned(),
        "/swagger-ui/swagger-initializer.js".to_owned(),
        "/swagger-ui/swagger-ui.css".to_owned(),
        "/swagger-ui/no-such-file.js".to_owned(),
        "/openapi/v1.json".to_owned(),
        "/nothing".to_owned(),
        below(&path()),
        below("/task?start=0&limit=10"),
        below("/task?totalcount=true"),
        below("/task?start=0"),
        below(&format!("{}/failures", path())),
        below("/quotas"),
        below("/version"),
        below("/task/1"),
    ] {
        let get = request("GET", &path, "1.1", "Connection: close\r\n", "");
        let get = answers(&exchange(&api, &get).await, &[]).remove(0);
        let head = request("HEAD", &path, "1.1", "Connection: close\r\n", "");
        let sent = exchange(&api, &head).await;
        let found = answers(&sent, &[true]);
        assert_eq!(found.len(), 1, "{path}: bytes behind the head: {found:?}");
        assert_eq!(found[0].status(), get.status(), "{path}");
        assert_ne!(found[0].status(), 405, "{path}");
        for name in [
            "content-length",
            "content-type",
            "location",
            "allow",
            "cache-control",
        ] {
            assert_eq!(found[0].header(name), get.header(name), "{path} {name}");
        }
        assert!(found[0].header("content-length").is_some(), "{path}: {found:?}");
        assert!(found[0].header("x-request-id").is_some(), "{path}");
    }
    // Without the token the response reveals nothing.
    let unauthorized =
        request("HEAD", &below(&path()), "1.1", "Connection: close\r\n", "").replace(TOKEN, "x");
    assert_eq!(
        answers(&exchange(&api, &unauthorized).await, &[true])[0].status(),
        401
    );
}

#[tokio::test]
async fn a_request_after_a_head_gets_its_own_response() {
    let api = with(State::Paused).await;
    for first in [task_path(), "/readyz".to_owned(), "/livez".to_owned()] {
        let head = request("HEAD", &first, "1.1", "", "");
        let last = request("GET", "/livez", "1.1", "Connection: close\r\n", "");
        let sent = exchange(&api, &format!("{head}{last}")).await;
        let found = answers(&sent, &[true, false]);
        assert_eq!(
            (found.len(), found[1].body.as_str()),
            (2, "ok\n"),
            "{first}\n{found:?}"
        );
    }
}

#[tokio::test]
async fn unknown_static_files_and_methods_get_the_usual_errors() {
    let api = with(State::Paused).await;
    for (method, path, status, code) in [
        ("GET", "/swagger-ui/no-such-file.js", 404, "OMS.1009"),
        ("GET", "/swagger-ui/../../etc/passwd", 404, "OMS.1009"),
        ("GET", "/swagger-ui/a/b", 404, "OMS.1009"),
        ("GET", "/swagger-ui/%2e%2e/x", 404, "OMS.1009"),
        ("POST", "/swagger-ui/", 405, "OMS.0005"),
        ("DELETE", "/swagger-ui/index.html", 405, "OMS.0005"),
        ("PUT", "/swagger-ui", 405, "OMS.0005"),
        ("OPTIONS", "/swagger-ui/", 405, "OMS.0005"),
    ] {
        let sent = exchange(&api, &request(method, path, "1.1", "Connection: close\r\n", "")).await;
        let answer = answers(&sent, &[]).remove(0);
        assert_eq!(answer.status(), status, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["error_code"], code, "{path}");
        assert!(answer.header("x-request-id").is_some());
        if status == 405 {
            assert_eq!(answer.header("allow"), Some("get, head"), "{path}");
        }
    }
}

/// The HTTP parser refuses invalid bytes before they reach the application. Such responses have no body and no request id,
/// as the document says.
#[tokio::test]
async fn invalid_http_is_answered_with_only_a_status() {
    let api = with(State::Paused).await;
    let long = "x".repeat(200_000);
    for (bytes, status) in [
        ("nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), 400),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n".to_owned(),
            400,
        ),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            400,
        ),
        (format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"), 431),
        (
            format!("GET / HTTP/1.1\r\nHost: h\r\nX-Long: {long}\r\n\r\n"),
            431,
        ),
    ] {
        let shown = bytes.chars().take(60).collect::<String>();
        let mut stream = connect(&api).await;
        // The server may refuse the request before it has read all of it.
        stream.write_all(bytes.as_bytes()).await.unwrap_or_default();
        stream.write_all(deletion().as_bytes()).await.unwrap_or_default();
        let found = answers(&until_closed(&mut stream).await, &[]);
        assert_eq!(found.len(), 1, "{shown}: {found:?}");
        assert_eq!(found[0].status(), status, "{shown}: {found:?}");
        assert_eq!(found[0].body, "", "{shown}");
        assert_eq!(found[0].header("content-length"), Some("0"), "{shown}");
        assert!(api.ledger.get(ID).is_some(), "{shown}");
    }
    let document = json!(oms::api::docs::document_v1_json(oms::api::docs::Rendering::V31)).to_string();
    assert!(document.contains("have no body and no `X-Request-Id`"));
}

#[tokio::test]
async fn a_request_that_does_not_come_in_time_is_refused() {
    let api = with(State::Paused).await;
    let mut stream = connect(&api).await;
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: h\r\n")
        .await
        .unwrap();
    let sent = tokio::time::timeout(TIMEOUT.max(Duration::from_secs(60)), async {
        let mut sent = Vec::new();
        stream.read_to_end(&mut sent).await.unwrap_or_default();
        sent
    })
    .await
    .expect("the connection stays open");
    assert_eq!(answers(&sent, &[])[0].status(), 408);
}
