//! Who works on which task: a wake-up, never the truth.
//!
//! A message may be lost or come twice: leases are fenced by the ledger, and a cleanup publishes again what the ledger
//! says is pending. A full queue drops the message for the same reason.

pub mod local;
mod stops;

use async_trait::async_trait;

pub use self::stops::Stops;
use crate::task::TaskId;

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The task wants a worker.
    Work(TaskId),
    /// State or bandwidth of the task has changed: look at the ledger.
    Look(TaskId),
    /// A deleted task left uploads open, and keys to give them up with.
    Cleanup,
}

/// Carries messages from the API to the workers.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Tells the workers; never blocks for long, never fails: the cleanup makes up for what is lost.
    async fn publish(&self, message: Message);
    /// The next message; `None` when the dispatcher is closed.
    async fn next(&self) -> Option<Message>;
    /// Stops that take effect at once, whatever becomes of messages and of the ledger.
    fn stops(&self) -> &Stops;
}
