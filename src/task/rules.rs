//! The rules of a copy that a task may choose: when to overwrite, how to compare, how much proof to ask for, which storage
//! class to ask for, and what to do when something besides the bytes is refused.
//!
//! The values of the first two and their meaning are those of the OMS reference (version 2, `object_overwrite_mode` and
//! `consistency_check`).

use super::storage::StoragePolicy;

/// What the user chose; the defaults are those of the reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyRules {
    /// What to do about objects that the target has already.
    pub overwrite: OverwriteMode,
    /// How two objects are compared.
    pub consistency: ConsistencyCheck,
    /// What has to prove a copy.
    pub minimum_proof: MinimumProof,
    /// Which storage class is asked for; `None` leaves it to the target bucket.
    pub storage: Option<StoragePolicy>,
    /// What to do when one side does not give or take tags, storage class or user metadata.
    pub refused_metadata: RefusedMetadata,
}

impl CopyRules {
    /// Whether a CRC-64 was asked for. No store that speaks S3 gives one, so that each object is compared by default
    /// rules instead; the task counts them.
    #[must_use]
    pub const fn wants_crc64(self) -> bool {
        matches!(self.overwrite, OverwriteMode::Crc64Comparison)
            || matches!(self.consistency, ConsistencyCheck::Crc64)
    }
}

/// What to do about an object of the same name at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverwriteMode {
    /// Leave it, whatever it holds.
    Never,
    /// Overwrite it unless it is the same.
    #[default]
    SizeLastModifiedComparison,
    /// Overwrite it unless the CRC-64 is the same; without one as [`Self::SizeLastModifiedComparison`].
    Crc64Comparison,
    /// Overwrite it always.
    Always,
}

impl OverwriteMode {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Never,
        Self::SizeLastModifiedComparison,
        Self::Crc64Comparison,
        Self::Always,
    ];

    /// The reference's name, which is also the ledger's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "NO_OVERWRITE",
            Self::SizeLastModifiedComparison => "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE",
            Self::Crc64Comparison => "CRC64_COMPARISON_OVERWRITE",
            Self::Always => "FULL_OVERWRITE",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// How it is told whether two objects are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsistencyCheck {
    /// By size, tag and time of the last change.
    #[default]
    SizeLastModified,
    /// By CRC-64; without one as [`Self::SizeLastModified`].
    Crc64,
    /// Not at all where the source does not tell a length; else as [`Self::SizeLastModified`]. A bucket always tells it.
    NoCheck,
}

impl ConsistencyCheck {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SizeLastModified, Self::Crc64, Self::NoCheck];

    /// The reference's name, which is also the ledger's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SizeLastModified => "size_last_modified",
            Self::Crc64 => "crc64",
            Self::NoCheck => "no_check",
        }
    }

    /// The check of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.name() == name)
    }
}

/// The weakest proof under which an object counts as copied. An extension of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MinimumProof {
    /// Exactly the listed bytes of one version went through.
    #[default]
    Size,
    /// A hash of what was sent or stored was compared.
    Checksum,
    /// The target's tag equals the source's.
    ETag,
}

impl MinimumProof {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Size, Self::Checksum, Self::ETag];

    /// The name on the wire and in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Checksum => "checksum",
            Self::ETag => "etag",
        }
    }

    /// The proof of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|proof| proof.name() == name)
    }
}

/// What becomes of an object whose tags, storage class or user metadata one side does not give or take. An extension of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusedMetadata {
    /// It is copied without them, and counted.
    #[default]
    LeaveOut,
    /// It fails.
    Fail,
}

impl RefusedMetadata {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::LeaveOut, Self::Fail];

    /// The name on the wire and in the ledger.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeaveOut => "leave_out",
            Self::Fail => "fail",
        }
    }

    /// The choice of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.name() == name)
    }
}
