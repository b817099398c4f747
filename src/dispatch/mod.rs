//! Wakes workers up when there is work. The ledger, not a message, decides what is to be done.
//!
//! A message may be lost or arrive twice. That is safe because the ledger fences leases, and workers also poll the
//! ledger for pending work. For the same reason a full queue drops the message.

pub mod fleet;
pub mod jetstream;
pub mod local;
mod stops;
mod work_item;

use async_trait::async_trait;

pub use self::stops::Stops;
pub use self::work_item::{WorkItem, WorkKind};
use crate::task::TaskId;

/// A message to the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// The task needs a worker.
    Work(TaskId),
    /// State or bandwidth of the task has changed: read the ledger.
    Look(TaskId),
    /// A deleted task left open uploads, and there are credentials to abort them.
    Cleanup,
}

/// Carries messages from the API to the workers.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Sends a message to the workers. It never blocks for long and never fails: a poll finds the work of lost
    /// messages.
    async fn publish(&self, message: Message);
    /// The next message; `None` if the dispatcher is closed.
    async fn next(&self) -> Option<Message>;
    /// Stops that take effect at once, independent of messages and the ledger.
    fn stops(&self) -> &Stops;
}
