//! Reads: HeadObject and GetObject with ranges, part numbers and conditions.

use std::ops::Range;

use http::HeaderValue;
use http::header::EXPIRES;
use s3s::dto::{
    self, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ServerSideEncryption, StorageClass, StreamingBlob, Timestamp,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::Support;
use super::bucket::etag_matches;
use super::marks::{IgnoreCondition, IgnoreRange};
use super::object::Object;
use super::service::Service;

/// Which bytes of an object a response contains, and the headers that say so.
struct Selection {
    range: Range<u64>,
    content_range: Option<String>,
    parts_count: Option<i32>,
}

impl Selection {
    fn whole(object: &Object) -> Self {
        Self {
            range: 0..object.body.len(),
            content_range: None,
            parts_count: None,
        }
    }

    fn partial(object: &Object, range: Range<u64>) -> Self {
        let len = object.body.len();
        // An empty range cannot be written. For an empty part, S3 responds as for the whole object.
        let content_range =
            (!range.is_empty()).then(|| format!("bytes {}-{}/{len}", range.start, range.end - 1));
        Self {
            range,
            content_range,
            parts_count: None,
        }
    }

    fn content_length(&self) -> Option<i64> {
        i64::try_from(self.range.end - self.range.start).ok()
    }
}

fn select(object: &Object, range: Option<dto::Range>, part: Option<i32>) -> S3Result<Selection> {
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber"
        )),
        (Some(range), None) => {
            if object.body.len() == 0 {
                return Err(s3_error!(InvalidRange));
            }
            Ok(Selection::partial(object, range.check(object.body.len())?))
        }
        (None, Some(number)) => select_part(object, number),
        (None, None) => Ok(Selection::whole(object)),
    }
}

fn select_part(object: &Object, number: i32) -> S3Result<Selection> {
    let index = usize::try_from(number)
        .ok()
        .and_then(|number| number.checked_sub(1));
    let index = index.ok_or_else(|| s3_error!(InvalidArgument, "partNumber must be at least 1"))?;
    let sizes = &object.head.part_sizes;
    if sizes.is_empty() && index == 0 {
        return Ok(Selection::partial(object, 0..object.body.len()));
    }
    let Some(size) = sizes.get(index) else {
        let mut error = S3Error::with_message(
            S3ErrorCode::Custom("InvalidPartNumber".into()),
            "The requested partnumber is not satisfiable",
        );
        error.set_status_code(http::StatusCode::RANGE_NOT_SATISFIABLE);
        return Err(error);
    };
    let start: u64 = sizes.iter().take(index).sum();
    let parts_count = i32::try_from(sizes.len()).ok();
    Ok(Selection {
        parts_count,
        ..Selection::partial(object, start..start + size)
    })
}

struct ReadConditions<'a> {
    if_match: Option<&'a ETagCondition>,
    if_none_match: Option<&'a ETagCondition>,
    if_modified_since: Option<&'a Timestamp>,
    if_unmodified_since: Option<&'a Timestamp>,
}

impl ReadConditions<'_> {
    /// ETags take precedence over dates, as in HTTP.
    fn check(&self, object: &Object) -> S3Result<()> {
        let modified = Timestamp::from(object.head.last_modified);
        match (self.if_match, self.if_unmodified_since) {
            (Some(condition), _) if !etag_matches(condition, object) => {
                return Err(s3_error!(PreconditionFailed));
            }
            (None, Some(date)) if modified > *date => return Err(s3_error!(PreconditionFailed)),
            _ => {}
        }
        match (self.if_none_match, self.if_modified_since) {
            (Some(condition), _) if etag_matches(condition, object) => Err(s3_error!(NotModified)),
            (None, Some(date)) if modified <= *date => Err(s3_error!(NotModified)),
            _ => Ok(()),
        }
    }
}

/// Headers that the output types cannot hold: Expires as it was sent, the number of user metadata entries that no
/// header can hold, and the tag count for HEAD.
fn raw_headers<T>(response: &mut S3Response<T>, object: &Object, with_expires: bool, with_tag_count: bool) {
    let expires = object.head.expires.as_ref().filter(|_| with_expires);
    if let Some(Ok(expires)) = expires.map(|expires| HeaderValue::from_bytes(expires.as_bytes())) {
        response.headers.insert(EXPIRES, expires);
    }
    let redirect = object.head.website_redirect.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(redirect)) = redirect {
        response
            .headers
            .insert("x-amz-website-redirect-location", redirect);
    }
    let missing = object
        .head
        .metadata
        .values()
        .filter(|value| !fits_header(value))
        .count();
    if missing > 0 {
        response
            .headers
            .insert("x-amz-missing-meta", HeaderValue::from(missing));
    }
    if with_tag_count && let Some(count) = tag_count(object) {
        response
            .headers
            .insert("x-amz-tagging-count", HeaderValue::from(count));
    }
}

fn tag_count(object: &Object) -> Option<i32> {
    i32::try_from(object.head.tags.len())
        .ok()
        .filter(|count| *count > 0)
}

/// User metadata. As in S3, values that no header can hold are not returned, only counted.
fn metadata(object: &Object) -> Option<dto::Metadata> {
    let mut given = object.head.metadata.clone();
    given.retain(|_, value| fits_header(value));
    (!given.is_empty()).then(|| given.into_iter().collect())
}

fn fits_header(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

impl Service {
    fn part_number(&self, wanted: Option<i32>) -> Option<i32> {
        wanted.filter(|_| self.options.part_number == Support::Honoured)
    }

    /// HeadObject.
    pub(super) fn head(&self, req: &S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = &req.input;
        let object = self.store.object(&input.bucket, &input.key)?;
        let conditions = ReadConditions {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        conditions.check(&object)?;
        let selection = select(&object, input.range, self.part_number(input.part_number))?;
        let head = (*object.head).clone();
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: head.cache_control,
            content_disposition: head.content_disposition,
            content_encoding: head.content_encoding,
            content_language: head.content_language,
            content_length: selection.content_length(),
            content_range: selection.content_range,
            content_type: head.content_type,
            e_tag: Some(ETag::Strong(head.etag)),
            last_modified: Some(head.last_modified.into()),
            metadata: metadata(&object),
            parts_count: selection.parts_count,
            server_side_encryption: head.encryption.map(ServerSideEncryption::from),
            storage_class: head.storage_class.map(StorageClass::from),
            ..HeadObjectOutput::default()
        };
        let mut response = S3Response::new(output);
        raw_headers(&mut response, &object, true, true);
        Ok(response)
    }

    /// GetObject.
    pub(super) fn get(&self, req: &S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &req.input;
        let object = self.store.object(&input.bucket, &input.key)?;
        let conditions = ReadConditions {
            if_match: input.if_match.as_ref(),
            if_none_match: input.if_none_match.as_ref(),
            if_modified_since: input.if_modified_since.as_ref(),
            if_unmodified_since: input.if_unmodified_since.as_ref(),
        };
        if req.extensions.get::<IgnoreCondition>().is_none() {
            conditions.check(&object)?;
        }
        let selection = if req.extensions.get::<IgnoreRange>().is_some() {
            Selection::whole(&object)
        } else {
            select(&object, input.range, self.part_number(input.part_number))?
        };
        let head = (*object.head).clone();
        let output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::new(object.body.slice(&selection.range).stream())),
            cache_control: head.cache_control,
            content_disposition: head.content_disposition,
            content_encoding: head.content_encoding,
            content_language: head.content_language,
            content_length: selection.content_length(),
            content_range: selection.content_range,
            content_type: head.content_type,
            e_tag: Some(ETag::Strong(head.etag)),
            last_modified: Some(head.last_modified.into()),
            metadata: metadata(&object),
            parts_count: selection.parts_count,
            server_side_encryption: head.encryption.map(ServerSideEncryption::from),
            storage_class: head.storage_class.map(StorageClass::from),
            tag_count: tag_count(&object),
            ..GetObjectOutput::default()
        };
        let mut response = S3Response::new(output);
        raw_headers(&mut response, &object, input.response_expires.is_none(), false);
        Ok(response)
    }
}
