//! The workers that share a ledger.

use crate::task::{UnixMillis, WorkerId};

/// What a worker tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerBeat {
    /// The worker.
    pub worker: WorkerId,
    /// Its name, for people.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// Tasks that it may run at the same time.
    pub slots: i64,
    /// Whether it could do more: 1 if it has nothing to do, otherwise 0.
    pub idle: i64,
}

/// A worker, as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// The worker.
    pub worker: WorkerId,
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// Tasks that it may run at the same time.
    pub slots: i64,
    /// When it was heard of last.
    pub seen_at: UnixMillis,
    /// Tasks that it holds.
    pub tasks: i64,
    /// Shards that it holds.
    pub shards: i64,
}

/// Whether several processes may use a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One process owns it.
    OneProcess,
    /// Any number of processes.
    ManyProcesses,
}
