//! Listings: ListObjects, ListObjectsV2 and ListMultipartUploads, with prefix, delimiter, paging and URL encoding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    self, CommonPrefix, ETag, EncodingType, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, MultipartUpload,
    ObjectStorageClass, StorageClass,
};
use s3s::{S3Result, s3_error};

use super::KeyEncoding;
use super::marks::ListingFault;
use super::page::{Entry, Page, page};
use super::service::Service;

/// Characters that `encoding-type=url` does not encode.
const URL: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/');

/// How keys are written into the response.
enum Text {
    Plain,
    Url(KeyEncoding),
}

impl Text {
    fn new(service: &Service, encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None => Ok(Self::Plain),
            Some("url") => Ok(Self::Url(service.options.key_encoding)),
            Some(_) => Err(s3_error!(
                InvalidArgument,
                "Invalid Encoding Method specified in Request"
            )),
        }
    }

    fn write(&self, text: &str) -> String {
        let escaped = || utf8_percent_encode(text, URL).to_string();
        match self {
            Self::Plain => text.to_owned(),
            Self::Url(KeyEncoding::Percent) => escaped(),
            Self::Url(KeyEncoding::Form | KeyEncoding::Undeclared) => escaped().replace("%20", "+"),
            Self::Url(KeyEncoding::DeclaredPlain) => text.to_owned(),
            Self::Url(KeyEncoding::EscapedTwice) => text.replace('&', "&amp;").replace('<', "&lt;"),
            Self::Url(KeyEncoding::Path) => escaped().replace("%2B", "+"),
        }
    }
}

/// The encoding that a listing declares.
fn declared(service: &Service, asked: Option<EncodingType>) -> Option<EncodingType> {
    asked.filter(|_| service.options.key_encoding != KeyEncoding::Undeclared)
}

impl Page {
    fn split(self, text: &Text, fault: Option<ListingFault>) -> (Vec<dto::Object>, Vec<CommonPrefix>) {
        let mut objects = Vec::new();
        let mut prefixes = Vec::new();
        for entry in self.entries {
            match entry {
                Entry::Object(key, object) => objects.push(dto::Object {
                    e_tag: Some(ETag::Strong(object.head.etag.clone())),
                    key: Some(text.write(&key)),
                    last_modified: Some(object.head.last_modified.into()),
                    size: i64::try_from(object.body.len())
                        .ok()
                        .filter(|_| fault != Some(ListingFault::NoSizes)),
                    storage_class: Some(ObjectStorageClass::from(
                        object
                            .head
                            .storage_class
                            .clone()
                            .unwrap_or_else(|| "STANDARD".to_owned()),
                    )),
                    ..dto::Object::default()
                }),
                Entry::Prefix(prefix) => prefixes.push(CommonPrefix {
                    prefix: Some(text.write(&prefix)),
                }),
            }
        }
        (objects, prefixes)
    }
}

impl Service {
    /// How many entries a page may have, for the limit in the request.
    pub(super) fn page_limit(&self, wanted: Option<i32>, name: &str) -> S3Result<usize> {
        let cap = self.options.page_size.clamp(1, 1000);
        let wanted = wanted.map_or(Ok(cap), usize::try_from);
        wanted
            .map(|wanted| wanted.min(cap))
            .map_err(|_| s3_error!(InvalidArgument, "{name} must not be negative"))
    }

    /// ListObjects, version 1. As with S3, there is a NextMarker only with a delimiter.
    pub(super) fn list_v1(
        &self,
        input: ListObjectsInput,
        fault: Option<ListingFault>,
    ) -> S3Result<ListObjectsOutput> {
        let text = Text::new(self, input.encoding_type.as_ref())?;
        let max = match fault {
            Some(ListingFault::OnePage) => usize::MAX,
            _ => self.page_limit(input.max_keys, "max-keys")?,
        };
        let prefix = input.prefix.unwrap_or_default();
        let marker = input
            .marker
            .filter(|_| !matches!(fault, Some(ListingFault::FromStart | ListingFault::OnePage)))
            .unwrap_or_default();
        let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
        let order = self.store.order;
        let page = self.store.with(&input.bucket, |bucket| {
            Ok(page(bucket, order, &prefix, delimiter.as_deref(), &marker, max))
        })?;
        if fault == Some(ListingFault::EmptyIsMissing) && page.is_empty() {
            return Err(s3_error!(NoSuchKey));
        }
        let truncated = page.truncated && fault != Some(ListingFault::Last);
        let next_marker = page
            .last()
            .filter(|_| truncated && delimiter.is_some())
            .map(|key| text.write(key));
        let (contents, common_prefixes) = page.split(&text, fault);
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(text.write(&prefix)),
            marker: Some(text.write(&marker)),
            max_keys: i32::try_from(max).ok(),
            is_truncated: Some(truncated),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: delimiter.map(|delimiter| text.write(&delimiter)),
            next_marker,
            encoding_type: declared(self, input.encoding_type),
            ..ListObjectsOutput::default()
        })
    }

    /// ListObjectsV2. The token is the last entry in base64: opaque, and safe in a URL.
    pub(super) fn list_v2(
        &self,
        input: ListObjectsV2Input,
        fault: Option<ListingFault>,
    ) -> S3Result<ListObjectsV2Output> {
        let text = Text::new(self, input.encoding_type.as_ref())?;
        let max = match fault {
            Some(ListingFault::OnePage) => usize::MAX,
            _ => self.page_limit(input.max_keys, "max-keys")?,
        };
        let prefix = input.prefix.unwrap_or_default();
        let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
        let after = match &input.continuation_token {
            Some(token) => URL_SAFE_NO_PAD
                .decode(token)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .filter(|after| !after.is_empty())
                .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))?,
            None if fault == Some(ListingFault::RefuseStart) && input.start_after.is_some() => {
                return Err(s3_error!(
                    InternalError,
                    "The continuation token provided is incorrect"
                ));
            }
            None => input
                .start_after
                .clone()
                .filter(|_| !matches!(fault, Some(ListingFault::FromStart | ListingFault::OnePage)))
                .unwrap_or_default(),
        };
        let order = self.store.order;
        let mut page = self.store.with(&input.bucket, |bucket| {
            Ok(page(bucket, order, &prefix, delimiter.as_deref(), &after, max))
        })?;
        if fault == Some(ListingFault::EmptyIsMissing) && page.is_empty() {
            return Err(s3_error!(NoSuchKey));
        }
        let next = page.next(&after, fault);
        let truncated = page.truncated;
        let next = next.map(|key| URL_SAFE_NO_PAD.encode(key));
        let (contents, common_prefixes) = page.split(&text, fault);
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(text.write(&prefix)),
            max_keys: i32::try_from(max).ok(),
            key_count: i32::try_from(contents.len() + common_prefixes.len()).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(truncated),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: delimiter.map(|delimiter| text.write(&delimiter)),
            encoding_type: declared(self, input.encoding_type),
            start_after: input.start_after.map(|after| text.write(&after)),
            ..ListObjectsV2Output::default()
        })
    }

    /// ListMultipartUploads, by key and then by age. Delimiters are not supported, because no client of ours uses them.
    pub(super) fn list_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        if input.delimiter.is_some() {
            return Err(s3_error!(NotImplemented, "delimiter is not supported here"));
        }
        let text = Text::new(self, input.encoding_type.as_ref())?;
        let max = self.page_limit(input.max_uploads, "max-uploads")?;
        let prefix = input.prefix.unwrap_or_default();
        let order = self.store.order;
        let marker = input.key_marker.as_deref().filter(|marker| !marker.is_empty());
        let marker = marker.map(|key| {
            (
                order.sort_key(key),
                input.upload_id_marker.as_deref().filter(|id| !id.is_empty()),
            )
        });
        let mut all = self.store.with(&input.bucket, |bucket| {
            let open = bucket
                .uploads
                .iter()
                .filter(|(_, upload)| upload.key.starts_with(&prefix));
            Ok(open
                .map(|(id, upload)| (order.sort_key(&upload.key), id.clone(), upload.clone()))
                .collect::<Vec<_>>())
        })?;
        all.retain(|(key, id, _)| match &marker {
            None => true,
            Some((after, None)) => key > after,
            Some((after, Some(after_id))) => (key, id.as_str()) > (after, *after_id),
        });
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let truncated = all.len() > max;
        all.truncate(max);
        let last = all
            .last()
            .filter(|_| truncated)
            .map(|(_, id, upload)| (text.write(&upload.key), id.clone()));
        let (next_key_marker, next_upload_id_marker) = last.unzip();
        let uploads = all.into_iter().map(|(_, id, upload)| MultipartUpload {
            initiated: Some(upload.initiated.into()),
            key: Some(text.write(&upload.key)),
            storage_class: upload.head.storage_class.map(StorageClass::from),
            upload_id: Some(id),
            ..MultipartUpload::default()
        });
        Ok(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            bucket: Some(input.bucket),
            encoding_type: input.encoding_type,
            is_truncated: Some(truncated),
            key_marker: input.key_marker.map(|key| text.write(&key)),
            max_uploads: i32::try_from(max).ok(),
            next_key_marker,
            next_upload_id_marker,
            prefix: Some(text.write(&prefix)),
            upload_id_marker: input.upload_id_marker,
            ..ListMultipartUploadsOutput::default()
        })
    }
}
