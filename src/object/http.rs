//! Plain HTTP reads: one URL and up to three redirects, each through the guarded client.
//!
//! A URL may contain a signature, so messages name only its host. No credentials and no cookies are sent, because they
//! could reach another server. A redirect from `https` to `http` is refused. The network policy checks the address of a
//! redirect as it checks the first one.

use std::time::SystemTime;

use ::http::header::{ACCEPT_ENCODING, ETAG, HeaderMap, HeaderValue, LOCATION, RANGE, USER_AGENT};
use ::http::uri::Scheme;
use ::http::{Method, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;

use super::s3::body::Download;
use super::s3::request::{span, whole_size};
use super::s3::{Timeouts, errors, headers};
use super::{ByteRange, ETag, Object, ObjectInfo, unknown_length};
use crate::error::{Error, ErrorKind, Result};
use crate::net::HttpClient;

/// Most redirects that are followed.
const REDIRECTS: usize = 3;

/// Reads URLs.
#[derive(Clone, Debug)]
pub struct HttpReader {
    http: HttpClient,
    timeouts: Timeouts,
}

impl HttpReader {
    /// A reader over `http`.
    #[must_use]
    pub const fn new(http: HttpClient, timeouts: Timeouts) -> Self {
        Self { http, timeouts }
    }

    /// What a server reports about a URL. If it refuses HEAD or reports no length, the object is requested with GET and
    /// its bytes are not read.
    ///
    /// # Errors
    /// Those of [`HttpReader::get`].
    pub async fn head(&self, url: &str) -> Result<ObjectInfo> {
        match self.send(Method::HEAD, url, None).await {
            Ok(answer) => {
                let size = headers::content_length(answer.headers());
                if size.is_some() {
                    return Ok(info(answer.headers(), size));
                }
            }
            // Signed URLs are often valid for GET only. HEAD then fails with 403.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::InvalidArgument
                ) && error.code().is_none() => {}
            Err(error) => return Err(error),
        }
        let answer = self.send(Method::GET, url, None).await?;
        Ok(info(answer.headers(), headers::content_length(answer.headers())))
    }

    /// Reads `portion`, on condition that the ETag is still `tag`. The ETag of the response is compared, instead of
    /// sending `If-Match`, because a weak ETag never satisfies `If-Match`.
    ///
    /// # Errors
    /// Kinds as of [`super::ObjectStore`]; `Unsupported` with the code `NoContentLength` for a range without a length;
    /// `Forbidden` with a code of the OMS reference if the network policy refuses.
    pub async fn get(&self, url: &str, portion: ByteRange, tag: Option<&ETag>) -> Result<Object> {
        let range = match portion {
            ByteRange::Whole => None,
            ByteRange::Range { offset, length } => Some(span(offset, length)?),
            ByteRange::Part(_) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "a plain HTTP server has no parts",
                ));
            }
        };
        let answer = self.send(Method::GET, url, range.as_deref()).await?;
        let (head, incoming) = answer.into_parts();
        if range.is_some() && head.status == StatusCode::OK {
            // The server will ignore ranges every time, so a retry does not help.
            let text = "the server does not support ranges, which an object of this size needs";
            return Err(Error::new(ErrorKind::Unsupported, text).with_code("RangeIgnored"));
        }
        let length = headers::content_length(&head.headers);
        let size = match length {
            Some(length) => Some(whole_size(portion, head.status, &head.headers, length)?),
            None if portion == ByteRange::Whole && head.status != StatusCode::PARTIAL_CONTENT => None,
            None => return Err(unknown_length()),
        };
        let info = info(&head.headers, size);
        if let (Some(wanted), Some(found)) = (tag, &info.etag)
            && !wanted.same(found)
        {
            let text = "the object was changed: the server sends another ETag";
            return Err(Error::new(ErrorKind::PreconditionFailed, text));
        }
        Ok(Object {
            info,
            length,
            body: Download::new(incoming, length, self.timeouts.body()).boxed_unsync(),
        })
    }

    async fn send(&self, method: Method, url: &str, range: Option<&str>) -> Result<Response<Incoming>> {
        let mut uri = address(url)?;
        for _ in 0..=REDIRECTS {
            let mut request = Request::new(
                Empty::<Bytes>::new()
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            );
            *request.method_mut() = method.clone();
            *request.uri_mut() = uri.clone();
            let headers = request.headers_mut();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            let agent = HeaderValue::from_static(concat!("oms/", env!("CARGO_PKG_VERSION")));
            headers.insert(USER_AGENT, agent);
            if let Some(range) = range {
                let range = HeaderValue::from_str(range).map_err(|_| Error::internal("a range is odd"))?;
                headers.insert(RANGE, range);
            }
            let timeout = self.timeouts.answer;
            let answer = tokio::time::timeout(timeout, self.http.request(request))
                .await
                .unwrap_or_else(|_| {
                    let text = format!("no answer from the server for {} s", timeout.as_secs());
                    Err(Error::new(ErrorKind::Timeout, text))
                });
            let answer = answer.map_err(|error| forbidden(&uri, error))?;
            let status = answer.status();
            if status.is_success() {
                return Ok(answer);
            }
            let Some(to) = redirect(status, answer.headers()) else {
                return Err(refused(status, answer.headers()));
            };
            uri = follow(&uri, to)?;
        }
        let text = format!("more than {REDIRECTS} redirects");
        Err(Error::new(ErrorKind::Unsupported, text).with_code("TooManyRedirects"))
    }
}

/// If the policy refuses a host, adds the code of the OMS reference: one for IP addresses, one for domain names.
fn forbidden(uri: &Uri, error: Error) -> Error {
    if error.kind() != ErrorKind::Forbidden || error.code().is_some() {
        return error;
    }
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let literal = bare.parse::<std::net::IpAddr>().is_ok();
    error.with_code(if literal {
        "URL_LIST_IP_FORBIDDEN"
    } else {
        "URL_LIST_DOMAIN_FORBIDDEN"
    })
}

fn address(url: &str) -> Result<Uri> {
    let wrong = || Error::invalid("the URL must be http[s]://host…, without a user").with_code("InvalidURL");
    let url = url.split('#').next().unwrap_or_default();
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let web = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
    let plain = uri
        .authority()
        .is_some_and(|a| !a.as_str().contains('@') && !a.host().is_empty());
    if web && plain { Ok(uri) } else { Err(wrong()) }
}

/// The address that a redirect names, if the response is one.
fn redirect(status: StatusCode, answer: &HeaderMap) -> Option<&str> {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
        .then(|| headers::text(answer, LOCATION))
        .flatten()
}

/// The URL that a redirect leads to, resolved as in RFC 3986, but without removing `..`: servers do that.
fn follow(from: &Uri, to: &str) -> Result<Uri> {
    let odd = || {
        Error::new(ErrorKind::Unsupported, "the redirect has no usable address").with_code("InvalidRedirect")
    };
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", ::http::uri::Authority::as_str);
    let path = from.path();
    let whole = if to.contains("://") {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else if to.starts_with('?') {
        format!("{scheme}://{authority}{path}{to}")
    } else {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{to}")
    };
    let next = address(&whole).map_err(|_| odd())?;
    if from.scheme() == Some(&Scheme::HTTPS) && next.scheme() == Some(&Scheme::HTTP) {
        let text = "the redirect leads from https to http";
        return Err(Error::new(ErrorKind::Unsupported, text).with_code("InsecureRedirect"));
    }
    Ok(next)
}

fn refused(status: StatusCode, answer: &HeaderMap) -> Error {
    let kind = match status.as_u16() {
        404 | 410 => ErrorKind::NotFound,
        401 | 403 | 407 => ErrorKind::PermissionDenied,
        405 | 501 => ErrorKind::Unsupported,
        408 => ErrorKind::Timeout,
        412 => ErrorKind::PreconditionFailed,
        416 => ErrorKind::Integrity,
        429 | 503 => ErrorKind::RateLimited,
        500..=599 => ErrorKind::Unavailable,
        _ => ErrorKind::InvalidArgument,
    };
    Error::new(kind, format!("the server answered {}", status.as_u16()))
        .with_request_id(headers::request_id(answer))
        .with_retry_after(errors::retry_after(answer, SystemTime::now()))
}

/// Reads the headers. If there is no ETag, the length and the time of the last change replace it.
fn info(answer: &HeaderMap, size: Option<u64>) -> ObjectInfo {
    let mut found = headers::object_info(answer, size);
    found.tag_count = 0;
    if let Some(size) = size
        && !answer.contains_key(ETAG)
        && let Some(modified) = found.last_modified
    {
        let tag = format!("modified-{}-{size}", modified.0);
        found.etag = Some(ETag::new(&tag));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_read_as_the_standard_says() {
        let from = address("https://h:8443/a/b?x=1").unwrap();
        for (to, wanted) in [
            ("https://other/c#part", "https://other/c"),
            ("//other/c", "https://other/c"),
            ("/c?d", "https://h:8443/c?d"),
            ("?d", "https://h:8443/a/b?d"),
            ("c", "https://h:8443/a/c"),
        ] {
            assert_eq!(follow(&from, to).unwrap().to_string(), wanted, "{to}");
        }
        assert_eq!(
            follow(&from, "http://h/c").unwrap_err().code(),
            Some("InsecureRedirect")
        );
        for odd in ["ftp://h/c", "https://u:p@h/", "https://", "\u{7f}://"] {
            assert_eq!(
                follow(&from, odd).unwrap_err().code(),
                Some("InvalidRedirect"),
                "{odd}"
            );
        }
        let plain = address("http://h/").unwrap();
        assert_eq!(follow(&plain, "https://h/c").unwrap().to_string(), "https://h/c");
    }

    #[test]
    fn an_address_names_no_user() {
        for bad in [
            "",
            "h/x",
            "ftp://h/",
            "http://u:p@h/",
            "http:///x",
            "file:///etc/passwd",
        ] {
            let error = address(bad).unwrap_err();
            assert_eq!(error.code(), Some("InvalidURL"), "{bad}");
            assert!(!error.message().contains("u:p"));
        }
    }
}
