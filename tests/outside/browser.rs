//! A person with a browser starts a paused task in the Swagger UI.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::nginx::Nginx;
use crate::support::rig::Stores;
use crate::support::service::{
    Caller, PAUSED, PROJECT, Service, TOKEN, WAITING, create_body, fill, slow_down, start_body,
};
use crate::support::tools::{Need, Tools, require, run};

/// A browser may start slowly on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// The script that uses the page like a person.
fn swagger(tools: &Tools, base: &str, token: &str, task: i64, body: &Value, folder: &TempDir) -> Command {
    let mut command = tools.script("swagger.mjs");
    command
        .env("BASE_URL", base)
        .env("TOKEN", token)
        .env("PROJECT_ID", PROJECT)
        .env("TASK_ID", task.to_string())
        .env("BODY", body.to_string())
        .env("SHOT", folder.path().join("page.png"));
    command
}

/// Asserts that the page shows readable text.
#[track_caller]
fn assert_read_well(shown: &Value) {
    assert_eq!(shown["title"], "oms API, version 1");
    assert_eq!(shown["models_open"], 0, "the schemas are folded");
    assert_eq!(
        shown["branches"],
        json!(["StartTask", "StopTask", "ChangeBandwidthPolicy"]),
        "{shown:#}"
    );
    assert_eq!(shown["table"], 5, "the table of what a start does");
    assert_eq!(shown["codes"], 1, "the catalogue of codes");
    let body: Value = serde_json::from_str(shown["delete_body"].as_str().unwrap()).unwrap();
    assert_eq!(body, json!({}), "DELETE suggests no credentials");
    assert_eq!(shown["token_kept"], false);
    for what in ["limits", "in_order", "own_fields"] {
        assert_eq!(shown[what], true, "{what}: {shown:#}");
    }
    assert_ne!(shown["own_operation"], 0, "{shown:#}");
}

/// nginx adds a prefix before every path, like a host with several services. The page, its files, the document and the
/// requests of the page stay below the prefix.
#[tokio::test]
async fn swagger_ui_works_behind_a_prefix() {
    let Some(tools) = require(&[Need::Npm, Need::Browser, Need::Nginx]) else {
        return;
    };
    let stores = Stores::new().await;
    fill(&stores, 10);
    let service = Service::open(TempDir::new().unwrap(), 0).await;
    let caller = &service.caller;
    let task = caller.create(&create_body(&stores)).await;
    caller.pause(task).await;
    let nginx = Nginx::before(&caller.base).await;
    for path in ["", "/", "/swagger-ui"] {
        let reply = Caller::new(&nginx.base, "").get_bare(path).await;
        assert!(reply.text.contains("<title>oms API"), "{path}: {reply:?}");
    }

    let shot = TempDir::new().unwrap();
    let command = swagger(&tools, &nginx.base, TOKEN, task, &start_body(&stores), &shot);
    let ran = run(command, LIMIT).await;
    assert!(ran.status.success(), "{}\n{}", ran.shown(), nginx.log());
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.shown()));
    assert_eq!(
        (&seen["status"], &seen["console_errors"]),
        (&json!(200), &json!([])),
        "{}",
        ran.shown()
    );
    assert_eq!(seen["shown"]["token_kept"], false, "{seen:#}");
    assert_eq!(caller.show(task).await["status"], WAITING);
    service.stop().await;
}

#[tokio::test]
async fn a_paused_task_is_started_through_swagger_ui() {
    let Some(tools) = require(&[Need::Npm, Need::Browser]) else {
        return;
    };
    let stores = Stores::new().await;
    fill(&stores, 300);
    slow_down(&stores, Duration::from_millis(6));
    let service = Service::start().await;
    let caller = &service.caller;
    let task = caller.create(&create_body(&stores)).await;
    caller.wait_for_objects(task, 20).await;
    let paused = caller.pause(task).await;
    assert!(paused["success_num"].as_u64().unwrap() < 300, "{paused:#}");
    let shot = TempDir::new().unwrap();

    // With a wrong token the page shows the refusal, and nothing changes.
    let wrong = swagger(
        &tools,
        &caller.base,
        "a-wrong-token-a-wrong-token",
        task,
        &start_body(&stores),
        &shot,
    );
    let ran = run(wrong, LIMIT).await;
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.shown()));
    assert_eq!(
        (&seen["status"], ran.status.code()),
        (&json!(401), Some(1)),
        "{}",
        ran.shown()
    );
    assert_eq!(caller.show(task).await["status"], PAUSED);

    let mut right = swagger(&tools, &caller.base, TOKEN, task, &start_body(&stores), &shot);
    right.env("READ", "1");
    let ran = run(right, LIMIT).await;
    assert!(ran.status.success(), "{}", ran.shown());
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.shown()));
    assert_eq!(
        (&seen["status"], &seen["authorized"], &seen["console_errors"]),
        (&json!(200), &json!(true), &json!([])),
        "{}",
        ran.shown()
    );
    assert_read_well(&seen["shown"]);
    let listed = caller.get_bare("/openapi/v1.json").await.json();
    let paths = listed["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(seen["operations"], operations, "the page lists each operation");

    stores.target.faults().clear();
    caller.wait_until_succeeded(task).await;
    stores.assert_same();
    let gone = caller.call(Method::DELETE, &format!("/task/{task}"), None).await;
    assert_eq!(gone.status.as_u16(), 200, "{gone:?}");
    service.stop().await;
}
