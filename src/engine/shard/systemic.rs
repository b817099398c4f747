//! Failures that may concern every object of a side. Pure.

use crate::engine::retry::SideError;
use crate::error::{Error, ErrorKind};
use crate::object::clouds::Side;

/// After this number of failures in a row, the breaker asks whether the side works at all.
pub const TRIP_THRESHOLD: usize = 20;

/// What may be wrong with a whole side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// The credentials do not allow this.
    Denied,
    /// The store does not answer requests: errors that did not go away, or timeouts.
    Down,
    /// The store asks for fewer requests.
    Throttled,
    /// The credentials are not accepted.
    WrongCredentials,
    /// The bucket does not exist.
    Bucket,
    /// The target has no more room.
    Full,
    /// The network policy, or a certificate, forbids the connection.
    Blocked,
}

impl FailureClass {
    /// Whether the problem normally concerns every object and only in rare cases a single one. Then the first failure is reason
    /// enough to try another object.
    #[must_use]
    pub const fn is_grave(self) -> bool {
        match self {
            Self::WrongCredentials | Self::Bucket | Self::Full | Self::Blocked => true,
            Self::Denied | Self::Down | Self::Throttled => false,
        }
    }

    const fn kind(self) -> ErrorKind {
        match self {
            Self::Denied => ErrorKind::PermissionDenied,
            Self::Down => ErrorKind::Unavailable,
            Self::Throttled => ErrorKind::RateLimited,
            Self::WrongCredentials => ErrorKind::Unauthenticated,
            Self::Bucket => ErrorKind::BucketNotFound,
            Self::Full => ErrorKind::StorageFull,
            Self::Blocked => ErrorKind::Forbidden,
        }
    }
}

/// A failure that may concern every object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemicFailure {
    /// The side.
    pub side: Side,
    /// The kind of failure.
    pub class: FailureClass,
}

impl SystemicFailure {
    /// Returns what may be wrong with the whole side, or `None` if the error cannot concern every object.
    #[must_use]
    pub const fn of(side_error: &SideError) -> Option<Self> {
        let class = match side_error.error.kind() {
            ErrorKind::PermissionDenied => FailureClass::Denied,
            ErrorKind::Unavailable | ErrorKind::Timeout => FailureClass::Down,
            ErrorKind::RateLimited => FailureClass::Throttled,
            ErrorKind::Unauthenticated => FailureClass::WrongCredentials,
            ErrorKind::BucketNotFound => FailureClass::Bucket,
            ErrorKind::StorageFull => FailureClass::Full,
            ErrorKind::Forbidden => FailureClass::Blocked,
            // These concern one object or this program.
            ErrorKind::InvalidArgument
            | ErrorKind::NotFound
            | ErrorKind::UploadNotFound
            | ErrorKind::PreconditionFailed
            | ErrorKind::Conflict
            | ErrorKind::Archived
            | ErrorKind::Cancelled
            | ErrorKind::Integrity
            | ErrorKind::Unsupported
            | ErrorKind::Internal => return None,
        };
        Some(Self {
            side: side_error.side,
            class,
        })
    }

    /// The error that stops the pass, with the message and the code of the last object that failed this way.
    #[must_use]
    pub fn side_error(self, last: &str, code: &str) -> SideError {
        let error = if self.class.is_grave() {
            let side = match self.side {
                Side::Source => "source: ",
                Side::Target => "target: ",
            };
            let last = last.strip_prefix(side).unwrap_or(last);
            let text = format!(
                "{last}; another object had the same error, so the task stopped without recording a failure, and a \
                 start resumes it"
            );
            Error::new(self.class.kind(), text).with_code(code)
        } else {
            let text = format!(
                "{TRIP_THRESHOLD} objects in a row had the same error and none went through, so the task stopped without \
                 recording them as failed; a start resumes it. The last one: {last}"
            );
            Error::new(self.class.kind(), text)
        };
        SideError::new(self.side, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::ReasonKind;

    #[test]
    fn only_kinds_that_may_concern_everything_are_suspect() {
        for (kind, wanted) in [
            (ErrorKind::PermissionDenied, Some(FailureClass::Denied)),
            (ErrorKind::Unavailable, Some(FailureClass::Down)),
            (ErrorKind::Timeout, Some(FailureClass::Down)),
            (ErrorKind::RateLimited, Some(FailureClass::Throttled)),
            (ErrorKind::Integrity, None),
            (ErrorKind::InvalidArgument, None),
            (ErrorKind::Archived, None),
            (ErrorKind::Unauthenticated, Some(FailureClass::WrongCredentials)),
            (ErrorKind::BucketNotFound, Some(FailureClass::Bucket)),
            (ErrorKind::StorageFull, Some(FailureClass::Full)),
            (ErrorKind::Forbidden, Some(FailureClass::Blocked)),
        ] {
            let side_error = SideError::target(Error::new(kind, "x"));
            assert_eq!(
                SystemicFailure::of(&side_error).map(|s| s.class),
                wanted,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn each_failure_of_a_side_has_its_reason() {
        for (side, class, wanted) in [
            (Side::Source, FailureClass::Denied, ReasonKind::SourcePermission),
            (Side::Source, FailureClass::Down, ReasonKind::SourceUnavailable),
            (Side::Source, FailureClass::Throttled, ReasonKind::SourceThrottled),
            (Side::Target, FailureClass::Denied, ReasonKind::TargetPermission),
            (Side::Target, FailureClass::Down, ReasonKind::TargetUnavailable),
            (
                Side::Target,
                FailureClass::Throttled,
                ReasonKind::TargetUnavailable,
            ),
            (
                Side::Source,
                FailureClass::WrongCredentials,
                ReasonKind::SourceCredentials,
            ),
            (
                Side::Target,
                FailureClass::WrongCredentials,
                ReasonKind::TargetCredentials,
            ),
            (Side::Source, FailureClass::Bucket, ReasonKind::SourceBucket),
            (Side::Target, FailureClass::Bucket, ReasonKind::TargetBucket),
            (Side::Target, FailureClass::Full, ReasonKind::TargetFull),
            (Side::Source, FailureClass::Blocked, ReasonKind::SourceUnavailable),
        ] {
            assert_eq!(
                SystemicFailure { side, class }
                    .side_error("no", "X")
                    .reason()
                    .kind,
                wanted,
                "{side:?} {class:?}"
            );
        }
    }

    #[test]
    fn a_grave_reason_has_the_words_and_the_code_of_the_store() {
        let suspect = SystemicFailure {
            side: Side::Target,
            class: FailureClass::WrongCredentials,
        };
        let reason = suspect
            .side_error("target: the clock is wrong", "RequestTimeTooSkewed")
            .reason();
        assert!(
            reason.message.starts_with("target: the clock is wrong; "),
            "{reason:?}"
        );
        assert!(reason.message.ends_with("(RequestTimeTooSkewed)"), "{reason:?}");
    }
}
