//! Storage classes: what a task asks for, and what the clouds call it. Pure.
//!
//! The policies are those of the OMS reference (version 2, `dst_storage_policy`). Stores that speak S3 know four classes of
//! them by the names of Amazon S3: Huawei's OBS takes `STANDARD`, `STANDARD_IA`, `GLACIER` and `DEEP_ARCHIVE` in its
//! S3-compatible API (`obs_storage_class` of its C SDK, which speaks it), and says `WARM` and `COLD` only in its own. Tencent's
//! COS takes its own `ARCHIVE` in place of `GLACIER`.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::cloud::Cloud;
use super::names::stored_by_name;

/// Which storage class the copies get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
pub enum StoragePolicy {
    /// Standard.
    #[strum(serialize = "STANDARD")]
    Standard,
    /// Infrequent access.
    #[strum(serialize = "IA")]
    InfrequentAccess,
    /// Archive.
    #[strum(serialize = "ARCHIVE")]
    Archive,
    /// Deep archive.
    #[strum(serialize = "DEEP_ARCHIVE")]
    DeepArchive,
    /// The nearest to that of the source.
    #[strum(serialize = "SRC_STORAGE_MAPPING")]
    SourceMapping,
}

stored_by_name!(StoragePolicy);

/// One of the four classes that every cloud has in some form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Standard,
    InfrequentAccess,
    Archive,
    DeepArchive,
}

/// The storage class to ask the target for; `None` to say nothing and leave it to the bucket. `source` is the class that the
/// source tells; stores tell none of objects in their standard class. A class that is not known is left to the bucket too.
#[must_use]
pub fn storage_class(policy: StoragePolicy, source: Option<&str>, target: Cloud) -> Option<&'static str> {
    let class = match policy {
        StoragePolicy::Standard => Class::Standard,
        StoragePolicy::InfrequentAccess => Class::InfrequentAccess,
        StoragePolicy::Archive => Class::Archive,
        StoragePolicy::DeepArchive => Class::DeepArchive,
        StoragePolicy::SourceMapping => source.map_or(Some(Class::Standard), nearest)?,
    };
    Some(match (class, target) {
        (Class::Standard, _) => "STANDARD",
        (Class::InfrequentAccess, _) => "STANDARD_IA",
        (Class::Archive, Cloud::Tencent) => "ARCHIVE",
        (Class::Archive, _) => "GLACIER",
        (Class::DeepArchive, _) => "DEEP_ARCHIVE",
    })
}

/// The class nearest to one of a cloud: what can be read at once stays so, what has to be restored may have to be.
fn nearest(class: &str) -> Option<Class> {
    Some(match class.to_ascii_uppercase().as_str() {
        // AWS, OBS, OSS, COS. What is moved by its use begins as standard.
        "STANDARD" | "REDUCED_REDUNDANCY" | "INTELLIGENT_TIERING" | "EXPRESS_ONEZONE" => Class::Standard,
        "MAZ_STANDARD" | "MAZ_INTELLIGENT_TIERING" => Class::Standard,
        // Of AWS; of OBS; of OSS; of COS; of Qiniu.
        "STANDARD_IA" | "ONEZONE_IA" | "GLACIER_IR" | "WARM" | "IA" | "MAZ_STANDARD_IA" | "LINE" => {
            Class::InfrequentAccess
        }
        // Of AWS; of OBS; of OSS and COS.
        "GLACIER" | "COLD" | "ARCHIVE" | "MAZ_ARCHIVE" => Class::Archive,
        "DEEP_ARCHIVE" | "COLDARCHIVE" | "COLD_ARCHIVE" | "DEEPCOLDARCHIVE" | "DEEP_COLD_ARCHIVE" => {
            Class::DeepArchive
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_asks_for_its_class_whatever_the_source_has() {
        use StoragePolicy as P;
        let rows = [
            (P::Standard, Cloud::Aws, "STANDARD"),
            (P::Standard, Cloud::HuaweiCloud, "STANDARD"),
            (P::InfrequentAccess, Cloud::Aws, "STANDARD_IA"),
            (P::InfrequentAccess, Cloud::HuaweiCloud, "STANDARD_IA"),
            (P::Archive, Cloud::Aws, "GLACIER"),
            (P::Archive, Cloud::HuaweiCloud, "GLACIER"),
            (P::Archive, Cloud::Tencent, "ARCHIVE"),
            (P::DeepArchive, Cloud::Aws, "DEEP_ARCHIVE"),
            (P::DeepArchive, Cloud::HuaweiCloud, "DEEP_ARCHIVE"),
            (P::DeepArchive, Cloud::Tencent, "DEEP_ARCHIVE"),
        ];
        for (policy, cloud, wanted) in rows {
            for source in [None, Some("GLACIER"), Some("STANDARD_IA"), Some("mars")] {
                assert_eq!(
                    storage_class(policy, source, cloud),
                    Some(wanted),
                    "{policy:?} {source:?} {cloud:?}"
                );
            }
        }
    }

    #[test]
    fn a_mapping_takes_the_nearest_class_and_leaves_unknown_ones_to_the_bucket() {
        let rows = [
            (None, Some("STANDARD")),
            (Some("STANDARD"), Some("STANDARD")),
            (Some("REDUCED_REDUNDANCY"), Some("STANDARD")),
            (Some("INTELLIGENT_TIERING"), Some("STANDARD")),
            (Some("EXPRESS_ONEZONE"), Some("STANDARD")),
            (Some("MAZ_STANDARD"), Some("STANDARD")),
            (Some("MAZ_INTELLIGENT_TIERING"), Some("STANDARD")),
            (Some("STANDARD_IA"), Some("STANDARD_IA")),
            (Some("ONEZONE_IA"), Some("STANDARD_IA")),
            (Some("GLACIER_IR"), Some("STANDARD_IA")),
            (Some("WARM"), Some("STANDARD_IA")),
            (Some("IA"), Some("STANDARD_IA")),
            (Some("MAZ_STANDARD_IA"), Some("STANDARD_IA")),
            (Some("LINE"), Some("STANDARD_IA")),
            (Some("GLACIER"), Some("GLACIER")),
            (Some("COLD"), Some("GLACIER")),
            (Some("ARCHIVE"), Some("GLACIER")),
            (Some("Archive"), Some("GLACIER")),
            (Some("MAZ_ARCHIVE"), Some("GLACIER")),
            (Some("DEEP_ARCHIVE"), Some("DEEP_ARCHIVE")),
            (Some("ColdArchive"), Some("DEEP_ARCHIVE")),
            (Some("DeepColdArchive"), Some("DEEP_ARCHIVE")),
            (Some("OUTPOSTS"), None),
            (Some("SNOW"), None),
            (Some("mars"), None),
            (Some(""), None),
        ];
        for (source, wanted) in rows {
            let found = storage_class(StoragePolicy::SourceMapping, source, Cloud::HuaweiCloud);
            assert_eq!(found, wanted, "{source:?}");
        }
    }

    #[test]
    fn policies_have_the_names_of_the_reference() {
        for &policy in StoragePolicy::ALL {
            assert_eq!(StoragePolicy::from_name(policy.name()), Some(policy));
        }
        assert_eq!(StoragePolicy::from_name("standard"), None);
    }
}
