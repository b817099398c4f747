//! The workers of a running task on the wire.

use serde::Serialize;
use utoipa::ToSchema;

use crate::service::NamedWorker;

/// An extension: a worker that is at the task.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskWorker {
    /// Name of the worker, as its configuration says.
    #[schema(extensions(("x-oms-extension" = json!(true))))]
    name: String,
    /// Parts of the task that it is at.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    shards: i64,
    /// Bytes per second that it copies, over the last seconds.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    speed: i64,
}

impl From<NamedWorker> for TaskWorker {
    fn from(worker: NamedWorker) -> Self {
        let NamedWorker { name, shards, speed } = worker;
        Self {
            name,
            shards,
            speed: speed.max(0),
        }
    }
}
