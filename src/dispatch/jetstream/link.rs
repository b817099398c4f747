//! The connection to the servers: whether it is up, and requests and messages over it, each with a time limit.
//!
//! Nothing is sent while the connection is down. The crate would keep it and send it much later, for example an acknowledgement for a
//! delivery that is not this worker's any more.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{
    Client, ClientError, Event, HeaderMap, Message, Request, RequestErrorKind, Server, ServerError, Subject,
};
use bytes::Bytes;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::settings::NatsSettings;
use crate::error::{Error, ErrorKind, Result};

/// The payload of every message. Its number may allow later versions to say more.
pub(super) const PAYLOAD: Bytes = Bytes::from_static(br#"{"v":1}"#);
/// How long a server may take to answer a request.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// How long a message may wait to be sent. It waits only if many others do.
const SEND: Duration = Duration::from_secs(1);
/// How often the state is read while waiting for a connection. Usually an event comes first.
const LOOK: Duration = Duration::from_millis(100);
/// Refusals of the servers that a request may be behind with.
const REFUSALS: usize = 64;

/// A connection that is made in the background, and made anew whenever it is lost.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    events: Arc<Events>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

/// What the client reports in the background.
#[derive(Debug)]
struct Events {
    /// Wakes those up who wait for a connection.
    connected: watch::Sender<()>,
    /// Why there is no connection.
    trouble: watch::Sender<Option<String>>,
    /// Messages of servers about subjects that this client may not use.
    refusals: broadcast::Sender<Arc<str>>,
}

impl Events {
    fn take(&self, event: Event) {
        match event {
            Event::Connected => {
                self.trouble.send_replace(None);
                self.connected.send_replace(());
            }
            Event::ServerError(ServerError::Other(text)) => {
                tracing::warn!(error = %text, "NATS reports an error");
                // Nobody may be listening.
                self.refusals.send(text.into()).unwrap_or_default();
            }
            // Short: the reason of an attempt says more, but there is not always one.
            Event::ClientError(ClientError::Other(text)) => {
                self.trouble.send_if_modified(|trouble| {
                    let is_new = trouble.is_none();
                    trouble.get_or_insert(text);
                    is_new
                });
            }
            Event::SlowConsumer(_) => tracing::debug!("messages of NATS arrive faster than they are read"),
            Event::ServerError(ServerError::AuthorizationViolation | ServerError::SlowConsumer(_))
            | Event::ClientError(ClientError::MaxReconnects | ClientError::ServerNotInPool)
            | Event::Disconnected
            | Event::LameDuckMode
            | Event::Draining
            | Event::Closed => {}
        }
    }

    /// Before an attempt to connect: why earlier ones failed.
    fn take_attempts(&self, servers: &[Server]) {
        if let Some(text) = servers.iter().find_map(|server| server.last_error.as_ref()) {
            self.trouble.send_replace(Some(text.clone()));
        }
    }
}

impl Link {
    /// Starts to connect. The first connection may be made later, or never.
    pub(super) async fn open(settings: &NatsSettings) -> Result<Self> {
        let (addresses, options) = settings.read().await?;
        let events = Arc::new(Events {
            connected: watch::Sender::new(()),
            trouble: watch::Sender::new(None),
            refusals: broadcast::Sender::new(REFUSALS),
        });
        let (receiver, attempts) = (Arc::clone(&events), Arc::clone(&events));
        let options = options
            .event_callback(move |event| {
                receiver.take(event);
                std::future::ready(())
            })
            .reconnect_to_server_callback(move |servers, _| {
                attempts.take_attempts(&servers);
                // The choice of the server is the crate's.
                std::future::ready(None)
            });
        let client = options.connect(addresses).await;
        let client = client.map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the NATS client cannot be started").with_source(error)
        })?;
        Ok(Self { client, events })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How many connections there were. While the connection is up, this is its number.
    pub(super) fn number(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Changes shortly after a new connection is up.
    pub(super) fn connected(&self) -> watch::Receiver<()> {
        self.events.connected.subscribe()
    }

    /// Waits for a connection.
    pub(super) async fn up_by(&self, end: Instant) -> Result<()> {
        let mut connected = self.connected();
        while !self.is_up() {
            if Instant::now() >= end {
                return Err(self.down());
            }
            let look = end.min(Instant::now() + LOOK);
            // Woken or not, the state is read again.
            let _woken = timeout_at(look, connected.changed()).await;
        }
        Ok(())
    }

    /// Fails while there is no connection.
    pub(super) fn up(&self) -> Result<()> {
        if self.is_up() { Ok(()) } else { Err(self.down()) }
    }

    /// Why there is no connection.
    fn down(&self) -> Error {
        let trouble = self.events.trouble.borrow();
        let text = trouble.as_deref().unwrap_or("not connected yet");
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["authorization violation", "failed signing nonce"]) {
            return Error::new(ErrorKind::Unauthenticated, "NATS refuses the credentials");
        }
        let kind = if has(&["certificate", "TLS"]) {
            ErrorKind::Forbidden
        } else {
            ErrorKind::Unavailable
        };
        Error::new(kind, format!("there is no connection to NATS: {text}"))
    }

    /// Sends a message without waiting for anything of the server.
    pub(super) async fn send(&self, subject: impl Into<Subject>, payload: Bytes) -> Result<()> {
        self.up()?;
        in_time(self.client.publish(subject.into(), payload)).await
    }

    /// Sends a message whose answers go to `inbox`.
    pub(super) async fn send_with_inbox(
        &self,
        subject: String,
        inbox: Subject,
        payload: Bytes,
    ) -> Result<()> {
        self.up()?;
        in_time(self.client.publish_with_reply(subject, inbox, payload)).await
    }

    /// Waits until everything has been handed to the operating system.
    pub(super) async fn flush(&self) -> Result<()> {
        self.up()?;
        in_time(self.client.flush()).await
    }

    /// Sends a request and waits for its answer. `None` if nobody listens on the subject.
    pub(super) async fn request(&self, subject: String, request: Request) -> Result<Option<Message>> {
        self.up()?;
        let mut refusals = self.events.refusals.subscribe();
        let answer = self
            .client
            .send_request(subject.clone(), request.timeout(Some(ANSWER)));
        tokio::select! {
            () = refused(&mut refusals, &subject) => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!("NATS does not allow this user to send to {subject}"),
            )),
            // The crate's own limit begins after the request has been handed over.
            answer = timeout(ANSWER + SEND, answer) => match answer {
                Ok(Ok(message)) => Ok(Some(message)),
                Ok(Err(error)) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
                Ok(Err(error)) if error.kind() != RequestErrorKind::TimedOut => Err(Error::new(
                    ErrorKind::Unavailable,
                    "a request to NATS failed",
                )
                .with_source(error)),
                Ok(Err(_)) | Err(_) => Err(Error::new(ErrorKind::Timeout, "NATS does not answer")),
            },
        }
    }
}

/// Waits for a server to say that this client may not send to `subject`.
async fn refused(refusals: &mut broadcast::Receiver<Arc<str>>, subject: &str) {
    let quoted = format!("\"{subject}\"");
    loop {
        match refusals.recv().await {
            Ok(text) if text.contains("Permissions Violation") && text.contains(&quoted) => return,
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            // Then there is no client any more either.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits for the client to take a message.
async fn in_time<E>(sent: impl Future<Output = std::result::Result<(), E>>) -> Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match timeout(SEND, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            Err(Error::new(ErrorKind::Unavailable, "the NATS client has ended").with_source(error))
        }
        Err(_) => Err(Error::new(ErrorKind::Timeout, "NATS takes no messages")),
    }
}

/// A request with the usual payload.
pub(super) fn plain_request() -> Request {
    Request::new().payload(PAYLOAD)
}

/// A request with headers and the usual payload.
pub(super) fn request_with(headers: HeaderMap) -> Request {
    plain_request().headers(headers)
}
