//! The rules that a request can break. Each violation carries the values that its sentence needs.
//!
//! It owns the list of rules, and a sentence of each for the log. It never names a field of the wire or a code of the OMS
//! reference: [`crate::api::codes`] says both to the caller. A rule that is missing here reaches the caller with a code that is
//! too general.

use std::fmt;

/// One of the two object stores of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the objects are.
    Source,
    /// Where they go.
    Target,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The number of a task is not 1 to 15 digits above zero.
    TaskIdForm,
    /// The name of a project is not 1 to 64 letters, digits, `-` or `_`.
    ProjectIdForm,
    /// The project has no such task.
    UnknownTask,
    /// A task is started that waits, runs or is about to pause.
    AlreadyStarted,
    /// A task is stopped that neither waits nor runs.
    NotInProgress,
    /// A task is started or stopped that has succeeded.
    Complete,
    /// A task is deleted that waits, runs or is about to pause.
    InProgress,
    /// Only the failures shall be repeated, and the last pass did not finish.
    FailuresIncomplete,
    /// Only the failures shall be repeated, and none are recorded.
    NothingFailed,
    /// The bandwidth of a task changes that has succeeded.
    BandwidthFixed,
    /// A request names an endpoint, and the operator allows those of the catalogue only.
    EndpointNotAllowed {
        /// The endpoint's side.
        side: Side,
    },
    /// An endpoint is malformed.
    EndpointForm {
        /// The endpoint's side.
        side: Side,
        /// What it must be, as the end of a sentence.
        must: &'static str,
    },
    /// A region is not in the catalogue.
    UnknownRegion {
        /// The region's side.
        side: Side,
        /// Name of the cloud.
        cloud: &'static str,
        /// Name of the region.
        region: String,
    },
    /// The prefix for keys at the target is longer than a key may be.
    TargetPrefixLength,
    /// The copies would lie within what the task copies.
    TargetInsideScope,
    /// The number of streams is outside of its range.
    Threads {
        /// The largest number.
        most: u8,
    },
    /// A description is too long.
    DescriptionLength {
        /// Most characters.
        most: usize,
    },
    /// A description has a character that is not allowed.
    DescriptionCharacters,
    /// A bandwidth policy has too many windows.
    WindowCount {
        /// Most windows.
        most: usize,
    },
    /// A window has a time outside of the day.
    WindowTime {
        /// Its position, from 0.
        window: usize,
    },
    /// Two windows overlap.
    WindowOverlap {
        /// Position of the later one, from 0.
        window: usize,
        /// Position of the earlier one.
        other: usize,
    },
    /// A CDN needs a key, and none was sent.
    CdnKeyMissing,
    /// The project has too many tasks waiting.
    TooManyWaiting {
        /// Most tasks.
        most: i64,
    },
    /// The transfers of a task end, and the ledger could not record the stop.
    StopNotRecorded,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TaskIdForm => f.write_str("a task id has 1 to 15 digits and is above zero"),
            Self::ProjectIdForm => f.write_str("a project id has 1 to 64 letters, digits, '-' or '_'"),
            Self::UnknownTask => f.write_str("the project has no such task"),
            Self::AlreadyStarted => f.write_str("the task has already started"),
            Self::NotInProgress => f.write_str("the task is not in progress"),
            Self::Complete => f.write_str("the task is complete"),
            Self::InProgress => f.write_str("the task is in progress"),
            Self::FailuresIncomplete => {
                f.write_str("the last pass did not finish, so its failures are incomplete")
            }
            Self::NothingFailed => f.write_str("no failures are recorded for the task"),
            Self::BandwidthFixed => f.write_str("the bandwidth of a complete task does not change"),
            Self::EndpointNotAllowed { side } => {
                write!(
                    f,
                    "{} endpoint: only regions of the catalogue are allowed",
                    side.name()
                )
            }
            Self::EndpointForm { side, must } => write!(f, "{} endpoint {must}", side.name()),
            Self::UnknownRegion { side, cloud, region } => {
                write!(f, "{} region '{region}' of {cloud} is not known", side.name())
            }
            Self::TargetPrefixLength => f.write_str("the target prefix is longer than a key may be"),
            Self::TargetInsideScope => f.write_str("the target lies within what is to be copied"),
            Self::Threads { most } => write!(f, "a task has 1 to {most} threads"),
            Self::DescriptionLength { most } => write!(f, "a description has at most {most} characters"),
            Self::DescriptionCharacters => f.write_str("the description has a character that is not allowed"),
            Self::WindowCount { most } => write!(f, "a bandwidth policy has at most {most} windows"),
            Self::WindowTime { window } => {
                write!(f, "bandwidth window {window} has a time outside of the day")
            }
            Self::WindowOverlap { window, other } => {
                write!(f, "bandwidth windows {other} and {window} overlap")
            }
            Self::CdnKeyMissing => f.write_str("the CDN needs an authentication key"),
            Self::TooManyWaiting { most } => write!(f, "{most} tasks of the project are waiting already"),
            Self::StopNotRecorded => {
                f.write_str("the transfers of the task end, but the ledger could not record the stop")
            }
        }
    }
}

impl std::error::Error for Violation {}
