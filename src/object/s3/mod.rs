//! The S3 client: a small one of our own, with only the operations that a migration needs.
//!
//! Keys are bytes that no library normalises. Bodies are streamed frame by frame. Nothing is retried here: the engine
//! decides that by the kind of the error. The operations are in `operations`, and this file has what they share. A
//! request is addressed (`url`), signed (`sign`) and sent through the guarded client of [`crate::net`]. Its response is
//! either a success, or an error made from its status and its error document (`errors`, `documents`).

mod adapt;
#[doc(hidden)]
pub mod bench;
pub(super) mod body;
mod connector;
mod documents;
pub(super) mod errors;
#[doc(hidden)]
pub mod fuzz;
pub(super) mod headers;
mod known_headers;
mod list;
mod listing;
mod names;
mod operations;
mod plain;
pub(super) mod request;
mod sign;
mod timeouts;
mod url;
mod xml;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body as _, Incoming};
use md5::{Digest as _, Md5};
use tokio::time::Instant;

use self::adapt::{LearnedRequirements, RequestForm, Writes};
use self::body::{Progress, Upload};
pub use self::connector::S3Connector;
use self::errors::Subject;
use self::names::KeyReadings;
pub use self::names::UrlEncoding;
use self::request::{CONTENT_MD5, md5_header};
use self::sign::{Signed, Signer};
pub use self::timeouts::Timeouts;
use self::url::{Location, Query};
use crate::error::{Error, ErrorKind, Result};
use crate::net::HttpClient;
use crate::object::{Body, ListVersion};
use crate::secret::Credentials;
use crate::task::spec::{Addressing, Endpoint, EndpointOrigin, Payer};
use crate::task::{Clock, Key};

/// Largest response that is read into memory. A list of 1,000 uploads with keys of 1,024 bytes, encoded, is smaller.
/// Pages of listings are parsed while they arrive ([`listing`]).
const MAX_DOCUMENT: usize = 8 << 20;
/// Largest error document that is read.
const MAX_ERROR: usize = 64 << 10;

/// Everything that is needed to make a store.
#[derive(Clone)]
pub struct S3Options {
    /// URL and addressing style.
    pub endpoint: Endpoint,
    /// Region that requests are signed for.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Credentials that requests are signed with.
    pub keys: Credentials,
    /// The shared client.
    pub http: HttpClient,
    /// Which listing operation to use.
    pub list_version: ListVersion,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Gives the time for signatures.
    pub clock: Clock,
    /// Who pays for the requests.
    pub payer: Payer,
}

impl S3Options {
    /// Options with version 2 listings, default time limits and the system clock.
    #[must_use]
    pub fn new(
        endpoint: Endpoint,
        region: String,
        bucket: String,
        keys: Credentials,
        http: HttpClient,
    ) -> Self {
        Self {
            endpoint,
            region,
            bucket,
            keys,
            http,
            list_version: ListVersion::default(),
            timeouts: Timeouts::default(),
            clock: Clock::system(),
            payer: Payer::default(),
        }
    }
}

/// A bucket of an S3-compatible store.
pub struct S3Store {
    place: Location,
    /// The same bucket with virtual-host addressing, if that may be tried.
    before_host: Option<Location>,
    learned: LearnedRequirements,
    payer: Payer,
    signer: Signer,
    http: HttpClient,
    /// Whether the store supports only version 1 of listings.
    only_version_1: AtomicBool,
    names: KeyReadings,
    /// Set once the bucket is known to exist.
    seen_bucket: OnceLock<()>,
    timeouts: Timeouts,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Store({})", self.place.name)
    }
}

/// A request that is being built.
struct Call<'a> {
    method: Method,
    subject: Subject,
    key: Option<&'a Key>,
    query: Query,
    headers: HeaderMap,
    payload: Payload,
    answer: Answer,
}

/// What a store does before it responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Little.
    AtOnce,
    /// It copies or completes; meanwhile it may send a blank from time to time.
    AfterWork,
}

enum Payload {
    None,
    Bytes(Bytes),
    Stream { body: Body, length: u64 },
}

impl S3Store {
    /// Makes a store. It does not connect yet.
    ///
    /// # Errors
    /// `InvalidArgument` if endpoint or bucket cannot be part of a URL.
    pub fn new(options: S3Options) -> Result<Self> {
        let Endpoint {
            addressing, origin, ..
        } = options.endpoint;
        // The catalogue knows the addressing of its endpoints. For an endpoint in a request it is unknown.
        let before_host = match (addressing, origin) {
            (Addressing::Path, EndpointOrigin::Request) => {
                Location::addressed(&options.endpoint, &options.bucket, Addressing::VirtualHost).ok()
            }
            _ => None,
        };
        Ok(Self {
            place: Location::new(&options.endpoint, &options.bucket)?,
            before_host,
            learned: LearnedRequirements::default(),
            payer: options.payer,
            signer: Signer::new(options.keys, options.region, options.clock),
            http: options.http,
            only_version_1: AtomicBool::new(options.list_version == ListVersion::V1),
            names: KeyReadings::default(),
            seen_bucket: OnceLock::new(),
            timeouts: options.timeouts,
        })
    }

    fn call<'a>(&self, method: Method, subject: Subject, key: Option<&'a Key>) -> Call<'a> {
        Call {
            method,
            subject,
            key,
            query: Query::default(),
            headers: HeaderMap::new(),
            payload: Payload::None,
            answer: Answer::AtOnce,
        }
    }

    /// Sends a request. A response that is not a success becomes an error.
    async fn send(&self, call: Call<'_>) -> Result<Response<Incoming>> {
        let subject = call.subject;
        let (response, made) = self.exchange(call).await.map_err(|e| self.unanswered(e))?;
        self.answered(made);
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, incoming) = response.into_parts();
        // The status is the error. Its document is read as far as it arrives.
        let document = body::collect(incoming, MAX_ERROR, self.timeouts.document())
            .await
            .unwrap_or_default();
        let failure = documents::failure(&document);
        let error = self.failed(head.status, &head.headers, failure, subject);
        Err(self.learn(made, error).await)
    }

    /// Sends a request and reads the document of its response.
    async fn document(&self, call: Call<'_>) -> Result<(HeaderMap, Bytes)> {
        let limits = match call.answer {
            Answer::AtOnce => self.timeouts.document(),
            Answer::AfterWork => self.timeouts.work(),
        };
        let (head, incoming) = self.send(call).await?.into_parts();
        list::not_compressed(&head.headers)?;
        let document = body::collect(incoming, MAX_DOCUMENT, limits).await?;
        Ok((head.headers, document))
    }

    /// Sends a request whose response has at most an error to read, and leaves the connection reusable.
    async fn acknowledge(&self, call: Call<'_>) -> Result<HeaderMap> {
        let subject = call.subject;
        let (head, incoming) = self.send(call).await?.into_parts();
        if !incoming.is_end_stream() {
            let document = body::collect(incoming, MAX_ERROR, self.timeouts.document()).await?;
            let failure = documents::failure(&document);
            if failure.code.is_some() {
                return Err(self.failed(head.status, &head.headers, failure, subject));
            }
        }
        Ok(head.headers)
    }

    fn failed(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        mut failure: documents::Failure,
        subject: Subject,
    ) -> Error {
        failure.message = failure.message.map(|text| self.signer.redact(text));
        errors::answered(status, headers, failure, subject, self.signer.now())
    }

    /// Sends a request and returns any response, and how the request was made.
    async fn exchange(&self, call: Call<'_>) -> Result<(Response<Incoming>, RequestForm)> {
        let Call {
            method,
            key,
            query,
            mut headers,
            payload,
            answer,
            ..
        } = call;
        let timeout = match answer {
            Answer::AtOnce => self.timeouts.answer,
            Answer::AfterWork => self.timeouts.complete,
        };
        let place = self.place();
        let address = place.address(key, &query)?;
        headers.insert(HOST, place.host.clone());
        if self.payer == Payer::Requester {
            headers.insert("x-amz-request-payer", HeaderValue::from_static("requester"));
        }
        let writes = self.hashed(&method, &mut headers, &payload)?;
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("oms/", env!("CARGO_PKG_VERSION"))),
        );
        let signed = match &payload {
            Payload::None => Signed::Bytes(b""),
            Payload::Bytes(bytes) => Signed::Bytes(bytes),
            Payload::Stream { .. } => Signed::Unsigned,
        };
        let rule = self.learned.rule();
        let readings = self
            .signer
            .sign(method.as_str(), &address, &mut headers, signed, rule)?;
        let made = RequestForm {
            addressing: place.addressing,
            writes,
            readings,
        };
        let (body, progress) = match payload {
            Payload::None => {
                if matches!(method, Method::PUT | Method::POST) {
                    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
                }
                (Empty::new().map_err(|never| match never {}).boxed_unsync(), None)
            }
            Payload::Bytes(bytes) => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                (
                    Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
                    None,
                )
            }
            Payload::Stream { body, length } => {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
                let (upload, progress) = Upload::new(body, length, self.timeouts.upload());
                let timeout = self.timeouts.after_body(length);
                (upload.boxed_unsync(), Some((progress, timeout)))
            }
        };
        let uri = Uri::from_maybe_shared(Bytes::from(address))
            .map_err(|e| Error::invalid("the address is too long").with_source(e))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let answer = match progress {
            None => tokio::time::timeout(timeout, self.http.request(request))
                .await
                .unwrap_or_else(|_| Err(no_answer(timeout))),
            Some((progress, timeout)) => self.upload(request, &progress, timeout).await,
        };
        answer.map(|response| (response, made))
    }

    /// Whether a write has a hash of its body. If the store demands one, bodies in memory get one here.
    fn hashed(&self, method: &Method, headers: &mut HeaderMap, payload: &Payload) -> Result<Writes> {
        if !matches!(*method, Method::PUT | Method::POST) {
            return Ok(Writes::Nothing);
        }
        if headers.contains_key(CONTENT_MD5) || headers.contains_key("x-amz-copy-source") {
            return Ok(Writes::Hashed);
        }
        if !self.learned.demands_md5() {
            return Ok(Writes::Unhashed);
        }
        let bytes: &[u8] = match payload {
            Payload::None => b"",
            Payload::Bytes(bytes) => bytes,
            Payload::Stream { .. } => return Ok(Writes::Unhashed),
        };
        headers.insert(CONTENT_MD5, md5_header(Md5::digest(bytes).into())?);
        Ok(Writes::Hashed)
    }

    /// Sends a request with a streamed body. The limits count only the time in which the store accepts no bytes, not
    /// that in which the source of the body is waited for. From the last byte to its response the store has `timeout`.
    async fn upload(
        &self,
        request: Request<Body>,
        progress: &Arc<Progress>,
        timeout: Duration,
    ) -> Result<Response<Incoming>> {
        let _guard = AbandonOnDrop(progress);
        let exchange = self.http.request(request);
        tokio::pin!(exchange);
        let answer = loop {
            let due = progress.due(Instant::now(), timeout);
            if let Ok(answer) = tokio::time::timeout_at(due, exchange.as_mut()).await {
                break answer;
            }
            if progress.due(due, timeout) <= due {
                break Err(progress.overdue(timeout));
            }
        };
        match answer {
            // The error of the body is the cause. The broken connection is its consequence.
            Err(error) => Err(progress.take_error().unwrap_or(error)),
            // An early refusal is returned as it is. An early success cannot be true.
            Ok(answer) if !answer.status().is_success() || progress.is_complete() => Ok(answer),
            Ok(_) => Err(progress.take_error().unwrap_or_else(|| {
                let text = "the store acknowledged an upload before it had all bytes";
                Error::new(ErrorKind::Integrity, text)
            })),
        }
    }
}

fn no_answer(timeout: Duration) -> Error {
    let text = format!("no answer from the store for {} s", timeout.as_secs());
    Error::new(ErrorKind::Timeout, text)
}

/// Ends an upload when the future that waits for it ends or is dropped.
struct AbandonOnDrop<'a>(&'a Progress);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        if !self.0.is_complete() {
            self.0.abandon();
        }
    }
}
