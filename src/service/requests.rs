//! What callers ask for.

use crate::secret::TaskCredentials;
use crate::task::spec::{Cdn, Cloud, Notification, Payer, Scope};
use crate::task::{BandwidthPolicy, CopyRules, Key, TaskId, UnixMillis};

/// A bucket as a request names it: the endpoint may be left to the region catalogue.
#[derive(Clone, Debug)]
pub struct BucketRequest {
    /// Whose cloud.
    pub cloud: Cloud,
    /// Region name.
    pub region: String,
    /// Bucket name.
    pub bucket: String,
    /// Address of the store, where the request gives one.
    pub endpoint: Option<String>,
    /// Tencent's account number.
    pub app_id: Option<String>,
    /// Who pays for the requests.
    pub payer: Payer,
}

/// A task to create. Lengths and forms of single fields were checked where they were read; the rest is checked here.
#[derive(Clone, Debug)]
pub struct CreateTask {
    /// Source bucket.
    pub source: BucketRequest,
    /// Target bucket.
    pub target: BucketRequest,
    /// Written before each key at the target.
    pub target_prefix: Key,
    /// Which objects.
    pub scope: Scope,
    /// A sentence of the user.
    pub description: String,
    /// Large objects at the same time; 0 for the most allowed.
    pub threads: u8,
    /// Encrypt at the target.
    pub kms: bool,
    /// Only objects modified after.
    pub migrate_since: Option<UnixMillis>,
    /// Restore archived objects first.
    pub restore: bool,
    /// Record failed objects.
    pub record_failures: bool,
    /// List copied and skipped objects.
    pub record_settled: bool,
    /// CDN before the source.
    pub cdn: Option<Cdn>,
    /// Whom to tell.
    pub notification: Option<Notification>,
    /// When to overwrite, how to compare, how much proof to ask for.
    pub rules: CopyRules,
    /// Bandwidth windows.
    pub bandwidth: BandwidthPolicy,
    /// Keys of both sides.
    pub credentials: TaskCredentials,
}

/// The outcome of a creation under a key of the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The task was created, now or by the same request before.
    Done {
        /// Its id.
        id: TaskId,
        /// Its name.
        name: String,
    },
    /// The key stands for another request; nothing was created.
    KeyReused,
}
