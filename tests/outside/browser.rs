//! A person with a browser starts a paused task through the Swagger UI.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::rig::Stores;
use crate::support::service::{PAUSED, PROJECT, Service, TOKEN, create_body, fill, slow_down, start_body};
use crate::support::tools::{Need, Tools, require, run};

/// A browser on a busy machine needs a while to start.
const LIMIT: Duration = Duration::from_secs(120);

/// The script that uses the page as a person would.
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

#[tokio::test]
async fn a_paused_task_is_started_through_swagger_ui() {
    let Some(tools) = require(&[Need::Npm, Need::Browser]) else {
        return;
    };
    let stores = Stores::new().await;
    fill(&stores, 300);
    slow_down(&stores, Duration::from_millis(50));
    let service = Service::start().await;
    let caller = &service.caller;
    let task = caller.create(&create_body(&stores)).await;
    caller.wait_for_objects(task, 20).await;
    let paused = caller.pause(task).await;
    assert!(paused["success_num"].as_u64().unwrap() < 300, "{paused:#}");
    let shot = TempDir::new().unwrap();

    // With a wrong token the page shows that the service refuses, and nothing has changed.
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

    let right = swagger(&tools, &caller.base, TOKEN, task, &start_body(&stores), &shot);
    let ran = run(right, LIMIT).await;
    assert!(ran.status.success(), "{}", ran.shown());
    let seen: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.shown()));
    assert_eq!(
        (&seen["status"], &seen["authorized"], &seen["console_errors"]),
        (&json!(200), &json!(true), &json!([])),
        "{}",
        ran.shown()
    );
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
