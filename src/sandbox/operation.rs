//! Finds the S3 operation of an HTTP request from method, path, query and headers.
//!
//! The fault plan and the request log need the operation before, and independent of, the S3 implementation.

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

/// An S3 operation, in a request or in a fault rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Rules only: every request.
    Any,
    /// Rules and counts only: ListObjects in either version.
    ListObjects,
    /// ListObjects, version 1.
    ListObjectsV1,
    /// ListObjectsV2.
    ListObjectsV2,
    /// ListBuckets.
    ListBuckets,
    /// HeadBucket.
    HeadBucket,
    /// CreateBucket.
    CreateBucket,
    /// GetBucketLocation.
    GetBucketLocation,
    /// HeadObject.
    HeadObject,
    /// GetObject.
    GetObject,
    /// PutObject.
    PutObject,
    /// CopyObject.
    CopyObject,
    /// DeleteObject.
    DeleteObject,
    /// DeleteObjects.
    DeleteObjects,
    /// CreateMultipartUpload.
    CreateUpload,
    /// UploadPart.
    UploadPart,
    /// UploadPartCopy.
    UploadPartCopy,
    /// ListParts.
    ListParts,
    /// ListMultipartUploads.
    ListUploads,
    /// CompleteMultipartUpload.
    Complete,
    /// AbortMultipartUpload.
    Abort,
    /// GetObjectTagging.
    GetTagging,
    /// PutObjectTagging.
    PutTagging,
    /// DeleteObjectTagging.
    DeleteTagging,
    /// Anything else.
    Other,
}

impl Operation {
    /// Whether this operation of a rule includes requests of `actual`.
    #[must_use]
    pub fn covers(self, actual: Self) -> bool {
        match self {
            Self::Any => true,
            Self::ListObjects => matches!(actual, Self::ListObjectsV1 | Self::ListObjectsV2),
            _ => self == actual,
        }
    }
}

/// The operation, bucket and key of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) operation: Operation,
    pub(super) bucket: Option<String>,
    pub(super) key: Option<String>,
}

/// Finds the operation of a path-style request, or of one to the `bucket` that its host names.
pub(super) fn classify(method: &Method, uri: &Uri, headers: &HeaderMap, bucket: Option<&str>) -> Call {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    // S3 decodes first and then splits. The name of a bucket needs no decoding, so the order makes no difference.
    let (bucket, key) = match bucket {
        Some(bucket) => (bucket, path),
        None => path.split_once('/').unwrap_or((path, "")),
    };
    let has = |name: &str| {
        let mut pairs = uri.query().unwrap_or_default().split('&');
        pairs.any(|pair| pair.split_once('=').map_or(pair, |(name, _)| name) == name)
    };
    let operation = if bucket.is_empty() {
        if method == Method::GET {
            Operation::ListBuckets
        } else {
            Operation::Other
        }
    } else if key.is_empty() {
        of_bucket(method, uri.query().unwrap_or_default(), has)
    } else {
        of_object(method, headers.contains_key("x-amz-copy-source"), has)
    };
    Call {
        operation,
        bucket: (!bucket.is_empty()).then(|| decode(bucket)),
        key: (!key.is_empty()).then(|| decode(key)),
    }
}

fn of_bucket(method: &Method, query: &str, has: impl Fn(&str) -> bool) -> Operation {
    match method.as_str() {
        "HEAD" => Operation::HeadBucket,
        "PUT" if query.is_empty() || has("x-id") => Operation::CreateBucket,
        "POST" if has("delete") => Operation::DeleteObjects,
        "GET" if has("location") => Operation::GetBucketLocation,
        "GET" if has("uploads") => Operation::ListUploads,
        "GET" if query.split('&').any(|pair| pair == "list-type=2") => Operation::ListObjectsV2,
        "GET" if !has("versions") && !has("versioning") && !has("tagging") => Operation::ListObjectsV1,
        _ => Operation::Other,
    }
}

fn of_object(method: &Method, copies: bool, has: impl Fn(&str) -> bool) -> Operation {
    match (method.as_str(), has("uploadId")) {
        ("HEAD", _) => Operation::HeadObject,
        ("GET", true) => Operation::ListParts,
        ("PUT", true) if copies => Operation::UploadPartCopy,
        ("PUT", true) => Operation::UploadPart,
        ("POST", true) => Operation::Complete,
        ("DELETE", true) => Operation::Abort,
        ("GET", false) if has("tagging") => Operation::GetTagging,
        ("PUT", false) if has("tagging") => Operation::PutTagging,
        ("DELETE", false) if has("tagging") => Operation::DeleteTagging,
        ("POST", false) if has("uploads") => Operation::CreateUpload,
        ("GET", false) if !has("acl") && !has("attributes") => Operation::GetObject,
        ("PUT", false) if has("acl") => Operation::Other,
        ("PUT", false) if copies => Operation::CopyObject,
        ("PUT", false) => Operation::PutObject,
        ("DELETE", false) => Operation::DeleteObject,
        _ => Operation::Other,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn classifies_every_operation() {
        use Operation as O;
        let cases = [
            ("GET", "/", O::ListBuckets),
            ("HEAD", "/b", O::HeadBucket),
            ("PUT", "/b/", O::CreateBucket),
            ("GET", "/b?location", O::GetBucketLocation),
            ("GET", "/b", O::ListObjectsV1),
            ("GET", "/b?prefix=list-type%3D2&marker=x", O::ListObjectsV1),
            ("GET", "/b/?prefix=x&list-type=2", O::ListObjectsV2),
            ("GET", "/b?uploads", O::ListUploads),
            ("POST", "/b?delete", O::DeleteObjects),
            ("GET", "/b?versions", O::Other),
            ("HEAD", "/b/k", O::HeadObject),
            ("GET", "/b/k?partNumber=2", O::GetObject),
            ("GET", "/b/k?uploadId=1", O::ListParts),
            ("PUT", "/b/k", O::PutObject),
            ("PUT", "/b/k?partNumber=1&uploadId=1", O::UploadPart),
            ("POST", "/b/k?uploads=", O::CreateUpload),
            ("POST", "/b/k?uploadId=1", O::Complete),
            ("DELETE", "/b/k?uploadId=1", O::Abort),
            ("DELETE", "/b/k", O::DeleteObject),
            ("GET", "/b/k?tagging", O::GetTagging),
            ("PUT", "/b/k?tagging=", O::PutTagging),
            ("DELETE", "/b/k?tagging", O::DeleteTagging),
            ("PATCH", "/b/k", O::Other),
        ];
        for (method, uri, want) in cases {
            let call = classify(
                &method.parse().unwrap(),
                &uri.parse().unwrap(),
                &HeaderMap::new(),
                None,
            );
            assert_eq!(call.operation, want, "{method} {uri}");
        }
        let copy = HeaderMap::from_iter([(
            "x-amz-copy-source".parse().unwrap(),
            HeaderValue::from_static("a/b"),
        )]);
        for (uri, want) in [
            ("/b/k", O::CopyObject),
            ("/b/k?partNumber=1&uploadId=1", O::UploadPartCopy),
        ] {
            assert_eq!(
                classify(&Method::PUT, &uri.parse().unwrap(), &copy, None).operation,
                want
            );
        }
    }

    #[test]
    fn keys_are_exact() {
        for (uri, key) in [
            ("/b//", "/"),
            ("/b/.././/a/", ".././/a/"),
            ("/b/%2Fa%00%25?x=/y", "/a\0%"),
            ("/b/%F0%9F%98%80+", "😀+"),
        ] {
            let call = classify(&Method::GET, &uri.parse().unwrap(), &HeaderMap::new(), None);
            assert_eq!(
                (call.bucket.as_deref(), call.key.as_deref()),
                (Some("b"), Some(key))
            );
        }
    }
}
