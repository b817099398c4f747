//! A work item that was delivered to this worker.

use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::AckKind;

use super::link::Link;
use crate::dispatch::work_item::WorkItem;
use crate::error::Result;

/// A delivered work item.
///
/// The stream delivers it to another worker too, unless it hears [`Delivery::ack`], [`Delivery::nak`] or [`Delivery::progress`] in
/// time. These are messages without an answer, and the stream does not check who sends them: one that comes too late may speak
/// for the delivery to the other worker. So they decide nothing. The ledger says who has the shard, and the poll offers again what
/// a late message removed.
#[derive(Debug)]
pub struct Delivery {
    /// What was delivered.
    pub item: WorkItem,
    reply: Subject,
    link: Link,
}

impl Delivery {
    pub(super) const fn new(item: WorkItem, reply: Subject, link: Link) -> Self {
        Self { item, reply, link }
    }

    /// Removes the item from the stream: it is done, or needs no worker any more.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unavailable`] or [`crate::error::ErrorKind::Timeout`] if the message cannot be sent. Then the
    /// item is delivered again, and the ledger says that it is done.
    pub async fn ack(&self) -> Result<()> {
        self.answer(AckKind::Ack).await
    }

    /// Gives the item back. It is delivered again after `delay`.
    ///
    /// # Errors
    /// As [`Delivery::ack`]. Then the item is delivered again when the time of the delivery is over.
    pub async fn nak(&self, delay: Duration) -> Result<()> {
        self.answer(AckKind::Nak((!delay.is_zero()).then_some(delay)))
            .await
    }

    /// Starts the time of the delivery anew. Only for after a successful write to the ledger: a worker that makes no progress
    /// must lose the item.
    ///
    /// # Errors
    /// As [`Delivery::ack`].
    pub async fn progress(&self) -> Result<()> {
        self.answer(AckKind::Progress).await
    }

    async fn answer(&self, kind: AckKind) -> Result<()> {
        self.link.send(self.reply.clone(), kind.into()).await
    }
}
