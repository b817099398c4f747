//! Puts work items into the stream, and tells which ones are there.

use std::collections::{HashMap, HashSet};

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::publish::PublishAck;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::api::{self, STREAM, SUBJECTS};
use super::link::{self, Link};
use crate::dispatch::work_item::WorkItem;
use crate::error::{Error, ErrorKind, Result};

/// The server's numbers for "this subject has another last sequence than expected". In a cluster it is sometimes the second.
const WRONG_LAST_SEQUENCE: [u64; 2] = [10_071, 10_164];

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// The item is in the stream now.
    Published,
    /// It was there already: it waits, or a worker has it.
    Present,
}

/// Adds an item unless the stream has it.
pub(super) async fn offer(link: &Link, item: &WorkItem) -> Result<Offered> {
    let mut headers = HeaderMap::new();
    // Zero: there must be no message of this subject.
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
    let answer = link.request(item.subject(), link::request_with(headers)).await?;
    let Some(answer) = answer else {
        let text = format!("the stream {STREAM} does not exist, or is not ready");
        return Err(Error::new(ErrorKind::NotFound, text));
    };
    match api::read::<PublishAck>(&answer.payload)? {
        Ok(_) => Ok(Offered::Published),
        Err(refusal) if WRONG_LAST_SEQUENCE.contains(&refusal.code) => Ok(Offered::Present),
        Err(refusal) => Err(refusal.into_error().during("offer")),
    }
}

/// Removes an item's message, whoever has it, and adds a new one.
pub(super) async fn offer_again(link: &Link, item: &WorkItem) -> Result<Offered> {
    let body = json!({"filter": item.subject()});
    let purged = api::call::<IgnoredAny>(link, &format!("STREAM.PURGE.{STREAM}"), &body).await?;
    purged.map_err(|refusal| refusal.into_error().during("remove"))?;
    offer(link, item).await
}

/// A page of the stream's subjects.
#[derive(Debug, Default, Deserialize)]
struct Page {
    state: PageState,
    #[serde(default)]
    total: usize,
}

#[derive(Debug, Default, Deserialize)]
struct PageState {
    /// How many messages each subject has; absent if there are none.
    #[serde(default)]
    subjects: Option<HashMap<String, IgnoredAny>>,
}

/// The items in the stream.
pub(super) async fn present(link: &Link) -> Result<HashSet<WorkItem>> {
    let mut pages = Pages::default();
    loop {
        let body = json!({"offset": pages.offset, "subjects_filter": SUBJECTS});
        let page = api::call(link, &format!("STREAM.INFO.{STREAM}"), &body).await?;
        let page = page.map_err(|refusal| refusal.into_error().during("list work items"))?;
        if pages.add(page) == Reading::Over {
            return Ok(pages.items);
        }
    }
}

/// The pages that were read. If items leave the stream meanwhile, others move up and may be missed. That is harmless: they are
/// offered again, and that finds them.
#[derive(Debug, Default)]
struct Pages {
    items: HashSet<WorkItem>,
    offset: usize,
}

/// Whether there are more pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    On,
    Over,
}

impl Pages {
    fn add(&mut self, Page { state, total }: Page) -> Reading {
        let subjects = state.subjects.unwrap_or_default();
        self.offset += subjects.len();
        let items = subjects
            .keys()
            .filter_map(|subject| WorkItem::from_subject(subject));
        self.items.extend(items);
        if subjects.is_empty() || self.offset >= total {
            Reading::Over
        } else {
            Reading::On
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(json: serde_json::Value) -> Page {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn all_pages_are_read() {
        let subjects: Vec<String> = (1..=25).map(|n| format!("oms.work.shard.1.1.{n}")).collect();
        let mut pages = Pages::default();
        for (offset, wanted) in [(0, Reading::On), (10, Reading::On), (20, Reading::Over)] {
            assert_eq!(pages.offset, offset);
            let rest = &subjects[offset..subjects.len().min(offset + 10)];
            let rest: HashMap<&String, u64> = rest.iter().map(|subject| (subject, 1)).collect();
            let json = json!({"total": 25, "offset": offset, "limit": 10, "state": {"subjects": rest}});
            assert_eq!(pages.add(page(json)), wanted);
        }
        assert_eq!(pages.items.len(), 25);
    }

    #[test]
    fn a_stream_that_shrinks_meanwhile_ends_the_pages() {
        let mut pages = Pages::default();
        let first = json!({"total": 9, "state": {"subjects": {"oms.work.task.5": 1, "oms.work.other": 1}}});
        assert_eq!(pages.add(page(first)), Reading::On);
        let last = json!({"total": 9, "state": {"messages": 0}});
        assert_eq!(pages.add(page(last)), Reading::Over);
        let wanted = WorkItem::from_subject("oms.work.task.5").unwrap();
        assert_eq!(pages.items, HashSet::from([wanted]));
    }
}
