//! One shard: takes candidates in order, copies several at a time, commits what is settled without a gap.

pub mod breaker;
pub mod canary;
mod commits;
pub mod outcomes;
pub mod prior_count;
pub mod systemic;
pub mod window;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::engine::context::Context;
use crate::engine::copy::transfer;
use crate::engine::decide::Decision;
use crate::engine::errors::PassError;
use crate::engine::listing::candidate::{Batch, Candidate, Found, Resumable};
use crate::engine::listing::range::{Feed, Range};
use crate::engine::listing::{feed, pass_kind};
use crate::engine::lookup;
use crate::engine::object_slots::Slot;
use crate::engine::outcome::{Outcome, failed};
use crate::engine::reports::line::Record;
use crate::engine::retry::SideError;
use crate::engine::shard::breaker::{Breaker, FailureMark};
use crate::engine::shard::prior_count::PriorCount;
use crate::engine::shard::window::{InFlight, Window};
use crate::engine::source_object::SourceObject;
use crate::error::{Error, ErrorKind};
use crate::ledger::{Failure, LeasedShard, Unordered};
use crate::task::spec::Scope;
use crate::task::{Concurrency, Key};

/// Batches waiting between the feed and the shard.
const BATCHES_AHEAD: usize = 1;
/// How often settled work is committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long objects in flight may still settle after a stop, before they are cut off.
const GRACE: Duration = Duration::from_millis(600);
/// Objects above this size are shown while they are under way. Smaller ones are over before anybody looks twice.
const WATCHED: u64 = 1 << 20;

/// How a shard ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardEnd {
    /// It is through, and closed in the ledger.
    Done,
    /// It was asked to stop; what was settled is committed.
    Stopped,
}

pub(super) struct Run {
    pub(super) ctx: Arc<Context>,
    pub(super) lease: LeasedShard,
    range: Arc<Range>,
    pub(super) window: Window,
    waiting: VecDeque<Candidate>,
    flight: JoinSet<(u64, FailureMark, Result<Outcome, PassError>)>,
    speed: i64,
    concurrency: Option<Concurrency>,
    resumable: Resumable,
    /// Bytes under way as the ledger has them, for the next commit to change.
    in_flight: i64,
    /// Those that the attempt before left, until this one knows better.
    carried: i64,
    /// Failures that may concern every object, with their numbers.
    pub(super) breaker: Breaker<(u64, Outcome)>,
    /// An object that went well, to ask for when others do not.
    pub(super) canary: Option<Key>,
    /// When the ledger last had word of the shard.
    written_at: Instant,
}

/// Walks a shard from its checkpoint to its end, or until it is stopped.
///
/// # Errors
/// An error that concerns the whole task, a failing ledger, or another lease; what was settled before is committed
/// where that is possible.
pub(in crate::engine) async fn run(
    ctx: Arc<Context>,
    (lease, asked): (LeasedShard, Instant),
    range: Arc<Range>,
) -> Result<ShardEnd, PassError> {
    // The shard may come from another worker, with uploads that it has left open.
    let open = ctx.ledger.uploads(ctx.task.id).await.map_err(PassError::Ledger)?;
    let open = open.into_iter().map(|upload| upload.key).collect();
    let ctx = Arc::new(ctx.for_shard(lease.clone(), asked, open));
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let mut feeder = AbortOnDropHandle::new(tokio::spawn(feed(
        Arc::clone(&ctx),
        lease.clone(),
        Arc::clone(&range),
        sender,
    )));
    let recorded = ctx.task.spec.record_settled;
    let record = recorded.then(|| Record::new(ctx.clock.clone()));
    let claim_in_flight = lease.bytes_in_flight;
    let mut run = Run {
        window: Window::new(pass_kind(&lease.scope), record),
        ctx,
        lease,
        range,
        waiting: VecDeque::new(),
        flight: JoinSet::new(),
        speed: 0,
        concurrency: None,
        resumable: Resumable::Yes,
        in_flight: claim_in_flight,
        carried: claim_in_flight,
        breaker: Breaker::default(),
        canary: None,
        written_at: Instant::now(),
    };
    let walked = run.walk(&mut batches, &mut feeder).await;
    drop(batches);
    feeder.abort();
    match walked {
        Ok(Walked::ToTheEnd) => {
            if !run.window.is_settled() {
                return Err(PassError::Internal(Error::internal(
                    "a shard ended with objects that are not settled",
                )));
            }
            run.commit(Close::Yes, InFlight::All).await?;
            Ok(ShardEnd::Done)
        }
        Ok(Walked::UntilStopped) => {
            run.drain().await?;
            run.commit(Close::No, InFlight::Resumable).await?;
            Ok(ShardEnd::Stopped)
        }
        Err(PassError::SideError(side_error)) => {
            // The error decides; a ledger that fails on top of it is reported by the next one to use it.
            run.flight.shutdown().await;
            run.commit(Close::No, InFlight::Resumable).await?;
            Err(PassError::SideError(side_error))
        }
        Err(other) => Err(other),
    }
}

#[derive(Clone, Copy)]
enum Walked {
    ToTheEnd,
    UntilStopped,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    Yes,
    No,
}

impl Run {
    async fn walk(
        &mut self,
        batches: &mut mpsc::Receiver<Result<Batch, PassError>>,
        feeder: &mut AbortOnDropHandle<()>,
    ) -> Result<Walked, PassError> {
        let stop = self.ctx.stop.clone();
        let objects = Arc::clone(&self.ctx.objects);
        let mut tick = interval(COMMIT_EVERY.min(self.ctx.tuning.lease.keep_every));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut exhausted = false;
        loop {
            self.settle_quick_ones().await?;
            if exhausted && self.waiting.is_empty() && self.flight.is_empty() {
                self.release_all().await?;
                // An object that was cut off is in flight no more and settled not at all: only a stop leaves one, and a
                // shard is never closed over it.
                let stopped = stop.is_cancelled() || self.ctx.abort.is_cancelled();
                return Ok(if stopped {
                    Walked::UntilStopped
                } else {
                    Walked::ToTheEnd
                });
            }
            let next_size = self.next_size();
            let idle = self.waiting.is_empty() && !exhausted && !self.ctx.objects.is_full();
            self.range
                .note(Instant::now(), if idle { Feed::Awaited } else { Feed::Enough });
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Walked::UntilStopped),
                Some(joined) = self.flight.join_next(), if !self.flight.is_empty() => {
                    if let Some((number, begun, outcome)) = self.landed(joined)? {
                        self.settle(number, begun, outcome).await?;
                    }
                }
                _ = tick.tick() => self.report().await?,
                slot = Arc::clone(&objects).enter(next_size),
                    if !self.waiting.is_empty() && self.window.has_room() =>
                {
                    self.begin(slot);
                }
                batch = batches.recv(), if self.waiting.is_empty() && !exhausted => match batch {
                    None => {
                        // A feed that fell over has not come to the end of its keys.
                        (&mut *feeder).await.map_err(|e| {
                            PassError::Internal(Error::internal("listing the objects panicked").with_source(e))
                        })?;
                        exhausted = true;
                    }
                    Some(Err(pass_error)) => return Err(pass_error),
                    Some(Ok(Batch { candidates, order })) => {
                        self.waiting = candidates.into();
                        self.note_order(order).await?;
                    }
                },
            }
        }
    }

    /// Settles everything at the front of the queue that needs no copying.
    async fn settle_quick_ones(&mut self) -> Result<(), PassError> {
        // What is held back must not keep a full window shut for ever.
        if !self.window.has_room() && self.flight.is_empty() {
            self.release_all().await?;
        }
        while self.window.has_room() {
            let copies = |c: &Candidate| matches!(c.step, Found::Planned(_, Decision::Copy));
            if self.waiting.front().is_none_or(copies) {
                break;
            }
            let Some(Candidate {
                key,
                prior_count,
                position,
                step,
            }) = self.waiting.pop_front()
            else {
                break;
            };
            let (size, outcome) = self.outcome_without_copy(&key, prior_count, step);
            if matches!(outcome, Outcome::Skipped(_)) && self.canary.is_none() {
                self.canary = Some(key.clone());
            }
            let number = self.window.push_at(key, position, size, prior_count);
            self.settle(number, FailureMark::default(), outcome).await?;
            if self.window.is_heavy() {
                self.commit(Close::No, InFlight::All).await?;
            }
        }
        Ok(())
    }

    fn outcome_without_copy(&self, key: &Key, prior_count: PriorCount, step: Found) -> (u64, Outcome) {
        let prior_bytes = u64::try_from(prior_count.bytes).unwrap_or_default();
        match step {
            Found::Planned(item, Decision::Skip(reason)) => (item.known_bytes(), Outcome::Skipped(reason)),
            // Never asked; if it were, what was not copied would not count as done.
            Found::Planned(item, Decision::Copy) => (
                item.known_bytes(),
                self.failure(key, "InternalError", "the object was not copied"),
            ),
            Found::Planned(item, Decision::Refuse(reason)) => {
                let (code, message) = reason.describe();
                (item.known_bytes(), self.failure(key, code, message))
            }
            Found::Refused(reason) => {
                let (code, message) = reason.describe();
                let urls = matches!(self.ctx.task.spec.scope, Scope::Urls(_));
                // The reference has a name of its own for this.
                let code = if urls {
                    "URL_LIST_OBJECT_KEY_TOO_LONG"
                } else {
                    code
                };
                (prior_bytes, self.failure(key, code, message))
            }
            // A key that the user named and that does not exist is a failure in every pass: a typo never becomes a success.
            Found::Missing if !self.ctx.task.spec.scope.names(key) => (prior_bytes, Outcome::Gone),
            Found::Missing => {
                let missing = SideError::source(lookup::no_such_key());
                (0, failed(&self.ctx, key, 0, &missing, 1))
            }
            Found::Unknown(side_error) => (prior_bytes, failed(&self.ctx, key, prior_bytes, &side_error, 1)),
        }
    }

    fn failure(&self, key: &Key, code: &str, message: &str) -> Outcome {
        Outcome::Failed(Box::new(Failure {
            key: key.clone(),
            size: 0,
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: None,
            attempts: 1,
            at: self.ctx.clock.now(),
        }))
    }

    /// Size of the first waiting object, as far as it is known.
    fn next_size(&self) -> Option<u64> {
        match &self.waiting.front()?.step {
            Found::Planned(item, _) => item.size(),
            _ => None,
        }
    }

    /// Sends the first waiting object, which is one to copy, on its way.
    fn begin(&mut self, slot: Slot) {
        let Some(Candidate {
            key,
            prior_count,
            position,
            step: Found::Planned(item, _),
        }) = self.waiting.pop_front()
        else {
            return;
        };
        let watched = self
            .is_watched(&item)
            .then(|| (key.clone(), self.ctx.progress.watch(&key)));
        let number = self
            .window
            .push_at(key, position, item.known_bytes(), prior_count);
        if let Some((_, meter)) = &watched {
            self.window.measure(number, Arc::clone(meter));
        }
        let begun = self.breaker.mark();
        let ctx = Arc::clone(&self.ctx);
        self.flight.spawn(async move {
            let abort = ctx.abort.clone();
            let (key, size) = (item.key().clone(), item.known_bytes());
            let outcome = tokio::select! {
                outcome = AssertUnwindSafe(transfer(&ctx, item)).catch_unwind() => outcome,
                () = abort.cancelled() => Ok(Err(cancelled().into())),
            };
            // The text of a panic may hold anything, so it is not shown; the process's log has it.
            let outcome = outcome.unwrap_or_else(|_| {
                tracing::error!(task.id = %ctx.task.id, ?key, "copying the object panicked");
                let text =
                    "copying the object panicked, which is a defect of this program; its log says where";
                let error = Error::internal(text).with_code("InternalError");
                Ok(failed(&ctx, &key, size, &SideError::source(error), 1))
            });
            if let Some((key, meter)) = watched {
                ctx.progress.unwatch(&key, &meter);
            }
            drop(slot);
            (number, begun, outcome)
        });
    }

    /// Whether an object takes so long that people want to see how far it is.
    fn is_watched(&self, item: &SourceObject) -> bool {
        let least = WATCHED.min(self.ctx.tuning.sizes.threshold);
        item.size().is_none_or(|size| size > least)
    }

    fn landed(
        &mut self,
        joined: Result<(u64, FailureMark, Result<Outcome, PassError>), tokio::task::JoinError>,
    ) -> Result<Option<(u64, FailureMark, Outcome)>, PassError> {
        let (number, begun, outcome) =
            joined.map_err(|e| PassError::Internal(Error::internal("copying panicked").with_source(e)))?;
        match outcome {
            Ok(outcome) => Ok(Some((number, begun, outcome))),
            // It stays unsettled, and with it the checkpoint before it.
            Err(PassError::SideError(side_error)) if side_error.error.kind() == ErrorKind::Cancelled => {
                let stopped = self.ctx.stop.is_cancelled() || self.ctx.abort.is_cancelled();
                if self.ctx.lease_guard.is_some() && !stopped {
                    // The lease was not known to hold any more. Whoever has the shard next copies the object.
                    return Err(PassError::Fenced);
                }
                Ok(None)
            }
            Err(pass_error) => Err(pass_error),
        }
    }

    async fn note_order(&mut self, order: Resumable) -> Result<(), PassError> {
        if self.resumable == Resumable::Yes && order == Resumable::No {
            self.resumable = Resumable::No;
            tracing::warn!(
                task.id = %self.ctx.task.id,
                "the source lists in no known order; after a stop this part begins again"
            );
            match self
                .ctx
                .ledger
                .set_unordered(self.ctx.task.id, &self.lease)
                .await
                .map_err(PassError::Ledger)?
            {
                Unordered::Marked => {}
                Unordered::Rejoined | Unordered::Fenced => return Err(PassError::Fenced),
            }
        }
        Ok(())
    }

    /// Lets what is nearly done settle, then cuts the rest off. No request leaves afterwards.
    async fn drain(&mut self) -> Result<(), PassError> {
        self.waiting.clear();
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                biased;
                joined = self.flight.join_next() => match joined {
                    None => return Ok(()),
                    Some(joined) => match self.landed(joined)? {
                        // It is not known whether it is the object's own, and there is no time left to find out.
                        None | Some((_, _, Outcome::Doubtful(..))) => {}
                        Some((number, begun, outcome)) => self.settle(number, begun, outcome).await?,
                    },
                },
                () = &mut grace => break,
                () = self.ctx.abort.cancelled() => break,
            }
        }
        self.flight.shutdown().await;
        Ok(())
    }
}

fn cancelled() -> SideError {
    SideError::source(Error::new(ErrorKind::Cancelled, "stopped"))
}
