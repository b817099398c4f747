//! What is done with each header that S3 sends with an object: no header is dropped without a decision in this table.
//!
//! Source: the response elements of GetObject and HeadObject in the Amazon S3 API reference.

use http::header::HeaderName;

/// What is done with a header at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is written with the object.
    ObjectHeaders,
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
pub(super) fn fate(name: &HeaderName) -> Fate {
    let name = name.as_str();
    if name.starts_with("x-amz-meta-") {
        return Fate::ObjectHeaders;
    }
    match name {
        "x-amz-website-redirect-location" => Fate::ObjectHeaders,
        "x-amz-tagging-count"
        | "x-amz-storage-class"
        | "x-amz-missing-meta"
        | "x-amz-mp-parts-count"
        | "x-amz-server-side-encryption"
        | "x-amz-delete-marker" => Fate::Used,
        "x-amz-object-lock-mode" | "x-amz-object-lock-retain-until-date" | "x-amz-object-lock-legal-hold" => {
            Fate::Lock
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
        | "x-amz-content-sha256" => Fate::Meaningless,
        // About the bucket and its rules.
        "x-amz-bucket-region"
        | "x-amz-bucket-arn"
        | "x-amz-access-point-alias"
        | "x-amz-expiration"
        | "x-amz-replication-status"
        | "x-amz-version-id"
        | "x-amz-abort-date"
        | "x-amz-abort-rule-id" => Fate::Meaningless,
        // How the source stores the bytes. The target encrypts as the task and its bucket say, and the state of an
        // archive does not apply to a copy.
        "x-amz-restore"
        | "x-amz-archive-status"
        | "x-amz-server-side-encryption-aws-kms-key-id"
        | "x-amz-server-side-encryption-bucket-key-enabled"
        | "x-amz-server-side-encryption-context"
        | "x-amz-server-side-encryption-customer-algorithm"
        | "x-amz-server-side-encryption-customer-key-md5" => Fate::Meaningless,
        // Every copy is verified separately, and the target computes its own checksums.
        "x-amz-checksum-type" => Fate::Meaningless,
        _ if name.starts_with("x-amz-checksum-") => Fate::Meaningless,
        _ => Fate::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::headers::{is_carried, object_info};
    use super::*;
    use http::HeaderMap;

    /// Every response header that S3 documents for GetObject and HeadObject, and what is done with it.
    const DOCUMENTED: &[(&str, Fate)] = &[
        ("cache-control", Fate::ObjectHeaders),
        ("content-disposition", Fate::ObjectHeaders),
        ("content-encoding", Fate::ObjectHeaders),
        ("content-language", Fate::ObjectHeaders),
        ("content-type", Fate::ObjectHeaders),
        ("expires", Fate::ObjectHeaders),
        ("x-amz-meta-any", Fate::ObjectHeaders),
        ("x-amz-website-redirect-location", Fate::ObjectHeaders),
        ("content-length", Fate::Used),
        ("content-range", Fate::Used),
        ("etag", Fate::Used),
        ("last-modified", Fate::Used),
        ("x-amz-delete-marker", Fate::Used),
        ("x-amz-missing-meta", Fate::Used),
        ("x-amz-mp-parts-count", Fate::Used),
        ("x-amz-server-side-encryption", Fate::Used),
        ("x-amz-storage-class", Fate::Used),
        ("x-amz-tagging-count", Fate::Used),
        ("x-amz-object-lock-legal-hold", Fate::Lock),
        ("x-amz-object-lock-mode", Fate::Lock),
        ("x-amz-object-lock-retain-until-date", Fate::Lock),
        ("accept-ranges", Fate::Meaningless),
        ("x-amz-archive-status", Fate::Meaningless),
        ("x-amz-checksum-crc32", Fate::Meaningless),
        ("x-amz-checksum-crc32c", Fate::Meaningless),
        ("x-amz-checksum-crc64nvme", Fate::Meaningless),
        ("x-amz-checksum-sha1", Fate::Meaningless),
        ("x-amz-checksum-sha256", Fate::Meaningless),
        ("x-amz-checksum-type", Fate::Meaningless),
        ("x-amz-expiration", Fate::Meaningless),
        ("x-amz-replication-status", Fate::Meaningless),
        ("x-amz-request-charged", Fate::Meaningless),
        ("x-amz-restore", Fate::Meaningless),
        ("x-amz-server-side-encryption-aws-kms-key-id", Fate::Meaningless),
        (
            "x-amz-server-side-encryption-bucket-key-enabled",
            Fate::Meaningless,
        ),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            Fate::Meaningless,
        ),
        ("x-amz-server-side-encryption-customer-key-md5", Fate::Meaningless),
        ("x-amz-version-id", Fate::Meaningless),
        // Common to all responses.
        ("x-amz-request-id", Fate::Meaningless),
        ("x-amz-id-2", Fate::Meaningless),
        ("x-amz-something-new", Fate::Unknown),
    ];

    #[test]
    fn every_documented_header_is_decided_about() {
        for (name, wanted) in DOCUMENTED {
            let header: HeaderName = name.parse().unwrap();
            let mut answer = HeaderMap::new();
            answer.insert(header.clone(), "1".parse().unwrap());
            let info = object_info(&answer, None);
            assert_eq!(is_carried(&header), *wanted == Fate::ObjectHeaders, "{name}");
            assert_eq!(
                info.carried.0.contains_key(*name),
                *wanted == Fate::ObjectHeaders,
                "{name}"
            );
            assert_eq!(info.uncarried.lock, *wanted == Fate::Lock, "{name}");
            let unknown = info.uncarried.unknown.contains(&header);
            assert_eq!(unknown, *wanted == Fate::Unknown, "{name}");
            if name.starts_with("x-amz-") {
                assert_eq!(fate(&header), *wanted, "{name}");
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
