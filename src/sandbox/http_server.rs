//! The HTTP side: connections, the request log, and the faults around the S3 service.
//!
//! Faults are applied around the S3 implementation and not in it, so that a client sees them as on a real network.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::header::{CONTENT_RANGE, HOST};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::answer::{drain, error_answer, set_request_id};
use super::bucket::Store;
use super::faults::FaultPlan;
use super::faulty::{Before, after, before};
use super::operation::{Call, Operation, classify};

/// How many requests the log keeps.
const LOG_SIZE: usize = 10_000;

/// One request as the server saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// Which operation it was.
    pub operation: Operation,
    /// The bucket, if it named one.
    pub bucket: Option<String>,
    /// The key, if it named one.
    pub key: Option<String>,
    /// Status of the response; `None` if there was none.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
struct LogState {
    records: VecDeque<RequestRecord>,
    counts: BTreeMap<Operation, usize>,
}

/// The last requests, and the number of requests of each operation.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    state: Mutex<LogState>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl RequestLog {
    fn lock(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that begins.
    fn begin(&self) {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
    }

    /// The most requests that were served at the same time.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    pub(super) fn records(&self) -> Vec<RequestRecord> {
        self.lock().records.iter().cloned().collect()
    }

    pub(super) fn count(&self, operation: Operation) -> usize {
        self.lock()
            .counts
            .iter()
            .filter(|(actual, _)| operation.covers(**actual))
            .map(|(_, count)| count)
            .sum()
    }

    pub(super) fn clear(&self) {
        *self.lock() = LogState::default();
    }

    fn push(&self, record: RequestRecord) {
        let mut state = self.lock();
        *state.counts.entry(record.operation).or_default() += 1;
        if state.records.len() == LOG_SIZE {
            state.records.pop_front();
        }
        state.records.push_back(record);
    }
}

/// Logs a request when it ends in any way: a client that disconnects cancels the handler.
struct Entry {
    log: Arc<RequestLog>,
    call: Call,
    status: Option<u16>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Call {
            operation,
            bucket,
            key,
        } = self.call.clone();
        self.log.running.fetch_sub(1, Ordering::Relaxed);
        self.log.push(RequestRecord {
            operation,
            bucket,
            key,
            status: self.status,
        });
    }
}

/// Settings of a store that requires virtual-host addressing.
#[derive(Debug)]
pub(super) struct BeforeHost {
    /// What follows the bucket in `Host`.
    pub(super) suffix: String,
    /// The error code for other requests.
    pub(super) code: &'static str,
}

/// What all connections share.
pub(super) struct HttpServer {
    pub(super) before_host: Option<BeforeHost>,
    pub(super) s3: S3Service,
    pub(super) store: Arc<Store>,
    pub(super) faults: FaultPlan,
    pub(super) log: Arc<RequestLog>,
    pub(super) served: AtomicU64,
}

impl HttpServer {
    /// Serves one connection until it ends, is reset by a fault, or `stop` is called.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream, stop: CancellationToken) {
        let reset = CancellationToken::new();
        let io = TokioIo::new(Connection {
            stream,
            reset: reset.clone(),
        });
        let handler = reset.clone();
        let service = service_fn(move |request| Arc::clone(&self).handle(request, handler.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(io, service);
        tokio::select! {
            ended = connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "sandbox connection ended");
                }
            }
            () = reset.cancelled() => {}
            () = stop.cancelled() => {}
        }
    }

    async fn handle(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        reset: CancellationToken,
    ) -> Result<HttpResponse, HttpError> {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let before_host = self.before_host.as_ref();
        let bucket = before_host.and_then(|before| host?.strip_suffix(&before.suffix));
        let call = classify(request.method(), request.uri(), request.headers(), bucket);
        let misaddressed = before_host.filter(|_| bucket.is_none());
        let id = format!("{:016X}", self.served.fetch_add(1, Ordering::Relaxed));
        let fault = self.faults.draw(&call);
        self.log.begin();
        let mut entry = Entry {
            log: Arc::clone(&self.log),
            call,
            status: None,
        };
        if let Some(BeforeHost { code, .. }) = misaddressed {
            drain(request.body_mut()).await;
            entry.status = Some(403);
            return Ok(error_answer(StatusCode::FORBIDDEN, code, None, &id));
        }
        if let Some(fault) = &fault {
            match before(fault, &mut request, &entry.call, &self.store, &id).await {
                Before::Serve => {}
                Before::Lose => return lose(&reset).await,
                Before::Answer(response) => {
                    entry.status = Some(response.status().as_u16());
                    return Ok(response);
                }
            }
        }
        let head = request.method() == Method::HEAD;
        let mut response = self.s3.call(request.map(Body::from)).await?;
        // s3s has no 206 for HeadObject.
        if head && response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        set_request_id(&mut response, &id);
        let status = response.status().as_u16();
        let response = match &fault {
            Some(fault) => after(fault, response, &reset),
            None => Some(response),
        };
        let Some(response) = response else {
            return lose(&reset).await;
        };
        entry.status = Some(status);
        Ok(response)
    }
}

/// Resets the connection: the handler never responds, and [`HttpServer::serve`] drops the connection.
async fn lose(reset: &CancellationToken) -> Result<HttpResponse, HttpError> {
    reset.cancel();
    std::future::pending().await
}

/// A TCP connection that ends with RST instead of FIN once `reset` is set.
struct Connection {
    stream: TcpStream,
    reset: CancellationToken,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.reset.is_cancelled()
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "sandbox connection closes instead of being reset");
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
