//! From places and keys to two stores that are known to work.

use super::Parts;
use crate::engine::order::Order;
use crate::engine::retry::{At as _, Attempt};
use crate::engine::{Route, probe};
use crate::object::{ListVersion, SharedStore};
use crate::secret::Credentials;
use crate::task::Task;

/// How the bytes of a task travel.
pub(super) fn route(task: &Task, credentials: &Credentials) -> Route {
    let one_store = task.spec.source.endpoint.url == task.spec.target.endpoint.url;
    if one_store && credentials.source == credentials.target {
        Route::ServerSide
    } else {
        Route::Stream
    }
}

/// Connects and probes both sides. A store that does not know the second version of listings is asked in the first.
pub(super) async fn connect(
    parts: &Parts,
    task: &Task,
    credentials: &Credentials,
) -> Attempt<(SharedStore, SharedStore, Option<Order>)> {
    let connect = |list| {
        let source = parts
            .connect
            .connect(&task.spec.source, &credentials.source, list);
        let target = parts
            .connect
            .connect(&task.spec.target, &credentials.target, list);
        Ok((source.at_source()?, target.at_target()?))
    };
    let pace = parts.tuning.pace;
    let (source, target) = connect(ListVersion::V2)?;
    let (old_source, old_target) = connect(ListVersion::V1)?;
    let source = async {
        match probe::source(&source, pace, &task.spec).await {
            Err(trouble) if lists_only_v1(&trouble.error) => probe::source(&old_source, pace, &task.spec)
                .await
                .map(|()| old_source),
            other => other.map(|()| source),
        }
    };
    let target = async {
        match probe::target(&target, pace, task.id).await {
            Err(trouble) if lists_only_v1(&trouble.error) => probe::target(&old_target, pace, task.id)
                .await
                .map(|order| (old_target, order)),
            other => other.map(|order| (target, order)),
        }
    };
    // Both are brought to their end, so that a trouble of the source does not leave a probe at the target.
    let (source, target) = tokio::join!(source, target);
    let (source, (target, order)) = (source?, target?);
    Ok((source, target, order))
}

fn lists_only_v1(error: &crate::error::Error) -> bool {
    error.code() == Some("ListObjectsV2Unsupported")
}
