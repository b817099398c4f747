//! Background work in the ledger, in small steps.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::ledger::Purged;

/// Pause between two steps, so that others can write.
const BREATH: Duration = Duration::from_millis(20);
/// Pause before a blocked step is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Pause when nothing is left to do, or the ledger fails.
const LOOK: Duration = Duration::from_secs(1);

/// Runs steps until `stop`.
pub(super) async fn run(parts: Arc<Parts>, stop: CancellationToken) {
    loop {
        let wait = match parts.ledger.purge().await {
            Ok(Purged::Some) => BREATH,
            Ok(Purged::Blocked) => AGAIN,
            Ok(Purged::All) => LOOK,
            Err(error) => {
                tracing::debug!(%error, "the ledger cannot be purged");
                LOOK
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
