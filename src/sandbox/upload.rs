//! Multipart uploads: parts, their listing, and the object they become.

use std::collections::BTreeMap;

use s3s::dto::{
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, CopyPartResult,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, ListPartsInput, ListPartsOutput, Part,
    Range, ServerSideEncryption, StorageClass, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::bucket::{Upload, UploadedPart};
use super::marks::CopyNothing;
use super::object::{KMS, Object, SandboxObject, Segments, multipart_etag, now, visible_md5};
use super::service::{Service, source};
use super::write::{describe, md5_of, receive};
use super::{JoinedTags, SandboxOptions};

const PART_NUMBERS: std::ops::RangeInclusive<i32> = 1..=10_000;

fn check_part_number(number: i32) -> S3Result<()> {
    if PART_NUMBERS.contains(&number) {
        Ok(())
    } else {
        Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        ))
    }
}

impl Upload {
    /// The object that these parts make, in the order and with the ETags that the client gives.
    fn assemble(&self, named: &[CompletedPart], options: &SandboxOptions) -> S3Result<Object> {
        let mut chosen: Vec<&UploadedPart> = Vec::with_capacity(named.len());
        let mut last = 0;
        for part in named {
            let number = part.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
            if number <= last {
                return Err(s3_error!(InvalidPartOrder));
            }
            last = number;
            let uploaded = self.parts.get(&number);
            let etag = part.e_tag.as_ref().map(ETag::value);
            chosen.push(
                uploaded
                    .filter(|uploaded| etag == Some(options.part_tags.of(uploaded.md5).as_str()))
                    .ok_or_else(|| s3_error!(InvalidPart, "part {number} is not there with this ETag"))?,
            );
        }
        if let Some((_, others)) = chosen.split_last()
            && others.iter().any(|part| part.body.len() < options.min_part_size)
        {
            return Err(s3_error!(EntityTooSmall));
        }
        let sums: Vec<[u8; 16]> = chosen.iter().map(|part| part.md5).collect();
        let head = SandboxObject {
            etag: match options.joined_tags {
                JoinedTags::S3 => multipart_etag(&sums),
                JoinedTags::Opaque => format!("joined-{}", multipart_etag(&sums)),
            },
            last_modified: now(),
            part_sizes: chosen.iter().map(|part| part.body.len()).collect(),
            ..self.head.clone()
        };
        let head = match head.encryption.as_deref() {
            Some(KMS) => head.sealed(),
            _ => head,
        };
        Ok(Object::new(
            head,
            Segments::join(chosen.iter().map(|part| &part.body)),
        ))
    }
}

impl Service {
    /// CreateMultipartUpload.
    pub(super) fn create_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let encryption = self.encryption(&req, req.input.server_side_encryption.as_ref());
        let S3Request { input, headers, .. } = req;
        let head = describe(
            &headers,
            input.metadata,
            input.tagging.as_deref(),
            input.storage_class,
            encryption,
        )?;
        let server_side_encryption = head.encryption.clone().map(ServerSideEncryption::from);
        let id = self.store.upload_id();
        let upload = Upload {
            key: input.key.clone(),
            initiated: now(),
            head,
            parts: BTreeMap::new(),
        };
        self.store.with(&input.bucket, |bucket| {
            bucket.uploads.insert(id.clone(), upload);
            Ok(())
        })?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            server_side_encryption,
            ..CreateMultipartUploadOutput::default()
        })
    }

    /// Stores a part and gives it its ETag.
    fn keep_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        mut part: UploadedPart,
    ) -> S3Result<ETag> {
        self.store.with(bucket, |bucket| {
            let upload = bucket.upload(key, id)?;
            part.md5 = visible_md5(part.md5, upload.head.encryption.as_deref());
            let etag = ETag::Strong(self.options.part_tags.of(part.md5));
            upload.parts.insert(number, part);
            Ok(etag)
        })
    }

    /// UploadPart.
    pub(super) async fn part(&self, input: UploadPartInput) -> S3Result<UploadPartOutput> {
        let received = receive(input.body, input.content_length).await?;
        check_part_number(input.part_number)?;
        self.verify_md5(input.content_md5.as_deref(), received.md5)?;
        let part = UploadedPart {
            body: received.body,
            md5: received.md5,
            last_modified: now(),
        };
        let etag = self.keep_part(
            &input.bucket,
            &input.key,
            &input.upload_id,
            input.part_number,
            part,
        )?;
        Ok(UploadPartOutput {
            e_tag: Some(etag),
            ..UploadPartOutput::default()
        })
    }

    /// UploadPartCopy, of all or of a range of the source.
    pub(super) async fn part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<UploadPartCopyOutput> {
        let nothing = req.extensions.get::<CopyNothing>().is_some();
        let input = req.input;
        check_part_number(input.part_number)?;
        self.store.with(&input.bucket, |bucket| {
            bucket.upload(&input.key, &input.upload_id).map(|_| ())
        })?;
        let origin = self.copy_from(
            source(&input.copy_source)?,
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
        )?;
        let range = match input.copy_source_range.as_deref().map(Range::parse) {
            None => 0..origin.body.len(),
            // Unlike for a GET, a range beyond the end is an error.
            Some(Ok(Range::Int {
                first,
                last: Some(last),
            })) if last < origin.body.len() => first..last + 1,
            Some(_) => {
                return Err(s3_error!(
                    InvalidArgument,
                    "the copy source range is not valid for the source"
                ));
            }
        };
        let body = origin.body.slice(&if nothing { 0..0 } else { range });
        let md5 = md5_of(body.clone()).await?;
        let part = UploadedPart {
            body,
            md5,
            last_modified: now(),
        };
        let last_modified = Some(part.last_modified.into());
        let etag = self.keep_part(
            &input.bucket,
            &input.key,
            &input.upload_id,
            input.part_number,
            part,
        )?;
        let result = CopyPartResult {
            e_tag: Some(etag),
            last_modified,
            ..CopyPartResult::default()
        };
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        })
    }

    /// ListParts.
    pub(super) fn parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let max = self.page_limit(input.max_parts, "max-parts")?;
        let marker = input.part_number_marker.unwrap_or(0);
        let upload = self.store.with(&input.bucket, |bucket| {
            bucket.upload(&input.key, &input.upload_id).cloned()
        })?;
        let mut rest = upload.parts.iter().filter(|(number, _)| **number > marker);
        let parts: Vec<Part> = rest
            .by_ref()
            .take(max)
            .map(|(number, part)| Part {
                e_tag: Some(ETag::Strong(self.options.part_tags.of(part.md5))),
                last_modified: Some(part.last_modified.into()),
                part_number: Some(*number),
                size: i64::try_from(part.body.len()).ok(),
                ..Part::default()
            })
            .collect();
        let truncated = rest.next().is_some();
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            is_truncated: Some(truncated),
            key: Some(input.key),
            max_parts: i32::try_from(max).ok(),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            part_number_marker: Some(marker),
            parts: Some(parts),
            storage_class: upload.head.storage_class.map(StorageClass::from),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        })
    }

    /// CompleteMultipartUpload: the object appears and the upload disappears in one step. So a repeated request finds
    /// no upload, as happens to a client that lost the first response.
    pub(super) fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let named = input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        if named.is_empty() {
            return Err(s3_error!(MalformedXML, "no parts are named"));
        }
        let conditions = self.conditions(input.if_match, input.if_none_match);
        let (etag, encryption) = self.store.with(&input.bucket, |bucket| {
            let upload = bucket.upload(&input.key, &input.upload_id)?;
            let object = upload.assemble(&named, &self.options)?;
            let written = (object.head.etag.clone(), object.head.encryption.clone());
            self.store.write_into(bucket, &input.key, object, &conditions)?;
            bucket.uploads.remove(&input.upload_id);
            Ok(written)
        })?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(etag)),
            server_side_encryption: encryption.map(ServerSideEncryption::from),
            ..CompleteMultipartUploadOutput::default()
        })
    }
}
