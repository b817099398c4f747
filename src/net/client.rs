//! The HTTP client that connects only where the policy allows it.

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tower_service::Service;

use super::errors::{TooSlow, Unresolved, translate};
use super::peer::Peer;
use super::policy::{NetworkPolicy, Refused, Scheme};
use super::tls::{self, Authorities, BoxError};
use crate::error::{Error, Result};

/// A request's body.
pub type RequestBody = UnsyncBoxBody<Bytes, Error>;

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;
type Connector = HttpConnector<Resolver>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Longest time for TCP to connect, over all addresses of a host.
const TCP_LIMIT: Duration = Duration::from_secs(10);
/// Longest time for name resolution, TCP and TLS together.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// How long an unused connection is kept.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// Unused connections kept for a host: as many as the default of `max_requests` opens, so that no request has to connect again.
const IDLE_CONNECTIONS: usize = 512;
/// Largest read buffer of a connection, and so the limit of an answer's headers.
const BUFFER_LIMIT: usize = 256 * 1024;
/// Most headers of a response. User metadata alone may be hundreds of short ones (2 KiB of names and values).
const HEADERS_LIMIT: usize = 400;

/// A pooled HTTP/1.1 client that connects only where the [`NetworkPolicy`] allows it. Cheap to clone; clones share the
/// pool.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<Guard, RequestBody>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient")
    }
}

impl HttpClient {
    /// Makes a client that trusts the root certificates of this machine. They are loaded at the first connection over
    /// TLS.
    #[must_use]
    pub fn new(policy: NetworkPolicy) -> Self {
        Self::trusting(policy, Authorities::default())
    }

    /// Makes a client that also trusts these authorities.
    #[must_use]
    pub fn trusting(policy: NetworkPolicy, authorities: Authorities) -> Self {
        let policy = Arc::new(policy);
        let connector = |scheme| {
            let resolver = Resolver {
                policy: policy.clone(),
                scheme,
            };
            let mut connector = HttpConnector::new_with_resolver(resolver);
            connector.enforce_http(false);
            connector.set_nodelay(true);
            connector.set_connect_timeout(Some(TCP_LIMIT));
            connector.set_keepalive(Some(IDLE_LIMIT));
            connector
        };
        let guard = Guard(Arc::new(Connectors {
            plain: connector(Scheme::Http),
            below_tls: connector(Scheme::Https),
            tls: OnceCell::new(),
            authorities,
            policy,
        }));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(BUFFER_LIMIT)
            .http1_max_headers(HEADERS_LIMIT)
            .build(guard);
        Self { client }
    }

    /// Sends a request and waits for the head of the response, whatever its status. The only time limit here is that of
    /// connecting.
    ///
    /// # Errors
    /// `Forbidden` if the policy refuses the host, its certificate is not valid, or it does not speak TLS although the
    /// URL says `https` (never worth a retry). `Timeout` if connecting took too long, `Unsupported` for a response with
    /// oversized headers, `Unavailable` otherwise. An error of the request's body is in the chain of sources.
    pub async fn request(&self, request: Request<RequestBody>) -> Result<Response<Incoming>> {
        let uri = request.uri().clone();
        let answer = self.client.request(request).await;
        answer.map_err(|error| translate(&Peer::of(&uri), error))
    }
}

struct Connectors {
    policy: Arc<NetworkPolicy>,
    plain: Connector,
    below_tls: Connector,
    tls: OnceCell<HttpsConnector<Connector>>,
    authorities: Authorities,
}

impl Connectors {
    async fn connect(&self, uri: Uri) -> Result<Stream, BoxError> {
        let host = uri.host().unwrap_or_default();
        self.policy.check_name(host)?;
        let scheme = match uri.scheme_str() {
            Some("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        // The connector connects to IP addresses without the resolver, so they are checked here. Other spellings of an
        // address (decimal, octal, hexadecimal) are names to it, so they reach the resolver and are checked there.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            self.policy.check(ip, scheme)?;
        }
        match scheme {
            Scheme::Http => Ok(MaybeHttpsStream::Http(self.plain.clone().call(uri).await?)),
            Scheme::Https => self.tls().await?.call(uri).await,
        }
    }

    /// Loads the root certificates once. After a failure, the next connection retries.
    async fn tls(&self) -> Result<HttpsConnector<Connector>, BoxError> {
        let connector = self.tls.get_or_try_init(|| async {
            let authorities = self.authorities.clone();
            let config = tokio::task::spawn_blocking(move || tls::config(&authorities)).await??;
            Ok::<_, BoxError>(HttpsConnector::from((self.below_tls.clone(), config)))
        });
        Ok(connector.await?.clone())
    }
}

#[derive(Clone)]
struct Guard(Arc<Connectors>);

impl Service<Uri> for Guard {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connectors = self.0.clone();
        Box::pin(async move {
            match tokio::time::timeout(CONNECT_LIMIT, connectors.connect(uri)).await {
                Ok(result) => result,
                Err(_) => Err(TooSlow.into()),
            }
        })
    }
}

#[derive(Clone)]
struct Resolver {
    policy: Arc<NetworkPolicy>,
    scheme: Scheme,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { policy, scheme } = self.clone();
        Box::pin(async move {
            let looked_up = tokio::net::lookup_host((name.as_str(), 0)).await;
            let mut found: Vec<SocketAddr> = looked_up.map_err(Unresolved)?.collect();
            let resolved = !found.is_empty();
            found.retain(|address| policy.check(address.ip(), scheme).is_ok());
            if resolved && found.is_empty() {
                return Err(Refused.into());
            }
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};

    use super::*;
    use crate::error::ErrorKind;

    async fn get(client: &HttpClient, url: &str) -> Error {
        let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
        let request = Request::get(url).body(body).unwrap();
        client.request(request).await.unwrap_err()
    }

    #[tokio::test]
    async fn every_spelling_of_a_forbidden_address_is_refused_alike() {
        let client = HttpClient::new(NetworkPolicy::default());
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "169.254.169.254",
            "metadata.google.internal",
            "METADATA.google.internal.",
            "0.0.0.0",
            "8.8.8.8",
        ] {
            let error = get(&client, &format!("http://{host}:9/")).await;
            assert_eq!(error.kind(), ErrorKind::Forbidden, "{host}: {error}");
            let wanted = format!(
                "connecting to {host} is refused by the network policy; \
                 the operator can allow its network with --allow-network"
            );
            assert_eq!(error.message(), wanted);
            assert!(!error.is_retryable());
        }
        for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254"] {
            let error = get(&client, &format!("https://{host}:9/")).await;
            assert_eq!(error.kind(), ErrorKind::Forbidden, "{host}: {error}");
        }
    }

    #[tokio::test]
    async fn an_allowed_address_is_dialled() {
        let client = HttpClient::new(NetworkPolicy {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        for host in ["127.0.0.1", "2130706433"] {
            let error = get(&client, &format!("http://{host}:{port}/")).await;
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{host}: {error}");
        }
        let error = get(&client, &format!("http://169.254.169.254:{port}/")).await;
        assert_eq!(error.kind(), ErrorKind::Forbidden);
    }
    #[tokio::test]
    async fn a_port_that_does_not_speak_the_scheme_is_named_with_the_other_one() {
        let client = HttpClient::new(NetworkPolicy {
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
        });
        // The first bytes of a response to any request; empty means that the connection ends.
        for (answer, scheme, kind, words) in [
            (
                &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
                "https",
                ErrorKind::Forbidden,
                "write http:// instead of https://",
            ),
            (
                b"",
                "https",
                ErrorKind::Unavailable,
                "before TLS was agreed on; if that port speaks plain HTTP, write http://",
            ),
            (
                b"\x15\x03\x03\x00\x02\x02\x46",
                "http",
                ErrorKind::Unavailable,
                "if that port speaks TLS, write https://",
            ),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096])
                    .await
                    .unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                    .await
                    .unwrap();
            };
            let url = format!("{scheme}://127.0.0.1:{port}/");
            let (error, ()) = tokio::join!(get(&client, &url), server);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains(words), "{error}");
            assert!(error.message().contains(&format!("on port {port}")), "{error}");
        }
    }
}
