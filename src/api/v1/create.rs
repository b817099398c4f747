//! Creation of tasks on the wire.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::bandwidth::{self, BandwidthWindow};
use super::copy_options::{
    self, ConsistencyCheck, MinimumProof, ObjectOverwriteMode, RefusedMetadata, RequestedRules, StoragePolicy,
};
use super::list_file::{Naming, mismatch};
use super::nodes::{SourceNode, TargetNode};
use super::notification::{self, SmnInfo};
use super::rules;
use super::texts::optional_secret;
use crate::api::codes;
use crate::api::json::Node;
use crate::error::{Error, Result};
use crate::secret::{Secret, TaskCredentials};
use crate::service;
use crate::task::spec::{Cdn, Payer};
use crate::task::{Task, TaskId, TaskSpec, UnixMillis};

/// Last second of the year 9999, beyond which no date has a usual spelling.
const LAST_SECOND: i64 = 253_402_300_799;

/// What names the objects: `src_node.object_key` with objects, and folders where a name ends with `/` (`object`), or with
/// beginnings of names (`prefix`); or `src_node.list_file`, a file with one object in a line (`list`), or with a URL, a
/// TAB and the object's name at the target in each line (`url_list`).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskType {
    /// Objects and folders.
    Object,
    /// Prefixes.
    Prefix,
    /// A list of objects.
    List,
    /// A list of URLs.
    UrlList,
}

/// How a CDN is read.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// With TLS.
    Https,
    /// Without.
    Http,
}

/// How requests to a CDN are signed.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthenticationType {
    /// Not at all.
    None,
    /// As Qiniu wants it.
    QiniuPrivateAuthentication,
    /// As Aliyun's type A wants it.
    AliyunOssA,
    /// As Aliyun's type B wants it.
    AliyunOssB,
    /// As Aliyun's type C wants it.
    AliyunOssC,
    /// As Kingsoft wants it.
    KsyunPrivateAuthentication,
}

/// Reads the objects through a CDN: they are listed at the source, and an object whose length or age differs at the CDN
/// fails.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceCdn {
    /// How to read.
    protocol: Protocol,
    /// Host name, with a port where it needs one.
    #[schema(min_length = 1, max_length = 255)]
    domain: String,
    /// How requests are signed.
    authentication_type: AuthenticationType,
    /// Key of the signature; the `ALIYUN_*` types need it, here and at each start.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, format = Password, max_length = 255, write_only)]
    authentication_key: Option<Secret>,
}

/// A task to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!(example())))]
pub struct CreateTask {
    /// Where the objects are.
    src_node: SourceNode,
    /// Where they go.
    dst_node: TargetNode,
    /// Whether the target shall encrypt with its key management service.
    #[serde(rename = "enableKMS")]
    enable_kms: bool,
    /// Objects above 1 MiB that are copied at the same time; 0 means the most allowed. Smaller objects are copied beside them: at
    /// most 16 times as many, as far as the object stores get faster with it.
    #[schema(minimum = 0, maximum = 50)]
    thread_num: i64,
    /// A sentence for people, without any of `< > ( ) " ' &`.
    #[schema(max_length = 255, pattern = r#"^[^<>()"'&]*$"#)]
    description: Option<String>,
    /// Whom to tell at the end.
    #[serde(rename = "smnInfo")]
    smn_info: Option<SmnInfo>,
    /// Copy only objects modified after this moment, in seconds since 1970; 0 means all. For older clients a string of
    /// digits is taken too, and an empty one means all.
    #[serde(default, deserialize_with = "optional_seconds")]
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    migrate_since: Option<i64>,
    /// Read the objects through a CDN.
    source_cdn: Option<SourceCdn>,
    /// Whether archived objects are restored first; `true` is not supported yet.
    auto_restore: Option<bool>,
    /// Limits for parts of the day, which must not overlap; no limit outside of them.
    #[schema(max_items = 5)]
    bandwidth_policy: Option<Vec<BandwidthWindow>>,
    /// What names the objects; `object` when it is not given.
    task_type: Option<TaskType>,
    /// Whether failed objects are recorded, so that a start can repeat them alone; `true` when it is not given.
    enable_failed_object_recording: Option<bool>,
    /// An extension: whether copied and skipped objects are listed in text files in the target bucket; `true` when it is not
    /// given.
    #[schema(extensions(("x-oms-extension" = json!(true))))]
    enable_success_and_skip_recording: Option<bool>,
    /// An extension, from version 2 of the reference: what to do about objects of the same name at the target;
    /// `SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE` when it is not given.
    object_overwrite_mode: Option<ObjectOverwriteMode>,
    /// An extension, from version 2 of the reference: how objects are compared; `size_last_modified` when it is not
    /// given.
    consistency_check: Option<ConsistencyCheck>,
    /// An extension: the weakest proof under which an object counts as copied; one that is proved by less fails with
    /// `ProofTooWeak`. `size` when it is not given.
    minimum_proof: Option<MinimumProof>,
    /// An extension, from version 2 of the reference: which storage class the copies get; the target bucket's own when it is
    /// not given, while the reference means `STANDARD`.
    dst_storage_policy: Option<StoragePolicy>,
    /// An extension: what becomes of an object whose tags, storage class or user metadata one side does not give or take;
    /// `leave_out` when it is not given. Content headers and encryption that are refused always fail it.
    refused_metadata: Option<RefusedMetadata>,
    /// An extension, from version 2 of the reference: whether the source is a Requester Pays bucket, whose requests the
    /// owner of `src_node.ak` pays for; `false` when it is not given.
    #[schema(extensions(("x-oms-extension" = json!(true))))]
    enable_requester_pays: Option<bool>,
}

fn example() -> serde_json::Value {
    serde_json::json!({
        "src_node": {
            "region": "eu-west-1", "ak": "source_ak", "sk": "source_sk", "bucket": "photos",
            "object_key": {"path": "", "keys": ["2024/", "index.html"]}, "cloud_type": "AWS"
        },
        "dst_node": {
            "region": "cn-north-4", "ak": "target_ak", "sk": "target_sk", "bucket": "photos-copy", "object_key": "/"
        },
        "enableKMS": false,
        "thread_num": 50,
        "description": "nightly copy",
        "bandwidth_policy": [{"start": "08:00", "end": "19:59", "max_bandwidth": 50_000_000}]
    })
}

/// The task that was created.
#[derive(Debug, Serialize, ToSchema)]
pub struct CreatedTask {
    /// Number of the task.
    #[schema(
        minimum = 1,
        maximum = 999_999_999_999_999_i64,
        examples(179_500_000_000_000_i64)
    )]
    id: i64,
    /// Name of the task: both buckets and the time.
    #[schema(examples("photos-photos-copy-20261122150405123_0"))]
    task_name: String,
}

impl CreatedTask {
    /// Shows a task.
    #[must_use]
    pub const fn new(id: TaskId, task_name: String) -> Self {
        Self {
            id: id.get(),
            task_name,
        }
    }
}

impl From<Task> for CreatedTask {
    fn from(task: Task) -> Self {
        Self::new(task.id, task.name)
    }
}

/// Reads a body.
///
/// # Errors
/// Those of [`Node::read`], OMS.0061 for what is not supported yet, and those of single fields, which the document has.
pub fn read(body: Node) -> Result<service::CreateTask> {
    check(notification::without_empty(body).read()?)
}

fn check(body: CreateTask) -> Result<service::CreateTask> {
    let CreateTask {
        src_node,
        dst_node,
        enable_kms,
        thread_num,
        description,
        smn_info,
        migrate_since,
        source_cdn,
        auto_restore,
        bandwidth_policy,
        task_type,
        enable_failed_object_recording,
        enable_success_and_skip_recording,
        object_overwrite_mode,
        consistency_check,
        minimum_proof,
        dst_storage_policy,
        refused_metadata,
        enable_requester_pays,
    } = body;
    let naming = match task_type.unwrap_or(TaskType::Object) {
        TaskType::Object => Naming::Objects,
        TaskType::Prefix => Naming::Prefixes,
        TaskType::List => Naming::List,
        TaskType::UrlList => Naming::Urls,
    };
    let (mut source, source_keys, scope) = src_node.check(naming)?;
    if enable_requester_pays == Some(true) {
        mismatch(
            "enable_requester_pays",
            Some(()).filter(|()| naming == Naming::Urls).as_ref(),
            naming,
        )?;
        source.payer = Payer::Requester;
    }
    let (target, target_keys, target_prefix) = dst_node.check()?;
    let threads = rules::number(
        "thread_num",
        thread_num,
        0..=i64::from(TaskSpec::MAX_THREADS),
        codes::THREADS,
    )?;
    let description = description.unwrap_or_default();
    rules::length("description", &description, 0..=TaskSpec::MAX_DESCRIPTION)?;
    let since: i64 = rules::number(
        "migrate_since",
        migrate_since.unwrap_or(0),
        0..=LAST_SECOND,
        codes::INVALID_VALUE,
    )?;
    let notification = smn_info.map(SmnInfo::check).transpose()?;
    let bandwidth = bandwidth::policy(bandwidth_policy.unwrap_or_default())?;
    if source_cdn.is_some() && naming == Naming::Urls {
        let text = "source_cdn does not go with task_type url_list";
        return Err(Error::invalid(text).with_code(codes::UNSUPPORTED));
    }
    let (cdn, cdn_key) = source_cdn.map(check_cdn).transpose()?.unzip();
    if auto_restore == Some(true) {
        return rules::unsupported("auto_restore");
    }
    Ok(service::CreateTask {
        source,
        target,
        target_prefix,
        scope,
        description,
        threads,
        kms: enable_kms,
        migrate_since: (since > 0).then(|| UnixMillis(since * 1000)),
        restore: false,
        record_failures: enable_failed_object_recording.unwrap_or(true),
        record_settled: enable_success_and_skip_recording.unwrap_or(true),
        cdn,
        notification,
        rules: copy_options::read(RequestedRules {
            overwrite: object_overwrite_mode,
            consistency: consistency_check,
            minimum_proof,
            storage: dst_storage_policy,
            refused_metadata,
        }),
        bandwidth,
        credentials: TaskCredentials {
            source: source_keys,
            target: target_keys,
            cdn_key: cdn_key.flatten(),
        },
    })
}

fn check_cdn(cdn: SourceCdn) -> Result<(Cdn, Option<Secret>)> {
    let SourceCdn {
        protocol,
        domain,
        authentication_type,
        authentication_key,
    } = cdn;
    rules::length("source_cdn.domain", &domain, 1..=255)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':');
    let (host, port) = domain.split_once(':').unwrap_or((&domain, "443"));
    if !domain.bytes().all(plain) || host.is_empty() || port.parse::<u16>().is_err() {
        let text = "source_cdn.domain must be a host name, with a port where it needs one";
        return Err(Error::invalid(text).with_code(codes::CDN_DOMAIN));
    }
    let key = authentication_key.filter(|key| !key.expose().is_empty());
    let text = key.as_ref().map_or("", Secret::expose);
    rules::length("source_cdn.authentication_key", text, 0..=255)?;
    let protocol = match protocol {
        Protocol::Https => "https",
        Protocol::Http => "http",
    };
    let authentication_type = match authentication_type {
        AuthenticationType::None => "NONE",
        AuthenticationType::QiniuPrivateAuthentication => "QINIU_PRIVATE_AUTHENTICATION",
        AuthenticationType::AliyunOssA => "ALIYUN_OSS_A",
        AuthenticationType::AliyunOssB => "ALIYUN_OSS_B",
        AuthenticationType::AliyunOssC => "ALIYUN_OSS_C",
        AuthenticationType::KsyunPrivateAuthentication => "KSYUN_PRIVATE_AUTHENTICATION",
    };
    let cdn = Cdn {
        protocol: protocol.to_owned(),
        domain,
        authentication_type: authentication_type.to_owned(),
    };
    Ok((cdn, key))
}

/// Reads a number of seconds, digits in a string, or nothing.
fn optional_seconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<i64>, D::Error> {
    struct Seconds;
    impl<'de> Visitor<'de> for Seconds {
        type Value = Option<i64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an integer, or a string of digits")
        }
        fn visit_unit<E>(self) -> std::result::Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_i64<E>(self, value: i64) -> std::result::Result<Self::Value, E> {
            Ok(Some(value))
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Self::Value, E> {
            if text.is_empty() {
                return Ok(None);
            }
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let number = if digits { text.parse().ok() } else { None };
            number
                .map(Some)
                .ok_or_else(|| E::invalid_value(Unexpected::Other("a string"), &self))
        }
    }
    deserializer.deserialize_any(Seconds)
}
