//! The rules of a copy that a task may choose: when to overwrite, how to compare, how much proof to ask for, which storage
//! class to ask for, and what to do when something besides the bytes is refused.
//!
//! The values of the first two and their meaning are those of the OMS reference (version 2, `object_overwrite_mode` and
//! `consistency_check`).

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::names::stored_by_name;
use super::storage::StoragePolicy;

/// What the user chose; the defaults are those of the reference. What a ledger does not have of them is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
pub enum OverwriteMode {
    /// Leave it, whatever it holds.
    #[strum(serialize = "NO_OVERWRITE")]
    Never,
    /// Overwrite it unless it is the same.
    #[default]
    #[strum(serialize = "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE")]
    SizeLastModifiedComparison,
    /// Overwrite it unless the CRC-64 is the same; without one as [`Self::SizeLastModifiedComparison`].
    #[strum(serialize = "CRC64_COMPARISON_OVERWRITE")]
    Crc64Comparison,
    /// Overwrite it always.
    #[strum(serialize = "FULL_OVERWRITE")]
    Always,
}

stored_by_name!(OverwriteMode);

/// How two objects are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
pub enum ConsistencyCheck {
    /// By size, tag and time of the last change.
    #[default]
    #[strum(serialize = "size_last_modified")]
    SizeLastModified,
    /// By CRC-64; without one as [`Self::SizeLastModified`].
    #[strum(serialize = "crc64")]
    Crc64,
    /// Not at all where the source does not tell a length; else as [`Self::SizeLastModified`]. A bucket always tells it.
    #[strum(serialize = "no_check")]
    NoCheck,
}

stored_by_name!(ConsistencyCheck);

/// The weakest proof under which an object counts as copied. An extension of ours.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, EnumString, IntoStaticStr, VariantArray,
)]
pub enum MinimumProof {
    /// Exactly the listed bytes of one version went through.
    #[default]
    #[strum(serialize = "size")]
    Size,
    /// A hash of what was sent or stored was compared.
    #[strum(serialize = "checksum")]
    Checksum,
    /// The target's tag equals the source's.
    #[strum(serialize = "etag")]
    ETag,
}

stored_by_name!(MinimumProof);

/// What becomes of an object whose tags, storage class or user metadata one side does not give or take. An extension of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
pub enum RefusedMetadata {
    /// It is copied without them, and counted.
    #[default]
    #[strum(serialize = "leave_out")]
    LeaveOut,
    /// It fails.
    #[strum(serialize = "fail")]
    Fail,
}

stored_by_name!(RefusedMetadata);
