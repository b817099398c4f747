//! Dispatch between machines: a work queue of NATS JetStream, and a few messages that are not kept.
//!
//! The stream says who may try to work on what, and measures how long a worker was silent. It is never the truth: its
//! acknowledgements are not fenced, so the ledger judges who holds a shard. If the stream is lost, it is created again and filled from
//! the ledger.
//!
//! # What users of NATS must be allowed to do
//!
//! The user of `serve` needs everything below `$JS.API.*.*.OMS_WORK` and `$JS.API.CONSUMER.CREATE.OMS_WORK.>`. A worker needs less:
//!
//! | worker | subjects |
//! |---|---|
//! | publish | `oms.work.>`, `oms.look.>`, `oms.sweep`, `oms.split`, `$JS.API.STREAM.INFO.OMS_WORK`, `$JS.API.CONSUMER.INFO.OMS_WORK.*`, `$JS.API.CONSUMER.MSG.NEXT.OMS_WORK.*`, `$JS.ACK.OMS_WORK.>`, and answers to requests (`allow_responses`) |
//! | subscribe | `oms.look.*`, `oms.sweep`, `oms.split`, `_INBOX.>` |

mod api;
mod delivery;
mod link;
mod offers;
mod pull;
mod set_up;
mod settings;
mod signals;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use tokio::time::Instant;

pub use self::delivery::Delivery;
use self::link::Link;
pub use self::offers::Offered;
use self::pull::Pulls;
pub use self::pull::WAIT;
pub use self::settings::NatsSettings;
pub use self::signals::SplitRequest;
use super::work_item::{WorkItem, WorkKind};
use crate::error::Result;
use crate::task::TaskId;

/// A client of the work queue. Clones share one connection, which is made in the background and made anew whenever it is lost.
///
/// Methods that send something fail at once while there is no connection: with [`crate::error::ErrorKind::Unauthenticated`] if the
/// servers refuse the credentials, with [`crate::error::ErrorKind::Forbidden`] if there is no trusted TLS connection, otherwise with
/// [`crate::error::ErrorKind::Unavailable`].
#[derive(Clone, Debug)]
pub struct JetStream {
    link: Link,
    tasks: Arc<Pulls>,
    shards: Arc<Pulls>,
}

impl JetStream {
    /// Reads the settings and starts to connect. It does not wait for the connection: the servers may be down.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidArgument`] if a setting or a file is wrong.
    pub async fn connect(settings: &NatsSettings) -> Result<Self> {
        let link = Link::open(settings).await?;
        Ok(Self {
            tasks: Arc::new(Pulls::new(link.clone(), WorkKind::Task)),
            shards: Arc::new(Pulls::new(link.clone(), WorkKind::Shard)),
            link,
        })
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// Why there is none after `limit`.
    pub async fn connected(&self, limit: Duration) -> Result<()> {
        self.link.up_by(Instant::now() + limit).await
    }

    /// Creates the stream and its consumers, or updates existing ones. `parallel_tasks` is how many tasks may run in the whole fleet,
    /// and `ack_wait` how long a delivery may be silent (longer than a lease). Waits some time for a connection.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Conflict`] if a stream or consumer of this name has settings that cannot be changed;
    /// [`crate::error::ErrorKind::Unsupported`] if the servers are too old or have no JetStream;
    /// [`crate::error::ErrorKind::PermissionDenied`] if this user may not do it.
    pub async fn set_up(&self, parallel_tasks: u32, replicas: u8, ack_wait: Duration) -> Result<()> {
        set_up::set_up(&self.link, parallel_tasks, replicas, ack_wait).await
    }

    /// Adds an item to the stream, unless it is there.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] if there is no stream. After [`crate::error::ErrorKind::Timeout`] the item may be there.
    pub async fn offer(&self, item: &WorkItem) -> Result<Offered> {
        offers::offer(&self.link, item).await
    }

    /// Removes an item from the stream, also from a worker that has it, and adds it again. For an item that the stream has but does
    /// not deliver.
    ///
    /// # Errors
    /// As [`JetStream::offer`], and [`crate::error::ErrorKind::PermissionDenied`] if this user may not remove messages.
    pub async fn offer_again(&self, item: &WorkItem) -> Result<Offered> {
        offers::offer_again(&self.link, item).await
    }

    /// The items in the stream, delivered or not. One that leaves or arrives meanwhile may be missing.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] if there is no stream.
    pub async fn present(&self) -> Result<HashSet<WorkItem>> {
        offers::present(&self.link).await
    }

    /// Waits up to [`WAIT`] for an item and takes it. `None` if there was none.
    ///
    /// It may be dropped at any time: an item that arrives afterwards is returned by the next pull of this kind. So a worker that has
    /// dropped a pull and will not start another one should call [`JetStream::release`].
    ///
    /// # Errors
    /// Why no item can be taken: no connection, no stream, no answer. It has waited as long as for `None`, so that it may be
    /// called again at once; it succeeds again as soon as the cause is gone.
    pub async fn pull(&self, kind: WorkKind) -> Result<Option<Delivery>> {
        match kind {
            WorkKind::Task => self.tasks.pull().await,
            WorkKind::Shard => self.shards.pull().await,
        }
    }

    /// Gives back items that arrived for dropped pulls, and waits until everything that was sent has left the process. To call
    /// before the process ends.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unavailable`] or [`crate::error::ErrorKind::Timeout`] if it cannot be sent. Then the items are
    /// delivered again when their time is over.
    pub async fn release(&self) -> Result<()> {
        self.tasks.release();
        self.shards.release();
        self.link.flush().await
    }

    /// Asks all workers to read the task in the ledger, because its state or bandwidth has changed.
    ///
    /// # Errors
    /// If the message cannot be sent. Workers read the ledger on their own a little later.
    pub async fn look(&self, task: TaskId) -> Result<()> {
        signals::look(&self.link, task).await
    }

    /// The tasks that [`JetStream::look`] names, from now on. The stream lasts across reconnects; messages sent meanwhile are lost.
    ///
    /// # Errors
    /// If the client has ended or is stuck.
    pub async fn looks(&self) -> Result<BoxStream<'static, TaskId>> {
        signals::looks(&self.link).await
    }

    /// Asks all workers to look for open uploads of deleted tasks.
    ///
    /// # Errors
    /// As [`JetStream::look`].
    pub async fn sweep(&self) -> Result<()> {
        signals::sweep(&self.link).await
    }

    /// An item for each [`JetStream::sweep`]. Otherwise as [`JetStream::looks`].
    ///
    /// # Errors
    /// As [`JetStream::looks`].
    pub async fn sweeps(&self) -> Result<BoxStream<'static, ()>> {
        signals::sweeps(&self.link).await
    }

    /// Asks one worker that holds a shard to split it. `true` if it did, `false` if there is no such worker, or it does not
    /// accept within `limit`.
    ///
    /// # Errors
    /// If there is no connection.
    pub async fn ask_split(&self, limit: Duration) -> Result<bool> {
        signals::ask_split(&self.link, limit).await
    }

    /// The requests to split that this worker gets, while it holds the stream. Each request goes to exactly one of the workers that do.
    /// Otherwise as [`JetStream::looks`].
    ///
    /// # Errors
    /// As [`JetStream::looks`].
    pub async fn split_requests(&self) -> Result<BoxStream<'static, SplitRequest>> {
        signals::split_requests(&self.link).await
    }
}
