//! The operations of [`ObjectStore`] as S3 requests.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HeaderValue, IF_MATCH, RANGE};
use http::{Method, StatusCode};
use http_body_util::BodyExt;

use super::body::Download;
use super::errors::Subject;
use super::request::{
    CONTENT_MD5, add_condition, announced, described, integrity, md5_header, payload, quoted, span, value,
    whole_size,
};
use super::url::{Query, copy_source};
use super::xml::Element;
use super::{Answer, Call, Payload, S3Store, documents, headers};
use crate::error::{Error, ErrorKind, Result};
use crate::object::{
    Body, ByteRange, CopySource, ETag, ListQuery, ListVersion, NewObject, Object, ObjectInfo, ObjectStore,
    PageFacts, PageSink, Part, Tags, UploadId, WriteIf, Written,
};
use crate::task::Key;

/// Largest number of a part.
const MAX_PARTS: u32 = 10_000;

impl S3Store {
    fn part_query(upload: &UploadId, number: u32) -> Result<Query> {
        if !(1..=MAX_PARTS).contains(&number) {
            return Err(Error::invalid("a part number must lie between 1 and 10,000"));
        }
        Query::default()
            .number("partNumber", number)
            .with("uploadId", upload.0.as_bytes())
    }

    /// Sends a request whose response of status 200 may contain an error.
    async fn written(&self, call: Call<'_>, wanted: Element) -> Result<Written> {
        let subject = call.subject;
        let (headers, document) = self.document(call).await?;
        let reported = headers::written(&headers);
        // A store that does not support the operation may respond as to a write, without a document.
        let of_copy = matches!(wanted, Element::CopyObjectResult | Element::CopyPartResult);
        if of_copy && document.trim_ascii().is_empty() {
            return Ok(reported);
        }
        let etag = documents::written(&document, wanted)?
            .map_err(|failure| self.failed(StatusCode::OK, &headers, failure, subject))?;
        Ok(Written { etag, ..reported })
    }

    /// The response to a HEAD has no document, so expired credentials look like a bad request, and unknown ones like a
    /// missing permission. A GET of the first byte fails with the code of the error.
    async fn named(&self, key: &Key, error: Error) -> Error {
        let vague = matches!(
            error.kind(),
            ErrorKind::InvalidArgument | ErrorKind::PermissionDenied
        );
        if !vague || error.code().is_some() {
            return error;
        }
        let mut call = self.call(Method::GET, Subject::Object, Some(key));
        call.headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        match self.send(call).await {
            Err(named) if named.code().is_some_and(|code| code != "InvalidRange") => named,
            _ => error,
        }
    }

    fn add_copy_source(call: &mut Call<'_>, from: &CopySource) -> Result<()> {
        call.headers
            .insert("x-amz-copy-source", copy_source(&from.bucket, &from.key)?);
        if let Some(etag) = &from.if_match {
            call.headers.insert("x-amz-copy-source-if-match", quoted(etag)?);
        }
        Ok(())
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn list(&self, query: &ListQuery, sink: &mut dyn PageSink) -> Result<PageFacts> {
        self.page(query, sink).await
    }

    fn list_version(&self) -> ListVersion {
        match self.only_version_1.load(Ordering::Relaxed) {
            true => ListVersion::V1,
            false => ListVersion::V2,
        }
    }

    fn set_list_version(&self, version: ListVersion) {
        let only_version_1 = version == ListVersion::V1;
        self.only_version_1.store(only_version_1, Ordering::Relaxed);
    }

    async fn head(&self, key: &Key, part: Option<u32>) -> Result<ObjectInfo> {
        let mut call = self.call(Method::HEAD, Subject::Object, Some(key));
        if let Some(part) = part {
            call.query = Query::default().number("partNumber", part);
        }
        let answer = match self.send(call).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.named(key, error).await),
        };
        let size = headers::content_length(answer.headers());
        Ok(headers::object_info(answer.headers(), size))
    }

    async fn get(&self, key: &Key, portion: ByteRange, if_match: Option<&ETag>) -> Result<Object> {
        let mut call = self.call(Method::GET, Subject::Object, Some(key));
        match portion {
            ByteRange::Whole => {}
            ByteRange::Range { offset, length } => {
                call.headers.insert(RANGE, value(span(offset, length)?)?);
            }
            ByteRange::Part(number) => call.query = Query::default().number("partNumber", number),
        }
        if let Some(etag) = if_match {
            call.headers.insert(IF_MATCH, quoted(etag)?);
        }
        let (head, incoming) = self.send(call).await?.into_parts();
        let length = announced(head.status, &head.headers);
        let size = match length {
            Some(length) => Some(whole_size(portion, head.status, &head.headers, length)?),
            // The whole object, up to the end of the body.
            None if portion == ByteRange::Whole && head.status != StatusCode::PARTIAL_CONTENT => None,
            None => return Err(integrity("the store does not announce the length of the body")),
        };
        let info = headers::object_info(&head.headers, size);
        if if_match.is_some() && info.etag.is_none() {
            return Err(integrity(
                "the answer does not say which version of the object it is",
            ));
        }
        info.require_version(if_match).map_err(|error| {
            error
                .with_code("PreconditionFailed")
                .with_request_id(headers::request_id(&head.headers))
        })?;
        Ok(Object {
            info,
            length,
            body: Download::new(incoming, length, self.timeouts.body()).boxed_unsync(),
        })
    }

    async fn put(
        &self,
        key: &Key,
        new: &NewObject,
        length: u64,
        md5: Option<[u8; 16]>,
        condition: &WriteIf,
        body: Body,
    ) -> Result<Written> {
        let mut call = self.call(Method::PUT, Subject::Object, Some(key));
        call.headers = described(new)?;
        if let Some(md5) = md5 {
            call.headers.insert(CONTENT_MD5, md5_header(md5)?);
        }
        add_condition(&mut call.headers, condition)?;
        call.payload = payload(body, length).await?;
        let answer = self.acknowledge(call).await?;
        Ok(headers::written(&answer))
    }

    async fn copy(&self, from: &CopySource, key: &Key, new: &NewObject) -> Result<Written> {
        let mut call = self.call(Method::PUT, Subject::Object, Some(key));
        call.answer = Answer::AfterWork;
        call.headers = described(new)?;
        Self::add_copy_source(&mut call, from)?;
        // The headers and tags of the caller replace those of the source, as in a copy through this process.
        call.headers
            .insert("x-amz-metadata-directive", HeaderValue::from_static("REPLACE"));
        call.headers
            .insert("x-amz-tagging-directive", HeaderValue::from_static("REPLACE"));
        self.written(call, Element::CopyObjectResult).await
    }

    async fn create_upload(&self, key: &Key, new: &NewObject) -> Result<UploadId> {
        let mut call = self.call(Method::POST, Subject::Object, Some(key));
        call.query = Query::default().flag("uploads");
        call.headers = described(new)?;
        let (_, document) = self.document(call).await?;
        documents::upload_id(&document)
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        length: u64,
        md5: Option<[u8; 16]>,
        body: Body,
    ) -> Result<Part> {
        let mut call = self.call(Method::PUT, Subject::Upload, Some(key));
        call.query = Self::part_query(upload, number)?;
        if let Some(md5) = md5 {
            call.headers.insert(CONTENT_MD5, md5_header(md5)?);
        }
        call.payload = payload(body, length).await?;
        let answer = self.acknowledge(call).await?;
        let etag = headers::etag(&answer).ok_or_else(|| integrity("the store gave the part no tag"))?;
        Ok(Part {
            number,
            etag,
            size: length,
        })
    }

    async fn copy_part(
        &self,
        from: &CopySource,
        range: ByteRange,
        key: &Key,
        upload: &UploadId,
        number: u32,
    ) -> Result<Part> {
        let mut call = self.call(Method::PUT, Subject::Upload, Some(key));
        call.answer = Answer::AfterWork;
        call.query = Self::part_query(upload, number)?;
        Self::add_copy_source(&mut call, from)?;
        let size = match range {
            ByteRange::Whole => 0,
            ByteRange::Range { offset, length } => {
                call.headers
                    .insert("x-amz-copy-source-range", value(span(offset, length)?)?);
                length
            }
            ByteRange::Part(_) => {
                let text = "a part can be copied from a range, not from a part";
                return Err(Error::new(ErrorKind::Unsupported, text));
            }
        };
        let etag = self.written(call, Element::CopyPartResult).await?.etag;
        let etag = etag.ok_or_else(|| {
            let text = "the store acknowledged the copy of a part without a result";
            Error::new(ErrorKind::Unsupported, text).with_code("NoCopyResult")
        })?;
        Ok(Part { number, etag, size })
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<Part>> {
        let mut all: Vec<Part> = Vec::new();
        let mut marker = None;
        loop {
            let mut call = self.call(Method::GET, Subject::Upload, Some(key));
            let mut query = Query::default().number("max-parts", 1000);
            if let Some(marker) = marker {
                query = query.number("part-number-marker", marker);
            }
            call.query = query.with("uploadId", upload.0.as_bytes())?;
            let (_, document) = self.document(call).await?;
            let (parts, next) = documents::parts(&document)?;
            all.extend(parts);
            match next {
                None => return Ok(all),
                // The marker must grow, so the loop ends whatever the store sends.
                Some(next) if Some(next) > marker && next < MAX_PARTS => marker = Some(next),
                Some(_) => return Err(integrity("the list of parts does not advance")),
            }
        }
    }

    async fn list_uploads(&self, key: &Key) -> Result<Vec<UploadId>> {
        let mut call = self.call(Method::GET, Subject::Bucket, None);
        call.query = Query::default()
            .with("encoding-type", b"url")?
            .with("prefix", key.as_bytes())?
            .flag("uploads");
        let (_, document) = self.document(call).await?;
        documents::uploads(&document, key.as_bytes())
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: &WriteIf,
    ) -> Result<Option<ETag>> {
        let mut call = self.call(Method::POST, Subject::Upload, Some(key));
        call.answer = Answer::AfterWork;
        call.query = Query::default().with("uploadId", upload.0.as_bytes())?;
        call.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        add_condition(&mut call.headers, condition)?;
        call.payload = Payload::Bytes(documents::completion(parts));
        let written = self.written(call, Element::CompleteMultipartUploadResult).await?;
        Ok(written.etag)
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        let mut call = self.call(Method::DELETE, Subject::Upload, Some(key));
        call.query = Query::default().with("uploadId", upload.0.as_bytes())?;
        self.acknowledge(call).await.map(drop)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        let call = self.call(Method::DELETE, Subject::Object, Some(key));
        match self.acknowledge(call).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map(drop),
        }
    }

    async fn delete_if(&self, key: &Key, etag: &ETag) -> Result<()> {
        let mut call = self.call(Method::DELETE, Subject::Object, Some(key));
        call.headers.insert(IF_MATCH, quoted(etag)?);
        match self.acknowledge(call).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map(drop),
        }
    }

    async fn tags(&self, key: &Key) -> Result<Tags> {
        let mut call = self.call(Method::GET, Subject::Object, Some(key));
        call.query = Query::default().flag("tagging");
        match self.document(call).await {
            Ok((_, document)) => documents::tags(&document),
            Err(error) if error.code().is_some_and(|code| code.starts_with("NoSuchTagSet")) => {
                Ok(Tags::new())
            }
            Err(error) => Err(error),
        }
    }

    fn demands_md5(&self) -> bool {
        self.learned.demands_md5()
    }

    fn describe(&self) -> String {
        self.place.name.clone()
    }
}
