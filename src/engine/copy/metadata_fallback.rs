//! Finds out which attribute of an object the target refuses, and what the next attempt leaves out. Pure, except for its
//! memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::engine::context::{Context, Route};
pub use crate::engine::copy::attributes::Attributes;
pub(in crate::engine) use crate::engine::copy::attributes::{WEBSITE_REDIRECT, user_metadata};
use crate::engine::retry::SideError;
use crate::error::{Error, ErrorKind, Result};
use crate::object::clouds::Side;
use crate::object::{NewObject, metadata_signing};
use crate::task::rules::RefusedMetadata;

/// Error codes with a cause that leaving something out does not fix.
const OTHER_CAUSES: &[&str] = &[
    "AccountProblem",
    "AllAccessDisabled",
    "EntityTooLarge",
    "EntityTooSmall",
    "IllegalLocationConstraintException",
    "InvalidBucketName",
    "InvalidObjectName",
    "InvalidURI",
    "KeyTooLong",
    "KeyTooLongError",
    "MissingContentLength",
    "PermanentRedirect",
    "Redirect",
    "TemporaryRedirect",
    "UserDisable",
    "XMinioInvalidObjectName",
];

/// What a refusal may be about, among the attributes that were `sent`; empty if leaving something out would not help. If the
/// error code names an attribute, that decides. Otherwise it may be the tags, the storage class or the website redirect. User
/// metadata is suspected only when the code names it.
///
/// Source of the codes: the error responses of Amazon S3, MinIO, StorageGRID and OBS (`InvalidTag`, `InvalidStorageClass`,
/// `MetadataTooLarge`), and variations of them.
fn blame(error: &Error, sent: Attributes) -> Attributes {
    // The target does not support them, has other rules for them, or the credentials do not allow them.
    if !matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::InvalidArgument | ErrorKind::PermissionDenied
    ) {
        return Attributes::default();
    }
    let code = error.code().unwrap_or_default();
    let suspects = if code.contains("StorageClass") {
        Attributes::STORAGE_CLASS
    } else if code.contains("Metadata") || code.contains("MetaData") {
        Attributes::USER_METADATA
    } else if code.contains("Tag") && !code.contains("ETag") {
        Attributes::TAGS
    } else if code.contains("RedirectLocation") {
        Attributes::REDIRECT
    } else if OTHER_CAUSES.contains(&code) || code.contains("KMS") || code.contains("Encryption") {
        Attributes::default()
    } else {
        Attributes::TAGS
            .or(Attributes::STORAGE_CLASS)
            .or(Attributes::REDIRECT)
    };
    suspects.and(sent)
}

/// What an error means for the next attempt.
#[derive(Debug)]
pub(in crate::engine) enum Verdict {
    /// The error is not about something that may be left out.
    Unrelated(SideError),
    /// Try again: unchanged, because a refusal may be temporary, or without the suspected attribute.
    Again(SideError),
    /// The object fails. The message says what was refused.
    Fail(SideError),
}

/// What the target's refusals of one object have shown, over all its attempts.
#[derive(Debug, Default)]
pub(in crate::engine) struct Refusals(Mutex<RefusalState>);

#[derive(Debug, Default)]
struct RefusalState {
    /// Attributes in the last request that was refused.
    sent: Attributes,
    /// Whether a refused request was already repeated unchanged.
    repeated: bool,
    left_out: Attributes,
    metadata: Metadata,
    /// The state of a copy inside the store.
    inside: Inside,
}

/// Which user metadata is sent with an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) enum Metadata {
    /// All of it.
    #[default]
    All,
    /// Only what every implementation of request signing treats alike ([`metadata_signing::signed_differently`]).
    Plain,
}

/// The state of the copy of one object inside its store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Inside {
    /// It was not refused.
    #[default]
    Usable,
    /// It was refused just now.
    Refused(Cause),
    /// The object is read and written instead.
    Streamed(Cause),
}

/// Why a copy inside a store is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The store does not support it.
    Store,
    /// The store said that the request is invalid. This may concern copies in general or only this object.
    Unclear,
}

impl Refusals {
    fn state(&self) -> MutexGuard<'_, RefusalState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Attributes that the next attempt leaves out.
    pub(in crate::engine) fn left_out(&self) -> Attributes {
        self.state().left_out
    }

    /// Which user metadata the next attempt sends.
    pub(in crate::engine) fn metadata(&self) -> Metadata {
        self.state().metadata
    }

    /// Records the answer to the request that sends `new` to the target, and returns it. Refusals of other requests, for
    /// example for parts, are never about the object's attributes.
    pub(in crate::engine) fn observe<T>(&self, new: &NewObject, answer: Result<T>) -> Result<T> {
        self.state().sent = match &answer {
            Ok(_) => Attributes::default(),
            Err(_) => Attributes::of(new),
        };
        answer
    }

    /// Records that a copy inside the store was refused or wrong. The object is read and written instead. So are all other
    /// objects of the pass, unless the refusal may be about this object alone.
    pub(in crate::engine) fn refuse_copy(&self, ctx: &Context, error: &Error) {
        let cause = if error.kind() == ErrorKind::InvalidArgument {
            Cause::Unclear
        } else {
            ctx.quirks.note_unusable_copies();
            Cause::Store
        };
        self.state().inside = Inside::Refused(cause);
    }

    /// Whether a copy inside the store was refused since the last call.
    pub(in crate::engine) fn take_copy_refusal(&self) -> bool {
        let mut state = self.state();
        let Inside::Refused(cause) = state.inside else {
            return false;
        };
        state.inside = Inside::Streamed(cause);
        true
    }

    /// How the bytes of this object get to the target.
    pub(in crate::engine) fn route(&self, ctx: &Context) -> Route {
        match self.state().inside {
            Inside::Usable => ctx.current_route(),
            Inside::Refused(_) | Inside::Streamed(_) => Route::Stream,
        }
    }

    /// Records that the object was copied. If the store accepts as a write what it refused to copy internally, the refusal was
    /// about internal copies.
    pub(in crate::engine) fn was_streamed(&self, ctx: &Context) {
        if self.state().inside == Inside::Streamed(Cause::Unclear) {
            ctx.quirks.note_unusable_copies();
        }
    }

    /// Decides what an error means for the next attempt.
    pub(in crate::engine) fn judge(&self, side_error: SideError, rule: RefusedMetadata) -> Verdict {
        let mut state = self.state();
        let sent = std::mem::take(&mut state.sent);
        // The store found that this object's metadata is the cause, so no request is repeated unchanged.
        let unsignable =
            side_error.side == Side::Target && side_error.error.code() == Some(metadata_signing::UNSIGNABLE);
        if unsignable && rule == RefusedMetadata::Fail {
            return Verdict::Fail(side_error);
        }
        if unsignable && sent.user_metadata && state.metadata == Metadata::All {
            state.metadata = Metadata::Plain;
            return Verdict::Again(side_error);
        }
        let suspects = blame(&side_error.error, sent);
        if side_error.side != Side::Target || suspects.is_empty() {
            return Verdict::Unrelated(side_error);
        }
        if !std::mem::replace(&mut state.repeated, true) {
            return Verdict::Again(side_error);
        }
        match rule {
            RefusedMetadata::LeaveOut => {
                state.left_out = state.left_out.or(suspects.first());
                Verdict::Again(side_error)
            }
            RefusedMetadata::Fail => {
                Verdict::Fail(side_error.during(&format!("refused with its {suspects}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const ALL: Attributes = Attributes::new(true, true, true);

    #[test]
    fn a_refusal_is_about_what_its_code_names_or_else_the_tags_or_the_class() {
        use ErrorKind as K;
        let vague = Attributes::new(true, true, false);
        let none = Attributes::default();
        let rows = [
            (K::InvalidArgument, Some("InvalidTag"), Attributes::TAGS),
            (K::InvalidArgument, Some("InvalidTagError"), Attributes::TAGS),
            (K::InvalidArgument, Some("TagsetTooLarge"), Attributes::TAGS),
            (
                K::InvalidArgument,
                Some("InvalidStorageClass"),
                Attributes::STORAGE_CLASS,
            ),
            (
                K::InvalidArgument,
                Some("MetadataTooLarge"),
                Attributes::USER_METADATA,
            ),
            (
                K::InvalidArgument,
                Some("InvalidMetadata"),
                Attributes::USER_METADATA,
            ),
            (K::InvalidArgument, Some("InvalidArgument"), vague),
            (K::InvalidArgument, Some("InvalidRequest"), vague),
            (K::InvalidArgument, None, vague),
            (K::Unsupported, Some("NotImplemented"), vague),
            (K::PermissionDenied, Some("AccessDenied"), vague),
            (K::InvalidArgument, Some("SomethingNew"), vague),
            (K::InvalidArgument, Some("KeyTooLongError"), none),
            (K::InvalidArgument, Some("EntityTooLarge"), none),
            (K::InvalidArgument, Some("InvalidETag"), vague),
            (K::InvalidArgument, Some("KMS.DisabledException"), none),
            (K::InvalidArgument, Some("InvalidEncryptionAlgorithmError"), none),
            (K::Unavailable, Some("InvalidTag"), none),
            (K::RateLimited, None, none),
            (K::Integrity, None, none),
            (K::Archived, None, none),
        ];
        for (kind, code, wanted) in rows {
            let error = Error::new(kind, "x");
            let error = match code {
                Some(code) => error.with_code(code),
                None => error,
            };
            assert_eq!(blame(&error, ALL), wanted, "{kind:?} {code:?}");
            assert_eq!(blame(&error, none), none, "{kind:?} {code:?}: nothing was sent");
        }
    }

    fn refused(code: &str) -> SideError {
        SideError::target(Error::new(ErrorKind::InvalidArgument, "no").with_code(code))
    }

    fn sent(attributes: Attributes) -> NewObject {
        let mut new = NewObject {
            tagging: attributes.tags.then(|| "a=1".to_owned()),
            storage_class: attributes.storage_class.then(|| "GLACIER".to_owned()),
            ..NewObject::default()
        };
        if attributes.user_metadata {
            new.carried
                .0
                .insert("x-amz-meta-a", HeaderValue::from_static("1"));
        }
        assert_eq!(Attributes::of(&new), attributes);
        new
    }

    /// What is left out after each of these refusals, for an object that has all attributes.
    fn state(rule: RefusedMetadata, codes: &[&str]) -> Vec<Option<Attributes>> {
        let refusals = Refusals::default();
        let after = |code: &&str| {
            let left_out = refusals.left_out();
            let rest = Attributes::new(!left_out.tags, !left_out.storage_class, !left_out.user_metadata);
            let answer = refusals.observe(&sent(rest), Err::<(), _>(refused(code).error));
            assert!(answer.is_err());
            match refusals.judge(refused(code), rule) {
                Verdict::Again(_) => Some(refusals.left_out()),
                Verdict::Unrelated(_) | Verdict::Fail(_) => None,
            }
        };
        codes.iter().map(after).collect()
    }

    #[test]
    fn a_refusal_is_met_by_the_same_again_and_then_without_what_is_to_blame() {
        let none = Attributes::default();
        let both = Attributes::new(true, true, false);
        let leave = RefusedMetadata::LeaveOut;
        assert_eq!(
            state(leave, &["Odd", "Odd", "Odd", "Odd"]),
            [Some(none), Some(Attributes::TAGS), Some(both), None]
        );
        assert_eq!(
            state(
                leave,
                &[
                    "InvalidStorageClass",
                    "InvalidStorageClass",
                    "Odd",
                    "MetadataTooLarge"
                ]
            ),
            [Some(none), Some(Attributes::STORAGE_CLASS), Some(both), Some(ALL)]
        );
        assert_eq!(state(leave, &["KeyTooLong"]), [None]);
        assert_eq!(state(RefusedMetadata::Fail, &["Odd", "Odd"]), [Some(none), None]);
    }

    #[test]
    fn metadata_that_cannot_be_signed_is_left_out_at_once() {
        let unsignable = || refused(metadata_signing::UNSIGNABLE);
        for (rule, again) in [(RefusedMetadata::LeaveOut, true), (RefusedMetadata::Fail, false)] {
            let refusals = Refusals::default();
            let answer = refusals.observe(&sent(ALL), Err::<(), _>(unsignable().error));
            assert!(answer.is_err() && refusals.metadata() == Metadata::All);
            let verdict = refusals.judge(unsignable(), rule);
            assert_eq!(matches!(verdict, Verdict::Again(_)), again, "{verdict:?}");
            assert_eq!(matches!(verdict, Verdict::Fail(_)), !again, "{verdict:?}");
            assert_eq!(refusals.metadata() == Metadata::Plain, again);
            assert!(refusals.left_out().is_empty());
        }
    }

    #[test]
    fn only_the_request_that_sends_the_object_is_judged() {
        let refusals = Refusals::default();
        let rule = RefusedMetadata::LeaveOut;
        let judged = |side_error| matches!(refusals.judge(side_error, rule), Verdict::Again(_));
        assert!(!judged(refused("Odd")), "nothing was sent");
        assert!(refusals.observe(&sent(ALL), Ok(())).is_ok());
        assert!(!judged(refused("Odd")), "it was taken");
        let answer = refusals.observe(&sent(ALL), Err::<(), _>(refused("Odd").error));
        let of_source = SideError::source(refused("Odd").error);
        assert!(answer.is_err() && !judged(of_source));
        assert!(!judged(refused("Odd")), "it was judged already");
    }

    #[test]
    fn a_task_that_wants_everything_is_told_what_was_refused() {
        let refusals = Refusals::default();
        let mut last = String::new();
        for _ in 0..2 {
            let answer = refusals.observe(&sent(ALL), Err::<(), _>(refused("Odd").error));
            assert!(answer.is_err());
            if let Verdict::Fail(side_error) = refusals.judge(refused("Odd"), RefusedMetadata::Fail) {
                last = side_error.error.to_string();
            }
        }
        assert_eq!(last, "refused with its tags or storage class: no (Odd)");
    }
}
