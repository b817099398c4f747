//! `PUT …/task/{task_id}`: start, stop, change the bandwidth.

use oms::error::ErrorKind;
use oms::task::{Counters, PassInfo, PassKind, State, Task};
use serde_json::{Value, json};

use super::{ID, create_body, failed, path, set, start_body, with, without};
use crate::support::api::{PROJECT, TestApi, send};
use crate::support::ledger;

#[tokio::test]
async fn start_answers_200_without_a_body_and_the_task_waits() {
    for state in [State::Paused, State::Failed] {
        let api = with(state).await;
        let reply = api.put(&path(), &start_body()).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
        assert_eq!(api.ledger.get(ID).unwrap().state, State::Waiting);
        assert_eq!(api.get(&path()).await.fine()["status"], 1);
    }
}

#[tokio::test]
async fn start_accepts_what_the_reference_allows() {
    for body in [
        without(start_body(), "source_cdn_authentication_key"),
        without(start_body(), "migration_failed_object"),
        set(start_body(), "migration_failed_object", Value::Null),
        set(start_body(), "source_cdn_authentication_key", Value::Null),
        set(start_body(), "source_cdn_authentication_key", json!("")),
        set(
            start_body(),
            "source_cdn_authentication_key",
            json!("k".repeat(255)),
        ),
        set(start_body(), "source_ak", json!("键".repeat(100))),
        set(start_body(), "target_sk", json!("x")),
    ] {
        let api = with(State::Paused).await;
        let reply = api.put(&path(), &body).await;
        assert_eq!(reply.status.as_u16(), 200, "{body} {reply:?}");
    }
}

#[tokio::test]
async fn a_failed_only_start_needs_a_finished_pass_with_failures() {
    let body = set(start_body(), "migration_failed_object", json!(true));
    let api = TestApi::new().await;
    api.ledger.put(failed());
    assert_eq!(api.put(&path(), &body).await.status.as_u16(), 200);

    let none = Task {
        counters: Counters::default(),
        ..failed()
    };
    api.ledger.put(none);
    let message = api.put(&path(), &body).await.refused(400, "OMS.0167");
    assert!(message.contains("migration_failed_object"), "{message}");

    let unfinished = PassInfo {
        number: 1,
        kind: PassKind::Full,
        finished: false,
        opened_at: oms::task::UnixMillis(1),
    };
    api.ledger.put(Task {
        pass: Some(unfinished),
        ..failed()
    });
    api.put(&path(), &body).await.refused(400, "OMS.0308");
}

#[tokio::test]
async fn each_state_refuses_requests_that_do_not_fit() {
    let bandwidth = json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": []});
    let stop = json!({"operation": "stop"});
    let cases = [
        (State::Waiting, start_body(), "OMS.0065"),
        (State::Running, start_body(), "OMS.0065"),
        (State::Pausing, start_body(), "OMS.0065"),
        (State::Succeeded, start_body(), "OMS.0070"),
        (State::Pausing, stop.clone(), "OMS.0066"),
        (State::Paused, stop.clone(), "OMS.0066"),
        (State::Failed, stop.clone(), "OMS.0066"),
        (State::Succeeded, stop, "OMS.0070"),
        (State::Succeeded, bandwidth, "OMS.0086"),
    ];
    for (state, body, code) in cases {
        let api = with(state).await;
        let before = api.ledger.picture();
        api.put(&path(), &body).await.refused(400, code);
        assert_eq!(api.ledger.picture(), before, "{state:?} {body}");
    }
}

#[tokio::test]
async fn stop_pauses() {
    let api = with(State::Running).await;
    let reply = api.put(&path(), &json!({"operation": "stop"})).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
    assert_eq!(api.ledger.get(ID).unwrap().state, State::Pausing);
    assert_eq!(
        api.get(&path()).await.fine()["status"],
        2,
        "v1 has no number for pausing"
    );
}

#[tokio::test]
async fn bandwidth_windows_are_replaced() {
    let api = with(State::Running).await;
    let windows = json!([
        {"start": "22:00", "end": "05:59", "max_bandwidth": 5_000_000},
        {"start": "06:00", "end": "21:59", "max_bandwidth": 10_737_418_240_i64}
    ]);
    let body = json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": windows});
    assert_eq!(api.put(&path(), &body).await.status.as_u16(), 200);
    assert_eq!(api.get(&path()).await.fine()["bandwidth_policy"], windows);
    let none = set(body, "bandwidth_policy", json!([]));
    assert_eq!(api.put(&path(), &none).await.status.as_u16(), 200);
    assert_eq!(api.get(&path()).await.fine()["bandwidth_policy"], json!([]));
}

#[tokio::test]
async fn bad_bodies_are_refused_with_the_field_and_change_nothing() {
    let window = |start: &str, end: &str, max: i64| json!({"start": start, "end": end, "max_bandwidth": max});
    let policy = |windows: Value| json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": windows});
    let long = "x".repeat(101);
    let mut cases = vec![
        (json!([]), "OMS.0002", "body"),
        (json!({}), "OMS.0074", "operation"),
        (json!({"operation": null}), "OMS.0002", "operation"),
        (json!({"operation": 5}), "OMS.0002", "operation"),
        (
            json!({"operation": "restart"}),
            "OMS.0064",
            "operation must be one of start, stop, change_bandwidthpolicy",
        ),
        (json!({"operation": "START"}), "OMS.0064", "operation"),
        (json!({"operation": ""}), "OMS.0064", "operation"),
        (
            json!({"operation": "stop", "source_ak": "x"}),
            "OMS.0074",
            "source_ak",
        ),
        (
            json!({"operation": "change_bandwidthpolicy"}),
            "OMS.0074",
            "bandwidth_policy",
        ),
        (policy(json!({})), "OMS.0002", "bandwidth_policy"),
        (policy(json!([7])), "OMS.0002", "bandwidth_policy[0]"),
        (
            policy(json!([{"start": "00:00", "end": "01:00"}])),
            "OMS.0074",
            "bandwidth_policy[0].max_bandwidth",
        ),
        (
            policy(json!([window("24:00", "01:00", 5_000_000)])),
            "OMS.0087",
            "bandwidth_policy[0].start",
        ),
        (
            policy(json!([window("00:00", "1:00", 5_000_000)])),
            "OMS.0087",
            "bandwidth_policy[0].end",
        ),
        (
            policy(json!([window("00:00", "01:00", 4_999_999)])),
            "OMS.0084",
            "bandwidth_policy[0].max_bandwidth",
        ),
        (
            policy(json!([window("00:00", "01:00", 10_737_418_241)])),
            "OMS.0084",
            "bandwidth_policy[0].max_bandwidth",
        ),
        (
            policy(json!([window("00:00", "01:00", -1)])),
            "OMS.0084",
            "bandwidth_policy[0].max_bandwidth",
        ),
        (
            policy(json!([
                window("00:00", "01:00", 5_000_000),
                window("01:00", "02:00", 5_000_000)
            ])),
            "OMS.0085",
            "bandwidth_policy[1]",
        ),
        (
            policy(json!([
                window("22:00", "02:00", 5_000_000),
                window("00:00", "00:10", 5_000_000)
            ])),
            "OMS.0085",
            "bandwidth_policy[1]",
        ),
        (
            policy(Value::from_iter((0..6).map(|h| {
                window(&format!("0{h}:00"), &format!("0{h}:30"), 5_000_000)
            }))),
            "OMS.0083",
            "bandwidth_policy",
        ),
        (
            set(
                start_body(),
                "source_cdn_authentication_key",
                json!("x".repeat(256)),
            ),
            "OMS.0064",
            "source_cdn_authentication_key",
        ),
        (
            set(start_body(), "source_cdn_authentication_key", json!(1)),
            "OMS.0002",
            "source_cdn_authentication_key",
        ),
        (set(start_body(), "surplus", json!(1)), "OMS.0074", "surplus"),
        (create_body(), "OMS.0074", "operation"),
    ];
    for field in ["source_ak", "source_sk", "target_ak", "target_sk"] {
        cases.push((without(start_body(), field), "OMS.0074", field));
        cases.push((set(start_body(), field, json!("")), "OMS.0064", field));
        cases.push((set(start_body(), field, json!(long)), "OMS.0064", field));
        cases.push((set(start_body(), field, Value::Null), "OMS.0002", field));
        cases.push((set(start_body(), field, json!(["x"])), "OMS.0002", field));
    }
    for other in [json!("true"), json!(1), json!([]), json!({}), json!("")] {
        cases.push((
            set(start_body(), "migration_failed_object", other),
            "OMS.0002",
            "migration_failed_object",
        ));
    }
    let api = with(State::Paused).await;
    let before = api.ledger.picture();
    for (body, code, field) in cases {
        let message = api.put(&path(), &body).await.refused(400, code);
        assert!(
            message.starts_with(field) || message.contains(&format!("the {field}")),
            "{body}: {message}"
        );
        assert_eq!(api.ledger.picture(), before, "{body}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused() {
    let api = with(State::Paused).await;
    let before = api.ledger.picture();
    let twice = start_body()
        .to_string()
        .replace("\"source_ak\":", "\"source_ak\":\"a\",\"source_ak\":");
    for body in [
        "",
        "start",
        "{\"operation\":\"start\"",
        "operation=start",
        "{'operation':'stop'}",
        &twice,
    ] {
        let message = api
            .put_raw(&path(), body.to_owned())
            .await
            .refused(400, "OMS.0067");
        assert_eq!(message.starts_with("source_ak"), body == twice, "{message}");
    }
    api.put_raw(&path(), vec![b'"', 0xff, b'"'])
        .await
        .refused(400, "OMS.0067");
    assert_eq!(api.ledger.picture(), before);
}

#[tokio::test]
async fn task_ids_are_checked() {
    let api = with(State::Paused).await;
    let before = api.ledger.picture();
    let stop = json!({"operation": "stop"});
    for id in [
        "abc",
        "-1",
        "0",
        "1.5",
        "+1",
        "1234567890123456",
        "%20",
        "1%2F2",
        "%E4%B8%80",
        "0x10",
    ] {
        let path = format!("/task/{id}");
        for reply in [
            api.put(&path, &stop).await,
            api.get(&path).await,
            api.delete(&path).await,
        ] {
            let message = reply.refused(400, "OMS.0054");
            assert!(message.starts_with("task_id"), "{message}");
        }
    }
    for reply in [
        api.put("/task/1", &stop).await,
        api.put("/task/1", &start_body()).await,
        api.get("/task/1").await,
        api.delete("/task/1").await,
        api.get("/task/1/failures").await,
    ] {
        let message = reply.refused(400, "OMS.0053");
        assert!(message.starts_with("task_id"), "{message}");
    }
    assert_eq!(api.ledger.picture(), before);
}

#[tokio::test]
async fn another_projects_task_is_unknown() {
    let api = TestApi::new().await;
    api.ledger.put(Task {
        state: State::Paused,
        ..ledger::task(ID, "somebody-else")
    });
    let before = api.ledger.picture();
    for reply in [
        api.put(&path(), &start_body()).await,
        api.put(&path(), &json!({"operation": "stop"})).await,
        api.get(&path()).await,
        api.delete(&path()).await,
        api.get(&format!("{}/failures", path())).await,
    ] {
        reply.refused(400, "OMS.0053");
    }
    assert_eq!(api.get("/task?start=0&limit=10").await.fine(), json!([]));
    assert_eq!(api.ledger.picture(), before);
}

#[tokio::test]
async fn of_many_starts_exactly_one_succeeds() {
    let api = with(State::Paused).await;
    let requests = (0..64).map(|_| async { api.put(&path(), &start_body()).await.status.as_u16() });
    let mut statuses = futures_util::future::join_all(requests).await;
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| *status == 400), "{statuses:?}");
    assert_eq!(api.ledger.get(ID).unwrap().epoch, 2);
}

#[tokio::test]
async fn a_broken_ledger_is_distinguished_from_a_full_one() {
    let api = with(State::Paused).await;
    for (kind, status) in [
        (ErrorKind::Internal, 500),
        (ErrorKind::Integrity, 500),
        (ErrorKind::StorageFull, 503),
        (ErrorKind::Unavailable, 503),
        (ErrorKind::Timeout, 503),
    ] {
        api.ledger.break_with(kind);
        let reply = api.put(&path(), &start_body()).await;
        let message = reply.refused(status, "OMS.1001");
        assert!(
            !message.contains("/var/lib") && !message.contains("fire"),
            "{message}"
        );
    }
    let ready = send(api.bare(reqwest::Method::GET, "/readyz")).await;
    assert_eq!(ready.status.as_u16(), 503);
    assert_eq!(
        api.get(&format!("/task/{ID}?project={PROJECT}"))
            .await
            .status
            .as_u16(),
        400
    );
}
