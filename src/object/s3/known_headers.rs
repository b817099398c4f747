//! What is done with each header that S3 sends with an object: no header is dropped without a decision in this table.
//!
//! Source: the response elements of GetObject and HeadObject in the Amazon S3 API reference.

use http::header::HeaderName;

/// What is done with a header at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderUse {
    /// It is written with the object.
    Copied,
    /// It is read here, and decides how the object is copied.
    Used,
    /// It describes a lock, which is counted as not copied: a target accepts one only with special permissions and a
    /// bucket with Object Lock.
    Lock,
    /// A copy cannot keep it: it is about the request, the bucket, or how the source stores its bytes.
    Meaningless,
    /// Not in this table. It is counted as not copied.
    Unknown,
}

/// What is done with a header whose name begins with `x-amz-`. All others that S3 documents are headers of HTTP.
pub(super) fn header_use(name: &HeaderName) -> HeaderUse {
    let name = name.as_str();
    if name.starts_with("x-amz-meta-") {
        return HeaderUse::Copied;
    }
    match name {
        "x-amz-website-redirect-location" => HeaderUse::Copied,
        "x-amz-tagging-count"
        | "x-amz-storage-class"
        | "x-amz-missing-meta"
        | "x-amz-mp-parts-count"
        | "x-amz-server-side-encryption"
        | "x-amz-delete-marker" => HeaderUse::Used,
        "x-amz-object-lock-mode" | "x-amz-object-lock-retain-until-date" | "x-amz-object-lock-legal-hold" => {
            HeaderUse::Lock
        }
        // About the request and its connection.
        "x-amz-request-id"
        | "x-amz-id-2"
        | "x-amz-cf-id"
        | "x-amz-cf-pop"
        | "x-amz-apigw-id"
        | "x-amz-rid"
        | "x-amz-error-code"
        | "x-amz-error-message"
        | "x-amz-request-charged"
        | "x-amz-date"
        | "x-amz-content-sha256" => HeaderUse::Meaningless,
        // About the bucket and its rules.
        "x-amz-bucket-region"
        | "x-amz-bucket-arn"
        | "x-amz-access-point-alias"
        | "x-amz-expiration"
        | "x-amz-replication-status"
        | "x-amz-version-id"
        | "x-amz-abort-date"
        | "x-amz-abort-rule-id" => HeaderUse::Meaningless,
        // How the source stores the bytes. The target encrypts as the task and its bucket say, and the state of an
        // archive does not apply to a copy.
        "x-amz-restore"
        | "x-amz-archive-status"
        | "x-amz-server-side-encryption-aws-kms-key-id"
        | "x-amz-server-side-encryption-bucket-key-enabled"
        | "x-amz-server-side-encryption-context"
        | "x-amz-server-side-encryption-customer-algorithm"
        | "x-amz-server-side-encryption-customer-key-md5" => HeaderUse::Meaningless,
        // Every copy is verified separately, and the target computes its own checksums.
        "x-amz-checksum-type" => HeaderUse::Meaningless,
        _ if name.starts_with("x-amz-checksum-") => HeaderUse::Meaningless,
        _ => HeaderUse::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::headers::{is_carried, object_info};
    use super::*;
    use http::HeaderMap;

    /// Every response header that S3 documents for GetObject and HeadObject, and what is done with it.
    const DOCUMENTED: &[(&str, HeaderUse)] = &[
        ("cache-control", HeaderUse::Copied),
        ("content-disposition", HeaderUse::Copied),
        ("content-encoding", HeaderUse::Copied),
        ("content-language", HeaderUse::Copied),
        ("content-type", HeaderUse::Copied),
        ("expires", HeaderUse::Copied),
        ("x-amz-meta-any", HeaderUse::Copied),
        ("x-amz-website-redirect-location", HeaderUse::Copied),
        ("content-length", HeaderUse::Used),
        ("content-range", HeaderUse::Used),
        ("etag", HeaderUse::Used),
        ("last-modified", HeaderUse::Used),
        ("x-amz-delete-marker", HeaderUse::Used),
        ("x-amz-missing-meta", HeaderUse::Used),
        ("x-amz-mp-parts-count", HeaderUse::Used),
        ("x-amz-server-side-encryption", HeaderUse::Used),
        ("x-amz-storage-class", HeaderUse::Used),
        ("x-amz-tagging-count", HeaderUse::Used),
        ("x-amz-object-lock-legal-hold", HeaderUse::Lock),
        ("x-amz-object-lock-mode", HeaderUse::Lock),
        ("x-amz-object-lock-retain-until-date", HeaderUse::Lock),
        ("accept-ranges", HeaderUse::Meaningless),
        ("x-amz-archive-status", HeaderUse::Meaningless),
        ("x-amz-checksum-crc32", HeaderUse::Meaningless),
        ("x-amz-checksum-crc32c", HeaderUse::Meaningless),
        ("x-amz-checksum-crc64nvme", HeaderUse::Meaningless),
        ("x-amz-checksum-sha1", HeaderUse::Meaningless),
        ("x-amz-checksum-sha256", HeaderUse::Meaningless),
        ("x-amz-checksum-type", HeaderUse::Meaningless),
        ("x-amz-expiration", HeaderUse::Meaningless),
        ("x-amz-replication-status", HeaderUse::Meaningless),
        ("x-amz-request-charged", HeaderUse::Meaningless),
        ("x-amz-restore", HeaderUse::Meaningless),
        (
            "x-amz-server-side-encryption-aws-kms-key-id",
            HeaderUse::Meaningless,
        ),
        (
            "x-amz-server-side-encryption-bucket-key-enabled",
            HeaderUse::Meaningless,
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            HeaderUse::Meaningless,
        ),
        (
            "x-amz-server-side-encryption-customer-key-md5",
            HeaderUse::Meaningless,
        ),
        ("x-amz-version-id", HeaderUse::Meaningless),
        // Common to all responses.
        ("x-amz-request-id", HeaderUse::Meaningless),
        ("x-amz-id-2", HeaderUse::Meaningless),
        ("x-amz-something-new", HeaderUse::Unknown),
    ];

    #[test]
    fn every_documented_header_is_decided_about() {
        for (name, wanted) in DOCUMENTED {
            let header: HeaderName = name.parse().unwrap();
            let mut answer = HeaderMap::new();
            answer.insert(header.clone(), "1".parse().unwrap());
            let info = object_info(&answer, None);
            assert_eq!(is_carried(&header), *wanted == HeaderUse::Copied, "{name}");
            assert_eq!(
                info.carried.0.contains_key(*name),
                *wanted == HeaderUse::Copied,
                "{name}"
            );
            assert_eq!(info.uncarried.lock, *wanted == HeaderUse::Lock, "{name}");
            let unknown = info.uncarried.unknown.contains(&header);
            assert_eq!(unknown, *wanted == HeaderUse::Unknown, "{name}");
            if name.starts_with("x-amz-") {
                assert_eq!(header_use(&header), *wanted, "{name}");
            }
        }
    }

    #[test]
    fn a_lock_that_is_off_is_none() {
        for (value, lock) in [("ON", true), ("OFF", false), ("off", false)] {
            let mut answer = HeaderMap::new();
            answer.insert("x-amz-object-lock-legal-hold", value.parse().unwrap());
            assert_eq!(object_info(&answer, None).uncarried.lock, lock, "{value}");
        }
    }
}
