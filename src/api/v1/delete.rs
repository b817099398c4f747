//! The body that a deletion may have.

use serde::Deserialize;
use utoipa::ToSchema;

use super::nodes::key_pair;
use super::texts::secret;
use crate::api::json::Node;
use crate::error::Result;
use crate::secret::{Credentials, Secret};

/// An extension: credentials with which a deletion aborts unfinished multipart uploads of the task.
///
/// A finished task has no open uploads. A task that was paused, or could not continue, may have open uploads of large objects at
/// the target. Their parts are stored and paid for there. The task's own credentials were wiped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!(example())))]
pub struct DeleteTask {
    /// Access key of the target.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 1, max_length = 100, write_only)]
    target_ak: Secret,
    /// Secret key of the target.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 100, write_only)]
    target_sk: Secret,
}

/// A body with credentials.
pub fn example() -> serde_json::Value {
    serde_json::json!({"target_ak": "target_ak", "target_sk": "target_sk"})
}

/// Reads a body, where there is one. `null` and `{}` are as good as none: some clients cannot send a request without a
/// body.
///
/// # Errors
/// Those of [`Node::read`]; OMS.0064 for a key that is empty or too long.
pub fn read(body: Option<Node>) -> Result<Option<Credentials>> {
    let body = match body {
        None | Some(Node::Null) => return Ok(None),
        Some(Node::Object(fields)) if fields.is_empty() => return Ok(None),
        Some(body) => body,
    };
    let DeleteTask { target_ak, target_sk } = body.read()?;
    key_pair("", ["target_ak", "target_sk"], target_ak, target_sk).map(Some)
}
