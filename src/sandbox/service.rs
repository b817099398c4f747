//! The S3 API of the sandbox: each operation of [`s3s::S3`] is passed to the module that implements it.

use std::sync::Arc;

use async_trait::async_trait;
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::SandboxOptions;
use super::bucket::{Bucket as StoredBucket, Conditions, Store};

/// The S3 implementation over a [`Store`].
#[derive(Debug)]
pub(super) struct Service {
    pub(super) store: Arc<Store>,
    pub(super) options: SandboxOptions,
}

/// The one pair of access and secret keys. Unlike [`s3s::auth::SimpleAuth`], it refuses an unknown access key with the
/// error code of S3.
#[derive(Debug)]
pub(super) struct SandboxCredentials {
    pub(super) access_key: String,
    pub(super) secret_key: String,
}

#[async_trait]
impl S3Auth for SandboxCredentials {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.access_key {
            Ok(SecretKey::from(self.secret_key.as_str()))
        } else {
            Err(s3_error!(InvalidAccessKeyId, "The access key does not exist"))
        }
    }
}

/// Bucket and key of a copy source. The sandbox has no access points and no versions.
pub(super) fn source(copy_source: &CopySource) -> S3Result<(&str, &str)> {
    match copy_source {
        CopySource::Bucket {
            bucket,
            key,
            version_id: None,
        } => Ok((bucket, key)),
        _ => Err(s3_error!(NotImplemented, "only plain objects can be copied")),
    }
}

impl Service {
    /// Replaces the name in a request with the name under which the object is kept.
    fn keep_name(&self, key: &mut String) {
        *key = self.options.names.keep(std::mem::take(key));
    }
}

fn answer<T>(output: T) -> Result<S3Response<T>, S3Error> {
    Ok(S3Response::new(output))
}

#[async_trait]
impl S3 for Service {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.store.lock();
        let buckets = buckets.iter().map(|(name, bucket)| Bucket {
            creation_date: Some(bucket.created.into()),
            name: Some(name.clone()),
            ..Bucket::default()
        });
        answer(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            ..ListBucketsOutput::default()
        })
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.store.with(&req.input.bucket, |_| Ok(()))?;
        let bucket_region = Some(self.options.region.clone());
        answer(HeadBucketOutput {
            bucket_region,
            ..HeadBucketOutput::default()
        })
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = req.input.bucket;
        let mut buckets = self.store.lock();
        if buckets.contains_key(&name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        buckets.insert(name.clone(), StoredBucket::default());
        answer(CreateBucketOutput {
            location: Some(format!("/{name}")),
        })
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.store.with(&req.input.bucket, |_| Ok(()))?;
        let location = BucketLocationConstraint::from(self.options.region.clone());
        answer(GetBucketLocationOutput {
            location_constraint: Some(location),
        })
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let fault = req.extensions.get().copied();
        answer(self.list_v1(req.input, fault)?)
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let fault = req.extensions.get().copied();
        answer(self.list_v2(req.input, fault)?)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        answer(self.list_uploads(req.input)?)
    }

    async fn head_object(
        &self,
        mut req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.keep_name(&mut req.input.key);
        self.head(&req)
    }

    async fn get_object(&self, mut req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        self.keep_name(&mut req.input.key);
        self.get(&req)
    }

    async fn put_object(&self, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.keep_name(&mut req.input.key);
        answer(Box::pin(self.put(req)).await?)
    }

    async fn copy_object(
        &self,
        mut req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.keep_name(&mut req.input.key);
        answer(Box::pin(self.copy(req)).await?)
    }

    async fn delete_object(
        &self,
        mut req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.keep_name(&mut req.input.key);
        let conditions = self.conditions(req.input.if_match, None);
        self.store
            .delete(&req.input.bucket, &req.input.key, &conditions)?;
        answer(DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let Delete { objects, quiet } = req.input.delete;
        if objects.is_empty() || objects.len() > 1000 {
            return Err(s3_error!(
                MalformedXML,
                "between 1 and 1000 keys can be deleted at once"
            ));
        }
        let mut deleted = Vec::new();
        for object in objects {
            self.store
                .delete(&req.input.bucket, &object.key, &Conditions::default())?;
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..DeletedObject::default()
            });
        }
        let deleted = (quiet != Some(true)).then_some(deleted);
        answer(DeleteObjectsOutput {
            deleted,
            ..DeleteObjectsOutput::default()
        })
    }

    async fn create_multipart_upload(
        &self,
        mut req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.keep_name(&mut req.input.key);
        answer(self.create_upload(req)?)
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.keep_name(&mut req.input.key);
        answer(Box::pin(self.part(req.input)).await?)
    }

    async fn upload_part_copy(
        &self,
        mut req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.keep_name(&mut req.input.key);
        answer(Box::pin(self.part_copy(req)).await?)
    }

    async fn list_parts(&self, mut req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        self.keep_name(&mut req.input.key);
        answer(self.parts(req.input)?)
    }

    async fn complete_multipart_upload(
        &self,
        mut req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.keep_name(&mut req.input.key);
        answer(self.complete(req.input)?)
    }

    async fn abort_multipart_upload(
        &self,
        mut req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.keep_name(&mut req.input.key);
        self.store.with(&req.input.bucket, |bucket| {
            bucket.upload(&req.input.key, &req.input.upload_id)?;
            bucket.uploads.remove(&req.input.upload_id);
            Ok(())
        })?;
        answer(AbortMultipartUploadOutput::default())
    }

    async fn get_object_tagging(
        &self,
        mut req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        self.keep_name(&mut req.input.key);
        let object = self.store.object(&req.input.bucket, &req.input.key)?;
        let tag = |(key, value): &(String, String)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        answer(GetObjectTaggingOutput {
            tag_set: object.head.tags.iter().map(tag).collect(),
            version_id: None,
        })
    }

    async fn put_object_tagging(
        &self,
        req: S3Request<PutObjectTaggingInput>,
    ) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let tags = req.input.tagging.tag_set.into_iter();
        let tags = tags
            .map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default()))
            .collect();
        self.set_tags(&req.input.bucket, &req.input.key, tags)?;
        answer(PutObjectTaggingOutput::default())
    }

    async fn delete_object_tagging(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        self.set_tags(&req.input.bucket, &req.input.key, Vec::new())?;
        answer(DeleteObjectTaggingOutput::default())
    }
}
