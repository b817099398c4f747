//! Pages of listings over HTTP: requests a page, parses it while it arrives, and finds out how its keys are encoded.

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::body::Download;
use super::errors::Subject;
use super::listing::{End, Lines, PageReader};
use super::names::{DeclaredEncoding, Read};
use super::request::integrity;
use super::url::Query;
use super::{Call, S3Store, headers};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{
    EntryFacts, ListFrom, ListQuery, ListVersion, ListingEntry, PAGE_SIZE, PageFacts, PageSink,
};
use crate::task::Key;

/// How many keys of a page are asked about before the page is called unreadable. Each of these objects may have been
/// deleted in the meantime.
const KEYS_ASKED_ABOUT: usize = 4;

/// What is done with the rest of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Wanted,
    Unwanted,
}

/// Refuses a response that is compressed although the request did not allow that.
pub(super) fn not_compressed(headers: &HeaderMap) -> Result<()> {
    match headers::text(headers, CONTENT_ENCODING).map(str::trim) {
        None | Some("") => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(encoding) => Err(integrity(format!(
            "the store compressed its answer ({}), although it was asked not to",
            headers::clean(encoding, 20)
        ))),
    }
}

impl S3Store {
    pub(super) async fn page(&self, query: &ListQuery, sink: &mut dyn PageSink) -> Result<PageFacts> {
        let Some(answer) = self.listing(query).await? else {
            return Ok(PageFacts {
                truncated: Some(false),
                ..PageFacts::default()
            });
        };
        let (head, incoming) = answer.into_parts();
        let mut body = self.page_body(&head.headers, incoming);
        let mut page = PageReader::default();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            for bytes in data.chunks(PageReader::MOST) {
                page.push(bytes)?;
                while let Some(lines) = page.take_full() {
                    let declared = page.declared();
                    sink.take(self.with_names(lines, declared, query.version).await?)
                        .await?;
                }
            }
        }
        let End {
            pieces,
            facts,
            declared,
        } = page.finish()?;
        for lines in pieces {
            if lines.len() > 0 {
                sink.take(self.with_names(lines, declared, query.version).await?)
                    .await?;
            }
        }
        Ok(facts)
    }

    /// Requests a page. `None` if nothing has the prefix and the store reports that as an error.
    async fn listing(&self, query: &ListQuery) -> Result<Option<Response<Incoming>>> {
        match self.send(self.list_call(query)?).await {
            Ok(answer) => {
                not_compressed(answer.headers())?;
                Ok(Some(answer))
            }
            Err(error) if error.code() == Some("NoSuchKey") => {
                self.bucket_is_there(error).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn page_body(&self, headers: &HeaderMap, incoming: Incoming) -> Download<Incoming> {
        Download::new(
            incoming,
            headers::content_length(headers),
            self.timeouts.document(),
        )
    }

    fn list_call(&self, query: &ListQuery) -> Result<Call<'_>> {
        let mut call = self.call(Method::GET, Subject::Bucket, None);
        let begin = match query.version {
            ListVersion::V2 => Query::default().number("list-type", 2),
            ListVersion::V1 => Query::default(),
        };
        let from = match (query.version, &query.from) {
            (_, ListFrom::Start) => begin,
            (ListVersion::V2, ListFrom::Token(token)) => {
                begin.with("continuation-token", token.as_bytes())?
            }
            (ListVersion::V2, ListFrom::After(key)) => begin.with("start-after", key.as_bytes())?,
            (ListVersion::V1, ListFrom::Token(marker)) => begin.with("marker", marker.as_bytes())?,
            (ListVersion::V1, ListFrom::After(key)) => begin.with("marker", key.as_bytes())?,
        };
        call.query = from
            .with("encoding-type", b"url")?
            .number("max-keys", query.limit);
        if !query.prefix.as_bytes().is_empty() {
            call.query = call.query.with("prefix", query.prefix.as_bytes())?;
        }
        Ok(call)
    }

    /// Some stores respond with 404 `NoSuchKey` if no key has the prefix. A server that takes the name of the bucket
    /// for a key does the same. So the bucket itself is requested, once.
    async fn bucket_is_there(&self, refused: Error) -> Result<()> {
        if self.seen_bucket.get().is_some() {
            return Ok(());
        }
        match self.send(self.call(Method::HEAD, Subject::Bucket, None)).await {
            Ok(_) => {
                self.seen_bucket.get_or_init(|| ());
                Ok(())
            }
            Err(error) if error.is_retryable() => Err(error),
            Err(_) => {
                let text = format!("{}; and no bucket of that name is found", refused.message());
                Err(Error::new(ErrorKind::BucketNotFound, text)
                    .with_code("NoSuchKey")
                    .with_request_id(refused.request_id().map(str::to_owned)))
            }
        }
    }

    /// Decodes the keys of some lines, and asks the store about keys that can be decoded in two ways.
    async fn with_names(
        &self,
        mut lines: Lines,
        declared: DeclaredEncoding,
        version: ListVersion,
    ) -> Result<Vec<ListingEntry>> {
        let mut listed = Vec::with_capacity(lines.len());
        let mut readings = self.names.readings(declared);
        let mut scratch = Vec::new();
        for at in 0..lines.len() {
            let facts = lines.take_facts(at);
            if let EntryFacts::KeyTooLong { .. } = facts {
                let bytes = lines.text(at).as_bytes();
                let key = Key::from(&bytes[..bytes.len().min(Key::MAX_LEN)]);
                listed.push(ListingEntry { key, facts });
                continue;
            }
            let mut read = readings.read(lines.text(at), declared, &mut scratch);
            if read == Read::Unclear {
                self.settle(&lines, at, declared, version).await?;
                readings = self.names.readings(declared);
                read = readings.read(lines.text(at), declared, &mut scratch);
            }
            let key = match read {
                Read::AsWritten => lines.text(at).as_bytes(),
                Read::Decoded => scratch.as_slice(),
                Read::Unclear => return Err(unreadable(lines.text(at))),
            };
            listed.push(match key.len() {
                ..=Key::MAX_LEN => ListingEntry {
                    key: Key::from(key),
                    facts,
                },
                bytes => ListingEntry {
                    key: Key::from(&key[..Key::MAX_LEN]),
                    facts: EntryFacts::KeyTooLong { bytes },
                },
            });
        }
        Ok(listed)
    }

    /// Finds out how to decode line `at`, with that line or a later one.
    async fn settle(
        &self,
        lines: &Lines,
        at: usize,
        declared: DeclaredEncoding,
        version: ListVersion,
    ) -> Result<()> {
        let mut asked = 0;
        let mut scratch = Vec::new();
        for next in at..lines.len() {
            let text = lines.text(next);
            if self.names.readings(declared).read(text, declared, &mut scratch) != Read::Unclear {
                continue;
            }
            if self.ask(text, declared, version).await? {
                let first = lines.text(at);
                if self.names.readings(declared).read(first, declared, &mut scratch) != Read::Unclear {
                    return Ok(());
                }
            }
            asked += 1;
            if asked == KEYS_ASKED_ABOUT {
                break;
            }
        }
        Err(unreadable(lines.text(at)))
    }

    /// Lists each key that `text` may stand for. The prefix in the request is encoded unambiguously, so only one of
    /// these listings can return the text. `false` if none does: the object no longer exists.
    async fn ask(&self, text: &str, declared: DeclaredEncoding, version: ListVersion) -> Result<bool> {
        for (key, readings) in self.names.readings(declared).candidates(text, declared) {
            if key.len() <= Key::MAX_LEN && self.shows(&key, text, version).await? {
                tracing::debug!(store = %self.place.name, ?declared, "found out how the store writes keys");
                self.names.narrow(declared, readings);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the store has `key`, and writes it as `text`.
    async fn shows(&self, key: &[u8], text: &str, version: ListVersion) -> Result<bool> {
        if std::str::from_utf8(key).is_err() {
            // A listing cannot be requested for it.
            let head = self.call(Method::HEAD, Subject::Object, None);
            let key = Key::from(key);
            return match self
                .send(Call {
                    key: Some(&key),
                    ..head
                })
                .await
            {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                Err(error) => Err(error),
            };
        }
        let query = ListQuery {
            prefix: Key::from(key),
            from: ListFrom::Start,
            version,
            limit: PAGE_SIZE,
        };
        let Some(answer) = self.listing(&query).await? else {
            return Ok(false);
        };
        let (head, incoming) = answer.into_parts();
        let mut body = self.page_body(&head.headers, incoming);
        let mut page = PageReader::default();
        let mut rest = Rest::Wanted;
        let has = |lines: &Lines| lines.texts().any(|line| line == text);
        while rest == Rest::Wanted
            && let Some(frame) = body.frame().await
        {
            let Ok(data) = frame?.into_data() else { continue };
            for bytes in data.chunks(PageReader::MOST) {
                page.push(bytes)?;
                while let Some(lines) = page.take_full() {
                    if has(&lines) {
                        rest = Rest::Unwanted;
                    }
                }
            }
        }
        if rest == Rest::Unwanted {
            return Ok(true);
        }
        Ok(page.finish()?.pieces.iter().any(has))
    }
}

fn unreadable(text: &str) -> Error {
    let shown = headers::clean(text, 100);
    integrity(format!(
        "the listing names {shown:?}, and the store lists no object under any name that this may stand for"
    ))
}
