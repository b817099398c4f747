//! How a large object is divided into parts, within the limits of S3. Pure.

use std::time::Duration;

/// Maximum number of parts of an upload (S3).
pub const MAX_PARTS: u64 = 10_000;
/// Largest part (S3).
const MAX_PART: u64 = 5 << 30;

/// Which objects are divided into parts, and how large the parts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Objects above this many bytes are uploaded in parts.
    pub threshold: u64,
    /// Smallest part, except for the last.
    pub smallest: u64,
    /// Part size when nothing else decides.
    pub usual: u64,
    /// Objects above the threshold, up to this many bytes, are still sent in one piece if their ETag is the MD5 of all their
    /// bytes. Only then can the target prove them with the source's hash.
    pub whole: u64,
    /// How long such an object may take in one piece. If it takes longer, it is sent in parts.
    pub whole_time: Duration,
    /// Bytes that a sequential copy keeps in memory and sends as one part. Not less than `smallest`.
    pub piece: usize,
    /// Maximum number of pieces of such a copy.
    pub pieces: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            threshold: 64 << 20,
            // The limit of S3.
            smallest: 5 << 20,
            usual: 16 << 20,
            whole: 512 << 20,
            // After a stop such an object is read again from its beginning.
            whole_time: Duration::from_secs(4),
            piece: 8 << 20,
            pieces: MAX_PARTS,
        }
    }
}

/// How an object is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of each part except the last.
    pub part_size: u64,
    /// Number of parts.
    pub count: u32,
    /// Where the part boundaries come from. With the source's own boundaries both ETags must become equal.
    pub boundaries: Boundaries,
}

/// Where the part boundaries of a layout come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundaries {
    /// From the upload of the source.
    Source,
    /// Guessed from the number of the source's parts, because its store does not report their size.
    Guessed,
    /// Chosen here.
    Own,
}

/// Largest object of one PUT or one copy inside a store (S3).
pub const MAX_PUT: u64 = 5 << 30;

/// Divides an object of `size` bytes. `source_part` is the size of the source's first part, as reported by its store, and the
/// number of parts, if the source was uploaded in parts.
#[must_use]
pub fn layout(sizes: Sizes, size: u64, source_part: Option<(u64, u32)>) -> Layout {
    // A source may have more parts than an upload may have.
    let source_part = source_part.filter(|(_, count)| u64::from(*count) <= MAX_PARTS);
    if let Some((part_size, count)) = source_part
        && (sizes.smallest..=MAX_PART).contains(&part_size)
        && size.div_ceil(part_size) == u64::from(count)
    {
        return Layout {
            part_size,
            count,
            boundaries: Boundaries::Source,
        };
    }
    if let Some((_, count)) = source_part
        && let Some(part_size) = guess(sizes, size, count)
    {
        return Layout {
            part_size,
            count,
            boundaries: Boundaries::Guessed,
        };
    }
    let enough = size.div_ceil(MAX_PARTS);
    let part_size = if enough <= sizes.usual {
        sizes.usual
    } else {
        enough.next_multiple_of(1 << 20).min(MAX_PART)
    };
    let count = u32::try_from(size.div_ceil(part_size)).unwrap_or(u32::MAX);
    Layout {
        part_size,
        count,
        boundaries: Boundaries::Own,
    }
}

/// Default part sizes of common uploaders in MiB: the AWS CLI and SDKs, mc, rclone, s3cmd, s5cmd and the consoles of clouds.
/// The most common sizes come first.
const USUAL: [u64; 14] = [8, 16, 5, 15, 10, 50, 64, 100, 32, 20, 128, 256, 512, 1024];

/// The default part size with which an uploader would have made this number of parts.
fn guess(sizes: Sizes, size: u64, count: u32) -> Option<u64> {
    let usual = USUAL.into_iter().map(|mib| mib << 20);
    std::iter::once(sizes.usual)
        .chain(usual)
        .find(|part_size| *part_size >= sizes.smallest && size.div_ceil(*part_size) == u64::from(count))
}

impl Layout {
    /// First byte and length of part `number` (from 1) of an object of `size` bytes.
    #[must_use]
    pub fn range(&self, size: u64, number: u32) -> (u64, u64) {
        let offset = self.part_size * u64::from(number.saturating_sub(1));
        (offset, self.part_size.min(size.saturating_sub(offset)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const THRESHOLD: u64 = 64 * MIB;

    fn layout(size: u64, source_part: Option<(u64, u32)>) -> Layout {
        super::layout(Sizes::default(), size, source_part)
    }

    #[test]
    fn the_limits_are_those_of_s3() {
        assert_eq!(
            (MAX_PARTS, MAX_PART, MAX_PUT),
            (10_000, 5_368_709_120, 5_368_709_120)
        );
        let wanted = Sizes {
            threshold: 67_108_864,
            smallest: 5_242_880,
            usual: 16_777_216,
            whole: 536_870_912,
            whole_time: Duration::from_secs(4),
            piece: 8_388_608,
            pieces: 10_000,
        };
        assert_eq!(Sizes::default(), wanted);
    }

    #[test]
    fn parts_are_those_of_the_source_where_an_upload_may_have_them() {
        use Boundaries::{Guessed, Own, Source};
        // Where the store knows no part numbers, the size of the first part is that of the object.
        let rows = [
            ("as uploaded", 100 * MIB, (8 * MIB, 13), (8 * MIB, 13, Source)),
            (
                "last part of one byte",
                104 * MIB + 1,
                (8 * MIB, 14),
                (8 * MIB, 14, Source),
            ),
            ("one part too many", 100 * MIB, (8 * MIB, 14), (16 * MIB, 7, Own)),
            ("one part too few", 100 * MIB, (8 * MIB, 12), (16 * MIB, 7, Own)),
            ("smallest parts", 100 * MIB, (5 * MIB, 20), (5 * MIB, 20, Source)),
            (
                "one byte smaller",
                100 * MIB - 20,
                (5 * MIB - 1, 20),
                (5 * MIB, 20, Guessed),
            ),
            ("much smaller", 100 * MIB, (MIB, 100), (16 * MIB, 7, Own)),
            ("largest parts", 10 * GIB, (5 * GIB, 2), (5 * GIB, 2, Source)),
            (
                "one byte larger",
                10 * GIB + 2,
                (5 * GIB + 1, 2),
                (16 * MIB, 641, Own),
            ),
            (
                "most parts",
                80_000 * MIB,
                (8 * MIB, 10_000),
                (8 * MIB, 10_000, Source),
            ),
            (
                "one more than most",
                80_008 * MIB,
                (8 * MIB, 10_001),
                (16 * MIB, 5_001, Own),
            ),
            (
                "most parts, guessed",
                80_000 * MIB,
                (80_000 * MIB, 10_000),
                (8 * MIB, 10_000, Guessed),
            ),
            (
                "one more, not guessed",
                80_008 * MIB,
                (80_008 * MIB, 10_001),
                (16 * MIB, 5_001, Own),
            ),
            (
                "guessed, ours goes first",
                100 * MIB,
                (100 * MIB, 7),
                (16 * MIB, 7, Guessed),
            ),
            (
                "guessed, common goes first",
                64 * MIB + 1,
                (64 * MIB + 1, 2),
                (50 * MIB, 2, Guessed),
            ),
            ("no common size", 100 * MIB, (100 * MIB, 99), (16 * MIB, 7, Own)),
        ];
        for (name, size, source, (part_size, count, boundaries)) in rows {
            let wanted = Layout {
                part_size,
                count,
                boundaries,
            };
            assert_eq!(layout(size, Some(source)), wanted, "{name}");
        }
    }

    #[test]
    fn default_part_sizes_of_uploaders_are_guessed() {
        for mib in [5, 8, 10, 15, 16, 20, 32, 50, 64, 100, 128, 256, 512, 1024] {
            let size = 1_000 * mib * MIB;
            let found = layout(size, Some((size, 1_000)));
            assert_eq!(
                (found.part_size, found.boundaries),
                (mib * MIB, Boundaries::Guessed)
            );
        }
        // Of the default sizes only 10 MiB gives ten parts.
        let of = |sizes: Sizes| super::layout(sizes, 100 * MIB, Some((100 * MIB, 10)));
        for (name, smallest, usual, wanted) in [
            (
                "as small as allowed",
                10 * MIB,
                16 * MIB,
                (10 * MIB, Boundaries::Guessed),
            ),
            (
                "smaller than allowed",
                10 * MIB + 1,
                16 * MIB,
                (16 * MIB, Boundaries::Own),
            ),
            (
                "what is usual here goes first",
                5 * MIB,
                11 * MIB,
                (11 * MIB, Boundaries::Guessed),
            ),
        ] {
            let found = of(Sizes {
                smallest,
                usual,
                ..Sizes::default()
            });
            assert_eq!((found.part_size, found.boundaries), wanted, "{name}");
        }
    }

    #[test]
    fn parts_grow_with_the_object() {
        for (name, size, part_size, count) in [
            ("just above the threshold", THRESHOLD + 1, 16 * MIB, 5),
            ("all parts full", 160 * MIB, 16 * MIB, 10),
            ("one byte more", 160 * MIB + 1, 16 * MIB, 11),
            ("most parts of the usual size", 160_000 * MIB, 16 * MIB, 10_000),
            ("one byte more than those", 160_000 * MIB + 1, 17 * MIB, 9_412),
            (
                "largest object",
                crate::engine::decide::MAX_OBJECT,
                5 * GIB,
                10_000,
            ),
        ] {
            let wanted = Layout {
                part_size,
                count,
                boundaries: Boundaries::Own,
            };
            assert_eq!(layout(size, None), wanted, "{name}");
        }
    }

    #[test]
    fn each_part_has_its_range() {
        let parts = Layout {
            part_size: 10,
            count: 3,
            boundaries: Boundaries::Own,
        };
        for (name, size, number, wanted) in [
            ("first", 25, 1, (0, 10)),
            ("second", 25, 2, (10, 10)),
            ("short last", 25, 3, (20, 5)),
            ("last of one byte", 21, 3, (20, 1)),
            ("full last", 30, 3, (20, 10)),
            ("behind the end", 30, 4, (30, 0)),
        ] {
            assert_eq!(parts.range(size, number), wanted, "{name}");
        }
    }

    proptest! {
        #[test]
        fn parts_cover_every_byte_once(
            size in THRESHOLD + 1..crate::engine::decide::MAX_OBJECT,
            anything in any::<Option<(u64, u32)>>(),
            part_size in MIB..=MAX_PART,
        ) {
            let fitting = u32::try_from(size.div_ceil(part_size)).ok().map(|count| (part_size, count));
            for source in [anything, fitting] {
                let layout = layout(size, source);
                prop_assert!(u64::from(layout.count) <= MAX_PARTS && layout.count > 0);
                prop_assert!(layout.part_size >= Sizes::default().smallest && layout.part_size <= MAX_PART);
                let (offset, length) = layout.range(size, layout.count);
                prop_assert!(length > 0);
                prop_assert_eq!(offset + length, size);
                prop_assert_eq!(layout.range(size, 1).0, 0);
            }
        }
    }
}
