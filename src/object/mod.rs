//! The boundary to object stores: what the engine may request, and what it gets back.
//!
//! Implementations translate every foreign error into an [`Error`] with the right [`ErrorKind`]. They never retry,
//! never log a credential, and never change a key.

pub mod cdn;
pub mod clouds;
mod endpoint;
mod etag;
pub mod http;
pub mod http_source;
mod listing;
pub mod metadata_signing;
mod modified;
pub mod pace;
pub mod recent;
pub mod s3;
mod written;

use std::fmt;
use std::sync::Arc;

use ::http::{HeaderMap, HeaderName};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

pub use self::etag::ETag;
pub use self::listing::{
    Entry, EntryFacts, ListFrom, ListQuery, ListVersion, ListingEntry, PAGE_SIZE, PageFacts, PageSink,
    is_encoding_of,
};
pub use self::modified::known_time;
pub use self::written::{Encryption, Written};

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Credentials;
use crate::task::spec::{BucketLocation, Cdn};
use crate::task::{Key, UnixMillis};

/// A stream of bytes; dropping it ends the transfer.
pub type Body = UnsyncBoxBody<Bytes, Error>;

/// A shared handle on a bucket of a store, with credentials bound to it.
pub type SharedStore = Arc<dyn ObjectStore>;

/// The headers that travel with an object: `Content-Type`, `-Encoding`, `-Language`, `-Disposition`,
/// `Cache-Control`, `Expires`, `x-amz-website-redirect-location` and `x-amz-meta-*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectHeaders(pub HeaderMap);

/// What a store reports about an object and no copy of it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotCarried {
    /// A retention or a legal hold.
    pub lock: bool,
    /// Headers `x-amz-*` that are not in our table of known headers.
    pub unknown: Vec<HeaderName>,
}

/// What a store reports about an object besides its bytes.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// Length in bytes of the whole object, whatever range was requested. `None` if the server does not report it, as a
    /// plain web server may. A bucket nearly always does.
    pub size: Option<u64>,
    /// Entity tag.
    pub etag: Option<ETag>,
    /// As [`Entry::last_modified`].
    pub last_modified: Option<UnixMillis>,
    /// Headers to carry over.
    pub carried: ObjectHeaders,
    /// What the response has and a copy does not.
    pub uncarried: NotCarried,
    /// Number of tags.
    pub tag_count: u32,
    /// Number of parts it was uploaded in, if a part was requested and the store reports it.
    pub parts_count: Option<u32>,
    /// Storage class, when not the default.
    pub storage_class: Option<String>,
    /// Number of user metadata entries that the store has but does not return, because no header can hold them.
    pub missing_metadata: u32,
    /// How the object is encrypted at rest, if the store reports it.
    pub encryption: Option<Encryption>,
}

impl ObjectInfo {
    /// Whether the ETag may be made of MD5 sums, as S3 makes it. The ETag of an object that is encrypted by a key
    /// management service only looks like an MD5 sum.
    #[must_use]
    pub fn tag_is_hash(&self) -> bool {
        self.encryption != Some(Encryption::Kms)
    }

    /// The MD5 of the content, if the ETag has the form of one ([`ETag::md5`]) and may be one ([`Self::tag_is_hash`]).
    #[must_use]
    pub fn md5(&self) -> Option<[u8; 16]> {
        let tag = self.etag.as_ref().filter(|_| self.tag_is_hash());
        tag.and_then(ETag::md5)
    }

    /// The length in bytes of the whole object.
    ///
    /// # Errors
    /// `Unsupported` with the code `NoContentLength` if the length is unknown.
    pub fn require_size(&self) -> Result<u64> {
        self.size.ok_or_else(unknown_length)
    }

    /// Checks that a read found the version with this ETag. An object whose ETag is not reported passes.
    ///
    /// # Errors
    /// `PreconditionFailed` if it is another version.
    pub fn require_version(&self, wanted: Option<&ETag>) -> Result<()> {
        match (wanted, &self.etag) {
            (Some(wanted), Some(found)) if !wanted.same(found) => {
                let text = "the object was changed: its ETag is not the listed one";
                Err(Error::new(ErrorKind::PreconditionFailed, text))
            }
            _ => Ok(()),
        }
    }
}

/// The error for an object whose length is needed but unknown.
#[must_use]
pub fn unknown_length() -> Error {
    let text = "the server does not report the length of the object";
    Error::new(ErrorKind::Unsupported, text).with_code("NoContentLength")
}

/// Which bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// All of it.
    Whole,
    /// `length` bytes from `offset` on.
    Range {
        /// First byte.
        offset: u64,
        /// Number of bytes, at least 1.
        length: u64,
    },
    /// The bytes that were uploaded as this part, from 1.
    Part(u32),
}

/// The answer to a read.
pub struct Object {
    /// What the store reports about the object.
    pub info: ObjectInfo,
    /// Number of bytes that [`Object::body`] must yield. `None` if the length is known only at the end of the
    /// body; then the whole object was requested.
    pub length: Option<u64>,
    /// The bytes.
    pub body: Body,
}

/// How a new object shall be stored.
#[derive(Clone, Debug, Default)]
pub struct NewObject {
    /// Headers to carry over.
    pub carried: ObjectHeaders,
    /// Tags as a query string (`a=1&b=2`), percent-encoded; `None` for no tags.
    pub tagging: Option<String>,
    /// Storage class; `None` for the bucket's default.
    pub storage_class: Option<String>,
    /// Whether the store shall encrypt with its key management service (`aws:kms`).
    pub kms: bool,
}

/// A condition of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WriteIf {
    /// None.
    #[default]
    Always,
    /// Only if no object has the key (`If-None-Match: *`).
    Absent,
    /// Only if the object still has this ETag (`If-Match`).
    Matches(ETag),
}

/// Id of a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UploadId(pub String);

/// A part that the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u32,
    /// The store's ETag of the part.
    pub etag: ETag,
    /// Bytes; 0 when not known.
    pub size: u64,
}

/// Tags of an object.
pub type Tags = Vec<(String, String)>;

/// A bucket of an object store, accessed with one pair of access and secret keys.
///
/// Every operation is one request. Errors are described by kind: `NotFound` (the key), `BucketNotFound`,
/// `UploadNotFound`, `Unauthenticated`, `PermissionDenied`, `PreconditionFailed`, `Archived`, `StorageFull`,
/// `RateLimited` with its `retry_after`, `Unavailable`, `Timeout`, `Integrity`, `Unsupported`, `InvalidArgument`,
/// `Forbidden` (network policy), each with the store's own code and request id.
/// Dropping a future ends its request.
#[async_trait]
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// Requests a page of a listing with at most [`ListQuery::limit`] objects, passes its objects to `sink` in the order of
    /// the page, and returns what the page says about itself. Nothing is checked: a page may be longer than requested,
    /// or wrong. Keys are exact: they are requested url-encoded. If a key can be decoded in two ways, the store is
    /// asked which of them exists.
    async fn list(&self, query: &ListQuery, sink: &mut dyn PageSink) -> Result<PageFacts>;

    /// The operation to start listings with.
    fn list_version(&self) -> ListVersion;

    /// Starts listings with this operation from now on, because the store refused the other one.
    fn set_list_version(&self, version: ListVersion);

    /// Requests everything but the bytes. With `part`, the size and number of parts are requested ([`ObjectInfo::size`]
    /// is then the size of that part).
    async fn head(&self, key: &Key, part: Option<u32>) -> Result<ObjectInfo>;

    /// Reads `portion` of the object, on condition that it still has the ETag `if_match`. If the response has another
    /// ETag, the error is `PreconditionFailed` too, because some stores ignore the condition. If the response ignores
    /// the range, the error is `Integrity`. If the store sends no length, the whole object is returned without one, and
    /// its length is known at the end of the body.
    async fn get(&self, key: &Key, portion: ByteRange, if_match: Option<&ETag>) -> Result<Object>;

    /// Writes an object of exactly `length` bytes. Nothing becomes visible unless all of them arrive. `md5` is sent as
    /// `Content-MD5`, so that the store refuses other bytes.
    async fn put(
        &self,
        key: &Key,
        new: &NewObject,
        length: u64,
        md5: Option<[u8; 16]>,
        condition: &WriteIf,
        body: Body,
    ) -> Result<Written>;

    /// Copies an object of another bucket of the same store, up to 5 GiB, without the bytes passing through here. If
    /// the response has no document, only its headers are used.
    async fn copy(&self, from: &CopySource, key: &Key, new: &NewObject) -> Result<Written>;

    /// Begins a multipart upload.
    async fn create_upload(&self, key: &Key, new: &NewObject) -> Result<UploadId>;

    /// Uploads a part of exactly `length` bytes; `md5` as for [`Self::put`].
    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        length: u64,
        md5: Option<[u8; 16]>,
        body: Body,
    ) -> Result<Part>;

    /// Copies a range of another object of the same store into a part.
    async fn copy_part(
        &self,
        from: &CopySource,
        range: ByteRange,
        key: &Key,
        upload: &UploadId,
        number: u32,
    ) -> Result<Part>;

    /// All parts the store holds of an upload.
    async fn list_parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Part>>;

    /// Open uploads of exactly this key, also those of other clients.
    async fn list_uploads(&self, key: &Key) -> Result<Vec<UploadId>>;

    /// Completes an upload from its parts. An error inside a response of status 200 is an error.
    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: &WriteIf,
    ) -> Result<Option<ETag>>;

    /// Aborts an upload; `UploadNotFound` if the store has none with that id.
    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()>;

    /// Deletes an object; a key that is not there is fine.
    async fn delete(&self, key: &Key) -> Result<()>;

    /// Deletes an object if it still has this ETag (`If-Match`). A key that is not there is fine; another version is
    /// `PreconditionFailed`. A store without conditional deletes may refuse, or delete any version.
    async fn delete_if(&self, key: &Key, etag: &ETag) -> Result<()>;

    /// Tags of an object.
    async fn tags(&self, key: &Key) -> Result<Tags>;

    /// Whether the store has refused a write without a hash of its body, as buckets with Object Lock do. Every later
    /// write to it then needs `md5`.
    fn demands_md5(&self) -> bool {
        false
    }

    /// Host and bucket, for messages.
    fn describe(&self) -> String;
}

/// Makes stores from bucket locations and credentials.
pub trait Connect: Send + Sync {
    /// A store for the bucket of `place`, accessed with `keys`. Nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidArgument` for an address or key that cannot be put into a request.
    fn connect(&self, place: &BucketLocation, keys: &Credentials, list: ListVersion) -> Result<SharedStore>;

    /// A source for the URLs of a manifest, by name.
    fn urls(&self, addresses: Arc<recent::ObjectUrls>) -> SharedStore;

    /// `store`, with its objects read through a CDN.
    ///
    /// # Errors
    /// [`crate::violation::Violation::CdnKeyMissing`] when the CDN wants a key that is not there.
    fn through_cdn(
        &self,
        store: SharedStore,
        place: &BucketLocation,
        cdn: &Cdn,
        keys: cdn::CdnKeys,
    ) -> Result<SharedStore>;
}

/// The object that a server-side copy reads.
#[derive(Clone, Debug)]
pub struct CopySource {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: Key,
    /// Only this version of it.
    pub if_match: Option<ETag>,
}
