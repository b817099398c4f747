//! Maps the status and the S3 error code of a response to our kinds of error.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

use super::documents::Failure;
use super::headers;
use crate::error::{Error, ErrorKind};

/// What a request was about; decides the meaning of a 404 without a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Bucket,
    Object,
    Upload,
}

/// Longest wait that a store may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// Longest text of a store that is put into a message, in characters.
const MAX_TEXT: usize = 200;

/// The kind of an error response. A known code decides, otherwise the status does.
///
/// Source: the error responses of the Amazon S3 API reference, and the codes that MinIO, Ceph, SeaweedFS, OBS and OSS add.
pub(super) fn classify(status: StatusCode, code: Option<&str>, subject: Subject) -> ErrorKind {
    code.and_then(by_code)
        .unwrap_or_else(|| by_status(status, subject))
}

fn by_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestTimeTooSkewed"
        | "RequestExpired"
        | "AuthorizationHeaderMalformed"
        | "InvalidSecurity"
        | "NotSignedUp"
        | "MissingSecurityHeader"
        | "InvalidClientTokenId"
        | "CredentialsNotSupported"
        | "AuthFailure"
        | "Unauthorized"
        | "UnauthorizedAccess" => ErrorKind::Unauthenticated,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "Forbidden" | "UserDisable" => {
            ErrorKind::PermissionDenied
        }
        "NoSuchBucket" => ErrorKind::BucketNotFound,
        "NoSuchKey" | "NoSuchVersion" | "NoSuchTagSet" | "NoSuchTagSetError" => ErrorKind::NotFound,
        "NoSuchUpload" => ErrorKind::UploadNotFound,
        "PreconditionFailed" | "NotModified" => ErrorKind::PreconditionFailed,
        "InvalidObjectState" | "ObjectNotInActiveTierError" => ErrorKind::Archived,
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "BandwidthLimitExceeded"
        | "XMinioServerBusy" => ErrorKind::RateLimited,
        "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "InvalidDigest"
        | "IncompleteBody"
        | "InvalidRange" => ErrorKind::Integrity,
        "InsufficientStorage"
        | "QuotaExceeded"
        | "InsufficientStorageSpace"
        | "XMinioStorageFull"
        | "XMinioAdminBucketQuotaExceeded" => ErrorKind::StorageFull,
        "NotImplemented" | "MethodNotAllowed" => ErrorKind::Unsupported,
        "RequestTimeout" => ErrorKind::Timeout,
        // A conflicting write was in progress. The same request may succeed afterwards.
        "InternalError" | "ServiceUnavailable" | "ConditionalRequestConflict" | "OperationAborted" => {
            ErrorKind::Unavailable
        }
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "EntityTooLarge"
        | "EntityTooSmall"
        | "KeyTooLongError"
        | "KeyTooLong"
        | "InvalidArgument"
        | "InvalidRequest"
        | "InvalidPart"
        | "InvalidPartOrder"
        | "InvalidPartNumber"
        | "InvalidBucketName"
        | "InvalidObjectName"
        | "InvalidURI"
        | "InvalidTag"
        | "InvalidStorageClass"
        | "MalformedXML"
        | "MetadataTooLarge"
        | "MissingContentLength"
        | "UserKeyMustBeSpecified"
        | "IllegalLocationConstraintException"
        | "XMinioInvalidObjectName" => ErrorKind::InvalidArgument,
        _ => return None,
    })
}

fn by_status(status: StatusCode, subject: Subject) -> ErrorKind {
    match status.as_u16() {
        // An error inside a response of status 200 with an unknown code: AWS says to retry.
        200..=299 => ErrorKind::Unavailable,
        304 | 412 => ErrorKind::PreconditionFailed,
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::PermissionDenied,
        404 | 410 => match subject {
            Subject::Bucket => ErrorKind::BucketNotFound,
            Subject::Object => ErrorKind::NotFound,
            Subject::Upload => ErrorKind::UploadNotFound,
        },
        405 | 501 => ErrorKind::Unsupported,
        408 => ErrorKind::Timeout,
        409 => ErrorKind::Conflict,
        416 => ErrorKind::Integrity,
        429 | 503 => ErrorKind::RateLimited,
        507 => ErrorKind::StorageFull,
        500..=599 => ErrorKind::Unavailable,
        // 400 without a code is a response to HEAD; 3xx means another region or endpoint.
        _ => ErrorKind::InvalidArgument,
    }
}

/// Makes an error from a response. `failure` is what its body said, if anything.
pub(super) fn answered(
    status: StatusCode,
    answer: &HeaderMap,
    failure: Failure,
    subject: Subject,
    now: SystemTime,
) -> Error {
    let code = failure
        .code
        .or_else(|| headers::text(answer, "x-amz-error-code").map(str::to_owned))
        .or_else(|| hidden_by_marker(status, answer).then(|| "NoSuchKey".to_owned()))
        .map(|code| headers::clean(&code, 64))
        .filter(|code| !code.is_empty());
    let kind = classify(status, code.as_deref(), subject);
    let said = failure
        .message
        .or_else(|| headers::text(answer, "x-amz-error-message").map(str::to_owned))
        .map(|text| headers::clean(&text, MAX_TEXT))
        .filter(|text| !text.is_empty());
    let mut message = format!("the store answered {}", status.as_u16());
    if let Some(said) = said {
        message.push_str(": ");
        message.push_str(&said);
    }
    let region = headers::text(answer, "x-amz-bucket-region").map(|region| headers::clean(region, 64));
    let elsewhere = status.is_redirection() || code.as_deref() == Some("AuthorizationHeaderMalformed");
    if status != StatusCode::NOT_MODIFIED && (elsewhere || status == StatusCode::BAD_REQUEST) {
        match region.or(failure.region.map(|region| headers::clean(&region, 64))) {
            Some(region) => message.push_str(&format!("; the region of the bucket is {region}")),
            None if elsewhere => message.push_str("; the region or the endpoint is wrong"),
            None => {}
        }
    }
    if code.as_deref() == Some("RequestTimeTooSkewed") {
        message.push_str("; the clock of this machine and that of the store differ too much");
    }
    let mut error = Error::new(kind, message)
        .with_request_id(
            headers::request_id(answer).or_else(|| failure.request_id.map(|id| headers::clean(&id, 100))),
        )
        .with_retry_after(retry_after(answer, now));
    if let Some(code) = code {
        error = error.with_code(code);
    }
    error
}

/// Whether the newest version in a versioned bucket is a delete marker. The response to a HEAD says so only in a
/// header.
fn hidden_by_marker(status: StatusCode, answer: &HeaderMap) -> bool {
    status == StatusCode::NOT_FOUND && headers::text(answer, "x-amz-delete-marker") == Some("true")
}

/// `Retry-After` in seconds or as a date, at most five minutes.
pub(in crate::object) fn retry_after(answer: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers::text(answer, RETRY_AFTER)?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default(),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_statuses_become_kinds() {
        use ErrorKind as K;
        let table: &[(u16, Option<&str>, ErrorKind)] = &[
            (403, Some("InvalidAccessKeyId"), K::Unauthenticated),
            (403, Some("SignatureDoesNotMatch"), K::Unauthenticated),
            (400, Some("ExpiredToken"), K::Unauthenticated),
            (403, Some("RequestTimeTooSkewed"), K::Unauthenticated),
            (400, Some("AuthorizationHeaderMalformed"), K::Unauthenticated),
            (403, Some("AccessDenied"), K::PermissionDenied),
            (403, Some("AllAccessDisabled"), K::PermissionDenied),
            (403, None, K::PermissionDenied),
            (403, Some("SomethingNew"), K::PermissionDenied),
            (401, None, K::Unauthenticated),
            (404, Some("NoSuchBucket"), K::BucketNotFound),
            (404, Some("NoSuchKey"), K::NotFound),
            (404, Some("NoSuchUpload"), K::UploadNotFound),
            (404, None, K::NotFound),
            (412, None, K::PreconditionFailed),
            (304, None, K::PreconditionFailed),
            (409, Some("ConditionalRequestConflict"), K::Unavailable),
            (409, None, K::Conflict),
            (403, Some("InvalidObjectState"), K::Archived),
            (503, Some("SlowDown"), K::RateLimited),
            (503, None, K::RateLimited),
            (503, Some("ServiceUnavailable"), K::Unavailable),
            (429, None, K::RateLimited),
            (400, Some("EntityTooLarge"), K::InvalidArgument),
            (400, Some("KeyTooLongError"), K::InvalidArgument),
            (400, None, K::InvalidArgument),
            (400, Some("BadDigest"), K::Integrity),
            (400, Some("XAmzContentSHA256Mismatch"), K::Integrity),
            (416, None, K::Integrity),
            (507, None, K::StorageFull),
            (507, Some("XMinioStorageFull"), K::StorageFull),
            (403, Some("QuotaExceeded"), K::StorageFull),
            (501, Some("NotImplemented"), K::Unsupported),
            (501, None, K::Unsupported),
            (400, Some("RequestTimeout"), K::Timeout),
            (500, Some("InternalError"), K::Unavailable),
            (200, Some("InternalError"), K::Unavailable),
            (200, None, K::Unavailable),
            (500, None, K::Unavailable),
            (502, None, K::Unavailable),
            (504, None, K::Unavailable),
            (301, Some("PermanentRedirect"), K::InvalidArgument),
            (307, None, K::InvalidArgument),
        ];
        for (status, code, wanted) in table {
            let status = StatusCode::from_u16(*status).unwrap();
            assert_eq!(
                classify(status, *code, Subject::Object),
                *wanted,
                "{status} {code:?}"
            );
        }
        let not_found = StatusCode::NOT_FOUND;
        assert_eq!(classify(not_found, None, Subject::Bucket), K::BucketNotFound);
        assert_eq!(classify(not_found, None, Subject::Upload), K::UploadNotFound);
    }

    fn made(status: u16, answer: &[(&'static str, &str)], failure: Failure) -> Error {
        let mut headers = HeaderMap::new();
        for (name, value) in answer {
            headers.insert(*name, value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        answered(status, &headers, failure, Subject::Bucket, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn waits_are_read_and_capped() {
        for (given, wanted) in [
            ("5", Some(5)),
            ("100000", Some(300)),
            ("Thu, 01 Jan 1970 00:00:09 GMT", Some(9)),
            ("soon", None),
            ("-1", None),
        ] {
            let error = made(503, &[("retry-after", given)], Failure::default());
            assert_eq!(error.retry_after().map(|d| d.as_secs()), wanted, "{given}");
        }
    }

    #[test]
    fn a_delete_marker_replaces_the_document_that_a_head_lacks() {
        let code = |status| {
            let error = made(status, &[("x-amz-delete-marker", "true")], Failure::default());
            error.code().map(str::to_owned)
        };
        assert_eq!((code(404).as_deref(), code(405)), (Some("NoSuchKey"), None));
        assert_eq!(made(404, &[], Failure::default()).code(), None);
    }

    #[test]
    fn a_stores_words_are_cleaned() {
        let failure = Failure {
            code: Some("Odd\u{7}Code".into()),
            message: Some(format!("line\nbreak \u{1b}[31m{}", "x".repeat(1000))),
            request_id: Some("id-1".into()),
            region: None,
        };
        let error = made(400, &[], failure);
        assert_eq!(error.code(), Some("Odd Code"));
        assert_eq!(error.request_id(), Some("id-1"));
        assert!(!error.message().contains(char::is_control) && error.message().len() < 240);
    }

    #[test]
    fn a_bucket_elsewhere_is_named() {
        let error = made(301, &[("x-amz-bucket-region", "eu-west-1")], Failure::default());
        assert!(
            error.message().ends_with("the region of the bucket is eu-west-1"),
            "{error}"
        );
        let error = made(
            307,
            &[("x-amz-error-code", "TemporaryRedirect")],
            Failure::default(),
        );
        assert!(
            error.message().ends_with("the region or the endpoint is wrong"),
            "{error}"
        );
        assert_eq!(error.code(), Some("TemporaryRedirect"));
    }
}
