//! What both sides allow, found out before the first object: can the source be listed, can the target be written, in
//! which order does the target list, does it encrypt where the task asks for it.
//!
//! The target is asked by writing: two empty objects below `oms/probe/`, removed at once. A store may answer reads and
//! refuse every write, and only the write tells.

use super::order::{Order, OrderWatch};
use super::retry::{self, At as _, Attempt, Pace};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Body, Encryption, ListFrom, NewObject, SharedStore, WriteIf};
use crate::task::{Key, Task, TaskSpec, reasons};

/// Names whose order tells bytewise and folder-wise listings apart.
const NAMES: [&str; 2] = ["a!", "a/1"];
/// How often a listing is asked for a key that was just written.
const LISTINGS: u32 = 5;

/// Whether the source can be listed.
///
/// # Errors
/// The trouble that the source has, after retries.
pub async fn source(store: &SharedStore, pace: Pace, spec: &TaskSpec) -> Attempt<()> {
    let first = spec.scope.prefixes().into_iter().next();
    let prefix = first
        .or_else(|| spec.scope.single_keys().into_iter().next())
        .unwrap_or_else(|| Key::from(""));
    super::list::page(store, pace, &prefix, &ListFrom::Start)
        .await
        .map(|_| ())
        .at_source()
}

/// Whether the target can be listed, written and deleted from; returns the order in which it lists. The names that it
/// writes are the task's own and the same each time, so that what a crash left there goes with the next probe.
///
/// # Errors
/// The trouble that the target has, after retries; `TRF.0158` when the task asks for encryption and the target takes that
/// without doing it.
pub async fn target(store: &SharedStore, pace: Pace, task: &Task) -> Attempt<Option<Order>> {
    let folder = format!("oms/probe/{}/", task.id);
    let keys = NAMES.map(|name| Key::from(format!("{folder}{name}").as_str()));
    let found = written_order(store, pace, &task.spec, &folder, &keys).await;
    for key in &keys {
        let removed = again(pace, || store.delete(key)).await;
        if found.is_ok() {
            removed.map_err(|e| e.during("delete the probe")).at_target()?;
        }
    }
    found.at_target()
}

async fn written_order(
    store: &SharedStore,
    pace: Pace,
    spec: &TaskSpec,
    folder: &str,
    keys: &[Key],
) -> Result<Option<Order>> {
    let new = NewObject {
        kms: spec.kms,
        ..NewObject::default()
    };
    for key in keys {
        let md5 = Some(*b"\xd4\x1d\x8c\xd9\x8f\x00\xb2\x04\xe9\x80\x09\x98\xec\xf8\x42\x7e");
        let written = again(pace, || store.put(key, &new, 0, md5, &WriteIf::Always, empty()))
            .await
            .map_err(|e| e.during("write the probe"))?;
        if spec.kms {
            encrypts(store, pace, key, written.encryption).await?;
        }
    }
    let prefix = Key::from(folder);
    for round in 1..=LISTINGS {
        let page = super::list::page(store, pace, &prefix, &ListFrom::Start).await?;
        if page.entries.len() == keys.len() {
            let listed = page
                .entries
                .iter()
                .map(|entry| &entry.key.as_bytes()[folder.len()..]);
            return Ok(OrderWatch::of_listing(listed));
        }
        tokio::time::sleep(std::time::Duration::from_millis(100) * round).await;
    }
    let text = "the target does not list what was just written; it cannot be compared with the source";
    Err(Error::new(ErrorKind::Integrity, text))
}

/// Whether the target has encrypted a probe: by what its answer to the write told, else by what it tells when asked.
async fn encrypts(store: &SharedStore, pace: Pace, key: &Key, told: Option<Encryption>) -> Result<()> {
    let found = match told {
        Some(told) => Some(told),
        None => {
            again(pace, || store.head(key, None))
                .await
                .map_err(|e| e.during("look at the probe"))?
                .encryption
        }
    };
    if found == Some(Encryption::Kms) {
        return Ok(());
    }
    let text = "enableKMS is set, but the target does not encrypt with its key management service";
    Err(Error::new(ErrorKind::Unsupported, text).with_code(reasons::TARGET_ENCRYPTION))
}

/// Writes one empty object with the encryption that the task asks for, and removes it. Tried once: the caller has tried
/// enough.
///
/// # Errors
/// That of the write.
pub(super) async fn write_once(store: &SharedStore, pace: Pace, kms: bool) -> Result<()> {
    let key = Key::from(format!("oms/probe/{:016x}/w", rand::random::<u64>()).as_str());
    let new = NewObject {
        kms,
        ..NewObject::default()
    };
    let written = store.put(&key, &new, 0, None, &WriteIf::Always, empty()).await;
    // Also after an error: an answer may have been lost behind the effect.
    let removed = again(pace, || store.delete(&key)).await;
    written.map(drop).and(removed)
}

pub(super) fn empty() -> Body {
    use http_body_util::BodyExt as _;
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Tries an operation again while that may help.
pub(super) async fn again<T, F>(pace: Pace, mut operation: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match operation().await {
            Ok(value) => return Ok(value),
            Err(error) => match retry::delay(pace, &error, tries, rand::random()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error.with_tries(tries)),
            },
        }
    }
}
