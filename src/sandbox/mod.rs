//! An S3 server in memory, on a loopback port, that stores keys exactly.
//!
//! `oms demo` copies from and to it. Tests use it where a real store would be too slow, too reliable or not available.
//! It uses real HTTP, checks signatures and stores nothing on disk. With the feature `faults`, which only tests have, a
//! `FaultPlan` makes it fail in the ways of real networks and stores.

mod answer;
#[cfg(feature = "faults")]
mod body;
mod bucket;
#[cfg(feature = "faults")]
mod faults;
#[cfg(feature = "faults")]
mod faulty;
mod http_server;
mod listing;
mod marks;
#[cfg(not(feature = "faults"))]
mod no_faults;
mod object;
mod operation;
mod page;
mod read;
mod service;
#[cfg(test)]
mod tests;
mod upload;
mod write;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use s3s::host::SingleDomain;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};

pub use self::bucket::ListOrder;
#[cfg(feature = "faults")]
pub use self::faults::{Fault, FaultPlan, FaultRule, KeyMatch};
pub use self::http_server::RequestRecord;
pub use self::object::SandboxObject;
pub use self::operation::Operation;

use self::bucket::Store;
use self::http_server::{BeforeHost, HttpServer, RequestLog};
#[cfg(not(feature = "faults"))]
use self::no_faults::{self as faults, self as faulty};
use self::service::{SandboxCredentials, Service};

/// Whether a store does what an optional part of a request requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// It does.
    #[default]
    Honoured,
    /// It accepts the request and ignores that part, as older stores do.
    Ignored,
}

/// The names under which a store keeps its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameHandling {
    /// Exactly as they are written.
    #[default]
    Exact,
    /// As file paths, as file-backed stores do: without empty parts and `.`, and with `..` resolved.
    Folded,
}

impl NameHandling {
    pub(super) fn keep(self, key: String) -> String {
        if self == Self::Exact {
            return key;
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in key.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let folder = if key.ends_with('/') { "/" } else { "" };
        parts.join("/") + folder
    }
}

/// Where requests must name the bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BucketInRequests {
    /// In the path.
    #[default]
    Path,
    /// Only before the host; a path is refused with this code.
    Host(&'static str),
}

/// How a url-encoded listing writes a space and a plus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyEncoding {
    /// `+` and `%2B`, as in HTML forms and by Amazon S3.
    #[default]
    Form,
    /// `%20` and `%2B`.
    Percent,
    /// `%20` and `+`, as in paths.
    Path,
    /// As [`Self::Form`], but the listing does not say that keys are encoded.
    Undeclared,
    /// Keys are not encoded, but the listing says that they are.
    DeclaredPlain,
    /// As [`Self::DeclaredPlain`], and `&` and `<` are escaped twice.
    EscapedTwice,
}

/// The ETag of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartTags {
    /// The MD5 of its bytes.
    #[default]
    Md5,
    /// Digits that only look like an MD5, as with stores that encrypt with keys of a service.
    LikeMd5,
    /// Something else.
    Opaque,
}

impl PartTags {
    fn of(self, md5: [u8; 16]) -> String {
        match self {
            Self::Md5 => hex::encode(md5),
            Self::LikeMd5 => hex::encode(md5.map(|byte| !byte)),
            Self::Opaque => format!("part-{}", hex::encode(md5)),
        }
    }
}

/// The ETag of an object that was uploaded in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JoinedTags {
    /// The MD5 of the parts' MD5 sums, and their number.
    #[default]
    S3,
    /// Something else, as with many stores other than Amazon's.
    Opaque,
}

/// How a sandbox behaves. The default is close to Amazon S3.
#[derive(Clone, PartialEq, Eq)]
pub struct SandboxOptions {
    /// Where to listen; port 0 selects a free one.
    pub listen: SocketAddr,
    /// The access key that requests must be signed with.
    pub access_key: String,
    /// Its secret key.
    pub secret_key: String,
    /// The region that the buckets are in.
    pub region: String,
    /// The order in which keys are listed.
    pub order: ListOrder,
    /// `If-Match` and `If-None-Match` of writes.
    pub conditional_writes: Support,
    /// `x-amz-server-side-encryption` of writes.
    pub encryption: Support,
    /// `partNumber` of HeadObject and GetObject.
    pub part_number: Support,
    /// Whether Content-MD5 is compared with the body.
    pub verify_content_md5: bool,
    /// Most entries on a page of a listing, at most 1,000.
    pub page_size: usize,
    /// How `encoding-type=url` writes a space and a plus.
    pub key_encoding: KeyEncoding,
    /// Smallest size of a part other than the last.
    pub min_part_size: u64,
    /// ETags of parts.
    pub part_tags: PartTags,
    /// ETags of objects that were uploaded in parts.
    pub joined_tags: JoinedTags,
    /// The names under which objects are kept.
    pub names: NameHandling,
    /// Where requests name the bucket.
    pub bucket_in_requests: BucketInRequests,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: "SANDBOXACCESSKEY".to_owned(),
            secret_key: "sandbox-secret-key".to_owned(),
            region: "us-east-1".to_owned(),
            order: ListOrder::Bytes,
            conditional_writes: Support::Honoured,
            encryption: Support::Honoured,
            part_number: Support::Honoured,
            verify_content_md5: true,
            page_size: 1000,
            key_encoding: KeyEncoding::Form,
            min_part_size: 5 * 1024 * 1024,
            part_tags: PartTags::Md5,
            joined_tags: JoinedTags::S3,
            names: NameHandling::Exact,
            bucket_in_requests: BucketInRequests::Path,
        }
    }
}

impl fmt::Debug for SandboxOptions {
    /// Omits the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SandboxOptions")
            .field("listen", &self.listen)
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

/// A running S3 server. It stops when it is dropped; [`Self::stop`] also waits for its connections to end.
pub struct Sandbox {
    address: SocketAddr,
    options: SandboxOptions,
    server: Arc<HttpServer>,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Sandbox {
    /// Binds the address and starts to serve.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound.
    pub async fn start(options: SandboxOptions) -> Result<Self> {
        let unbound =
            |error| Error::internal(format!("cannot listen on {}", options.listen)).with_source(error);
        let listener = TcpListener::bind(options.listen).await.map_err(unbound)?;
        let address = listener.local_addr().map_err(unbound)?;
        let store = Arc::new(Store::new(options.order));
        let mut builder = S3ServiceBuilder::new(Service {
            store: Arc::clone(&store),
            options: options.clone(),
        });
        builder.set_auth(SandboxCredentials {
            access_key: options.access_key.clone(),
            secret_key: options.secret_key.clone(),
        });
        let before_host = match options.bucket_in_requests {
            BucketInRequests::Path => None,
            BucketInRequests::Host(code) => {
                let domain = address.to_string();
                let host = SingleDomain::new(&domain).map_err(|error| {
                    Error::internal(format!("{domain} cannot be the domain of buckets")).with_source(error)
                })?;
                builder.set_host(host);
                Some(BeforeHost {
                    suffix: format!(".{domain}"),
                    code,
                })
            }
        };
        let server = Arc::new(HttpServer {
            before_host,
            s3: builder.build(),
            store,
            faults: Default::default(),
            log: Arc::new(RequestLog::default()),
            served: AtomicU64::new(0),
        });
        let tasks = TaskTracker::new();
        let cancel = CancellationToken::new();
        tasks.spawn(accept(
            listener,
            Arc::clone(&server),
            tasks.clone(),
            cancel.clone(),
        ));
        Ok(Self {
            address,
            options,
            server,
            tasks,
            cancel,
        })
    }

    /// Base URL, without a slash at the end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The access key that requests must be signed with.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.options.access_key
    }

    /// Its secret key.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.options.secret_key
    }

    /// The active faults; none at the start.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.server.faults
    }

    /// Creates a bucket; an existing one is not changed.
    pub fn create_bucket(&self, name: &str) {
        self.server.store.lock().entry(name.to_owned()).or_default();
    }

    /// Stores an object without a request, and creates the bucket if necessary.
    pub fn put(&self, bucket: &str, key: &str, object: SandboxObject) {
        let sort_key = self.server.store.order.sort_key(key);
        self.server
            .store
            .lock()
            .entry(bucket.to_owned())
            .or_default()
            .objects
            .insert(sort_key, object.into());
    }

    /// The current object.
    #[must_use]
    pub fn get(&self, bucket: &str, key: &str) -> Option<SandboxObject> {
        let object = self.server.store.object(bucket, key).ok()?;
        Some(object.export())
    }

    /// Removes an object; returns whether there was one.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.server
            .store
            .delete(bucket, key, &bucket::Conditions::default())
            .unwrap_or(false)
    }

    /// All keys of a bucket in listing order; none if there is no such bucket.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let order = self.server.store.order;
        let buckets = self.server.store.lock();
        buckets
            .get(bucket)
            .map(|bucket| bucket.objects.keys().map(|key| order.key(key)).collect())
            .unwrap_or_default()
    }

    /// The number of open multipart uploads.
    #[must_use]
    pub fn open_uploads(&self, bucket: &str) -> usize {
        self.server
            .store
            .lock()
            .get(bucket)
            .map_or(0, |bucket| bucket.uploads.len())
    }

    /// The last 10,000 requests, in the order in which they were answered or aborted.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.server.log.records()
    }

    /// The number of requests that were started, answered or not.
    #[must_use]
    pub fn requests_begun(&self) -> u64 {
        self.server.served.load(Ordering::Relaxed)
    }

    /// The most requests that were served at the same time, each until the head of its answer.
    #[must_use]
    pub fn requests_at_once(&self) -> usize {
        self.server.log.most()
    }

    /// How many requests there were of this operation, also those no longer in the log.
    #[must_use]
    pub fn requests_count(&self, operation: Operation) -> usize {
        self.server.log.count(operation)
    }

    /// Empties the log and sets the counts to zero.
    pub fn clear_requests(&self) {
        self.server.log.clear();
    }

    /// Closes the listener and all connections, and waits until they are gone.
    pub async fn stop(self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    server: Arc<HttpServer>,
    tasks: TaskTracker,
    cancel: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "sandbox connection keeps Nagle's algorithm");
                }
                tasks.spawn(Arc::clone(&server).serve(stream, cancel.clone()));
            }
            Err(error) => {
                // File descriptors have probably run out. An immediate retry would only use CPU time.
                tracing::warn!(%error, "sandbox cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
