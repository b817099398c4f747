//! The proxy that stands for a network that fails.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::postgres::Postgres;
use crate::support::proxy::{Mode, Proxy};
use crate::support::rig::TIMEOUT;
use crate::support::tools::{Need, require, run};
use crate::support::wait::until;

/// A server that sends back what it reads, and how each connection went.
struct Echo {
    addr: SocketAddr,
    connections: Arc<Mutex<Vec<Connection>>>,
}

#[derive(Clone, Default)]
struct Connection {
    read: String,
    ended: Option<Result<(), ErrorKind>>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections: Arc<Mutex<Vec<Connection>>> = Arc::default();
        let all = connections.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                all.lock().unwrap().push(Connection::default());
                let all = all.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    let ended = loop {
                        match stream.read(&mut buffer).await {
                            Ok(0) => break Ok(()),
                            Ok(read) => {
                                let text = String::from_utf8_lossy(&buffer[..read]);
                                all.lock().unwrap()[number].read.push_str(&text);
                                stream.write_all(&buffer[..read]).await.unwrap_or_default();
                            }
                            Err(error) => break Err(error.kind()),
                        }
                    };
                    all.lock().unwrap()[number].ended = Some(ended);
                });
            }
        });
        Self { addr, connections }
    }

    fn connection(&self, number: usize) -> Connection {
        let all = self.connections.lock().unwrap();
        all.get(number).cloned().unwrap_or_default()
    }
}

/// A client through the proxy whose connection the server has.
async fn client(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(say(&mut stream, "hello.").await, Ok("hello.".to_owned()));
    stream
}

/// Sends a text and waits for an answer of the same length.
async fn say(stream: &mut TcpStream, text: &str) -> Result<String, ErrorKind> {
    stream
        .write_all(text.as_bytes())
        .await
        .map_err(|error| error.kind())?;
    let mut answer = vec![0; text.len()];
    let read = stream.read_exact(&mut answer).await;
    read.map_err(|error| error.kind())?;
    Ok(String::from_utf8(answer).unwrap())
}

/// What the next reading says: nothing, bytes or an error.
async fn next(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    let mut buffer = [0; 64];
    stream.read(&mut buffer).await.map_err(|error| error.kind())
}

/// Asserts that nothing has come.
fn assert_silent(stream: &TcpStream) {
    let read = stream.try_read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::WouldBlock));
}

const RESET: Result<usize, ErrorKind> = Err(ErrorKind::ConnectionReset);

#[tokio::test]
async fn pass_is_as_if_nobody_was_between() {
    let echo = Echo::start().await;
    let proxy = Proxy::to(echo.addr).await;
    let mut one = client(&proxy).await;
    assert_eq!((proxy.mode(), proxy.accepted()), (Mode::Pass, 1));
    // Much more than fits into all buffers on the way, so that each side must wait for the other.
    let text: Vec<u8> = (0..8 << 20)
        .map(|n: u32| b'a' + u8::try_from(n % 25).unwrap())
        .collect();
    let (mut read, mut write) = one.split();
    let mut answer = vec![0; text.len()];
    let (sent, got) = tokio::join!(write.write_all(&text), read.read_exact(&mut answer));
    sent.unwrap();
    got.unwrap();
    assert!(answer == text);
    // The client closes its side, and then the server its own.
    one.shutdown().await.unwrap();
    assert_eq!(next(&mut one).await, Ok(0));
    until("the server sees the end", async || {
        echo.connection(0).ended == Some(Ok(()))
    })
    .await;
    assert_eq!(proxy.swallowed(), 0);
}

#[tokio::test]
async fn a_black_hole_swallows_both_directions() {
    let echo = Echo::start().await;
    let proxy = Proxy::to(echo.addr).await;
    let (mut speaking, mut idle, closing) =
        (client(&proxy).await, client(&proxy).await, client(&proxy).await);
    proxy.set(Mode::BlackHole);
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    let new_and_idle = TcpStream::connect(proxy.addr()).await.unwrap();
    speaking.write_all(b"123").await.unwrap();
    new.write_all(b"4567").await.unwrap();
    until("all is swallowed", async || proxy.swallowed() == 7).await;
    drop(closing);
    // One more way through both, so that what would have come has come.
    speaking.write_all(b"8").await.unwrap();
    until("all is swallowed", async || proxy.swallowed() == 8).await;
    for stream in [&speaking, &idle, &new, &new_and_idle] {
        assert_silent(stream);
    }
    assert_eq!(echo.connections.lock().unwrap().len(), 3);
    for number in 0..3 {
        let seen = echo.connection(number);
        assert_eq!((seen.read.as_str(), seen.ended), ("hello.", None));
    }

    proxy.set(Mode::Pass);
    // Those of which something is missing cannot go on.
    assert_eq!(next(&mut speaking).await, RESET);
    assert_eq!(next(&mut new).await, RESET);
    until("the server sees resets", async || {
        [0, 2]
            .iter()
            .all(|number| echo.connection(*number).ended == Some(Err(ErrorKind::ConnectionReset)))
    })
    .await;
    let mut late = new_and_idle;
    for stream in [&mut idle, &mut late] {
        assert_eq!(say(stream, "again").await, Ok("again".to_owned()));
    }
    client(&proxy).await;
}

#[tokio::test]
async fn a_reset_ends_old_and_new_connections() {
    let echo = Echo::start().await;
    let proxy = Proxy::to(echo.addr).await;
    let mut old = client(&proxy).await;
    proxy.set(Mode::Reset);
    assert_eq!(next(&mut old).await, RESET);
    until("the server sees it", async || {
        echo.connection(0).ended == Some(Err(ErrorKind::ConnectionReset))
    })
    .await;
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(next(&mut new).await, RESET);
    assert_eq!(echo.connections.lock().unwrap().len(), 1);
    proxy.set(Mode::Pass);
    client(&proxy).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = free.local_addr().unwrap();
    drop(free);
    let proxy = Proxy::to(addr).await;
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(next(&mut new).await, RESET);
}

#[tokio::test]
async fn mute_swallows_answers_after_some_bytes() {
    let echo = Echo::start().await;
    let proxy = Proxy::to(echo.addr).await;
    let (mut one, mut other) = (client(&proxy).await, client(&proxy).await);
    proxy.set(Mode::Mute { after: 4 });
    for (number, stream) in [&mut one, &mut other].into_iter().enumerate() {
        stream.write_all(b"123456").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"1234");
        until("the server has it all", async || {
            echo.connection(number).read == "hello.123456"
        })
        .await;
    }
    until("the rest is swallowed", async || proxy.swallowed() == 4).await;
    one.write_all(b"7").await.unwrap();
    until("that too", async || proxy.swallowed() == 5).await;
    one.shutdown().await.unwrap();
    until("the server sees the end", async || {
        echo.connection(0).ended == Some(Ok(()))
    })
    .await;
    assert_silent(&one);
    proxy.set(Mode::Pass);
    assert_eq!((next(&mut one).await, next(&mut other).await), (RESET, RESET));
    client(&proxy).await;

    // From now on nothing is answered, also not to who comes.
    proxy.set(Mode::Mute { after: 0 });
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    new.write_all(b"new").await.unwrap();
    until("the answer is swallowed", async || proxy.swallowed() == 8).await;
    assert_silent(&new);
}

#[tokio::test]
async fn one_answer_is_lost() {
    let echo = Echo::start().await;
    let proxy = Proxy::to(echo.addr).await;
    let (mut one, mut other) = (client(&proxy).await, client(&proxy).await);
    proxy.set(Mode::LoseAnswer { to: "COMMIT" });
    for stream in [&mut one, &mut other] {
        assert_eq!(say(stream, "UPDATE").await, Ok("UPDATE".to_owned()));
    }
    // The text may come in pieces.
    assert_eq!(say(&mut one, "COM").await, Ok("COM".to_owned()));
    assert_eq!(say(&mut one, "MIT;").await, Err(ErrorKind::ConnectionReset));
    let seen = echo.connection(0);
    assert_eq!(
        (seen.read.as_str(), seen.ended),
        ("hello.UPDATECOMMIT;", Some(Ok(())))
    );
    assert_eq!((proxy.mode(), proxy.swallowed()), (Mode::Pass, 4));
    assert_eq!(say(&mut other, "COMMIT").await, Ok("COMMIT".to_owned()));
    client(&proxy).await;

    proxy.set(Mode::LoseAnswer { to: "" });
    assert_eq!(say(&mut other, "any").await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_a_commit() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let postgres = Postgres::shared(&tools).await;
    let direct = postgres.database("lost").await;
    let proxy = Proxy::to(postgres.addr()).await;
    let through = direct.replace(&postgres.addr().to_string(), &proxy.addr().to_string());
    postgres.query_at(&through, "CREATE TABLE t (n BIGINT)").await;
    for (mode, rows) in [
        (Mode::LoseAnswer { to: "INSERT" }, "1"),
        (Mode::Pass, "2"),
        (Mode::Reset, "2"),
    ] {
        proxy.set(mode);
        let insert = postgres.psql(&through, "INSERT INTO t VALUES (1)");
        let ran = run(insert, TIMEOUT).await;
        assert_eq!(
            ran.status.success(),
            mode == Mode::Pass,
            "{mode:?}: {}",
            ran.shown()
        );
        assert_eq!(
            postgres.query_at(&direct, "SELECT count(*) FROM t").await,
            rows,
            "{mode:?}"
        );
    }
}
