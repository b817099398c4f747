//! The rules of a copy on the wire, and what came of them. Version 1 of the reference has none of them: three are fields of
//! its version 2, accepted here too, and two are ours.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::task::rules::{self, CopyRules};
use crate::task::{Counters, storage};

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

/// How two objects are compared.
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

/// Which storage class the copies get. The target's names of the classes are asked for: `STANDARD`, `STANDARD_IA`, `GLACIER`
/// (`ARCHIVE` of Tencent) and `DEEP_ARCHIVE`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StoragePolicy {
    /// Standard.
    Standard,
    /// Infrequent access.
    Ia,
    /// Archive.
    Archive,
    /// Deep archive.
    DeepArchive,
    /// The nearest to that of the source object; what the source calls by an unknown name is left to the target bucket.
    SrcStorageMapping,
}

/// What becomes of an object whose tags, storage class or user metadata one side does not give or take.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusedMetadata {
    /// It is copied without them, and counted in `not_carried`.
    LeaveOut,
    /// It fails.
    Fail,
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
    /// Which storage class is asked for; null leaves it to the target bucket.
    #[schema(required, extensions(("x-oms-extension" = json!(true))))]
    dst_storage_policy: Option<StoragePolicy>,
    /// What becomes of an object whose tags, storage class or user metadata are refused.
    #[schema(extensions(("x-oms-extension" = json!(true))))]
    refused_metadata: RefusedMetadata,
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
            storage,
            refused_metadata,
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
            dst_storage_policy: storage.map(|policy| match policy {
                storage::StoragePolicy::Standard => StoragePolicy::Standard,
                storage::StoragePolicy::InfrequentAccess => StoragePolicy::Ia,
                storage::StoragePolicy::Archive => StoragePolicy::Archive,
                storage::StoragePolicy::DeepArchive => StoragePolicy::DeepArchive,
                storage::StoragePolicy::SourceMapping => StoragePolicy::SrcStorageMapping,
            }),
            refused_metadata: match refused_metadata {
                rules::RefusedMetadata::LeaveOut => RefusedMetadata::LeaveOut,
                rules::RefusedMetadata::Fail => RefusedMetadata::Fail,
            },
            crc64_missing_num: if rules.wants_crc64() { listed } else { 0 },
        }
    }
}

/// An extension: what proved that copies are equal to their originals.
#[derive(Debug, Serialize, ToSchema)]
pub struct Proved {
    /// Copies whose hash the target computed and the source confirmed.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    etag: i64,
    /// Copies with a checksum that was computed while streaming.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    checksum: i64,
    /// Copies whose length alone could be compared.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    size: i64,
}

impl From<&Counters> for Proved {
    fn from(counters: &Counters) -> Self {
        Self {
            etag: counters.proved_etag,
            checksum: counters.proved_checksum,
            size: counters.proved_size,
        }
    }
}

/// An extension: copies from which something was left out, because one side did not give or take it.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotCarried {
    /// Copies from which anything was left out, each counted once.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    objects: i64,
    /// Copies without their tags.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    tags: i64,
    /// Copies that have another storage class than the task asks for.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    storage_class: i64,
    /// Copies without their user metadata, or without some of it.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    user_metadata: i64,
    /// Copies without their website redirect.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    website_redirect: i64,
    /// Copies of objects under a retention or a legal hold, which is never carried over.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    object_lock: i64,
    /// Copies of objects with an `x-amz-` header that is not known; the log of the service names it.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    other: i64,
}

impl From<&Counters> for NotCarried {
    fn from(counters: &Counters) -> Self {
        Self {
            objects: counters.metadata_lost,
            tags: counters.lost_tags,
            storage_class: counters.lost_storage_class,
            user_metadata: counters.lost_user_metadata,
            website_redirect: counters.lost_website_redirect,
            object_lock: counters.lost_object_lock,
            other: counters.lost_other,
        }
    }
}

/// The rules of a request as it gives them.
#[derive(Clone, Copy, Debug)]
pub struct RequestedRules {
    /// `object_overwrite_mode`.
    pub overwrite: Option<ObjectOverwriteMode>,
    /// `consistency_check`.
    pub consistency: Option<ConsistencyCheck>,
    /// `minimum_proof`.
    pub minimum_proof: Option<MinimumProof>,
    /// `dst_storage_policy`.
    pub storage: Option<StoragePolicy>,
    /// `refused_metadata`.
    pub refused_metadata: Option<RefusedMetadata>,
}

/// The rules of a request; what it leaves out is as by default.
pub fn read(given: RequestedRules) -> CopyRules {
    let RequestedRules {
        overwrite,
        consistency,
        minimum_proof,
        storage,
        refused_metadata,
    } = given;
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
        storage: storage.map(|policy| match policy {
            StoragePolicy::Standard => storage::StoragePolicy::Standard,
            StoragePolicy::Ia => storage::StoragePolicy::InfrequentAccess,
            StoragePolicy::Archive => storage::StoragePolicy::Archive,
            StoragePolicy::DeepArchive => storage::StoragePolicy::DeepArchive,
            StoragePolicy::SrcStorageMapping => storage::StoragePolicy::SourceMapping,
        }),
        refused_metadata: refused_metadata.map_or_else(Default::default, |choice| match choice {
            RefusedMetadata::LeaveOut => rules::RefusedMetadata::LeaveOut,
            RefusedMetadata::Fail => rules::RefusedMetadata::Fail,
        }),
    }
}
