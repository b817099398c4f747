//! Where the rest of a manifest can be cut: at lines that divide its bytes evenly.

use futures_util::future::join_all;

use crate::engine::context::Context;
use crate::engine::listing::manifest::{ManifestReadError, Reader, list_store};
use crate::engine::listing::range::Snapshot;
use crate::task::Key;
use crate::task::spec::Manifest;

/// Fewest bytes between two cuts: some hundred lines. Less does not pay for another shard.
const FEWEST_BYTES: u64 = 16 << 10;
/// Bytes that are read to find the next line.
const LOOK: u64 = 4 << 10;

/// Looks for up to `wanted` cuts, in ascending order. None if the file was changed: its feed notices that, too.
///
/// # Errors
/// Those of reading the file, after retries.
pub(in crate::engine) async fn cuts(
    ctx: &Context,
    file: &Manifest,
    from: &Snapshot,
    wanted: usize,
) -> Result<Vec<Key>, ManifestReadError> {
    let store = list_store(ctx)?;
    let opened = Reader::open(store, ctx.tuning.pace, file, Some(&from.listed)).await;
    let (reader, listed) = match opened {
        Ok(opened) => opened,
        Err(ManifestReadError::Changed) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let end = match &from.until {
        Some(until) => Reader::line_start(until)?,
        None => reader.size(),
    };
    let offsets = divide(listed.unwrap_or_default(), end, wanted);
    let lines = offsets.into_iter().map(|offset| reader.line_after(offset, LOOK));
    let mut cuts = Vec::new();
    for found in join_all(lines).await {
        match found {
            Ok(Some(cut)) if cuts.last() != Some(&cut) => cuts.push(cut),
            Ok(_) | Err(ManifestReadError::Changed) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(cuts)
}

/// Up to `wanted` positions that divide the bytes from `begin` to `end` evenly.
fn divide(begin: u64, end: u64, wanted: usize) -> Vec<u64> {
    let bytes = end.saturating_sub(begin);
    let pieces = (bytes / FEWEST_BYTES).min(wanted as u64 + 1);
    (1..pieces).map(|piece| begin + bytes / pieces * piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_file_is_divided_evenly() {
        const PIECE: u64 = FEWEST_BYTES;
        for (name, begin, end, wanted, offsets) in [
            ("nothing is left", 10, 10, 3, &[][..]),
            ("an end before the beginning", 10, 5, 3, &[]),
            ("too little for two", 0, 2 * PIECE - 1, 3, &[]),
            ("enough for two", 0, 2 * PIECE, 3, &[PIECE]),
            (
                "as many as wanted",
                100,
                100 + 8 * PIECE,
                3,
                &[100 + 2 * PIECE, 100 + 4 * PIECE, 100 + 6 * PIECE],
            ),
            ("none wanted", 0, 8 * PIECE, 0, &[]),
        ] {
            assert_eq!(divide(begin, end, wanted), offsets, "{name}");
        }
    }
}
