//! Calls from web pages of other origins.

use oms::api::Origins;
use oms::task::State;
use reqwest::Method;

use super::{path, with};
use crate::support::api::{PROJECT, Reply, TOKEN, TestApi, send};

const PAGE: &str = "https://console.example.com";

async fn allowing(origins: &[&str]) -> TestApi {
    let origins: Vec<String> = origins.iter().map(|&origin| origin.to_owned()).collect();
    TestApi::open(Origins::parse("cors_origins", &origins).unwrap()).await
}

fn task_path() -> String {
    format!("/v1/{PROJECT}/objectstorage{}", path())
}

/// The preflight request that a browser sends before a call.
async fn preflight(api: &TestApi, origin: &str, method: &str) -> Reply {
    let request = api
        .bare(Method::OPTIONS, &task_path())
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header(
            "Access-Control-Request-Headers",
            "content-type,idempotency-key,x-auth-token",
        );
    send(request).await
}

fn cors_headers(reply: &Reply) -> Vec<String> {
    let names = reply.headers.keys().map(ToString::to_string);
    names.filter(|name| name.starts_with("access-control-")).collect()
}

fn list(api: &TestApi, origin: &str) -> reqwest::RequestBuilder {
    let path = format!("/v1/{PROJECT}/objectstorage/task?start=0&limit=1");
    api.request(Method::GET, &path).header("Origin", origin)
}

#[tokio::test]
async fn no_page_of_another_origin_may_call_unless_the_operator_says_so() {
    let api = with(State::Paused).await;
    preflight(&api, PAGE, "PUT").await.refused(401, "OMS.0068");
    let reply = send(list(&api, PAGE)).await;
    reply.fine();
    assert!(
        cors_headers(&reply).is_empty() && !reply.headers.contains_key("vary"),
        "{reply:?}"
    );
    // With the token, OPTIONS is treated like any other method.
    let options = api.request(Method::OPTIONS, &task_path()).header("Origin", PAGE);
    let reply = send(options.header("Access-Control-Request-Method", "PUT")).await;
    reply.refused(405, "OMS.0005");
    assert!(cors_headers(&reply).is_empty());
}

#[tokio::test]
async fn pages_of_listed_origins_may_call() {
    let api = allowing(&["http://localhost:3000", PAGE]).await;
    for method in ["GET", "PUT", "POST", "DELETE"] {
        let reply = preflight(&api, PAGE, method).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text.as_str()),
            (204, ""),
            "{reply:?}"
        );
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
        assert!(
            reply
                .header("access-control-allow-methods")
                .split(", ")
                .any(|m| m == method)
        );
        let allowed = reply.header("access-control-allow-headers").to_lowercase();
        for name in ["x-auth-token", "content-type", "idempotency-key", "x-request-id"] {
            assert!(allowed.split(", ").any(|header| header == name), "{allowed}");
        }
        assert_eq!(reply.header("access-control-max-age"), "600");
        assert_eq!(reply.header("vary"), "Origin");
        assert_eq!(reply.header("x-request-id").len(), 32);
        assert!(!reply.headers.contains_key("access-control-allow-credentials"));
    }
    let reply = send(list(&api, PAGE)).await;
    reply.fine();
    assert_eq!(reply.header("access-control-allow-origin"), PAGE);
    assert_eq!(reply.header("vary"), "Origin");
    let exposed = reply.header("access-control-expose-headers");
    assert!(
        exposed.contains("X-Request-Id") && exposed.contains("Retry-After"),
        "{exposed}"
    );
    // The page may read error responses too.
    for request in [
        api.bare(Method::GET, &task_path()),
        api.request(Method::GET, "/nothing"),
        api.request(Method::PATCH, &task_path()),
    ] {
        let reply = send(request.header("Origin", PAGE)).await;
        assert!(reply.status.is_client_error());
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
    }
}

#[tokio::test]
async fn other_origins_are_treated_as_without_cors() {
    let api = allowing(&[PAGE]).await;
    for origin in [
        "https://console.example.com.evil.example",
        "http://console.example.com",
        "https://console.example.com:8443",
        "https://CONSOLE.example.com",
        "null",
    ] {
        let reply = preflight(&api, origin, "PUT").await;
        reply.refused(401, "OMS.0068");
        assert!(cors_headers(&reply).is_empty(), "{origin}: {reply:?}");
        let reply = send(list(&api, origin)).await;
        reply.fine();
        assert!(cors_headers(&reply).is_empty(), "{origin}: {reply:?}");
        assert_eq!(reply.header("vary"), "Origin");
    }
    // Not a preflight: it has no requested method, or no origin.
    let options = || api.bare(Method::OPTIONS, &task_path());
    send(options().header("Origin", PAGE))
        .await
        .refused(401, "OMS.0068");
    let bare = options().header("Access-Control-Request-Method", "PUT");
    send(bare).await.refused(401, "OMS.0068");
}

#[tokio::test]
async fn a_star_lets_every_page_call_and_the_token_is_still_asked_for() {
    let api = allowing(&["*"]).await;
    let reply = preflight(&api, "https://anybody.example", "PUT").await;
    assert_eq!(reply.status.as_u16(), 204);
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let reply = send(list(&api, "null")).await;
    reply.fine();
    assert_eq!(reply.header("access-control-allow-origin"), "*");
    let foreign_origin = api
        .bare(Method::GET, &task_path())
        .header("X-Auth-Token", format!("{TOKEN}x"))
        .header("Origin", "https://anybody.example");
    let reply = send(foreign_origin).await;
    reply.refused(401, "OMS.0068");
    assert_eq!(reply.header("access-control-allow-origin"), "*");
}
