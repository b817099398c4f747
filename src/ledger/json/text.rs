//! Texts of rows: written, and found damaged.

use serde::Serialize;

use crate::error::{Error, Result};

/// The error of a row that cannot be read.
pub(in crate::ledger) fn damaged(what: &str) -> Error {
    Error::internal(format!("the ledger holds a value that cannot be read: {what}"))
}

/// A row as text.
pub(super) fn to_text(row: &impl Serialize) -> Result<String> {
    serde_json::to_string(row).map_err(|e| Error::internal("write a value as text").with_source(e))
}
