//! The floor: the leanest copier between two S3 stores. It lists the source, and streams each read into a write. It keeps no
//! ledger, verifies nothing, tries nothing twice and does not look at the target, so a copier cannot be much faster.

use std::collections::VecDeque;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, HeaderValue, RANGE};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::utf8_percent_encode;
use sha2::{Digest as _, Sha256};

use super::data::{Block, key};
use super::store::PLAIN;

/// What went wrong.
pub type Failure = Box<dyn Error + Send + Sync>;
/// A result of this file.
pub type Done<T> = Result<T, Failure>;
type Sent = BoxBody<Bytes, Failure>;

/// Objects up to this size are copied in one write.
const WHOLE: u64 = 64 << 20;
/// Size of a part of others.
const PART: u64 = 16 << 20;
/// Parts of one object in flight.
const PARTS_IN_FLIGHT: usize = 4;
/// The value that a signed request has for a body that is not hashed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A bucket of a store.
pub struct Place {
    host: String,
    bucket: String,
    access_key: String,
    secret_key: String,
    http: Client<HttpConnector, Sent>,
}

/// An entry of a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Key.
    pub key: String,
    /// Length in bytes.
    pub size: u64,
    /// Entity tag without its quotes.
    pub etag: String,
}

/// Objects and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How two buckets differ.
#[derive(Clone, Copy, Debug, Default)]
pub struct Difference {
    /// Objects of the source.
    pub objects: u64,
    /// Those of them that are missing at the target, or differ in size or hash.
    pub different: u64,
}

fn full(bytes: impl Into<Bytes>) -> Sent {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

fn hmac(key: &[u8], text: &str) -> Done<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)?;
    mac.update(text.as_bytes());
    Ok(mac.finalize().into_bytes().into())
}

/// The text of the first element with this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let from = xml.find(&format!("<{name}>"))? + name.len() + 2;
    let length = xml[from..].find('<')?;
    Some(&xml[from..from + length])
}

fn etag(text: &str) -> String {
    text.trim_matches('"')
        .trim_start_matches("&quot;")
        .trim_start_matches("&#34;")
        .trim_end_matches("&quot;")
        .trim_end_matches("&#34;")
        .to_owned()
}

impl Place {
    /// A bucket at `http://host:port`.
    pub fn new(url: &str, access_key: &str, secret_key: &str, bucket: &str) -> Done<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1024)
            .pool_idle_timeout(Duration::from_secs(60))
            .build(connector);
        Ok(Self {
            host: url
                .strip_prefix("http://")
                .ok_or("only http:// is spoken")?
                .to_owned(),
            bucket: bucket.to_owned(),
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
            http,
        })
    }

    /// Sends a request with signature version 4. Parameters of the query must be sorted.
    async fn send(
        &self,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        mut headers: HeaderMap,
        body: Sent,
    ) -> Done<Response<Incoming>> {
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = &time[..8];
        headers.insert(HOST, HeaderValue::from_str(&self.host)?);
        headers.insert("x-amz-content-sha256", HeaderValue::from_static(UNSIGNED));
        headers.insert("x-amz-date", HeaderValue::from_str(&time)?);
        let path = format!("/{}/{}", self.bucket, utf8_percent_encode(key, PLAIN));
        let path = if key.is_empty() {
            format!("/{}", self.bucket)
        } else {
            path
        };
        let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string().replace('/', "%2F");
        let pairs: Vec<String> = query.iter().map(|(n, v)| format!("{n}={}", encoded(v))).collect();
        let query = pairs.join("&");
        let mut signed: Vec<(&str, &str)> = Vec::new();
        for (name, value) in &headers {
            if name == HOST || name.as_str().starts_with("x-amz-") {
                signed.push((name.as_str(), value.to_str()?));
            }
        }
        signed.sort_unstable();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String = signed
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let request = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{UNSIGNED}");
        let scope = format!("{date}/us-east-1/s3/aws4_request");
        let hash = hex::encode(Sha256::digest(request.as_bytes()));
        let mut key = hmac(format!("AWS4{}", self.secret_key).as_bytes(), date)?;
        for part in ["us-east-1", "s3", "aws4_request"] {
            key = hmac(&key, part)?;
        }
        let signature = hex::encode(hmac(&key, &format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}"))?);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.access_key
        );
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&value)?);
        let mark = if query.is_empty() { "" } else { "?" };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}{mark}{query}", self.host))
            .body(body)?;
        *request.headers_mut() = headers;
        let answer = self.http.request(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let said = answer.into_body().collect().await?.to_bytes();
        Err(format!("{status}: {}", String::from_utf8_lossy(&said)).into())
    }

    async fn text(&self, method: Method, key: &str, query: &[(&str, &str)], body: String) -> Done<String> {
        let answer = self
            .send(method, key, query, HeaderMap::new(), full(body))
            .await?;
        let bytes = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Makes the bucket.
    pub async fn make(&self) -> Done<()> {
        self.text(Method::PUT, "", &[], String::new()).await.map(drop)
    }

    /// Removes the bucket. SeaweedFS does so although it has objects.
    pub async fn remove(&self) -> Done<()> {
        self.text(Method::DELETE, "", &[], String::new()).await.map(drop)
    }

    /// A page behind a token, and the token of the next.
    async fn page(&self, token: Option<String>) -> Done<(VecDeque<Entry>, Option<String>)> {
        let mut query = vec![("list-type", "2"), ("max-keys", "1000")];
        if let Some(token) = &token {
            query.insert(0, ("continuation-token", token));
        }
        let xml = self.text(Method::GET, "", &query, String::new()).await?;
        let entries = xml.split("<Contents>").skip(1).map(|entry| Entry {
            key: element(entry, "Key").unwrap_or_default().to_owned(),
            size: element(entry, "Size")
                .and_then(|size| size.parse().ok())
                .unwrap_or(0),
            etag: element(entry, "ETag").map(etag).unwrap_or_default(),
        });
        let next = element(&xml, "NextContinuationToken").map(str::to_owned);
        Ok((entries.collect(), next))
    }

    /// All entries. A page is read when those before it are used up.
    pub fn entries(&self) -> impl futures_util::Stream<Item = Done<Entry>> + '_ {
        let first = (VecDeque::new(), None, true);
        stream::try_unfold(first, move |(mut page, mut token, mut more)| async move {
            while page.is_empty() && more {
                (page, token) = self.page(token.take()).await?;
                more = token.is_some();
            }
            Ok(page.pop_front().map(|entry| (entry, (page, token, more))))
        })
    }

    async fn read(&self, key: &str, range: Option<(u64, u64)>) -> Done<Response<Incoming>> {
        let mut headers = HeaderMap::new();
        if let Some((from, length)) = range {
            let value = format!("bytes={from}-{}", from + length - 1);
            headers.insert(RANGE, HeaderValue::from_str(&value)?);
        }
        self.send(Method::GET, key, &[], headers, full("")).await
    }

    async fn write(&self, key: &str, size: u64, kept: &HeaderMap, body: Sent) -> Done<()> {
        let mut headers = HeaderMap::new();
        for (name, value) in kept {
            if name == CONTENT_TYPE || name.as_str().starts_with("x-amz-meta-") {
                headers.insert(name.clone(), value.clone());
            }
        }
        headers.insert(CONTENT_LENGTH, size.into());
        let answer = self.send(Method::PUT, key, &[], headers, body).await?;
        answer.into_body().collect().await?;
        Ok(())
    }

    /// Writes an object in parts, whose bodies `part` returns for a range.
    async fn write_parts(
        &self,
        key: &str,
        size: u64,
        part: impl AsyncFn(u64, u64) -> Done<Sent>,
    ) -> Done<()> {
        let begun = self
            .text(Method::POST, key, &[("uploads", "")], String::new())
            .await?;
        let id = element(&begun, "UploadId").ok_or("no id of the upload")?;
        let part = &part;
        let parts = stream::iter(0..size.div_ceil(PART)).map(|index| async move {
            let from = index * PART;
            let length = PART.min(size - from);
            let number = (index + 1).to_string();
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, length.into());
            let query = [("partNumber", number.as_str()), ("uploadId", id)];
            let body = part(from, length).await?;
            let answer = self.send(Method::PUT, key, &query, headers, body).await?;
            let tag = answer
                .headers()
                .get(ETAG)
                .ok_or("a part without ETag")?
                .to_str()?
                .to_owned();
            answer.into_body().collect().await?;
            Done::Ok(format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            ))
        });
        let parts: Vec<String> = parts.buffered(PARTS_IN_FLIGHT).try_collect().await?;
        let body = format!(
            "<CompleteMultipartUpload>{}</CompleteMultipartUpload>",
            parts.concat()
        );
        self.text(Method::POST, key, &[("uploadId", id)], body)
            .await
            .map(drop)
    }
}

/// Copies all objects of one bucket into another, `in_flight` at a time.
pub async fn copy(source: &Place, target: &Place, in_flight: usize) -> Done<Total> {
    let copies = source.entries().map_ok(|entry| async move {
        let key = entry.key.as_str();
        if entry.size <= WHOLE {
            let answer = source.read(key, None).await?;
            let headers = answer.headers().clone();
            target
                .write(
                    key,
                    entry.size,
                    &headers,
                    answer.into_body().map_err(Failure::from).boxed(),
                )
                .await?;
        } else {
            let part = async |from, length| {
                let answer = source.read(key, Some((from, length))).await?;
                Ok(answer.into_body().map_err(Failure::from).boxed())
            };
            target.write_parts(key, entry.size, part).await?;
        }
        Done::Ok(entry.size)
    });
    let add = async |total: Total, size| {
        Ok(Total {
            objects: total.objects + 1,
            bytes: total.bytes + size,
        })
    };
    copies
        .try_buffer_unordered(in_flight)
        .try_fold(Total::default(), add)
        .await
}

/// Lists both buckets side by side, and counts what is missing or differs at the target. Both must list in one order.
pub async fn compare(source: &Place, target: &Place) -> Done<Difference> {
    let (mut left, mut right) = (Box::pin(source.entries()), Box::pin(target.entries()));
    let mut found = Difference::default();
    let (mut ours, mut theirs) = tokio::try_join!(left.try_next(), right.try_next())?;
    while let Some(entry) = ours.take() {
        while theirs.as_ref().is_some_and(|other| other.key < entry.key) {
            theirs = right.try_next().await?;
        }
        found.objects += 1;
        let same = theirs
            .as_ref()
            .filter(|other| other.key == entry.key)
            .is_some_and(|other| {
                // The hash of an object in parts depends on their sizes.
                let parts = entry.etag.contains('-') || other.etag.contains('-');
                other.size == entry.size && (parts || other.etag == entry.etag)
            });
        found.different += u64::from(!same);
        (ours, theirs) = match theirs.filter(|other| other.key != entry.key) {
            Some(other) => (left.try_next().await?, Some(other)),
            None => tokio::try_join!(left.try_next(), right.try_next())?,
        };
    }
    Ok(found)
}

/// Writes the benchmark's objects into a new bucket.
pub async fn fill(target: &Place, count: u64, size: u64, in_flight: usize) -> Done<()> {
    target.make().await?;
    let (block, mut headers) = (&Block::default(), HeaderMap::new());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-benchmark"));
    headers.insert("x-amz-meta-origin", HeaderValue::from_static("benchmark"));
    let headers = &headers;
    let bytes = move |from, length| {
        let pieces = block
            .pieces(from, length)
            .map(|piece| Done::Ok(Frame::data(piece)));
        BoxBody::new(StreamBody::new(stream::iter(pieces)))
    };
    let writes = stream::iter(0..count).map(|number| async move {
        let key = key(number);
        if size <= WHOLE {
            return target.write(&key, size, headers, bytes(0, size)).await;
        }
        target
            .write_parts(&key, size, async |from, length| Ok(bytes(from, length)))
            .await
    });
    writes
        .buffer_unordered(in_flight)
        .try_for_each(async |()| Ok(()))
        .await
}
