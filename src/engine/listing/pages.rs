//! Listings as a stream of entries: one request ahead of its reader, judged page by page, retried, bounded.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::listing::judge::{Next, Walk};
use crate::engine::retry::{self, MAX_ATTEMPTS, Pace};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{ListFrom, ListVersion, Listed, PAGE_SIZE, PageSink, SharedStore};
use crate::task::Key;

/// Pieces of pages waiting for their reader; with the two being read this bounds a listing to four pieces of at most
/// [`PAGE_SIZE`] entries in memory.
const AHEAD: usize = 2;

/// The entries of one listing. Dropping it ends the requests.
#[derive(Debug)]
pub struct Pages {
    receiver: mpsc::Receiver<Result<Vec<Listed>>>,
    /// Until its end was looked at.
    lister: Option<AbortOnDropHandle<()>>,
}

impl Pages {
    /// Lists everything below `prefix` from `from` on.
    #[must_use]
    pub fn new(store: SharedStore, pace: Pace, prefix: Key, from: ListFrom) -> Self {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let lister = tokio::spawn(async move {
            let end = produce(&store, pace, prefix, from, &sender).await;
            if let Err(error) = end {
                // The reader is gone when this fails, and with it whoever would care.
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
    /// Those of the store, when neither retries nor another way to ask helped; `Integrity` for a listing that its requests do
    /// not explain.
    pub async fn next(&mut self) -> Result<Option<Vec<Listed>>> {
        if let Some(piece) = self.receiver.recv().await {
            return piece.map(Some);
        }
        // A lister that fell over has not come to the end of the listing.
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
    prefix: Key,
    from: ListFrom,
    sender: &mpsc::Sender<Result<Vec<Listed>>>,
) -> Result<()> {
    let mut walk = Walk::new(prefix, from, store.list_version());
    let mut reader = Reader { sender };
    while fetch(store, pace, &mut walk, &mut reader).await? == Next::Page {}
    let rest = walk.rest();
    if !rest.is_empty() {
        reader.take(rest).await?;
    }
    Ok(())
}

/// Whoever reads the pages.
struct Reader<'a> {
    sender: &'a mpsc::Sender<Result<Vec<Listed>>>,
}

#[async_trait]
impl PageSink for Reader<'_> {
    async fn take(&mut self, piece: Vec<Listed>) -> Result<()> {
        let sent = self.sender.send(Ok(piece)).await;
        sent.map_err(|_| Error::new(ErrorKind::Cancelled, "nobody reads the listing any more"))
    }
}

/// Shows the judge a page while it arrives, one piece behind it: of a page that comes in one piece, as almost all do, nothing
/// is given away before the page is at its end and was judged.
struct Judged<'a> {
    walk: &'a mut Walk,
    sink: &'a mut dyn PageSink,
    pending: Option<Vec<Listed>>,
    end: End,
}

/// What ended the reading of a page early.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    None,
    Doubt,
    Reader,
}

impl Judged<'_> {
    async fn give(&mut self, mut piece: Vec<Listed>) -> Result<()> {
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
    async fn take(&mut self, piece: Vec<Listed>) -> Result<()> {
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

/// Asks for the next page of `walk`, gives its entries to `sink`, and says what follows. Tried again while that may help, and
/// in another way where the page is not what was asked for.
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
                        tracing::debug!(store = %store.describe(), %error, attempts, "listing is tried again");
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
    /// Its first entries, at most [`PAGE_SIZE`] and one piece.
    pub entries: Vec<Listed>,
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
    async fn take(&mut self, mut piece: Vec<Listed>) -> Result<()> {
        if self.entries.len() >= PAGE_SIZE as usize {
            self.end = FirstEnd::Enough;
            return Err(Error::new(ErrorKind::Cancelled, "the first entries are enough"));
        }
        self.entries.append(&mut piece);
        Ok(())
    }
}

/// The first page of a listing that has an entry, tried again while that may help; without entries where the whole listing
/// has none.
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
            // An empty page that is not the last one says nothing yet, nor does one that is asked for in another way.
            Ok(Next::Page) if first.entries.is_empty() => {}
            Ok(Next::Page | Next::Done) => return Ok(first),
            Err(_) if first.end == FirstEnd::Enough => return Ok(first),
            Err(error) => return Err(error),
        }
    }
}

/// Entries of a target listing, one by one, without the prefix that the target puts before each key.
#[derive(Debug)]
pub struct Cursor {
    pages: Pages,
    page: std::vec::IntoIter<Listed>,
    cut: usize,
}

impl Cursor {
    /// Reads the target's keys below `target_prefix + prefix`, behind the source key `after`.
    #[must_use]
    pub fn new(
        store: &SharedStore,
        pace: Pace,
        target_prefix: &Key,
        prefix: &Key,
        after: Option<&Key>,
    ) -> Self {
        let from = after.map_or(ListFrom::Start, |key| {
            ListFrom::After(key.with_prefix(target_prefix.as_bytes()))
        });
        let whole = prefix.with_prefix(target_prefix.as_bytes());
        Self {
            pages: Pages::new(Arc::clone(store), pace, whole, from),
            page: Vec::new().into_iter(),
            cut: target_prefix.as_bytes().len(),
        }
    }

    /// The next entry with the source's form of its key; `None` at the end.
    ///
    /// # Errors
    /// Those of [`Pages::next`].
    pub async fn next(&mut self) -> Result<Option<(Listed, usize)>> {
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
