//! The data of the sandbox: buckets with their objects in listing order, and open multipart uploads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};

use super::object::{Object, SandboxObject, Segments, now};

/// The order in which a store lists its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListOrder {
    /// By the bytes of the UTF-8 key, as S3 defines it.
    #[default]
    Bytes,
    /// By path, as stores with real folders list (SeaweedFS): `/` sorts before every other byte, so all of `a/` comes
    /// before `a!` and `a-`.
    Path,
}

impl ListOrder {
    /// A byte string whose bytewise order is the listing order of the keys.
    ///
    /// The mapping is byte by byte and reversible. So prefixes stay prefixes, and range scans, start-after and
    /// delimiters work in both orders with the same code.
    pub(super) fn sort_key(self, key: &str) -> Vec<u8> {
        match self {
            Self::Bytes => key.as_bytes().to_vec(),
            Self::Path => key
                .bytes()
                .map(|byte| match byte {
                    b'/' => 0,
                    0..b'/' => byte + 1,
                    _ => byte,
                })
                .collect(),
        }
    }

    /// The key that belongs to a [`Self::sort_key`].
    pub(super) fn key(self, sort_key: &[u8]) -> String {
        let bytes = match self {
            Self::Bytes => sort_key.to_vec(),
            Self::Path => sort_key
                .iter()
                .map(|&byte| match byte {
                    0 => b'/',
                    1..=b'/' => byte - 1,
                    _ => byte,
                })
                .collect(),
        };
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// One part of an open upload.
#[derive(Clone, Debug)]
pub(super) struct UploadedPart {
    pub(super) body: Segments,
    /// The MD5 in its ETag: that of the bytes, or a substitute.
    pub(super) md5: [u8; 16],
    pub(super) last_modified: SystemTime,
}

/// One open multipart upload.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) key: String,
    pub(super) initiated: SystemTime,
    /// Headers, metadata and tags that the finished object gets.
    pub(super) head: SandboxObject,
    pub(super) parts: BTreeMap<i32, UploadedPart>,
}

/// One bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) created: SystemTime,
    /// By [`ListOrder::sort_key`].
    pub(super) objects: BTreeMap<Vec<u8>, Object>,
    /// By upload id; ids grow with time.
    pub(super) uploads: BTreeMap<String, Upload>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            created: now(),
            objects: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }
}

impl Bucket {
    /// The upload of `id`, which must belong to `key`.
    pub(super) fn upload(&mut self, key: &str, id: &str) -> S3Result<&mut Upload> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.key == key)
            .ok_or_else(|| s3_error!(NoSuchUpload))
    }
}

/// The conditions of a write.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Conditions {
    fn check(&self, current: Option<&Object>) -> S3Result<()> {
        if let Some(condition) = &self.if_match {
            let current = current.ok_or_else(|| s3_error!(NoSuchKey))?;
            if !etag_matches(condition, current) {
                return Err(s3_error!(PreconditionFailed));
            }
        }
        if let (Some(condition), Some(current)) = (&self.if_none_match, current)
            && etag_matches(condition, current)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        Ok(())
    }
}

/// Whether a condition names the ETag of this object.
pub(super) fn etag_matches(condition: &ETagCondition, object: &Object) -> bool {
    condition
        .as_etag()
        .is_none_or(|etag| etag.value() == object.head.etag)
}

/// All buckets, behind one lock, so that a condition and its write are one atomic step.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) order: ListOrder,
    buckets: Mutex<BTreeMap<String, Bucket>>,
    uploads: AtomicU64,
}

impl Store {
    pub(super) const fn new(order: ListOrder) -> Self {
        Self {
            order,
            buckets: Mutex::new(BTreeMap::new()),
            uploads: AtomicU64::new(0),
        }
    }

    /// The buckets. No task holds this across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on a bucket that must exist.
    pub(super) fn with<T>(&self, bucket: &str, work: impl FnOnce(&mut Bucket) -> S3Result<T>) -> S3Result<T> {
        let mut buckets = self.lock();
        let bucket = buckets.get_mut(bucket).ok_or_else(|| s3_error!(NoSuchBucket))?;
        work(bucket)
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> S3Result<Object> {
        let sort_key = self.order.sort_key(key);
        self.with(bucket, |bucket| {
            bucket
                .objects
                .get(&sort_key)
                .cloned()
                .ok_or_else(|| s3_error!(NoSuchKey))
        })
    }

    /// Writes an object if the conditions are true.
    pub(super) fn write(
        &self,
        bucket: &str,
        key: &str,
        object: Object,
        conditions: &Conditions,
    ) -> S3Result<()> {
        self.with(bucket, |bucket| self.write_into(bucket, key, object, conditions))
    }

    /// As [`Self::write`], for a caller that already holds the bucket.
    pub(super) fn write_into(
        &self,
        bucket: &mut Bucket,
        key: &str,
        object: Object,
        conditions: &Conditions,
    ) -> S3Result<()> {
        let sort_key = self.order.sort_key(key);
        conditions.check(bucket.objects.get(&sort_key))?;
        bucket.objects.insert(sort_key, object);
        Ok(())
    }

    /// Removes an object if the conditions are true; returns whether there was one.
    pub(super) fn delete(&self, bucket: &str, key: &str, conditions: &Conditions) -> S3Result<bool> {
        let sort_key = self.order.sort_key(key);
        self.with(bucket, |bucket| {
            conditions.check(bucket.objects.get(&sort_key))?;
            Ok(bucket.objects.remove(&sort_key).is_some())
        })
    }

    /// Simulates a write by another client: gives an object other bytes and a new ETag and keeps its headers, or
    /// creates it.
    #[cfg(feature = "faults")]
    pub(super) fn change(&self, bucket: &str, key: &str, data: bytes::Bytes) {
        let sort_key = self.order.sort_key(key);
        let mut buckets = self.lock();
        let Some(bucket) = buckets.get_mut(bucket) else {
            return;
        };
        let changed = SandboxObject::new(data);
        let head = match bucket.objects.get(&sort_key) {
            None => changed,
            Some(object) => SandboxObject {
                data: changed.data,
                etag: changed.etag,
                last_modified: changed.last_modified,
                part_sizes: Vec::new(),
                ..(*object.head).clone()
            },
        };
        bucket.objects.insert(sort_key, Object::from(head));
    }

    /// A new upload id. Ids grow with time, also across restarts, and are never reused.
    pub(super) fn upload_id(&self) -> String {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!(
            "{:020}{:08x}",
            since.as_nanos(),
            self.uploads.fetch_add(1, Ordering::Relaxed)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::ListOrder;

    #[test]
    fn sort_keys_lose_nothing() {
        let key: String = ('\0'..='\u{2ff}').chain("/.//..😀".chars()).collect();
        for order in [ListOrder::Bytes, ListOrder::Path] {
            assert_eq!(order.key(&order.sort_key(&key)), key);
        }
    }

    #[test]
    fn path_order_puts_folders_first() {
        let order = |a: &str, b: &str| ListOrder::Path.sort_key(a) < ListOrder::Path.sort_key(b);
        assert!(order("a/b/3", "a/b-"));
        assert!(order("a/1", "a!"));
        assert!(order("a/1", "a\u{1}"));
        assert!(order("a", "a/"));
        assert!(order("a/z", "b"));
    }
}
