//! Sources that are read over plain HTTP: the URLs of a manifest, and a bucket behind a CDN.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::cdn::{Authentication, CdnKeys, Signing, sign};
use super::http::HttpReader;
use super::recent::ObjectUrls;
use super::{
    Body, ByteRange, CopySource, ETag, ListQuery, ListVersion, NewObject, Object, ObjectInfo, ObjectStore,
    PageFacts, PageSink, Part, SharedStore, Tags, UploadId, WriteIf, Written,
};
use crate::error::{Error, ErrorKind, Result, pluralize};
use crate::task::spec::Cdn;
use crate::task::{Clock, Key, UnixMillis};

/// Unreserved characters of RFC 3986 and the slash are not encoded, as in URLs of objects.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A source that is read over plain HTTP, and never written to.
pub struct HttpSource {
    reader: HttpReader,
    via: Via,
}

enum Via {
    Urls(Arc<ObjectUrls>),
    Cdn(Box<Behind>),
}

/// The bucket behind a CDN, and how requests to the CDN are made.
struct Behind {
    store: SharedStore,
    origin: String,
    kind: Authentication,
    keys: CdnKeys,
    bucket: String,
    clock: Clock,
}

impl HttpSource {
    /// The URLs of a manifest. A key is the name that the manifest gives a URL.
    #[must_use]
    pub const fn urls(reader: HttpReader, addresses: Arc<ObjectUrls>) -> Self {
        Self {
            reader,
            via: Via::Urls(addresses),
        }
    }

    /// A bucket whose objects are listed and described by `store` and read through `cdn`.
    ///
    /// # Errors
    /// [`crate::violation::Violation::CdnKeyMissing`] when the CDN's key is missing; `InvalidArgument` for a type that is not known.
    pub fn behind(
        reader: HttpReader,
        store: SharedStore,
        cdn: &Cdn,
        keys: CdnKeys,
        bucket: &str,
        clock: Clock,
    ) -> Result<Self> {
        let kind = Authentication::from_name(&cdn.authentication_type)
            .ok_or_else(|| Error::invalid("the type of the CDN's authentication is not known"))?;
        let behind = Behind {
            store,
            origin: format!("{}://{}", cdn.protocol, cdn.domain),
            kind,
            keys,
            bucket: bucket.to_owned(),
            clock,
        };
        behind.address(&Key::from("probe"))?;
        Ok(Self {
            reader,
            via: Via::Cdn(Box::new(behind)),
        })
    }
}

impl Behind {
    fn address(&self, key: &Key) -> Result<String> {
        let signing = Signing {
            kind: self.kind,
            keys: &self.keys,
            bucket: &self.bucket,
        };
        let path = format!("/{}", percent_encode(key.as_bytes(), PATH));
        sign(&signing, &self.origin, &path, self.clock.now(), rand::random())
    }

    /// Reads an object through the CDN and compares it with what the source reports. Source: the OMS reference on
    /// `source_cdn`: the length must be equal, and the CDN's copy must not be older. If both have an MD5 as ETag, these
    /// must be equal too.
    async fn get(
        &self,
        reader: &HttpReader,
        key: &Key,
        portion: ByteRange,
        if_match: Option<&ETag>,
    ) -> Result<Object> {
        let info = self.store.head(key, None).await?;
        info.require_version(if_match)?;
        let mut object = reader
            .get(&self.address(key)?, portion, None)
            .await
            .map_err(through_cdn)?;
        let served = object.info.require_size().map_err(through_cdn)?;
        let size = info.require_size()?;
        let other_sum = matches!((info.md5(), object.info.md5()), (Some(a), Some(b)) if a != b);
        // HTTP dates have whole seconds. Without a date, the age of the CDN's copy is unknown and is not checked.
        let seconds = |time: Option<UnixMillis>| time.map(|time| time.0.div_euclid(1000));
        let older = matches!(
            (seconds(object.info.last_modified), seconds(info.last_modified)),
            (Some(served), Some(at_source)) if served < at_source
        );
        if served != size || older || other_sum {
            let text = format!(
                "the CDN serves {}{}, the source has {}: it is stale, or changes the content",
                pluralize(served, "byte", "bytes"),
                if older { " of an older version" } else { "" },
                pluralize(size, "byte", "bytes"),
            );
            return Err(Error::new(ErrorKind::Conflict, text).with_code("COMPARE_SRC_AND_CDN_FAILURE"));
        }
        object.info = info;
        Ok(object)
    }
}

/// If the CDN refuses, the error concerns the object, not the credentials of the source. If the CDN does not have the
/// object, the source may still have it.
fn through_cdn(error: Error) -> Error {
    let kind = match error.kind() {
        ErrorKind::NotFound => ErrorKind::Conflict,
        ErrorKind::PreconditionFailed => ErrorKind::Conflict,
        kind => kind,
    };
    let (wait, id) = (error.retry_after(), error.request_id().map(str::to_owned));
    let code = match error.code() {
        None if kind == ErrorKind::Conflict => Some("COMPARE_SRC_AND_CDN_FAILURE".to_owned()),
        code => code.map(str::to_owned),
    };
    let translated = Error::new(kind, format!("CDN: {}", error.message()))
        .with_retry_after(wait)
        .with_request_id(id)
        .with_source(error);
    match code {
        Some(code) => translated.with_code(code),
        None => translated,
    }
}

/// A refused URL is an error of that URL alone, not of the whole manifest.
fn of_one_address(error: Error) -> Error {
    if error.kind() != ErrorKind::Forbidden {
        return error;
    }
    let code = error.code().unwrap_or("URL_LIST_DOMAIN_FORBIDDEN").to_owned();
    Error::new(ErrorKind::PermissionDenied, error.message()).with_code(code)
}

fn unknown() -> Error {
    Error::new(ErrorKind::NotFound, "the manifest has no such name")
}

fn read_only<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "a source over HTTP can only be read",
    ))
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpSource({})", self.describe())
    }
}

#[async_trait]
impl ObjectStore for HttpSource {
    async fn list(&self, query: &ListQuery, sink: &mut dyn PageSink) -> Result<PageFacts> {
        match &self.via {
            Via::Cdn(behind) => behind.store.list(query, sink).await,
            Via::Urls(_) => read_only(),
        }
    }

    fn list_version(&self) -> ListVersion {
        match &self.via {
            Via::Cdn(behind) => behind.store.list_version(),
            Via::Urls(_) => ListVersion::default(),
        }
    }

    fn set_list_version(&self, version: ListVersion) {
        if let Via::Cdn(behind) = &self.via {
            behind.store.set_list_version(version);
        }
    }

    async fn head(&self, key: &Key, part: Option<u32>) -> Result<ObjectInfo> {
        match &self.via {
            Via::Cdn(behind) => behind.store.head(key, part).await,
            Via::Urls(_) if part.is_some() => read_only(),
            Via::Urls(addresses) => {
                let url = addresses.get(key).ok_or_else(unknown)?;
                self.reader.head(&url).await.map_err(of_one_address)
            }
        }
    }

    async fn get(&self, key: &Key, portion: ByteRange, if_match: Option<&ETag>) -> Result<Object> {
        match &self.via {
            Via::Cdn(behind) => behind.get(&self.reader, key, portion, if_match).await,
            Via::Urls(addresses) => {
                let url = addresses.get(key).ok_or_else(unknown)?;
                let object = self.reader.get(&url, portion, if_match).await;
                object.map_err(of_one_address)
            }
        }
    }

    async fn put(
        &self,
        _: &Key,
        _: &NewObject,
        _: u64,
        _: Option<[u8; 16]>,
        _: &WriteIf,
        _: Body,
    ) -> Result<Written> {
        read_only()
    }

    async fn copy(&self, _: &CopySource, _: &Key, _: &NewObject) -> Result<Written> {
        read_only()
    }

    async fn create_upload(&self, _: &Key, _: &NewObject) -> Result<UploadId> {
        read_only()
    }

    async fn upload_part(
        &self,
        _: &Key,
        _: &UploadId,
        _: u32,
        _: u64,
        _: Option<[u8; 16]>,
        _: Body,
    ) -> Result<Part> {
        read_only()
    }

    async fn copy_part(&self, _: &CopySource, _: ByteRange, _: &Key, _: &UploadId, _: u32) -> Result<Part> {
        read_only()
    }

    async fn list_parts(&self, _: &Key, _: &UploadId) -> Result<Vec<Part>> {
        read_only()
    }

    async fn list_uploads(&self, _: &Key) -> Result<Vec<UploadId>> {
        read_only()
    }

    async fn complete_upload(&self, _: &Key, _: &UploadId, _: &[Part], _: &WriteIf) -> Result<Option<ETag>> {
        read_only()
    }

    async fn abort_upload(&self, _: &Key, _: &UploadId) -> Result<()> {
        read_only()
    }

    async fn delete(&self, _: &Key) -> Result<()> {
        read_only()
    }

    async fn delete_if(&self, _: &Key, _: &ETag) -> Result<()> {
        read_only()
    }

    async fn tags(&self, key: &Key) -> Result<Tags> {
        match &self.via {
            Via::Cdn(behind) => behind.store.tags(key).await,
            Via::Urls(_) => read_only(),
        }
    }

    fn describe(&self) -> String {
        match &self.via {
            Via::Cdn(behind) => format!("{} behind {}", behind.store.describe(), behind.origin),
            Via::Urls(_) => "a list of URLs".to_owned(),
        }
    }
}
