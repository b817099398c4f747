//! Doors for the fuzz targets of `tests/fuzz`: the readers of request bodies.

use super::{create, update};
use crate::api::json::Node;
use crate::error::Result;
use crate::service::CreateTask;

/// Reads the body that creates a task.
///
/// # Errors
/// Those of the operation.
pub fn read_create(body: &[u8]) -> Result<CreateTask> {
    create::read(Node::parse(body)?)
}

/// Reads the body that starts, stops or changes a task; returns what it asks for, for people.
///
/// # Errors
/// Those of the operation.
pub fn read_update(body: &[u8]) -> Result<String> {
    update::read(Node::parse(body)?).map(|change| format!("{change:?}"))
}
