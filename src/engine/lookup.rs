//! Finds out whether an object that a read does not find is really missing.
//!
//! A 404 alone proves nothing, whatever code it has: stores list objects that they cannot read, and proxies and other servers
//! in front of a store answer 404 too. An object counts as missing only if a fresh listing of just its key does not name it.

use std::sync::Arc;

use crate::engine::context::Context;
use crate::engine::decide::Existing;
use crate::engine::listing::pages;
use crate::engine::listing::pages::Pages;
use crate::engine::retry::{self, At as _, Pace, SideError, SideResult};
use crate::engine::shard::prior_count::NO_SUCH_KEY;
use crate::engine::source_object::SourceObject;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Entry, ListFrom, ListingEntry, ObjectInfo, SharedStore};
use crate::task::Key;

/// Maximum number of pages that are read to confirm one missing object.
const MAX_PAGES: usize = 10;

/// Characters that a listing may return encoded without saying so. A name with such a character may be another name at the
/// store, so a listing of just that name may show nothing.
const ENCODED: &[u8] = b"%+&";

/// Confirms that the source has no such object.
///
/// # Errors
/// Those of the listing, including `BucketNotFound`. `Unavailable` with the code `ListedButMissing` if the listing names the
/// object. `Unsupported` with the code `MissingNotConfirmed` if the listing is too long to confirm.
pub(super) async fn confirm(ctx: &Context, key: &Key) -> SideResult<()> {
    // URLs cannot be listed, so the status of the answer decides.
    if !ctx.has_one_source() {
        return Ok(());
    }
    confirm_below(ctx, key, key).await?;
    match before_encoded(key) {
        Some(prefix) => confirm_below(ctx, &prefix, key).await,
        None => Ok(()),
    }
}

/// The part of the key before the first character that may be encoded; `None` if there is no such character.
fn before_encoded(key: &Key) -> Option<Key> {
    let bytes = key.as_bytes();
    let at = bytes.iter().position(|byte| ENCODED.contains(byte))?;
    // The cut must not split a character, because the prefix is sent as text.
    let text = String::from_utf8_lossy(bytes.get(..at)?);
    Some(Key::from(text.trim_end_matches('\u{fffd}')))
}

async fn confirm_below(ctx: &Context, prefix: &Key, key: &Key) -> SideResult<()> {
    let mut search = Search::new(key);
    let source = Arc::clone(&ctx.source);
    let mut pages = Pages::new(
        source,
        ctx.tuning.pace,
        prefix.clone(),
        ListFrom::Start,
        (None, 0),
    );
    for _ in 0..MAX_PAGES {
        let Some(page) = pages.next().await.at_source()? else {
            return Ok(());
        };
        match search.page(page.iter().map(|listed| &listed.key)) {
            Found::Listed => {
                let text = "the source lists the object, but says that it does not exist";
                let error = Error::new(ErrorKind::Unavailable, text).with_code("ListedButMissing");
                return Err(SideError::source(error));
            }
            Found::Absent => return Ok(()),
            Found::NotYet => {}
        }
    }
    let text = "the source says that the object does not exist, and its listing is too long to confirm that";
    let error = Error::new(ErrorKind::Unsupported, text).with_code("MissingNotConfirmed");
    Err(SideError::source(error))
}

/// What the pages of a listing show about one key so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Listed,
    /// The listing is in order and already past the key.
    Absent,
    NotYet,
}

/// Looks for a key in the pages of a listing. Pure.
#[derive(Debug)]
struct Search<'a> {
    wanted: &'a Key,
    last: Option<Key>,
    ascends: bool,
}

impl<'a> Search<'a> {
    const fn new(wanted: &'a Key) -> Self {
        Self {
            wanted,
            last: None,
            ascends: true,
        }
    }

    fn page<'k>(&mut self, keys: impl Iterator<Item = &'k Key>) -> Found {
        for key in keys {
            if key == self.wanted {
                return Found::Listed;
            }
            self.ascends &= self.last.as_ref().is_none_or(|last| last < key);
            self.last = Some(key.clone());
        }
        let behind = self.last.as_ref().is_some_and(|last| last > self.wanted);
        if self.ascends && behind {
            Found::Absent
        } else {
            Found::NotYet
        }
    }
}

/// The entry of a key in a listing of just this key.
///
/// # Errors
/// Those of the listing.
pub(super) async fn listed(store: &SharedStore, pace: Pace, key: &Key) -> Result<Option<Entry>> {
    let page = pages::page(store, pace, key, &ListFrom::Start).await?;
    let found = page.entries.into_iter().find(|listed| listed.key == *key);
    Ok(found.and_then(ListingEntry::entry))
}

/// Adds the length from a listing to a HEAD answer without one, if both describe the same version.
pub(super) fn completed(info: ObjectInfo, listed: Option<Entry>) -> ObjectInfo {
    let same = |entry: &Entry| match (&entry.etag, &info.etag) {
        (Some(listed), Some(now)) => listed.same(now),
        _ => false,
    };
    match listed.filter(same) {
        Some(entry) => ObjectInfo {
            size: Some(entry.size),
            ..info
        },
        None => info,
    }
}

/// The error for a named object that is confirmed to be missing, with S3's code.
pub(super) fn no_such_key() -> Error {
    Error::new(ErrorKind::NotFound, "the object does not exist").with_code(NO_SUCH_KEY)
}

/// Finds the object that the source has under a key; `None` if it is confirmed to be missing.
pub(super) async fn find(ctx: &Context, key: &Key) -> SideResult<Option<SourceObject>> {
    let Some(info) = head(ctx.tuning.pace, &ctx.source, key).await.at_source()? else {
        confirm(ctx, key).await?;
        return Ok(None);
    };
    SourceObject::of(key.clone(), info, &ctx.task.spec)
        .map(Some)
        .at_source()
}

pub(super) async fn existing_at_target(ctx: &Context, key: &Key) -> SideResult<Option<Existing>> {
    let key = key.with_prefix(ctx.task.spec.target_prefix.as_bytes());
    let info = head(ctx.tuning.pace, &ctx.target, &key).await.at_target()?;
    let existing = |info: ObjectInfo| {
        Ok(Existing {
            size: info.require_size()?,
            etag: info.etag,
            last_modified: info.last_modified,
        })
    };
    info.map(existing).transpose().at_target()
}

/// Asks a store for a key and retries while that may help; `None` if it has no such object.
pub(super) async fn head(pace: Pace, store: &SharedStore, key: &Key) -> Result<Option<ObjectInfo>> {
    retry::run(pace, || async {
        match store.head(key, None).await {
            Ok(info) if info.size.is_some() => Ok(Some(info)),
            // The listing has the length that this answer lacks. If there is no listing, the length stays unknown.
            Ok(info) => {
                let listed = listed(store, pace, key).await.unwrap_or_default();
                Ok(Some(completed(info, listed)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_only_what_its_order_allows() {
        for (pages, wanted) in [
            (vec![vec!["k"]], Found::Listed),
            (vec![vec!["k/1", "k/2"]], Found::Absent),
            (vec![vec![]], Found::NotYet),
            (vec![vec!["a", "b"]], Found::NotYet),
            (vec![vec!["a", "b"], vec!["c", "l"]], Found::Absent),
            (vec![vec!["z", "b"]], Found::NotYet),
            (vec![vec!["z", "b"], vec!["y", "k"]], Found::Listed),
            (vec![vec!["a"], vec!["k"]], Found::Listed),
        ] {
            let key = Key::from("k");
            let mut search = Search::new(&key);
            let mut found = Found::NotYet;
            for page in &pages {
                let keys: Vec<Key> = page.iter().map(|key| Key::from(*key)).collect();
                found = search.page(keys.iter());
            }
            assert_eq!(found, wanted, "{pages:?}");
        }
    }

    #[test]
    fn a_name_that_may_be_encoded_is_also_looked_for_below_what_is_sure() {
        for (key, wanted) in [
            ("a b", None),
            ("ü", None),
            ("a%20b", Some("a")),
            ("dir/a+b%2F", Some("dir/a")),
            ("x&amp;y", Some("x")),
            ("%41", Some("")),
            ("ü%41", Some("ü")),
        ] {
            assert_eq!(before_encoded(&Key::from(key)), wanted.map(Key::from), "{key}");
        }
    }
}
