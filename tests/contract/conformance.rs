//! The service does what its document says. Every operation is called, and every response is validated.

use std::collections::BTreeSet;

use oms::task::{State, Task};
use reqwest::Method;
use serde_json::{Value, json};

use super::{document, operations};
use crate::support::api::{PROJECT, Reply, TestApi, send};
use crate::support::ledger;

const ID: i64 = 179_500_000_000_000;

/// A call of an operation.
struct Call {
    id: &'static str,
    path: String,
    body: Option<Value>,
}

fn call(id: &'static str, path: &str, body: Option<Value>) -> Call {
    Call {
        id,
        path: format!("/v1/{PROJECT}/objectstorage{path}"),
        body,
    }
}

/// Calls of all operations, in an order in which each call succeeds.
fn calls(document: &Value) -> Vec<Call> {
    let schemas = &document["components"]["schemas"];
    let example = |name: &str| Some(schemas[name]["examples"][0].clone());
    let task = format!("/task/{ID}");
    vec![
        call("show_quotas", "/quotas", None),
        call("show_version", "/version", None),
        call("create_task", "/task", example("CreateTask")),
        call("list_tasks", "/task?start=0&limit=100", None),
        call("count_tasks", "/tasks/count?state=5", None),
        call("update_task", &task, example("StartTask")),
        call("update_task", &task, example("StopTask")),
        call("update_task", &task, example("ChangeBandwidthPolicy")),
        call("show_task", &task, None),
        call("list_failures", &format!("{task}/failures?limit=1"), None),
        call("delete_task", &task, example("DeleteTask")),
    ]
}

/// Asserts that the document describes the response.
#[track_caller]
fn validate(document: &Value, operation: &Value, reply: &Reply) {
    let code = reply.status.as_str();
    let response = operation["responses"].get(code);
    let response = response.unwrap_or_else(|| panic!("{code} is not documented: {reply:?}"));
    let Some(content) = response.get("content") else {
        assert_eq!(reply.text, "", "{code} has no body");
        return;
    };
    let kind = reply.headers["content-type"].to_str().unwrap();
    let schema = json!({"allOf": [content[kind]["schema"]], "components": document["components"]});
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let body = reply.json();
    let errors: Vec<String> = validator
        .iter_errors(&body)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?} in {body}");
}

async fn send_call(api: &TestApi, method: &str, call: &Call) -> Reply {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let request = api.request(method, &call.path);
    send(match &call.body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn api_with_a_paused_task() -> TestApi {
    let api = TestApi::new().await;
    api.ledger.put(Task {
        state: State::Paused,
        ..ledger::task(ID, PROJECT)
    });
    api.ledger.put_failure("a");
    api.ledger.put_failure("b");
    api
}

#[tokio::test]
async fn every_operation_answers_as_documented() {
    let document = document();
    let known = operations(&document);
    let ids: BTreeSet<&str> = known
        .iter()
        .map(|(_, _, op)| op["operationId"].as_str().unwrap())
        .collect();
    let calls = calls(&document);
    assert_eq!(calls.iter().map(|call| call.id).collect::<BTreeSet<_>>(), ids);

    let api = api_with_a_paused_task().await;
    for call in &calls {
        let (_, method, operation) = known
            .iter()
            .find(|(_, _, op)| op["operationId"] == call.id)
            .unwrap();
        let reply = send_call(&api, method, call).await;
        assert!(reply.status.is_success(), "{}: {reply:?}", call.id);
        validate(&document, operation, &reply);
    }
}

#[tokio::test]
async fn every_refusal_is_as_documented() {
    let document = document();
    let api = api_with_a_paused_task().await;
    for (path, method, operation) in operations(&document) {
        let path = path
            .replace("{project_id}", PROJECT)
            .replace("{domain_id}", PROJECT)
            .replace("{task_id}", "1");
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let unauthenticated = send(api.bare(method.clone(), &path)).await;
        assert_eq!(unauthenticated.status.as_u16(), 401);
        validate(&document, operation, &unauthenticated);
        let bad_query = send(api.request(method.clone(), &format!("{path}?x=1"))).await;
        assert!(bad_query.status.is_client_error(), "{bad_query:?}");
        validate(&document, operation, &bad_query);
        if operation.get("requestBody").is_some() {
            let json = || {
                api.request(method.clone(), &path)
                    .header("Content-Type", "application/json")
            };
            for (request, code) in [
                (api.request(method.clone(), &path).body("{}"), 415),
                (json().body(" ".repeat(1_048_577)), 413),
                (json().body("{}"), 400),
            ] {
                let reply = send(request).await;
                assert_eq!(reply.status.as_u16(), code);
                validate(&document, operation, &reply);
            }
        }
    }
}

/// The documented limits are the limits of the code: the longest allowed value is not refused for its length, a longer one
/// is.
#[tokio::test]
async fn documented_lengths_are_the_real_ones() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let task = format!("/v1/{PROJECT}/objectstorage/task/{ID}");
    let start = schemas["StartTask"]["examples"][0].clone();
    let create = schemas["CreateTask"]["examples"][0].clone();
    let delete = schemas["DeleteTask"]["examples"][0].clone();
    let tasks = format!("/v1/{PROJECT}/objectstorage/task");
    for (schema, base, at, method, path) in [
        ("StartTask", &start, "", Method::PUT, &task),
        ("DeleteTask", &delete, "", Method::DELETE, &task),
        ("CreateTask", &create, "", Method::POST, &tasks),
        ("SourceNode", &create, "/src_node", Method::POST, &tasks),
        ("TargetNode", &create, "/dst_node", Method::POST, &tasks),
    ] {
        for (field, property) in schemas[schema]["properties"].as_object().unwrap() {
            let (Some(most), None) = (property["maxLength"].as_u64(), property.get("enum")) else {
                continue;
            };
            let api = api_with_a_paused_task().await;
            let with = |length: u64| {
                let mut body = base.clone();
                body.pointer_mut(at).unwrap()[field] = json!("x".repeat(usize::try_from(length).unwrap()));
                api.request(method.clone(), path).json(&body)
            };
            let limit = format!("{field} must have");
            let inside = send(with(most)).await;
            let refused = inside.text.contains(&limit) && inside.text.contains("characters");
            assert!(!refused, "{schema}.{field}: {inside:?}");
            let outside = send(with(most + 1)).await.refused(400, "OMS.0064");
            assert!(outside.contains(&limit), "{schema}.{field}: {outside}");
            let least = property["minLength"].as_u64().unwrap_or(0);
            if least > 0 {
                let outside = send(with(least - 1)).await.refused(400, "OMS.0064");
                assert!(outside.contains(&limit), "{schema}.{field}: {outside}");
            }
        }
    }
}
