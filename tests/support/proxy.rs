//! A TCP proxy that stands for a network that fails.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How long the server may take to end a connection whose answer is lost.
const LAST: Duration = Duration::from_secs(10);

/// What the proxy does with all connections, those that are open and those that come.
///
/// A connection that misses bytes cannot go on: it is reset when the mode becomes one in which it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything.
    Pass,
    /// Accepts connections, swallows what both sides send, and tells neither side that the other has closed.
    BlackHole,
    /// Resets all connections.
    Reset,
    /// Passes what clients send. Of the answers, each connection passes this many bytes more and swallows the rest.
    Mute {
        /// Number of bytes.
        after: u64,
    },
    /// Loses one answer: that to the first request that contains this text. The request passes. When the server has answered and
    /// has closed its side, the client's connection is reset. All other connections pass, and the mode becomes [`Mode::Pass`].
    LoseAnswer {
        /// The text. An empty one is in every request.
        to: &'static str,
    },
}

/// A proxy to one address. When this is dropped, its connections are closed.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    to: SocketAddr,
    mode: watch::Sender<Mode>,
    accepted: AtomicU64,
    swallowed: AtomicU64,
}

/// The connection of a client and, from when it may pass, the one to the server.
struct Link {
    shared: Arc<Shared>,
    client: TcpStream,
    server: Option<TcpStream>,
    requests: Way,
    answers: Way,
    /// The next answer is the one to lose.
    asked: AtomicBool,
}

/// What was read from one side, and is to be written to the other.
struct Way {
    buffer: Vec<u8>,
    waiting: Range<usize>,
    /// The side that is read has closed.
    ended: bool,
    /// The side that is written misses something.
    broken: bool,
}

/// Why a connection ends.
enum End {
    /// Both sides have closed it.
    Closed,
    /// One side has reset it, or the proxy shall.
    Reset,
    /// An answer has come that is to be lost.
    LoseAnswer,
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Reset
    }
}

impl Proxy {
    /// A proxy to this address that passes everything.
    pub async fn to(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            to: addr,
            mode: watch::Sender::new(Mode::Pass),
            accepted: AtomicU64::new(0),
            swallowed: AtomicU64::new(0),
        });
        Self {
            addr: listener.local_addr().unwrap(),
            accepting: tokio::spawn(accept(listener, shared.clone())),
            shared,
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes what it does, at once and also with open connections.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// What it does.
    pub fn mode(&self) -> Mode {
        *self.shared.mode.borrow()
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many bytes it has swallowed.
    pub fn swallowed(&self) -> u64 {
        self.shared.swallowed.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut links = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                links.spawn(Link::new(client, shared.clone()).serve());
            }
            Some(ended) = links.join_next() => ended.unwrap(),
        }
    }
}

impl Shared {
    fn swallow(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap();
        self.swallowed.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Ends a mode that one connection uses up. `false` if it has already ended.
    fn use_up(&self, used: Mode) -> bool {
        self.mode.send_if_modified(|mode| {
            let is_on = *mode == used;
            if is_on {
                *mode = Mode::Pass;
            }
            is_on
        })
    }
}

impl Link {
    fn new(client: TcpStream, shared: Arc<Shared>) -> Self {
        Self {
            shared,
            client,
            server: None,
            requests: Way::new(),
            answers: Way::new(),
            asked: AtomicBool::new(false),
        }
    }

    async fn serve(mut self) {
        let mut modes = self.shared.mode.subscribe();
        let end = loop {
            let mode = *modes.borrow_and_update();
            tokio::select! {
                biased;
                // Drops what the other branch does. All that it did so far is in `self`.
                _ = modes.changed() => {}
                end = self.run(mode) => break end,
            }
        };
        match end {
            End::Closed => return,
            End::Reset => {}
            End::LoseAnswer => self.finish_at_server().await,
        }
        for stream in [Some(&self.client), self.server.as_ref()].into_iter().flatten() {
            // From now on, closing is a reset.
            stream.set_zero_linger().unwrap_or_default();
        }
    }

    /// Does what the mode says until the connection ends.
    async fn run(&mut self, mode: Mode) -> End {
        let misses_bytes = self.requests.broken || self.answers.broken;
        match mode {
            Mode::Reset => End::Reset,
            Mode::BlackHole => match self.swallow().await {},
            _ if misses_bytes => End::Reset,
            _ => match self.pass(mode).await {
                Ok(()) => End::Closed,
                Err(end) => end,
            },
        }
    }

    /// Passes what both sides send, except for the answers that the mode swallows.
    async fn pass(&mut self, mode: Mode) -> Result<(), End> {
        let server = match &mut self.server {
            Some(server) => server,
            none => none.insert(TcpStream::connect(self.shared.to).await?),
        };
        server.set_nodelay(true)?;
        self.client.set_nodelay(true)?;
        let (client_read, client_write) = self.client.split();
        let (server_read, server_write) = server.split();
        let (shared, asked) = (&self.shared, &self.asked);
        let mut seen = Vec::new();
        let requests = self.requests.pump(client_read, server_write, |read| {
            if let Mode::LoseAnswer { to } = mode
                && contains(&mut seen, read, to.as_bytes())
                && shared.use_up(mode)
            {
                asked.store(true, Ordering::SeqCst);
            }
            Ok(read.len())
        });
        let mut budget = match mode {
            Mode::Mute { after } => after,
            _ => u64::MAX,
        };
        let answers = self.answers.pump(server_read, client_write, |read| {
            if asked.load(Ordering::SeqCst) {
                shared.swallow(read.len());
                return Err(End::LoseAnswer);
            }
            let passed = usize::try_from(budget).unwrap_or(usize::MAX).min(read.len());
            budget -= u64::try_from(passed).unwrap();
            shared.swallow(read.len() - passed);
            Ok(passed)
        });
        tokio::try_join!(requests, answers).map(drop)
    }

    async fn swallow(&mut self) -> Infallible {
        let client = self.client.split().0;
        let requests = self.requests.discard(client, &self.shared);
        match &mut self.server {
            None => requests.await,
            Some(server) => {
                let answers = self.answers.discard(server.split().0, &self.shared);
                tokio::join!(requests, answers).0
            }
        }
    }

    /// Lets the server do all that it was told, and swallows what it answers.
    async fn finish_at_server(&mut self) {
        let Some(server) = &mut self.server else { return };
        let rest = &self.requests.buffer[self.requests.waiting.clone()];
        let shared = &self.shared;
        let finish = async {
            server.write_all(rest).await?;
            server.shutdown().await?;
            let mut buffer = [0; 4096];
            loop {
                match server.read(&mut buffer).await? {
                    0 => return Ok::<(), std::io::Error>(()),
                    read => shared.swallow(read),
                }
            }
        };
        // However it goes, the client's connection is reset.
        drop(tokio::time::timeout(LAST, finish).await);
    }
}

impl Way {
    fn new() -> Self {
        Self {
            buffer: vec![0; 1 << 14],
            waiting: 0..0,
            ended: false,
            broken: false,
        }
    }

    /// Writes what `from` sends to `to`: from each piece, as many bytes as `allow` says. If this is dropped in between, it can be
    /// called again.
    async fn pump(
        &mut self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        mut allow: impl FnMut(&[u8]) -> Result<usize, End>,
    ) -> Result<(), End> {
        loop {
            while !self.waiting.is_empty() {
                self.waiting.start += to.write(&self.buffer[self.waiting.clone()]).await?;
            }
            if self.ended && self.broken {
                // That one side has closed is swallowed too.
                return std::future::pending().await;
            }
            if self.ended {
                to.shutdown().await?;
                return Ok(());
            }
            let read = from.read(&mut self.buffer).await?;
            if read == 0 {
                self.ended = true;
            } else {
                let passed = allow(&self.buffer[..read])?;
                self.broken |= passed < read;
                self.waiting = 0..passed;
            }
        }
    }

    /// Reads what `from` sends and forgets it.
    async fn discard(&mut self, mut from: ReadHalf<'_>, shared: &Shared) -> Infallible {
        if !self.waiting.is_empty() {
            shared.swallow(self.waiting.len());
            self.waiting = 0..0;
            self.broken = true;
        }
        while !self.ended {
            let read = from.read(&mut self.buffer).await.unwrap_or_default();
            shared.swallow(read);
            self.broken = true;
            self.ended = read == 0;
        }
        std::future::pending().await
    }
}

/// Whether the bytes contain `text`, which may have begun in those that were read before. `seen` is for those.
fn contains(seen: &mut Vec<u8>, read: &[u8], text: &[u8]) -> bool {
    seen.extend_from_slice(read);
    let found = text.is_empty() || seen.windows(text.len()).any(|part| part == text);
    let keep = text.len().saturating_sub(1).min(seen.len());
    seen.drain(..seen.len() - keep);
    found
}
