//! Parts of requests and checks of responses that need no store: headers of new objects, conditions, ranges.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use http_body_util::BodyExt;

use super::{Payload, headers};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{Body, ByteRange, ETag, NewObject, WriteIf};

pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// A header value from our text or the caller's.
pub(super) fn value(text: impl AsRef<str>) -> Result<HeaderValue> {
    HeaderValue::from_str(text.as_ref())
        .map_err(|_| Error::invalid("a value holds characters that cannot be sent in a header"))
}

pub(super) fn quoted(etag: &ETag) -> Result<HeaderValue> {
    value(format!("\"{}\"", etag.as_str()))
}

pub(super) fn integrity(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Integrity, message)
}

/// Value of `Content-MD5`.
pub(super) fn md5_header(md5: [u8; 16]) -> Result<HeaderValue> {
    value(BASE64_STANDARD.encode(md5))
}

/// The headers of a new object.
pub(super) fn described(new: &NewObject) -> Result<HeaderMap> {
    let mut found = HeaderMap::with_capacity(new.carried.0.len() + 16);
    for (name, value) in new.carried.0.iter().filter(|(name, _)| headers::is_carried(name)) {
        found.append(name.clone(), value.clone());
    }
    if let Some(tagging) = &new.tagging {
        found.insert("x-amz-tagging", value(tagging)?);
    }
    if let Some(class) = &new.storage_class {
        found.insert("x-amz-storage-class", value(class)?);
    }
    if new.kms {
        found.insert(
            "x-amz-server-side-encryption",
            HeaderValue::from_static("aws:kms"),
        );
    }
    Ok(found)
}

pub(super) fn add_condition(headers: &mut HeaderMap, condition: &WriteIf) -> Result<()> {
    match condition {
        WriteIf::Always => {}
        WriteIf::Absent => {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        WriteIf::Matches(etag) => {
            headers.insert(IF_MATCH, quoted(etag)?);
        }
    }
    Ok(())
}

/// A body of `length` bytes. An empty one is read to its end here: a connection never reads it, so excess bytes would
/// not be noticed.
pub(super) async fn payload(mut body: Body, length: u64) -> Result<Payload> {
    if length > 0 {
        return Ok(Payload::Stream { body, length });
    }
    while let Some(frame) = body.frame().await {
        if frame?.data_ref().is_some_and(|data| !data.is_empty()) {
            return Err(integrity("the body is longer than announced"));
        }
    }
    Ok(Payload::None)
}

/// `bytes=first-last`.
pub(in crate::object) fn span(offset: u64, length: u64) -> Result<String> {
    let last = length.checked_sub(1).and_then(|rest| offset.checked_add(rest));
    let last = last.ok_or_else(|| Error::invalid("a range must have at least one byte"))?;
    Ok(format!("bytes={offset}-{last}"))
}

/// The length of a response's body: as announced, or the length of the range that it declares.
pub(super) fn announced(status: StatusCode, answer: &HeaderMap) -> Option<u64> {
    let partial = status == StatusCode::PARTIAL_CONTENT;
    let range = || headers::content_range(answer).filter(|_| partial);
    headers::content_length(answer).or_else(|| range().map(|(first, last, _)| last - first + 1))
}

/// Checks that a response has the requested portion, and returns the size of the whole object.
pub(in crate::object) fn whole_size(
    portion: ByteRange,
    status: StatusCode,
    answer: &HeaderMap,
    length: u64,
) -> Result<u64> {
    let partial = status == StatusCode::PARTIAL_CONTENT;
    let range =
        headers::content_range(answer).filter(|(first, last, _)| partial && last - first + 1 == length);
    let ignored = || {
        let text = "the store answered with a range that was not requested";
        integrity(text).with_code("RangeIgnored")
    };
    match portion {
        ByteRange::Whole if partial => Err(ignored()),
        ByteRange::Whole => Ok(length),
        ByteRange::Range {
            offset,
            length: wanted,
        } => range
            .filter(|(first, ..)| *first == offset && length == wanted)
            .map(|(.., total)| total)
            .ok_or_else(ignored),
        ByteRange::Part(number) => match range {
            Some((.., total)) => Ok(total),
            // An object of a single upload is its own first part.
            None if !partial && number == 1 && single(answer) => Ok(length),
            None => Err(ignored()),
        },
    }
}

fn single(answer: &HeaderMap) -> bool {
    headers::etag(answer).is_some_and(|etag| etag.parts().is_none_or(|parts| parts == 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(portion: ByteRange, status: u16, range: &str, length: u64, etag: &str) -> Option<u64> {
        let mut answer = HeaderMap::new();
        if !range.is_empty() {
            answer.insert("content-range", range.parse().unwrap());
        }
        answer.insert("etag", etag.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        whole_size(portion, status, &answer, length).ok()
    }

    #[test]
    fn an_answer_must_hold_the_portion_asked_for() {
        let range = ByteRange::Range { offset: 2, length: 3 };
        let multipart = "\"d41d8cd98f00b204e9800998ecf8427e-2\"";
        let plain = "\"d41d8cd98f00b204e9800998ecf8427e\"";
        for (portion, status, answer, length, etag, wanted) in [
            (ByteRange::Whole, 200, "", 9, plain, Some(9)),
            (ByteRange::Whole, 206, "bytes 0-8/9", 9, plain, None),
            (range, 206, "bytes 2-4/9", 3, plain, Some(9)),
            (range, 200, "", 9, plain, None),
            (range, 200, "bytes 2-4/9", 3, plain, None),
            (range, 206, "bytes 2-3/4", 2, plain, None),
            (range, 206, "bytes 1-3/9", 3, plain, None),
            (range, 206, "bytes 2-4/9", 9, plain, None),
            (range, 206, "", 3, plain, None),
            (ByteRange::Part(2), 206, "bytes 5-8/9", 4, multipart, Some(9)),
            (ByteRange::Part(2), 200, "", 9, multipart, None),
            (ByteRange::Part(1), 200, "", 9, multipart, None),
            (ByteRange::Part(1), 200, "", 9, plain, Some(9)),
            (ByteRange::Part(2), 200, "", 9, plain, None),
        ] {
            assert_eq!(
                size(portion, status, answer, length, etag),
                wanted,
                "{portion:?} {status} {answer}"
            );
        }
    }

    #[test]
    fn a_range_tells_the_length_that_is_not_announced() {
        for (status, length, range, wanted) in [
            (200, Some("9"), None, Some(9)),
            (206, Some("3"), Some("bytes 2-4/9"), Some(3)),
            (206, None, Some("bytes 2-4/9"), Some(3)),
            (206, None, Some("bytes 2-4/*"), None),
            (200, None, Some("bytes 2-4/9"), None),
            (200, None, None, None),
        ] {
            let mut answer = HeaderMap::new();
            if let Some(length) = length {
                answer.insert("content-length", length.parse().unwrap());
            }
            if let Some(range) = range {
                answer.insert("content-range", range.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                announced(status, &answer),
                wanted,
                "{status} {length:?} {range:?}"
            );
        }
    }

    #[test]
    fn ranges_are_inclusive_and_not_empty() {
        assert_eq!(span(0, 1).unwrap(), "bytes=0-0");
        assert_eq!(span(10, 5).unwrap(), "bytes=10-14");
        assert!(span(0, 0).is_err());
        assert!(span(u64::MAX, 2).is_err());
    }

    #[test]
    fn a_new_object_has_the_carried_headers_and_no_others() {
        let mut new = NewObject {
            tagging: Some("a=1&b=2".into()),
            storage_class: Some("STANDARD_IA".into()),
            kms: true,
            ..NewObject::default()
        };
        for name in ["x-amz-meta-a", "content-type", "authorization", "x-amz-acl"] {
            new.carried.0.insert(name, HeaderValue::from_static("v"));
        }
        let headers = described(&new).unwrap();
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "content-type",
                "x-amz-meta-a",
                "x-amz-server-side-encryption",
                "x-amz-storage-class",
                "x-amz-tagging"
            ]
        );
        new.tagging = Some("line\nbreak".into());
        assert!(described(&new).is_err());
    }
}
