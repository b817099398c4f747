//! Whole readings of a list file beside the pass: for the addresses of failed names, and for the number of lines.

use std::time::{Duration, Instant};

use super::lines;
use super::listfile::{Reader, Stuck, changed, list_store};
use super::{Context, Halt};
use crate::store::Failure;
use crate::task::spec::ListFile;
use crate::task::{Key, Survey};

/// Failed names of a list of URLs that are looked for in one reading of the list. Four times as many, and a full window of
/// a shard, stay below what [`crate::object::recent::REMEMBERED`] holds.
pub(super) const NAMES_PER_READING: i64 = 1024;

/// Remembers the addresses of failed names, which the ledger does not hold: reads the list once for all of them. A name
/// that the list has no more keeps no address.
pub(super) async fn find_addresses(
    ctx: &Context,
    file: &ListFile,
    failures: &[Failure],
) -> std::result::Result<(), Halt> {
    let wanted: std::collections::HashSet<&Key> = failures.iter().map(|failure| &failure.key).collect();
    let found = async {
        let (mut reader, _) = Reader::open(list_store(ctx)?, ctx.tuning.pace, file, None).await?;
        while let Some(line) = reader.next().await? {
            let parsed = lines::url_and_name(&line.text);
            if let Ok((url, name)) = parsed
                && wanted.contains(&name)
            {
                ctx.addresses.add(name, url);
            }
        }
        Ok(())
    };
    found.await.map_err(|stuck| halt(stuck, file))
}

/// How often a growing number of lines is stored.
const STORE_EVERY: Duration = Duration::from_secs(1);

/// Counts the lines, for progress only. A line that repeats the one before is the same object.
pub(super) async fn count(ctx: &Context, file: &ListFile) -> std::result::Result<(), Halt> {
    let store = list_store(ctx)?;
    let opened = Reader::open(store, ctx.tuning.pace, file, None).await;
    let (mut reader, _) = opened.map_err(|stuck| halt(stuck, file))?;
    let mut survey = Survey::default();
    let mut last = Vec::new();
    let mut stored = Instant::now();
    while let Some(line) = reader.next().await.map_err(|stuck| halt(stuck, file))? {
        if line.text != last {
            survey.objects += 1;
            last = line.text;
        }
        if stored.elapsed() >= STORE_EVERY {
            stored = Instant::now();
            let written = ctx.store.set_survey(ctx.task.id, survey).await;
            written.map_err(Halt::Ledger)?;
        }
    }
    survey.complete = true;
    let written = ctx.store.set_survey(ctx.task.id, survey).await;
    written.map_err(Halt::Ledger)
}

fn halt(stuck: Stuck, file: &ListFile) -> Halt {
    match stuck {
        Stuck::Halt(halt) => halt,
        Stuck::Changed => changed(file).into(),
    }
}
