//! What became of a notification, on the wire.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::codes;

/// What became of a notification. Sending is not built yet, so it is always a failure.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SmnResult {
    /// Whether it was sent.
    notify_result: bool,
    /// Code of the OMS reference when it was not.
    notify_error_message: String,
    /// Name of the topic; empty when it was sent.
    topic_name: String,
}

impl SmnResult {
    /// The result of every notification.
    pub fn not_sent() -> Self {
        Self {
            notify_result: false,
            notify_error_message: codes::NOT_NOTIFIED.to_owned(),
            topic_name: String::new(),
        }
    }
}
