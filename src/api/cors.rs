//! Cross-origin calls (CORS, Fetch Standard section 3.2): which web pages of other origins may call, if any.
//!
//! Nothing is allowed unless the operator names origins. A preflight request of an allowed origin is answered without a
//! token, because browsers send none; it says nothing about the path. Calls are identified by `X-Auth-Token` alone, so no
//! answer allows cookies.

use std::fmt;
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};

use super::ApiState;
use crate::error;

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

/// The origins whose pages may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origins {
    /// None but this service's own.
    #[default]
    Own,
    /// These, compared as they stand.
    Listed(Arc<[String]>),
    /// Every one.
    Any,
}

impl Origins {
    /// Reads a list of origins; an empty one allows none.
    ///
    /// # Errors
    /// `InvalidArgument` that begins with `setting` and says which entry is wrong, without repeating it.
    pub fn parse(setting: &str, given: &[String]) -> error::Result<Self> {
        let any = given.iter().any(|origin| origin == "*");
        if any && given.len() > 1 {
            let text = format!("{setting}: `*` allows every origin, so it must stand alone");
            return Err(error::Error::invalid(text));
        }
        if any {
            return Ok(Self::Any);
        }
        if let Some(index) = given.iter().position(|origin| !is_origin(origin)) {
            let number = index + 1;
            let text = format!(
                "{setting}: entry {number} must be `*` or an origin as browsers send it, such as \
                 https://console.example.com or http://localhost:3000: in lower case, without a path, without a slash \
                 at the end, without the port 443 of https or 80 of http"
            );
            return Err(error::Error::invalid(text));
        }
        Ok(match given {
            [] => Self::Own,
            given => Self::Listed(given.into()),
        })
    }

    /// The value of `Access-Control-Allow-Origin` for a request of `origin`, if it is allowed.
    fn allow(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        match self {
            Self::Own => None,
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Listed(known) => {
                let known = known.iter().any(|known| known.as_bytes() == origin.as_bytes());
                known.then(|| origin.clone())
            }
        }
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("none"),
            Self::Any => f.write_str("every origin"),
            Self::Listed(known) => f.write_str(&known.join(", ")),
        }
    }
}

/// Whether a text is an origin as browsers serialise it (RFC 6454, section 6.2): `scheme://host[:port]`.
fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return false,
    };
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, rest)) => {
                let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b':';
                (
                    !host.is_empty() && host.bytes().all(hex),
                    rest.strip_prefix(':').or((!rest.is_empty()).then_some("")),
                )
            }
            None => return false,
        },
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            let plain =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
            (!host.is_empty() && host.bytes().all(plain), port)
        }
    };
    let port_is_fine = port.is_none_or(|port| {
        let canonical = !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
        canonical && port.parse::<u16>().is_ok_and(|port| port != default_port)
    });
    host && port_is_fine
}

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

    fn parse(given: &[&str]) -> error::Result<Origins> {
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
