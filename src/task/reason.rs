//! Why a task failed: a kind to decide by, and a sentence.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::names::stored_by_name;

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What stood in the way.
    pub kind: ReasonKind,
    /// Safe to show.
    pub message: String,
}

/// What ended a task, as a closed list. The ledger stores the name; [`crate::api::codes`] gives each kind its code.
///
/// To add a kind, add a variant here and its code there. The name of a variant never changes: ledgers have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum ReasonKind {
    /// The task cannot continue for a reason of our own: its sealed credentials cannot be opened, its counters do not
    /// balance, or there is a bug.
    SystemError,
    /// The pass is complete, and some objects could not be copied.
    ObjectsFailed,
    /// Nothing that the task names exists at the source.
    NoSourceObjects,
    /// The manifest does not exist, cannot be read, or was changed while it was read.
    ManifestUnreadable,
    /// The manifest has a name or a length that is not allowed.
    ManifestForm,
    /// A line of a manifest of URLs is malformed, or repeats the name of an earlier line.
    ManifestLine,
    /// The manifest names nothing.
    ManifestEmpty,
    /// A line of the manifest is too long.
    ManifestLineTooLong,
    /// The manifest is stored with a content type or an encoding that is not allowed.
    ManifestType,
    /// The manifest is archived.
    ManifestArchived,
    /// The target's credentials do not allow what the task needs.
    TargetPermission,
    /// The target is full.
    TargetFull,
    /// The target does not accept the credentials.
    TargetCredentials,
    /// The target bucket does not exist.
    TargetBucket,
    /// The target does not respond or returns errors, or it is the source's own bucket.
    TargetUnavailable,
    /// The target does not encrypt as the task asks.
    TargetEncryption,
    /// The source does not accept the credentials.
    SourceCredentials,
    /// The source's credentials do not allow what the task needs.
    SourcePermission,
    /// The source bucket does not exist.
    SourceBucket,
    /// An object of the source that the task needs does not exist.
    SourceObject,
    /// The source does not respond, or returns errors.
    SourceUnavailable,
    /// The source keeps asking for fewer requests.
    SourceThrottled,
    /// The data at the source is archived.
    SourceArchived,
}

stored_by_name!(ReasonKind);

#[cfg(test)]
mod tests {
    use super::*;

    /// Ledgers have these names: a line that stands here never changes.
    #[test]
    fn the_stored_names_stay() {
        let names: Vec<&str> = ReasonKind::ALL.iter().map(|kind| kind.name()).collect();
        let stored = [
            "system_error",
            "objects_failed",
            "no_source_objects",
            "manifest_unreadable",
            "manifest_form",
            "manifest_line",
            "manifest_empty",
            "manifest_line_too_long",
            "manifest_type",
            "manifest_archived",
            "target_permission",
            "target_full",
            "target_credentials",
            "target_bucket",
            "target_unavailable",
            "target_encryption",
            "source_credentials",
            "source_permission",
            "source_bucket",
            "source_object",
            "source_unavailable",
            "source_throttled",
            "source_archived",
        ];
        assert_eq!(names, stored);
        for &kind in ReasonKind::ALL {
            assert_eq!(ReasonKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(ReasonKind::from_name("SystemError"), None);
    }
}
