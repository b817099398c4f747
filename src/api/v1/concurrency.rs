//! The concurrency of a running task on the wire.

use serde::Serialize;
use utoipa::ToSchema;

use crate::task;

/// An extension: how many small objects, of at most 1 MiB, are copied at the same time, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskConcurrency {
    /// Small objects that may be copied at the same time.
    #[schema(minimum = 1, extensions(("x-oms-extension" = json!(true))))]
    small_objects_allowed: u32,
    /// Small objects that are being copied.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    small_objects_in_flight: u32,
    /// Why no more and no fewer are allowed.
    #[schema(extensions(("x-oms-extension" = json!(true))))]
    reason: ConcurrencyReason,
}

/// Why a task may copy so many small objects at the same time: `starting`: the first objects are measured. `growing`: more
/// objects at a time let more of them finish. `steady`: more would only wait for each other. `near`: objects take so little
/// time that more at a time would not help. `at_limit`: `thread_num` or the memory of the service allows no more.
/// `little_work`: no object waits. `slower`: an object store has become slower. `throttled`: in the last seconds an object
/// store asked for fewer requests.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConcurrencyReason {
    /// The first objects are measured.
    Starting,
    /// More objects at a time let more of them finish.
    Growing,
    /// More objects at a time would only wait for each other.
    Steady,
    /// Objects take so little time that more at a time would not help.
    Near,
    /// `thread_num` or the memory of the service allows no more.
    AtLimit,
    /// No object waits.
    LittleWork,
    /// An object store has become slower.
    Slower,
    /// In the last seconds an object store asked for fewer requests.
    Throttled,
}

impl From<task::Concurrency> for TaskConcurrency {
    fn from(concurrency: task::Concurrency) -> Self {
        let task::Concurrency {
            allowed,
            in_flight,
            reason,
        } = concurrency;
        Self {
            small_objects_allowed: allowed,
            small_objects_in_flight: in_flight,
            reason: reason.into(),
        }
    }
}

impl From<task::ConcurrencyReason> for ConcurrencyReason {
    fn from(reason: task::ConcurrencyReason) -> Self {
        match reason {
            task::ConcurrencyReason::Starting => Self::Starting,
            task::ConcurrencyReason::Growing => Self::Growing,
            task::ConcurrencyReason::Steady => Self::Steady,
            task::ConcurrencyReason::Near => Self::Near,
            task::ConcurrencyReason::AtLimit => Self::AtLimit,
            task::ConcurrencyReason::LittleWork => Self::LittleWork,
            task::ConcurrencyReason::Slower => Self::Slower,
            task::ConcurrencyReason::Throttled => Self::Throttled,
        }
    }
}
