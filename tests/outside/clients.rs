//! Clients that are generated from the documents of the repository.
//!
//! Each client is generated with default options, compiled or type-checked, and used: create, list, count, show, stop, full
//! start, failures, failed-only start, delete. All clients share one service and run in parallel. Each has its own project
//! and stores.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use tempfile::TempDir;

use crate::support::api::send;
use crate::support::rig::{SOURCE, Stores, TARGET};
use crate::support::service::{FAILED, PROJECT, Service, TOKEN, fill, slow_down};
use crate::support::shared::shared_service;
use crate::support::tools::{Need, Tools, require, succeed};

/// Generators take seconds. The Rust compiler takes minutes, and many of them on a busy machine.
const LIMIT: Duration = Duration::from_secs(1200);
/// The document in the repository, not the one that the running service generates.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/v1.json");
/// The same document for older tools.
const DOCUMENT_30: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/v1-3.0.json");
/// What each client prints at the end.
const DONE: &str = "the generated client did all of it";

/// Passes the service and the stores to a client through its environment.
fn tell(client: &mut Command, base: &str, project: &str, stores: &Stores) {
    client
        .env("BASE_URL", base)
        .env("TOKEN", TOKEN)
        .env("PROJECT_ID", project);
    for (side, store, bucket) in [
        ("SOURCE", &stores.source, SOURCE),
        ("TARGET", &stores.target, TARGET),
    ] {
        client
            .env(format!("{side}_ENDPOINT"), store.endpoint())
            .env(format!("{side}_BUCKET"), bucket)
            .env(format!("{side}_AK"), store.access_key())
            .env(format!("{side}_SK"), store.secret_key());
    }
}

/// Adds faults to the target until [`mend`] ends them. Two objects are refused. The write of the last object hangs, so that
/// even a slow client can stop the pass.
fn break_target(stores: &Stores, hangs: Hangs) {
    let refused = Fault::Status {
        status: 400,
        code: "InvalidArgument".to_owned(),
        retry_after: None,
    };
    let plan = stores.target.faults();
    plan.clear();
    plan.add(FaultRule::new(Operation::PutObject, refused).key_prefix("refused/"));
    if hangs == Hangs::Last {
        let forever = Fault::Delay(Duration::from_secs(3600));
        plan.add(FaultRule::new(Operation::PutObject, forever).key("zz-hangs"));
    }
}

/// Whether the write of the last object hangs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hangs {
    Last,
    No,
}

/// Ends the faults while the client runs. Nothing hangs any more once the task was started again. Nothing is refused any
/// more once the task has failed. A client that is faster than this waits for a retry of the write, or sends another
/// failed-only start.
async fn mend(base: &str, project: &str, stores: &Stores) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let list = format!("{base}/v1/{project}/objectstorage/task?start=0&limit=1");
    let mut hangs = Hangs::Last;
    loop {
        if hangs == Hangs::Last && starts(stores) > 1 {
            hangs = Hangs::No;
            break_target(stores, hangs);
        }
        let reply = send(http.get(&list).header("X-Auth-Token", TOKEN)).await.fine();
        if reply[0]["status"].as_i64() == Some(FAILED) {
            stores.target.faults().clear();
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often the task was started. Each start writes the first probe object once. The state is not used for this, because
/// the task may be paused only for a moment.
fn starts(stores: &Stores) -> usize {
    let requests = stores.target.requests();
    let is_probe = |key: &String| key.starts_with("oms/probe/") && key.ends_with("/a!");
    requests
        .iter()
        .filter(|request| {
            request.operation == Operation::PutObject && request.key.as_ref().is_some_and(is_probe)
        })
        .count()
}

fn script(tools: &Tools, name: &str, document: &str, folder: &TempDir) -> Command {
    let mut script = tools.script(&format!("clients/{name}.sh"));
    script.arg(document).arg(folder.path().join(name));
    script
}

/// Runs the script of a client, which creates a task, uses every operation and deletes the task.
async fn client_does_everything(name: &str, needs: &[Need]) {
    let Some(tools) = require(needs) else { return };
    let folder = TempDir::new().unwrap();
    let stores = Stores::new().await;
    fill(&stores, 30);
    for key in ["refused/1", "refused/2", "zz-hangs"] {
        stores.source.put(SOURCE, key, SandboxObject::new(key));
    }
    break_target(&stores, Hangs::Last);
    let (base, project) = (
        shared_service().await,
        format!("client-{}", name.replace('_', "-")),
    );
    let mut client = script(&tools, name, DOCUMENT, &folder);
    tell(&mut client, &base, &project, &stores);
    let output = {
        let mut client = std::pin::pin!(succeed(client, LIMIT));
        tokio::select! {
            output = &mut client => output,
            () = mend(&base, &project, &stores) => client.await,
        }
    };
    assert!(output.contains(DONE), "{output}");
    stores.assert_same();
}

#[tokio::test]
async fn openapi_generator_python() {
    client_does_everything("python", &[Need::Python, Need::Java]).await;
}

#[tokio::test]
async fn openapi_generator_go() {
    client_does_everything("go", &[Need::Python, Need::Java, Need::Go]).await;
}

#[tokio::test]
async fn openapi_generator_java() {
    client_does_everything("java", &[Need::Python, Need::Java]).await;
}

#[tokio::test]
async fn openapi_generator_typescript_fetch() {
    client_does_everything("typescript_fetch", &[Need::Python, Need::Java, Need::Npm]).await;
}

#[tokio::test]
async fn openapi_generator_rust_and_progenitor() {
    client_does_everything("rust", &[Need::Python, Need::Java]).await;
}

#[tokio::test]
async fn hey_api() {
    client_does_everything("hey_api", &[Need::Python, Need::Npm]).await;
}

#[tokio::test]
async fn orval_and_swagger_typescript_api_delete_without_a_body() {
    let Some(tools) = require(&[Need::Npm]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let output = succeed(script(&tools, "more_types", DOCUMENT, &folder), LIMIT).await;
    assert!(output.contains("a deletion needs no body"), "{output}");
}

#[tokio::test]
async fn openapi_generator_csharp_has_no_known_fault() {
    let Some(tools) = require(&[Need::Python, Need::Java]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let output = succeed(script(&tools, "csharp", DOCUMENT, &folder), LIMIT).await;
    assert!(output.contains("no known fault"), "{output}");
}

#[tokio::test]
async fn both_documents_are_valid() {
    let Some(tools) = require(&[Need::Python, Need::Java]) else {
        return;
    };
    for document in [DOCUMENT, DOCUMENT_30] {
        let folder = TempDir::new().unwrap();
        let output = succeed(script(&tools, "validate", document, &folder), LIMIT).await;
        assert!(
            output.contains("No validation issues detected"),
            "{document}\n{output}"
        );
    }
}

#[tokio::test]
async fn openapi_python_client() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut generate = tools.script("generate_client.sh");
    generate.arg(DOCUMENT).arg(folder.path().join("oms_client"));
    succeed(generate, LIMIT).await;

    let stores = Stores::new().await;
    fill(&stores, 300);
    slow_down(&stores, Duration::from_millis(6));
    let service = Service::start().await;
    let mut client = tools.script("use_client.py");
    client.env("PYTHONPATH", folder.path());
    tell(&mut client, &service.caller.base, PROJECT, &stores);
    let output = succeed(client, LIMIT).await;
    assert!(output.contains("all went as the types say"), "{output}");
    stores.assert_same();
    service.stop().await;
}

#[tokio::test]
async fn openapi_typescript_types_fit_each_body_and_refuse_wrong_ones() {
    let Some(tools) = require(&[Need::Npm]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let mut check = tools.script("types.sh");
    check
        .arg(DOCUMENT)
        .arg(folder.path())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/use_types.ts"));
    let output = succeed(check, LIMIT).await;
    assert!(output.contains("type-checks"), "{output}");
}
