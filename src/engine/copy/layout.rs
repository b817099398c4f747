//! How a large object is divided into parts, within the limits of S3. Pure.

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
            // After a stop such an object is read again from its beginning. For larger objects that would cost too much.
            whole: 512 << 20,
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
        && u64::from(count) <= MAX_PARTS
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

    const THRESHOLD: u64 = 64 << 20;

    fn layout(size: u64, source_part: Option<(u64, u32)>) -> Layout {
        super::layout(Sizes::default(), size, source_part)
    }

    #[test]
    fn parts_grow_with_the_object() {
        assert_eq!(layout(THRESHOLD + 1, None).part_size, 16 << 20);
        let huge = layout(5 << 40, None);
        assert!(u64::from(huge.count) <= MAX_PARTS && huge.part_size > 16 << 20);
        assert_eq!(
            layout(100 << 20, Some((8 << 20, 13))).boundaries,
            Boundaries::Source
        );
        for odd in [(100 << 20, 14), (1 << 20, 100), (8 << 20, 12)] {
            assert_eq!(
                layout(100 << 20, Some(odd)).boundaries,
                Boundaries::Own,
                "{odd:?}"
            );
        }
        // A store that knows no part numbers returns the whole size.
        for (count, part_size) in [(13, 8), (7, 16), (20, 5), (2, 50)] {
            let layout = layout(100 << 20, Some((100 << 20, count)));
            assert_eq!(
                (layout.boundaries, layout.part_size, layout.count),
                (Boundaries::Guessed, part_size << 20, count)
            );
        }
    }

    proptest! {
        #[test]
        fn parts_cover_every_byte_once(size in THRESHOLD + 1..crate::engine::decide::MAX_OBJECT, source in any::<Option<(u64, u32)>>()) {
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
