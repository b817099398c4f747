//! When to retry, and the loop that does it.
//!
//! The limit of [`MAX_ATTEMPTS`] applies to an object together with all its requests. A request that has its own retries (a
//! part, a page, a HEAD) notes the number of attempts in its error ([`Error::attempts`]). The caller counts these attempts and
//! does not repeat them.

use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::ledger::MOST_FAILURES;
use crate::object::clouds::Side;
use crate::task::{Reason, ReasonKind};

/// Attempts for one request or one object, including the first.
pub const MAX_ATTEMPTS: u32 = 6;
/// A longer `Retry-After` is shortened to this.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How long to wait between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Half of the longest wait before the second attempt; it doubles with each further attempt.
    pub first: Duration,
    /// Upper limit for the doubling.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(10),
        }
    }
}

/// How long to wait before the attempt after `attempts`; `None` if there is none. `random` in 0..1 spreads the retries of many
/// clients (jitter over the upper half of the wait).
#[must_use]
pub fn delay(pace: Pace, error: &Error, attempts: u32, random: f64) -> Option<Duration> {
    let attempts = attempts.max(error.attempts());
    if attempts >= MAX_ATTEMPTS || !error.is_retryable() {
        return None;
    }
    if let Some(asked) = error.retry_after() {
        return Some(asked.min(LONGEST_ASKED));
    }
    let ceiling = pace.first.saturating_mul(1 << attempts.min(10)).min(pace.longest);
    Some(ceiling.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0))
}

/// An error that [`run`] can retry after.
pub trait Retryable {
    /// The error that decides whether a retry can help.
    fn error(&self) -> &Error;
    /// The same error, with the number of attempts that were made.
    #[must_use]
    fn after(self, attempts: u32) -> Self;
}

impl Retryable for Error {
    fn error(&self) -> &Error {
        self
    }

    fn after(self, attempts: u32) -> Self {
        self.with_attempts(attempts)
    }
}

/// Runs an operation until it succeeds, fails in a way that a retry cannot change, or was attempted [`MAX_ATTEMPTS`] times.
/// Waits between attempts as [`delay`] says. All requests with their own retries use this loop. Objects, parts and pages make
/// further decisions between two attempts and call [`delay`].
///
/// # Errors
/// The last error, with the number of attempts.
pub async fn run<T, E, F>(pace: Pace, mut operation: impl FnMut() -> F) -> std::result::Result<T, E>
where
    E: Retryable,
    F: Future<Output = std::result::Result<T, E>>,
{
    let mut attempts = 0;
    loop {
        attempts += 1;
        let error = match operation().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match delay(pace, error.error(), attempts, rand::random()) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return Err(error.after(attempts)),
        }
    }
}

/// An error and the side it came from.
#[derive(Debug)]
pub struct SideError {
    /// The side that the error came from.
    pub side: Side,
    /// The error.
    pub error: Error,
    /// The reason of a task that ends with this error, where side and error do not tell it.
    reason: Option<ReasonKind>,
}

/// Result with a [`SideError`].
pub type SideResult<T> = std::result::Result<T, SideError>;

/// Says which side an error came from.
pub trait At<T> {
    /// It came from the source.
    fn at_source(self) -> SideResult<T>;
    /// It came from the target.
    fn at_target(self) -> SideResult<T>;
}

impl<T> At<T> for crate::error::Result<T> {
    fn at_source(self) -> SideResult<T> {
        self.map_err(SideError::source)
    }
    fn at_target(self) -> SideResult<T> {
        self.map_err(SideError::target)
    }
}

impl Retryable for SideError {
    fn error(&self) -> &Error {
        &self.error
    }

    fn after(self, attempts: u32) -> Self {
        Self {
            error: self.error.with_attempts(attempts),
            ..self
        }
    }
}

impl SideError {
    /// The error of a side.
    #[must_use]
    pub const fn new(side: Side, error: Error) -> Self {
        Self {
            side,
            error,
            reason: None,
        }
    }

    /// The source's error.
    #[must_use]
    pub const fn source(error: Error) -> Self {
        Self::new(Side::Source, error)
    }

    /// The target's error.
    #[must_use]
    pub const fn target(error: Error) -> Self {
        Self::new(Side::Target, error)
    }

    /// The same error for a task that ends with this reason. The message of the error is then that of the reason.
    #[must_use]
    pub const fn because(mut self, kind: ReasonKind) -> Self {
        self.reason = Some(kind);
        self
    }

    /// Prefixes the message with the operation, as [`Error::during`].
    #[must_use]
    pub fn during(self, operation: &str) -> Self {
        Self {
            error: self.error.during(operation),
            ..self
        }
    }

    /// The error when the ledger cannot record more failures of a task. If some were left out, a failed-only start would miss
    /// these objects. So the task ends instead.
    #[must_use]
    pub fn too_many_failures() -> Self {
        let text = format!(
            "more than {MOST_FAILURES} objects failed, which is as many as are recorded; find out why, and \
             start the task again"
        );
        Self::source(Error::new(ErrorKind::Unsupported, text)).because(ReasonKind::ObjectsFailed)
    }

    /// The reason of a task that ends with this error.
    #[must_use]
    pub fn reason(&self) -> Reason {
        if let Some(kind) = self.reason {
            let message = self.error.message().to_owned();
            return Reason { kind, message };
        }
        let kind = match (self.side, self.error.kind()) {
            (_, ErrorKind::Internal) => ReasonKind::SystemError,
            (Side::Source, ErrorKind::Unauthenticated) => ReasonKind::SourceCredentials,
            (Side::Source, ErrorKind::PermissionDenied) => ReasonKind::SourcePermission,
            (Side::Source, ErrorKind::BucketNotFound) => ReasonKind::SourceBucket,
            (Side::Source, ErrorKind::NotFound) => ReasonKind::SourceObject,
            (Side::Source, ErrorKind::RateLimited) => ReasonKind::SourceThrottled,
            (Side::Source, ErrorKind::Archived) => ReasonKind::SourceArchived,
            (Side::Source, _) => ReasonKind::SourceUnavailable,
            (Side::Target, ErrorKind::PermissionDenied) => ReasonKind::TargetPermission,
            (Side::Target, ErrorKind::StorageFull) => ReasonKind::TargetFull,
            (Side::Target, ErrorKind::Unauthenticated) => ReasonKind::TargetCredentials,
            (Side::Target, ErrorKind::BucketNotFound) => ReasonKind::TargetBucket,
            (Side::Target, _) => ReasonKind::TargetUnavailable,
        };
        let side = match self.side {
            Side::Source => "source",
            Side::Target => "target",
        };
        let message = format!("{side}: {}", self.error);
        Reason { kind, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_and_end() {
        let error = Error::new(ErrorKind::Unavailable, "503");
        let delays: Vec<u128> = (1..=MAX_ATTEMPTS)
            .filter_map(|attempts| delay(Pace::default(), &error, attempts, 1.0))
            .map(|d| d.as_millis())
            .collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200]);
        assert_eq!(
            delay(Pace::default(), &error, 1, 0.0),
            Some(Duration::from_millis(100))
        );
    }

    #[test]
    fn what_was_tried_often_enough_below_is_not_tried_again_above() {
        let error = |attempts| Error::new(ErrorKind::Unavailable, "503").with_attempts(attempts);
        for (below, above, again) in [
            (0, 1, true),
            (1, 1, true),
            (MAX_ATTEMPTS - 1, 1, true),
            (MAX_ATTEMPTS, 1, false),
            (1, MAX_ATTEMPTS, false),
        ] {
            let delay = delay(Pace::default(), &error(below), above, 0.0);
            assert_eq!(delay.is_some(), again, "{below} {above}");
        }
    }

    #[test]
    fn a_retry_after_is_obeyed_up_to_a_limit() {
        let asked = |secs| {
            let error = Error::new(ErrorKind::RateLimited, "slow down");
            let error = error.with_retry_after(Some(Duration::from_secs(secs)));
            delay(Pace::default(), &error, 1, 0.0)
        };
        assert_eq!(asked(120), Some(Duration::from_secs(120)));
        assert_eq!(asked(9999), Some(Duration::from_secs(300)));
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        for kind in [
            ErrorKind::PermissionDenied,
            ErrorKind::NotFound,
            ErrorKind::Unsupported,
        ] {
            assert_eq!(delay(Pace::default(), &Error::new(kind, "no"), 1, 0.0), None);
        }
    }

    #[test]
    fn wrong_credentials_name_their_side() {
        let wrong = |side| SideError::new(side, Error::new(ErrorKind::Unauthenticated, "unknown key"));
        assert_eq!(wrong(Side::Source).reason().kind, ReasonKind::SourceCredentials);
        assert_eq!(wrong(Side::Target).reason().kind, ReasonKind::TargetCredentials);
    }

    #[test]
    fn a_reason_that_was_given_outlives_what_is_added_to_the_error() {
        let given = SideError::target(Error::invalid("the list is empty")).because(ReasonKind::ManifestEmpty);
        let reason = given.during("read").after(3).reason();
        let message = "read: the list is empty, tried 3 times".to_owned();
        let kind = ReasonKind::ManifestEmpty;
        assert_eq!(reason, Reason { kind, message });
    }

    #[test]
    fn the_code_of_a_store_gives_no_reason() {
        let named = Error::new(ErrorKind::Unavailable, "no").with_code("system_error");
        let reason = SideError::target(named).reason();
        assert_eq!(reason.kind, ReasonKind::TargetUnavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn an_operation_is_retried_only_while_that_can_help() {
        for (name, kind, succeeds_at, attempts, wanted) in [
            ("at once", ErrorKind::Unavailable, 1, 1, Ok(())),
            (
                "at last",
                ErrorKind::Unavailable,
                MAX_ATTEMPTS,
                MAX_ATTEMPTS,
                Ok(()),
            ),
            (
                "never",
                ErrorKind::Unavailable,
                u32::MAX,
                MAX_ATTEMPTS,
                Err(MAX_ATTEMPTS),
            ),
            ("in vain", ErrorKind::PermissionDenied, u32::MAX, 1, Err(1)),
        ] {
            let mut made = 0;
            let ended = run(Pace::default(), || {
                made += 1;
                std::future::ready(if made == succeeds_at {
                    Ok(())
                } else {
                    Err(Error::new(kind, "x"))
                })
            })
            .await;
            assert_eq!(ended.map_err(|error| error.attempts()), wanted, "{name}");
            assert_eq!(made, attempts, "{name}");
        }
    }
}
