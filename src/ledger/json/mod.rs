//! Specs, places and bandwidth windows as text in the ledger, for every implementation of the ledger.
//!
//! The types of [`crate::task`] derive the form: the names and the order of their fields are those of the text. Later
//! versions must read what earlier ones wrote; the tests hold the form against lines that existing ledgers have.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::task::BandwidthPolicy;
use crate::task::spec::{BucketLocation, TaskSpec};

/// The error of a row that cannot be read.
pub(super) fn damaged(what: &str) -> Error {
    Error::internal(format!("the ledger holds a value that cannot be read: {what}"))
}

/// A spec as text.
pub(super) fn spec_to_text(spec: &TaskSpec) -> Result<String> {
    to_text(spec)
}

/// The spec that [`spec_to_text`] wrote.
pub(super) fn spec_from_text(text: &str) -> Result<TaskSpec> {
    from_text("spec", text)
}

/// A place as text.
pub(super) fn location_to_text(place: &BucketLocation) -> Result<String> {
    to_text(place)
}

/// The place that [`location_to_text`] wrote.
pub(super) fn location_from_text(text: &str) -> Result<BucketLocation> {
    from_text("place", text)
}

/// Bandwidth windows as text.
pub(super) fn bandwidth_to_text(policy: &BandwidthPolicy) -> Result<String> {
    to_text(policy)
}

/// The windows that [`bandwidth_to_text`] wrote.
pub(super) fn bandwidth_from_text(text: &str) -> Result<BandwidthPolicy> {
    from_text("bandwidth", text)
}

fn to_text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::internal("write a value as text").with_source(e))
}

/// Reads a value. The error names it, and the place in it that is damaged.
fn from_text<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    let mut text = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut text).map_err(|error| {
        let place = error.path().to_string();
        let what = match place.as_str() {
            "." => what.to_owned(),
            place => format!("{what} at {place}"),
        };
        damaged(&what).with_source(error.into_inner())
    })?;
    text.end().map_err(|e| damaged(what).with_source(e))?;
    Ok(value)
}

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod tests;
