//! A web server that sends exactly the bytes that a test sets, and records the requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One page.
#[derive(Clone)]
pub struct Page {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Status of HEAD, if it differs.
    head_status: Option<u16>,
    /// Length in the response to HEAD, if it differs. `Some(None)` means that HEAD sends no length.
    head_length: Option<Option<usize>>,
    length: Length,
    ranges: Ranges,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Reported,
    NotReported,
    Chunked,
}

/// How the body of a GET ends.
#[derive(Clone)]
enum End {
    AsReported,
    /// The connection is closed after this many bytes. The counter says how many more times.
    Early(usize, Arc<AtomicUsize>),
    /// The connection stays open, but nothing is sent after this many bytes.
    Never(usize),
}

/// Bytes of a chunk, chosen so that no chunk ends where a piece ends.
const CHUNK: usize = 3001;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ranges {
    Honoured,
    Ignored,
}

impl Page {
    /// A page with these bytes.
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
            body: body.into(),
            head_status: None,
            head_length: None,
            length: Length::Reported,
            ranges: Ranges::Honoured,
            end: End::AsReported,
        }
    }

    /// An error.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::new("<html>an error</html>")
        }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Answers HEAD with an error.
    pub fn refusing_head(mut self, status: u16) -> Self {
        self.head_status = Some(status);
        self
    }

    /// Sends no length. The end of the connection is the end of the body.
    pub fn without_length(mut self) -> Self {
        self.length = Length::NotReported;
        self
    }

    /// Sends no length, and the body in chunks.
    pub fn chunked(mut self) -> Self {
        self.length = Length::Chunked;
        self
    }

    /// Answers HEAD with another length, or with none.
    pub fn head_length(mut self, length: Option<usize>) -> Self {
        self.head_length = Some(length);
        self
    }

    /// Closes the connection after this many bytes of the body, for the first `times` reads.
    pub fn cut(mut self, after: usize, times: usize) -> Self {
        self.end = End::Early(after, Arc::new(AtomicUsize::new(times)));
        self
    }

    /// Sends nothing more after this many bytes of the body.
    pub fn stalling(mut self, after: usize) -> Self {
        self.end = End::Never(after);
        self
    }

    /// Answers every range request with the whole page.
    pub fn ignoring_ranges(mut self) -> Self {
        self.ranges = Ranges::Ignored;
        self
    }
}

type Pages = Arc<Mutex<HashMap<String, Page>>>;
type Log = Arc<Mutex<Vec<String>>>;

/// A running server. It ends when this is dropped.
pub struct Web {
    address: SocketAddr,
    pages: Pages,
    log: Log,
    task: JoinHandle<()>,
}

impl Drop for Web {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Web {
    /// Starts a server without pages: every path is 404.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (pages, log) = (Pages::default(), Log::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&pages), Arc::clone(&log)));
        Self {
            address,
            pages,
            log,
            task,
        }
    }

    /// Puts a page at a path. The query of a request is ignored.
    pub fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Request lines and headers of all requests.
    pub fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, pages: Pages, log: Log) {
    let mut serving = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        serving.spawn(serve(stream, Arc::clone(&pages), Arc::clone(&log)));
    }
}

/// Serves one request per connection.
async fn serve(mut stream: TcpStream, pages: Pages, log: Log) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap();
    let page = pages.lock().unwrap().get(path).cloned();
    log.lock().unwrap().push(head.clone());
    let page = page.unwrap_or_else(|| Page::status(404));
    let mut status = page.status;
    let mut body = page.body.clone();
    let mut extra = String::new();
    let range = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("range: bytes=")
            .map(str::to_owned)
    });
    if let Some((first, last)) = range.as_deref().and_then(|r| r.split_once('-'))
        && page.ranges == Ranges::Honoured
    {
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.trim().parse().unwrap());
        extra = format!("Content-Range: bytes {first}-{last}/{}\r\n", body.len());
        body = body[first..=last].to_vec();
        status = 206;
    }
    if method == "HEAD"
        && let Some(other) = page.head_status
    {
        status = other;
    }
    let mut answer = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n{extra}");
    for (name, value) in &page.headers {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    let reported = match page.head_length {
        Some(length) if method == "HEAD" => length,
        _ => (page.length == Length::Reported).then_some(body.len()),
    };
    if let Some(reported) = reported {
        answer.push_str(&format!("Content-Length: {reported}\r\n"));
    }
    if page.length == Length::Chunked && method != "HEAD" {
        answer.push_str("Transfer-Encoding: chunked\r\n");
    }
    answer.push_str("\r\n");
    let mut bytes = answer.into_bytes();
    let end = match &page.end {
        _ if method == "HEAD" => {
            body.clear();
            None
        }
        End::AsReported => None,
        End::Never(after) => Some(*after),
        End::Early(after, times) => times
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .is_ok()
            .then_some(*after),
    };
    body.truncate(end.unwrap_or(body.len()));
    if page.length == Length::Chunked && method != "HEAD" {
        for chunk in body.chunks(CHUNK) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        if end.is_none() {
            bytes.extend(b"0\r\n\r\n");
        }
    } else {
        bytes.extend(body);
    }
    if stream.write_all(&bytes).await.is_err() {
        return;
    }
    if end.is_some() && matches!(page.end, End::Never(_)) {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await.unwrap_or_default();
}
