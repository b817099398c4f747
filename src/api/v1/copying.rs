//! The rules of a copy on the wire. Version 1 of the reference has none of them: two are fields of its version 2, accepted
//! here too, and one is ours.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::rules::{self, CopyRules};

/// What to do about an object of the same name at the target.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(clippy::enum_variant_names, reason = "the words of the reference")]
pub enum ObjectOverwriteMode {
    /// Leave it, whatever it holds.
    NoOverwrite,
    /// Overwrite it unless it is the same: equal size and equal tags, or, where tags cannot be compared, not older.
    SizeLastModifiedComparisonOverwrite,
    /// Compare the CRC-64; stores that speak S3 give none, so each object is compared as by default, and counted.
    Crc64ComparisonOverwrite,
    /// Overwrite it always.
    FullOverwrite,
}

/// How it is told whether two objects are the same.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConsistencyCheck {
    /// By size, tag and time of the last change.
    SizeLastModified,
    /// By CRC-64; stores that speak S3 give none, so each object is compared as by default, and counted.
    Crc64,
    /// Not at all where the source tells no length. A bucket always tells it, and is compared as by default.
    NoCheck,
}

/// The weakest proof under which an object counts as copied.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MinimumProof {
    /// Exactly the listed bytes of one version went through.
    Size,
    /// A hash of what was sent or stored was compared.
    Checksum,
    /// The target's tag equals the source's.
    Etag,
}

/// The rules that a task copies by.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskRules {
    /// What is done about objects that the target has already.
    object_overwrite_mode: ObjectOverwriteMode,
    /// How objects are compared.
    consistency_check: ConsistencyCheck,
    /// What has to prove a copy.
    minimum_proof: MinimumProof,
    /// Objects for which a CRC-64 was asked for and not found, so that they were compared by size, tag and time.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    crc64_missing_num: i64,
}

impl TaskRules {
    /// Shows the rules of a task that has listed so many objects.
    pub fn new(rules: CopyRules, listed: i64) -> Self {
        let CopyRules {
            overwrite,
            consistency,
            minimum_proof,
        } = rules;
        Self {
            object_overwrite_mode: match overwrite {
                rules::OverwriteMode::Never => ObjectOverwriteMode::NoOverwrite,
                rules::OverwriteMode::SizeLastModifiedComparison => {
                    ObjectOverwriteMode::SizeLastModifiedComparisonOverwrite
                }
                rules::OverwriteMode::Crc64Comparison => ObjectOverwriteMode::Crc64ComparisonOverwrite,
                rules::OverwriteMode::Always => ObjectOverwriteMode::FullOverwrite,
            },
            consistency_check: match consistency {
                rules::ConsistencyCheck::SizeLastModified => ConsistencyCheck::SizeLastModified,
                rules::ConsistencyCheck::Crc64 => ConsistencyCheck::Crc64,
                rules::ConsistencyCheck::NoCheck => ConsistencyCheck::NoCheck,
            },
            minimum_proof: match minimum_proof {
                rules::MinimumProof::Size => MinimumProof::Size,
                rules::MinimumProof::Checksum => MinimumProof::Checksum,
                rules::MinimumProof::ETag => MinimumProof::Etag,
            },
            crc64_missing_num: if rules.wants_crc64() { listed } else { 0 },
        }
    }
}

/// The rules of a request; what it leaves out is as by default.
pub fn read(
    overwrite: Option<ObjectOverwriteMode>,
    consistency: Option<ConsistencyCheck>,
    minimum_proof: Option<MinimumProof>,
) -> CopyRules {
    CopyRules {
        overwrite: overwrite.map_or_else(Default::default, |mode| match mode {
            ObjectOverwriteMode::NoOverwrite => rules::OverwriteMode::Never,
            ObjectOverwriteMode::SizeLastModifiedComparisonOverwrite => {
                rules::OverwriteMode::SizeLastModifiedComparison
            }
            ObjectOverwriteMode::Crc64ComparisonOverwrite => rules::OverwriteMode::Crc64Comparison,
            ObjectOverwriteMode::FullOverwrite => rules::OverwriteMode::Always,
        }),
        consistency: consistency.map_or_else(Default::default, |check| match check {
            ConsistencyCheck::SizeLastModified => rules::ConsistencyCheck::SizeLastModified,
            ConsistencyCheck::Crc64 => rules::ConsistencyCheck::Crc64,
            ConsistencyCheck::NoCheck => rules::ConsistencyCheck::NoCheck,
        }),
        minimum_proof: minimum_proof.map_or_else(Default::default, |proof| match proof {
            MinimumProof::Size => rules::MinimumProof::Size,
            MinimumProof::Checksum => rules::MinimumProof::Checksum,
            MinimumProof::Etag => rules::MinimumProof::ETag,
        }),
    }
}
