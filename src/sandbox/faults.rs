//! The fault plan: which requests go wrong, how, and how often.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::operation::{Call, Operation};

/// How a request fails. Faults of the body change the body of any response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Responds with this error and does nothing else.
    Status {
        /// HTTP status.
        status: u16,
        /// S3 error code in the XML body.
        code: String,
        /// `Retry-After`, in either form.
        retry_after: Option<String>,
    },
    /// Waits, and then serves the request normally.
    Delay(Duration),
    /// Resets the connection before anything is done.
    ResetBefore,
    /// Does the operation and resets the connection instead of responding: a lost response.
    ResetAfterEffect,
    /// Announces the full length, sends this many bytes of the body and resets the connection.
    TruncateBody {
        /// Bytes sent.
        after: u64,
    },
    /// Sends this many bytes of the body without a Content-Length, and then ends it normally.
    EarlyClose {
        /// Bytes sent.
        after: u64,
    },
    /// Announces the full length, sends this many bytes of the body and then nothing more.
    Stall {
        /// Bytes sent.
        after: u64,
    },
    /// Responds with 200 and an `<Error>` document, and does nothing else.
    OkWithError {
        /// S3 error code in the XML body.
        code: String,
    },
    /// Sends white space before the document, as Amazon S3 does to keep a connection alive while it works.
    WhiteSpace {
        /// Number of pieces.
        pieces: u32,
        /// Pause before each.
        pause: Duration,
        /// S3 error code of the document, without doing the operation. `None` does it and sends the usual document.
        error: Option<String>,
    },
    /// Announces and sends this many bytes more than there are.
    ExtraBytes(u64),
    /// Announces and sends exactly this many bytes: the body truncated, or filled up with zeros.
    WrongLength(u64),
    /// Responds with 200 and this document and does nothing else, as a captive portal or a broken proxy does.
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
    /// Sets or removes a header of the response.
    Header {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: Option<String>,
    },
    /// Responds to a ranged or partNumber GET with 200 and the whole object.
    IgnoreRange,
    /// Ignores `If-Match` in reads.
    IgnoreCondition,
    /// Writes without the requested encryption, and does not report that.
    IgnoreEncryption,
    /// Lists the page (version 2), and lets the next one begin this many entries too early.
    RewindToken(usize),
    /// Responds to a listing (version 2) with a page that has no entries and says that there are more.
    EmptyPage,
    /// Lists the page (version 2) from its last entry to its first.
    ReversePage,
    /// Lists the page, and says that it is the last one.
    LastPage,
    /// Lists from the first key, whatever `start-after` or `marker` say.
    IgnoreStart,
    /// Responds with 500 to a listing (version 2) that has a `start-after`.
    RefuseStart,
    /// Lists the page without the sizes of its objects.
    NoSizes,
    /// Lists everything from the first key in one page, whatever is requested.
    OnePage,
    /// Responds with 404 `NoSuchKey` to a listing that is empty.
    EmptyIsMissing,
    /// Flips all bits of one byte of the body, or of the last byte if the body is shorter.
    CorruptBody {
        /// Which byte.
        at: u64,
    },
    /// Responds with 412 to every request with `If-Match`, whatever its ETag: such a store compares the ETag including
    /// the quotes.
    RefuseCondition,
    /// Removes the object just before the request is served: another client deleted it.
    RemoveObject,
    /// Copies no bytes (CopyObject, UploadPartCopy) and responds as if it had.
    CopyNothing,
    /// The same, without a document in the response.
    CopyNothingSilently,
    /// Gives the object these bytes just before the request is served: another client wrote it.
    ChangeObject {
        /// The new bytes.
        data: Bytes,
    },
}

/// Request extension that passes [`Fault::IgnoreRange`] to the S3 implementation. Removing the header would break the
/// signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreRange;

/// Request extension that passes [`Fault::IgnoreCondition`] to the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreCondition;

/// Request extension that passes [`Fault::IgnoreEncryption`] to the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct IgnoreEncryption;

/// Request extension that passes [`Fault::CopyNothing`] to the S3 implementation.
#[derive(Clone, Copy, Debug)]
pub(super) struct CopyNothing;

/// Request extension that passes the faults of listings to the S3 implementation, because only that knows its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListingFault {
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

/// Which keys a rule applies to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeyMatch {
    /// Every request, also one without a key.
    #[default]
    Any,
    /// This key.
    Exact(String),
    /// Keys with this prefix.
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
    /// When the last request of a rule by [`FaultRule::one_by_one`] has its turn.
    turn: Option<Instant>,
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
    /// A permanent rule for every request of `operation`.
    #[must_use]
    pub const fn new(operation: Operation, fault: Fault) -> Self {
        Self {
            operation,
            bucket: None,
            key: KeyMatch::Any,
            skip: 0,
            times: None,
            rate: None,
            turn: None,
            fault,
            seen: 0,
        }
    }

    /// A store that serves requests of `operation` one after another, `each` apart, however many are sent at a time. So a test can
    /// rely on how long a task takes.
    #[must_use]
    pub fn one_by_one(operation: Operation, each: Duration) -> Self {
        Self {
            turn: Some(Instant::now()),
            ..Self::new(operation, Fault::Delay(each))
        }
    }

    /// The fault of a request at `now`: the rule's own, or the wait for its turn.
    fn fault_at(&mut self, now: Instant) -> Fault {
        match (&mut self.turn, &self.fault) {
            (Some(turn), Fault::Delay(each)) => {
                *turn = (*turn).max(now) + *each;
                Fault::Delay(turn.saturating_duration_since(now))
            }
            (_, fault) => fault.clone(),
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

    /// Only requests for keys with this prefix.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key = KeyMatch::Prefix(prefix.into());
        self
    }

    /// Skips the first `count` matching requests.
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

/// The active rules. Clones share them, and they may change while the server runs.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    plan: Arc<Mutex<Plan>>,
}

impl FaultPlan {
    /// Adds a rule after the existing ones.
    pub fn add(&self, rule: FaultRule) {
        self.lock().rules.push(rule);
    }

    /// Removes all rules, and resets the count of [`Self::fired`].
    pub fn clear(&self) {
        *self.lock() = Plan::default();
    }

    /// How many requests got a fault.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.lock().fired
    }

    /// The fault of this request. Every rule up to the one that fires counts the request. This happens under one lock,
    /// so a rule for one request never applies to two.
    pub(super) fn draw(&self, call: &Call) -> Option<Fault> {
        let mut plan = self.lock();
        let mut drawn = None;
        for rule in plan.rules.iter_mut().filter(|rule| rule.covers(call)) {
            let position = rule.seen;
            rule.seen += 1;
            let open = position >= rule.skip && rule.times.is_none_or(|times| position - rule.skip < times);
            let passes = rule.rate.as_mut().is_some_and(|rate| rate.passes(Instant::now()));
            if open && !passes {
                drawn = Some(rule.fault_at(Instant::now()));
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

    #[test]
    fn requests_of_a_slow_store_wait_for_their_turn() {
        let mut rule = FaultRule::one_by_one(Operation::GetObject, Duration::from_millis(1_000));
        let now = Instant::now() + Duration::from_secs(1);
        // When a request comes, and how long it waits, in milliseconds.
        for (comes, waits) in [(0, 1_000), (0, 2_000), (500, 2_500), (10_000, 1_000)] {
            let fault = rule.fault_at(now + Duration::from_millis(comes));
            assert!(
                matches!(fault, Fault::Delay(wait) if wait.as_millis() == waits),
                "{comes}: {fault:?}"
            );
        }
    }
}
