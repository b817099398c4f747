//! When an object was last written, as far as its store reports it: pure.

use crate::task::UnixMillis;

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// The time that a store reported, or `None` if it means nothing. A time before 2 January 1970 stands for "not known":
/// stores that have no time write the epoch (shifted by their time zone), the year 1 or the year 0, and no object store
/// is that old.
///
/// Source: lakeFS#1190 (year 1), s3mock#65 (1970), s3proxy#1093 (no time at all).
#[must_use]
pub const fn known_time(given: UnixMillis) -> Option<UnixMillis> {
    if given.0 < DAY { None } else { Some(given) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_mean_nothing_are_unknown() {
        for (name, given, known) in [
            ("year 0", -62_167_219_200_000, false),
            ("year 1", -62_135_596_800_000, false),
            ("one second before 1970", -1000, false),
            ("the epoch", 0, false),
            ("the epoch in a time zone behind it", 12 * 3_600_000, false),
            ("the epoch in a time zone ahead of it", -14 * 3_600_000, false),
            ("the second day", DAY, true),
            ("2006, when S3 began", 1_142_294_400_000, true),
            ("the year 9999", 253_402_300_799_000, true),
        ] {
            let time = UnixMillis(given);
            assert_eq!(known_time(time), known.then_some(time), "{name}");
        }
    }
}
