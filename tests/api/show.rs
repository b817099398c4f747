//! `GET …/task/{task_id}`: what it shows of a task.

use oms::ledger::{FoundEntry, FoundScope, ShardScope};
use oms::task::spec::{Cdn, Manifest, Notification, Scope};
use oms::task::{
    Concurrency, ConcurrencyReason, Counters, Estimate, KeptWarning, Key, PassInfo, PassKind, Reason,
    ReasonKind, ReportProblem, ReportProblems, State, Task, UnixMillis,
};
use serde_json::{Value, json};

use super::{ID, failed, path};
use crate::support::api::{NOW, PROJECT, TestApi};
use crate::support::ledger;

async fn shown(task: Task) -> Value {
    let api = TestApi::new().await;
    api.ledger.put(task);
    api.get(&path()).await.fine()
}

fn running() -> Task {
    Task {
        state: State::Running,
        pass: Some(PassInfo {
            number: 1,
            kind: PassKind::Full,
            finished: false,
            opened_at: UnixMillis(NOW.0 - 60_000),
        }),
        counters: Counters {
            listed: 30,
            copied: 10,
            skipped: 5,
            gone: 1,
            failed: 2,
            bytes_listed: 3_000,
            bytes_copied: 1_000,
            bytes_settled: 1_600,
            proved_etag: 7,
            proved_checksum: 2,
            proved_size: 1,
            metadata_lost: 5,
            lost_tags: 4,
            lost_storage_class: 3,
            lost_user_metadata: 2,
            lost_website_redirect: 1,
            lost_object_lock: 1,
            lost_other: 1,
            not_found: 1,
            bytes_in_flight: 400,
        },
        survey: Estimate {
            objects: 40,
            bytes: 4_000,
            complete: false,
        },
        speed: 200,
        concurrency: Some(Concurrency {
            allowed: 80,
            in_flight: 79,
            reason: ConcurrencyReason::AtLimit,
        }),
        started_at: Some(UnixMillis(NOW.0 - 60_000)),
        running_since: Some(UnixMillis(NOW.0 - 3_000)),
        ran_for: 7_000,
        failed_list: oms::task::FailedReport::default(),
        ..ledger::task(ID, PROJECT)
    }
}

#[tokio::test]
async fn only_a_running_task_shows_its_concurrency() {
    let shows = shown(running()).await;
    let wanted = json!({
        "small_objects_allowed": 80,
        "small_objects_in_flight": 79,
        "reason": "at_limit",
    });
    assert_eq!(shows["concurrency"], wanted);
    for state in State::ALL
        .iter()
        .copied()
        .filter(|state| *state != State::Running)
    {
        let other = Task { state, ..running() };
        assert_eq!(shown(other).await.get("concurrency"), None, "{state:?}");
    }
}

#[tokio::test]
async fn a_task_shows_when_it_was_created_started_and_ended() {
    let times =
        |task: &Value| ["create_time", "start_time", "end_time"].map(|name| task[name].as_i64().unwrap());
    let created = 1_795_000_000_000;
    assert_eq!(times(&shown(ledger::task(ID, PROJECT)).await), [created, 0, 0]);
    assert_eq!(times(&shown(running()).await), [created, NOW.0 - 60_000, 0]);
    let ended = Task {
        state: State::Succeeded,
        ended_at: Some(UnixMillis(NOW.0 - 1)),
        running_since: None,
        speed: 0,
        ..running()
    };
    assert_eq!(times(&shown(ended).await), [created, NOW.0 - 60_000, NOW.0 - 1]);
}

#[tokio::test]
async fn incomplete_reports_say_why() {
    let mut task = ledger::task(ID, PROJECT);
    task.spec.record_settled = false;
    task.report_problems = ReportProblems {
        success: Some(ReportProblem::NotStored),
        skip: Some(ReportProblem::TooLarge),
    };
    let task = shown(task).await;
    assert_eq!(task["success_record_error_reason"], "OMS.0304");
    assert_eq!(task["skip_record_error_reason"], "OMS.0305");
    assert_eq!(task["enable_success_and_skip_recording"], false);
}

#[tokio::test]
async fn a_new_task_has_every_field_of_the_reference() {
    let task = shown(ledger::task(ID, PROJECT)).await;
    let expected = json!({
        "id": ID,
        "name": "photos-photos-copy-20261122150405123_0",
        "src_node": {
            "region": "eu-west-1", "bucket": "photos", "object_key": ["/"], "cloud_type": "AWS",
            "endpoint": "http://127.0.0.1:9000"
        },
        "dst_node": {
            "region": "eu-west-1", "bucket": "photos-copy", "object_key": "/", "cloud_type": "AWS",
            "endpoint": "http://127.0.0.1:9000"
        },
        "thread_num": 50, "status": 1, "progress": 0.0, "migrate_speed": 0, "enableKMS": false, "description": "",
        "error_reason": "", "total_size": 0, "complete_size": 0, "start_time": 0,
        "create_time": 1_795_000_000_000_i64, "end_time": 0, "left_time": 0, "total_time": 0,
        "success_num": 0, "fail_num": 0, "total_num": 0, "skipped_num": 0, "gone_num": 0,
        "copy_rules": {"object_overwrite_mode": "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE",
                       "consistency_check": "size_last_modified", "minimum_proof": "size",
                       "dst_storage_policy": null, "refused_metadata": "leave_out", "crc64_missing_num": 0},
        "proved": {"etag": 0, "checksum": 0, "size": 0},
        "not_carried": {"objects": 0, "tags": 0, "storage_class": 0, "user_metadata": 0,
            "website_redirect": 0, "object_lock": 0, "other": 0},
        "migrate_since": 0, "task_type": "object", "source_cdn": null, "auto_restore": false,
        "enable_failed_object_recording": true,
        "failed_object_record": "{\"result\":false,\"list_file_key\":\"\",\"errorCode\":\"\"}",
        "enable_success_and_skip_recording": true,
        "enable_requester_pays": false,
        "bandwidth_policy": [], "transferred_size": 0, "warnings": [], "scope_entries": []
    });
    assert_eq!(task, expected);
}

#[tokio::test]
async fn warnings_are_shown_with_the_task_and_not_in_lists() {
    let api = TestApi::new().await;
    api.ledger.put(ledger::task(ID, PROJECT));
    api.ledger.put_warning(KeptWarning {
        code: "ScopeEntryEmpty".to_owned(),
        subject: "a/".to_owned(),
        message: "nothing begins with it".to_owned(),
        count: 2,
        first_at: UnixMillis(5),
        last_at: UnixMillis(7),
    });
    let wanted = json!([{"code": "ScopeEntryEmpty", "message": "nothing begins with it", "subject": "a/", "count": 2,
                         "first_time": 5, "last_time": 7}]);
    assert_eq!(api.get(&path()).await.fine()["warnings"], wanted);
    let list = api.get("/task?start=0&limit=9").await.fine();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert!(list[0].get("warnings").is_none());
}

#[tokio::test]
async fn a_running_task_shows_its_progress() {
    let task = shown(running()).await;
    assert_eq!(task["status"], 2);
    assert_eq!(task["progress"], 0.5);
    assert_eq!(task["transferred_size"], 1_400);
    assert_eq!(
        (&task["total_size"], &task["complete_size"]),
        (&json!(4_000), &json!(1_600))
    );
    assert_eq!(
        (&task["total_num"], &task["success_num"]),
        (&json!(40), &json!(16))
    );
    assert_eq!((&task["fail_num"], &task["skipped_num"]), (&json!(2), &json!(6)));
    assert_eq!(task["gone_num"], 1);
    assert_eq!(task["migrate_speed"], 200);
    assert_eq!(task["left_time"], 10_000);
    assert_eq!(task["total_time"], 10_000);
    assert_eq!(task["start_time"], NOW.0 - 60_000);
    assert_eq!(task["proved"], json!({"etag": 7, "checksum": 2, "size": 1}));
    assert_eq!(
        task["not_carried"],
        json!({"objects": 5, "tags": 4, "storage_class": 3, "user_metadata": 2,
            "website_redirect": 1, "object_lock": 1, "other": 1})
    );
}

#[tokio::test]
async fn a_failed_only_pass_shows_the_scope_of_the_full_pass() {
    let mut task = running();
    task.survey = Estimate::default();
    assert_eq!(shown(task.clone()).await["progress"], 0.0, "nothing is known");
    if let Some(pass) = &mut task.pass {
        pass.kind = PassKind::Failed;
    }
    let shown = shown(task).await;
    assert_eq!(
        (&shown["total_num"], &shown["total_size"]),
        (&json!(30), &json!(3_000))
    );
    assert_eq!(
        (&shown["progress"], &shown["left_time"]),
        (&json!(0.666_667), &json!(5_000))
    );
}

#[tokio::test]
async fn entries_of_the_scope_show_what_was_found() {
    let api = TestApi::new().await;
    let mut task = ledger::task(ID, PROJECT);
    let entry = |scope, objects, not_found| FoundEntry {
        scope,
        objects,
        bytes: objects * 10,
        not_found,
    };
    let prefix = |name: &str| ShardScope::Prefix(Key::from(name));
    api.ledger.put_found(FoundScope {
        entries: vec![
            entry(ShardScope::Keys, 3, 1),
            entry(prefix(""), 0, 0),
            entry(prefix("a/"), 5, 0),
        ],
        rest: 7,
        rest_objects: 2,
        rest_bytes: 20,
        empty_prefixes: 6,
    });
    api.ledger.put(task.clone());
    let shown = |kind: &str, name: &str, found: i64, missing: i64| json!({"kind": kind, "name": name, "found_num": found, "found_size": found * 10, "missing_num": missing});
    let wanted = json!([
        shown("objects", "", 3, 1),
        shown("prefix", "/", 0, 0),
        shown("prefix", "a/", 5, 0),
        shown("others", "", 2, 0)
    ]);
    assert_eq!(api.get(&path()).await.fine()["scope_entries"], wanted);
    task.spec.scope = Scope::List(Manifest {
        bucket: "b".to_owned(),
        key: Key::from("list.txt"),
    });
    api.ledger.put(task);
    assert_eq!(
        api.get(&path()).await.fine()["scope_entries"][0],
        shown("list", "", 3, 1)
    );
    let list = api.get("/task?start=0&limit=9").await.fine();
    assert!(list[0].get("scope_entries").is_none());
}

#[tokio::test]
async fn progress_of_a_manifest_is_measured_by_its_lines() {
    let mut task = running();
    task.survey.bytes = 0;
    let shown = shown(task).await;
    assert_eq!(
        (&shown["progress"], &shown["total_num"]),
        (&json!(0.4), &json!(40))
    );
    assert_eq!(shown["left_time"], 0);
}

#[tokio::test]
async fn progress_is_1_only_after_success() {
    let all = Counters {
        listed: 40,
        copied: 40,
        bytes_listed: 4_000,
        bytes_settled: 4_000,
        ..Counters::default()
    };
    for (state, wanted) in [
        (State::Running, 0.999),
        (State::Pausing, 0.999),
        (State::Paused, 0.999),
        (State::Succeeded, 1.0),
    ] {
        let task = shown(Task {
            state,
            counters: all,
            ..running()
        });
        assert_eq!(task.await["progress"], wanted, "{state:?}");
    }
    let empty_objects = Counters {
        listed: 4,
        copied: 1,
        ..Counters::default()
    };
    let by_objects = |objects| {
        let survey = Estimate {
            objects,
            ..Estimate::default()
        };
        shown(Task {
            counters: empty_objects,
            survey,
            ..running()
        })
    };
    assert_eq!(
        by_objects(4).await["progress"],
        0.25,
        "without bytes, objects count"
    );
    assert_eq!(by_objects(0).await["progress"], 0.0, "nothing was counted yet");
    let nothing = shown(Task {
        state: State::Succeeded,
        ..ledger::task(ID, PROJECT)
    });
    assert_eq!(nothing.await["progress"], 1.0);
}

#[tokio::test]
async fn a_failed_task_shows_why_and_whether_its_failures_can_be_retried() {
    let reason = Reason {
        kind: ReasonKind::ObjectsFailed,
        message: "1 object could not be copied".to_owned(),
    };
    let task = shown(Task {
        reason: Some(reason),
        ..failed()
    })
    .await;
    assert_eq!(task["status"], 4);
    let wanted = json!({"error_code": "TRF.0004", "error_msg": "1 object could not be copied"});
    assert_eq!(task["error_reason"], wanted);
    let record: Value = serde_json::from_str(task["failed_object_record"].as_str().unwrap()).unwrap();
    assert_eq!(
        record,
        json!({"result": true, "list_file_key": "", "errorCode": ""})
    );
    assert_eq!(task["total_num"], 3);

    let mut unrecorded = failed();
    unrecorded.spec.record_failures = false;
    let task = shown(unrecorded).await;
    assert!(
        task["failed_object_record"]
            .as_str()
            .unwrap()
            .contains("\"result\":false")
    );
}

#[tokio::test]
async fn a_notification_is_shown_as_not_sent_after_the_end() {
    let notified = |state| {
        let mut task = failed();
        task.state = state;
        task.spec.notification = Some(Notification {
            topic_urn: "urn".to_owned(),
            language: None,
            triggers: vec!["FAIL".to_owned()],
        });
        task
    };
    assert!(shown(notified(State::Running)).await.get("smnInfo").is_none());
    let wanted = json!({"notifyResult": false, "notifyErrorMessage": "OMS.0156", "topicName": ""});
    assert_eq!(shown(notified(State::Failed)).await["smnInfo"], wanted);
    assert!(shown(failed()).await.get("smnInfo").is_none(), "nobody asked");
}

#[tokio::test]
async fn a_cdn_is_shown_without_its_key() {
    let mut task = failed();
    task.spec.cdn = Some(Cdn {
        protocol: "https".to_owned(),
        domain: "cdn.example.com".to_owned(),
        authentication_type: "NONE".to_owned(),
    });
    let wanted = json!({"protocol": "https", "domain": "cdn.example.com", "authentication_type": "NONE"});
    assert_eq!(shown(task).await["source_cdn"], wanted);
}
