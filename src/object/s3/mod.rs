//! The S3 client: a thin one of our own, with only the operations that a migration needs.
//!
//! Keys are bytes that no library normalises, bodies are streamed frame by frame, and nothing is retried here: the
//! engine decides by the kind of the error. `operations` holds the operations, this file what they share: a request is
//! addressed (`url`), signed (`sign`), sent through the guarded client of [`crate::net`], and its answer is either a
//! success or an error made of its status and its error document (`errors`, `documents`).

mod adapt;
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

use self::adapt::{Learnt, Made, Writes};
use self::body::{Progress, Upload};
pub use self::connector::S3Connector;
use self::errors::Subject;
use self::names::Names;
pub use self::names::Spelling;
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

/// Largest answer that is read into memory: a list of 1,000 uploads with keys of 1,024 bytes, encoded, is below it. Pages
/// of listings are read while they arrive ([`listing`]).
const MAX_DOCUMENT: usize = 8 << 20;
/// Largest error document that is read.
const MAX_ERROR: usize = 64 << 10;

/// All that makes a store.
#[derive(Clone)]
pub struct S3Options {
    /// Address and addressing style.
    pub endpoint: Endpoint,
    /// Region that requests are signed for.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Keys that requests are signed with.
    pub keys: Credentials,
    /// The shared client.
    pub http: HttpClient,
    /// Which listing operation to use.
    pub list_version: ListVersion,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Tells the time for signatures.
    pub clock: Clock,
    /// Who pays for the requests.
    pub payer: Payer,
}

impl S3Options {
    /// Options with version 2 listings, default time limits and the system's clock.
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
    /// The same bucket with its name before the host, where that may be tried.
    before_host: Option<Location>,
    learnt: Learnt,
    payer: Payer,
    signer: Signer,
    http: HttpClient,
    /// Whether the store knows only the first version of listings.
    only_version_1: AtomicBool,
    names: Names,
    /// Set once it was seen that the store has the bucket.
    seen_bucket: OnceLock<()>,
    timeouts: Timeouts,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Store({})", self.place.name)
    }
}

/// A request in the making.
struct Call<'a> {
    method: Method,
    subject: Subject,
    key: Option<&'a Key>,
    query: Query,
    headers: HeaderMap,
    payload: Payload,
    answer: Answer,
}

/// What a store does before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// Little.
    AtOnce,
    /// It copies or joins; meanwhile it may send a blank from time to time.
    AfterWork,
}

enum Payload {
    None,
    Bytes(Bytes),
    Stream { body: Body, length: u64 },
}

impl S3Store {
    /// Makes a store. Nothing is connected.
    ///
    /// # Errors
    /// `InvalidArgument` when endpoint or bucket cannot be part of an address.
    pub fn new(options: S3Options) -> Result<Self> {
        let Endpoint {
            addressing, origin, ..
        } = options.endpoint;
        // The catalogue knows how its stores are addressed; of an endpoint in a request nobody says it.
        let before_host = match (addressing, origin) {
            (Addressing::Path, EndpointOrigin::Request) => {
                Location::addressed(&options.endpoint, &options.bucket, Addressing::VirtualHost).ok()
            }
            _ => None,
        };
        Ok(Self {
            place: Location::new(&options.endpoint, &options.bucket)?,
            before_host,
            learnt: Learnt::default(),
            payer: options.payer,
            signer: Signer::new(&options.keys, options.region, options.clock),
            http: options.http,
            only_version_1: AtomicBool::new(options.list_version == ListVersion::V1),
            names: Names::default(),
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

    /// Sends a request; an answer that is no success becomes an error.
    async fn send(&self, call: Call<'_>) -> Result<Response<Incoming>> {
        let subject = call.subject;
        let (response, made) = self.exchange(call).await.map_err(|e| self.unanswered(e))?;
        self.answered(made);
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, incoming) = response.into_parts();
        // The status is the error; its document is read as far as it comes.
        let document = body::collect(incoming, MAX_ERROR, self.timeouts.document())
            .await
            .unwrap_or_default();
        let failure = documents::failure(&document);
        let error = self.failed(head.status, &head.headers, failure, subject);
        Err(self.learn(made, error).await)
    }

    /// Sends a request and reads the document of its answer.
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

    /// Sends a request whose answer has nothing to read but perhaps an error, and leaves the connection usable.
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

    /// Sends a request, whatever the answer; tells also how it was made.
    async fn exchange(&self, call: Call<'_>) -> Result<(Response<Incoming>, Made)> {
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
        let rule = self.learnt.rule();
        let readings = self
            .signer
            .sign(method.as_str(), &address, &mut headers, signed, rule)?;
        let made = Made {
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

    /// Whether a write has a hash of its body with it. Where the store demands one, bodies that are at hand get one.
    fn hashed(&self, method: &Method, headers: &mut HeaderMap, payload: &Payload) -> Result<Writes> {
        if !matches!(*method, Method::PUT | Method::POST) {
            return Ok(Writes::Nothing);
        }
        if headers.contains_key(CONTENT_MD5) || headers.contains_key("x-amz-copy-source") {
            return Ok(Writes::Hashed);
        }
        if !self.learnt.demands_md5() {
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

    /// Sends a request with a streamed body. The limits count the time in which the store takes no bytes, and not that in
    /// which the source of the body is what is waited for. From the last byte to its answer the store has `timeout`.
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
            // What ended the body is the cause; that the connection broke is its consequence.
            Err(error) => Err(progress.take_error().unwrap_or(error)),
            // An early refusal stands for itself. An early success cannot be true.
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

/// Ends an upload with the future that waits for it, also when that is dropped.
struct AbandonOnDrop<'a>(&'a Progress);

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        if !self.0.is_complete() {
            self.0.abandon();
        }
    }
}
