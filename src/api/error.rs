//! From the service's errors to HTTP: one table, and the body that every refused request gets.
//!
//! The source of a failure is logged with the request id and never shown; a message is shown only where the fault is
//! the caller's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::error::{Error, ErrorKind};

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"error_code": "OMS.0065", "error_msg": "the task has already started"})))]
pub struct ErrorBody {
    /// Code of the OMS reference.
    #[schema(pattern = r"^OMS\.[0-9]{4}$", examples("OMS.0065"))]
    pub error_code: String,
    /// A sentence that names the field and what it should be. It never repeats a value of the request.
    #[schema(examples("source_ak must have 1 to 100 characters"))]
    pub error_msg: String,
}

/// An answer that refuses a request.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    allow: Option<String>,
    cause: Option<Error>,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: Cow::Borrowed(code),
            message: message.into(),
            allow: None,
            cause: None,
        }
    }

    /// 401: the caller did not prove who it is.
    #[must_use]
    pub fn unauthenticated() -> Self {
        let text = "token authentication failed: the header X-Auth-Token must hold the service's token";
        Self::new(StatusCode::UNAUTHORIZED, "OMS.0068", text)
    }

    /// 404: no template of the document matches the path.
    #[must_use]
    pub fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "OMS.1009", "no such path")
    }

    /// 405: the path exists, with the methods `allow`.
    #[must_use]
    pub fn wrong_method(allow: String) -> Self {
        let text = format!("this path takes {allow} only");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "OMS.0005", text)
        }
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let text = format!("the body must have at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "OMS.0004", text)
    }

    /// 415: the body is not announced as plain JSON.
    #[must_use]
    pub fn wrong_media_type() -> Self {
        let text = "Content-Type must be application/json, in UTF-8 and without a Content-Encoding";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "OMS.0004", text)
    }

    /// 400: the request did not arrive as HTTP wants it.
    #[must_use]
    pub fn broken_request(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "OMS.0004", text)
    }

    /// 422: the key of a request stands for another request (draft-ietf-httpapi-idempotency-key-header, section 2.7).
    #[must_use]
    pub fn reused_key() -> Self {
        let text = "the header Idempotency-Key was sent with another request within the last 24 hours; a new request needs \
                    a new key";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "OMS.0064", text)
    }

    fn body(&self) -> ErrorBody {
        ErrorBody {
            error_code: self.code.clone().into_owned(),
            error_msg: self.message.clone().into_owned(),
        }
    }

    /// The service's error behind this answer, for the log.
    #[must_use]
    pub const fn cause(&self) -> Option<&Error> {
        self.cause.as_ref()
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (status, code) = meaning(error.kind());
        let known = error.code().filter(|code| code.starts_with("OMS."));
        let message = match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                "the service is not available at the moment; try again later".into()
            }
            StatusCode::INTERNAL_SERVER_ERROR => {
                "internal error; the operator finds it in the log under the request id".into()
            }
            _ => Cow::Owned(error.message().to_owned()),
        };
        Self {
            status,
            code: known.map_or(Cow::Borrowed(code), |code| Cow::Owned(code.to_owned())),
            message,
            allow: None,
            cause: Some(error),
        }
    }
}

/// The table: which status a kind has, and which code where the error brings none of its own. As in the original,
/// every refusal that has an OMS code is a 400, also that of an unknown task.
const fn meaning(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::InvalidArgument
        | ErrorKind::Conflict
        | ErrorKind::PreconditionFailed
        | ErrorKind::BucketNotFound
        | ErrorKind::UploadNotFound => (StatusCode::BAD_REQUEST, "OMS.0064"),
        ErrorKind::NotFound => (StatusCode::BAD_REQUEST, "OMS.0053"),
        ErrorKind::PermissionDenied | ErrorKind::Forbidden => (StatusCode::BAD_REQUEST, "OMS.0072"),
        ErrorKind::Unsupported | ErrorKind::Archived => (StatusCode::BAD_REQUEST, "OMS.0061"),
        ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, "OMS.0068"),
        ErrorKind::StorageFull
        | ErrorKind::RateLimited
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "OMS.1001"),
        ErrorKind::Integrity | ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "OMS.1001"),
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.status.as_u16(), self.code, self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if let Some(allow) = &self.allow {
            answer.insert_header((header::ALLOW, allow.as_str()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            answer.insert_header((header::WWW_AUTHENTICATE, "X-Auth-Token realm=\"oms\""));
        }
        answer.json(self.body())
    }
}

/// The refusals of an operation without a request body, for its documentation.
pub struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let unavailable = Error::new(ErrorKind::Unavailable, "");
        let taken = Error::new(ErrorKind::Conflict, "the task has already started").with_code("OMS.0065");
        let all = [
            (
                ApiError::from(taken),
                "The request breaks a rule, or the state of the task does not allow it. The code says which rule, the \
                 message names the field.",
            ),
            (
                ApiError::unauthenticated(),
                "The header X-Auth-Token is missing or wrong.",
            ),
            (
                ApiError::unknown_path(),
                "The path does not exist. An unknown task is a 400 with OMS.0053.",
            ),
            (
                ApiError::from(Error::internal("")),
                "A defect of the service. The log has the details under the request id.",
            ),
            (
                ApiError::from(unavailable),
                "The service cannot answer at the moment, for example because its disk is full.",
            ),
        ];
        all.iter()
            .map(|(example, text)| response(example, text))
            .collect()
    }
}

/// The refusals of an operation with a request body, for its documentation.
pub struct BodyRefusals;

impl IntoResponses for BodyRefusals {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let more = [
            (
                ApiError::too_large(super::extract::BODY_LIMIT),
                "The body is larger than 1 MiB.",
            ),
            (
                ApiError::wrong_media_type(),
                "The Content-Type is not application/json in UTF-8.",
            ),
        ];
        let mut all = Refusals::responses();
        all.extend(more.iter().map(|(example, text)| response(example, text)));
        all
    }
}

/// The refusal of a creation under a key that was used, for its documentation.
pub struct KeyRefusal;

impl IntoResponses for KeyRefusal {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let text = "The key of the header Idempotency-Key was sent with another request.";
        [response(&ApiError::reused_key(), text)].into()
    }
}

/// The documentation of a status: what it means, and an answer as the service itself would give it.
fn response(example: &ApiError, text: &str) -> (String, RefOr<Response>) {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("ErrorBody")))
        .example(serde_json::to_value(example.body()).ok())
        .build();
    let mut response = ResponseBuilder::new()
        .description(text)
        .content("application/json", content);
    if example.status == StatusCode::UNAUTHORIZED {
        let header = HeaderBuilder::new()
            .schema(Some(<String as utoipa::PartialSchema>::schema()))
            .description(Some("The header that is wanted."));
        response = response.header("WWW-Authenticate", header.build());
    }
    (example.status.as_u16().to_string(), RefOr::T(response.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oms_code_of_the_error_wins_and_others_stay_inside() {
        let own = ApiError::from(Error::new(ErrorKind::NotFound, "task_id: unknown").with_code("OMS.0054"));
        assert_eq!((own.status.as_u16(), &*own.code), (400, "OMS.0054"));
        let foreign = ApiError::from(Error::invalid("x").with_code("NoSuchBucket"));
        assert_eq!((foreign.status.as_u16(), &*foreign.code), (400, "OMS.0064"));
    }

    #[test]
    fn defects_are_not_described_to_the_caller() {
        let error = ApiError::from(Error::internal("table tasks is gone").with_source("disk on fire"));
        assert_eq!(error.status.as_u16(), 500);
        assert!(!error.message.contains("table"));
        let full = ApiError::from(Error::new(ErrorKind::StorageFull, "no space on /var"));
        assert_eq!(full.status.as_u16(), 503);
        assert!(!full.message.contains("/var"));
    }
}
