//! The client over real HTTP: `sandbox` and `failures` test what stores do, `scripted` tests responses that no correct
//! store sends.

mod adapt;
mod encryption;
mod failures;
mod names;
mod pace;
mod sandbox;
mod scripted;
mod server;

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};

use super::*;
use crate::error::ErrorKind;
use crate::net::NetworkPolicy;
use crate::object::pace::MinimumRate;
use crate::object::{ListFrom, ListQuery, ListingEntry, NewObject, Object, ObjectStore, PageFacts, WriteIf};
use crate::secret::Secret;
use crate::task::UnixMillis;
use crate::task::spec::{Addressing, EndpointOrigin};

const BUCKET: &str = "bucket";

fn options(url: String, keys: (&str, &str)) -> S3Options {
    let endpoint = Endpoint {
        url,
        addressing: Addressing::Path,
        origin: EndpointOrigin::Request,
    };
    let keys = Credentials {
        access_key: Secret::new(keys.0),
        secret_key: Secret::new(keys.1),
    };
    let http = HttpClient::new(NetworkPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]));
    let mut options = S3Options::new(endpoint, "us-east-1".into(), BUCKET.into(), keys, http);
    options.timeouts = Timeouts {
        answer: Duration::from_millis(400),
        complete: Duration::from_millis(400),
        stall: Duration::from_millis(400),
        rate: MinimumRate {
            bytes_per_second: 512,
            grace: Duration::from_millis(400),
        },
        drain: u32::MAX,
        ..Timeouts::default()
    };
    options
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body of several frames, the last of which may be an error.
fn frames(frames: Vec<Result<&'static str>>) -> Body {
    let frames = frames
        .into_iter()
        .map(|frame| frame.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))));
    StreamBody::new(stream::iter(frames)).boxed_unsync()
}

async fn write(store: &S3Store, key: &Key, bytes: &'static str) -> Result<Option<crate::object::ETag>> {
    let length = bytes.len() as u64;
    store
        .put(
            key,
            &NewObject::default(),
            length,
            None,
            &WriteIf::Always,
            body(bytes),
        )
        .await
        .map(|written| written.etag)
}

async fn read(object: Object) -> Result<Bytes> {
    object
        .body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
}

/// A page of a listing as the store sends it, unchecked.
async fn list(store: &S3Store, prefix: &str, from: ListFrom) -> Result<(Vec<ListingEntry>, PageFacts)> {
    let query = ListQuery {
        prefix: Key::from(prefix),
        from,
        version: store.list_version(),
        limit: crate::object::PAGE_SIZE,
    };
    let mut found = Vec::new();
    let facts = store.list(&query, &mut found).await?;
    Ok((found, facts))
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it succeeded"),
        Err(error) => error.kind(),
    }
}
