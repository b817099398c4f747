//! Responses that the HTTP server sends without the S3 service.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
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

/// A document under status 200.
pub(super) fn document(content_type: &str, body: Bytes) -> HttpResponse {
    let mut response = HttpResponse::new(Body::from(body));
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}
