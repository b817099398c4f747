//! Clients that others generate from the document of the repository.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::rig::{SOURCE, Stores, TARGET};
use crate::support::service::{PROJECT, Service, TOKEN, fill, slow_down};
use crate::support::tools::{Need, require, succeed};

/// Generators take seconds; a busy machine many.
const LIMIT: Duration = Duration::from_secs(120);
/// The document that is released, not the one that the running service makes up.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/v1.json");

#[tokio::test]
async fn a_generated_python_client_brings_a_task_to_its_end() {
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
    client
        .env("PYTHONPATH", folder.path())
        .env("BASE_URL", &service.caller.base)
        .env("TOKEN", TOKEN)
        .env("PROJECT_ID", PROJECT);
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
    let told = succeed(client, LIMIT).await;
    assert!(told.contains("all went as the types say"), "{told}");
    stores.assert_same();
    service.stop().await;
}

#[tokio::test]
async fn generated_typescript_types_fit_each_body_and_refuse_wrong_ones() {
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
