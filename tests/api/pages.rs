//! The files of the Swagger UI and the document: what is sent, how it is compressed, and what a browser may cache.

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::support::api::TestApi;

/// Status, headers and bytes of a GET with an additional header.
async fn get(api: &TestApi, path: &str, header: Option<(&str, &str)>) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = api.bare(Method::GET, path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let reply = request.send().await.unwrap();
    let (status, headers) = (reply.status().as_u16(), reply.headers().clone());
    (status, headers, reply.bytes().await.unwrap().to_vec())
}

/// All files that a browser fetches to show the page.
const FILES: [&str; 8] = [
    "/swagger-ui/",
    "/swagger-ui/index.css",
    "/swagger-ui/swagger-ui.css",
    "/swagger-ui/swagger-ui-bundle.js",
    "/swagger-ui/swagger-ui-standalone-preset.js",
    "/swagger-ui/swagger-initializer.js",
    "/swagger-ui/favicon-32x32.png",
    "/openapi/v1.json",
];

#[tokio::test]
async fn the_page_is_sent_compressed_once_and_then_cached() {
    let api = TestApi::new().await;
    let (mut plain_bytes, mut packed_bytes) = (0, 0);
    for path in FILES {
        let (status, headers, plain) = get(&api, path, None).await;
        assert_eq!(status, 200, "{path}");
        assert!(!headers.contains_key("content-encoding"), "{path}");
        let (status, headers, packed) = get(&api, path, Some(("accept-encoding", "gzip, deflate, br"))).await;
        assert_eq!(
            (status, &headers["content-encoding"]),
            (200, &"gzip".parse().unwrap()),
            "{path}"
        );
        assert_eq!(headers["cache-control"], "no-cache", "{path}");
        assert_eq!(headers["vary"], "accept-encoding", "{path}");
        assert_eq!(headers["content-length"], packed.len().to_string(), "{path}");
        let tag = headers["etag"].to_str().unwrap();
        // A browser sends the ETag and the encodings that it accepts. Another encoding has another ETag.
        let request = api.bare(Method::GET, path).header("accept-encoding", "gzip");
        let again = request.header("if-none-match", tag).send().await.unwrap();
        assert_eq!(
            (again.status().as_u16(), &again.headers()["etag"]),
            (304, &headers["etag"]),
            "{path}"
        );
        assert_eq!(again.bytes().await.unwrap().len(), 0, "{path}");
        let (status, _, _) = get(&api, path, Some(("if-none-match", tag))).await;
        assert_eq!(status, 200, "{path}");
        plain_bytes += plain.len();
        packed_bytes += packed.len();
    }
    assert!(plain_bytes > 2_000_000, "{plain_bytes}");
    assert!(packed_bytes * 3 < plain_bytes, "{packed_bytes} of {plain_bytes}");
}

#[tokio::test]
async fn files_that_the_page_does_not_need_are_not_served() {
    let api = TestApi::new().await;
    for path in [
        "/swagger-ui/index.html",
        "/swagger-ui/oauth2-redirect.html",
        "/swagger-ui/swagger-ui.js",
        "/swagger-ui/nothing",
        "/swagger-ui//",
    ] {
        let reply = crate::support::api::send(api.bare(Method::GET, path)).await;
        reply.refused(404, "OMS.1009");
    }
}
