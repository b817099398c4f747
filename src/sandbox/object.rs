//! Objects of the sandbox: bytes, ETag, headers, metadata and tags, and how the bytes are stored and streamed.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use md5::{Digest as _, Md5};
use s3s::StdError;
use s3s::stream::{ByteStream, RemainingLength};

/// Largest frame of a response's body: large enough to be cheap, small enough that faults can cut between frames.
const FRAME: usize = 128 * 1024;

/// The type S3 gives to an object that was stored without a Content-Type.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// One object with everything that a client can see of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxObject {
    /// The bytes.
    pub data: Bytes,
    /// ETag without quotes: the MD5 of the bytes, or `md5(md5s)-N` after a multipart upload.
    pub etag: String,
    /// When the object was written, in whole seconds unless a test sets it.
    pub last_modified: SystemTime,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Expires` as text, so that it is returned as it was sent.
    pub expires: Option<String>,
    /// Where a website redirects requests for the object.
    pub website_redirect: Option<String>,
    /// User metadata: names in lower case, without the `x-amz-meta-` prefix.
    pub metadata: BTreeMap<String, String>,
    /// Tags in the order they were given.
    pub tags: Vec<(String, String)>,
    /// Storage class; `None` is STANDARD.
    pub storage_class: Option<String>,
    /// How it is encrypted at rest (`AES256`, `aws:kms`); `None` if nothing is reported.
    pub encryption: Option<String>,
    /// Sizes of the parts of a multipart upload; empty for an object written in one request.
    pub part_sizes: Vec<u64>,
}

impl SandboxObject {
    /// An object that is written now, in one request.
    #[must_use]
    pub fn new(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        let etag = hex::encode(Md5::digest(&data));
        Self {
            data,
            etag,
            ..Self::blank()
        }
    }

    /// An object that is uploaded now, in parts of `part_size` bytes.
    #[must_use]
    pub fn multipart(data: impl Into<Bytes>, part_size: u64) -> Self {
        let data = data.into();
        let size = usize::try_from(part_size).unwrap_or(usize::MAX).max(1);
        let parts: Vec<&[u8]> = if data.is_empty() {
            vec![&data[..]]
        } else {
            data.chunks(size).collect()
        };
        let sums: Vec<[u8; 16]> = parts.iter().map(|part| Md5::digest(part).into()).collect();
        let part_sizes = parts.iter().map(|part| part.len() as u64).collect();
        Self {
            etag: multipart_etag(&sums),
            data,
            part_sizes,
            ..Self::blank()
        }
    }

    /// The same object, encrypted by the key management service: its ETag is no longer an MD5 sum.
    #[must_use]
    pub fn sealed(self) -> Self {
        let (digest, parts) = self.etag.split_at(self.etag.len().min(32));
        let mut md5 = [0; 16];
        let etag = match hex::decode_to_slice(digest, &mut md5) {
            Ok(()) => format!("{}{parts}", hex::encode(visible_md5(md5, Some(KMS)))),
            Err(_) => self.etag,
        };
        Self {
            etag,
            encryption: Some(KMS.to_owned()),
            ..self
        }
    }

    /// An object without bytes and without an ETag: what is known at the start of an upload.
    pub(super) fn blank() -> Self {
        Self {
            data: Bytes::new(),
            etag: String::new(),
            last_modified: now(),
            content_type: Some(DEFAULT_CONTENT_TYPE.to_owned()),
            content_encoding: None,
            content_language: None,
            content_disposition: None,
            cache_control: None,
            expires: None,
            website_redirect: None,
            metadata: BTreeMap::new(),
            tags: Vec::new(),
            storage_class: None,
            encryption: None,
            part_sizes: Vec::new(),
        }
    }
}

/// The time in whole seconds: S3 writes no fractions, and HEAD and listings must agree on it.
pub(super) fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// ETag of a multipart upload: the MD5 of the parts' MD5 sums, and the number of parts.
pub(super) fn multipart_etag(sums: &[[u8; 16]]) -> String {
    let mut hasher = Md5::new();
    for sum in sums {
        hasher.update(sum);
    }
    format!("{}-{}", hex::encode(hasher.finalize()), sums.len())
}

/// The name in requests and responses for encryption by the key management service.
pub(super) const KMS: &str = "aws:kms";

/// The MD5 that an ETag shows. For an object that the key management service encrypts, S3 returns digits that only look
/// like an MD5.
pub(super) fn visible_md5(md5: [u8; 16], encryption: Option<&str>) -> [u8; 16] {
    if encryption == Some(KMS) {
        Md5::new()
            .chain_update(b"sealed")
            .chain_update(md5)
            .finalize()
            .into()
    } else {
        md5
    }
}

/// A stored object: the description apart from the bytes, both cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Everything but the bytes; its `data` is empty.
    pub(super) head: Arc<SandboxObject>,
    /// The bytes.
    pub(super) body: Segments,
}

impl Object {
    pub(super) fn new(mut head: SandboxObject, body: Segments) -> Self {
        head.data = Bytes::new();
        Self {
            head: Arc::new(head),
            body,
        }
    }

    /// The public form, with the bytes in one piece.
    pub(super) fn export(&self) -> SandboxObject {
        SandboxObject {
            data: self.body.concat(),
            ..(*self.head).clone()
        }
    }
}

impl From<SandboxObject> for Object {
    fn from(mut object: SandboxObject) -> Self {
        let data = std::mem::take(&mut object.data);
        Self::new(object, Segments::from(vec![data]))
    }
}

/// Bytes in pieces, so that uploads and their completion need no copy into one large buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    pieces: Arc<Vec<Bytes>>,
    len: u64,
}

impl From<Vec<Bytes>> for Segments {
    fn from(pieces: Vec<Bytes>) -> Self {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self {
            pieces: Arc::new(pieces),
            len,
        }
    }
}

impl Segments {
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Concatenates them without copying the bytes.
    pub(super) fn join<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        Self::from(
            all.into_iter()
                .flat_map(|one| one.pieces.iter().cloned())
                .collect::<Vec<_>>(),
        )
    }

    /// The bytes of `range`, without copying; positions beyond the end are ignored.
    pub(super) fn slice(&self, range: &Range<u64>) -> Self {
        let mut pieces = Vec::new();
        let mut at = 0_u64;
        for piece in self.pieces.iter() {
            let end = at + piece.len() as u64;
            let from = range.start.clamp(at, end) - at;
            let to = range.end.clamp(at, end) - at;
            if let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to))
                && from < to
            {
                pieces.push(piece.slice(from..to));
            }
            at = end;
        }
        Self::from(pieces)
    }

    pub(super) fn concat(&self) -> Bytes {
        if let [only] = self.pieces.as_slice() {
            return only.clone();
        }
        let mut all = BytesMut::with_capacity(usize::try_from(self.len).unwrap_or(0));
        for piece in self.pieces.iter() {
            all.extend_from_slice(piece);
        }
        all.freeze()
    }

    pub(super) fn md5(&self) -> [u8; 16] {
        let mut hasher = Md5::new();
        for piece in self.pieces.iter() {
            hasher.update(piece);
        }
        hasher.finalize().into()
    }

    pub(super) fn stream(&self) -> SegmentStream {
        SegmentStream {
            left: usize::try_from(self.len).unwrap_or(usize::MAX),
            queue: self.pieces.iter().cloned().collect(),
        }
    }
}

/// The body of a GET: slices of the stored bytes, never copies.
pub(super) struct SegmentStream {
    queue: VecDeque<Bytes>,
    left: usize,
}

impl Stream for SegmentStream {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while let Some(mut piece) = self.queue.pop_front() {
            if piece.is_empty() {
                continue;
            }
            let frame = piece.split_to(piece.len().min(FRAME));
            self.left -= frame.len();
            self.queue.push_front(piece);
            return Poll::Ready(Some(Ok(frame)));
        }
        Poll::Ready(None)
    }
}

impl ByteStream for SegmentStream {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_are_those_of_s3() {
        assert_eq!(
            SandboxObject::new("hello").etag,
            "5d41402abc4b2a76b9719d911017c592"
        );
        assert_eq!(visible_md5([1; 16], Some("AES256")), [1; 16]);
        assert_ne!(visible_md5([1; 16], Some(KMS)), [1; 16]);
        let object = SandboxObject::multipart(vec![0_u8; 10], 4);
        assert_eq!(object.part_sizes, [4, 4, 2]);
        assert!(object.etag.ends_with("-3"));
        assert_eq!(SandboxObject::multipart(Bytes::new(), 4).part_sizes, [0]);
    }

    #[test]
    fn slices_cross_pieces() {
        let segments = Segments::from(vec![
            Bytes::from("abc"),
            Bytes::new(),
            Bytes::from("defg"),
            Bytes::from("h"),
        ]);
        for from in 0..=8 {
            for to in from..=9 {
                let want = &"abcdefgh"[from..to.min(8)];
                assert_eq!(segments.slice(&(from as u64..to as u64)).concat(), want);
            }
        }
    }
}
