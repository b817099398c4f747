//! Clients that others generate from the documents of the repository.
//!
//! Each is generated with default options, compiled or type-checked, and used: create, list, count, show, stop, start of
//! everything, failures, start of the failed objects alone, delete. They share one service, each with a project and stores
//! of its own, and run side by side.

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

/// Generators take seconds, the compiler of Rust minutes; a busy machine many.
const LIMIT: Duration = Duration::from_secs(1200);
/// The document that is released, not the one that the running service makes up.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/v1.json");
/// The same for older tools.
const DOCUMENT_30: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/v1-3.0.json");
/// What each of the clients says at the end.
const DONE: &str = "the generated client did all of it";

/// Names the service and the stores for a client.
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

/// What goes wrong at the target until [`mend`] ends it: the write of the last object hangs, so that the pass can be stopped
/// whatever the speed of the caller, and two objects are refused.
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

/// Mends the target behind the client's back: once the task was started again nothing hangs any more, and once it has failed
/// nothing is refused. A client that is faster than this waits for another try of the write, or starts the failed objects once
/// more.
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

/// How often the task was started: each time its first probe is written. The client may leave the paused state sooner than
/// anybody sees it.
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

/// Runs the script of a client from creation to deletion.
async fn brings_a_task_to_its_end(name: &str, needs: &[Need]) {
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
    let told = {
        let mut client = std::pin::pin!(succeed(client, LIMIT));
        tokio::select! {
            told = &mut client => told,
            () = mend(&base, &project, &stores) => client.await,
        }
    };
    assert!(told.contains(DONE), "{told}");
    stores.assert_same();
}

#[tokio::test]
async fn openapi_generator_python() {
    brings_a_task_to_its_end("python", &[Need::Python, Need::Java]).await;
}

#[tokio::test]
async fn openapi_generator_go() {
    brings_a_task_to_its_end("go", &[Need::Python, Need::Java, Need::Go]).await;
}

#[tokio::test]
async fn openapi_generator_java() {
    brings_a_task_to_its_end("java", &[Need::Python, Need::Java]).await;
}

#[tokio::test]
async fn openapi_generator_typescript_fetch() {
    brings_a_task_to_its_end("typescript_fetch", &[Need::Python, Need::Java, Need::Npm]).await;
}

#[tokio::test]
async fn openapi_generator_rust_and_progenitor() {
    brings_a_task_to_its_end("rust", &[Need::Python, Need::Java]).await;
}

#[tokio::test]
async fn hey_api() {
    brings_a_task_to_its_end("hey_api", &[Need::Python, Need::Npm]).await;
}

#[tokio::test]
async fn orval_and_swagger_typescript_api_delete_without_a_body() {
    let Some(tools) = require(&[Need::Npm]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let told = succeed(script(&tools, "more_types", DOCUMENT, &folder), LIMIT).await;
    assert!(told.contains("a deletion needs no body"), "{told}");
}

#[tokio::test]
async fn openapi_generator_csharp_has_no_known_fault() {
    let Some(tools) = require(&[Need::Python, Need::Java]) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let told = succeed(script(&tools, "csharp", DOCUMENT, &folder), LIMIT).await;
    assert!(told.contains("no known fault"), "{told}");
}

#[tokio::test]
async fn both_documents_are_valid() {
    let Some(tools) = require(&[Need::Python, Need::Java]) else {
        return;
    };
    for document in [DOCUMENT, DOCUMENT_30] {
        let folder = TempDir::new().unwrap();
        let told = succeed(script(&tools, "validate", document, &folder), LIMIT).await;
        assert!(
            told.contains("No validation issues detected"),
            "{document}\n{told}"
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
    slow_down(&stores, Duration::from_millis(50));
    let service = Service::start().await;
    let mut client = tools.script("use_client.py");
    client.env("PYTHONPATH", folder.path());
    tell(&mut client, &service.caller.base, PROJECT, &stores);
    let told = succeed(client, LIMIT).await;
    assert!(told.contains("all went as the types say"), "{told}");
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
    let told = succeed(check, LIMIT).await;
    assert!(told.contains("type-checks"), "{told}");
}
