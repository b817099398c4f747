//! Adapts requests to one store, learned from its refusals: virtual-host addressing, a hash with every write, another
//! rule for white space in signatures.
//!
//! Such a refusal costs one request. The caller gets an error that can be retried at once, and the next request is made
//! as the store requires. What was learned is kept for the lifetime of the [`S3Store`], which is one start of a task.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;

use super::errors::Subject;
use super::sign::Readings;
use super::url::{Location, Query};
use super::{MAX_ERROR, S3Store, body, documents};
use crate::error::{Error, ErrorKind};
use crate::object::metadata_signing::{UNSIGNABLE, WhiteSpace};
use crate::task::spec::Addressing;

/// What is known about one store.
#[derive(Debug, Default)]
pub(super) struct LearnedRequirements {
    /// The message with which it refused path addressing.
    path_refused: OnceLock<String>,
    /// Whether it has responded to virtual-host addressing.
    host_answered: AtomicBool,
    /// Whether it refused a write because it had no hash.
    demands_md5: AtomicBool,
    /// Index of the rule in [`WhiteSpace::ALL`]; its length if no rule works.
    white_space: AtomicUsize,
}

impl LearnedRequirements {
    /// Whether writes need a hash.
    pub(super) fn demands_md5(&self) -> bool {
        self.demands_md5.load(Ordering::Relaxed)
    }

    /// The rule for white space in signatures.
    pub(super) fn rule(&self) -> WhiteSpace {
        let number = self.white_space.load(Ordering::Relaxed);
        WhiteSpace::ALL.get(number).copied().unwrap_or_default()
    }

    /// Switches from the rule `used` to the next one, unless another request has already done so.
    fn next_rule(&self, used: WhiteSpace) -> Next {
        let number = self.white_space.load(Ordering::Relaxed);
        if number >= WhiteSpace::ALL.len() {
            return Next::NoneFits;
        }
        if WhiteSpace::ALL[number] == used {
            // If two requests are refused at the same time, only one changes the rule.
            let changed =
                self.white_space
                    .compare_exchange(number, number + 1, Ordering::Relaxed, Ordering::Relaxed);
            if changed.is_ok() && number + 1 == WhiteSpace::ALL.len() {
                return Next::NoneFits;
            }
        }
        Next::TryAgain
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    TryAgain,
    NoneFits,
}

/// How a request was made, as far as a refusal may depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestForm {
    /// Where the name of the bucket was.
    pub addressing: Addressing,
    /// Whether it writes.
    pub writes: Writes,
    /// How a server may interpret its signature.
    pub readings: Readings,
}

/// Whether a request writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writes {
    /// No.
    Nothing,
    /// With a hash of its body.
    Hashed,
    /// Without one.
    Unhashed,
}

impl S3Store {
    /// Where the next request is sent.
    pub(super) fn place(&self) -> &Location {
        match (&self.before_host, self.learned.path_refused.get()) {
            (Some(other), Some(_)) => other,
            _ => &self.place,
        }
    }

    /// Records that the store responded to a request.
    pub(super) fn answered(&self, made: RequestForm) {
        if made.addressing == Addressing::VirtualHost {
            self.learned.host_answered.store(true, Ordering::Relaxed);
        }
    }

    /// The error of a request without a response. If virtual-host addressing was only an attempt, the earlier message
    /// of the store explains more.
    pub(super) fn unanswered(&self, error: Error) -> Error {
        match self.learned.path_refused.get() {
            Some(words) if !self.learned.host_answered.load(Ordering::Relaxed) => {
                let text = format!("{words}; with the bucket before the host: {}", error.message());
                Error::new(error.kind(), text).with_source(error)
            }
            _ => error,
        }
    }

    /// Learns from a refusal. The returned error says whether a retry would be made differently.
    pub(super) async fn learn(&self, made: RequestForm, error: Error) -> Error {
        if made.addressing == Addressing::Path && self.before_host.is_some() && refuses_path(&error) {
            self.learned
                .path_refused
                .get_or_init(|| error.message().to_owned());
            return again(error);
        }
        if made.writes == Writes::Unhashed && wants_hash(&error) {
            self.learned.demands_md5.store(true, Ordering::Relaxed);
            return again(error);
        }
        if made.readings.odd && error.code() == Some("SignatureDoesNotMatch") {
            return self.unsigned(made.readings, error).await;
        }
        error
    }

    /// A signature over unusual metadata was refused: another rule for white space may help. If none does, and the
    /// store accepts other requests, the metadata of this object cannot be signed.
    async fn unsigned(&self, readings: Readings, error: Error) -> Error {
        if readings.ambiguous && self.learned.next_rule(readings.rule) == Next::TryAgain {
            return again(error);
        }
        if !self.accepts_signatures().await {
            return error;
        }
        let text = format!(
            "{}; the store accepts other requests, but not this user metadata",
            error.message()
        );
        Error::new(ErrorKind::InvalidArgument, text)
            .with_code(UNSIGNABLE)
            .with_request_id(error.request_id().map(str::to_owned))
    }

    /// Whether the store accepts the signature of a plain request, even if it refuses the request itself.
    async fn accepts_signatures(&self) -> bool {
        let mut call = self.call(Method::GET, Subject::Bucket, None);
        call.query = Query::default().number("max-keys", 1);
        let Ok((response, _)) = self.exchange(call).await else {
            return false;
        };
        let status = response.status();
        let (head, incoming) = response.into_parts();
        let document = body::collect(incoming, MAX_ERROR, self.timeouts.document())
            .await
            .unwrap_or_default();
        let failure = documents::failure(&document);
        let refused = || {
            self.failed(status, &head.headers, failure, Subject::Bucket)
                .kind()
        };
        status.is_success() || refused() != ErrorKind::Unauthenticated
    }
}

/// The same error, but one that may be retried at once.
fn again(error: Error) -> Error {
    let mut new = Error::new(ErrorKind::Unavailable, error.message())
        .with_request_id(error.request_id().map(str::to_owned))
        .with_retry_after(Some(Duration::ZERO));
    if let Some(code) = error.code() {
        new = new.with_code(code);
    }
    new
}

/// Whether a store refuses path addressing.
///
/// Source: `SecondLevelDomainForbidden` (OSS), `PathStyleDomainForbidden` (COS), `InvalidPathAccess` (TOS),
/// `VirtualHostDomainRequired` (OBS), and the wording of their messages.
fn refuses_path(error: &Error) -> bool {
    if matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Timeout
    ) {
        return false;
    }
    let code = error.code().unwrap_or_default().to_ascii_lowercase();
    let known = [
        "domainforbidden",
        "pathstyle",
        "pathaccess",
        "virtualhost",
        "virtualstyle",
    ];
    if known.iter().any(|part| code.contains(part)) {
        return true;
    }
    let said: String = error
        .message()
        .chars()
        .map(|c| {
            if matches!(c, '-' | '_') {
                ' '
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    let phrases = [
        "path style",
        "virtual host",
        "virtual style",
        "third level domain",
    ];
    phrases.iter().any(|phrase| said.contains(phrase))
}

/// Whether a store refuses a write because it had no hash.
///
/// Source: "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
/// (`InvalidRequest`, Amazon S3), `MissingContentMD5`.
fn wants_hash(error: &Error) -> bool {
    if error.kind() != ErrorKind::InvalidArgument {
        return false;
    }
    let code = error.code().unwrap_or_default().to_ascii_lowercase();
    let said = error.message().to_ascii_lowercase();
    code.contains("contentmd5") || said.contains("content-md5") || said.contains("x-amz-checksum")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(kind: ErrorKind, code: &str, message: &str) -> Error {
        Error::new(kind, message).with_code(code)
    }

    #[test]
    fn a_refused_path_is_known_by_its_code_or_its_words() {
        use ErrorKind as K;
        for (kind, code, message, wanted) in [
            (K::PermissionDenied, "SecondLevelDomainForbidden", "", true),
            (K::PermissionDenied, "PathStyleDomainForbidden", "", true),
            (K::PermissionDenied, "InvalidPathAccess", "", true),
            (K::InvalidArgument, "VirtualHostDomainRequired", "", true),
            (
                K::PermissionDenied,
                "AccessDenied",
                "Path-style access is not supported.",
                true,
            ),
            (
                K::InvalidArgument,
                "InvalidRequest",
                "the bucket must be addressed using OSS third level domain",
                true,
            ),
            (
                K::InvalidArgument,
                "MethodNotAllowed",
                "please use virtual-hosted style",
                true,
            ),
            (K::PermissionDenied, "AccessDenied", "Access Denied", false),
            (K::InvalidArgument, "InvalidPath", "no such path", false),
            (K::Unavailable, "VirtualHostDomainRequired", "", false),
        ] {
            assert_eq!(
                refuses_path(&refusal(kind, code, message)),
                wanted,
                "{code}: {message}"
            );
        }
    }

    #[test]
    fn a_wanted_hash_is_known_by_its_words() {
        use ErrorKind as K;
        for (kind, code, message, wanted) in [
            (
                K::InvalidArgument,
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Part requests with Object Lock parameters",
                true,
            ),
            (K::InvalidArgument, "MissingContentMD5", "", true),
            (
                K::InvalidArgument,
                "InvalidRequest",
                "Missing required header: x-amz-checksum-crc32",
                true,
            ),
            (K::InvalidArgument, "InvalidRequest", "something else", false),
            (
                K::Integrity,
                "BadDigest",
                "the Content-MD5 you specified did not match",
                false,
            ),
        ] {
            assert_eq!(
                wants_hash(&refusal(kind, code, message)),
                wanted,
                "{code}: {message}"
            );
        }
    }

    #[test]
    fn rules_are_tried_one_after_the_other_and_once_for_all() {
        let learned = LearnedRequirements::default();
        assert_eq!(learned.rule(), WhiteSpace::Ascii);
        assert_eq!(learned.next_rule(WhiteSpace::Ascii), Next::TryAgain);
        assert_eq!(learned.rule(), WhiteSpace::Unicode);
        // This request was signed before the rule changed.
        assert_eq!(learned.next_rule(WhiteSpace::Ascii), Next::TryAgain);
        assert_eq!(learned.rule(), WhiteSpace::Unicode);
        assert_eq!(learned.next_rule(WhiteSpace::Unicode), Next::TryAgain);
        assert_eq!(learned.next_rule(WhiteSpace::Spaces), Next::NoneFits);
        assert_eq!(learned.rule(), WhiteSpace::Ascii);
        assert_eq!(learned.next_rule(WhiteSpace::Ascii), Next::NoneFits);
    }
}
