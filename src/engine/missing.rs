//! Whether an object that a read does not find is really not there.
//!
//! The answer to a HEAD has no document, and whatever stands in for a store answers 404 too. Neither is told from an object
//! that somebody deleted, so a listing is asked before one counts as gone.

use super::copy::one_source;
use super::retry::{At as _, Attempt, Trouble};
use super::{Context, list};
use crate::error::{Error, ErrorKind};
use crate::object::ListFrom;
use crate::task::Key;

/// Makes sure that the source has no such object.
///
/// # Errors
/// Those of the listing, of which `BucketNotFound` is one; `Unavailable` when it names the object all the same, which may
/// be true of one object for a moment, or of all behind a server that is no store.
pub(super) async fn confirm(ctx: &Context, key: &Key) -> Attempt<()> {
    // Addresses cannot be listed: there the status is all there is.
    if !one_source(ctx) {
        return Ok(());
    }
    let page = list::page(&ctx.source, ctx.tuning.pace, key, &ListFrom::Start)
        .await
        .at_source()?;
    if page.entries.iter().any(|entry| entry.key == *key) {
        let text = "the source lists the object and says that it is not there";
        let error = Error::new(ErrorKind::Unavailable, text).with_code("ListedButMissing");
        return Err(Trouble::source(error));
    }
    Ok(())
}

/// Whether the source itself named the object, rather than something that only answered 404.
pub(super) fn is_told(error: &Error) -> bool {
    matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion"))
}
