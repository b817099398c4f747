//! A task on the wire, field by field as in the OMS reference.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::bandwidth::BandwidthWindow;
use super::cloud::CloudName;
use super::concurrency::TaskConcurrency;
use super::copy_options::{NotCarried, Proved, TaskRules};
use super::create::TaskType;
use super::entries::{NamedIn, ScopeEntry, scope_entries, shown_name};
use super::failures::{failed_object_record, report_problem_code};
use super::list_file::ListFile;
use super::notification::SmnResult;
use super::progress::{Totals, done, number_of};
use super::status::TaskStatus;
use super::warnings::TaskWarning;
use super::workers::TaskWorker;
use crate::api::codes;
use crate::service::TaskDetail;
use crate::task::spec::{BucketLocation, Cdn, EndpointOrigin, Payer, Scope};
use crate::task::{BandwidthPolicy, Key, Reason, ReasonKind, State, Task as Known, TaskSpec, UnixMillis};

/// Project and task.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path; `OfTask` reads it")]
pub struct TaskPath {
    /// Project that the task belongs to.
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_-]+$",
        example = "0215ef11e49d4743be23dd97a1561e91"
    )]
    project_id: String,
    /// Number of the task.
    #[param(
        minimum = 1,
        maximum = 999_999_999_999_999_i64,
        example = 179_500_000_000_000_i64
    )]
    task_id: i64,
}

/// A task: what it shall do, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Task {
    /// Number of the task.
    #[schema(
        minimum = 1,
        maximum = 999_999_999_999_999_i64,
        examples(179_500_000_000_000_i64)
    )]
    id: i64,
    /// Name of the task: both buckets and the time.
    name: String,
    /// Where the objects are. Keys are never shown.
    src_node: TaskSource,
    /// Where they go.
    dst_node: TaskTarget,
    /// Objects above 1 MiB that are copied at the same time. Smaller objects are copied beside them: at
    /// most 16 times as many, as far as the object stores get faster with it.
    #[schema(minimum = 1, maximum = 50)]
    thread_num: u8,
    /// How it stands with the task.
    #[schema(value_type = TaskStatus)]
    status: u8,
    /// How much of the work is done, from 0 to 1, by bytes, or by objects where only names are counted (lists). 0 until the
    /// scope has begun to be counted, 1 only when the task has succeeded.
    #[schema(minimum = 0, maximum = 1)]
    progress: f64,
    /// Bytes per second over the last seconds; 0 unless the task runs.
    #[schema(minimum = 0)]
    migrate_speed: i64,
    /// An extension: how many small objects are copied at the same time, and why; only while the task runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    concurrency: Option<TaskConcurrency>,
    /// An extension: the workers that are at the task. Only in the answer about one task, while it runs, and if several processes
    /// share the work.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 1000)]
    workers: Option<Vec<TaskWorker>>,
    /// Whether the target encrypts with its key management service.
    #[serde(rename = "enableKMS")]
    enable_kms: bool,
    /// The sentence given at creation; empty when there was none.
    description: String,
    /// Why the task failed; an empty string when it did not.
    error_reason: ErrorReason,
    /// Bytes of all objects in scope, as far as they are counted.
    #[schema(minimum = 0)]
    total_size: i64,
    /// Bytes of the objects that need no more work.
    #[schema(minimum = 0)]
    complete_size: i64,
    /// An extension: bytes that have reached the target: those of the copied objects, and those of objects under way, in
    /// finished parts and running streams. `progress` and `left_time` rest on them.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    transferred_size: i64,
    /// When the task first began to run, in milliseconds since 1970; 0 before that.
    #[schema(minimum = 0)]
    start_time: i64,
    /// An extension: when the task was created, in milliseconds since 1970.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    create_time: i64,
    /// An extension: when the task ended, failed or succeeded, in milliseconds since 1970; 0 while it has not, and again
    /// after a start.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    end_time: i64,
    /// Estimated rest, in milliseconds; 0 when the task does not run or the rest is not known.
    #[schema(minimum = 0)]
    left_time: i64,
    /// Time that the task has been running altogether, in milliseconds.
    #[schema(minimum = 0)]
    total_time: i64,
    /// Objects that are done: copied, or without need to be.
    #[schema(minimum = 0)]
    success_num: i64,
    /// Objects that could not be copied.
    #[schema(minimum = 0)]
    fail_num: i64,
    /// Objects in scope, as far as they are counted.
    #[schema(minimum = 0)]
    total_num: i64,
    /// An extension: objects among `success_num` that were not copied, because they are identical at the target, older
    /// than `migrate_since`, or were deleted at the source meanwhile.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    skipped_num: i64,
    /// An extension: objects among `skipped_num` that were deleted at the source after they were listed.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    gone_num: i64,
    /// An extension: what proved the copies.
    proved: Proved,
    /// An extension: what was left out of copies.
    not_carried: NotCarried,
    /// An extension: the rules that the task copies by.
    copy_rules: TaskRules,
    /// What became of the notification; only after the end of a task that asked for one.
    #[serde(rename = "smnInfo", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    smn_info: Option<SmnResult>,
    /// Only objects modified after this moment are copied, in seconds since 1970; 0 means all.
    #[schema(minimum = 0)]
    migrate_since: i64,
    /// What names the objects: `src_node.object_key`, or `src_node.list_file`.
    task_type: TaskType,
    /// The CDN that the objects are read through; null when there is none.
    #[schema(required)]
    source_cdn: Option<TaskCdn>,
    /// Whether archived objects are restored first.
    auto_restore: bool,
    /// Whether failed objects are recorded.
    enable_failed_object_recording: bool,
    /// JSON in a string: `result` (whether a start can repeat the failed objects alone), `list_file_key` (where the last
    /// list lies in the target bucket; empty when there is none) and `errorCode` (why it could not be written).
    #[schema(examples(
        r#"{"result":true,"list_file_key":"oms/task/a-b-20261122150405123_0/failed_object_lists/20261122151500000.failed_list.txt","errorCode":""}"#
    ))]
    failed_object_record: String,
    /// An extension: whether copied and skipped objects are listed in text files in the target bucket, in
    /// `success_object_lists` and `skip_object_lists` below `oms/task/` and the task's name.
    #[schema(extensions(("x-oms-extension" = json!(true))))]
    enable_success_and_skip_recording: bool,
    /// An extension, from version 2 of the reference: why the list of copied objects is not complete, `OMS.0304` (not
    /// stored) or `OMS.0305` (too large); only where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(json!(codes::LIST_NOT_STORED)), extensions(("x-oms-extension" = json!(true))))]
    success_record_error_reason: Option<&'static str>,
    /// An extension, from version 2 of the reference: why the list of skipped objects is not complete, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(json!(codes::LIST_NOT_STORED)), extensions(("x-oms-extension" = json!(true))))]
    skip_record_error_reason: Option<&'static str>,
    /// Limits for parts of the day.
    bandwidth_policy: Vec<BandwidthWindow>,
    /// An extension, from version 2 of the reference: whether the requests to the source are paid for by the owner of
    /// its key (Requester Pays).
    #[schema(extensions(("x-oms-extension" = json!(true))))]
    enable_requester_pays: bool,
    /// An extension: what a person should see about the last pass although it failed nothing, oldest first. Only where one
    /// task is shown, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 101)]
    warnings: Option<Vec<TaskWarning>>,
    /// An extension: what the last full pass found of each entry of the scope, as far as it has come. Only where one task
    /// is shown, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_items = 101)]
    scope_entries: Option<Vec<ScopeEntry>>,
}

/// Where the objects are.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskSource {
    /// Region.
    region: String,
    /// Bucket.
    bucket: String,
    /// Names or prefixes of the objects; `/` stands for the whole bucket. Empty for lists.
    object_key: Vec<String>,
    /// The list of the objects; only for the task types `list` and `url_list`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    list_file: Option<ListFile>,
    /// Whose store it is.
    cloud_type: CloudName,
    /// An extension: address of the store, where the request gave one; else null.
    #[schema(required, extensions(("x-oms-extension" = json!(true))))]
    endpoint: Option<String>,
}

/// Where the objects go.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskTarget {
    /// Region.
    region: String,
    /// Bucket.
    bucket: String,
    /// Written before each key; `/` when nothing is.
    object_key: String,
    /// Whose store it is.
    cloud_type: CloudName,
    /// An extension: address of the store, where the request gave one; else null.
    #[schema(required, extensions(("x-oms-extension" = json!(true))))]
    endpoint: Option<String>,
}

/// Why a task failed.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ErrorReason {
    /// It did not: an empty string.
    None(String),
    /// It did.
    Failed(TaskError),
}

impl PartialSchema for ErrorReason {
    fn schema() -> RefOr<Schema> {
        let none = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(0))
            .description(Some("The task did not fail: an empty string."));
        let union = OneOfBuilder::new()
            .item(none)
            .item(Ref::from_schema_name("TaskError"))
            .description(Some("Why a task failed."));
        RefOr::T(Schema::OneOf(union.build()))
    }
}

impl ToSchema for ErrorReason {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("ErrorReason")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("TaskError".to_owned(), TaskError::schema()));
    }
}

/// Why a task failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskError {
    /// A TRF code of the OMS reference.
    #[schema(examples(json!(codes::of_reason(ReasonKind::SourceCredentials).code)))]
    error_code: &'static str,
    /// A sentence.
    error_msg: String,
}

/// The CDN that the objects are read through, without its key.
#[derive(Debug, Serialize, ToSchema)]
pub struct TaskCdn {
    /// `http` or `https`.
    protocol: String,
    /// Host name.
    domain: String,
    /// How requests are signed.
    authentication_type: String,
}

impl Task {
    /// Shows a task as it is at `now`, with what a list of tasks leaves out.
    #[must_use]
    pub fn detailed(detail: TaskDetail, now: UnixMillis) -> Self {
        let TaskDetail {
            task,
            warnings,
            found,
            workers,
        } = detail;
        let names = match task.spec.scope.list_file() {
            Some(_) => NamedIn::InFile,
            None => NamedIn::InTask,
        };
        Self {
            scope_entries: Some(scope_entries(found, names)),
            workers: (!workers.is_empty()).then(|| workers.into_iter().map(TaskWorker::from).collect()),
            warnings: Some(warnings.into_iter().map(TaskWarning::from).collect()),
            ..Self::new(task, now)
        }
    }

    /// Shows a task as it is at `now`.
    #[must_use]
    pub fn new(task: Known, now: UnixMillis) -> Self {
        // Taken apart completely, so that a new field asks to be shown or left out here.
        let Known {
            id,
            project: _,
            workers: _,
            name,
            spec,
            bandwidth,
            state,
            reason,
            counters,
            survey,
            speed,
            concurrency,
            epoch: _,
            pass,
            created_at,
            started_at,
            ended_at,
            running_since,
            ran_for,
            failed_list,
            report_problems,
        } = task;
        let TaskSpec {
            source,
            target,
            target_prefix,
            scope,
            description,
            threads,
            kms,
            migrate_since,
            restore,
            record_failures,
            record_settled,
            cdn,
            notification,
            rules,
        } = spec;
        let totals = Totals::new(&counters, survey, pass);
        let speed = if state == State::Running { speed.max(0) } else { 0 };
        let concurrency = concurrency.filter(|_| state == State::Running);
        let ended = matches!(state, State::Failed | State::Succeeded);
        let (task_type, object_key) = shown_scope(&scope);
        let list_file = scope.list_file().map(ListFile::from);
        let enable_requester_pays = source.payer == Payer::Requester;
        Self {
            id: id.get(),
            name,
            src_node: TaskSource::new(source, object_key, list_file),
            dst_node: TaskTarget::new(target, &target_prefix),
            thread_num: threads,
            status: number_of(state),
            progress: totals.progress(&counters, state),
            migrate_speed: speed,
            concurrency: concurrency.map(TaskConcurrency::from),
            workers: None,
            enable_kms: kms,
            description,
            error_reason: reason.map_or(ErrorReason::None(String::new()), |reason| {
                ErrorReason::Failed(reason.into())
            }),
            total_size: totals.bytes,
            complete_size: counters.bytes_settled,
            transferred_size: counters.bytes_transferred(),
            start_time: started_at.map_or(0, |at| at.0),
            create_time: created_at.0,
            end_time: ended_at.map_or(0, |at| at.0),
            left_time: totals.left_time(&counters, speed),
            total_time: ran_for + running_since.map_or(0, |since| now.since(since)),
            success_num: done(&counters),
            fail_num: counters.failed,
            total_num: totals.objects,
            skipped_num: counters.skipped + counters.gone,
            gone_num: counters.gone,
            proved: Proved::from(&counters),
            not_carried: NotCarried::from(&counters),
            copy_rules: TaskRules::new(rules, counters.listed),
            smn_info: notification.filter(|_| ended).map(|_| SmnResult::not_sent()),
            migrate_since: migrate_since.map_or(0, |since| since.0 / 1000),
            task_type,
            source_cdn: cdn.map(TaskCdn::from),
            auto_restore: restore,
            enable_failed_object_recording: record_failures,
            failed_object_record: failed_object_record(record_failures, &counters, pass, failed_list),
            enable_success_and_skip_recording: record_settled,
            success_record_error_reason: report_problems.success.map(report_problem_code),
            skip_record_error_reason: report_problems.skip.map(report_problem_code),
            bandwidth_policy: windows(&bandwidth),
            enable_requester_pays,
            warnings: None,
            scope_entries: None,
        }
    }
}

fn shown_scope(scope: &Scope) -> (TaskType, Vec<String>) {
    let (kind, names) = match scope {
        Scope::Objects(names) => (TaskType::Object, names),
        Scope::Prefixes(names) => (TaskType::Prefix, names),
        Scope::List(_) => return (TaskType::List, Vec::new()),
        Scope::Urls(_) => return (TaskType::UrlList, Vec::new()),
    };
    (kind, names.iter().map(shown_name).collect())
}

fn windows(policy: &BandwidthPolicy) -> Vec<BandwidthWindow> {
    policy.windows().iter().map(BandwidthWindow::from).collect()
}

impl TaskSource {
    fn new(place: BucketLocation, object_key: Vec<String>, list_file: Option<ListFile>) -> Self {
        let endpoint = given_endpoint(&place);
        Self {
            region: place.region,
            bucket: place.bucket,
            object_key,
            list_file,
            cloud_type: place.cloud.into(),
            endpoint,
        }
    }
}

impl TaskTarget {
    fn new(place: BucketLocation, prefix: &Key) -> Self {
        let endpoint = given_endpoint(&place);
        Self {
            region: place.region,
            bucket: place.bucket,
            object_key: shown_name(prefix),
            cloud_type: place.cloud.into(),
            endpoint,
        }
    }
}

fn given_endpoint(place: &BucketLocation) -> Option<String> {
    match place.endpoint.origin {
        EndpointOrigin::Request => Some(place.endpoint.url.clone()),
        EndpointOrigin::Catalogue => None,
    }
}

impl From<Reason> for TaskError {
    fn from(reason: Reason) -> Self {
        let Reason { kind, message } = reason;
        Self {
            error_code: codes::of_reason(kind).code,
            error_msg: message,
        }
    }
}

impl From<Cdn> for TaskCdn {
    fn from(cdn: Cdn) -> Self {
        let Cdn {
            protocol,
            domain,
            authentication_type,
        } = cdn;
        Self {
            protocol,
            domain,
            authentication_type,
        }
    }
}
