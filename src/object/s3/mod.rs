//! The S3 client: a thin one of our own, with only the operations that a migration needs.
//!
//! Keys are bytes that no library normalises, bodies are streamed frame by frame, and nothing is retried here: the
//! engine decides by the kind of the error. `operations` holds the operations, this file what they share: a request is
//! addressed (`url`), signed (`sign`), sent through the guarded client of [`crate::net`], and its answer is either a
//! success or an error made of its status and its error document (`errors`, `documents`).

pub(super) mod body;
mod connector;
mod documents;
pub(super) mod errors;
#[doc(hidden)]
pub mod fuzz;
pub(super) mod headers;
mod listing;
mod operations;
mod plus;
pub(super) mod request;
mod sign;
mod timeouts;
mod url;
mod xml;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout};

use self::body::{Progress, Upload};
pub use self::connector::S3Connector;
use self::errors::Subject;
use self::plus::Plus;
use self::sign::{Signed, Signer};
pub use self::timeouts::Timeouts;
use self::url::{Location, Query};
use crate::error::{Error, ErrorKind, Result};
use crate::net::HttpClient;
use crate::object::{Body, ListVersion};
use crate::secret::KeyPair;
use crate::task::spec::Endpoint;
use crate::task::{Clock, Key};

/// Largest answer that is read into memory: a listing of 1,000 keys of 1,024 bytes, encoded, is far below it.
const MAX_DOCUMENT: usize = 64 << 20;
/// Largest error document that is read.
const MAX_ERROR: usize = 64 << 10;

/// What a bare `+` in a url-encoded listing stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlusMeans {
    /// A space.
    #[default]
    Space,
    /// Itself.
    Plus,
}

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
    pub keys: KeyPair,
    /// The shared client.
    pub http: HttpClient,
    /// Which listing operation to use.
    pub list_version: ListVersion,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Tells the time for signatures.
    pub clock: Clock,
}

impl S3Options {
    /// Options with version 2 listings, default time limits and the system's clock.
    #[must_use]
    pub fn new(endpoint: Endpoint, region: String, bucket: String, keys: KeyPair, http: HttpClient) -> Self {
        Self {
            endpoint,
            region,
            bucket,
            keys,
            http,
            list_version: ListVersion::default(),
            timeouts: Timeouts::default(),
            clock: Clock::system(),
        }
    }
}

/// A bucket of an S3-compatible store.
pub struct S3Store {
    place: Location,
    signer: Signer,
    http: HttpClient,
    list_version: ListVersion,
    plus: Plus,
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
        Ok(Self {
            place: Location::new(&options.endpoint, &options.bucket)?,
            signer: Signer::new(&options.keys, options.region, options.clock),
            http: options.http,
            list_version: options.list_version,
            plus: Plus::default(),
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
        let response = self.exchange(call).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (head, incoming) = response.into_parts();
        // The status is the error; its document is read as far as it comes.
        let document = body::collect(incoming, MAX_ERROR, self.timeouts.document())
            .await
            .unwrap_or_default();
        let failure = documents::failure(&document);
        Err(self.failed(head.status, &head.headers, failure, subject))
    }

    /// Sends a request and reads the document of its answer.
    async fn document(&self, call: Call<'_>) -> Result<(HeaderMap, Bytes)> {
        let limits = match call.answer {
            Answer::AtOnce => self.timeouts.document(),
            Answer::AfterWork => self.timeouts.work(),
        };
        let (head, incoming) = self.send(call).await?.into_parts();
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

    async fn exchange(&self, call: Call<'_>) -> Result<Response<Incoming>> {
        let Call {
            method,
            key,
            query,
            mut headers,
            payload,
            answer,
            ..
        } = call;
        let patience = match answer {
            Answer::AtOnce => self.timeouts.answer,
            Answer::AfterWork => self.timeouts.complete,
        };
        let address = self.place.address(key, &query)?;
        headers.insert(HOST, self.place.host.clone());
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
        self.signer
            .sign(method.as_str(), &address, &mut headers, signed)?;
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
                let patience = self.timeouts.after_body(length);
                (upload.boxed_unsync(), Some((progress, patience)))
            }
        };
        let uri = Uri::from_maybe_shared(Bytes::from(address))
            .map_err(|e| Error::invalid("the address is too long").with_source(e))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        match progress {
            None => timeout(patience, self.http.request(request))
                .await
                .unwrap_or_else(|_| Err(no_answer(patience))),
            Some((progress, patience)) => self.upload(request, &progress, patience).await,
        }
    }

    /// Sends a request with a streamed body. The limits count the time in which the store takes no bytes, and not that in
    /// which the source of the body is what is waited for. From the last byte to its answer the store has `patience`.
    async fn upload(
        &self,
        request: Request<Body>,
        progress: &Arc<Progress>,
        patience: Duration,
    ) -> Result<Response<Incoming>> {
        let _guard = AbandonOnDrop(progress);
        let exchange = self.http.request(request);
        tokio::pin!(exchange);
        let answer = loop {
            let due = progress.due(Instant::now(), patience);
            if let Ok(answer) = tokio::time::timeout_at(due, exchange.as_mut()).await {
                break answer;
            }
            if progress.due(due, patience) <= due {
                break Err(progress.overdue(patience));
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

fn no_answer(patience: Duration) -> Error {
    let text = format!("no answer from the store for {} s", patience.as_secs());
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
