//! Cross-origin calls (CORS, Fetch Standard section 3.2): which web pages of other origins may call, if any.
//!
//! Nothing is allowed unless the operator names origins. A preflight request of an allowed origin is answered without a
//! token, because browsers send none; it says nothing about the path. Calls are identified by `X-Auth-Token` alone, so no
//! answer allows cookies.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::origins::Origins;
use super::state::ApiState;

/// Methods of the whole API.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");
/// Headers that a page may send.
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("X-Auth-Token, Content-Type, Idempotency-Key, X-Language, X-Request-Id");
/// Headers of answers that a page may read, besides those that it always may.
const ANSWER_HEADERS: HeaderValue =
    HeaderValue::from_static("X-Request-Id, Retry-After, Allow, WWW-Authenticate");
/// How long a browser may remember the answer to a preflight request, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// Middleware that answers preflight requests of allowed origins, and lets pages of allowed origins read answers. For every
/// other origin nothing changes.
///
/// # Errors
/// Those of the service behind it.
pub async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let origins = match request.app_data::<web::Data<ApiState>>() {
        Some(state) => state.origins().clone(),
        None => Origins::Own,
    };
    let allowed = request
        .headers()
        .get(header::ORIGIN)
        .and_then(|origin| origins.allow(origin));
    let mut answer = if allowed.is_some() && is_preflight(&request) {
        let mut answer = HttpResponse::new(StatusCode::NO_CONTENT);
        let headers = answer.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        request.into_response(answer)
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    mark(answer.headers_mut(), &origins, allowed);
    Ok(answer)
}

/// A question of a browser, before the call itself.
fn is_preflight(request: &ServiceRequest) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn mark(answer: &mut HeaderMap, origins: &Origins, allowed: Option<HeaderValue>) {
    // Where the answer depends on the origin, a cache must not give it to another one.
    if matches!(origins, Origins::Listed(_)) {
        answer.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = allowed {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[&str]) -> crate::error::Result<Origins> {
        let given: Vec<String> = given.iter().map(|&origin| origin.to_owned()).collect();
        Origins::parse("cors_origins", &given)
    }

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        for fine in [
            "https://console.example.com",
            "http://localhost:3000",
            "https://10.0.0.7:8443",
            "http://[::1]:8080",
            "http://[2001:db8::1]",
            "https://a_b-c.example",
            "http://h:443",
        ] {
            assert!(parse(&[fine]).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "null",
            "console.example.com",
            "https://console.example.com/",
            "https://console.example.com/path",
            "https://Console.example.com",
            "HTTPS://console.example.com",
            "https://console.example.com:443",
            "http://console.example.com:80",
            "http://h:080",
            "http://h:",
            "http://h:99999",
            "http://h:x",
            "http://",
            "ftp://h",
            "https://*.example.com",
            "https://user@h",
            "http://[::1",
            "http://[::1]x",
            "http://[]",
            "https://h?x",
            "https://h h",
        ] {
            let error = parse(&["https://fine.example", wrong]).unwrap_err();
            assert!(
                error.message().starts_with("cors_origins: entry 2 must be"),
                "{wrong}: {error}"
            );
        }
        assert!(
            parse(&["*", "https://h"])
                .unwrap_err()
                .message()
                .contains("alone")
        );
    }

    #[test]
    fn an_origin_is_allowed_as_it_stands() {
        let allow = |origins: &Origins, origin: &'static str| {
            let allowed = origins.allow(&HeaderValue::from_static(origin));
            allowed.map(|value| value.to_str().unwrap().to_owned())
        };
        let listed = parse(&["https://a.example", "http://b:3000"]).unwrap();
        assert_eq!(
            allow(&listed, "https://a.example").as_deref(),
            Some("https://a.example")
        );
        for other in [
            "https://a.example:8443",
            "http://a.example",
            "https://a.example.evil",
            "null",
            "*",
            "",
        ] {
            assert_eq!(allow(&listed, other), None, "{other}");
        }
        assert_eq!(allow(&parse(&["*"]).unwrap(), "https://x").as_deref(), Some("*"));
        assert_eq!(allow(&parse(&[]).unwrap(), "https://a.example"), None);
    }
}
