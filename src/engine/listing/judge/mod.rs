//! Checks every page of a listing against its request. Pure.
//!
//! Stores differ in how they answer a request for a page. Some say that a full page is the last one, ignore where the page
//! should begin, repeat pages, group keys, or refuse one of the two versions of the call. An object that is missing from a
//! listing would be taken for absent. So a page that does not match its request is requested again in another way:
//!
//! 1. after the last page's token (version 2),
//! 2. after the last key, with `start-after` (version 2),
//! 3. after the last key, with `marker` (version 1),
//! 4. from the first key on, leaving out what was passed on before.
//!
//! If no other way is left, the listing ends with an error that says what is wrong. A page that is full and says that it is the
//! last one costs one more request. A store that behaves as S3 documents gets no other additional requests.

mod errors;
mod line_order;
mod page;
mod positions;
mod skip;

use std::collections::HashSet;

use self::errors::{stuck, wrong};
use self::line_order::LineOrder;
pub(super) use self::page::Next;
use self::page::{Check, MAX_EMPTY_PAGES, MAX_LONG_KEYS, Page, Tokens, Unanswered, WAYS};
use self::positions::Positions;
use self::skip::ReplaySkip;
use crate::engine::listing::range::Range;
use crate::error::{Error, ErrorKind, Result};
use crate::object::{
    EntryFacts, ListFrom, ListQuery, ListVersion, ListingEntry, PAGE_SIZE, PageFacts, is_encoding_of,
};
use crate::task::Key;

/// One listing from its first page to its last.
#[derive(Debug)]
pub(super) struct Walk {
    prefix: Key,
    version: ListVersion,
    /// The version to begin with.
    usual: ListVersion,
    from: ListFrom,
    /// The key after which the listing began.
    begin: Option<Key>,
    /// First key of the first page.
    first: Option<Key>,
    /// Last key that was passed on, or left out because it was passed on before.
    last: Option<Key>,
    /// The keys of the last piece, at most as many as a page has.
    recent: Vec<Key>,
    order: LineOrder,
    /// Whether a token led to a wrong page.
    tokens: Tokens,
    positions: Positions,
    /// First keys of pages.
    beginnings: Positions,
    /// Entries of the largest page that was followed by another one.
    largest: u64,
    empty_pages: u32,
    long_keys: u32,
    /// Set while the walk checks whether anything follows a page that says that it is the last one.
    check: Option<Check>,
    skip: Option<ReplaySkip>,
    /// Number of ways tried since the last key was passed on.
    ways: u32,
    page: Page,
}

impl Walk {
    /// The listing of all keys that begin with `prefix`, from `from` on, requested in `version` first.
    pub(super) fn new(prefix: Key, from: ListFrom, version: ListVersion) -> Self {
        let begin = match &from {
            ListFrom::After(key) => Some(key.clone()),
            ListFrom::Start | ListFrom::Token(_) => None,
        };
        Self {
            prefix,
            version,
            usual: version,
            from,
            begin,
            first: None,
            last: None,
            recent: Vec::new(),
            order: LineOrder::default(),
            tokens: Tokens::Trusted,
            positions: Positions::default(),
            beginnings: Positions::default(),
            largest: 0,
            empty_pages: 0,
            long_keys: 0,
            check: None,
            skip: None,
            ways: 1,
            page: Page::default(),
        }
    }

    /// The request for the next page.
    pub(super) fn query(&mut self) -> ListQuery {
        self.page = Page::default();
        ListQuery {
            prefix: self.prefix.clone(),
            from: self.from.clone(),
            version: self.version,
            limit: PAGE_SIZE,
        }
    }

    /// Checks the next entries of the page.
    ///
    /// # Errors
    /// `Integrity` if the request does not ask for these entries.
    pub(super) fn look_at(&mut self, piece: &[ListingEntry]) -> Result<()> {
        let prefix = self.prefix.as_bytes();
        let stray = piece.iter().find(|line| !line.key.as_bytes().starts_with(prefix));
        if let Some(ListingEntry { key, .. }) = stray {
            return Err(wrong(format!(
                "the listing names {key:?}, which is outside the requested prefix"
            )));
        }
        let mut before = self.page.last.as_ref();
        for line in piece {
            if let Some(before) = before {
                self.order.note(before.as_bytes(), line.key.as_bytes());
            }
            before = Some(&line.key);
            if matches!(line.facts, EntryFacts::KeyTooLong { .. }) {
                self.long_keys += 1;
            }
        }
        if let (0, Some(ListingEntry { key, .. })) = (self.page.lines, piece.first())
            && (self.begins_too_early(key) || self.names_where_it_begins(piece))
        {
            let asked = self.position().or(self.last.as_ref()).unwrap_or(&self.prefix);
            return Err(wrong(format!(
                "the listing was asked for keys after {asked:?}, but begins with {key:?}"
            )));
        }
        if self.long_keys > MAX_LONG_KEYS {
            let text = format!("the listing names more than {MAX_LONG_KEYS} keys of more than 1024 bytes");
            return Err(wrong(text));
        }
        if self.page.first.is_none() {
            self.page.first = piece.first().map(|line| line.key.clone());
        }
        self.page.last = piece
            .last()
            .map(|line| line.key.clone())
            .or(self.page.last.take());
        self.page.lines += piece.len() as u64;
        Ok(())
    }

    /// Removes from the next entries of the page what was passed on before.
    pub(super) fn settle(&mut self, piece: &mut Vec<ListingEntry>) {
        let Some(first) = piece.first().map(|line| line.key.clone()) else {
            return;
        };
        let last = piece.last().map(|line| line.key.clone());
        let keys: Vec<Key> = piece.iter().map(|line| line.key.clone()).collect();
        if self.page.settled == 0 {
            if self.position() == Some(&first) {
                piece.remove(0);
            }
            self.page.before = self.last.take();
            self.page.recent = std::mem::take(&mut self.recent);
        }
        // A page that begins too early repeats keys of the page before.
        if self
            .page
            .before
            .as_ref()
            .is_some_and(|before| !self.order.behind(before, &first))
        {
            let recent: HashSet<&[u8]> = self.page.recent.iter().map(Key::as_bytes).collect();
            piece.retain(|line| !recent.contains(line.key.as_bytes()));
        }
        if let Some(skip) = &mut self.skip {
            self.page.skips = true;
            if skip.leave_out(piece, &self.order) {
                self.skip = None;
            }
        }
        self.first.get_or_insert(first);
        self.last = last;
        self.page.settled += keys.len() as u64;
        self.page.fresh += piece.len() as u64;
        self.recent = keys;
    }

    /// Checks the page as a whole. Its last piece must not be settled yet.
    ///
    /// # Errors
    /// `Integrity` if the page hides something or answers another request.
    pub(super) fn weigh(&self, facts: &PageFacts) -> Result<()> {
        if facts.common_prefixes > 0 {
            let text = "the listing groups keys into common prefixes, although no delimiter was asked for";
            return Err(wrong(text));
        }
        let lines = self.page.lines;
        if facts.key_count.is_some_and(|count| count > lines) {
            let count = facts.key_count.unwrap_or_default();
            return Err(wrong(format!(
                "the listing says that it has {count} keys, and names {lines}"
            )));
        }
        if self.is_old(facts) && self.from != ListFrom::Start {
            let text = "the store answers a version 2 listing as version 1";
            return Err(Error::new(ErrorKind::Unsupported, text).with_code("ListObjectsV2Unsupported"));
        }
        Ok(())
    }

    /// Whether the store answers version 2 as version 1.
    pub(super) fn is_old(&self, facts: &PageFacts) -> bool {
        self.version == ListVersion::V2 && facts.version_1
    }

    /// Decides what follows a page whose entries are all settled.
    ///
    /// # Errors
    /// `Integrity` for a listing that does not advance, or that does not say where it continues.
    pub(super) fn next(&mut self, facts: PageFacts) -> Result<Next> {
        if self.is_old(&facts) {
            self.version = ListVersion::V1;
            self.usual = ListVersion::V1;
        }
        if self.page.fresh > 0 {
            self.ways = 1;
        }
        let lines = self.page.lines;
        let checked = self.check.take();
        let position = facts.token.as_ref().or(facts.marker.as_ref()).is_some();
        if !facts.truncated.unwrap_or(position) {
            // An empty page that does not say whether it is the last one is believed only if the page before did not say so
            // either.
            if lines == 0 && facts.truncated.is_none() && checked.is_none_or(|page| page.truncated.is_some())
            {
                self.check = checked;
                return self.another_way(wrong("the listing does not say whether it is complete"));
            }
            if lines == 0 {
                return self.done();
            }
            let unanswered = match (facts.truncated, lines >= self.limit(&facts)) {
                (None, _) | (_, true) => Unanswered::Incomplete,
                // It gives a position, as if something followed.
                (Some(_), false) if position => Unanswered::Believed,
                (Some(_), false) => return self.done(),
            };
            self.check = Some(Check {
                lines,
                unanswered,
                truncated: facts.truncated,
            });
            if checked.is_some() && self.page.fresh == 0 {
                // The store gave only entries that it had given before. It may have ignored the request, so this proves no end.
                return self.another_way(stuck());
            }
            return self.behind_last();
        }
        self.largest = self.largest.max(lines);
        self.empty_pages = if lines == 0 { self.empty_pages + 1 } else { 0 };
        if self.empty_pages > MAX_EMPTY_PAGES {
            return Err(stuck());
        }
        let first = self.page.first.take().map(ListFrom::After);
        let again = first.is_some_and(|first| self.beginnings.repeats(&first));
        let still = self.last == self.page.before;
        let nothing_new = self.page.fresh == 0 && !self.page.skips && checked.is_none();
        if again || lines > 0 && (still || nothing_new) {
            // The token led to keys that were listed before.
            return self.another_way(stuck());
        }
        let given = match (self.version, lines) {
            (ListVersion::V2, _) => facts.token.filter(|_| self.tokens == Tokens::Trusted),
            (ListVersion::V1, 0) => facts.marker,
            // Without a delimiter, the last key serves as marker. S3 then sends no `NextMarker`.
            (ListVersion::V1, _) => None,
        };
        match given {
            Some(given) if self.leads_on(&given) => {
                self.from = ListFrom::Token(given);
                Ok(Next::Page)
            }
            Some(_) => self.another_way(stuck()),
            None if lines > 0 => self.behind_last(),
            None => self.another_way(wrong("the listing continues, but does not say where")),
        }
    }

    /// Called after an error within a page. What was settled of the page is not requested again.
    pub(super) fn interrupted(&mut self) {
        if self.page.settled == 0 {
            return;
        }
        if self.skip.is_some() {
            self.begin_anew();
        } else if let Some(last) = &self.last {
            self.from = ListFrom::After(last.clone());
        }
    }

    /// The page does not match the request; `why` comes from [`Self::look_at`] or [`Self::weigh`].
    ///
    /// # Errors
    /// `why`, if no other way is left, or if a part of the page was passed on already.
    pub(super) fn doubted(&mut self, why: Error) -> Result<Next> {
        if self.page.settled > 0 {
            return Err(why);
        }
        self.another_way(why)
    }

    /// The store refuses the request. Asks in another way if that may help.
    ///
    /// # Errors
    /// The refusal itself, if no other way is left.
    pub(super) fn refused(&mut self, error: Error) -> Result<Next> {
        let helps = match error.kind() {
            // The store does not know the operation or one of its parameters.
            ErrorKind::Unsupported | ErrorKind::InvalidArgument => {
                self.version == ListVersion::V2 || self.from != ListFrom::Start
            }
            // `Integrity`: the answer cannot be true. `Unavailable`: some stores fail on a `start-after` that they do not know.
            ErrorKind::Integrity => true,
            ErrorKind::Unavailable => matches!(self.from, ListFrom::After(_)),
            _ => false,
        };
        if helps {
            self.another_way(error)
        } else {
            Err(error)
        }
    }

    /// The entries that are left to pass on at the end of the listing.
    pub(super) fn rest(&mut self) -> Vec<ListingEntry> {
        match self.skip.take() {
            Some(mut skip) => skip.held_behind(&self.order),
            None => Vec::new(),
        }
    }

    /// Whether everything that follows is surely behind `range`, whose keys follow the first `cut` bytes of these.
    pub(super) fn is_behind(&self, range: &Range, cut: usize) -> bool {
        let known = self.skip.is_none() && !self.order.is_broken();
        let last = self.last.as_ref().and_then(|last| last.as_bytes().get(cut..));
        known && last.is_some_and(|last| range.is_behind(last, self.order.orders()))
    }

    fn done(&self) -> Result<Next> {
        if self.skip.is_some() && self.order.is_broken() {
            return Err(wrong(
                "the listing has no order, and does not contain the key any more that was listed last",
            ));
        }
        Ok(Next::Done)
    }

    /// The key after which the page should begin.
    fn position(&self) -> Option<&Key> {
        match &self.from {
            ListFrom::After(key) => Some(key),
            ListFrom::Start | ListFrom::Token(_) => None,
        }
    }

    /// Whether the store ignored where the page should begin. In a listing without an order a page may begin anywhere, but not
    /// with a key that was listed before.
    fn begins_too_early(&self, key: &Key) -> bool {
        let ordered = !self.order.is_broken();
        let Some(asked) = self.position() else {
            // A token that leads back a little repeats keys, and these are left out. A token that leads back further may have
            // been ignored.
            let back = self
                .last
                .as_ref()
                .is_some_and(|last| !self.order.surely_behind(last, key));
            return back && ordered && self.skip.is_none() && !self.recent.contains(key);
        };
        // Some stores begin with the key itself.
        if key == asked {
            return false;
        }
        let before_all = self
            .begin
            .as_ref()
            .is_some_and(|begin| !self.order.behind(begin, key));
        let Some(first) = &self.first else {
            return before_all;
        };
        before_all || key == first || self.recent.contains(key) || (ordered && !self.order.behind(asked, key))
    }

    /// Whether any entry but the first is the key that the page should begin after.
    fn names_where_it_begins(&self, piece: &[ListingEntry]) -> bool {
        let asked = self.position();
        asked.is_some_and(|asked| piece.iter().skip(1).any(|line| line.key == *asked))
    }

    /// How many entries make a page full.
    fn limit(&self, facts: &PageFacts) -> u64 {
        let reported = facts.max_keys.filter(|most| *most > 0);
        let seen = Some(self.largest).filter(|largest| *largest > 0);
        [reported, seen]
            .into_iter()
            .flatten()
            .fold(u64::from(PAGE_SIZE), u64::min)
    }

    fn leads_on(&mut self, given: &str) -> bool {
        let token = ListFrom::Token(given.to_owned());
        let misread = self.last.as_ref().is_some_and(|last| is_encoding_of(given, last));
        token != self.from && !misread && !self.positions.repeats(&token)
    }

    fn behind_last(&mut self) -> Result<Next> {
        match &self.last {
            Some(last) => {
                self.from = ListFrom::After(last.clone());
                Ok(Next::Page)
            }
            None => Err(wrong("the listing continues, but does not say where")),
        }
    }

    /// Chooses the next way to request the page, or ends with `why`.
    fn another_way(&mut self, why: Error) -> Result<Next> {
        self.ways += 1;
        if self.ways > WAYS {
            return self.no_way(why);
        }
        let last = self.last.clone().or_else(|| self.begin.clone());
        match (&self.from, self.version, last) {
            (ListFrom::Token(_), ListVersion::V2, Some(last)) => {
                self.tokens = Tokens::Doubted;
                self.from = ListFrom::After(last);
            }
            (ListFrom::Token(_), ListVersion::V2, None) => {
                self.version = ListVersion::V1;
                self.from = ListFrom::Start;
            }
            (ListFrom::Start, ListVersion::V2, Some(last)) if self.skip.is_none() => {
                // The first page was passed on, but it does not say where the next one begins.
                self.tokens = Tokens::Doubted;
                self.from = ListFrom::After(last);
            }
            (ListFrom::Start | ListFrom::After(_), ListVersion::V2, _) => self.version = ListVersion::V1,
            (ListFrom::After(_) | ListFrom::Token(_), ListVersion::V1, Some(_))
                if self.skip.is_none() && self.check.is_none() =>
            {
                self.begin_anew();
            }
            _ => return self.no_way(why),
        }
        tracing::info!(%why, from = ?self.from, version = ?self.version, "a listing is requested in another way");
        Ok(Next::Page)
    }

    fn no_way(&mut self, why: Error) -> Result<Next> {
        match self.check.take() {
            Some(check) if check.is_believed_unanswered() => self.done(),
            Some(check) => Err(wrong(format!(
                "a page of {} keys may not be the last one, and the store does not list what follows it: {}",
                check.lines,
                why.message()
            ))),
            None => Err(why),
        }
    }

    fn begin_anew(&mut self) {
        let given = self.last.take().or_else(|| self.begin.take());
        if let Some(until) = self.skip.take().map(|skip| skip.until).or(given) {
            self.skip = Some(ReplaySkip {
                until,
                held: Vec::new(),
            });
        }
        self.from = ListFrom::Start;
        self.version = self.usual;
        self.begin = None;
        self.first = None;
        self.recent.clear();
        self.positions = Positions::default();
        self.beginnings = Positions::default();
    }
}

#[cfg(test)]
mod tests;
