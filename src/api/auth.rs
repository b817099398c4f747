//! Who is calling: every `/v1` path wants the service's token, before anything else about the request is looked at.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::ApiError;
use super::state::ApiState;
use crate::secret::Secret;

/// Name of the header that carries the token.
pub const HEADER: &str = "X-Auth-Token";

/// Middleware that lets a request through only with the token.
///
/// # Errors
/// Those of the service behind it; a refusal is an answer, not an error.
pub async fn require_token(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let allowed = request
        .app_data::<web::Data<ApiState>>()
        .is_some_and(|state| carries(request.headers(), state.token()));
    if allowed {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let answer = ApiError::unauthenticated().error_response();
    Ok(request.into_response(answer))
}

/// Whether exactly one token is sent, and it is the right one. Digests are compared, so that neither the time nor the
/// length of the comparison tells anything about the token.
fn carries(headers: &HeaderMap, token: &Secret) -> bool {
    let mut sent = headers.get_all(HEADER);
    let (Some(first), None) = (sent.next(), sent.next()) else {
        return false;
    };
    let wanted = Sha256::digest(token.expose().as_bytes());
    let found = Sha256::digest(first.as_bytes());
    wanted.as_slice().ct_eq(found.as_slice()).into()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(
                HeaderName::from_static("x-auth-token"),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        map
    }

    #[test]
    fn only_the_one_right_token_is_taken() {
        let token = Secret::new("right");
        assert!(carries(&headers(&["right"]), &token));
        for wrong in [
            &[][..],
            &[""],
            &["wrong"],
            &["righ"],
            &["right "],
            &["Right"],
            &["right", "right"],
        ] {
            assert!(!carries(&headers(wrong), &token), "{wrong:?}");
        }
    }
}
