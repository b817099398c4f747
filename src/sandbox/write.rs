//! Writes: PutObject and CopyObject, request bodies, and the description of a new object.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::{self, HeaderName};
use http::{HeaderMap, StatusCode};
use md5::{Digest as _, Md5};
use percent_encoding::percent_decode_str;
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, ETag, ETagCondition, Metadata, MetadataDirective,
    PutObjectInput, PutObjectOutput, ServerSideEncryption, StorageClass, StreamingBlob, TaggingDirective,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, StdError, s3_error};

use super::Support;
use super::bucket::{Conditions, etag_matches};
use super::marks::{CopyNothing, IgnoreEncryption};
use super::object::{KMS, Object, SandboxObject, Segments, now, visible_md5};
use super::service::{Service, source};

/// Size of the pieces in which a request body is stored.
const PIECE: usize = 8 * 1024 * 1024;

/// Most bytes of user metadata, names and values together (S3).
const MAX_METADATA: usize = 2048;

/// A request body, complete, and its MD5.
pub(super) struct Received {
    pub(super) body: Segments,
    pub(super) md5: [u8; 16],
}

/// Reads a request body to its end. A body that breaks off or does not match its checksum is an error, so nothing of it
/// is stored.
pub(super) async fn receive(body: Option<StreamingBlob>, length: Option<i64>) -> S3Result<Received> {
    let mut left = length.and_then(|length| usize::try_from(length).ok());
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut hasher = Md5::new();
    let mut buffer = BytesMut::new();
    if let Some(mut body) = body {
        while let Some(frame) = body.next().await {
            let mut frame: Bytes = frame.map_err(|error| broken(&error))?;
            hasher.update(&frame);
            while !frame.is_empty() {
                if buffer.capacity() == 0 {
                    // Reserves no more than what is still to come: a bucket of many small objects must not use 8 MiB
                    // for each.
                    buffer.reserve(left.unwrap_or(PIECE).max(frame.len()).min(PIECE));
                }
                let taken = frame.split_to(frame.len().min(buffer.capacity() - buffer.len()));
                left = left.map(|left| left.saturating_sub(taken.len()));
                buffer.extend_from_slice(&taken);
                if buffer.len() == buffer.capacity() {
                    pieces.push(std::mem::take(&mut buffer).freeze());
                }
            }
        }
    }
    if !buffer.is_empty() {
        pieces.push(buffer.freeze());
    }
    let body = Segments::from(pieces);
    if length.is_some_and(|length| u64::try_from(length) != Ok(body.len())) {
        return Err(s3_error!(IncompleteBody));
    }
    Ok(Received {
        body,
        md5: hasher.finalize().into(),
    })
}

/// The S3 error of a failed body. The error types of s3s are private, so the causes are distinguished by their text.
fn broken(error: &StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        let mut error = S3Error::new(S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()));
        error.set_status_code(StatusCode::BAD_REQUEST);
        error
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch)
    } else {
        s3_error!(IncompleteBody, "{text}")
    }
}

/// The description of an object, from the headers of the request that starts it.
pub(super) fn describe(
    headers: &HeaderMap,
    metadata: Option<Metadata>,
    tagging: Option<&str>,
    storage_class: Option<StorageClass>,
    encryption: Option<String>,
) -> S3Result<SandboxObject> {
    let metadata: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
    if metadata.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() > MAX_METADATA {
        return Err(s3_error!(MetadataTooLarge));
    }
    let text = |name: HeaderName| {
        let value = headers.get(name)?.as_bytes();
        std::str::from_utf8(value)
            .ok()
            .map(ToOwned::to_owned)
            .filter(|value| !value.is_empty())
    };
    let blank = SandboxObject::blank();
    Ok(SandboxObject {
        content_type: text(header::CONTENT_TYPE).or(blank.content_type),
        // aws-chunked is the encoding of the upload, not of the object.
        content_encoding: text(header::CONTENT_ENCODING).and_then(|encodings| {
            let kept: Vec<&str> = encodings
                .split(',')
                .map(str::trim)
                .filter(|one| *one != "aws-chunked")
                .collect();
            (!kept.is_empty()).then(|| kept.join(","))
        }),
        content_language: text(header::CONTENT_LANGUAGE),
        content_disposition: text(header::CONTENT_DISPOSITION),
        cache_control: text(header::CACHE_CONTROL),
        expires: text(header::EXPIRES),
        metadata,
        tags: tagging.map(parse_tags).unwrap_or_default(),
        website_redirect: text(HeaderName::from_static("x-amz-website-redirect-location")),
        storage_class: storage_class
            .map(|class| class.as_str().to_owned())
            .filter(|class| class != "STANDARD"),
        encryption,
        ..blank
    })
}

/// Tags of an `x-amz-tagging` header, which is encoded like a query string.
fn parse_tags(tagging: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    let pairs = tagging.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(k, v)| (decode(k), decode(v)))
        .collect()
}

fn raw_condition(headers: &HeaderMap, name: HeaderName) -> S3Result<Option<ETagCondition>> {
    let value = headers
        .get(name)
        .map(|value| ETagCondition::parse_http_header(value.as_bytes()));
    value
        .transpose()
        .map_err(|error| s3_error!(error, InvalidArgument))
}

impl Service {
    /// The conditions of a write, if this store supports them.
    pub(super) fn conditions(
        &self,
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> Conditions {
        match self.options.conditional_writes {
            Support::Honoured => Conditions {
                if_match,
                if_none_match,
            },
            Support::Ignored => Conditions::default(),
        }
    }

    /// Compares a body with its Content-MD5.
    pub(super) fn verify_md5(&self, content_md5: Option<&str>, md5: [u8; 16]) -> S3Result<()> {
        let Some(text) = content_md5.filter(|_| self.options.verify_content_md5) else {
            return Ok(());
        };
        let wanted: Option<[u8; 16]> = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        match wanted {
            None => Err(s3_error!(InvalidDigest)),
            Some(wanted) if wanted != md5 => Err(s3_error!(BadDigest)),
            Some(_) => Ok(()),
        }
    }

    /// The encryption that a request asks for, if this store supports it.
    pub(super) fn encryption<T>(
        &self,
        req: &S3Request<T>,
        asked: Option<&ServerSideEncryption>,
    ) -> Option<String> {
        let ignored = req.extensions.get::<IgnoreEncryption>().is_some();
        match self.options.encryption {
            Support::Honoured if !ignored => asked.map(|kind| kind.as_str().to_owned()),
            Support::Honoured | Support::Ignored => None,
        }
    }

    /// PutObject.
    pub(super) async fn put(&self, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let encryption = self.encryption(&req, req.input.server_side_encryption.as_ref());
        let S3Request { input, headers, .. } = req;
        let received = receive(input.body, input.content_length).await?;
        self.verify_md5(input.content_md5.as_deref(), received.md5)?;
        let head = describe(
            &headers,
            input.metadata,
            input.tagging.as_deref(),
            input.storage_class,
            encryption,
        )?;
        let etag = hex::encode(visible_md5(received.md5, head.encryption.as_deref()));
        let server_side_encryption = head.encryption.clone().map(ServerSideEncryption::from);
        let object = Object::new(
            SandboxObject {
                etag: etag.clone(),
                ..head
            },
            received.body,
        );
        let conditions = self.conditions(input.if_match, input.if_none_match);
        self.store.write(&input.bucket, &input.key, object, &conditions)?;
        Ok(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            server_side_encryption,
            ..PutObjectOutput::default()
        })
    }

    /// The object to copy from, if its conditions are true.
    pub(super) fn copy_from(
        &self,
        (bucket, key): (&str, &str),
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<Object> {
        let object = self.store.object(bucket, key)?;
        let matches = if_match.is_none_or(|condition| etag_matches(condition, &object));
        let differs = if_none_match.is_none_or(|condition| !etag_matches(condition, &object));
        if matches && differs {
            Ok(object)
        } else {
            Err(s3_error!(PreconditionFailed))
        }
    }

    /// CopyObject. As in S3, the new object has one part, and its ETag is the MD5 of its bytes.
    pub(super) async fn copy(&self, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        let encryption = self.encryption(&req, req.input.server_side_encryption.as_ref());
        let nothing = req.extensions.get::<CopyNothing>().is_some();
        let S3Request { input, headers, .. } = req;
        let from = source(&input.copy_source)?;
        let mut origin = self.copy_from(
            from,
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
        )?;
        if nothing {
            origin.body = Segments::from(Vec::new());
            let head = Arc::make_mut(&mut origin.head);
            head.etag = hex::encode(origin.body.md5());
            head.part_sizes = Vec::new();
        }
        let replace = input
            .metadata_directive
            .as_ref()
            .is_some_and(|it| it.as_str() == MetadataDirective::REPLACE);
        let replace_tags = input
            .tagging_directive
            .as_ref()
            .is_some_and(|it| it.as_str() == TaggingDirective::REPLACE);
        if from == (input.bucket.as_str(), input.key.as_str()) && !replace && input.storage_class.is_none() {
            return Err(s3_error!(
                InvalidRequest,
                "a copy onto itself must change something"
            ));
        }
        let given = describe(
            &headers,
            input.metadata,
            input.tagging.as_deref(),
            input.storage_class,
            encryption,
        )?;
        let mut head = if replace {
            given.clone()
        } else {
            (*origin.head).clone()
        };
        head.tags = if replace_tags {
            given.tags
        } else {
            origin.head.tags.clone()
        };
        head.storage_class = given.storage_class;
        head.encryption = given.encryption;
        head.last_modified = now();
        let sealed = [&head.encryption, &origin.head.encryption]
            .map(Option::as_deref)
            .contains(&Some(KMS));
        head.etag = if origin.head.part_sizes.is_empty() && !sealed {
            origin.head.etag.clone()
        } else {
            let md5 = md5_of(origin.body.clone()).await?;
            hex::encode(visible_md5(md5, head.encryption.as_deref()))
        };
        head.part_sizes = Vec::new();
        let result = CopyObjectResult {
            e_tag: Some(ETag::Strong(head.etag.clone())),
            last_modified: Some(head.last_modified.into()),
            ..CopyObjectResult::default()
        };
        let server_side_encryption = head.encryption.clone().map(ServerSideEncryption::from);
        let if_match = raw_condition(&headers, header::IF_MATCH)?;
        let conditions = self.conditions(if_match, raw_condition(&headers, header::IF_NONE_MATCH)?);
        self.store.write(
            &input.bucket,
            &input.key,
            Object::new(head, origin.body),
            &conditions,
        )?;
        Ok(CopyObjectOutput {
            copy_object_result: Some(result),
            server_side_encryption,
            ..CopyObjectOutput::default()
        })
    }

    /// Replaces the tags of an object; its ETag and date do not change.
    pub(super) fn set_tags(&self, bucket: &str, key: &str, tags: Vec<(String, String)>) -> S3Result<()> {
        let sort_key = self.store.order.sort_key(key);
        self.store.with(bucket, |bucket| {
            let object = bucket
                .objects
                .get_mut(&sort_key)
                .ok_or_else(|| s3_error!(NoSuchKey))?;
            Arc::make_mut(&mut object.head).tags = tags;
            Ok(())
        })
    }
}

/// The MD5 of stored bytes, computed outside the threads that serve requests.
pub(super) async fn md5_of(body: Segments) -> S3Result<[u8; 16]> {
    tokio::task::spawn_blocking(move || body.md5())
        .await
        .map_err(|error| s3_error!(error, InternalError))
}
