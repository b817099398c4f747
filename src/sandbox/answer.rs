//! Responses that the HTTP server sends without the S3 service.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::{Body, HttpResponse};

pub(super) fn set_request_id(response: &mut HttpResponse, id: &str) {
    if let Ok(id) = HeaderValue::from_str(id) {
        response.headers_mut().insert("x-amz-request-id", id);
    }
}

/// An error document under any status.
pub(super) fn error_answer(
    status: StatusCode,
    code: &str,
    retry_after: Option<&str>,
    id: &str,
) -> HttpResponse {
    let mut response = refusal(status, code, "a planned fault", id);
    if let Some(Ok(value)) = retry_after.map(HeaderValue::from_str) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// An error document with this code and message.
pub(super) fn refusal(status: StatusCode, code: &str, message: &str, id: &str) -> HttpResponse {
    let (code, message) = (
        quick_xml::escape::escape(code),
        quick_xml::escape::escape(message),
    );
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>"
    );
    let mut response = HttpResponse::new(Body::from(document));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    set_request_id(&mut response, id);
    response
}

/// Reads what the client sends. An earlier response would close the connection while the client is still sending, and
/// the client would see a reset instead of the response.
pub(super) async fn drain(body: &mut Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}
