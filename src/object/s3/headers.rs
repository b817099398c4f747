//! What the headers of a response say about an object.

use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, EXPIRES, HeaderMap, HeaderName, HeaderValue, LAST_MODIFIED,
};

use super::known_headers::{self, HeaderUse};
use crate::object::{ETag, Encryption, NotCarried, ObjectHeaders, ObjectInfo, Written, known_time};
use crate::task::UnixMillis;

/// Whether a header is copied along with an object.
pub(super) fn is_carried(name: &HeaderName) -> bool {
    (name.as_str().starts_with("x-amz-") && known_headers::header_use(name) == HeaderUse::Copied)
        || [
            CONTENT_TYPE,
            CONTENT_ENCODING,
            CONTENT_LANGUAGE,
            CONTENT_DISPOSITION,
            CACHE_CONTROL,
            EXPIRES,
        ]
        .contains(name)
}

/// Reads the headers of a response. `size` is the length of the whole object, which depends on the request.
pub(in crate::object) fn object_info(headers: &HeaderMap, size: Option<u64>) -> ObjectInfo {
    ObjectInfo {
        size,
        etag: etag(headers),
        last_modified: text(headers, LAST_MODIFIED)
            .and_then(|t| httpdate::parse_http_date(t).ok())
            .and_then(|time| known_time(UnixMillis::from_system(time))),
        carried: carried(headers),
        uncarried: uncarried(headers),
        tag_count: number(headers, "x-amz-tagging-count").unwrap_or(0),
        parts_count: number(headers, "x-amz-mp-parts-count"),
        storage_class: text(headers, "x-amz-storage-class")
            .filter(|class| *class != "STANDARD")
            .map(str::to_owned),
        missing_metadata: number(headers, "x-amz-missing-meta").unwrap_or(0),
        encryption: encryption(headers),
    }
}

/// Reads the headers of the response to a write.
pub(super) fn written(headers: &HeaderMap) -> Written {
    Written {
        etag: etag(headers),
        encryption: encryption(headers),
    }
}

/// Amazon S3 sends `aws:kms` or `aws:kms:dsse`; OBS sends `kms`, also in a header of its own.
fn encryption(headers: &HeaderMap) -> Option<Encryption> {
    let reported = ["x-amz-server-side-encryption", "x-obs-server-side-encryption"]
        .into_iter()
        .find_map(|name| text(headers, name))?;
    Some(match reported {
        "kms" | "aws:kms" | "aws:kms:dsse" => Encryption::Kms,
        _ => Encryption::Other,
    })
}

/// The entity tag, if there is one.
pub(super) fn etag(headers: &HeaderMap) -> Option<ETag> {
    text(headers, ETAG)
        .map(ETag::new)
        .filter(|tag| !tag.as_str().is_empty())
}

/// The length of the response's body.
pub(in crate::object) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(headers, CONTENT_LENGTH)
}

/// `(first, last, total)` of `Content-Range: bytes first-last/total`.
pub(in crate::object) fn content_range(headers: &HeaderMap) -> Option<(u64, u64, u64)> {
    let range = text(headers, CONTENT_RANGE)?.trim().strip_prefix("bytes")?;
    let (span, total) = range.trim_start().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last, total) = (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last < total).then_some((first, last, total))
}

/// The request id; each cloud has its own header for it.
pub(in crate::object) fn request_id(headers: &HeaderMap) -> Option<String> {
    [
        "x-amz-request-id",
        "x-obs-request-id",
        "x-oss-request-id",
        "x-cos-request-id",
    ]
    .into_iter()
    .find_map(|name| text(headers, name))
    .map(|id| clean(id, 100))
}

/// A header as text.
pub(in crate::object) fn text(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: impl http::header::AsHeaderName) -> Option<T> {
    text(headers, name)?.trim().parse().ok()
}

/// What the headers have and a copy does not: locks, and headers that are not in our table of known headers.
fn uncarried(headers: &HeaderMap) -> NotCarried {
    let mut found = NotCarried::default();
    for (name, value) in headers {
        if !name.as_str().starts_with("x-amz-") {
            continue;
        }
        match known_headers::header_use(name) {
            HeaderUse::Copied | HeaderUse::Used | HeaderUse::Meaningless => {}
            HeaderUse::Lock => found.lock |= !value.as_bytes().eq_ignore_ascii_case(b"OFF"),
            HeaderUse::Unknown => found.unknown.push(name.clone()),
        }
    }
    found
}

fn carried(headers: &HeaderMap) -> ObjectHeaders {
    let mut found = HeaderMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| is_carried(name)) {
        if *name == CONTENT_ENCODING {
            if let Some(value) = without_aws_chunked(value) {
                found.append(name.clone(), value);
            }
        } else {
            found.append(name.clone(), value.clone());
        }
    }
    ObjectHeaders(found)
}

/// `aws-chunked` describes the framing of an upload, not the object, but some stores keep it.
fn without_aws_chunked(value: &HeaderValue) -> Option<HeaderValue> {
    let Ok(text) = value.to_str() else {
        return Some(value.clone());
    };
    let codings = || text.split(',').map(str::trim);
    if !codings().any(|coding| coding.eq_ignore_ascii_case("aws-chunked")) {
        return Some(value.clone());
    }
    let kept: Vec<&str> = codings()
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    HeaderValue::from_str(&kept.join(","))
        .ok()
        .filter(|v| !v.is_empty())
}

/// Text from the other side is not trusted: control characters are removed, and it is cut at `limit` characters.
pub(super) fn clean(text: &str, limit: usize) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn headers_are_carried_byte_for_byte() {
        let raw = b"caf\xe9  two spaces";
        let info = object_info(
            &map(&[
                ("content-type", b"text/plain; charset=utf-8"),
                ("content-encoding", b"gzip"),
                ("expires", b"soon"),
                ("x-amz-meta-a", raw),
                ("x-amz-meta-b", b""),
                ("x-amz-version-id", b"null"),
                ("etag", b"\"abc\""),
                ("last-modified", b"Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-tagging-count", b"3"),
                ("x-amz-mp-parts-count", b"12"),
                ("x-amz-storage-class", b"STANDARD_IA"),
                ("x-amz-missing-meta", b"2"),
                ("server", b"x"),
            ]),
            Some(5),
        );
        assert_eq!(info.carried.0.len(), 5);
        assert_eq!(info.carried.0["x-amz-meta-a"].as_bytes(), raw);
        assert_eq!(info.etag, Some(ETag::new("abc")));
        assert_eq!(info.last_modified, Some(UnixMillis(1_369_353_600_000)));
        assert_eq!(
            (info.size, info.tag_count, info.parts_count),
            (Some(5), 3, Some(12))
        );
        assert_eq!(info.missing_metadata, 2);
        assert_eq!(info.storage_class.as_deref(), Some("STANDARD_IA"));
    }

    #[test]
    fn an_answer_tells_how_an_object_is_encrypted() {
        for (name, given, wanted) in [
            ("x-amz-server-side-encryption", "aws:kms", Some(Encryption::Kms)),
            (
                "x-amz-server-side-encryption",
                "aws:kms:dsse",
                Some(Encryption::Kms),
            ),
            ("x-amz-server-side-encryption", "kms", Some(Encryption::Kms)),
            ("x-obs-server-side-encryption", "kms", Some(Encryption::Kms)),
            ("x-amz-server-side-encryption", "AES256", Some(Encryption::Other)),
            ("x-amz-server-side-encryption", "", Some(Encryption::Other)),
            ("x-amz-server-side-encryption-aws-kms-key-id", "k", None),
        ] {
            let headers = map(&[(name, given.as_bytes())]);
            assert_eq!(
                object_info(&headers, Some(0)).encryption,
                wanted,
                "{name}: {given}"
            );
            assert_eq!(written(&headers).encryption, wanted, "{name}: {given}");
        }
    }

    #[test]
    fn the_framing_of_an_upload_is_not_an_encoding() {
        for (given, wanted) in [
            ("aws-chunked", None),
            ("aws-chunked,gzip", Some("gzip")),
            ("gzip, AWS-Chunked , br", Some("gzip,br")),
            ("aws-chunked,", None),
            ("gzip, br", Some("gzip, br")),
        ] {
            let info = object_info(&map(&[("content-encoding", given.as_bytes())]), None);
            let found = info.carried.0.get(CONTENT_ENCODING);
            assert_eq!(found.map(|v| v.to_str().unwrap()), wanted, "{given}");
        }
    }

    #[test]
    fn ranges_are_read_or_rejected() {
        for (given, wanted) in [
            ("bytes 0-4/5", Some((0, 4, 5))),
            ("bytes=2-3/9", None),
            ("bytes 0-4/*", None),
            ("bytes 4-0/5", None),
            ("bytes 0-5/5", None),
            ("bytes */5", None),
            ("items 0-4/5", None),
            ("", None),
        ] {
            let found = content_range(&map(&[("content-range", given.as_bytes())]));
            assert_eq!(found, wanted, "{given}");
        }
    }
}
