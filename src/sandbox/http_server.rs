//! The HTTP side: connections, the request log, and the faults around the S3 service.
//!
//! Faults are applied here and not in the S3 implementation, so that a client sees them as on a real network.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HOST, IF_MATCH};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::service::S3Service;
use s3s::{Body, HttpError, HttpResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::answer::{document, error_answer, refusal, set_request_id};
use super::body::{End, FaultBody, after_white_space};
use super::bucket::{Conditions, Store};
use super::faults::{
    CopyNothing, Fault, FaultPlan, IgnoreCondition, IgnoreEncryption, IgnoreRange, ListingFault,
};
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
        match &fault {
            Some(Fault::DemandHeader {
                names,
                status,
                code,
                message,
            }) if !names.iter().any(|name| request.headers().contains_key(*name)) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
                drain(request.body_mut()).await;
                entry.status = Some(status.as_u16());
                return Ok(refusal(status, code, message, &id));
            }
            Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
            Some(Fault::ResetBefore) => return lose(&reset).await,
            Some(Fault::Status {
                status,
                code,
                retry_after,
            }) => {
                let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                drain(request.body_mut()).await;
                entry.status = Some(status.as_u16());
                return Ok(error_answer(status, code, retry_after.as_deref(), &id));
            }
            Some(Fault::OkWithError { code }) => {
                drain(request.body_mut()).await;
                entry.status = Some(200);
                return Ok(error_answer(StatusCode::OK, code, None, &id));
            }
            Some(Fault::WhiteSpace {
                pieces,
                pause,
                error: Some(code),
            }) => {
                drain(request.body_mut()).await;
                entry.status = Some(200);
                let (head, body) = error_answer(StatusCode::OK, code, None, &id).into_parts();
                let body = after_white_space(body, *pieces, *pause);
                return Ok(HttpResponse::from_parts(head, body));
            }
            Some(Fault::OkWithBody { content_type, body }) => {
                drain(request.body_mut()).await;
                entry.status = Some(200);
                return Ok(document(content_type, body.clone()));
            }
            Some(Fault::IgnoreRange) => {
                request.extensions_mut().insert(IgnoreRange);
            }
            Some(Fault::IgnoreCondition) => {
                request.extensions_mut().insert(IgnoreCondition);
            }
            Some(Fault::RefuseCondition) if request.headers().contains_key(IF_MATCH) => {
                drain(request.body_mut()).await;
                let status = StatusCode::PRECONDITION_FAILED;
                entry.status = Some(status.as_u16());
                return Ok(error_answer(status, "PreconditionFailed", None, &id));
            }
            Some(Fault::CopyNothing | Fault::CopyNothingSilently) => {
                request.extensions_mut().insert(CopyNothing);
            }
            Some(Fault::RemoveObject) => {
                if let (Some(bucket), Some(key)) = (&entry.call.bucket, &entry.call.key) {
                    let removed = self.store.delete(bucket, key, &Conditions::default());
                    tracing::debug!(?removed, "another client deletes an object of the sandbox");
                }
            }
            Some(Fault::IgnoreEncryption) => {
                request.extensions_mut().insert(IgnoreEncryption);
            }
            Some(Fault::RewindToken(entries)) => {
                request.extensions_mut().insert(ListingFault::Rewind(*entries));
            }
            Some(Fault::EmptyPage) => {
                request.extensions_mut().insert(ListingFault::Empty);
            }
            Some(Fault::ReversePage) => {
                request.extensions_mut().insert(ListingFault::Reverse);
            }
            Some(Fault::LastPage) => {
                request.extensions_mut().insert(ListingFault::Last);
            }
            Some(Fault::IgnoreStart) => {
                request.extensions_mut().insert(ListingFault::FromStart);
            }
            Some(Fault::RefuseStart) => {
                request.extensions_mut().insert(ListingFault::RefuseStart);
            }
            Some(Fault::NoSizes) => {
                request.extensions_mut().insert(ListingFault::NoSizes);
            }
            Some(Fault::OnePage) => {
                request.extensions_mut().insert(ListingFault::OnePage);
            }
            Some(Fault::EmptyIsMissing) => {
                request.extensions_mut().insert(ListingFault::EmptyIsMissing);
            }
            Some(Fault::ChangeObject { data }) => {
                if let (Some(bucket), Some(key)) = (&entry.call.bucket, &entry.call.key) {
                    self.store.change(bucket, key, data.clone());
                }
            }
            _ => {}
        }
        let head = request.method() == Method::HEAD;
        let mut response = self.s3.call(request.map(Body::from)).await?;
        // s3s has no 206 for HeadObject.
        if head && response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        set_request_id(&mut response, &id);
        if fault == Some(Fault::ResetAfterEffect) {
            drop(response);
            return lose(&reset).await;
        }
        entry.status = Some(response.status().as_u16());
        Ok(match fault {
            Some(fault) => spoil(response, &fault, reset),
            None => response,
        })
    }
}

/// Resets the connection: the handler never responds, and [`HttpServer::serve`] drops the connection.
async fn lose(reset: &CancellationToken) -> Result<HttpResponse, HttpError> {
    reset.cancel();
    std::future::pending().await
}

/// Reads what the client sends. An earlier response would close the connection while the client is still sending, and
/// the client would see a reset instead of the response.
async fn drain(body: &mut Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// Applies the faults that change the headers or the body of a response.
fn spoil(response: HttpResponse, fault: &Fault, reset: CancellationToken) -> HttpResponse {
    let (mut parts, body) = response.into_parts();
    let announced = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = announced
        .or_else(|| http_body::Body::size_hint(&body).exact())
        .unwrap_or(0);
    let mut announce = Some(length);
    if let Fault::Header { name, value } = fault {
        parts.headers.remove(*name);
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            parts.headers.insert(*name, value);
        }
        return HttpResponse::from_parts(parts, body);
    }
    let body = match *fault {
        Fault::TruncateBody { after } => FaultBody::cut(body, after, End::Reset(reset)),
        Fault::Stall { after } => FaultBody::cut(body, after, End::Stall),
        Fault::EarlyClose { after } => {
            announce = None;
            FaultBody::cut(body, after, End::Finish)
        }
        Fault::ExtraBytes(count) => {
            announce = Some(length + count);
            FaultBody::new(body).fill(count)
        }
        Fault::WrongLength(wanted) => {
            announce = Some(wanted);
            FaultBody::cut(body, wanted, End::Finish).fill(wanted.saturating_sub(length))
        }
        Fault::WhiteSpace { pieces, pause, .. } => {
            parts.headers.remove(CONTENT_LENGTH);
            return HttpResponse::from_parts(parts, after_white_space(body, pieces, pause));
        }
        Fault::CopyNothingSilently => {
            parts.headers.remove(CONTENT_LENGTH);
            return HttpResponse::from_parts(parts, Body::empty());
        }
        Fault::CorruptBody { at } => FaultBody::new(body).flip(at.min(length.saturating_sub(1))),
        Fault::Status { .. }
        | Fault::Delay(_)
        | Fault::ResetBefore
        | Fault::ResetAfterEffect
        | Fault::OkWithError { .. }
        | Fault::OkWithBody { .. }
        | Fault::DemandHeader { .. }
        | Fault::Header { .. }
        | Fault::IgnoreRange
        | Fault::IgnoreCondition
        | Fault::RefuseCondition
        | Fault::RemoveObject
        | Fault::CopyNothing
        | Fault::IgnoreEncryption
        | Fault::RewindToken(_)
        | Fault::EmptyPage
        | Fault::ReversePage
        | Fault::LastPage
        | Fault::IgnoreStart
        | Fault::RefuseStart
        | Fault::NoSizes
        | Fault::OnePage
        | Fault::EmptyIsMissing
        | Fault::ChangeObject { .. } => return HttpResponse::from_parts(parts, body),
    };
    parts.headers.remove(CONTENT_LENGTH);
    if let Some(length) = announce {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    HttpResponse::from_parts(parts, body.boxed())
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
