//! What is left to do in the ledger behind the scenes, a bounded part at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::parts::Parts;
use crate::ledger::Tidied;

/// Between two parts: others write meanwhile.
const BREATH: Duration = Duration::from_millis(20);
/// Until the next try of what had to wait.
const AGAIN: Duration = Duration::from_millis(500);
/// Until the next look when nothing is left, or the ledger fails.
const LOOK: Duration = Duration::from_secs(1);

/// Tidies until `stop`.
pub(super) async fn run(parts: Arc<Parts>, stop: CancellationToken) {
    loop {
        let wait = match parts.ledger.tidy().await {
            Ok(Tidied::Some) => BREATH,
            Ok(Tidied::Blocked) => AGAIN,
            Ok(Tidied::All) => LOOK,
            Err(error) => {
                tracing::debug!(%error, "the ledger cannot be tidied");
                LOOK
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
