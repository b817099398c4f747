//! The fault plan: which requests go wrong, how, and how often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::operation::{Call, Operation};

/// How a request goes wrong. Faults of the body act on the body of whatever answer the request gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this error and does nothing.
    Status {
        /// HTTP status.
        status: u16,
        /// S3 error code in the XML body.
        code: String,
        /// `Retry-After`, in whichever of its forms.
        retry_after: Option<String>,
    },
    /// Waits, and then serves the request as usual.
    Delay(Duration),
    /// Resets the connection before anything is done.
    ResetBefore,
    /// Does the operation and resets the connection instead of answering: the lost answer.
    ResetAfterEffect,
    /// Announces the full length, sends this many bytes of the body and resets the connection.
    TruncateBody {
        /// Bytes sent.
        after: u64,
    },
    /// Sends this many bytes of the body without a Content-Length, and ends it as if that were all.
    EarlyClose {
        /// Bytes sent.
        after: u64,
    },
    /// Announces the full length, sends this many bytes of the body and then nothing more.
    Stall {
        /// Bytes sent.
        after: u64,
    },
    /// Answers 200 with an `<Error>` document and does nothing.
    OkWithError {
        /// S3 error code in the XML body.
        code: String,
    },
    /// Sends white space before the document of the answer, as Amazon S3 does to keep a connection while it works.
    WhiteSpace {
        /// How often.
        pieces: u32,
        /// How long before each.
        pause: Duration,
        /// S3 error code of the document, with which nothing is done; the usual one without.
        error: Option<String>,
    },
    /// Announces and sends this many bytes more than there are.
    ExtraBytes(u64),
    /// Announces and sends exactly this many bytes: the body cut, or filled up with zeros.
    WrongLength(u64),
    /// Answers 200 with this document and does nothing, as a captive portal or a broken proxy does.
    OkWithBody {
        /// `Content-Type`.
        content_type: String,
        /// The document.
        body: Bytes,
    },
    /// Refuses a request that has none of these headers.
    DemandHeader {
        /// Their names.
        names: &'static [&'static str],
        /// HTTP status.
        status: u16,
        /// S3 error code in the XML body.
        code: &'static str,
        /// Its message.
        message: &'static str,
    },
    /// Gives the answer another header, or takes it away.
    Header {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: Option<String>,
    },
    /// Answers a ranged or partNumber GET with 200 and the whole object.
    IgnoreRange,
    /// Reads without regard to `If-Match`.
    IgnoreCondition,
    /// Writes without the encryption that is asked for, and says nothing of it.
    IgnoreEncryption,
    /// Lists the page, version 2, and lets the next one begin so many entries too early.
    RewindToken(usize),
    /// Answers a listing, version 2, with a page that has no entries and says that there are more.
    EmptyPage,
    /// Lists the page, version 2, from its last entry to its first.
    ReversePage,
    /// Lists the page, and says that it is the last one.
    LastPage,
    /// Lists from the first key on, whatever `start-after` or `marker` say.
    IgnoreStart,
    /// Answers 500 to a listing, version 2, that has a `start-after`.
    RefuseStart,
    /// Lists the page without the sizes of its objects.
    NoSizes,
    /// Lists all that there is from the first key on in one page, whatever is asked for.
    OnePage,
    /// Answers 404 `NoSuchKey` to a listing that is empty.
    EmptyIsMissing,
    /// Flips all bits of one byte of the body; the last one if there are not as many.
    CorruptBody {
        /// Which byte.
        at: u64,
    },
    /// Answers 412 to every request with `If-Match`, whatever tag that names: a store that compares it with its quotes.
    RefuseCondition,
    /// Takes the object away just before the request is served: somebody else deleted it.
    RemoveObject,
    /// Copies no bytes (CopyObject, UploadPartCopy) and answers as if all was well.
    CopyNothing,
    /// The same, without a document in the answer.
    CopyNothingSilently,
    /// Gives the object these bytes just before the request is served: somebody else wrote it.
    ChangeObject {
        /// The new bytes.
        data: Bytes,
    },
}

/// Request extension by which [`Fault::IgnoreRange`] reaches the S3 implementation: taking the header away would
/// break the signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreRange;

/// Request extension by which [`Fault::IgnoreCondition`] reaches the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreCondition;

/// Request extension by which [`Fault::IgnoreEncryption`] reaches the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreEncryption;

/// Request extension by which [`Fault::CopyNothing`] reaches the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopyNothing;

/// Request extension by which the faults of listings reach the S3 implementation, which alone knows its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Twist {
    Rewind(usize),
    Empty,
    Reverse,
    Last,
    FromStart,
    RefuseStart,
    NoSizes,
    EmptyIsMissing,
    OnePage,
}

/// Which keys a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyMatch {
    /// Every request, also one without a key.
    #[default]
    Any,
    /// This key.
    Exact(String),
    /// Keys that begin so.
    Prefix(String),
}

impl KeyMatch {
    fn covers(&self, key: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => key == Some(exact),
            Self::Prefix(prefix) => key.is_some_and(|key| key.starts_with(prefix)),
        }
    }
}

/// One rule of the plan: matching requests are counted, and those within the window get the fault.
#[derive(Clone, Debug)]
pub struct FaultRule {
    operation: Operation,
    bucket: Option<String>,
    key: KeyMatch,
    skip: u64,
    times: Option<u64>,
    rate: Option<Rate>,
    fault: Fault,
    seen: u64,
}

/// Requests that pass in a second; a token bucket.
#[derive(Clone, Copy, Debug)]
struct Rate {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Rate {
    /// Whether one more request passes at `now`. The bucket holds the requests of a tenth of a second.
    fn passes(&mut self, now: Instant) -> bool {
        let more = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + more).min((self.per_second / 10.0).max(1.0));
        self.filled = now;
        let passes = self.tokens >= 1.0;
        if passes {
            self.tokens -= 1.0;
        }
        passes
    }
}

impl FaultRule {
    /// A rule for every request of `operation`, for ever.
    #[must_use]
    pub const fn new(operation: Operation, fault: Fault) -> Self {
        Self {
            operation,
            bucket: None,
            key: KeyMatch::Any,
            skip: 0,
            times: None,
            rate: None,
            fault,
            seen: 0,
        }
    }

    /// Only requests to this bucket.
    #[must_use]
    pub fn bucket(mut self, bucket: impl Into<String>) -> Self {
        self.bucket = Some(bucket.into());
        self
    }

    /// Only requests for this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = KeyMatch::Exact(key.into());
        self
    }

    /// Only requests for keys that begin so.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key = KeyMatch::Prefix(prefix.into());
        self
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub const fn skip(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Ends after `count` faults.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Lets so many matching requests pass in a second.
    #[must_use]
    pub fn above(mut self, per_second: u32) -> Self {
        self.rate = Some(Rate {
            per_second: f64::from(per_second),
            tokens: 0.0,
            filled: Instant::now(),
        });
        self
    }

    fn covers(&self, call: &Call) -> bool {
        self.operation.covers(call.operation)
            && self
                .bucket
                .as_ref()
                .is_none_or(|bucket| call.bucket.as_ref() == Some(bucket))
            && self.key.covers(call.key.as_deref())
    }
}

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<FaultRule>,
    fired: u64,
}

/// The rules in force. Clones share them, and they may change while the server runs.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    plan: Arc<Mutex<Plan>>,
}

impl FaultPlan {
    /// Adds a rule after those already there.
    pub fn add(&self, rule: FaultRule) {
        self.lock().rules.push(rule);
    }

    /// Drops all rules, and the count of [`Self::fired`].
    pub fn clear(&self) {
        *self.lock() = Plan::default();
    }

    /// How many requests got a fault.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.lock().fired
    }

    /// The fault of this request. Every rule up to the one that fires counts it; all under one lock, so that a
    /// rule for one request is never used by two.
    pub(super) fn draw(&self, call: &Call) -> Option<Fault> {
        let mut plan = self.lock();
        let mut drawn = None;
        for rule in plan.rules.iter_mut().filter(|rule| rule.covers(call)) {
            let position = rule.seen;
            rule.seen += 1;
            let open = position >= rule.skip && rule.times.is_none_or(|times| position - rule.skip < times);
            let passes = rule.rate.as_mut().is_some_and(|rate| rate.passes(Instant::now()));
            if open && !passes {
                drawn = Some(rule.fault.clone());
                break;
            }
        }
        plan.fired += u64::from(drawn.is_some());
        drawn
    }

    fn lock(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: Operation, key: Option<&str>) -> Call {
        Call {
            operation,
            bucket: Some("b".to_owned()),
            key: key.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn windows_and_order_of_rules() {
        let plan = FaultPlan::default();
        plan.add(
            FaultRule::new(Operation::GetObject, Fault::ResetBefore)
                .key("k")
                .skip(1)
                .times(2),
        );
        plan.add(FaultRule::new(Operation::Any, Fault::IgnoreRange).key_prefix("p/"));
        let get = call(Operation::GetObject, Some("k"));
        let drawn: Vec<bool> = (0..5).map(|_| plan.draw(&get).is_some()).collect();
        assert_eq!(drawn, [false, true, true, false, false]);
        assert_eq!(
            plan.draw(&call(Operation::HeadObject, Some("p/x"))),
            Some(Fault::IgnoreRange)
        );
        assert_eq!(plan.draw(&call(Operation::HeadObject, None)), None);
        assert_eq!(plan.fired(), 3);
        plan.clear();
        assert_eq!(plan.draw(&call(Operation::HeadObject, Some("p/x"))), None);
    }

    #[test]
    fn list_rules_cover_both_versions() {
        let plan = FaultPlan::default();
        plan.add(FaultRule::new(Operation::ListObjects, Fault::ResetBefore).bucket("b"));
        assert!(plan.draw(&call(Operation::ListObjectsV1, None)).is_some());
        assert!(plan.draw(&call(Operation::ListObjectsV2, None)).is_some());
        assert!(
            plan.draw(&Call {
                bucket: None,
                ..call(Operation::ListObjectsV2, None)
            })
            .is_none()
        );
    }
}
