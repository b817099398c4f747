//! Rewrites requests before they are routed: HEAD becomes GET, and the paths of an old client become ours.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::Bytes;

/// Middleware that answers HEAD as GET, without the body (RFC 9110, section 9.3.2), and takes the paths of an old client.
///
/// # Errors
/// Those of the service behind it.
pub async fn rewrite(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let head = request.method() == Method::HEAD;
    if head {
        request.head_mut().method = Method::GET;
    }
    if let Some(uri) = with_one_project(request.uri()) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    let answer = next.call(request).await?.map_into_boxed_body();
    Ok(if head { without_body(answer) } else { answer })
}

/// The address that the original's official Go client means when it shows and deletes tasks: it names the project twice,
/// `/v1/{project_id}/{project_id}/objectstorage/…`. `None` for every other address.
fn with_one_project(uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix("/v1/")?;
    let (project, rest) = rest.split_once('/')?;
    let below = rest.strip_prefix(project)?;
    let doubled = !project.is_empty() && below.starts_with("/objectstorage/");
    doubled.then(|| format!("/v1/{rest}").parse().ok()).flatten()
}

/// The answer with the length of its body, and no body.
fn without_body(answer: ServiceResponse) -> ServiceResponse {
    answer.map_body(|head, body| {
        if let BodySize::Sized(length) = body.size() {
            // actix-http leaves the body out by itself, but only while no other request was read in the meantime.
            head.headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            head.no_chunking(true);
        }
        BoxBody::new(NoBody)
    })
}

/// A body without bytes that leaves a length which stands in the headers as it is.
struct NoBody;

impl MessageBody for NoBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_that_is_named_twice_counts_once() {
        let meant = |path: &str| with_one_project(&path.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(
            meant("/v1/p/p/objectstorage/task/1?x=%20").as_deref(),
            Some("/v1/p/objectstorage/task/1?x=%20")
        );
        for plain in [
            "/v1/p/objectstorage/task/1",
            "/v1/p/q/objectstorage/task/1",
            "/v1/p/pp/objectstorage/task/1",
            "/v1/objectstorage/objectstorage/task",
            "/v1//objectstorage/task",
            "/v1///objectstorage/task",
            "/v2/p/p/objectstorage/task",
            "/v1/p/p/objectstorage",
            "/",
        ] {
            assert_eq!(meant(plain), None, "{plain}");
        }
    }
}
