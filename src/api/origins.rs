//! Which web pages of other origins may call the API. Pure.

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::HeaderValue;

use crate::error;

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
    pub(super) fn allow(&self, origin: &HeaderValue) -> Option<HeaderValue> {
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
