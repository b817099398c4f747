//! The answers of operations in the document: refusals as named examples, and the headers that answers carry.

use std::collections::BTreeMap;

use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::Header;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use super::codes;
use super::error::{ApiError, RETRY_AFTER_SECONDS};
use super::extract::BODY_LIMIT;

/// The statuses of refusals, each with what it means.
const STATUSES: &[(u16, &str)] = &[
    (
        400,
        "The request breaks a rule, or the state of the task does not allow it. The code says which rule, the message \
         names the field.",
    ),
    (401, "The header X-Auth-Token is missing or wrong."),
    (
        404,
        "The path does not exist: a part of it is empty, for example. An unknown task is a 400 with OMS.0053.",
    ),
    (413, "The body is larger than 1 MiB."),
    (415, "The Content-Type is not application/json in UTF-8."),
    (
        422,
        "The key of the header Idempotency-Key was sent with another request within the last 24 hours.",
    ),
    (
        500,
        "An error inside the service. The log has the details under the request id.",
    ),
    (
        503,
        "The service cannot answer at the moment, for example because its disk is full.",
    ),
];

/// What an operation refuses a request for, beside its own rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedRefusals {
    /// A wrong token, and a path that does not exist.
    Always,
    /// A ledger that does not work.
    Ledger,
    /// A key of the header `Idempotency-Key` that stands for another request.
    Key,
    /// A body that is too large, not announced as JSON, or not complete.
    Body,
}

impl SharedRefusals {
    fn refusals(self) -> Vec<ApiError> {
        match self {
            Self::Always => vec![ApiError::unauthenticated(), ApiError::unknown_path()],
            Self::Ledger => vec![ApiError::internal(), ApiError::unavailable()],
            Self::Key => vec![ApiError::reused_key()],
            Self::Body => vec![
                ApiError::too_large(BODY_LIMIT),
                ApiError::wrong_media_type(),
                ApiError::incomplete_body(),
            ],
        }
    }
}

/// The refusals of an operation: of each kind in `shared`, and of each rule a code with the message that one request gets.
#[must_use]
pub fn refusals(
    shared: &[SharedRefusals],
    rules: &[(&'static str, &'static str)],
) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<ApiError>> = BTreeMap::new();
    let own = rules
        .iter()
        .map(|(code, message)| ApiError::refused(code, message));
    for refusal in shared.iter().flat_map(|kind| kind.refusals()).chain(own) {
        by_status
            .entry(refusal.status().as_u16())
            .or_default()
            .push(refusal);
    }
    by_status
        .into_iter()
        .map(|(status, refusals)| (status.to_string(), RefOr::T(response(status, &refusals))))
        .collect()
}

/// The documentation of a status: what it means, and a named example for each code.
fn response(status: u16, refusals: &[ApiError]) -> Response {
    let examples = refusals.iter().map(|refusal| {
        let body = refusal.body();
        let meaning = codes::meaning(&body.error_code).unwrap_or_default();
        let example = ExampleBuilder::new()
            .summary(format!("{}: {meaning}", body.error_code))
            .value(serde_json::to_value(&body).ok());
        (body.error_code, example.build())
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ErrorBody")))
        .examples_from_iter(examples)
        .build();
    let text = STATUSES.iter().find(|(known, _)| *known == status);
    ResponseBuilder::new()
        .description(text.map_or("", |(_, text)| text))
        .content("application/json", content)
        .build()
}

/// Documents the headers that answers carry.
pub fn add_headers(document: &mut OpenApi) {
    for operation in operations(document) {
        for (status, response) in &mut operation.responses.responses {
            let RefOr::T(response) = response else { continue };
            let mut add = |name: &str, header: Header| {
                response.headers.insert(name.to_owned(), RefOr::T(header));
            };
            add("X-Request-Id", request_id());
            match status.as_str() {
                "401" => add("WWW-Authenticate", wanted_header()),
                "503" => add("Retry-After", retry_after()),
                _ => {}
            }
        }
    }
}

/// The operations of a document.
pub fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(of_path)
}

fn of_path(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn request_id() -> Header {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[0-9a-f]{32}$"));
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some("Number of the request; the log has its details under it."))
        .example(Some(json!("3f1c9a0b7d5e42688a6f0c1d2e3b4a59")))
        .build()
}

fn wanted_header() -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some("The header that is wanted."))
        .example(Some(json!(ApiError::WANTED_HEADER)))
        .build()
}

fn retry_after() -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some("Seconds to wait before the request is sent again."))
        .example(Some(json!(RETRY_AFTER_SECONDS)))
        .build()
}
