//! Examples of what operations answer when all is well. They are made by the code that answers, of tasks as the ledger knows
//! them, so that an example always has the fields that an answer has.

use serde_json::{Value, json};
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::{OpenApi, RefOr};

use super::create::CreatedTask;
use super::failures::FailurePage;
use super::info::{Quotas, Versions};
use super::list::{TaskCount, TaskList};
use super::task::Task;
use crate::api::answers;
use crate::service::{Failure, FoundEntry, FoundScope, ShardScope, TaskDetail};
use crate::task::spec::{Addressing, BucketLocation, Cloud, Endpoint, EndpointOrigin, Payer, Scope};
use crate::task::{
    BandwidthPolicy, BandwidthWindow, Concurrency, ConcurrencyReason, CopyRules, Counters, Estimate,
    FailedReport, KeptWarning, Key, PassInfo, PassKind, Reason, ReasonKind, ReportProblems, State,
    Task as Known, TaskId, TaskSpec, UnixMillis, WarningCode,
};

const CREATED: UnixMillis = UnixMillis(1_795_000_000_000);
const NAME: &str = "photos-photos-copy-20261118110640000_0";
const GIB: i64 = 1 << 30;

/// An example: the operation, a name, a summary and the answer.
struct Shown(&'static str, &'static str, &'static str, Value);

/// Puts the examples into the answers with status 200.
pub fn add(document: &mut OpenApi) {
    let examples = all();
    for operation in answers::operations(document) {
        let id = operation.operation_id.clone().unwrap_or_default();
        let Some(RefOr::T(answer)) = operation.responses.responses.get_mut("200") else {
            continue;
        };
        for content in answer.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            for Shown(_, name, summary, value) in examples.iter().filter(|shown| shown.0 == id) {
                let example = ExampleBuilder::new().summary(*summary).value(Some(value.clone()));
                content
                    .examples
                    .insert((*name).to_owned(), RefOr::T(example.build()));
            }
        }
    }
}

fn all() -> Vec<Shown> {
    let now = UnixMillis(CREATED.0 + 600_000);
    let detailed = |task: Known, warnings: Vec<KeptWarning>| {
        let found = found(&task.counters, i64::from(!warnings.is_empty()));
        json!(Task::detailed(
            TaskDetail {
                task,
                warnings,
                found,
                workers: Vec::new(),
            },
            now
        ))
    };
    let show = |task| detailed(task, Vec::new());
    let list = TaskList::tasks(vec![new(1), running(0)], now);
    vec![
        Shown(
            "create_task",
            "created",
            "The task was created",
            json!(CreatedTask::from(new(0))),
        ),
        Shown("list_tasks", "tasks", "The tasks, newest first", json!(list)),
        Shown("count_tasks", "count", "Two tasks", json!(TaskCount::new(2))),
        Shown("show_task", "1-new", "A new task, which waits", show(new(0))),
        Shown("show_task", "2-running", "A task that runs", show(running(0))),
        Shown(
            "show_task",
            "3-failed",
            "A task that ended with failed objects",
            detailed(failed(0), vec![warning()]),
        ),
        Shown(
            "show_task",
            "4-succeeded",
            "A task that succeeded",
            show(succeeded(0)),
        ),
        Shown("list_failures", "failures", "Two failed objects", failures()),
        Shown(
            "show_quotas",
            "quotas",
            "Five tasks run at the same time",
            json!(Quotas::new(5)),
        ),
        Shown(
            "show_version",
            "versions",
            "The one version",
            json!(Versions::of_this_service()),
        ),
    ]
}

/// A task as its creation leaves it; `number` tells the tasks of a list apart.
fn new(number: u8) -> Known {
    Known {
        id: TaskId::at(CREATED, number),
        project: "0215ef11e49d4743be23dd97a1561e91"
            .parse()
            .expect("32 hexadecimal digits are a project"),
        name: NAME.replace("_0", &format!("_{number}")),
        spec: spec(),
        bandwidth: bandwidth(),
        state: State::Waiting,
        reason: None,
        counters: Counters::default(),
        survey: Estimate::default(),
        speed: 0,
        workers: Vec::new(),
        concurrency: None,
        epoch: 1,
        pass: None,
        created_at: CREATED,
        started_at: None,
        ended_at: None,
        running_since: None,
        ran_for: 0,
        failed_list: FailedReport::default(),
        report_problems: ReportProblems::default(),
    }
}

fn running(number: u8) -> Known {
    Known {
        state: State::Running,
        counters: Counters {
            listed: 640,
            copied: 600,
            skipped: 40,
            bytes_listed: 4 * GIB,
            bytes_copied: 3 * GIB,
            bytes_settled: 4 * GIB,
            proved_etag: 598,
            proved_checksum: 2,
            ..Counters::default()
        },
        survey: Estimate {
            objects: 1_280,
            bytes: 8 * GIB,
            complete: true,
        },
        speed: 50_000_000,
        concurrency: Some(Concurrency {
            allowed: 160,
            in_flight: 160,
            reason: ConcurrencyReason::Growing,
        }),
        pass: Some(pass(Finished::No)),
        started_at: Some(CREATED),
        running_since: Some(CREATED),
        ..new(number)
    }
}

fn succeeded(number: u8) -> Known {
    Known {
        state: State::Succeeded,
        counters: Counters {
            listed: 1_280,
            copied: 1_240,
            skipped: 39,
            gone: 1,
            bytes_listed: 8 * GIB,
            bytes_copied: 7 * GIB,
            bytes_settled: 8 * GIB,
            proved_etag: 1_238,
            proved_checksum: 2,
            ..Counters::default()
        },
        speed: 0,
        concurrency: None,
        pass: Some(pass(Finished::Yes)),
        ended_at: Some(UnixMillis(CREATED.0 + 172_000)),
        running_since: None,
        ran_for: 172_000,
        ..running(number)
    }
}

fn failed(number: u8) -> Known {
    let task = succeeded(number);
    Known {
        state: State::Failed,
        reason: Some(Reason {
            kind: ReasonKind::ObjectsFailed,
            message: "2 objects failed".to_owned(),
        }),
        counters: Counters {
            copied: 1_238,
            failed: 2,
            bytes_settled: 8 * GIB - 1_200_000,
            proved_etag: 1_236,
            ..task.counters
        },
        failed_list: FailedReport {
            key: Some(format!(
                "oms/task/{NAME}/failed_object_lists/20261118110640000.failed_list.txt"
            )),
            problem: None,
        },
        ..task
    }
}

/// What was found of the scope of [`spec`], of which `missing` names are not at the source.
fn found(counters: &Counters, missing: i64) -> FoundScope {
    let named = i64::from(counters.listed > 0);
    let index = (named - missing) * 2_048;
    FoundScope {
        entries: vec![
            FoundEntry {
                scope: ShardScope::Prefix(Key::from("2024/")),
                objects: counters.listed - named,
                bytes: counters.bytes_listed - index,
                not_found: 0,
            },
            FoundEntry {
                scope: ShardScope::Keys,
                objects: named - missing,
                bytes: index,
                not_found: missing,
            },
        ],
        ..FoundScope::default()
    }
}

fn warning() -> KeptWarning {
    KeptWarning {
        code: WarningCode::ScopeEntryEmpty.name().to_owned(),
        subject: "index.html".to_owned(),
        message: "no object of the source has the name \"index.html\"".to_owned(),
        count: 1,
        first_at: UnixMillis(CREATED.0 + 171_000),
        last_at: UnixMillis(CREATED.0 + 171_000),
    }
}

/// Whether a pass came to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finished {
    Yes,
    No,
}

fn pass(finished: Finished) -> PassInfo {
    PassInfo {
        number: 1,
        kind: PassKind::Full,
        finished: finished == Finished::Yes,
        opened_at: CREATED,
    }
}

/// What the example of a creation orders.
fn spec() -> TaskSpec {
    TaskSpec {
        source: place(
            Cloud::Aws,
            "eu-west-1",
            "photos",
            "https://s3.eu-west-1.amazonaws.com",
        ),
        target: place(
            Cloud::HuaweiCloud,
            "cn-north-4",
            "photos-copy",
            "https://obs.cn-north-4.myhuaweicloud.com",
        ),
        target_prefix: Key::from(""),
        scope: Scope::Objects(vec![Key::from("2024/"), Key::from("index.html")]),
        description: "nightly copy".to_owned(),
        threads: 50,
        kms: false,
        migrate_since: None,
        restore: false,
        record_failures: true,
        record_settled: true,
        cdn: None,
        notification: None,
        rules: CopyRules::default(),
    }
}

fn place(cloud: Cloud, region: &str, bucket: &str, url: &str) -> BucketLocation {
    BucketLocation {
        cloud,
        region: region.to_owned(),
        bucket: bucket.to_owned(),
        endpoint: Endpoint {
            url: url.to_owned(),
            addressing: Addressing::VirtualHost,
            origin: EndpointOrigin::Catalogue,
        },
        app_id: None,
        payer: Payer::Owner,
    }
}

fn bandwidth() -> BandwidthPolicy {
    let window = BandwidthWindow {
        start: 8 * 60,
        end: 19 * 60 + 59,
        max_bytes_per_second: 50_000_000,
    };
    BandwidthPolicy::new(vec![window]).unwrap_or_default()
}

fn failures() -> Value {
    let failure = |key: &str, code: &str, message: &str, size: i64| Failure {
        key: Key::from(key),
        size,
        code: code.to_owned(),
        message: message.to_owned(),
        request_id: Some("0000019A2B3C4D5E".to_owned()),
        attempts: 1,
        at: UnixMillis(CREATED.0 + 170_000),
    };
    let found = vec![
        failure("2024/05/a.jpg", "AccessDenied", "source: access denied", 700_000),
        failure("2024/07/b.jpg", "AccessDenied", "source: access denied", 500_000),
        failure("2024/07/c.jpg", "AccessDenied", "source: access denied", 500_000),
    ];
    json!(FailurePage::new(found, 2))
}
