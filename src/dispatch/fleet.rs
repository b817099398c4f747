//! Dispatch between processes: messages reach the workers of this process directly, and those of other processes through NATS.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::jetstream::JetStream;
use super::local::LocalDispatch;
use super::work_item::WorkItem;
use super::{Dispatch, Message, Stops};
use crate::error::Result;

/// Pause before messages of other processes are listened to again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Longest time that a message may take.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(2);

/// Messages within this process and to others.
#[derive(Debug)]
pub struct FleetDispatch {
    local: LocalDispatch,
    stream: JetStream,
}

impl FleetDispatch {
    /// Through this connection.
    #[must_use]
    pub fn new(stream: JetStream) -> Self {
        Self {
            local: LocalDispatch::default(),
            stream,
        }
    }

    /// Passes the messages of other processes on to this one, until `stop`.
    pub async fn listen(&self, stop: &CancellationToken) {
        loop {
            if let Err(error) = self.pass_on(stop).await {
                tracing::debug!(%error, "messages of other processes do not arrive; the ledger has what they say");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    async fn pass_on(&self, stop: &CancellationToken) -> Result<()> {
        let mut looks = self.stream.looks().await?;
        let mut sweeps = self.stream.sweeps().await?;
        loop {
            let message = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                task = looks.next() => task.map(Message::Look),
                sweep = sweeps.next() => sweep.map(|()| Message::Cleanup),
            };
            match message {
                Some(message) => self.local.publish(message).await,
                None => return Ok(()),
            }
        }
    }
}

#[async_trait]
impl Dispatch for FleetDispatch {
    async fn publish(&self, message: Message) {
        self.local.publish(message).await;
        let send = async {
            match message {
                Message::Work(task) => self.stream.offer(&WorkItem::Task(task)).await.map(drop),
                Message::Look(task) => self.stream.look(task).await,
                Message::Cleanup => self.stream.sweep().await,
            }
        };
        // A caller of the API must not wait for a queue that does not answer.
        match tokio::time::timeout(LONGEST, send).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(?message, %error, "other processes find it in the ledger"),
            Err(_) => tracing::debug!(
                ?message,
                "the queue does not answer; other processes find it in the ledger"
            ),
        }
    }

    async fn next(&self) -> Option<Message> {
        self.local.next().await
    }

    fn stops(&self) -> &Stops {
        self.local.stops()
    }
}
