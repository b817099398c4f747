//! Checks that the API document lists every error response that a test receives.

use std::sync::LazyLock;

use oms::api::docs::{Rendering, document_v1_json};
use reqwest::Method;
use serde_json::Value;

use super::api::Reply;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&document_v1_json(Rendering::V31)).unwrap());

/// Asserts that the document lists the status and the code of this error response for this method and path.
#[track_caller]
pub fn check(method: &Method, path: &str, reply: &Reply) {
    if !(reply.status.is_client_error() || reply.status.is_server_error()) {
        return;
    }
    let templates = DOCUMENT["paths"].as_object().unwrap();
    let operation = templates
        .iter()
        .filter(|(template, _)| matches(template, path))
        .find_map(|(_, item)| item.get(method.as_str().to_lowercase()));
    // The path is unknown, or the method is not allowed (405): no operation answered.
    let Some(operation) = operation else { return };
    let examples = &operation["responses"][reply.status.as_str()]["content"]["application/json"]["examples"];
    let body = reply.json();
    let code = body["error_code"].as_str().unwrap();
    assert!(
        examples.get(code).is_some(),
        "the document does not say that {} may answer {} with {code}: {body}",
        operation["operationId"],
        reply.status
    );
}

fn matches(template: &str, path: &str) -> bool {
    let (wanted, found): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
    let fits =
        |(wanted, found): (&&str, &&str)| *wanted == *found || (wanted.starts_with('{') && !found.is_empty());
    wanted.len() == found.len() && wanted.iter().zip(&found).all(fits)
}
