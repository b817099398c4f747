//! The S3 operations of the store over HTTP. It is lean, so that it is not what is measured: no signature is checked, and
//! bodies are recognised instead of kept.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use md5::{Digest as _, Md5};
use percent_encoding::percent_decode_str;
use tokio::net::TcpListener;

use super::data::{Body, Received, index, joins};
use super::frames::Frames;
use super::store::{Asked, Bucket, ETag, Object, Part, Store, escaped, http_date, list, now, read, write};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;
type Query = HashMap<String, String>;
/// An answer that is an error.
type Refused = Box<Answer>;

/// Serves the store until the future is dropped.
pub async fn serve(listener: TcpListener, store: Arc<Store>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        stream.set_nodelay(true).unwrap_or_default();
        let store = store.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let store = store.clone();
                async move { Ok::<_, Infallible>(answer(&store, request).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            let served = server
                .max_buf_size(1 << 19)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away is no error here.
            served.await.unwrap_or_default();
        });
    }
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default().boxed_unsync());
    *answer.status_mut() = status;
    answer
}

fn xml(text: String) -> Answer {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
    let mut answer = Response::new(Full::from(text).boxed_unsync());
    let kind = HeaderValue::from_static("application/xml");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn refused(status: StatusCode, code: &str) -> Refused {
    let mut answer = xml(format!(
        "<Error><Code>{code}</Code><Message>{code}</Message></Error>"
    ));
    *answer.status_mut() = status;
    Box::new(answer)
}

fn tagged(mut answer: Answer, etag: ETag) -> Answer {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\"")) {
        answer.headers_mut().insert(header::ETAG, value);
    }
    answer
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

fn query(text: Option<&str>) -> Query {
    let pairs = text
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

/// The headers that are kept with an object.
fn kept(headers: &HeaderMap) -> HeaderMap {
    const NAMES: [HeaderName; 5] = [
        header::CONTENT_TYPE,
        header::CACHE_CONTROL,
        header::CONTENT_DISPOSITION,
        header::CONTENT_LANGUAGE,
        header::EXPIRES,
    ];
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if NAMES.contains(name) || name.as_str().starts_with("x-amz-meta-") {
            kept.insert(name.clone(), value.clone());
        } else if name == header::CONTENT_ENCODING {
            // A client that sends a framed body says so here, and it is not the object's.
            let own = value
                .to_str()
                .unwrap_or_default()
                .trim_start_matches("aws-chunked");
            match HeaderValue::from_str(own.trim_start_matches([',', ' '])) {
                Ok(value) if !value.is_empty() => drop(kept.insert(name.clone(), value)),
                _ => {}
            }
        }
    }
    kept
}

/// Receives the body of a write.
async fn receive(store: &Store, headers: &HeaderMap, mut body: Incoming) -> Result<Received, Refused> {
    let framed = text(headers, "x-amz-content-sha256").is_some_and(|kind| kind.starts_with("STREAMING-"));
    let (mut frames, mut receiver) = (Frames::default(), store.block.receiver(store.hashing));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| refused(StatusCode::BAD_REQUEST, "IncompleteBody"))?;
        match frame.into_data() {
            Ok(bytes) if framed => frames.push(bytes, &mut receiver),
            Ok(bytes) => receiver.push(&bytes),
            Err(_) => {}
        }
    }
    let received = receiver.finish();
    match text(headers, "content-md5") {
        Some(wanted) if wanted != STANDARD.encode(received.hash) => {
            Err(refused(StatusCode::BAD_REQUEST, "BadDigest"))
        }
        _ => Ok(received),
    }
}

/// The range that a header asks for: its begin and its length.
fn range(headers: &HeaderMap, name: &str, size: u64) -> Result<Option<(u64, u64)>, Refused> {
    let asked = text(headers, name).and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (begin, end) = match asked {
        None => return Ok(None),
        Some(("", last)) => (size.saturating_sub(last.parse().unwrap_or(0)), size),
        Some((first, last)) => {
            let end = last
                .parse::<u64>()
                .map_or(size, |last| size.min(last.saturating_add(1)));
            (first.parse().unwrap_or(0), end)
        }
    };
    match begin < end {
        true => Ok(Some((begin, end - begin))),
        false => Err(refused(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange")),
    }
}

async fn answer(store: &Store, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    let path = path.strip_prefix('/').unwrap_or(path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let (bucket, key) = (
        bucket.to_owned(),
        percent_decode_str(key).decode_utf8_lossy().into_owned(),
    );
    let query = query(request.uri().query());
    let done = if bucket == "-" {
        steer(store, &key, &query)
    } else {
        let late = store.late();
        if !late.is_zero() {
            tokio::time::sleep(late).await;
        }
        operate(store, &bucket, key, &query, request).await
    };
    done.unwrap_or_else(|refused| *refused)
}

/// What is not S3: the benchmark fills a bucket, or makes the answers late.
fn steer(store: &Store, what: &str, query: &Query) -> Result<Answer, Refused> {
    let number = |name: &str| query.get(name).and_then(|value| value.parse().ok());
    let bad = || refused(StatusCode::BAD_REQUEST, "InvalidArgument");
    match what {
        "fill" => {
            let bucket = query.get("bucket").ok_or_else(bad)?;
            let (count, size) = (number("count").ok_or_else(bad)?, number("size").ok_or_else(bad)?);
            store.fill(bucket, count, size);
        }
        "late" => store.make_late(number("milliseconds").ok_or_else(bad)?),
        _ => return Err(bad()),
    }
    Ok(empty(StatusCode::OK))
}

async fn operate(
    store: &Store,
    name: &str,
    key: String,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Answer, Refused> {
    let signed = format!("{}/", store.access_key);
    let header = text(request.headers(), "authorization").unwrap_or_default();
    let presigned = query
        .get("X-Amz-Credential")
        .is_some_and(|c| c.starts_with(&signed));
    if !presigned && !header.contains(&format!("Credential={signed}")) {
        return Err(refused(StatusCode::FORBIDDEN, "AccessDenied"));
    }
    if name.is_empty() {
        let shown: String = store
            .bucket_names()
            .iter()
            .map(|name| bucket_entry(name))
            .collect();
        return Ok(xml(format!(
            "<ListAllMyBucketsResult><Owner><ID>owner</ID></Owner><Buckets>{shown}</Buckets></ListAllMyBucketsResult>"
        )));
    }
    if key.is_empty() && request.method() == Method::PUT {
        store.make_bucket(name);
        return Ok(empty(StatusCode::OK));
    }
    let bucket = store.bucket(name);
    let bucket = bucket.ok_or_else(|| refused(StatusCode::NOT_FOUND, "NoSuchBucket"))?;
    if key.is_empty() {
        return of_bucket(store, name, &bucket, query, request).await;
    }
    match *request.method() {
        Method::GET | Method::HEAD if query.contains_key("tagging") => {
            Ok(xml("<Tagging><TagSet></TagSet></Tagging>".to_owned()))
        }
        Method::GET if query.contains_key("uploadId") => list_parts(store, name, &key, query),
        Method::GET | Method::HEAD => get(store, &bucket, &key, &request),
        Method::PUT => put(store, &bucket, key, query, request).await,
        Method::POST if query.contains_key("uploads") => {
            let id = store.begin_upload(store.share(kept(request.headers())));
            let key = escaped(&key);
            Ok(xml(format!(
                "<InitiateMultipartUploadResult><Bucket>{name}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            )))
        }
        Method::POST => complete(store, name, &bucket, key, query, request).await,
        Method::DELETE => {
            match query.get("uploadId") {
                Some(id) => drop(store.remove_upload(id)),
                None => drop(write(&bucket).remove(key.as_str())),
            }
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed")),
    }
}

fn bucket_entry(name: &str) -> String {
    format!("<Bucket><Name>{name}</Name><CreationDate>2026-01-01T00:00:00.000Z</CreationDate></Bucket>")
}

async fn of_bucket(
    store: &Store,
    name: &str,
    bucket: &Bucket,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Answer, Refused> {
    let asked = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    match *request.method() {
        Method::HEAD => Ok(empty(StatusCode::OK)),
        Method::DELETE => {
            store.remove_bucket(name);
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Method::GET if query.contains_key("location") => Ok(xml("<LocationConstraint/>".to_owned())),
        Method::GET if query.contains_key("versioning") => Ok(xml("<VersioningConfiguration/>".to_owned())),
        Method::GET if query.contains_key("uploads") => Ok(xml(
            "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"
                .to_owned(),
        )),
        Method::GET
            if query.is_empty()
                || query.contains_key("list-type")
                || query.contains_key("max-keys")
                || query.contains_key("prefix")
                || query.contains_key("encoding-type") =>
        {
            let second = asked("list-type") == "2";
            let after = match (second, query.get("continuation-token")) {
                (true, Some(token)) => token,
                (true, None) => asked("start-after"),
                (false, _) => asked("marker"),
            };
            let asked = Asked {
                second,
                prefix: asked("prefix"),
                delimiter: asked("delimiter"),
                after,
                most: asked("max-keys").parse().unwrap_or(1000),
                encoded: asked("encoding-type") == "url",
            };
            Ok(xml(list(name, &read(bucket), &asked)))
        }
        _ => Err(refused(StatusCode::NOT_IMPLEMENTED, "NotImplemented")),
    }
}

fn same(wanted: &str, etag: ETag) -> bool {
    wanted == "*" || wanted.trim_matches('"') == etag.to_string()
}

fn get(store: &Store, bucket: &Bucket, key: &str, request: &Request<Incoming>) -> Result<Answer, Refused> {
    let headers = request.headers();
    let object = read(bucket).get(key).cloned();
    let object = object.ok_or_else(|| refused(StatusCode::NOT_FOUND, "NoSuchKey"))?;
    if text(headers, "if-match").is_some_and(|wanted| !same(wanted, object.etag)) {
        return Err(refused(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    }
    let asked = range(headers, "range", object.size)?;
    let (begin, length) = asked.unwrap_or((0, object.size));
    let body = match &object.body {
        _ if request.method() == Method::HEAD || length == 0 => Full::default().boxed_unsync(),
        Body::Known => {
            let pieces = store
                .block
                .pieces(begin, length)
                .map(|piece| Ok(Frame::data(piece)));
            StreamBody::new(stream::iter(pieces)).boxed_unsync()
        }
        Body::Kept(bytes) => {
            let end = index(begin + length);
            Full::from(bytes.slice(index(begin)..end)).boxed_unsync()
        }
        Body::Dropped => return Err(refused(StatusCode::NOT_IMPLEMENTED, "BodyNotKept")),
    };
    let mut answer = Response::new(body);
    *answer.headers_mut() = HeaderMap::clone(&object.headers);
    let shown = answer.headers_mut();
    shown.insert(header::CONTENT_LENGTH, length.into());
    shown.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut put = |name, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            shown.insert(name, value);
        }
    };
    put(header::LAST_MODIFIED, http_date(object.modified));
    if asked.is_some() {
        let last = begin + length - 1;
        put(
            header::CONTENT_RANGE,
            format!("bytes {begin}-{last}/{}", object.size),
        );
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(tagged(answer, object.etag))
}

async fn put(
    store: &Store,
    bucket: &Bucket,
    key: String,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Answer, Refused> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    if headers.contains_key("x-amz-copy-source") {
        return Err(refused(StatusCode::NOT_IMPLEMENTED, "NotImplemented"));
    }
    let received = receive(store, &headers, body).await?;
    if query.contains_key("tagging") || query.contains_key("acl") {
        return Ok(empty(StatusCode::OK));
    }
    let etag = ETag {
        hash: received.hash,
        parts: 0,
    };
    if let Some(id) = query.get("uploadId") {
        let number = query.get("partNumber").and_then(|number| number.parse().ok());
        let number = number.ok_or_else(|| refused(StatusCode::BAD_REQUEST, "InvalidArgument"))?;
        let part = Part {
            size: received.size,
            hash: received.hash,
            known: matches!(received.body, Body::Known),
        };
        let put = store.with_upload(id, |upload| upload.parts.insert(number, part));
        put.ok_or_else(|| refused(StatusCode::NOT_FOUND, "NoSuchUpload"))?;
        return Ok(tagged(empty(StatusCode::OK), etag));
    }
    let object = Object {
        size: received.size,
        etag,
        modified: now(),
        headers: store.share(kept(&headers)),
        body: received.body,
    };
    let mut objects = write(bucket);
    let there = objects.get(key.as_str()).map(|object| object.etag);
    let fails = text(&headers, "if-none-match")
        .is_some_and(|wanted| there.is_some_and(|etag| same(wanted, etag)))
        || text(&headers, "if-match").is_some_and(|wanted| there.is_none_or(|etag| !same(wanted, etag)));
    if fails {
        return Err(refused(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    }
    objects.insert(key.into_boxed_str(), object);
    Ok(tagged(empty(StatusCode::OK), etag))
}

fn list_parts(store: &Store, name: &str, key: &str, query: &Query) -> Result<Answer, Refused> {
    let id = query.get("uploadId").map(String::as_str).unwrap_or_default();
    let shown = store.with_upload(id, |upload| {
        let parts = upload.parts.iter().map(|(number, part)| {
            let (hash, size) = (hex::encode(part.hash), part.size);
            format!("<Part><PartNumber>{number}</PartNumber><ETag>&quot;{hash}&quot;</ETag><Size>{size}</Size></Part>")
        });
        parts.collect::<String>()
    });
    let shown = shown.ok_or_else(|| refused(StatusCode::NOT_FOUND, "NoSuchUpload"))?;
    let key = escaped(key);
    Ok(xml(format!(
        "<ListPartsResult><Bucket>{name}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId><IsTruncated>false</IsTruncated>\
         {shown}</ListPartsResult>"
    )))
}

async fn complete(
    store: &Store,
    name: &str,
    bucket: &Bucket,
    key: String,
    query: &Query,
    request: Request<Incoming>,
) -> Result<Answer, Refused> {
    let headers = request.headers().clone();
    // The parts that it names are those that were sent.
    request.into_body().collect().await.map(drop).unwrap_or_default();
    let id = query.get("uploadId").map(String::as_str).unwrap_or_default();
    if text(&headers, "if-none-match").is_some() && read(bucket).contains_key(key.as_str()) {
        return Err(refused(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    }
    let upload = store.remove_upload(id);
    let upload = upload.ok_or_else(|| refused(StatusCode::NOT_FOUND, "NoSuchUpload"))?;
    let mut hasher = Md5::new();
    upload.parts.values().for_each(|part| hasher.update(part.hash));
    let etag = ETag {
        hash: hasher.finalize().into(),
        parts: u32::try_from(upload.parts.len()).unwrap_or(u32::MAX),
    };
    let known =
        upload.parts.values().all(|part| part.known) && joins(upload.parts.values().map(|part| part.size));
    let object = Object {
        size: upload.parts.values().map(|part| part.size).sum(),
        etag,
        modified: now(),
        headers: upload.headers,
        body: if known { Body::Known } else { Body::Dropped },
    };
    let shown = escaped(&key);
    write(bucket).insert(key.into_boxed_str(), object);
    Ok(xml(format!(
        "<CompleteMultipartUploadResult><Bucket>{name}</Bucket><Key>{shown}</Key><ETag>&quot;{etag}&quot;</ETag>\
         </CompleteMultipartUploadResult>"
    )))
}
