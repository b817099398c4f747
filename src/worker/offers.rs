//! Fills the queue from the ledger: what the ledger wants and the queue lacks is offered.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use super::queue::{Queue, QueueRole};
use crate::dispatch::WorkItem;
use crate::dispatch::jetstream::Offered;
use crate::error::{ErrorKind, Result};
use crate::ledger::Wanted;

/// Time between two looks for work that the queue lacks. Each wait is between half of it and one and a half, so that the
/// processes do not all look at once.
const OFFER_EVERY: Duration = Duration::from_secs(5);
/// Most shards of a task that are offered at the same time.
const SHARDS_AT_ONCE: i64 = 256;

/// Offers everything that the ledger wants and the queue lacks.
async fn offer_missing(queue: &Queue, parts: &Parts) -> Result<usize> {
    let wanted = parts
        .ledger
        .wanted(parts.worker, parts.clock.now(), SHARDS_AT_ONCE)
        .await?;
    if wanted.is_empty() {
        return Ok(0);
    }
    let present = queue.stream.present().await?;
    let items: Vec<WorkItem> = wanted.into_iter().map(item).collect();
    let mut offered = 0;
    for item in &items {
        if !present.contains(item) && queue.stream.offer(item).await? == Offered::Published {
            offered += 1;
        }
    }
    Ok(offered)
}

const fn item(wanted: Wanted) -> WorkItem {
    match wanted {
        Wanted::Task(task) => WorkItem::Task(task),
        Wanted::Shard { task, pass, number } => WorkItem::Shard { task, pass, number },
    }
}

/// Fills the queue from the ledger until `stop`. A worker does so by itself; a process without a worker runs this alone.
pub async fn run(parts: Arc<Parts>, stop: CancellationToken) {
    let Some(queue) = parts.queue.clone() else { return };
    let ack_wait = parts.tuning.lease.length * 5 / 4;
    let mut ready = false;
    loop {
        if !ready && queue.role != QueueRole::User {
            match queue.set_up(ack_wait).await {
                Ok(()) => ready = true,
                Err(error) => {
                    tracing::warn!(%error, "the queue cannot be created; work is found in the ledger")
                }
            }
        }
        match offer_missing(&queue, &parts).await {
            Ok(0) => {}
            Ok(offered) => tracing::debug!(offered, "work was offered"),
            Err(error) => {
                if error.kind() == ErrorKind::NotFound {
                    // It was lost.
                    ready = false;
                }
                tracing::debug!(%error, "work cannot be offered; it is found in the ledger");
            }
        }
        let wait = OFFER_EVERY.mul_f64(0.5 + rand::random::<f64>());
        tokio::select! {
            () = stop.cancelled() => return,
            () = queue.is_asked_to_offer() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
