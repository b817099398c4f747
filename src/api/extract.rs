//! Takes requests apart: path, query and body, each with an error that names what is wrong.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;

use super::codes;
use super::error::ApiError;
use super::json::Node;
use super::state::ApiState;
use crate::error::{Error, ErrorKind, Result};
use crate::task::{ProjectId, TaskId};

/// Largest body in bytes.
pub const BODY_LIMIT: usize = 1024 * 1024;
/// How much of a body that is too large is read and thrown away, so that the caller reads our answer rather than
/// finding its connection cut while it still writes.
const DRAIN_LIMIT: usize = 8 * BODY_LIMIT;
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The tenant of the path, checked against the operator's list.
pub struct InProject(pub ProjectId);

impl FromRequest for InProject {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(project(request, "project_id").map(Self).map_err(ApiError::from))
    }
}

/// The domain of the path; quotas are the same for all.
pub struct InDomain;

impl FromRequest for InDomain {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            identifier(request, "domain_id")
                .map(|_| Self)
                .map_err(ApiError::from),
        )
    }
}

/// The task of the path.
pub struct OfTask {
    /// Tenant.
    pub project: ProjectId,
    /// Number.
    pub id: TaskId,
}

impl FromRequest for OfTask {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = || {
            let project = project(request, "project_id")?;
            let id = request.match_info().query("task_id").parse()?;
            Ok(Self { project, id })
        };
        ready(read().map_err(|error: Error| ApiError::from(error)))
    }
}

fn identifier(request: &HttpRequest, name: &str) -> Result<ProjectId> {
    request.match_info().query(name).parse().map_err(|_| {
        let text = format!("{name} must have 1 to 64 letters, digits, '-' or '_'");
        Error::invalid(text).with_code(codes::INVALID_VALUE)
    })
}

fn project(request: &HttpRequest, name: &str) -> Result<ProjectId> {
    let project = identifier(request, name)?;
    let known = request.app_data::<web::Data<ApiState>>();
    if known.is_some_and(|state| state.serves(&project)) {
        Ok(project)
    } else {
        let text = format!("{name}: this service does not serve the project");
        Err(Error::new(ErrorKind::PermissionDenied, text).with_code(codes::PERMISSION))
    }
}

/// A JSON body.
pub struct JsonBody(pub Node);

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = OptionalJsonBody::from_request(request, payload);
        Box::pin(async move {
            match body.await? {
                OptionalJsonBody(Some(body)) => Ok(Self(body)),
                // Whoever sends nothing usually announces no type either.
                OptionalJsonBody(None) => {
                    let error = Error::invalid("the body is missing: send a JSON object");
                    Err(error.with_code(codes::NOT_JSON).into())
                }
            }
        })
    }
}

/// A JSON body, or none at all: then it does not matter how it is announced.
pub struct OptionalJsonBody(pub Option<Node>);

impl FromRequest for OptionalJsonBody {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = is_json(request.headers());
        let whole = whole(request, payload);
        Box::pin(async move {
            let body = whole.await?;
            if body.is_empty() {
                return Ok(Self(None));
            }
            if !json {
                return Err(ApiError::wrong_media_type());
            }
            Ok(Self(Some(Node::parse(&body)?)))
        })
    }
}

/// The whole body, within the limits of size and time.
fn whole(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Vec<u8>, ApiError>> + use<> {
    let announced = announced_length(request.headers());
    let payload = payload.take();
    async move {
        if announced.is_some_and(|length| length > DRAIN_LIMIT) {
            return Err(ApiError::too_large(BODY_LIMIT));
        }
        tokio::time::timeout(BODY_TIMEOUT, collect(payload))
            .await
            .map_err(|_| ApiError::broken_request("the body did not arrive in time"))?
    }
}

async fn collect(mut payload: Payload) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    let mut length = 0_usize;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::incomplete_body())?;
        length += chunk.len();
        if length > DRAIN_LIMIT {
            break;
        }
        if length <= BODY_LIMIT {
            body.extend_from_slice(&chunk);
        }
    }
    if length > BODY_LIMIT {
        return Err(ApiError::too_large(BODY_LIMIT));
    }
    Ok(body)
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is announced as JSON that we read: `application/json`, at most with a charset that is UTF-8, not
/// packed.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE);
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let Ok(text) = only.to_str() else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts
        .next()
        .is_some_and(|part| part.eq_ignore_ascii_case("application/json"));
    let plain = headers
        .get(header::CONTENT_ENCODING)
        .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    essence && plain && parts.filter(|part| !part.is_empty()).all(is_utf8_charset)
}

/// Whether a parameter of the type says UTF-8, under its name or under the label `utf8` that many clients send (WHATWG
/// Encoding Standard, section 4.2).
fn is_utf8_charset(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        let charset = value.trim().trim_matches('"');
        let utf8 = ["utf-8", "utf8"];
        name.trim().eq_ignore_ascii_case("charset") && utf8.iter().any(|u| charset.eq_ignore_ascii_case(u))
    })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn with_type(value: &'static str) -> HeaderMap {
        let mut map = HeaderMap::new();
        map.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
        map
    }

    #[test]
    fn only_plain_json_in_utf8_is_read() {
        for fine in [
            "application/json",
            "Application/JSON",
            "application/json;charset=UTF-8",
            "application/json; charset=\"utf-8\"",
            "application/json;charset=utf8",
            "application/json; charset=UTF8",
            "application/json; Charset=\"Utf8\"",
            "application/json;",
        ] {
            assert!(is_json(&with_type(fine)), "{fine}");
        }
        for other in [
            "text/plain",
            "application/jsonp",
            "application/json; charset=gbk",
            "application/json; charset=utf",
            "application/json; charset=utf80",
            "application/json; charset=utf-16",
            "application/json; version=2",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(!is_json(&with_type(other)), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
        let mut packed = with_type("application/json");
        packed.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!is_json(&packed));
    }
}
