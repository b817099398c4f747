//! `Idempotency-Key`: the same request sent twice creates one task.

use std::collections::HashSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{create_body, set};
use crate::support::api::{PROJECT, Reply, TestApi, send};
use crate::support::rig::Stores;
use crate::support::service::{self, Service};

async fn create(api: &TestApi, project: &str, key: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = api
        .request(Method::POST, &format!("/v1/{project}/objectstorage/task"))
        .header("Content-Type", "application/json")
        .header("Idempotency-Key", key);
    send(request.body(body)).await
}

#[tokio::test]
async fn the_same_request_with_the_same_key_gets_the_same_answer() {
    let api = TestApi::new().await;
    let body = create_body().to_string();
    let first = create(&api, PROJECT, "key-1", body.clone()).await.fine();
    for spelling in [
        body.clone(),
        serde_json::to_string_pretty(&create_body()).unwrap(),
        body.replace("\"thread_num\":50", "\"thread_num\":5.0e1"),
        body.replace("nightly copy", "nightly\\u0020copy"),
    ] {
        assert_eq!(create(&api, PROJECT, "key-1", spelling).await.fine(), first);
    }
    let count = |project: &str| {
        let path = format!("/v1/{project}/objectstorage/task?totalcount=true");
        send(api.request(Method::GET, &path))
    };
    assert_eq!(count(PROJECT).await.fine(), json!({"taskcount": 1}));
    // Without a key, with another key or for another project, it counts as another request.
    let second = create(&api, PROJECT, "key-2", body.clone()).await.fine();
    let third = create(&api, "another", "key-1", body.clone()).await.fine();
    let fourth = api.post("/task", &create_body()).await.fine();
    let ids: HashSet<String> = [&first, &second, &third, &fourth]
        .map(|a| a["id"].to_string())
        .into();
    assert_eq!(ids.len(), 4);
    assert_eq!(count(PROJECT).await.fine(), json!({"taskcount": 3}));
    assert_eq!(count("another").await.fine(), json!({"taskcount": 1}));
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused_and_changes_nothing() {
    let api = TestApi::new().await;
    let first = create(&api, PROJECT, "key", create_body().to_string())
        .await
        .fine();
    let before = api.ledger.picture();
    for (pointer, value) in [
        ("description", json!("another")),
        ("thread_num", json!(49)),
        ("src_node/sk", json!("another-secret")),
        ("dst_node/bucket", json!("another-bucket")),
        ("src_node/object_key/keys", json!(["index.html", "2024/"])),
    ] {
        let body = set(create_body(), pointer, value).to_string();
        let message = create(&api, PROJECT, "key", body).await.refused(422, "OMS.0064");
        assert!(message.starts_with("the header Idempotency-Key"), "{message}");
    }
    // A request that breaks a rule is refused for that and does not use the key.
    let wrong = set(create_body(), "thread_num", json!(51)).to_string();
    create(&api, PROJECT, "fresh", wrong)
        .await
        .refused(400, "OMS.0059");
    assert_eq!(api.ledger.picture(), before);
    assert_eq!(
        create(&api, PROJECT, "key", create_body().to_string())
            .await
            .fine(),
        first
    );
    create(&api, PROJECT, "fresh", create_body().to_string())
        .await
        .fine();
}

#[tokio::test]
async fn keys_are_checked() {
    let api = TestApi::new().await;
    let before = api.ledger.picture();
    for key in ["", "a b", &"k".repeat(256), "é"] {
        let message = create(&api, PROJECT, key, create_body().to_string())
            .await
            .refused(400, "OMS.0064");
        assert!(
            message.starts_with("the header Idempotency-Key must have 1 to 255"),
            "{message}"
        );
    }
    let twice = api
        .request(Method::POST, &format!("/v1/{PROJECT}/objectstorage/task"))
        .header("Idempotency-Key", "a")
        .header("Idempotency-Key", "b");
    send(twice.json(&create_body())).await.refused(400, "OMS.0064");
    assert_eq!(api.ledger.picture(), before);
    create(&api, PROJECT, &"k".repeat(255), create_body().to_string())
        .await
        .fine();
}

/// Sends a creation to a complete service.
async fn at(service: &Service, key: &str, body: &Value) -> Reply {
    let url = format!(
        "{}/v1/{}/objectstorage/task",
        service.caller.base,
        service::PROJECT
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(url)
        .header("X-Auth-Token", service::TOKEN)
        .header("Idempotency-Key", key);
    send(request.json(body)).await
}

#[tokio::test]
async fn of_64_creations_at_once_there_is_one_task_also_after_a_restart() {
    let stores = Stores::new().await;
    let mut body = service::create_body(&stores);
    body["src_node"]["sk"] = json!("canary-of-the-key-5b1e");
    // Without a worker the task stays waiting.
    let service = Service::open(TempDir::new().unwrap(), 0).await;
    let replies = join_all((0..64).map(|_| at(&service, "race", &body))).await;
    let answers: HashSet<String> = replies.iter().map(|reply| reply.fine().to_string()).collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let count = async |service: &Service| {
        let count = service.caller.call(Method::GET, "/task?totalcount=true", None);
        count.await.fine()["taskcount"].clone()
    };
    assert_eq!(count(&service).await, 1);

    let folder = service.stop().await;
    let service = Service::open(folder, 0).await;
    let again = at(&service, "race", &body).await.fine();
    assert!(
        answers.contains(&again.to_string()),
        "{again} is not in {answers:?}"
    );
    body["description"] = json!("another");
    at(&service, "race", &body).await.refused(422, "OMS.0064");
    assert_eq!(count(&service).await, 1);

    // The response stays the same after the task was deleted. The ledger has no secret of the body.
    let path = format!("/task/{}", again["id"]);
    let deleted = service.caller.call(Method::DELETE, &path, None).await;
    assert_eq!(deleted.status.as_u16(), 200);
    body["description"] = json!("a test");
    assert_eq!(at(&service, "race", &body).await.fine(), again);
    assert_eq!(count(&service).await, 0);
    let folder = service.stop().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let file = entry.unwrap().path();
        let bytes = std::fs::read(&file).unwrap();
        let secret = b"canary-of-the-key-5b1e";
        assert!(
            !bytes.windows(secret.len()).any(|w| w == secret),
            "{}",
            file.display()
        );
    }
}
