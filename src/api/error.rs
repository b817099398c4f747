//! From the service's errors to HTTP: one table, and the body that every refused request gets.
//!
//! The source of a failure is logged with the request id and never shown; a message is shown only where the fault is
//! the caller's.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use super::codes;
use super::sentences::sentence;
use crate::error::{Error, ErrorKind};

/// Seconds after which a caller may try again what the service could not answer, where nothing better is known.
pub const RETRY_AFTER_SECONDS: u64 = 5;

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"error_code": codes::ALREADY_STARTED, "error_msg": "the task has already started"})))]
pub struct ErrorBody {
    /// Code of the OMS reference.
    #[schema(pattern = r"^OMS\.[0-9]{4}$", examples(json!(codes::ALREADY_STARTED)))]
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
    /// The value of `WWW-Authenticate`: which header is wanted.
    pub const WANTED_HEADER: &str = "X-Auth-Token realm=\"oms\"";

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
        Self::new(StatusCode::UNAUTHORIZED, codes::TOKEN, text)
    }

    /// 404: no template of the document matches the path.
    #[must_use]
    pub fn unknown_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, codes::UNKNOWN_PATH, "no such path")
    }

    /// 405: the path exists, with the methods `allow`.
    #[must_use]
    pub fn wrong_method(allow: String) -> Self {
        let text = format!("this path takes {allow} only");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, codes::WRONG_METHOD, text)
        }
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let text = format!("the body must have at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, codes::INVALID_REQUEST, text)
    }

    /// 415: the body is not announced as plain JSON.
    #[must_use]
    pub fn wrong_media_type() -> Self {
        let text = "Content-Type must be application/json, in UTF-8 and without a Content-Encoding";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::INVALID_REQUEST, text)
    }

    /// 400: the request did not arrive as HTTP wants it.
    #[must_use]
    pub fn broken_request(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, codes::INVALID_REQUEST, text)
    }

    /// 422: the key of a request stands for another request (draft-ietf-httpapi-idempotency-key-header, section 2.7).
    #[must_use]
    pub fn reused_key() -> Self {
        let text = "the header Idempotency-Key was sent with another request within the last 24 hours; a new request needs \
                    a new key";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, codes::INVALID_VALUE, text)
    }

    /// 400: the body ended before its end.
    #[must_use]
    pub fn incomplete_body() -> Self {
        Self::broken_request("the body did not arrive completely")
    }

    /// 400: the request breaks the rule that has this code.
    #[must_use]
    pub fn refused(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 500: an error inside the service.
    #[must_use]
    pub fn internal() -> Self {
        Self::from(Error::internal(""))
    }

    /// 503: the service cannot answer at the moment.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::from(Error::new(ErrorKind::Unavailable, ""))
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
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
        // A code of the API is more exact than the rule, and a code of a store means nothing to the caller.
        let own = error.code().filter(|code| code.starts_with("OMS."));
        let broken = error.violation();
        let message = match (broken, status) {
            // A broken rule says what the caller may know of it.
            (Some(violation), _) => Cow::Owned(sentence(violation)),
            (None, StatusCode::SERVICE_UNAVAILABLE) => {
                "the service is not available at the moment; try again later".into()
            }
            (None, StatusCode::INTERNAL_SERVER_ERROR) => {
                "internal error; the operator finds it in the log under the request id".into()
            }
            (None, _) => Cow::Owned(error.message().to_owned()),
        };
        Self {
            status,
            code: match (own, broken) {
                (Some(own), _) => Cow::Owned(own.to_owned()),
                (None, Some(violation)) => Cow::Borrowed(codes::of_violation(violation)),
                (None, None) => Cow::Borrowed(code),
            },
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
        | ErrorKind::UploadNotFound => (StatusCode::BAD_REQUEST, codes::INVALID_VALUE),
        ErrorKind::NotFound => (StatusCode::BAD_REQUEST, codes::UNKNOWN_TASK),
        ErrorKind::PermissionDenied | ErrorKind::Forbidden => (StatusCode::BAD_REQUEST, codes::PERMISSION),
        ErrorKind::Unsupported | ErrorKind::Archived => (StatusCode::BAD_REQUEST, codes::UNSUPPORTED),
        ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, codes::TOKEN),
        ErrorKind::StorageFull
        | ErrorKind::RateLimited
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, codes::UNAVAILABLE),
        ErrorKind::Integrity | ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, codes::UNAVAILABLE),
    }
}

/// How long to wait, for `Retry-After`: whole seconds, rounded up, at least one.
fn seconds(asked: Option<Duration>) -> u64 {
    asked.map_or(RETRY_AFTER_SECONDS, |asked| {
        let more = u64::from(asked.subsec_nanos() > 0);
        (asked.as_secs() + more).max(1)
    })
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
            answer.insert_header((header::WWW_AUTHENTICATE, Self::WANTED_HEADER));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let asked = self.cause.as_ref().and_then(Error::retry_after);
            answer.insert_header((header::RETRY_AFTER, seconds(asked)));
        }
        answer.json(self.body())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::violation::Violation;

    #[test]
    fn an_oms_code_of_the_error_wins_and_others_stay_inside() {
        let own = ApiError::from(Error::new(ErrorKind::NotFound, "task_id: unknown").with_code("OMS.0054"));
        assert_eq!((own.status.as_u16(), &*own.code), (400, "OMS.0054"));
        let foreign = ApiError::from(Error::invalid("x").with_code("NoSuchBucket"));
        assert_eq!((foreign.status.as_u16(), &*foreign.code), (400, "OMS.0064"));
    }

    #[test]
    fn a_rule_has_a_code_and_a_code_of_the_api_is_more_exact() {
        let rule = || Error::from(Violation::AlreadyStarted);
        assert_eq!(&*ApiError::from(rule()).code, "OMS.0065");
        assert_eq!(&*ApiError::from(rule().with_code("OMS.0054")).code, "OMS.0054");
        // A broken rule is explained also where other errors of its status are not.
        let stop = ApiError::from(Error::from(Violation::StopNotRecorded));
        assert_eq!((stop.status.as_u16(), &*stop.code), (503, "OMS.1001"));
        assert!(stop.message.contains("transfers of the task end now"), "{stop}");
        assert_eq!(
            &*ApiError::from(rule().with_code("NoSuchBucket")).code,
            "OMS.0065"
        );
    }

    #[test]
    fn a_wait_is_in_whole_seconds() {
        for (asked, wanted) in [
            (None, 5),
            (Some(0), 1),
            (Some(1), 1),
            (Some(2_000), 2),
            (Some(2_001), 3),
        ] {
            assert_eq!(seconds(asked.map(Duration::from_millis)), wanted, "{asked:?}");
        }
    }

    #[test]
    fn internal_errors_are_not_described_to_the_caller() {
        let error = ApiError::from(Error::internal("table tasks is gone").with_source("disk on fire"));
        assert_eq!(error.status.as_u16(), 500);
        assert!(!error.message.contains("table"));
        let full = ApiError::from(Error::new(ErrorKind::StorageFull, "no space on /var"));
        assert_eq!(full.status.as_u16(), 503);
        assert!(!full.message.contains("/var"));
    }
}
