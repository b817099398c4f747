//! Buckets and objects in memory, and the pages in which they are listed.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::data::{Block, Body, Hash, Hashing, key};

/// Entries of a page at most.
const PAGE: usize = 1000;
/// What stays as it is in an encoded key.
pub const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// An entity tag: an MD5 hash, and the number of parts if it came in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ETag {
    /// The hash.
    pub hash: Hash,
    /// The number of parts, or 0.
    pub parts: u32,
}

/// An object.
#[derive(Clone, Debug)]
pub struct Object {
    /// Length in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// Seconds since 1970.
    pub modified: i64,
    /// Headers that are kept with it. Objects written alike share them.
    pub headers: Arc<HeaderMap>,
    /// Its bytes.
    pub body: Body,
}

/// A part of an upload that is not complete.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Length in bytes.
    pub size: u64,
    /// Hash.
    pub hash: Hash,
    /// Whether the benchmark knows its bytes.
    pub known: bool,
}

/// An upload in parts.
#[derive(Debug, Default)]
pub struct Upload {
    /// Headers of the object that it becomes.
    pub headers: Arc<HeaderMap>,
    /// The parts by number.
    pub parts: BTreeMap<u32, Part>,
}

/// The objects of a bucket.
pub type Objects = BTreeMap<Box<str>, Object>;
/// A bucket.
pub type Bucket = Arc<RwLock<Objects>>;

/// An S3 store in memory.
pub struct Store {
    /// The only access key. Signatures are not checked.
    pub access_key: String,
    /// What is hashed.
    pub hashing: Hashing,
    /// The bytes of the benchmark's objects.
    pub block: Block,
    /// Milliseconds by which every answer is late.
    late: AtomicU64,
    buckets: RwLock<BTreeMap<String, Bucket>>,
    uploads: Mutex<HashMap<String, Upload>>,
    begun: AtomicU64,
    shared: Mutex<Arc<HeaderMap>>,
}

/// What a listing asks for.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// Version 2 of the operation, and not 1.
    pub second: bool,
    /// Only keys that begin so.
    pub prefix: &'a str,
    /// What ends a folder.
    pub delimiter: &'a str,
    /// Only keys behind this one.
    pub after: &'a str,
    /// At most this many entries.
    pub most: usize,
    /// Whether keys are encoded like in a URL.
    pub encoded: bool,
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.hash))?;
        match self.parts {
            0 => Ok(()),
            parts => write!(f, "-{parts}"),
        }
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A time as listings show it.
fn iso(second: i64) -> String {
    jiff::Timestamp::from_second(second)
        .unwrap_or_default()
        .strftime("%Y-%m-%dT%H:%M:%S.000Z")
        .to_string()
}

/// A time as headers show it.
pub fn http_date(second: i64) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(second.unsigned_abs()))
}

/// Text for XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The objects of a bucket, to read.
pub fn read(bucket: &RwLock<Objects>) -> RwLockReadGuard<'_, Objects> {
    bucket.read().unwrap_or_else(PoisonError::into_inner)
}

/// The objects of a bucket, to change.
pub fn write(bucket: &RwLock<Objects>) -> RwLockWriteGuard<'_, Objects> {
    bucket.write().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// An empty store.
    pub fn new(access_key: &str, hashing: Hashing) -> Self {
        Self {
            access_key: access_key.to_owned(),
            hashing,
            block: Block::default(),
            late: AtomicU64::new(0),
            buckets: RwLock::default(),
            uploads: Mutex::default(),
            begun: AtomicU64::new(0),
            shared: Mutex::default(),
        }
    }

    /// By how much every answer is late.
    pub fn late(&self) -> Duration {
        Duration::from_millis(self.late.load(Ordering::Relaxed))
    }

    /// Makes every answer late.
    pub fn make_late(&self, milliseconds: u64) {
        self.late.store(milliseconds, Ordering::Relaxed);
    }

    /// A bucket, if it exists.
    pub fn bucket(&self, name: &str) -> Option<Bucket> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.get(name).cloned()
    }

    /// The names of all buckets.
    pub fn bucket_names(&self) -> Vec<String> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets.keys().cloned().collect()
    }

    /// Makes a bucket unless it exists.
    pub fn make_bucket(&self, name: &str) -> Bucket {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.entry(name.to_owned()).or_default().clone()
    }

    /// Removes a bucket with its objects.
    pub fn remove_bucket(&self, name: &str) {
        let mut buckets = self.buckets.write().unwrap_or_else(PoisonError::into_inner);
        buckets.remove(name);
    }

    /// Puts the benchmark's objects into a bucket.
    pub fn fill(&self, bucket: &str, count: u64, size: u64) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-benchmark"));
        headers.insert("x-amz-meta-origin", HeaderValue::from_static("benchmark"));
        let object = Object {
            size,
            etag: ETag {
                hash: self.block.hash(size),
                parts: 0,
            },
            modified: now(),
            headers: self.share(headers),
            body: Body::Known,
        };
        let bucket = self.make_bucket(bucket);
        let mut objects = write(&bucket);
        objects.extend((0..count).map(|number| (key(number).into_boxed_str(), object.clone())));
    }

    /// One copy of headers that many objects have.
    pub fn share(&self, headers: HeaderMap) -> Arc<HeaderMap> {
        let mut last = lock(&self.shared);
        if **last != headers {
            *last = Arc::new(headers);
        }
        last.clone()
    }

    /// Begins an upload in parts and returns its id.
    pub fn begin_upload(&self, headers: Arc<HeaderMap>) -> String {
        let id = format!("upload-{}", self.begun.fetch_add(1, Ordering::Relaxed));
        let upload = Upload {
            headers,
            parts: BTreeMap::new(),
        };
        lock(&self.uploads).insert(id.clone(), upload);
        id
    }

    /// Does something with an upload that exists.
    pub fn with_upload<T>(&self, id: &str, act: impl FnOnce(&mut Upload) -> T) -> Option<T> {
        lock(&self.uploads).get_mut(id).map(act)
    }

    /// Ends an upload.
    pub fn remove_upload(&self, id: &str) -> Option<Upload> {
        lock(&self.uploads).remove(id)
    }
}

/// A page of a bucket.
pub fn list(name: &str, objects: &Objects, asked: &Asked<'_>) -> String {
    let shown = |key: &str| match asked.encoded {
        true => utf8_percent_encode(key, PLAIN).to_string(),
        false => escaped(key),
    };
    let most = asked.most.min(PAGE);
    let (mut entries, mut folders, mut count) = (String::with_capacity(256 * most), String::new(), 0);
    let (mut last, mut more) = (String::new(), false);
    let mut time = (0, iso(0));
    let mut begin = match asked.after >= asked.prefix {
        true => Bound::Excluded(asked.after.to_owned()),
        false => Bound::Included(asked.prefix.to_owned()),
    };
    // Each turn lists up to the next folder, and goes on behind it.
    'folders: loop {
        let range = (begin.as_ref().map(String::as_str), Bound::Unbounded);
        for (key, object) in objects.range::<str, _>(range) {
            let Some(rest) = key.strip_prefix(asked.prefix) else {
                break 'folders;
            };
            if count == most {
                more = true;
                break 'folders;
            }
            let end = match asked.delimiter {
                "" => None,
                delimiter => rest
                    .find(delimiter)
                    .map(|at| asked.prefix.len() + at + delimiter.len()),
            };
            if let Some(end) = end {
                let folder = &key[..end];
                last = format!("{folder}\u{10ffff}");
                if asked.after < folder {
                    write_to(
                        &mut folders,
                        format_args!(
                            "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>",
                            shown(folder)
                        ),
                    );
                    count += 1;
                }
                begin = Bound::Excluded(last.clone());
                continue 'folders;
            }
            if time.0 != object.modified {
                time = (object.modified, iso(object.modified));
            }
            let (key_shown, etag, size) = (shown(key), object.etag, object.size);
            write_to(
                &mut entries,
                format_args!(
                    "<Contents><Key>{key_shown}</Key><LastModified>{}</LastModified><ETag>&quot;{etag}&quot;</ETag>\
                     <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    time.1
                ),
            );
            count += 1;
            last.clear();
            last.push_str(key);
        }
        break;
    }
    let next = match (more, asked.second) {
        (false, _) => String::new(),
        (true, true) => format!(
            "<NextContinuationToken>{}</NextContinuationToken>",
            escaped(&last)
        ),
        (true, false) => format!("<NextMarker>{}</NextMarker>", shown(&last)),
    };
    let encoding = if asked.encoded {
        "<EncodingType>url</EncodingType>"
    } else {
        ""
    };
    format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>{name}</Name><Prefix>{}</Prefix>\
         <MaxKeys>{most}</MaxKeys><KeyCount>{count}</KeyCount><IsTruncated>{more}</IsTruncated>{encoding}{next}{entries}{folders}\
         </ListBucketResult>",
        shown(asked.prefix)
    )
}

/// Writing to a string cannot fail.
fn write_to(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).unwrap_or_default();
}
