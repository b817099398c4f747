//! A store as a function from a request to a page, with the deviations of real stores from what S3 documents.

use std::cmp::Ordering;

use crate::engine::order::Order;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{EntryFacts, ListFrom, ListQuery, ListVersion, ListingEntry, PageFacts};
use crate::task::Key;

/// How a store deviates from what S3 documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Quirk {
    /// `IsTruncated` is always false, and there is no token.
    NeverTruncated,
    /// `IsTruncated` is left out, and there is no token.
    NoIsTruncated,
    /// There is no token, although there is more.
    NoToken,
    /// Any token leads to the first page.
    IgnoresTokens,
    /// A token leads back to the beginning of the page before the current one.
    RepeatsPages,
    /// A token leads three entries too early.
    Rewinds,
    /// The token is the last key, url-encoded, and is compared as it is.
    EncodedToken,
    /// `start-after` and `marker` begin with the key itself.
    Inclusive,
    /// `start-after` is ignored.
    IgnoresStartAfter,
    /// `start-after` is answered with an error.
    RefusesStartAfter,
    /// `marker` is ignored.
    IgnoresMarker,
    /// There is a `NextMarker` that is the first key of the next page.
    MarkerIsNext,
    /// There is a `NextMarker` in another encoding.
    MarkerEncoded,
    /// Version 2 is refused.
    RefusesV2,
    /// Version 2 is answered in the form of version 1.
    AnswersV1,
    /// Version 2 groups keys by `/`, and version 1 does not.
    Groups,
    /// Both versions group keys.
    GroupsAlways,
    /// `KeyCount` is 1,000 in version 2, and entries are left out.
    CountsMore,
    /// The prefix is ignored in version 2.
    IgnoresPrefix,
    /// The prefix is ignored.
    IgnoresPrefixAlways,
    /// All keys come in one page.
    OnePage,
    /// The last page has a token too.
    TokenAtTheEnd,
    /// It lists folder by folder.
    ByPath,
    /// Lists in an unknown order.
    ByLength,
    /// Every second page is empty.
    EmptyPages,
    /// `MaxKeys` says less than asked, and `IsTruncated` is always false.
    SmallPages,
}

use Quirk as Q;

#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) keys: Vec<String>,
    quirks: Vec<Quirk>,
    page: usize,
    pub(super) requests: usize,
}

impl Script {
    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    pub(super) fn new(keys: &[String], page: usize, quirks: &[Quirk]) -> Self {
        let mut keys = keys.to_vec();
        let order = if quirks.contains(&Q::ByPath) {
            Order::Path
        } else {
            Order::Bytes
        };
        keys.sort_by(|a, b| order.compare(a.as_bytes(), b.as_bytes()));
        if quirks.contains(&Q::ByLength) {
            keys.sort_by_key(|key| (key.len(), key.bytes().rev().collect::<Vec<_>>()));
        }
        Self {
            keys,
            quirks: quirks.to_vec(),
            page,
            requests: 0,
        }
    }

    /// Answers a request.
    pub(super) fn list(&mut self, query: &ListQuery) -> Result<(Vec<ListingEntry>, PageFacts)> {
        self.requests += 1;
        let second = query.version == ListVersion::V2;
        if second && self.has(Q::RefusesV2) {
            return Err(Error::new(ErrorKind::InvalidArgument, "list-type"));
        }
        let old = !second || self.has(Q::AnswersV1);
        let prefix = std::str::from_utf8(query.prefix.as_bytes()).unwrap();
        let free = self.has(Q::IgnoresPrefixAlways) || second && self.has(Q::IgnoresPrefix);
        let keys: Vec<String> = self
            .keys
            .iter()
            .filter(|key| free || key.starts_with(prefix))
            .cloned()
            .collect();
        // A key that does not exist has the place that it would have in the store's order.
        let place = |text: &str| {
            let found = keys.iter().position(|key| key == text).map(|at| at + 1);
            let order = if self.has(Q::ByPath) {
                Order::Path
            } else {
                Order::Bytes
            };
            found.unwrap_or_else(|| {
                keys.iter()
                    .filter(|key| order.compare(key.as_bytes(), text.as_bytes()) == Ordering::Less)
                    .count()
            })
        };
        let mut empty = false;
        let begin = match (&query.from, old) {
            (ListFrom::Start, _) => 0,
            (ListFrom::After(_), false) if self.has(Q::RefusesStartAfter) => {
                return Err(Error::new(ErrorKind::Unavailable, "start-after"));
            }
            (ListFrom::After(_), false) if self.has(Q::IgnoresStartAfter) => 0,
            // A store that treats version 2 as version 1 knows neither parameter.
            (ListFrom::After(_) | ListFrom::Token(_), true) if second => 0,
            (ListFrom::After(_) | ListFrom::Token(_), true) if self.has(Q::IgnoresMarker) => 0,
            (ListFrom::After(key), _) if self.has(Q::Inclusive) => {
                let key = std::str::from_utf8(key.as_bytes()).unwrap();
                place(key).saturating_sub(usize::from(keys.iter().any(|other| other == key)))
            }
            (ListFrom::After(key), _) => place(std::str::from_utf8(key.as_bytes()).unwrap()),
            (ListFrom::Token(text), true) => place(text),
            (ListFrom::Token(_), false) if self.has(Q::IgnoresTokens) => 0,
            (ListFrom::Token(text), false) if self.has(Q::EncodedToken) => place(text),
            (ListFrom::Token(text), false) => {
                let text = text.strip_prefix("t").unwrap();
                empty = text.ends_with('!');
                let at: usize = text.trim_end_matches('!').parse().unwrap();
                match () {
                    () if self.has(Q::RepeatsPages) => at.saturating_sub(2 * self.page),
                    () if self.has(Q::Rewinds) => at.saturating_sub(3),
                    () => at,
                }
            }
        };
        let page = if self.has(Q::OnePage) {
            usize::MAX
        } else {
            self.page
        };
        let end = if empty {
            begin
        } else {
            begin.saturating_add(page).min(keys.len())
        };
        let more = end < keys.len();
        let mut entries: Vec<ListingEntry> = keys[begin..end].iter().map(|key| line(key)).collect();
        let encode = |key: &str| key.replace('%', "%25").replace(' ', "%20");
        let token = match end {
            end if self.has(Q::EncodedToken) => encode(&keys[end - 1]),
            end if self.has(Q::EmptyPages) && !empty => format!("t{end}!"),
            end => format!("t{end}"),
        };
        let mut facts = PageFacts {
            truncated: Some(more),
            token: (more && !old || self.has(Q::TokenAtTheEnd)).then_some(token),
            key_count: (!old).then_some(entries.len() as u64),
            max_keys: Some(1000),
            version_1: old,
            ..PageFacts::default()
        };
        if old && more && self.has(Q::MarkerIsNext) {
            facts.marker = Some(keys[end].clone());
        }
        if old && more && self.has(Q::MarkerEncoded) {
            facts.marker = Some(encode(&keys[end - 1]));
        }
        if self.has(Q::NeverTruncated) || self.has(Q::SmallPages) {
            (facts.truncated, facts.token) = (Some(false), None);
        }
        if self.has(Q::SmallPages) {
            facts.max_keys = Some(self.page as u64);
        }
        if self.has(Q::NoIsTruncated) {
            (facts.truncated, facts.token) = (None, None);
        }
        if self.has(Q::NoToken) {
            facts.token = None;
        }
        if self.has(Q::GroupsAlways) || second && self.has(Q::Groups) {
            let all = entries.len();
            entries.retain(|line| !line.key.as_bytes().contains(&b'/'));
            facts.common_prefixes = u64::from(entries.len() < all);
        }
        if second && self.has(Q::CountsMore) {
            facts.key_count = Some(1000);
            entries.truncate(entries.len() / 2);
        }
        Ok((entries, facts))
    }
}

pub(super) fn line(key: &str) -> ListingEntry {
    ListingEntry {
        key: Key::from(key),
        facts: EntryFacts::Object {
            size: 1,
            etag: None,
            last_modified: None,
        },
    }
}
