//! Gives every request an id, a tracing span, one line in the log, and the headers that every answer carries.
//!
//! The line has method, path template, status and duration: never a header, a query string or a body. What only reads and
//! succeeds is logged at the level `debug`, because clients poll.

use std::time::Instant;

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use tracing::Instrument;

use super::error::ApiError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The Swagger UI holds the token: it runs its own scripts only, and talks to this service only.
const PAGE_POLICY: &str = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; \
                           frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// A longer path that no template matches is cut in the log.
const LONGEST_PATH: usize = 200;

/// Middleware around everything.
///
/// # Errors
/// Those of the service behind it.
pub async fn track(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = hex::encode(rand::random::<[u8; 16]>());
    let method = request.method().clone();
    let began = Instant::now();
    let span = tracing::info_span!("request", request.id = %id);
    let mut answer = next
        .call(request)
        .instrument(span.clone())
        .await?
        .map_into_boxed_body();

    let status = answer.status();
    let path = answer.request().match_pattern().unwrap_or_else(|| {
        let path = answer.request().path();
        path.chars().take(LONGEST_PATH).collect()
    });
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| {
        if status.is_server_error() {
            let cause = answer
                .response()
                .error()
                .and_then(|error| error.as_error::<ApiError>());
            let text = cause.and_then(ApiError::cause).map(chain).unwrap_or_default();
            tracing::error!(error = text, "request failed");
        }
        let status = status.as_u16();
        if is_poll(&method, status) {
            tracing::debug!(%method, path, status, duration_ms, "request");
        } else {
            tracing::info!(%method, path, status, duration_ms, "request");
        }
    });

    let secured = answer.request().path().starts_with("/v1");
    let page = answer.request().path().starts_with(super::swagger::PATH);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if page {
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(PAGE_POLICY),
        );
    }
    if secured {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(answer)
}

/// Whether a request read something with success. Clients do so again and again.
fn is_poll(method: &Method, status: u16) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && status < 400
}

/// An error with all its causes, for the log.
fn chain(error: &crate::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_and_succeeds_is_a_poll() {
        for (method, status, poll) in [
            (Method::GET, 200, true),
            (Method::HEAD, 200, true),
            (Method::GET, 302, true),
            (Method::OPTIONS, 204, true),
            (Method::GET, 401, false),
            (Method::GET, 503, false),
            (Method::POST, 200, false),
            (Method::PUT, 200, false),
            (Method::DELETE, 200, false),
        ] {
            assert_eq!(is_poll(&method, status), poll, "{method} {status}");
        }
    }
}
