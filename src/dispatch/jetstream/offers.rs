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
    collect(async |offset| {
        let body = json!({"offset": offset, "subjects_filter": SUBJECTS});
        let page = api::call(link, &format!("STREAM.INFO.{STREAM}"), &body).await?;
        page.map_err(|refusal| refusal.into_error().during("list work items"))
    })
    .await
}

/// Reads pages until all subjects are known. If items leave the stream meanwhile, others move up and may be missed. That is
/// harmless: they are offered again, and that finds them.
async fn collect(page: impl AsyncFn(usize) -> Result<Page>) -> Result<HashSet<WorkItem>> {
    let mut items = HashSet::new();
    let mut offset = 0;
    loop {
        let Page { state, total } = page(offset).await?;
        let subjects = state.subjects.unwrap_or_default();
        if subjects.is_empty() {
            return Ok(items);
        }
        offset += subjects.len();
        items.extend(
            subjects
                .keys()
                .filter_map(|subject| WorkItem::from_subject(subject)),
        );
        if offset >= total {
            return Ok(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(json: serde_json::Value) -> Page {
        serde_json::from_value(json).unwrap()
    }

    #[tokio::test]
    async fn all_pages_are_read() {
        let subjects: Vec<String> = (1..=25).map(|n| format!("oms.work.shard.1.1.{n}")).collect();
        let items = collect(async |offset| {
            let rest = &subjects[offset..subjects.len().min(offset + 10)];
            let rest: HashMap<&String, u64> = rest.iter().map(|subject| (subject, 1)).collect();
            Ok(page(
                json!({"total": 25, "offset": offset, "limit": 10, "state": {"subjects": rest}}),
            ))
        });
        assert_eq!(items.await.unwrap().len(), 25);
    }

    #[tokio::test]
    async fn a_stream_that_shrinks_meanwhile_ends_the_pages() {
        let items = collect(async |offset| {
            Ok(match offset {
                0 => page(
                    json!({"total": 9, "state": {"subjects": {"oms.work.task.5": 1, "oms.work.other": 1}}}),
                ),
                _ => page(json!({"total": 9, "state": {"messages": 0}})),
            })
        });
        let wanted = WorkItem::from_subject("oms.work.task.5").unwrap();
        assert_eq!(items.await.unwrap(), HashSet::from([wanted]));
    }
}
