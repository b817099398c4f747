//! The one error type of the service.
//!
//! It knows nothing of HTTP: [`crate::api`] maps an [`ErrorKind`] to a status and an OMS code, and the engine stores
//! kind and message of a failed object in the ledger. Messages are safe to show to a caller: they never contain a
//! credential, a signed URL, or more than one line of a remote response's body.

use std::fmt;
use std::time::Duration;

use crate::violation::Violation;

/// What went wrong, as a closed list: every consumer matches it exhaustively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A value from the caller is outside its limits; the message names the field.
    InvalidArgument,
    /// The object, bucket, task or upload does not exist.
    NotFound,
    /// The bucket of a store does not exist.
    BucketNotFound,
    /// The upload id is unknown to the store: completed, aborted or expired.
    UploadNotFound,
    /// The credentials are unknown or expired, or the signature is wrong.
    Unauthenticated,
    /// The credentials are valid, but may not do this.
    PermissionDenied,
    /// A condition (`If-Match`, `If-None-Match`) did not hold.
    PreconditionFailed,
    /// The current state does not allow the operation.
    Conflict,
    /// The object is archived and must be restored before it can be read.
    Archived,
    /// The store, or the disk below the ledger, is full.
    StorageFull,
    /// The store asks for fewer requests (429, `SlowDown`).
    RateLimited,
    /// The other side failed, perhaps only for a time (5xx, reset, refused connection).
    Unavailable,
    /// No response, or no progress, within the time limit.
    Timeout,
    /// The work was stopped on request.
    Cancelled,
    /// Bytes, lengths, checksums or orderings do not agree.
    Integrity,
    /// The other side does not support the operation, or permanently refuses this form of it.
    Unsupported,
    /// Refused by the operator's network policy, or because of an invalid certificate.
    Forbidden,
    /// A bug of ours, or a response that makes no sense.
    Internal,
}

impl ErrorKind {
    /// Whether the same request may succeed if it is repeated unchanged.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::RateLimited | Self::Unavailable | Self::Timeout | Self::Integrity => true,
            Self::InvalidArgument
            | Self::NotFound
            | Self::BucketNotFound
            | Self::UploadNotFound
            | Self::Unauthenticated
            | Self::PermissionDenied
            | Self::PreconditionFailed
            | Self::Conflict
            | Self::Archived
            | Self::StorageFull
            | Self::Cancelled
            | Self::Unsupported
            | Self::Forbidden
            | Self::Internal => false,
        }
    }
}

/// An error: a kind to decide by, a message to read, and what the remote side said of itself.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    code: Option<Box<str>>,
    violation: Option<Box<Violation>>,
    request_id: Option<Box<str>>,
    retry_after: Option<Duration>,
    attempts: u32,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Result with the service's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Creates an error with a message that a caller may see.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            violation: None,
            request_id: None,
            retry_after: None,
            attempts: 0,
            source: None,
        }
    }

    /// Shorthand for [`ErrorKind::InvalidArgument`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// Shorthand for [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Attaches the underlying cause; it is logged, never shown to a caller.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Attaches a machine-readable code: the S3 error code of a store, or a code of the API.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into().into_boxed_str());
        self
    }

    /// Attaches the request id that the remote side gave.
    #[must_use]
    pub fn with_request_id(mut self, id: Option<String>) -> Self {
        self.request_id = id.map(String::into_boxed_str);
        self
    }

    /// Attaches how long the remote side asks to wait before the next attempt.
    #[must_use]
    pub fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// Records the number of attempts. If there was more than one, the message says so.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = self.attempts.max(attempts);
        if attempts > 1 {
            self.message = format!("{}, tried {attempts} times", self.message);
        }
        self
    }

    /// Prefixes the message with the operation: `list source: access denied`.
    #[must_use]
    pub fn during(mut self, operation: &str) -> Self {
        self.message = format!("{operation}: {}", self.message);
        self
    }

    /// The kind of the error.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message, which is safe to show.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The rule that the request violates, if one was attached.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_deref()
    }

    /// S3 or OMS code, if one is known.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Request id of the remote side, if one is known.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// How long the remote side asked to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// How often a request with automatic retries was attempted; 0 for one without.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether a retry may help; see [`ErrorKind::is_retryable`].
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }
}

/// The kind of each broken rule.
impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        let message = violation.to_string();
        let kind = match violation {
            Violation::UnknownTask => ErrorKind::NotFound,
            Violation::AlreadyStarted
            | Violation::NotInProgress
            | Violation::Complete
            | Violation::InProgress
            | Violation::FailuresIncomplete
            | Violation::NothingFailed
            | Violation::BandwidthFixed
            | Violation::TooManyWaiting { .. } => ErrorKind::Conflict,
            Violation::EndpointNotAllowed { .. } => ErrorKind::Forbidden,
            Violation::StopNotRecorded => ErrorKind::Unavailable,
            Violation::TaskIdForm
            | Violation::ProjectIdForm
            | Violation::EndpointForm { .. }
            | Violation::UnknownRegion { .. }
            | Violation::TargetPrefixLength
            | Violation::TargetInsideScope
            | Violation::Threads { .. }
            | Violation::DescriptionLength { .. }
            | Violation::DescriptionCharacters
            | Violation::WindowCount { .. }
            | Violation::WindowTime { .. }
            | Violation::WindowOverlap { .. }
            | Violation::CdnKeyMissing => ErrorKind::InvalidArgument,
        };
        Self {
            violation: Some(Box::new(violation)),
            ..Self::new(kind, message)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// A number with its noun, for messages: `1 object`, `2 objects`.
pub fn pluralize(count: impl TryInto<u64> + fmt::Display + Copy, one: &str, many: &str) -> String {
    let is_one = count.try_into().is_ok_and(|count| count == 1);
    format!("{count} {}", if is_one { one } else { many })
}
