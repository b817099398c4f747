//! Reads a manifest for other purposes than a full pass: to find the URLs of failed names, and to count the lines.

use std::time::{Duration, Instant};

use crate::engine::context::Context;
use crate::engine::errors::PassError;
use crate::engine::listing::candidate::{Batch, KEYS_PER_BATCH, Sender, Wanted};
use crate::engine::listing::manifest::{ManifestReadError, Reader, changed, list_store};
use crate::engine::listing::manifest_lines;
use crate::engine::listing::plan::look_up;
use crate::engine::shard::prior_count::PriorCount;
use crate::ledger::Failure;
use crate::object::SharedStore;
use crate::task::spec::Manifest;
use crate::task::{Estimate, Key};

/// Number of names of a list of URLs that are looked up among the failures at once.
const NAMES_AT_ONCE: usize = 1024;

/// Feeds the recorded failures of a list of URLs, in one pass over the list and in its order. The ledger does not hold
/// URLs, because they may be signed. Keeping the URLs of all failures in memory would have no limit. The checkpoint is
/// the position in the list. Failures that the list no longer names come last, without a URL.
pub(in crate::engine) async fn feed_failures(
    ctx: &Context,
    file: &Manifest,
    checkpoint: Option<&Key>,
    sender: &Sender,
) -> std::result::Result<(), PassError> {
    let store = list_store(ctx)?;
    let mut reader = open(ctx, store, file, checkpoint).await?;
    let mut feed = Feed {
        ctx,
        sender,
        wanted: Vec::new(),
    };
    let mut lines = Vec::new();
    loop {
        let line = reader.next().await.map_err(|stuck| pass_error(stuck, file))?;
        let ended = line.is_none();
        if let Some(line) = line
            && let Ok((url, name)) = manifest_lines::url_and_name(&line.text)
        {
            lines.push(Addressed {
                position: reader.checkpoint(&line),
                url: url.to_owned(),
                name,
            });
        }
        let full = lines.len() == NAMES_AT_ONCE || ended;
        if full && feed.take(std::mem::take(&mut lines)).await? == Reading::Over {
            return Ok(());
        }
        if ended {
            break;
        }
    }
    feed.rest(&reader.checkpoint_at_end()).await
}

/// Opens the list after a checkpoint. If the list was changed since the checkpoint was written, it is read from the
/// beginning: settled objects are no failures any more, and the others may be tried once more.
async fn open<'a>(
    ctx: &Context,
    store: &'a SharedStore,
    file: &'a Manifest,
    checkpoint: Option<&Key>,
) -> std::result::Result<Reader<'a>, PassError> {
    let pace = ctx.tuning.pace;
    // An earlier version stored names as checkpoints here.
    let position = checkpoint.filter(|checkpoint| Reader::is_position(checkpoint));
    let opened = match Reader::open(store, pace, file, position).await {
        Err(ManifestReadError::Changed) if position.is_some() => Reader::open(store, pace, file, None).await,
        opened => opened,
    };
    opened
        .map(|(reader, _)| reader)
        .map_err(|stuck| pass_error(stuck, file))
}

/// A line of the list.
struct Addressed {
    position: Key,
    url: String,
    name: Key,
}

/// Whether the shard still reads what it is fed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    On,
    Over,
}

/// Failures on their way to the shard.
struct Feed<'a> {
    ctx: &'a Context,
    sender: &'a Sender,
    wanted: Vec<Wanted>,
}

impl Feed<'_> {
    /// Takes the failures that these lines name. Each failure is taken once under this lease, however often the
    /// list names it.
    async fn take(&mut self, lines: Vec<Addressed>) -> std::result::Result<Reading, PassError> {
        let ctx = self.ctx;
        let names: Vec<Key> = lines.iter().map(|line| line.name.clone()).collect();
        let found = ctx.ledger.take_failures(ctx.task.id, ctx.shard()?, &names).await;
        let mut found: std::collections::HashMap<Key, Failure> = found
            .map_err(PassError::Ledger)?
            .ok_or(PassError::Fenced)?
            .into_iter()
            .map(|failure| (failure.key.clone(), failure))
            .collect();
        for Addressed { position, url, name } in lines {
            let Some(failure) = found.remove(&name) else {
                continue;
            };
            ctx.addresses.add(name, &url);
            self.wanted.push(Wanted {
                prior_count: PriorCount::failed(&failure),
                key: failure.key,
                position: Some(position),
            });
            if self.wanted.len() == KEYS_PER_BATCH && self.send().await? == Reading::Over {
                return Ok(Reading::Over);
            }
        }
        Ok(Reading::On)
    }

    /// Sends the failures taken so far, and then the failures that the list does not name.
    async fn rest(&mut self, end: &Key) -> std::result::Result<(), PassError> {
        let ctx = self.ctx;
        let limit = i64::try_from(KEYS_PER_BATCH).unwrap_or(i64::MAX);
        let mut after = None;
        while self.send().await? == Reading::On {
            let page = ctx
                .ledger
                .untaken_failures(ctx.task.id, after.as_ref(), limit)
                .await;
            let page = page.map_err(PassError::Ledger)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            self.wanted.extend(page.into_iter().map(|failure| Wanted {
                prior_count: PriorCount::failed(&failure),
                key: failure.key,
                position: Some(end.clone()),
            }));
        }
        Ok(())
    }

    async fn send(&mut self) -> std::result::Result<Reading, PassError> {
        if self.wanted.is_empty() {
            return Ok(Reading::On);
        }
        let candidates = look_up(self.ctx, std::mem::take(&mut self.wanted)).await?;
        let batch = Batch::resumable(candidates);
        Ok(match self.sender.send(Ok(batch)).await {
            Ok(()) => Reading::On,
            Err(_) => Reading::Over,
        })
    }
}

/// How often the growing number of lines is stored.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// Counts the lines, only for progress. A line that repeats the line before it is the same object.
pub(in crate::engine) async fn count(ctx: &Context, file: &Manifest) -> std::result::Result<(), PassError> {
    let store = list_store(ctx)?;
    let opened = Reader::open(store, ctx.tuning.pace, file, None).await;
    let (mut reader, _) = opened.map_err(|stuck| pass_error(stuck, file))?;
    let mut survey = Estimate::default();
    let mut last = Vec::new();
    let mut stored = Instant::now();
    while let Some(line) = reader.next().await.map_err(|stuck| pass_error(stuck, file))? {
        if line.text != last {
            survey.objects += 1;
            last = line.text;
        }
        if stored.elapsed() >= STORE_EVERY {
            stored = Instant::now();
            let survey = survey.at_least(ctx.task.survey);
            let written = ctx.ledger.set_estimate(ctx.task.id, survey).await;
            written.map_err(PassError::Ledger)?;
        }
    }
    survey.complete = true;
    let written = ctx.ledger.set_estimate(ctx.task.id, survey).await;
    written.map_err(PassError::Ledger)
}

fn pass_error(stuck: ManifestReadError, file: &Manifest) -> PassError {
    match stuck {
        ManifestReadError::PassError(pass_error) => pass_error,
        ManifestReadError::Changed => changed(file).into(),
    }
}
