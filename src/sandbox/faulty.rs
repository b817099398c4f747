//! Faults around the S3 service: what a client of a real network or store would see.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use s3s::{Body, HttpResponse};
use tokio_util::sync::CancellationToken;

use super::answer::{drain, error_answer, refusal};
use super::body::{End, FaultBody, after_white_space};
use super::bucket::{Conditions, Store};
use super::faults::Fault;
use super::marks::{CopyNothing, IgnoreCondition, IgnoreEncryption, IgnoreRange, ListingFault};
use super::operation::Call;

/// What becomes of a request with a fault.
pub(super) enum Before {
    /// The S3 service serves it.
    Serve,
    /// This is the response.
    Answer(HttpResponse),
    /// The connection is reset.
    Lose,
}

/// Applies a fault to a request before it is served. `id` is the id of the request.
pub(super) async fn before(
    fault: &Fault,
    request: &mut Request<Incoming>,
    call: &Call,
    store: &Store,
    id: &str,
) -> Before {
    match fault {
        Fault::DemandHeader {
            names,
            status,
            code,
            message,
        } if !names.iter().any(|name| request.headers().contains_key(*name)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_REQUEST);
            drain(request.body_mut()).await;
            return Before::Answer(refusal(status, code, message, id));
        }
        Fault::Delay(time) => tokio::time::sleep(*time).await,
        Fault::ResetBefore => return Before::Lose,
        Fault::Status {
            status,
            code,
            retry_after,
        } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            drain(request.body_mut()).await;
            return Before::Answer(error_answer(status, code, retry_after.as_deref(), id));
        }
        Fault::OkWithError { code } => {
            drain(request.body_mut()).await;
            return Before::Answer(error_answer(StatusCode::OK, code, None, id));
        }
        Fault::WhiteSpace {
            pieces,
            pause,
            error: Some(code),
        } => {
            drain(request.body_mut()).await;
            let (head, body) = error_answer(StatusCode::OK, code, None, id).into_parts();
            let body = after_white_space(body, *pieces, *pause);
            return Before::Answer(HttpResponse::from_parts(head, body));
        }
        Fault::OkWithBody { content_type, body } => {
            drain(request.body_mut()).await;
            return Before::Answer(document(content_type, body.clone()));
        }
        Fault::IgnoreRange => {
            request.extensions_mut().insert(IgnoreRange);
        }
        Fault::IgnoreCondition => {
            request.extensions_mut().insert(IgnoreCondition);
        }
        Fault::RefuseCondition if request.headers().contains_key(IF_MATCH) => {
            drain(request.body_mut()).await;
            let status = StatusCode::PRECONDITION_FAILED;
            return Before::Answer(error_answer(status, "PreconditionFailed", None, id));
        }
        Fault::CopyNothing | Fault::CopyNothingSilently => {
            request.extensions_mut().insert(CopyNothing);
        }
        Fault::RemoveObject => {
            if let (Some(bucket), Some(key)) = (&call.bucket, &call.key) {
                let removed = store.delete(bucket, key, &Conditions::default());
                tracing::debug!(?removed, "another client deletes an object of the sandbox");
            }
        }
        Fault::IgnoreEncryption => {
            request.extensions_mut().insert(IgnoreEncryption);
        }
        Fault::RewindToken(entries) => {
            request.extensions_mut().insert(ListingFault::Rewind(*entries));
        }
        Fault::EmptyPage => {
            request.extensions_mut().insert(ListingFault::Empty);
        }
        Fault::ReversePage => {
            request.extensions_mut().insert(ListingFault::Reverse);
        }
        Fault::LastPage => {
            request.extensions_mut().insert(ListingFault::Last);
        }
        Fault::IgnoreStart => {
            request.extensions_mut().insert(ListingFault::FromStart);
        }
        Fault::RefuseStart => {
            request.extensions_mut().insert(ListingFault::RefuseStart);
        }
        Fault::NoSizes => {
            request.extensions_mut().insert(ListingFault::NoSizes);
        }
        Fault::OnePage => {
            request.extensions_mut().insert(ListingFault::OnePage);
        }
        Fault::EmptyIsMissing => {
            request.extensions_mut().insert(ListingFault::EmptyIsMissing);
        }
        Fault::ChangeObject { data } => {
            if let (Some(bucket), Some(key)) = (&call.bucket, &call.key) {
                store.change(bucket, key, data.clone());
            }
        }
        _ => {}
    }
    Before::Serve
}

/// Applies a fault to a response. `None` if the connection is reset instead.
pub(super) fn after(
    fault: &Fault,
    response: HttpResponse,
    reset: &CancellationToken,
) -> Option<HttpResponse> {
    match fault {
        Fault::ResetAfterEffect => None,
        fault => Some(spoil(response, fault, reset.clone())),
    }
}

/// Applies the faults that change the headers or the body of a response.
fn spoil(response: HttpResponse, fault: &Fault, reset: CancellationToken) -> HttpResponse {
    let (mut parts, body) = response.into_parts();
    let announced = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = announced
        .or_else(|| http_body::Body::size_hint(&body).exact())
        .unwrap_or(0);
    let mut announce = Some(length);
    if let Fault::Header { name, value } = fault {
        parts.headers.remove(*name);
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            parts.headers.insert(*name, value);
        }
        return HttpResponse::from_parts(parts, body);
    }
    let body = match *fault {
        Fault::TruncateBody { after } => FaultBody::cut(body, after, End::Reset(reset)),
        Fault::Stall { after } => FaultBody::cut(body, after, End::Stall),
        Fault::EarlyClose { after } => {
            announce = None;
            FaultBody::cut(body, after, End::Finish)
        }
        Fault::ExtraBytes(count) => {
            announce = Some(length + count);
            FaultBody::new(body).fill(count)
        }
        Fault::WrongLength(wanted) => {
            announce = Some(wanted);
            FaultBody::cut(body, wanted, End::Finish).fill(wanted.saturating_sub(length))
        }
        Fault::WhiteSpace { pieces, pause, .. } => {
            parts.headers.remove(CONTENT_LENGTH);
            return HttpResponse::from_parts(parts, after_white_space(body, pieces, pause));
        }
        Fault::CopyNothingSilently => {
            parts.headers.remove(CONTENT_LENGTH);
            return HttpResponse::from_parts(parts, Body::empty());
        }
        Fault::CorruptBody { at } => FaultBody::new(body).flip(at.min(length.saturating_sub(1))),
        Fault::Status { .. }
        | Fault::Delay(_)
        | Fault::ResetBefore
        | Fault::ResetAfterEffect
        | Fault::OkWithError { .. }
        | Fault::OkWithBody { .. }
        | Fault::DemandHeader { .. }
        | Fault::Header { .. }
        | Fault::IgnoreRange
        | Fault::IgnoreCondition
        | Fault::RefuseCondition
        | Fault::RemoveObject
        | Fault::CopyNothing
        | Fault::IgnoreEncryption
        | Fault::RewindToken(_)
        | Fault::EmptyPage
        | Fault::ReversePage
        | Fault::LastPage
        | Fault::IgnoreStart
        | Fault::RefuseStart
        | Fault::NoSizes
        | Fault::OnePage
        | Fault::EmptyIsMissing
        | Fault::ChangeObject { .. } => return HttpResponse::from_parts(parts, body),
    };
    parts.headers.remove(CONTENT_LENGTH);
    if let Some(length) = announce {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    HttpResponse::from_parts(parts, body.boxed())
}

/// A document under status 200.
fn document(content_type: &str, body: Bytes) -> HttpResponse {
    let mut response = HttpResponse::new(Body::from(body));
    if let Ok(value) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}
