//! Listings as a stream of entries. The stream is one request ahead of its reader, checks each page, retries, and has a
//! memory limit.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::listing::judge::{Next, Walk};
use crate::engine::listing::range::Range;
use crate::engine::retry::{self, MAX_ATTEMPTS, Pace};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{ListFrom, ListVersion, ListingEntry, PAGE_SIZE, PageSink, SharedStore};
use crate::task::Key;

/// Pieces of pages that may wait for the reader. Together with the two pieces that are being read, this limits a
/// listing to three pieces of at most [`PAGE_SIZE`] entries in memory.
const AHEAD: usize = 1;

/// The entries of one listing. Dropping it stops the requests.
#[derive(Debug)]
pub struct Pages {
    receiver: mpsc::Receiver<Result<Vec<ListingEntry>>>,
    /// `None` once the task has been awaited.
    lister: Option<AbortOnDropHandle<()>>,
}

impl Pages {
    /// Lists everything below `prefix`, beginning at `from`. `range` may end before: what is behind it need not be listed. Its keys
    /// follow the first `cut` bytes of those of the store.
    #[must_use]
    pub(in crate::engine) fn new(
        store: SharedStore,
        pace: Pace,
        prefix: Key,
        from: ListFrom,
        (range, cut): (Option<Arc<Range>>, usize),
    ) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let lister = tokio::spawn(async move {
            let mut walk = Walk::new(prefix, from, store.list_version());
            let end = produce(&store, pace, &mut walk, (range.as_deref(), cut), &sender).await;
            if let Err(error) = end {
                // Sending fails only when the reader is gone. Then nobody needs the error.
                sender.send(Err(error)).await.unwrap_or_default();
            }
        });
        Self {
            receiver,
            lister: Some(AbortOnDropHandle::new(lister)),
        }
    }

    /// The next entries, at least one and at most [`PAGE_SIZE`]; `None` at the end of the listing.
    ///
    /// # Errors
    /// Errors of the store, if neither retries nor another kind of request helped. `Integrity` for a listing that does
    /// not match its requests.
    pub async fn next(&mut self) -> Result<Option<Vec<ListingEntry>>> {
        if let Some(piece) = self.receiver.recv().await {
            return piece.map(Some);
        }
        // A lister that panicked has not reached the end of the listing.
        if let Some(lister) = self.lister.take() {
            lister
                .await
                .map_err(|e| Error::internal("the listing panicked").with_source(e))?;
        }
        Ok(None)
    }
}

async fn produce(
    store: &SharedStore,
    pace: Pace,
    walk: &mut Walk,
    (range, cut): (Option<&Range>, usize),
    sender: &mpsc::Sender<Result<Vec<ListingEntry>>>,
) -> Result<()> {
    let mut reader = Reader { sender };
    while fetch(store, pace, walk, &mut reader).await? == Next::Page {
        if range.is_some_and(|range| walk.is_behind(range, cut)) {
            return Ok(());
        }
    }
    let rest = walk.rest();
    if !rest.is_empty() {
        reader.take(rest).await?;
    }
    Ok(())
}

/// Sends the pages to the reader of the listing.
struct Reader<'a> {
    sender: &'a mpsc::Sender<Result<Vec<ListingEntry>>>,
}

#[async_trait]
impl PageSink for Reader<'_> {
    async fn take(&mut self, piece: Vec<ListingEntry>) -> Result<()> {
        let sent = self.sender.send(Ok(piece)).await;
        sent.map_err(|_| Error::new(ErrorKind::Cancelled, "nobody reads the listing any more"))
    }
}

/// Shows each piece of a page to the judge when it arrives, and passes it on one piece later. Almost all pages come in
/// one piece. Nothing of such a page is passed on before the whole page has been judged.
struct Judged<'a> {
    walk: &'a mut Walk,
    sink: &'a mut dyn PageSink,
    pending: Option<Vec<ListingEntry>>,
    end: End,
}

/// Why the reading of a page ended early.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    None,
    Doubt,
    Reader,
}

impl Judged<'_> {
    async fn give(&mut self, mut piece: Vec<ListingEntry>) -> Result<()> {
        self.walk.settle(&mut piece);
        if piece.is_empty() {
            return Ok(());
        }
        let taken = self.sink.take(piece).await;
        if taken.is_err() {
            self.end = End::Reader;
        }
        taken
    }
}

#[async_trait]
impl PageSink for Judged<'_> {
    async fn take(&mut self, piece: Vec<ListingEntry>) -> Result<()> {
        if let Err(why) = self.walk.look_at(&piece) {
            self.end = End::Doubt;
            return Err(why);
        }
        match self.pending.replace(piece) {
            Some(before) => self.give(before).await,
            None => Ok(()),
        }
    }
}

/// Requests the next page of `walk`, gives its entries to `sink`, and returns what follows. Retries while that may
/// help. If the page does not match the request, asks in another way.
async fn fetch(store: &SharedStore, pace: Pace, walk: &mut Walk, sink: &mut dyn PageSink) -> Result<Next> {
    let mut attempts = 0;
    let mut refused = ListVersion::V1;
    loop {
        let query = walk.query();
        let mut judged = Judged {
            walk,
            sink,
            pending: None,
            end: End::None,
        };
        let answer = store.list(&query, &mut judged).await;
        let next = match answer {
            Ok(facts) => match judged.walk.weigh(&facts) {
                Ok(()) => {
                    if let Some(piece) = judged.pending.take() {
                        judged.give(piece).await?;
                    }
                    if walk.is_old(&facts) || refused == ListVersion::V2 {
                        store.set_list_version(ListVersion::V1);
                    }
                    return walk.next(facts);
                }
                Err(why) => walk.doubted(why)?,
            },
            Err(error) => match judged.end {
                End::Reader => return Err(error),
                End::Doubt => walk.doubted(error)?,
                End::None => {
                    attempts += 1;
                    if let Some(wait) = retry::delay(pace, &error, attempts, rand::random()) {
                        tracing::debug!(store = %store.describe(), %error, attempts, "listing is retried");
                        tokio::time::sleep(wait).await;
                        walk.interrupted();
                        continue;
                    }
                    if query.version == ListVersion::V2 && query.from == ListFrom::Start {
                        refused = ListVersion::V2;
                    }
                    walk.refused(error.during("list").with_attempts(attempts.min(MAX_ATTEMPTS)))?
                }
            },
        };
        if next == Next::Done {
            return Ok(Next::Done);
        }
        attempts = 0;
    }
}

/// The beginning of a listing.
#[derive(Debug, Default)]
pub(in crate::engine) struct FirstPage {
    /// Its first entries: at most [`PAGE_SIZE`] and one piece more.
    pub entries: Vec<ListingEntry>,
    end: FirstEnd,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum FirstEnd {
    #[default]
    Open,
    Enough,
}

#[async_trait]
impl PageSink for FirstPage {
    async fn take(&mut self, mut piece: Vec<ListingEntry>) -> Result<()> {
        if self.entries.len() >= PAGE_SIZE as usize {
            self.end = FirstEnd::Enough;
            return Err(Error::new(ErrorKind::Cancelled, "the first entries are enough"));
        }
        self.entries.append(&mut piece);
        Ok(())
    }
}

/// Returns the first page of a listing that has an entry. Retries while that may help. The page has no entries if the
/// whole listing has none.
pub(in crate::engine) async fn page(
    store: &SharedStore,
    pace: Pace,
    prefix: &Key,
    from: &ListFrom,
) -> Result<FirstPage> {
    let mut walk = Walk::new(prefix.clone(), from.clone(), store.list_version());
    let mut first = FirstPage::default();
    loop {
        match fetch(store, pace, &mut walk, &mut first).await {
            // An empty page that is not the last one proves nothing yet. Neither does a page that must be requested in
            // another way.
            Ok(Next::Page) if first.entries.is_empty() => {}
            Ok(Next::Page | Next::Done) => return Ok(first),
            Err(_) if first.end == FirstEnd::Enough => return Ok(first),
            Err(error) => return Err(error),
        }
    }
}

/// Entries of a target listing, one by one, with the length of the prefix that the target puts before each key.
#[derive(Debug)]
pub struct Cursor {
    pages: Pages,
    page: std::vec::IntoIter<ListingEntry>,
    cut: usize,
}

impl Cursor {
    /// Reads the target's keys below `target_prefix + prefix`, after the source key `after`, to the end of `range`.
    #[must_use]
    pub(in crate::engine) fn new(
        store: &SharedStore,
        pace: Pace,
        target_prefix: &Key,
        prefix: &Key,
        after: Option<&Key>,
        range: &Arc<Range>,
    ) -> Self {
        let from = after.map_or(ListFrom::Start, |key| {
            ListFrom::After(key.with_prefix(target_prefix.as_bytes()))
        });
        let whole = prefix.with_prefix(target_prefix.as_bytes());
        let cut = target_prefix.as_bytes().len();
        Self {
            pages: Pages::new(
                Arc::clone(store),
                pace,
                whole,
                from,
                (Some(Arc::clone(range)), cut),
            ),
            page: Vec::new().into_iter(),
            cut,
        }
    }

    /// The next entry, and how many bytes to cut from its key to get the source key. `None` at the end.
    ///
    /// # Errors
    /// Those of [`Pages::next`].
    pub async fn next(&mut self) -> Result<Option<(ListingEntry, usize)>> {
        loop {
            if let Some(entry) = self.page.next() {
                return Ok(Some((entry, self.cut)));
            }
            match self.pages.next().await? {
                Some(page) => self.page = page.into_iter(),
                None => return Ok(None),
            }
        }
    }
}
