//! Dispatch within one process: a bounded channel.

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use super::{Dispatch, Message, Stops};

/// Messages that may wait. More are dropped, and the next poll finds their work in the ledger.
const CAPACITY: usize = 1024;

/// A bounded channel with one reader.
#[derive(Debug)]
pub struct LocalDispatch {
    sender: mpsc::Sender<Message>,
    receiver: Mutex<mpsc::Receiver<Message>>,
    stops: Stops,
}

impl Default for LocalDispatch {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            stops: Stops::default(),
        }
    }
}

#[async_trait]
impl Dispatch for LocalDispatch {
    async fn publish(&self, message: Message) {
        if self.sender.try_send(message).is_err() {
            tracing::debug!(
                ?message,
                "dispatch queue is full; the sweep will publish it again"
            );
        }
    }

    async fn next(&self) -> Option<Message> {
        self.receiver.lock().await.recv().await
    }

    fn stops(&self) -> &Stops {
        &self.stops
    }
}
