//! Named points of the work where a test may pause or end it.
//!
//! In production no test code is set, and a point costs one branch. A crash test stops the worker at each point in turn, starts
//! it again from the ledger, and expects the same result.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

/// A moment between two effects, each on a store or on the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncPoint {
    /// The task was leased.
    TaskLeased,
    /// Both sides were probed.
    Probed,
    /// The pass and its shards are in the ledger.
    PassOpened,
    /// A shard was leased.
    ShardLeased,
    /// A page was listed and compared with the target.
    PageJoined,
    /// The source answered a read; nothing was written yet.
    ObjectOpened,
    /// The target has the object; the ledger does not record it yet.
    ObjectWritten,
    /// The target has begun an upload; the ledger does not record it yet.
    UploadCreated,
    /// The ledger has recorded the upload; it has no parts.
    UploadRecorded,
    /// A part was uploaded.
    PartWritten,
    /// The upload was completed; the ledger still holds it as open.
    UploadCompleted,
    /// A commit is about to be written.
    BeforeCommit,
    /// A commit was written.
    AfterCommit,
    /// All shards are closed; the task has not ended yet.
    BeforeFinish,
    /// The target has a list of objects; the ledger still has its lines.
    ListWritten,
}

impl SyncPoint {
    /// All points, for tests that visit each.
    pub const ALL: [Self; 15] = [
        Self::TaskLeased,
        Self::Probed,
        Self::PassOpened,
        Self::ShardLeased,
        Self::PageJoined,
        Self::ObjectOpened,
        Self::ObjectWritten,
        Self::UploadCreated,
        Self::UploadRecorded,
        Self::PartWritten,
        Self::UploadCompleted,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::BeforeFinish,
        Self::ListWritten,
    ];
}

type Hook = dyn Fn(SyncPoint) -> BoxFuture<'static, ()> + Send + Sync;

/// What happens at the points: nothing, unless a test sets a hook.
#[derive(Clone, Default)]
pub struct SyncPoints(Option<Arc<Hook>>);

impl fmt::Debug for SyncPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "SyncPoints(set)"
        } else {
            "SyncPoints(none)"
        })
    }
}

impl SyncPoints {
    /// Calls `hook` at each point and waits for it.
    pub fn new(hook: impl Fn(SyncPoint) -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Reports a point.
    pub async fn reach(&self, point: SyncPoint) {
        if let Some(hook) = &self.0 {
            hook(point).await;
        }
    }
}
