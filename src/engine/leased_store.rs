//! A target that a worker writes to only while its lease on the shard is known to hold ([`LeaseGuard`]).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::engine::lease_guard::LeaseGuard;
use crate::error::{Error, Result};
use crate::object::{
    Body, ByteRange, CopySource, ETag, ListQuery, ListVersion, NewObject, Object, ObjectInfo, ObjectStore,
    PageFacts, PageSink, Part, SharedStore, Tags, UploadId, WriteIf, Written,
};
use crate::task::Key;

/// Guards the writes to `store`.
#[must_use]
pub fn leased(store: SharedStore, guard: LeaseGuard) -> SharedStore {
    Arc::new(Leased { store, guard })
}

#[derive(Debug)]
struct Leased {
    store: SharedStore,
    guard: LeaseGuard,
}

impl Leased {
    /// A body that ends with an error when the lease does, so that the request is not completed.
    fn guarded(&self, inner: Body) -> Body {
        let guard = self.guard.clone();
        GuardedBody { inner, guard }.boxed_unsync()
    }
}

struct GuardedBody {
    inner: Body,
    guard: LeaseGuard,
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        match frame {
            Poll::Ready(Some(Ok(_))) if !self.guard.holds(Instant::now()) => {
                Poll::Ready(self.guard.check().err().map(Err))
            }
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[async_trait]
impl ObjectStore for Leased {
    async fn list(&self, query: &ListQuery, sink: &mut dyn PageSink) -> Result<PageFacts> {
        self.store.list(query, sink).await
    }

    fn list_version(&self) -> ListVersion {
        self.store.list_version()
    }

    fn set_list_version(&self, version: ListVersion) {
        self.store.set_list_version(version);
    }

    async fn head(&self, key: &Key, part: Option<u32>) -> Result<ObjectInfo> {
        self.store.head(key, part).await
    }

    async fn get(&self, key: &Key, portion: ByteRange, if_match: Option<&ETag>) -> Result<Object> {
        self.store.get(key, portion, if_match).await
    }

    async fn put(
        &self,
        key: &Key,
        new: &NewObject,
        length: u64,
        md5: Option<[u8; 16]>,
        condition: &WriteIf,
        body: Body,
    ) -> Result<Written> {
        self.guard.check()?;
        let body = self.guarded(body);
        self.store.put(key, new, length, md5, condition, body).await
    }

    async fn copy(&self, from: &CopySource, key: &Key, new: &NewObject) -> Result<Written> {
        self.guard.check()?;
        self.store.copy(from, key, new).await
    }

    async fn create_upload(&self, key: &Key, new: &NewObject) -> Result<UploadId> {
        self.guard.check()?;
        self.store.create_upload(key, new).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        length: u64,
        md5: Option<[u8; 16]>,
        body: Body,
    ) -> Result<Part> {
        self.guard.check()?;
        let body = self.guarded(body);
        self.store
            .upload_part(key, upload, number, length, md5, body)
            .await
    }

    async fn copy_part(
        &self,
        from: &CopySource,
        range: ByteRange,
        key: &Key,
        upload: &UploadId,
        number: u32,
    ) -> Result<Part> {
        self.guard.check()?;
        self.store.copy_part(from, range, key, upload, number).await
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Part>> {
        self.store.list_parts(key, upload).await
    }

    async fn list_uploads(&self, key: &Key) -> Result<Vec<UploadId>> {
        self.store.list_uploads(key).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: &WriteIf,
    ) -> Result<Option<ETag>> {
        self.guard.check()?;
        self.store.complete_upload(key, upload, parts, condition).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        self.guard.check()?;
        self.store.abort_upload(key, upload).await
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.guard.check()?;
        self.store.delete(key).await
    }

    async fn delete_if(&self, key: &Key, etag: &ETag) -> Result<()> {
        self.guard.check()?;
        self.store.delete_if(key, etag).await
    }

    async fn tags(&self, key: &Key) -> Result<Tags> {
        self.store.tags(key).await
    }

    fn demands_md5(&self) -> bool {
        self.store.demands_md5()
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
