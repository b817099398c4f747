//! The size of the scope: counts the source in the background, only for progress and time left.
//!
//! The count begins some seconds after the pass. A pass that is over by then needs no count. It lists ahead of the work, which costs
//! one request per thousand objects. Like a pass, it lists a prefix in several ranges at a time. A complete count is not repeated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::engine::context::Context;
use crate::engine::listing::range::{Page, Range, Split};
use crate::engine::listing::range_pages::RangePages;
use crate::engine::listing::{manifest_scan, probe};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Committed;
use crate::object::ListingEntry;
use crate::task::{Estimate, Key, PassKind};

const BEGIN_AFTER: Duration = Duration::from_secs(2);
/// How often the count is stored, and a range is cut for readers that have nothing to do.
const STORE_EVERY: Duration = Duration::from_millis(500);
/// After this many attempts without a cut, a prefix is not cut any more.
const MOST_MISSES: u32 = 4;

/// Counts the scope of a full pass. It ends by itself, or when it is dropped. A pass over the failures needs no count:
/// the full pass before it has counted everything.
pub async fn run(ctx: Arc<Context>) {
    let full = ctx.task.pass.is_none_or(|pass| pass.kind == PassKind::Full);
    if !full || ctx.task.survey.complete {
        return;
    }
    tokio::time::sleep(BEGIN_AFTER).await;
    if let Some(file) = ctx.task.spec.scope.list_file() {
        if let Err(pass_error) = manifest_scan::count(&ctx, file).await {
            tracing::debug!(task.id = %ctx.task.id, ?pass_error, "the list could not be counted");
        }
        return;
    }
    if let Err(error) = count(&ctx).await {
        // Only the display suffers. The pass meets the same error itself and reports it.
        tracing::debug!(task.id = %ctx.task.id, %error, "the scope could not be counted");
    }
}

async fn count(ctx: &Arc<Context>) -> Result<()> {
    let scope = &ctx.task.spec.scope;
    let counted = Arc::new(Counted::default());
    counted.get().objects = i64::try_from(scope.single_keys().len()).unwrap_or(i64::MAX);
    for prefix in scope.prefixes() {
        let readers = Readers::new(Arc::clone(ctx), prefix, Arc::clone(&counted));
        if readers.count().await? == Counting::Stopped {
            return Ok(());
        }
    }
    let complete = Estimate {
        complete: true,
        ..*counted.get()
    };
    ctx.ledger.set_estimate(ctx.task.id, complete).await
}

/// What was counted so far.
#[derive(Debug, Default)]
struct Counted(Mutex<Estimate>);

impl Counted {
    fn get(&self) -> MutexGuard<'_, Estimate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, entries: &[ListingEntry]) {
        let mut sum = self.get();
        sum.objects += i64::try_from(entries.len()).unwrap_or(i64::MAX);
        // A store may list sizes that no object can have.
        sum.bytes = entries
            .iter()
            .map(ListingEntry::size)
            .fold(sum.bytes, i64::saturating_add_unsigned);
    }
}

/// Whether a count came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    Done,
    Stopped,
}

/// The readers of one prefix. Each counts a range of it.
struct Readers {
    ctx: Arc<Context>,
    prefix: Key,
    counted: Arc<Counted>,
    /// What was counted before this prefix.
    before: Estimate,
    tasks: JoinSet<Result<Page>>,
    /// The ranges of all readers, also of those that are through.
    ranges: Vec<Arc<Range>>,
    /// Requests that looked for cuts.
    requests: u64,
    /// Attempts in a row that found no cut.
    misses: u32,
}

impl Readers {
    fn new(ctx: Arc<Context>, prefix: Key, counted: Arc<Counted>) -> Self {
        let before = *counted.get();
        Self {
            ctx,
            prefix,
            counted,
            before,
            tasks: JoinSet::new(),
            ranges: Vec::new(),
            requests: 0,
            misses: 0,
        }
    }

    async fn count(mut self) -> Result<Counting> {
        self.read(None, None);
        let mut tick = interval(STORE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.ctx.stop.cancelled() => return Ok(Counting::Stopped),
                ended = self.tasks.join_next() => match ended {
                    None => return Ok(Counting::Done),
                    Some(Ok(end)) => if end? == Page::EndsUnclear {
                        self.read_alone().await;
                    },
                    Some(Err(panic)) => return Err(Error::internal("a count panicked").with_source(panic)),
                },
                _ = tick.tick() => {
                    let so_far = self.counted.get().at_least(self.ctx.task.survey);
                    self.ctx.ledger.set_estimate(self.ctx.task.id, so_far).await?;
                    self.split().await?;
                }
            }
        }
    }

    /// Starts a reader of everything after `after`, up to `until`.
    fn read(&mut self, after: Option<Key>, until: Option<Key>) {
        let range = Arc::new(Range::new(after.as_ref(), until));
        self.ranges.push(Arc::clone(&range));
        let mut pages = RangePages::new(
            Arc::clone(&self.ctx.source),
            self.ctx.tuning.pace,
            self.prefix.clone(),
            after.as_ref(),
            range,
        );
        let counted = Arc::clone(&self.counted);
        self.tasks.spawn(async move {
            while let Some(entries) = pages.next().await? {
                counted.add(&entries);
            }
            Ok(pages.end())
        });
    }

    /// Begins again with one reader: a key at which a range was cut has disappeared, and the order of the listing is not known.
    async fn read_alone(&mut self) {
        self.tasks.shutdown().await;
        *self.counted.get() = self.before;
        self.ranges.clear();
        self.misses = MOST_MISSES;
        self.read(None, None);
    }

    /// Cuts the range that has most left, for readers that have nothing to do.
    async fn split(&mut self) -> Result<()> {
        let room = self.ctx.tuning.ranges.at_once.saturating_sub(self.tasks.len());
        let pages = self.ranges.iter().map(|range| range.pages()).sum();
        if room == 0 || self.misses >= MOST_MISSES || !probe::may_ask(self.requests, pages) {
            return Ok(());
        }
        let left = |range: &Arc<Range>| Some((range.pages_left()?, Arc::clone(range)));
        let longest = self
            .ranges
            .iter()
            .filter_map(left)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, range)) = longest.filter(|(left, _)| *left >= probe::FEWEST_PAGES) else {
            return Ok(());
        };
        let Some(snapshot) = range.snapshot().await else {
            return Ok(());
        };
        let end = snapshot.until.clone();
        let pace = self.ctx.tuning.pace;
        let found = tokio::select! {
            found = probe::cuts(&self.ctx.source, pace, &self.prefix, snapshot, room) => found,
            () = self.ctx.stop.cancelled() => return Ok(()),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.misses = MOST_MISSES;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.requests += found.requests;
        let mut cuts = Vec::new();
        let split = range.cut(found.cuts, async |left| {
            cuts.extend_from_slice(left);
            Ok(Committed::Done)
        });
        self.misses = match split.await {
            Ok(Split::Done) => 0,
            // The write itself cannot fail.
            Ok(Split::TooLate) | Err(_) => self.misses + 1,
        };
        let ends = cuts
            .clone()
            .into_iter()
            .map(Some)
            .skip(1)
            .chain(std::iter::once(end));
        for (start, end) in cuts.into_iter().zip(ends) {
            self.read(Some(start), end);
        }
        Ok(())
    }
}
