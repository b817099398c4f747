//! The shards of a task that run, and when there are more of them.
//!
//! A shard that waits for its listing leaves capacity idle. Then more open shards are leased. If there are none, the shard is split
//! ([`crate::engine::listing::cuts`]) and the new ones are leased. A shard that always has objects to copy is not split: its
//! listing is not what limits it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::engine::context::{Context, Role};
use crate::engine::errors::PassError;
use crate::engine::findings::Listing;
use crate::engine::listing::manifest::{ManifestReadError, Reader};
use crate::engine::listing::range::{Range, Split};
use crate::engine::listing::{manifest_cuts, probe};
use crate::engine::shard::{self, ShardEnd};
use crate::engine::sync_points::SyncPoint;
use crate::error::{Error, ErrorKind};
use crate::ledger::{Holder, LeasedShard, ShardKinds, ShardLease, ShardScope};
use crate::task::spec::Scope;

/// Shards that run at the same time, as long as none has waited for its listing.
const AT_FIRST: usize = 4;
/// Shards that are split at the same time.
const SPLITS_AT_ONCE: usize = 4;
/// A shard that could not be split is left alone for this many looks, and twice as many after each further time.
const REST: u32 = 4;

/// The running shards of a task.
pub(super) struct Running {
    ctx: Arc<Context>,
    tasks: JoinSet<(i64, Result<ShardEnd, PassError>)>,
    shards: HashMap<i64, Shard>,
    splits: JoinSet<Result<Attempt, PassError>>,
    limit: usize,
    more: More,
    /// Until when shards are left to other workers.
    held_until: Instant,
    looked: Instant,
    /// Requests that splits have taken, and pages that were listed by shards that have ended.
    requests: u64,
    pages: u64,
    divisible: Divisible,
    /// The shard to lease first, if it is free.
    first: Option<i64>,
}

struct Shard {
    lease: LeasedShard,
    range: Arc<Range>,
    /// Looks until it may be split.
    rest: u32,
    /// How often it could not be split.
    misses: u32,
    splitting: Splitting,
}

/// Whether somebody looks for keys at which a shard can be cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Splitting {
    Yes,
    No,
}

/// Whether the ledger may have another open shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Maybe,
    /// It has some that other workers hold.
    Held,
    None,
}

/// Whether listings of the source can begin at any key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Divisible {
    Yes,
    No,
}

/// What came of an attempt to split a shard.
struct Attempt {
    number: i64,
    beneficiary: Beneficiary,
    requests: u64,
    end: AttemptEnd,
}

/// Who is to work on the new shards of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beneficiary {
    /// This worker.
    Here,
    /// Other workers that have nothing to do.
    Others,
}

enum AttemptEnd {
    /// This many new shards can be leased.
    Split(usize),
    Nothing,
    /// The source ignores where a listing should begin.
    Ignored,
}

impl Running {
    pub(super) fn new(ctx: Arc<Context>, first: Option<i64>) -> Self {
        let limit = AT_FIRST.min(ctx.tuning.ranges.at_once);
        Self {
            ctx,
            tasks: JoinSet::new(),
            shards: HashMap::new(),
            splits: JoinSet::new(),
            limit,
            more: More::Maybe,
            held_until: Instant::now(),
            looked: Instant::now(),
            requests: 0,
            pages: 0,
            divisible: Divisible::Yes,
            first,
        }
    }

    /// Leases open shards and runs them, as many as may run at the same time.
    ///
    /// # Errors
    /// Those of the ledger.
    pub(super) async fn lease(&mut self) -> Result<(), PassError> {
        while self.more == More::Maybe && self.shards.len() < self.limit && !self.ctx.stop.is_cancelled() {
            let kinds = match self.ctx.role {
                Role::Coordinator(_) => ShardKinds::All,
                Role::Member => ShardKinds::Shareable,
            };
            let holder = Holder::new(self.ctx.worker, rand::random());
            let (now, asked) = (self.ctx.clock.now(), Instant::now());
            let leased =
                self.ctx
                    .ledger
                    .lease_shard(self.ctx.task.id, holder, (kinds, self.first.take()), now);
            let lease = match leased.await.map_err(PassError::Ledger)? {
                ShardLease::Leased(lease) => *lease,
                ShardLease::Held => {
                    self.leave_to_others(self.ctx.tuning.lease.look_again);
                    break;
                }
                ShardLease::None => {
                    self.more = More::None;
                    break;
                }
                ShardLease::Poisoned(number) => {
                    let text = format!(
                        "several workers ended unexpectedly while they worked on shard {number} of the task, and it made no \
                         progress in between; look at the logs of the workers, then start the task again"
                    );
                    return Err(PassError::Internal(Error::internal(text)));
                }
            };
            self.ctx.sync_points.reach(SyncPoint::ShardLeased).await;
            let range = Arc::new(Range::new(lease.checkpoint.as_ref(), lease.until.clone()));
            let run = shard::run(Arc::clone(&self.ctx), (lease.clone(), asked), Arc::clone(&range));
            let number = lease.number;
            self.tasks.spawn(async move { (number, run.await) });
            let shard = Shard {
                lease,
                range,
                rest: 0,
                misses: 0,
                splitting: Splitting::No,
            };
            self.shards.insert(number, shard);
        }
        Ok(())
    }

    /// Whether other workers hold shards of the pass.
    pub(super) fn others_hold(&self) -> bool {
        self.more == More::Held
    }

    /// Lets shards be leased that other workers may have left since the last look.
    pub(super) fn look_again(&mut self, now: Instant) {
        if self.more == More::Held && now >= self.held_until {
            self.more = More::Maybe;
        }
    }

    fn leave_to_others(&mut self, wait: Duration) {
        self.more = More::Held;
        self.held_until = Instant::now() + wait;
    }

    /// Waits until a shard or a split has ended; `None` if nothing runs any more.
    ///
    /// # Errors
    /// That of the shard or the split.
    pub(super) async fn next(&mut self) -> Option<Result<(), PassError>> {
        let panicked =
            |panic| PassError::Internal(Error::internal("a part of the task panicked").with_source(panic));
        tokio::select! {
            Some(ended) = self.tasks.join_next() => Some(match ended {
                Ok((number, end)) => {
                    if let Some(shard) = self.shards.remove(&number) {
                        let pages = shard.range.pages();
                        tracing::debug!(task.id = %self.ctx.task.id, shard = number, pages, ?end, "shard ended");
                        self.pages += pages;
                    }
                    end.map(|_| ())
                }
                Err(panic) => Err(panicked(panic)),
            }),
            Some(ended) = self.splits.join_next() => Some(match ended {
                Ok(attempt) => attempt.map(|attempt| self.note(&attempt)),
                Err(panic) => Err(panicked(panic)),
            }),
            else => None,
        }
    }

    fn note(&mut self, attempt: &Attempt) {
        self.requests += attempt.requests;
        if let Some(shard) = self.shards.get_mut(&attempt.number) {
            shard.splitting = Splitting::No;
        }
        match attempt.end {
            AttemptEnd::Split(_) if attempt.beneficiary == Beneficiary::Others => {
                // They find the new shards with their next poll. A worker with many shards must not be there before them.
                self.leave_to_others(self.ctx.tuning.lease.poll_every() * 3 / 2);
                self.ctx.demand.met();
            }
            AttemptEnd::Split(new) => {
                self.more = More::Maybe;
                self.limit = (self.shards.len() + new).clamp(self.limit, self.ctx.tuning.ranges.at_once);
            }
            AttemptEnd::Nothing => {
                if let Some(shard) = self.shards.get_mut(&attempt.number) {
                    shard.rest = REST.saturating_mul(1 << shard.misses.min(10));
                    shard.misses += 1;
                }
            }
            AttemptEnd::Ignored => self.divisible = Divisible::No,
        }
    }

    /// Looks which shards have waited for their listings since the last look. Lets more shards run, or splits one.
    pub(super) fn look(&mut self, now: Instant) {
        let elapsed = now.duration_since(self.looked);
        self.looked = now;
        let mut waiting = Vec::new();
        for (number, shard) in &mut self.shards {
            shard.rest = shard.rest.saturating_sub(1);
            if shard.range.waited(now) * 2 >= elapsed {
                waiting.push(*number);
            }
        }
        let room = self.ctx.tuning.ranges.at_once.saturating_sub(self.shards.len());
        let wanted = self.ctx.demand.take();
        if wanted > 0 {
            let all: Vec<i64> = self
                .shards
                .iter()
                .filter(|(_, shard)| shard.lease.scope != ShardScope::Keys)
                .map(|(number, _)| *number)
                .collect();
            self.split(&all, wanted, Beneficiary::Others);
            return;
        }
        if waiting.is_empty() || room == 0 {
            return;
        }
        if self.more == More::Maybe {
            self.limit = (self.limit * 2).min(self.ctx.tuning.ranges.at_once);
            return;
        }
        self.split(&waiting, room, Beneficiary::Here);
    }

    /// Splits some of these shards, into `room` more together.
    fn split(&mut self, waiting: &[i64], room: usize, beneficiary: Beneficiary) {
        let pages = self.pages + self.shards.values().map(|shard| shard.range.pages()).sum::<u64>();
        let free = SPLITS_AT_ONCE.saturating_sub(self.splits.len());
        if free == 0 || !probe::may_ask(self.requests, pages) {
            return;
        }
        let mut ready: Vec<(f64, i64)> = waiting
            .iter()
            .filter_map(|number| Some((*number, self.shards.get(number)?)))
            .filter(|(_, shard)| shard.rest == 0 && shard.splitting == Splitting::No)
            .filter(|(_, shard)| self.can_be_split(&shard.lease))
            .filter_map(|(number, shard)| Some((shard.range.pages_left()?, number)))
            .filter(|(left, _)| *left >= probe::FEWEST_PAGES)
            .collect();
        ready.sort_by(|a, b| b.0.total_cmp(&a.0));
        ready.truncate(free);
        let each = room.div_ceil(ready.len().max(1));
        for (_, number) in ready {
            let Some(shard) = self.shards.get_mut(&number) else {
                continue;
            };
            shard.splitting = Splitting::Yes;
            let attempt = attempt(
                Arc::clone(&self.ctx),
                shard.lease.clone(),
                Arc::clone(&shard.range),
                each,
                beneficiary,
            );
            self.splits.spawn(attempt);
        }
    }

    fn can_be_split(&self, shard: &LeasedShard) -> bool {
        match shard.scope {
            // Where the target lists in no known order, only a listing from its beginning shows that there is nothing.
            ShardScope::Prefix(_) => {
                self.divisible == Divisible::Yes
                    && (self.ctx.target_order.is_some() || self.ctx.target_listing == Listing::Late)
            }
            ShardScope::Failures => !matches!(self.ctx.task.spec.scope, Scope::Urls(_)),
            ShardScope::Keys => {
                self.ctx.task.spec.scope.list_file().is_some()
                    && shard.checkpoint.as_ref().is_none_or(Reader::ascends)
            }
        }
    }
}

/// Splits a shard into at most `room` more.
async fn attempt(
    ctx: Arc<Context>,
    lease: LeasedShard,
    range: Arc<Range>,
    room: usize,
    beneficiary: Beneficiary,
) -> Result<Attempt, PassError> {
    let number = lease.number;
    let nothing = |requests| Attempt {
        number,
        beneficiary,
        requests,
        end: AttemptEnd::Nothing,
    };
    let Some(snapshot) = range.snapshot().await else {
        return Ok(nothing(0));
    };
    let (cuts, requests) = match &lease.scope {
        ShardScope::Prefix(prefix) => {
            let found = tokio::select! {
                found = probe::cuts(&ctx.source, ctx.tuning.pace, prefix, snapshot, room) => found,
                () = ctx.stop.cancelled() => return Ok(nothing(0)),
            };
            match found {
                Ok(found) => (found.cuts, found.requests),
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    tracing::info!(task.id = %ctx.task.id, %error, "each prefix is listed by one reader");
                    let end = AttemptEnd::Ignored;
                    return Ok(Attempt {
                        number,
                        beneficiary,
                        requests: 1,
                        end,
                    });
                }
                Err(error) => {
                    // The listing itself meets the same error, and reports it.
                    tracing::debug!(task.id = %ctx.task.id, %error, "a shard could not be split");
                    return Ok(nothing(1));
                }
            }
        }
        ShardScope::Failures => {
            let pieces = i64::try_from(room + 1).unwrap_or(i64::MAX);
            let cuts = ctx
                .ledger
                .failure_cuts(
                    ctx.task.id,
                    Some(&snapshot.listed),
                    snapshot.until.as_ref(),
                    pieces,
                )
                .await
                .map_err(PassError::Ledger)?;
            (cuts, 0)
        }
        ShardScope::Keys => {
            let Some(file) = ctx.task.spec.scope.list_file() else {
                return Ok(nothing(0));
            };
            match manifest_cuts::cuts(&ctx, file, &snapshot, room).await {
                Ok(cuts) => (cuts, 0),
                Err(ManifestReadError::Changed) => return Ok(nothing(0)),
                Err(ManifestReadError::PassError(pass_error)) => {
                    // The shard itself meets the same error, and reports it.
                    tracing::debug!(task.id = %ctx.task.id, ?pass_error, "a list could not be cut");
                    return Ok(nothing(0));
                }
            }
        }
    };
    let new = cuts.len();
    let split = range
        .cut(cuts, async |cuts| {
            ctx.ledger.split(ctx.task.id, &lease, cuts).await
        })
        .await?;
    let end = match split {
        Split::Done => AttemptEnd::Split(new),
        Split::TooLate => AttemptEnd::Nothing,
    };
    tracing::debug!(task.id = %ctx.task.id, shard = number, new, requests, ?split, "split");
    Ok(Attempt {
        number,
        beneficiary,
        requests,
        end,
    })
}
