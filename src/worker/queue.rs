//! The queue that hands out work between processes. The ledger judges who has what, so the queue may lose, repeat and delay.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::dispatch::WorkKind;
use crate::dispatch::jetstream::{Delivery, JetStream};
use crate::error::{Error, ErrorKind, Result};

/// Copies of the stream, if this process creates it.
const REPLICAS: u8 = 1;

/// A connection to the queue.
#[derive(Clone)]
pub struct Queue {
    pub(super) stream: JetStream,
    offer_now: Arc<Notify>,
    pub(super) role: QueueRole,
}

/// What a process may do to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueRole {
    /// It creates the queue, also after it was lost. `parallel_tasks` is how many tasks may run in the whole fleet.
    Owner {
        /// How many.
        parallel_tasks: u32,
    },
    /// It uses the queue.
    User,
}

impl Queue {
    /// A queue on this stream.
    #[must_use]
    pub fn new(stream: JetStream, role: QueueRole) -> Self {
        Self {
            stream,
            offer_now: Arc::default(),
            role,
        }
    }

    /// Lets the next look for work that the queue lacks come at once.
    pub(super) fn offer_now(&self) {
        self.offer_now.notify_one();
    }

    /// Waits for [`Queue::offer_now`].
    pub(super) async fn is_asked_to_offer(&self) {
        self.offer_now.notified().await;
    }

    /// Waits some time for an item. `None` if there is none, or the queue does not work now.
    pub(super) async fn pull(&self, kind: WorkKind) -> Option<Delivery> {
        match self.stream.pull(kind).await {
            Ok(delivery) => delivery,
            Err(error) => {
                tracing::debug!(%error, "the queue hands out nothing");
                None
            }
        }
    }

    /// Gives back what has arrived and is not wanted any more, and asks for nothing more.
    pub(super) async fn leave(&self) {
        if let Err(error) = self.stream.release().await {
            tracing::debug!(%error, "the queue was left without a word");
        }
    }

    /// Creates the queue if this process does that.
    pub(super) async fn set_up(&self, ack_wait: Duration) -> Result<()> {
        match self.role {
            QueueRole::Owner { parallel_tasks } => {
                self.stream.set_up(parallel_tasks, REPLICAS, ack_wait).await
            }
            QueueRole::User => Err(Error::new(
                ErrorKind::NotFound,
                "`oms serve` has not created the queue yet",
            )),
        }
    }
}
