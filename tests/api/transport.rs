//! Rules for every request: token, paths, methods, sizes, content types, request ids.

use oms::api::docs::{Rendering, document_v1_json};
use oms::task::State;
use reqwest::Method;
use serde_json::json;

use super::{path, start_body, with};
use crate::support::api::{PROJECT, TOKEN, TestApi, send};

fn task_path() -> String {
    format!("/v1/{PROJECT}/objectstorage{}", path())
}

#[tokio::test]
async fn every_v1_path_requires_the_token_before_it_reveals_anything() {
    let api = with(State::Paused).await;
    let before = api.ledger.picture();
    let paths = [
        task_path(),
        format!("/v1/{PROJECT}/objectstorage/task"),
        format!("/v1/{PROJECT}/objectstorage/version"),
        format!("/v1/{PROJECT}/objectstorage/quotas"),
        format!("/v1/{PROJECT}/objectstorage/task/abc"),
        "/v1/no/such/path".to_owned(),
        "/v1/".to_owned(),
        "/v1".to_owned(),
        "/%761/no/such/path".to_owned(),
    ];
    for path in &paths {
        for method in [
            Method::GET,
            Method::PUT,
            Method::POST,
            Method::DELETE,
            Method::PATCH,
        ] {
            for token in [None, Some(""), Some("wrong"), Some("TEST-TOKEN-5D2F")] {
                let mut request = api.bare(method.clone(), path);
                if let Some(token) = token {
                    request = request.header("X-Auth-Token", token);
                }
                let reply = send(request.body("not json")).await;
                reply.refused(401, "OMS.0068");
                assert!(reply.header("www-authenticate").starts_with("X-Auth-Token"));
            }
        }
    }
    let twice = api
        .request(Method::GET, &task_path())
        .header("X-Auth-Token", TOKEN);
    send(twice).await.refused(401, "OMS.0068");
    assert_eq!(api.ledger.picture(), before);
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405_with_allow() {
    let api = with(State::Paused).await;
    for path in [
        "/v1",
        "/v1/x",
        "/v1/x/objectstorage/task/",
        "/v1/x/objectstorage/task/1/2",
        "/v1//objectstorage/task",
        "/v2/x/tasks",
        "/nothing",
        "/v1x",
    ] {
        send(api.request(Method::GET, path))
            .await
            .refused(404, "OMS.1009");
    }
    for (method, path, allow) in [
        (Method::PATCH, task_path(), "DELETE, GET, HEAD, PUT"),
        (Method::POST, task_path(), "DELETE, GET, HEAD, PUT"),
        (Method::OPTIONS, task_path(), "DELETE, GET, HEAD, PUT"),
        (
            Method::DELETE,
            format!("/v1/{PROJECT}/objectstorage/task"),
            "GET, HEAD, POST",
        ),
        (
            Method::PUT,
            format!("/v1/{PROJECT}/objectstorage/version"),
            "GET, HEAD",
        ),
        (Method::POST, "/livez".to_owned(), "GET, HEAD"),
        (Method::PUT, "/openapi/v1.json".to_owned(), "GET, HEAD"),
    ] {
        let reply = send(api.request(method, &path)).await;
        reply.refused(405, "OMS.0005");
        assert_eq!(reply.header("allow"), allow, "{path}");
    }
}

/// The official Go client of the original service does this when it shows and deletes tasks.
#[tokio::test]
async fn the_project_may_be_named_twice() {
    let api = with(State::Paused).await;
    let doubled = format!("/v1/{PROJECT}/{PROJECT}/objectstorage{}", path());
    let plain = send(api.request(Method::GET, &task_path())).await.fine();
    assert_eq!(send(api.request(Method::GET, &doubled)).await.fine(), plain);
    send(api.bare(Method::GET, &doubled))
        .await
        .refused(401, "OMS.0068");
    let other = format!("/v1/{PROJECT}/other/objectstorage{}", path());
    send(api.request(Method::GET, &other))
        .await
        .refused(404, "OMS.1009");
    let deleted = api
        .request(Method::DELETE, &doubled)
        .header("Content-Type", "application/json")
        .header("X-Language", "en-us");
    let reply = send(deleted).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
}

#[tokio::test]
async fn bodies_are_json_and_at_most_a_mebibyte() {
    let api = with(State::Paused).await;
    let before = api.ledger.picture();
    let body = start_body().to_string();
    let put = || api.request(Method::PUT, &task_path());
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=gbk",
        "application/xml",
    ] {
        send(put().header("Content-Type", kind).body(body.clone()))
            .await
            .refused(415, "OMS.0004");
    }
    send(put().body(body.clone())).await.refused(415, "OMS.0004");
    for kind in [None, Some("application/json"), Some("text/plain")] {
        let request = kind
            .into_iter()
            .fold(put(), |r, kind| r.header("Content-Type", kind));
        for request in [request.try_clone().unwrap(), request.body("")] {
            let message = send(request).await.refused(400, "OMS.0067");
            assert!(message.starts_with("the body is missing"), "{message}");
        }
    }
    let packed = put()
        .header("Content-Type", "application/json")
        .header("Content-Encoding", "gzip");
    send(packed.body(body.clone())).await.refused(415, "OMS.0004");

    let padded = |length: usize| format!("{body}{}", " ".repeat(length - body.len()));
    for length in [1_048_577, 2_000_000, 20_000_000] {
        api.put_raw(&path(), padded(length))
            .await
            .refused(413, "OMS.0004");
    }
    assert_eq!(api.ledger.picture(), before);

    for kind in [
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF8\"",
    ] {
        let api = with(State::Paused).await;
        let utf8 = api
            .request(Method::PUT, &task_path())
            .header("Content-Type", kind)
            .header("X-Language", "en-us");
        assert_eq!(send(utf8.body(padded(1_048_576))).await.status.as_u16(), 200);
    }
}

#[tokio::test]
async fn projects_are_checked_and_may_be_limited() {
    let api = TestApi::serving(vec![PROJECT.parse().unwrap()]).await;
    api.get("/task?start=0&limit=1").await.fine();
    let other = api.request(Method::GET, "/v1/other/objectstorage/task?start=0&limit=1");
    let message = send(other).await.refused(400, "OMS.0072");
    assert!(message.starts_with("project_id"));
    for bad in ["%7Bproject_id%7D", &"x".repeat(65), "a%20b", "%E4%B8%80"] {
        let path = format!("/v1/{bad}/objectstorage/version");
        let message = send(api.request(Method::GET, &path))
            .await
            .refused(400, "OMS.0064");
        assert!(message.starts_with("project_id"));
        let path = format!("/v1/{bad}/objectstorage/quotas");
        let message = send(api.request(Method::GET, &path))
            .await
            .refused(400, "OMS.0064");
        assert!(message.starts_with("domain_id"));
    }
}

#[tokio::test]
async fn every_response_has_its_own_request_id() {
    let api = TestApi::new().await;
    let mut seen = std::collections::HashSet::new();
    for path in [
        "/livez",
        "/readyz",
        "/nothing",
        "/v1/x",
        "/openapi/v1.json",
        "/swagger-ui/",
        "/",
    ] {
        let reply = send(api.bare(Method::GET, path)).await;
        let id = reply.header("x-request-id").to_owned();
        assert!(
            id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{id}"
        );
        assert!(seen.insert(id));
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn health_and_documents_need_no_token() {
    let api = TestApi::new().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(send(api.bare(Method::GET, path)).await.status.as_u16(), 200);
        assert_eq!(send(api.bare(Method::HEAD, path)).await.status.as_u16(), 200);
    }
    let document = send(api.bare(Method::GET, "/openapi/v1.json")).await;
    assert_eq!(document.text, document_v1_json(Rendering::V31));
    assert_eq!(document.header("content-type"), "application/json");
    for (query, rendering) in [("?openapi=3.1", Rendering::V31), ("?openapi=3.0", Rendering::V30)] {
        let document = send(api.bare(Method::GET, &format!("/openapi/v1.json{query}"))).await;
        assert_eq!(document.text, document_v1_json(rendering), "{query}");
    }
    let unknown = send(api.bare(Method::GET, "/openapi/v1.json?openapi=2.0")).await;
    assert_eq!(unknown.refused(400, "OMS.0064"), "openapi must be 3.0 or 3.1");
    for path in ["/", "/swagger-ui"] {
        let reply = send(api.bare(Method::GET, path)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("location")),
            (302, "swagger-ui/")
        );
    }
    let page = send(api.bare(Method::GET, "/swagger-ui/")).await;
    assert!(page.status.is_success() && page.text.contains("swagger-ui"));
    let script = send(api.bare(Method::GET, "/swagger-ui/swagger-initializer.js")).await;
    for part in [
        "\"../openapi/v1.json\"",
        "\"persistAuthorization\": false",
        "\"showExtensions\": true",
        "\"showCommonExtensions\": true",
        "\"defaultModelsExpandDepth\": 0",
    ] {
        assert!(script.text.contains(part), "{part} in {}", script.text);
    }
}

#[tokio::test]
async fn a_request_in_progress_is_finished_before_the_shutdown() {
    let api = with(State::Paused).await;
    let reply = api.put(&path(), &json!({"operation": "stop"})).await;
    reply.refused(400, "OMS.0066");
    let base = api.base.clone();
    drop(api);
    let refused = async || reqwest::get(format!("{base}/livez")).await.is_err();
    for _ in 0..100 {
        if refused().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the server still answers");
}
