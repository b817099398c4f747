//! The engine: brings one pass of one task to its end. Knows object stores and the ledger's checkpoints, no HTTP API
//! and no SQL.
//!
//! A pass is a set of shards. Each shard is fed with candidates in listing order ([`feed`]), decides about each
//! ([`plan`]), copies several at a time ([`copy`], [`multipart`], [`sequential`]), and commits about once a second what is settled
//! without a gap ([`shard`]). Whatever lies behind the last commit is simply looked at again after a crash: what is
//! already identical at the target is skipped.

mod attributes;
pub mod breaker;
mod canary;
pub mod copy;
mod counted;
mod cut;
pub mod feed;
pub mod guard;
mod hash;
pub mod hooks;
pub mod item;
mod joining;
mod judge;
pub mod layout;
pub mod limit;
pub mod lines;
pub mod list;
mod listfile;
mod listscan;
mod lookup;
mod matcher;
mod metadata;
pub mod multipart;
pub mod names;
mod opaque_tags;
pub mod order;
mod outcome;
mod part;
mod pinned_read;
pub mod plan;
pub mod probe;
pub mod progress;
pub mod proof;
pub mod quirks;
mod record;
mod refusal;
pub mod report;
pub mod retry;
pub mod scope;
pub mod sequential;
mod server_side;
mod settle;
pub mod shard;
pub mod share;
pub mod spool;
mod stored;
pub mod stream;
pub mod survey;
mod suspect;
pub mod uploads;
pub mod warnings;
mod window;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Error;
use crate::ledger::{Ledger, ShardScope};
use crate::object::SharedStore;
use crate::object::recent::Addresses;
use crate::task::{Clock, Key, Reason, Task, TaskSpec, reasons};
use guard::Guard;
use hooks::{SyncPoint, SyncPoints};
use limit::{TaskStreams, Throttle};
use order::Order;
use progress::Progress;
use quirks::Quirks;
use retry::SideError;

/// Shards of one task that are walked at the same time.
const SHARDS_AT_ONCE: usize = 4;

/// How bytes get from source to target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Through this process.
    Stream,
    /// Inside the store: both sides are one endpoint with one pair of keys.
    ServerSide,
}

/// Everything a pass works with.
#[derive(Debug)]
pub struct Context {
    /// The task, as it was claimed.
    pub task: Task,
    /// The worker's right to report.
    pub fencing_token: i64,
    /// Source bucket.
    pub source: SharedStore,
    /// Target bucket.
    pub target: SharedStore,
    /// Bucket of the list file, where the scope is one.
    pub lists: Option<SharedStore>,
    /// Addresses of a list of URLs that are in work.
    pub addresses: Arc<Addresses>,
    /// The order in which the target lists; `None` when it keeps none.
    pub target_order: Option<Order>,
    /// How soon the target lists what was written.
    pub target_listing: probe::Listing,
    /// Which kinds of names the target keeps.
    pub names: names::Names,
    /// How its writes are kept from overwriting.
    pub guard: Guard,
    /// How bytes travel.
    pub route: Route,
    /// The ledger.
    pub ledger: SharedLedger,
    /// The task's share of the streams of the process.
    pub streams: TaskStreams,
    /// Objects of this task at the same time.
    pub objects: Arc<Semaphore>,
    /// Bandwidth of this task.
    pub throttle: Arc<Throttle>,
    /// Bytes moved.
    pub progress: Arc<Progress>,
    /// Begin nothing new, settle what is quick, commit, end.
    pub stop: CancellationToken,
    /// End at once what is in flight.
    pub abort: CancellationToken,
    /// Time.
    pub clock: Clock,
    /// Sizes and delays.
    pub tuning: Tuning,
    /// Test points.
    pub hooks: SyncPoints,
    /// Set when the source's tags were found to look like MD5 sums without being some.
    pub source_tags_opaque: AtomicBool,
    /// Set when a tag of the source was found to be the MD5 sum of the bytes that were read.
    pub source_tags_proved: AtomicBool,
    /// Set when the source's tags of uploads in parts were found to be none that S3 would make.
    pub source_joined_opaque: AtomicBool,
    /// Set when the size of the source's parts was guessed wrong.
    pub source_parts_opaque: AtomicBool,
    /// Set when an object that was joined from its source's parts had its source's tag.
    pub source_joined_proved: AtomicBool,
    /// Set when the target's tags were found to look like MD5 sums without being some.
    pub target_tags_opaque: AtomicBool,
    /// Set when the target's tags of parts were found to be none.
    pub target_parts_opaque: AtomicBool,
    /// Set when the target was seen to give an object that was joined from parts another tag than S3 makes.
    pub target_joined_opaque: AtomicBool,
    /// What was found out about the stores.
    pub quirks: Quirks,
    /// Warnings that are written already.
    pub said: warnings::Said,
    /// Keys of uploads that an earlier attempt left open: their objects are not proved, whatever the target has.
    pub open: HashSet<Key>,
}

/// Sizes and delays that nobody sets in production; tests make them small, so that they need neither large objects nor
/// patience.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// How fast tries follow each other.
    pub pace: retry::Pace,
    /// How objects are cut into parts.
    pub sizes: layout::Sizes,
    /// When lists of objects are written.
    pub lists: spool::Limits,
    /// From when on a crash of the process counts fully against a task that it was working on.
    pub settled_in: SettledIn,
}

/// How long a worker is at a task until a crash of the process counts fully against it. Whoever ends processes by hand in
/// quick succession does so before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledIn(pub Duration);

impl Default for SettledIn {
    fn default() -> Self {
        Self(Duration::from_secs(1))
    }
}

/// A shared handle on the ledger.
#[derive(Clone)]
pub struct SharedLedger(pub Arc<dyn Ledger>);

impl std::fmt::Debug for SharedLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ledger")
    }
}

impl std::ops::Deref for SharedLedger {
    type Target = dyn Ledger;
    fn deref(&self) -> &Self::Target {
        self.0.as_ref()
    }
}

/// Why a shard ended before its end.
#[derive(Debug)]
pub enum PassError {
    /// A store's trouble that concerns the whole task.
    SideError(SideError),
    /// The ledger cannot be read or written: nothing can be promised, so nothing is reported.
    Ledger(Error),
    /// A defect of this program: the same would happen again, so the task ends with it as its reason.
    Defect(Error),
    /// Another worker has the task.
    Fenced,
}

/// The reason of a task that a defect of this program ended.
#[must_use]
pub fn defect(error: &Error) -> Reason {
    tracing::error!(%error, cause = ?std::error::Error::source(error), "a defect ended the pass");
    Reason {
        code: reasons::SYSTEM_ERROR.to_owned(),
        message: error.message().to_owned(),
    }
}

impl From<SideError> for PassError {
    fn from(trouble: SideError) -> Self {
        Self::SideError(trouble)
    }
}

/// How a pass ended.
#[derive(Debug)]
pub enum PassEnd {
    /// Every shard is closed.
    Finished,
    /// It was asked to stop; everything settled is committed.
    Stopped,
    /// It cannot go on.
    Broken(Reason),
    /// The ledger failed; the task is to be taken up again later.
    Ledger(Error),
    /// Another worker has the task.
    Fenced,
}

/// The shards of a new full pass: one for each prefix, one for the single keys, or for
/// the list that names them.
#[must_use]
pub fn shards(spec: &TaskSpec) -> Vec<ShardScope> {
    let mut shards: Vec<ShardScope> = spec
        .scope
        .prefixes()
        .into_iter()
        .map(ShardScope::Prefix)
        .collect();
    let scope = &spec.scope;
    if scope.list_file().is_some() || !scope.single_keys().is_empty() || !scope.covered_keys().is_empty() {
        shards.push(ShardScope::Keys);
    }
    shards
}

/// Walks all open shards of the task's last pass.
pub async fn run_pass(ctx: Arc<Context>) -> PassEnd {
    let _survey = AbortOnDropHandle::new(tokio::spawn(survey::run(Arc::clone(&ctx))));
    let over = CancellationToken::new();
    let lists = AbortOnDropHandle::new(tokio::spawn(spool::run(Arc::clone(&ctx), over.clone())));
    let mut running: JoinSet<Result<shard::ShardEnd, PassError>> = JoinSet::new();
    let mut end = PassEnd::Finished;
    let mut more = More::Maybe;
    loop {
        while more == More::Maybe && running.len() < SHARDS_AT_ONCE && !ctx.stop.is_cancelled() {
            match ctx.ledger.lease_shard(ctx.task.id, ctx.fencing_token).await {
                Ok(Some(claimed)) => {
                    ctx.hooks.reach(SyncPoint::ShardClaimed).await;
                    running.spawn(shard::run(Arc::clone(&ctx), claimed));
                }
                Ok(None) => more = More::None,
                Err(error) => {
                    end = PassEnd::Ledger(error);
                    ctx.stop.cancel();
                }
            }
        }
        let halt = match running.join_next().await {
            None => break,
            Some(Ok(Ok(shard::ShardEnd::Done | shard::ShardEnd::Stopped))) => continue,
            Some(Ok(Err(halt))) => halt,
            Some(Err(panic)) => {
                PassError::Defect(Error::internal("working on the task panicked").with_source(panic))
            }
        };
        if matches!(end, PassEnd::Finished) {
            end = match halt {
                PassError::SideError(trouble) => PassEnd::Broken(trouble.reason()),
                PassError::Ledger(error) => PassEnd::Ledger(error),
                PassError::Defect(error) => PassEnd::Broken(defect(&error)),
                PassError::Fenced => PassEnd::Fenced,
            };
        }
        // The other shards commit what they have; nothing new is begun.
        ctx.stop.cancel();
        ctx.abort.cancel();
    }
    over.cancel();
    let end = match (end, lists.await) {
        (PassEnd::Finished, Err(panic)) => {
            let error = Error::internal("writing the lists of objects panicked");
            PassEnd::Broken(defect(&error.with_source(panic)))
        }
        (PassEnd::Finished, Ok(Err(error))) => PassEnd::Ledger(error),
        (PassEnd::Finished, Ok(Ok(()))) if ctx.stop.is_cancelled() => PassEnd::Stopped,
        (end, _) => end,
    };
    match (end, ctx.write_repeated_warnings().await) {
        (PassEnd::Finished | PassEnd::Stopped, Err(PassError::Ledger(error))) => PassEnd::Ledger(error),
        (PassEnd::Finished | PassEnd::Stopped, Err(PassError::Fenced)) => PassEnd::Fenced,
        // Any other end is the first thing that went wrong, and says more than the counts of warnings.
        (end, _) => end,
    }
}

/// Whether the ledger may have another open shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Maybe,
    None,
}

/// Gives up all open uploads of a task that will not go on with them. What cannot be given up now stays in the ledger.
///
/// # Errors
/// Those of the ledger or the target, after retries.
pub async fn abort_uploads(ctx: &Context) -> Result<(), PassError> {
    for open in ctx.ledger.uploads(ctx.task.id).await.map_err(PassError::Ledger)? {
        uploads::give_up(ctx, open).await?;
    }
    Ok(())
}
