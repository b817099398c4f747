//! How the work on one object ends.

use crate::engine::context::Context;
use crate::engine::copy::attributes::Attributes;
use crate::engine::copy::proof::Proof;
use crate::engine::decide::SkipReason;
use crate::engine::retry::SideError;
use crate::engine::shard::systemic::SystemicFailure;
use crate::error::ErrorKind;
use crate::ledger::Failure;
use crate::object::clouds::Side;
use crate::task::Key;

/// A finished copy.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// Bytes written.
    pub bytes: u64,
    /// How they were verified.
    pub proof: Proof,
    /// Attributes of the source that the copy does not have.
    pub left_out: Attributes,
}

/// The end of an object.
#[derive(Debug)]
pub enum Outcome {
    /// Copied.
    Copied(Copied),
    /// Left as it is.
    Skipped(SkipReason),
    /// Missing: deleted at the source after it was listed, as a fresh listing has confirmed.
    Gone,
    /// Not copied, with the reason.
    Failed(Box<Failure>),
    /// Not copied, for a reason that may concern every object. It is settled as failed only when it is known that the reason
    /// does not concern every object.
    Doubtful(Box<Failure>, SystemicFailure),
}

impl Outcome {
    /// Length in bytes of an object that was not copied, if it is known; 0 for all others.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Failed(failure) | Self::Doubtful(failure, _) => {
                u64::try_from(failure.size).unwrap_or_default()
            }
            Self::Copied(_) | Self::Skipped(_) | Self::Gone => 0,
        }
    }

    /// The error code of an object that was not copied; empty for all others.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Failed(failure) | Self::Doubtful(failure, _) => &failure.code,
            Self::Copied(_) | Self::Skipped(_) | Self::Gone => "",
        }
    }

    /// The error message of an object that was not copied; empty for all others.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Failed(failure) | Self::Doubtful(failure, _) => &failure.message,
            Self::Copied(_) | Self::Skipped(_) | Self::Gone => "",
        }
    }
}

/// The outcome of an object that could not be copied.
pub fn failed(ctx: &Context, key: &Key, size: u64, side_error: &SideError, attempts: u32) -> Outcome {
    let error = &side_error.error;
    let (side, code) = match (side_error.side, error.kind()) {
        (Side::Source, ErrorKind::PreconditionFailed) => {
            ("source changed while it was copied", "SourceChanged")
        }
        (Side::Source, _) => ("source", ""),
        (Side::Target, ErrorKind::Integrity) if ctx.task.spec.cdn.is_some() => (
            "the CDN's bytes are not those of the source",
            "COMPARE_SRC_AND_CDN_FAILURE",
        ),
        (Side::Target, _) => ("target", ""),
    };
    let code = match error.code() {
        _ if !code.is_empty() => code.to_owned(),
        Some(code) => code.to_owned(),
        None => format!("{:?}", error.kind()),
    };
    let failure = Box::new(Failure {
        key: key.clone(),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        code,
        message: format!("{side}: {}", error.message()),
        request_id: error.request_id().map(ToOwned::to_owned),
        attempts: i64::from(attempts.max(error.attempts())),
        at: ctx.clock.now(),
    });
    match SystemicFailure::of(side_error)
        .filter(|suspect| suspect.side == Side::Target || ctx.has_one_source())
    {
        Some(suspect) => Outcome::Doubtful(failure, suspect),
        None => Outcome::Failed(failure),
    }
}
