//! What names the objects of a task on the wire: lists, and which fields go with which task type.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rules;
use super::texts::{check_bucket, named};
use crate::api::codes;
use crate::error::{Error, Result};
use crate::secret::{Credentials, Secret};
use crate::service::BucketRequest;
use crate::task::Key;
use crate::task::spec::{self, Cloud, Payer};

/// A list of objects that lies in a bucket of the target's store and is read with the target's keys: a text file in UTF-8
/// whose name ends with `.txt`, of at most 1024 MiB, with the Content-Type `text/plain` and no Content-Encoding.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    /// Bucket that holds the list.
    #[schema(min_length = 1, max_length = 63)]
    obs_bucket: String,
    /// Key of the list.
    #[schema(min_length = 1, max_length = 1024)]
    list_file_key: String,
}

impl ListFile {
    /// Checks the fields.
    ///
    /// # Errors
    /// OMS.0064 for lengths, OMS.0057 for other rules.
    pub fn check(self) -> Result<spec::Manifest> {
        rules::length("src_node.list_file.obs_bucket", &self.obs_bucket, 1..=63)?;
        check_bucket("src_node.list_file.obs_bucket", codes::SOURCE, &self.obs_bucket)?;
        let field = "src_node.list_file.list_file_key";
        rules::length(field, &self.list_file_key, 1..=Key::MAX_LEN)?;
        Ok(spec::Manifest {
            bucket: self.obs_bucket,
            key: named(field, &self.list_file_key)?,
        })
    }
}

impl From<&spec::Manifest> for ListFile {
    fn from(file: &spec::Manifest) -> Self {
        Self {
            obs_bucket: file.bucket.clone(),
            list_file_key: file.key.lossy().into_owned(),
        }
    }
}

/// How the names in `object_key` are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Objects and folders.
    Objects,
    /// Prefixes.
    Prefixes,
    /// By a list of objects.
    List,
    /// By a list of URLs.
    Urls,
}

impl Naming {
    const fn task_type(self) -> &'static str {
        match self {
            Self::Objects => "object",
            Self::Prefixes => "prefix",
            Self::List => "list",
            Self::Urls => "url_list",
        }
    }
}

/// The value of a field that this task type needs.
///
/// # Errors
/// OMS.0074 when it is not there.
pub fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid(format!("{field} is required")).with_code(codes::FIELDS))
}

/// Refuses a field, where `given`, that the task type has no use for. In the reference the task type does not match the
/// parameters then, with a code that only its oldest version has; this is the one that the others have for it.
///
/// # Errors
/// OMS.0061 where it is given.
pub fn mismatch<T>(field: &str, given: Option<&T>, naming: Naming) -> Result<()> {
    if given.is_some() {
        let text = format!("{field} does not go with task_type {}", naming.task_type());
        return Err(Error::invalid(text).with_code(codes::UNSUPPORTED));
    }
    Ok(())
}

/// The source of a list of URLs.
#[must_use]
pub const fn nowhere() -> BucketRequest {
    BucketRequest {
        cloud: Cloud::UrlSource,
        region: String::new(),
        bucket: String::new(),
        endpoint: None,
        app_id: None,
        payer: Payer::Owner,
    }
}

/// The keys of a source that has none.
#[must_use]
pub fn no_keys() -> Credentials {
    Credentials {
        access_key: Secret::new(""),
        secret_key: Secret::new(""),
    }
}
