//! Every rule of the API over HTTP: code, status, a message that names the field, and that nothing has changed.

mod connection;
mod cors;
mod create;
mod delete;
mod idempotency;
mod list;
mod pages;
mod secrets;
mod show;
mod transport;
mod update;

use oms::task::{Counters, PassInfo, PassKind, State, Task, UnixMillis};
use serde_json::{Value, json};

use crate::support::api::{PROJECT, TestApi};
use crate::support::ledger;

/// Number of the task that most tests use.
const ID: i64 = 179_500_000_000_000;

/// The path of that task.
fn path() -> String {
    format!("/task/{ID}")
}

/// An API with that task in `state`.
async fn with(state: State) -> TestApi {
    let api = TestApi::new().await;
    api.ledger.put(Task {
        state,
        ..ledger::task(ID, PROJECT)
    });
    api
}

/// A task of 3 objects whose last pass finished with one failure.
fn failed() -> Task {
    Task {
        state: State::Failed,
        pass: Some(PassInfo {
            number: 1,
            kind: PassKind::Full,
            finished: true,
            opened_at: UnixMillis(1_795_000_001_000),
        }),
        counters: Counters {
            listed: 3,
            copied: 1,
            skipped: 1,
            failed: 1,
            bytes_listed: 300,
            bytes_copied: 100,
            bytes_settled: 200,
            proved_etag: 1,
            ..Counters::default()
        },
        started_at: Some(UnixMillis(1_795_000_000_000)),
        ran_for: 5_000,
        failed_list: oms::task::FailedReport::default(),
        ..ledger::task(ID, PROJECT)
    }
}

/// The body that starts a task again.
fn start_body() -> Value {
    json!({
        "operation": "start",
        "source_ak": "source_ak",
        "source_sk": "source_sk",
        "target_ak": "target_ak",
        "target_sk": "target_sk",
        "source_cdn_authentication_key": "xxxxxx",
        "migration_failed_object": false
    })
}

/// A body that creates a task.
fn create_body() -> Value {
    json!({
        "src_node": {
            "region": "eu-west-1", "ak": "source_ak", "sk": "source_sk", "bucket": "photos",
            "object_key": {"path": "", "keys": ["2024/", "index.html"]}, "cloud_type": "AWS"
        },
        "dst_node": {
            "region": "cn-north-4", "ak": "target_ak", "sk": "target_sk", "bucket": "photos-copy",
            "object_key": "backup/", "cloud_type": "HEC"
        },
        "enableKMS": true,
        "thread_num": 50,
        "description": "nightly copy",
        "smnInfo": {"topicUrn": "urn:smn:region:project:OMS", "triggerConditions": ["SUCCESS", "FAIL"], "language": "en-us"},
        "migrate_since": 1_700_000_000,
        "auto_restore": false,
        "bandwidth_policy": [{"start": "22:00", "end": "05:59", "max_bandwidth": 50_000_000}],
        "task_type": "object",
        "enable_failed_object_recording": true,
        "enable_success_and_skip_recording": true
    })
}

/// `body` with the value at `pointer` (parts separated by `/`) set. Missing objects on the path are created.
fn set(mut body: Value, pointer: &str, value: Value) -> Value {
    let mut place = &mut body;
    for part in pointer.split('/') {
        place = match part.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[part],
        };
    }
    *place = value;
    body
}

/// `body` without the field at `pointer`.
fn without(mut body: Value, pointer: &str) -> Value {
    let (above, name) = pointer.rsplit_once('/').map_or(("", pointer), |(a, n)| (a, n));
    let place = above
        .split('/')
        .filter(|p| !p.is_empty())
        .fold(&mut body, |v, p| &mut v[p]);
    place.as_object_mut().unwrap().remove(name).unwrap();
    body
}
