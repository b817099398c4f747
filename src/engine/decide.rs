//! Decides what to do with one object. Pure.
//!
//! | overwrite mode | target has the key | content | decision |
//! |---|---|---|---|
//! | any | no | | copy |
//! | `NO_OVERWRITE` | yes | anything | skip |
//! | `FULL_OVERWRITE` | yes | anything | copy |
//! | by comparison | yes | other size | copy |
//! | by comparison | yes | same size, both ETags comparable and equal | skip |
//! | by comparison | yes | same size, both ETags comparable and different | copy |
//! | by comparison | yes | same size, ETags not comparable, target not older | skip |
//! | by comparison | yes | same size, ETags not comparable, target older | copy |
//! | by comparison | yes | length unknown, and the task allows that ([`crate::engine::source_object::allows_unknown_size`]) | copy |
//!
//! If lengths are known, the two modes by comparison and the three consistency checks have the same effect, because no S3 store
//! gives a CRC-64 ([`crate::task::rules`]). The reference's default looks only at sizes and times. If ETags can be compared,
//! they are more reliable than any clock. If a task asks for more proof than the size ([`crate::task::rules::MinimumProof`]), a
//! time does not count as proof: without comparable ETags the object is copied.
//!
//! Two ETags are comparable if both are plain MD5 sums and the target does not encrypt with its own keys. Equal multipart ETags
//! mean equal content. Different ones prove nothing, because the part sizes may differ.
//!
//! Two rules come before all others: an object not modified after `migrate_since` is skipped, and an object that the target
//! cannot hold is refused.

use crate::engine::name_kinds::NameKind;
use crate::engine::source_object::SourceObject;
use crate::object::{ETag, Entry};
use crate::task::rules::{ConsistencyCheck, MinimumProof, OverwriteMode};
use crate::task::{Key, TaskSpec, UnixMillis};

/// Largest object that 10,000 parts of 5 GiB can hold, which is also S3's limit of 48.8 TiB.
pub const MAX_OBJECT: u64 = 10_000 * 5 * (1 << 30);

/// What the target has under the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Length in bytes.
    pub size: u64,
    /// ETag.
    pub etag: Option<ETag>,
    /// When it was written, if the target reports that.
    pub last_modified: Option<UnixMillis>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Copy it.
    Copy,
    /// Skip it.
    Skip(SkipReason),
    /// Refuse it, because it cannot be copied.
    Refuse(RefuseReason),
}

/// Why an object is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The target has the same object.
    Identical,
    /// The target has an object of that name, and the task overwrites nothing.
    Exists,
    /// The object was not modified after `migrate_since`.
    Older,
}

impl SkipReason {
    /// The word for it in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Exists => "exists",
            Self::Older => "older",
        }
    }
}

/// Why an object cannot be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseReason {
    /// With the target's prefix the key is longer than 1,024 bytes.
    KeyTooLong,
    /// Larger than [`MAX_OBJECT`].
    TooLarge,
    /// The target would store it under another name.
    NameNotKept(NameKind),
}

impl RefuseReason {
    /// Code and sentence for the report of failures.
    #[must_use]
    pub const fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::KeyTooLong => (
                "KeyTooLongError",
                "with the target prefix the key is longer than 1024 bytes",
            ),
            Self::TooLarge => (
                "EntityTooLarge",
                "the object is larger than 10,000 parts of 5 GiB",
            ),
            Self::NameNotKept(kind) => ("NameNotKept", kind.describe()),
        }
    }
}

/// Decides what to do with one object.
#[must_use]
pub fn decide(item: &SourceObject, existing: Option<&Existing>, spec: &TaskSpec) -> Decision {
    // An unknown time is no reason to skip an object.
    if let (Some(since), Some(modified)) = (spec.migrate_since, item.last_modified())
        && modified <= since
    {
        return Decision::Skip(SkipReason::Older);
    }
    if spec.target_prefix.as_bytes().len() + item.key().as_bytes().len() > Key::MAX_LEN {
        return Decision::Refuse(RefuseReason::KeyTooLong);
    }
    if item.size().is_some_and(|size| size > MAX_OBJECT) {
        return Decision::Refuse(RefuseReason::TooLarge);
    }
    let Some(existing) = existing else {
        return Decision::Copy;
    };
    match spec.rules.overwrite {
        OverwriteMode::Never => Decision::Skip(SkipReason::Exists),
        OverwriteMode::Always => Decision::Copy,
        OverwriteMode::SizeLastModifiedComparison | OverwriteMode::Crc64Comparison => match item {
            SourceObject::KnownSize(entry) if identical(entry, existing, spec) => {
                Decision::Skip(SkipReason::Identical)
            }
            SourceObject::KnownSize(_) | SourceObject::UnknownSize { .. } => Decision::Copy,
        },
    }
}

fn identical(entry: &Entry, existing: &Existing, spec: &TaskSpec) -> bool {
    if entry.size != existing.size {
        return false;
    }
    let not_older = match spec.rules.consistency {
        ConsistencyCheck::SizeLastModified | ConsistencyCheck::Crc64 | ConsistencyCheck::NoCheck => {
            // If one side reports no time, nothing is known about the age.
            entry.last_modified.is_some() && existing.last_modified >= entry.last_modified
        }
    } && spec.rules.minimum_proof == MinimumProof::Size;
    let (Some(source), Some(target)) = (&entry.etag, &existing.etag) else {
        return not_older;
    };
    if source.same(target) {
        return true;
    }
    let comparable = source.md5().is_some() && target.md5().is_some() && !spec.kms;
    !comparable && not_older
}

/// Whether an object would be skipped as identical if the ETags of both sides were no hashes. Both look like hashes and differ,
/// but everything else says that the target has the object.
#[must_use]
pub fn only_tags_differ(entry: &Entry, existing: &Existing, spec: &TaskSpec) -> bool {
    let by_comparison = matches!(
        spec.rules.overwrite,
        OverwriteMode::SizeLastModifiedComparison | OverwriteMode::Crc64Comparison
    );
    let hashes = |tag: &Option<ETag>| tag.as_ref().is_some_and(|tag| tag.md5().is_some());
    let without = Existing {
        etag: None,
        ..existing.clone()
    };
    by_comparison
        && hashes(&entry.etag)
        && hashes(&existing.etag)
        && !identical(entry, existing, spec)
        && identical(entry, &without, spec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::known_time;
    use crate::task::testing::spec;

    /// Times in these tests are days of 1970.
    const DAY: i64 = 86_400_000;
    const A: &str = "0cc175b9c0f1b6a831c399e269772661";
    const B: &str = "92eb5ffee6ae2fec3ad71c777531578f";
    const M: &str = "0cc175b9c0f1b6a831c399e269772661-2";
    const N: &str = "92eb5ffee6ae2fec3ad71c777531578f-3";

    fn entry(size: u64, etag: Option<&str>, modified: i64) -> SourceObject {
        SourceObject::KnownSize(Entry {
            key: Key::from("k"),
            size,
            etag: etag.map(ETag::new),
            last_modified: known_time(UnixMillis(modified * DAY)),
        })
    }

    fn existing(size: u64, etag: Option<&str>, modified: i64) -> Existing {
        Existing {
            size,
            etag: etag.map(ETag::new),
            last_modified: known_time(UnixMillis(modified * DAY)),
        }
    }

    #[test]
    fn the_table_holds() {
        let skip = Decision::Skip(SkipReason::Identical);
        let rows = [
            ("missing", None, Decision::Copy),
            ("other size", Some(existing(2, Some(A), 9)), Decision::Copy),
            ("same md5", Some(existing(1, Some(A), 0)), skip),
            (
                "same md5 in capitals",
                Some(existing(1, Some("0CC175B9C0F1B6A831C399E269772661"), 0)),
                skip,
            ),
            ("other md5, newer", Some(existing(1, Some(B), 9)), Decision::Copy),
            ("multipart, newer", Some(existing(1, Some(M), 9)), skip),
            ("multipart, same time", Some(existing(1, Some(M), 5)), skip),
            ("multipart, older", Some(existing(1, Some(M), 4)), Decision::Copy),
            ("no tag, newer", Some(existing(1, None, 9)), skip),
            ("no tag, older", Some(existing(1, None, 4)), Decision::Copy),
            ("no tag, no time", Some(existing(1, None, 0)), Decision::Copy),
        ];
        for (name, target, wanted) in rows {
            assert_eq!(
                decide(&entry(1, Some(A), 5), target.as_ref(), &spec()),
                wanted,
                "{name}"
            );
        }
        let multipart = entry(1, Some(M), 5);
        assert_eq!(decide(&multipart, Some(&existing(1, Some(M), 0)), &spec()), skip);
        assert_eq!(
            decide(&multipart, Some(&existing(1, Some(N), 0)), &spec()),
            Decision::Copy
        );
    }

    #[test]
    fn every_mode_and_check_decides_as_the_table_says() {
        use Decision::Copy;
        use OverwriteMode as Mode;
        let same = Decision::Skip(SkipReason::Identical);
        let exists = Decision::Skip(SkipReason::Exists);
        let targets = [
            None,
            Some(existing(2, Some(A), 9)),
            Some(existing(1, Some(A), 0)),
            Some(existing(1, Some(B), 9)),
            Some(existing(1, Some(M), 9)),
            Some(existing(1, Some(M), 4)),
        ];
        let compared = [Copy, Copy, same, Copy, same, Copy];
        let rows = [
            (Mode::Never, [Copy, exists, exists, exists, exists, exists]),
            (Mode::SizeLastModifiedComparison, compared),
            (Mode::Crc64Comparison, compared),
            (Mode::Always, [Copy; 6]),
        ];
        for (overwrite, wanted) in rows {
            for &consistency in ConsistencyCheck::ALL {
                let mut spec = spec();
                spec.rules.overwrite = overwrite;
                spec.rules.consistency = consistency;
                let decided = targets
                    .clone()
                    .map(|t| decide(&entry(1, Some(A), 5), t.as_ref(), &spec));
                assert_eq!(decided, wanted, "{overwrite:?} {consistency:?}");
            }
        }
    }

    #[test]
    fn an_object_of_unknown_length_is_never_identical() {
        let unmeasured = SourceObject::UnknownSize {
            key: Key::from("k"),
            last_modified: known_time(UnixMillis(5 * DAY)),
        };
        for &overwrite in OverwriteMode::ALL {
            let mut spec = spec();
            spec.rules.overwrite = overwrite;
            let wanted = match overwrite {
                OverwriteMode::Never => Decision::Skip(SkipReason::Exists),
                _ => Decision::Copy,
            };
            for target in [existing(0, None, 9), existing(1, Some(A), 9)] {
                assert_eq!(decide(&unmeasured, Some(&target), &spec), wanted, "{overwrite:?}");
            }
            assert_eq!(decide(&unmeasured, None, &spec), Decision::Copy, "{overwrite:?}");
            spec.migrate_since = Some(UnixMillis(5 * DAY));
            let older = Decision::Skip(SkipReason::Older);
            assert_eq!(decide(&unmeasured, None, &spec), older, "{overwrite:?}");
        }
    }

    #[test]
    fn a_time_is_no_proof_where_more_is_asked_for() {
        let rows = [(A, A, true), (A, M, false), (M, M, true), (M, N, false)];
        for minimum in [MinimumProof::Checksum, MinimumProof::ETag] {
            for (source, target, skipped) in rows {
                let mut spec = spec();
                spec.rules.minimum_proof = minimum;
                let decision = decide(
                    &entry(1, Some(source), 5),
                    Some(&existing(1, Some(target), 9)),
                    &spec,
                );
                assert_eq!(
                    decision != Decision::Copy,
                    skipped,
                    "{minimum:?} {source} {target}"
                );
            }
        }
    }

    #[test]
    fn tags_of_an_encrypting_target_are_not_compared() {
        let mut kms = spec();
        kms.kms = true;
        let target = existing(1, Some(B), 9);
        assert_eq!(
            decide(&entry(1, Some(A), 5), Some(&target), &kms),
            Decision::Skip(SkipReason::Identical)
        );
    }

    #[test]
    fn limits_come_first() {
        let mut with_prefix = spec();
        with_prefix.target_prefix = Key::from(vec![b'p'; 1024]);
        assert_eq!(
            decide(&entry(1, None, 5), None, &with_prefix),
            Decision::Refuse(RefuseReason::KeyTooLong)
        );
        assert_eq!(
            decide(&entry(MAX_OBJECT + 1, None, 5), None, &spec()),
            Decision::Refuse(RefuseReason::TooLarge)
        );
        let mut since = spec();
        since.migrate_since = Some(UnixMillis(5 * DAY));
        assert_eq!(
            decide(&entry(1, None, 5), None, &since),
            Decision::Skip(SkipReason::Older)
        );
        assert_eq!(decide(&entry(1, None, 6), None, &since), Decision::Copy);
        assert_eq!(decide(&entry(1, None, 0), None, &since), Decision::Copy);
    }

    #[test]
    fn limits_are_exact() {
        let copy = Decision::Copy;
        let too_long = Decision::Refuse(RefuseReason::KeyTooLong);
        let too_large = Decision::Refuse(RefuseReason::TooLarge);
        // Length of the prefix before the key `k`, size, decision.
        let rows = [
            (1_023, 1, copy),
            (1_024, 1, too_long),
            (0, 53_687_091_200_000, copy),
            (0, 53_687_091_200_001, too_large),
            (1_024, 53_687_091_200_001, too_long),
        ];
        for (prefix, size, wanted) in rows {
            let mut spec = spec();
            spec.target_prefix = Key::from(vec![b'p'; prefix]);
            assert_eq!(
                decide(&entry(size, None, 5), None, &spec),
                wanted,
                "{prefix} {size}"
            );
        }
    }

    #[test]
    fn an_unknown_source_time_proves_nothing() {
        // Tag of the source, tag of the target, decision: both times are unknown, or only the source's.
        let same = Decision::Skip(SkipReason::Identical);
        let rows = [
            (Some(A), Some(A), same),
            (Some(A), Some(M), Decision::Copy),
            (None, None, Decision::Copy),
        ];
        for (source, target, wanted) in rows {
            for day in [0, 9] {
                let decision = decide(&entry(1, source, 0), Some(&existing(1, target, day)), &spec());
                assert_eq!(decision, wanted, "{source:?} {target:?} {day}");
            }
        }
    }

    #[test]
    fn only_tags_that_look_like_hashes_can_be_what_differs() {
        use OverwriteMode as Mode;
        let default = Mode::SizeLastModifiedComparison;
        // Name, mode, the source's tag, the target's size, tag and day, answer.
        type Row = (
            &'static str,
            Mode,
            Option<&'static str>,
            (u64, Option<&'static str>, i64),
            bool,
        );
        let rows: [Row; 11] = [
            ("other hash", default, Some(A), (1, Some(B), 9), true),
            (
                "other hash, CRC-64 mode",
                Mode::Crc64Comparison,
                Some(A),
                (1, Some(B), 9),
                true,
            ),
            ("never overwritten", Mode::Never, Some(A), (1, Some(B), 9), false),
            (
                "always overwritten",
                Mode::Always,
                Some(A),
                (1, Some(B), 9),
                false,
            ),
            ("same hash", default, Some(A), (1, Some(A), 9), false),
            ("other size", default, Some(A), (2, Some(B), 9), false),
            ("older", default, Some(A), (1, Some(B), 4), false),
            ("source without a tag", default, None, (1, Some(B), 9), false),
            ("target without a tag", default, Some(A), (1, None, 9), false),
            ("source in parts", default, Some(M), (1, Some(B), 9), false),
            ("target in parts", default, Some(A), (1, Some(N), 9), false),
        ];
        for (name, overwrite, tag, (size, target, day), wanted) in rows {
            let mut spec = spec();
            spec.rules.overwrite = overwrite;
            let SourceObject::KnownSize(source) = entry(1, tag, 5) else {
                unreachable!("the helper knows the size")
            };
            assert_eq!(
                only_tags_differ(&source, &existing(size, target, day), &spec),
                wanted,
                "{name}"
            );
        }
    }

    #[test]
    fn reports_and_failures_name_each_reason() {
        let names = [SkipReason::Identical, SkipReason::Exists, SkipReason::Older].map(SkipReason::name);
        assert_eq!(names, ["identical", "exists", "older"]);
        let kind = NameKind::ALL[0];
        let codes = [
            RefuseReason::KeyTooLong,
            RefuseReason::TooLarge,
            RefuseReason::NameNotKept(kind),
        ]
        .map(RefuseReason::describe);
        assert_eq!(
            codes,
            [
                (
                    "KeyTooLongError",
                    "with the target prefix the key is longer than 1024 bytes"
                ),
                (
                    "EntityTooLarge",
                    "the object is larger than 10,000 parts of 5 GiB"
                ),
                ("NameNotKept", kind.describe()),
            ]
        );
    }
}
