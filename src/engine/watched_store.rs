//! A store that tells its task when it asks for fewer requests.
//!
//! Every request of a pass goes through it: listings, HEADs, parts and tags count like reads and writes of whole objects. It
//! changes nothing.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;

use crate::engine::object_slots::ObjectSlots;
use crate::error::{ErrorKind, Result};
use crate::object::clouds::Side;
use crate::object::{
    Body, ByteRange, CopySource, ETag, ListQuery, ListVersion, NewObject, Object, ObjectInfo, ObjectStore,
    PageFacts, PageSink, Part, SharedStore, Tags, UploadId, WriteIf, Written,
};
use crate::task::Key;

/// Watches the answers of `store`, the store of one side of a task.
#[must_use]
pub fn watched(store: SharedStore, side: Side, slots: Arc<ObjectSlots>) -> SharedStore {
    Arc::new(Watched { store, side, slots })
}

#[derive(Debug)]
struct Watched {
    store: SharedStore,
    side: Side,
    slots: Arc<ObjectSlots>,
}

impl Watched {
    fn seen<T>(&self, answer: Result<T>) -> Result<T> {
        answer.inspect_err(|error| {
            if error.kind() == ErrorKind::RateLimited {
                self.slots.throttled(self.side, Instant::now());
            }
        })
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn list(&self, query: &ListQuery, sink: &mut dyn PageSink) -> Result<PageFacts> {
        self.seen(self.store.list(query, sink).await)
    }

    fn list_version(&self) -> ListVersion {
        self.store.list_version()
    }

    fn set_list_version(&self, version: ListVersion) {
        self.store.set_list_version(version);
    }

    async fn head(&self, key: &Key, part: Option<u32>) -> Result<ObjectInfo> {
        self.seen(self.store.head(key, part).await)
    }

    async fn get(&self, key: &Key, portion: ByteRange, if_match: Option<&ETag>) -> Result<Object> {
        self.seen(self.store.get(key, portion, if_match).await)
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
        self.seen(self.store.put(key, new, length, md5, condition, body).await)
    }

    async fn copy(&self, from: &CopySource, key: &Key, new: &NewObject) -> Result<Written> {
        self.seen(self.store.copy(from, key, new).await)
    }

    async fn create_upload(&self, key: &Key, new: &NewObject) -> Result<UploadId> {
        self.seen(self.store.create_upload(key, new).await)
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
        self.seen(
            self.store
                .upload_part(key, upload, number, length, md5, body)
                .await,
        )
    }

    async fn copy_part(
        &self,
        from: &CopySource,
        range: ByteRange,
        key: &Key,
        upload: &UploadId,
        number: u32,
    ) -> Result<Part> {
        self.seen(self.store.copy_part(from, range, key, upload, number).await)
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Part>> {
        self.seen(self.store.list_parts(key, upload).await)
    }

    async fn list_uploads(&self, key: &Key) -> Result<Vec<UploadId>> {
        self.seen(self.store.list_uploads(key).await)
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: &WriteIf,
    ) -> Result<Option<ETag>> {
        self.seen(self.store.complete_upload(key, upload, parts, condition).await)
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        self.seen(self.store.abort_upload(key, upload).await)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.seen(self.store.delete(key).await)
    }

    async fn delete_if(&self, key: &Key, etag: &ETag) -> Result<()> {
        self.seen(self.store.delete_if(key, etag).await)
    }

    async fn tags(&self, key: &Key) -> Result<Tags> {
        self.seen(self.store.tags(key).await)
    }

    fn demands_md5(&self) -> bool {
        self.store.demands_md5()
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}
