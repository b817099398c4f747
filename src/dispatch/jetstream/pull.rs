//! Takes one work item at a time from the stream.
//!
//! A worker asks for one item when it has a free slot, and never for more, so that no item waits in a worker while another worker
//! is idle. The crate's own streams of messages also ask on their own, in the background, after a reconnect and after some silence.
//! Their requests could take items that nobody waits for. So this uses the plain request of the protocol: one subscription, one
//! request for one message with heartbeats, one answer.
//!
//! While the server is silent, the request is not repeated: a server that was only slow would then serve all of them. It is asked
//! for a sign of life instead, and only when it answers that, and still says nothing of the request, is there a new one.
//!
//! If the caller drops a pull, its request is still at the server for up to [`WAIT`], and cannot be withdrawn. The subscription is
//! therefore parked, and the next pull continues it. If none comes in time, what arrived there is given back.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{Client, Message, Request, StatusCode, Subject, Subscriber};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::api::{API, STREAM};
use super::delivery::Delivery;
use super::link::Link;
use super::set_up::consumer;
use crate::dispatch::work_item::{WorkItem, WorkKind};
use crate::error::{Error, ErrorKind, Result};

/// How long one pull waits for an item.
pub const WAIT: Duration = Duration::from_secs(5);
/// How often the server says that a request still waits.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// After this time without a heartbeat the server is asked for a sign of life.
const SILENCE: Duration = Duration::from_millis(2_500);
/// How much later than requested an answer may come.
const LATE: Duration = Duration::from_secs(1);
/// Wait before a refused request is repeated.
const RETRY: Duration = Duration::from_millis(250);
/// Shortest time of a request.
const LEAST: Duration = Duration::from_millis(50);
/// Dropped pulls that are kept for the next ones.
const PARKED: usize = 256;

/// The pulls of one queue.
pub(super) struct Pulls {
    link: Link,
    kind: WorkKind,
    parked: Mutex<Vec<Inbox>>,
}

impl fmt::Debug for Pulls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulls")
            .field("kind", &self.kind)
            .field("parked", &self.parked().len())
            .finish_non_exhaustive()
    }
}

impl Pulls {
    pub(super) const fn new(link: Link, kind: WorkKind) -> Self {
        Self {
            link,
            kind,
            parked: Mutex::new(Vec::new()),
        }
    }

    /// Waits up to [`WAIT`] for an item.
    pub(super) async fn pull(&self) -> Result<Option<Delivery>> {
        let end = Instant::now() + WAIT;
        let mut connected = self.link.connected();
        let mut held = Held {
            inbox: self.unpark(),
            pulls: self,
        };
        loop {
            self.link.up_by(end).await?;
            let trouble = match self.attempt(&mut held.inbox, &mut connected, end).await? {
                News::Item(message) => {
                    if let Some(delivery) = self.delivery(message).await {
                        return Ok(Some(delivery));
                    }
                    None
                }
                News::Nothing => None,
                News::Refused(error) => {
                    sleep_until(end.min(Instant::now() + RETRY)).await;
                    Some(error)
                }
                News::Silent => {
                    let alive = self.is_alive(end).await;
                    if let Some(inbox) = held.inbox.as_mut().filter(|_| alive) {
                        inbox.heard();
                    }
                    (!alive).then(|| Error::new(ErrorKind::Timeout, "NATS does not answer a pull"))
                }
                News::Reconnected => {
                    // The server forgets requests with the connection, and this inbox with its subscription.
                    held.inbox = None;
                    None
                }
            };
            // There is no point in a request that waits for a moment only.
            if Instant::now() + RETRY >= end {
                sleep_until(end).await;
                return trouble.map_or(Ok(None), Err);
            }
        }
    }

    /// Makes a request, unless there is one, and waits for what becomes of it.
    async fn attempt(
        &self,
        inbox: &mut Option<Inbox>,
        connected: &mut watch::Receiver<()>,
        end: Instant,
    ) -> Result<News> {
        let connection = self.link.number();
        let inbox = match inbox {
            Some(inbox) => inbox,
            none => none.insert(Inbox::open(self.link.client(), end).await?),
        };
        match inbox.asked {
            Some(asked) if asked.connection == connection => {}
            // What arrived over the earlier connection is still good.
            Some(_) => return Ok(inbox.arrived().unwrap_or(News::Reconnected)),
            None => inbox.ask(self, connection, end).await?,
        }
        Ok(inbox.next(&self.link, connected).await)
    }

    /// Whether the server answers at all.
    async fn is_alive(&self, end: Instant) -> bool {
        let subject = format!("{API}CONSUMER.INFO.{STREAM}.{}", consumer(self.kind));
        let answer = timeout_at(end, self.link.request(subject, Request::new())).await;
        match answer {
            Ok(Ok(_)) => true,
            // A refusal is an answer.
            Ok(Err(error)) => error.kind() == ErrorKind::PermissionDenied,
            Err(_) => false,
        }
    }

    /// The delivery in a message. A message that names no work item is removed from the stream.
    async fn delivery(&self, message: Message) -> Option<Delivery> {
        let reply = message.reply?;
        if let Some(item) = WorkItem::from_subject(&message.subject) {
            return Some(Delivery::new(item, reply, self.link.clone()));
        }
        tracing::warn!(subject = %message.subject, "a message of the work queue names no work and is removed");
        // If that fails, it is delivered and removed later.
        self.link
            .send(reply, AckKind::Ack.into())
            .await
            .unwrap_or_default();
        None
    }

    /// Gives back what arrived for dropped pulls.
    pub(super) fn release(&self) {
        let parked = std::mem::take(&mut *self.parked());
        drop(parked);
    }

    fn parked(&self) -> MutexGuard<'_, Vec<Inbox>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the subscription of a dropped pull.
    fn park(&self, inbox: Inbox) {
        let mut parked = self.parked();
        if parked.len() < PARKED {
            parked.push(inbox);
        }
    }

    /// A parked subscription that may still receive an item. What the others received has waited too long and is given back.
    fn unpark(&self) -> Option<Inbox> {
        let now = Instant::now();
        let mut parked = self.parked();
        let old: Vec<Inbox> = parked.extract_if(.., |inbox| !inbox.is_open(now)).collect();
        let fresh = parked.pop();
        drop(parked);
        drop(old);
        fresh
    }
}

/// The subscription of a running pull. If the pull ends while a request may still be answered, it is parked.
struct Held<'a> {
    inbox: Option<Inbox>,
    pulls: &'a Pulls,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take()
            && inbox.is_open(Instant::now())
        {
            self.pulls.park(inbox);
        }
    }
}

/// What became of a request.
enum News {
    /// An item, or a malformed message.
    Item(Message),
    /// There was none for the whole time.
    Nothing,
    /// The server does not take the request.
    Refused(Error),
    /// The server has said nothing for too long.
    Silent,
    /// The request was made over an earlier connection.
    Reconnected,
}

/// A request that waits at the server.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Number of the connection that it was sent over.
    connection: u64,
    /// Until when the server keeps it.
    until: Instant,
    /// When the next sign of it is due.
    due: Instant,
    signs: Signs,
}

/// What is known of a request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signs {
    /// It has been made, or confirmed by a heartbeat, a moment ago.
    Fresh,
    /// The server said nothing when something was due. It may have received the request, or receive it later.
    Silent,
    /// The server is alive, so something must come now.
    Expected,
}

/// A subscription that receives the answer to one request at a time.
struct Inbox {
    subject: Subject,
    subscriber: Subscriber,
    client: Client,
    asked: Option<Asked>,
}

impl Inbox {
    async fn open(client: &Client, end: Instant) -> Result<Self> {
        let subject = Subject::from(client.new_inbox());
        let subscriber = timeout_at(end, client.subscribe(subject.clone())).await;
        let subscriber = subscriber
            .map_err(|_| Error::new(ErrorKind::Timeout, "NATS takes no messages"))?
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "the NATS client has ended").with_source(error)
            })?;
        Ok(Self {
            subject,
            subscriber,
            client: client.clone(),
            asked: None,
        })
    }

    /// Whether an item may still arrive.
    fn is_open(&self, now: Instant) -> bool {
        self.asked
            .is_some_and(|asked| now < asked.until + LATE || asked.signs == Signs::Silent)
    }

    /// Makes a request.
    async fn ask(&mut self, pulls: &Pulls, connection: u64, end: Instant) -> Result<()> {
        let now = Instant::now();
        // The server takes no request without time.
        let expires = end.saturating_duration_since(now).max(LEAST);
        // Nor one whose heartbeat is longer than half of its time.
        let (idle_heartbeat, silence) = if expires > 2 * HEARTBEAT {
            (HEARTBEAT, SILENCE)
        } else {
            (Duration::ZERO, expires + LATE)
        };
        let request = BatchConfig {
            batch: 1,
            expires: Some(expires),
            idle_heartbeat,
            ..BatchConfig::default()
        };
        let request = serde_json::to_vec(&request)
            .map_err(|error| Error::internal("a pull cannot be written").with_source(error))?;
        // Before it is sent: this future may be dropped in between.
        self.asked = Some(Asked {
            connection,
            until: now + expires,
            due: now + silence,
            signs: Signs::Fresh,
        });
        let subject = format!("{API}CONSUMER.MSG.NEXT.{STREAM}.{}", consumer(pulls.kind));
        pulls
            .link
            .send_with_inbox(subject, self.subject.clone(), request.into())
            .await
    }

    /// The server has shown that it is alive. It may have received the request only now.
    fn heard(&mut self) {
        let now = Instant::now();
        if let Some(asked) = &mut self.asked {
            asked.until = asked.until.max(now + WAIT);
            asked.due = now + SILENCE;
            asked.signs = Signs::Expected;
        }
    }

    /// What has arrived, without waiting.
    fn arrived(&mut self) -> Option<News> {
        loop {
            let message = self.subscriber.next().now_or_never()?;
            if let Some(news) = self.judge(message) {
                return Some(news);
            }
        }
    }

    /// Waits for what becomes of the request.
    async fn next(&mut self, link: &Link, connected: &mut watch::Receiver<()>) -> News {
        while let Some(asked) = self.asked {
            let message = tokio::select! {
                biased;
                message = self.subscriber.next() => message,
                Ok(()) = connected.changed() => {
                    if link.number() == asked.connection {
                        continue;
                    }
                    return News::Reconnected;
                }
                () = sleep_until(asked.due) => {
                    if asked.signs == Signs::Expected {
                        // The server is alive and knows nothing of it.
                        break;
                    }
                    self.asked = Some(Asked { signs: Signs::Silent, ..asked });
                    return News::Silent;
                }
            };
            if let Some(news) = self.judge(message) {
                return news;
            }
        }
        self.asked = None;
        News::Nothing
    }

    /// What a message means for the request. `None` if it waits on.
    fn judge(&mut self, message: Option<Message>) -> Option<News> {
        let Some(message) = message else {
            self.asked = None;
            let error = Error::new(ErrorKind::Unavailable, "the NATS client has ended");
            return Some(News::Refused(error));
        };
        let status = message.status.unwrap_or(StatusCode::OK);
        if status == StatusCode::IDLE_HEARTBEAT {
            if let Some(asked) = &mut self.asked {
                asked.due = Instant::now() + SILENCE;
                asked.signs = Signs::Fresh;
            }
            return None;
        }
        self.asked = None;
        if status == StatusCode::OK {
            return Some(News::Item(message));
        }
        if status == StatusCode::TIMEOUT || status == StatusCode::NOT_FOUND {
            return Some(News::Nothing);
        }
        let (kind, text) = if status == StatusCode::NO_RESPONDERS {
            let text = format!("the stream {STREAM} or its consumer does not exist, or is not ready");
            (ErrorKind::NotFound, text)
        } else {
            let text = message.description.unwrap_or_else(|| status.to_string());
            (ErrorKind::Unavailable, format!("NATS refuses a pull: {text}"))
        };
        Some(News::Refused(Error::new(kind, text)))
    }
}

impl Drop for Inbox {
    /// Gives back items that nobody took. That is sent without waiting; if it is not possible, they are delivered again later.
    fn drop(&mut self) {
        while let Some(Some(message)) = self.subscriber.next().now_or_never() {
            if message.status.is_none()
                && let Some(reply) = message.reply
            {
                let _sent = self
                    .client
                    .publish(reply, AckKind::Nak(None).into())
                    .now_or_never();
            }
        }
    }
}
