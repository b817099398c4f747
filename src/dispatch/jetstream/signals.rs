//! Messages that are not kept: a worker that does not hear one finds out by itself a little later.

use std::time::Duration;

use async_nats::{Message, RequestErrorKind, Subject, Subscriber};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::time::timeout;

use super::link::{self, ANSWER, Link, PAYLOAD};
use crate::dispatch::work_item;
use crate::error::{Error, ErrorKind, Result};
use crate::task::TaskId;

/// The task's state or bandwidth has changed.
const LOOK: &str = "oms.look.";
/// A deleted task left open uploads.
const SWEEP: &str = "oms.sweep";
/// An idle worker asks the holders of shards for a part of one.
const SPLIT: &str = "oms.split";
/// Of the holders, one gets each request.
const HOLDERS: &str = "holders";

/// Asks all workers to read the task in the ledger.
pub(super) async fn look(link: &Link, task: TaskId) -> Result<()> {
    link.send(format!("{LOOK}{task}"), PAYLOAD).await
}

/// The tasks to look at.
pub(super) async fn looks(link: &Link) -> Result<BoxStream<'static, TaskId>> {
    let messages = subscribe(link, link.client().subscribe(format!("{LOOK}*"))).await?;
    let tasks =
        messages.filter_map(async |message| message.subject.strip_prefix(LOOK).and_then(work_item::task));
    Ok(tasks.boxed())
}

/// Asks all workers to look for uploads of deleted tasks.
pub(super) async fn sweep(link: &Link) -> Result<()> {
    link.send(SWEEP, PAYLOAD).await
}

/// An item for each request to look for uploads of deleted tasks.
pub(super) async fn sweeps(link: &Link) -> Result<BoxStream<'static, ()>> {
    let messages = subscribe(link, link.client().subscribe(SWEEP)).await?;
    Ok(messages.map(drop).boxed())
}

/// Asks one holder of a shard to split it. `false` if none did within `limit`.
pub(super) async fn ask_split(link: &Link, limit: Duration) -> Result<bool> {
    link.up()?;
    let client = link.client();
    // A subscription of its own: the crate would remember an unanswered request for ever otherwise.
    let request = link::plain_request()
        .inbox(client.new_inbox())
        .timeout(Some(limit));
    match timeout(limit, client.send_request(SPLIT, request)).await {
        Ok(Ok(_)) => Ok(true),
        Ok(Err(error)) => match error.kind() {
            RequestErrorKind::NoResponders | RequestErrorKind::TimedOut => Ok(false),
            _ => Err(Error::new(ErrorKind::Unavailable, "a request to NATS failed").with_source(error)),
        },
        Err(_) => Ok(false),
    }
}

/// The requests to split that this holder gets.
pub(super) async fn split_requests(link: &Link) -> Result<BoxStream<'static, SplitRequest>> {
    let subscribed = link.client().queue_subscribe(SPLIT, HOLDERS.to_owned());
    let messages = subscribe(link, subscribed).await?;
    let link = link.clone();
    let requests = messages.filter_map(move |message: Message| {
        let request = message.reply.map(|reply| SplitRequest {
            reply,
            link: link.clone(),
        });
        std::future::ready(request)
    });
    Ok(requests.boxed())
}

/// A request of an idle worker to split a shard. If it is dropped, the worker asks again later.
#[derive(Debug)]
pub struct SplitRequest {
    reply: Subject,
    link: Link,
}

impl SplitRequest {
    /// Tells the idle worker that a shard has been split, and that the new one is offered.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::Timeout`] if the message cannot be sent. The new shard is found all the same.
    pub async fn accept(self) -> Result<()> {
        self.link.send(self.reply, PAYLOAD).await
    }
}

/// Waits for a subscription to be made. While there is no connection, it is made with the next one.
async fn subscribe<E>(
    link: &Link,
    subscribed: impl Future<Output = std::result::Result<Subscriber, E>>,
) -> Result<Subscriber>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let subscriber = timeout(ANSWER, subscribed).await;
    let subscriber = subscriber
        .map_err(|_| Error::new(ErrorKind::Timeout, "NATS takes no messages"))?
        .map_err(|error| {
            Error::new(ErrorKind::Unavailable, "the NATS client has ended").with_source(error)
        })?;
    // So that it is at the server soon. If this fails, it comes with the next connection.
    link.flush().await.unwrap_or_default();
    Ok(subscriber)
}
