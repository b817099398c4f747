//! Pages of a listing: the next keys and common prefixes, and the faults that change their order.

use std::ops::Bound;

use super::bucket::{Bucket, ListOrder};
use super::marks::ListingFault;
use super::object::Object;

/// One line of a listing.
#[derive(Debug)]
pub(super) enum Entry {
    Object(String, Object),
    Prefix(String),
}

impl Entry {
    fn key(&self) -> &str {
        match self {
            Self::Object(key, _) | Self::Prefix(key) => key,
        }
    }
}

/// One page of a listing.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    pub(super) truncated: bool,
}

impl Page {
    /// The key or common prefix after which to continue.
    pub(super) fn last(&self) -> Option<&str> {
        self.entries.last().map(Entry::key)
    }

    /// Whether it has no entries.
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the next page begins. It also applies the fault to the page.
    pub(super) fn next(&mut self, after: &str, fault: Option<ListingFault>) -> Option<String> {
        match fault {
            None
            | Some(
                ListingFault::FromStart
                | ListingFault::RefuseStart
                | ListingFault::NoSizes
                | ListingFault::EmptyIsMissing
                | ListingFault::OnePage,
            ) => {}
            Some(ListingFault::Last) => {
                self.truncated = false;
                return None;
            }
            Some(ListingFault::Rewind(count)) => {
                let kept = self.entries.len().checked_sub(count + 1);
                let at = kept.map(|index| self.entries[index].key().to_owned());
                // An empty token would mean that there is none.
                let at = at.unwrap_or_else(|| match after {
                    "" => "\0".to_owned(),
                    after => after.to_owned(),
                });
                return self.truncated.then_some(at);
            }
            Some(ListingFault::Empty) => {
                self.entries.clear();
                self.truncated = true;
                // Another token for the same position.
                return Some(format!("{after}\0"));
            }
            Some(ListingFault::Reverse) => {
                let next = self.last().filter(|_| self.truncated).map(ToOwned::to_owned);
                self.entries.reverse();
                return next;
            }
        }
        self.last().filter(|_| self.truncated).map(ToOwned::to_owned)
    }
}

/// The part of `key` up to the first delimiter after the prefix.
fn common_prefix<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(prefix)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end)
}

/// Where the keys after everything below `prefix` begin; `None` if there can be none.
fn after_subtree(mut prefix: Vec<u8>) -> Option<Bound<Vec<u8>>> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return Some(Bound::Included(prefix));
        }
    }
    None
}

/// The page of at most `max` entries after `after`, a key or a common prefix that was already listed.
pub(super) fn page(
    bucket: &Bucket,
    order: ListOrder,
    prefix: &str,
    delimiter: Option<&str>,
    after: &str,
    max: usize,
) -> Page {
    let mut page = Page::default();
    if max == 0 {
        return page;
    }
    let prefix_key = order.sort_key(prefix);
    let after_key = order.sort_key(after);
    let mut from = if after.is_empty() || after_key < prefix_key {
        Some(Bound::Included(prefix_key.clone()))
    } else if common_prefix(after, prefix, delimiter) == Some(after) {
        after_subtree(after_key)
    } else {
        Some(Bound::Excluded(after_key))
    };
    while let Some(bound) = from {
        let range = (bound.as_ref().map(Vec::as_slice), Bound::Unbounded);
        let Some((sort_key, object)) = bucket.objects.range::<[u8], _>(range).next() else {
            break;
        };
        if !sort_key.starts_with(&prefix_key) {
            break;
        }
        if page.entries.len() == max {
            page.truncated = true;
            break;
        }
        let key = order.key(sort_key);
        if let Some(common) = common_prefix(&key, prefix, delimiter) {
            from = after_subtree(order.sort_key(common));
            page.entries.push(Entry::Prefix(common.to_owned()));
        } else {
            from = Some(Bound::Excluded(sort_key.clone()));
            page.entries.push(Entry::Object(key, object.clone()));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::SandboxObject;

    fn walk(
        order: ListOrder,
        keys: &[&str],
        prefix: &str,
        delimiter: Option<&str>,
        max: usize,
    ) -> Vec<String> {
        let mut bucket = Bucket::default();
        for key in keys {
            bucket
                .objects
                .insert(order.sort_key(key), SandboxObject::new("").into());
        }
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let page = page(&bucket, order, prefix, delimiter, &after, max);
            assert!(page.entries.len() <= max);
            found.extend(page.entries.iter().map(|entry| match entry {
                Entry::Object(key, _) => key.clone(),
                Entry::Prefix(prefix) => format!("{prefix}*"),
            }));
            let Some(last) = page.last().filter(|_| page.truncated) else {
                return found;
            };
            after = last.to_owned();
        }
    }

    #[test]
    fn pages_of_any_size_make_the_same_listing() {
        let keys = ["a", "a!", "a/", "a/b-", "a/b/3", "a/b/4", "a0", "b//c", "b/c"];
        for max in 1..10 {
            assert_eq!(walk(ListOrder::Bytes, &keys, "", None, max), keys);
            assert_eq!(
                walk(ListOrder::Path, &keys, "", None, max),
                ["a", "a/", "a/b/3", "a/b/4", "a/b-", "a!", "a0", "b//c", "b/c"]
            );
            assert_eq!(
                walk(ListOrder::Bytes, &keys, "", Some("/"), max),
                ["a", "a!", "a/*", "a0", "b/*"]
            );
            assert_eq!(
                walk(ListOrder::Path, &keys, "", Some("/"), max),
                ["a", "a/*", "a!", "a0", "b/*"]
            );
            assert_eq!(
                walk(ListOrder::Bytes, &keys, "a/", Some("/"), max),
                ["a/", "a/b-", "a/b/*"]
            );
            assert_eq!(
                walk(ListOrder::Path, &keys, "b/", Some("/"), max),
                ["b//*", "b/c"]
            );
            assert_eq!(walk(ListOrder::Bytes, &keys, "c", None, max), [""; 0]);
        }
    }
}
