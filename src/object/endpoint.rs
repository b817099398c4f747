//! Endpoints of object stores: `http[s]://host[:port][/path]`, in normal form. Pure.

use std::net::IpAddr;

/// What an endpoint must look like, for messages.
pub(super) const FORM: &str = "must have the form http[s]://host[:port][/path]";
/// Longest endpoint in bytes.
const MAX_LEN: usize = 255;

/// The parts of an endpoint. Scheme and host are in lower case; a default port is omitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host, with the port unless it is the scheme's default.
    pub authority: String,
    /// Host, with brackets if it is an IPv6 address.
    pub host: String,
    /// Path without a slash at its end: empty, or `/a/b`.
    pub path: String,
}

impl Address {
    /// Parses an endpoint. Stores behind a gateway need a path (`https://host/storage/v1/s3`). It must consist of
    /// unreserved characters (RFC 3986, 2.3), because other characters can be encoded in more than one way in a
    /// signature.
    ///
    /// # Errors
    /// [`FORM`], also for user information, a query or a fragment.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        // The HTTP types drop a fragment silently.
        if url.len() > MAX_LEN || url.contains(['#', '?', '@', '\\']) {
            return Err(FORM);
        }
        let uri: http::Uri = url.parse().map_err(|_| FORM)?;
        let scheme = match uri.scheme_str().ok_or(FORM)? {
            "http" => "http",
            "https" => "https",
            _ => return Err(FORM),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(FORM)?;
        let host = host.to_ascii_lowercase();
        let given = uri.authority().ok_or(FORM)?.as_str();
        let port = match given.get(host.len()..) {
            None | Some("") => None,
            // The HTTP types accept any text as a port.
            Some(rest) => Some(
                rest.strip_prefix(':')
                    .and_then(|port| port.parse::<u16>().ok())
                    .ok_or(FORM)?,
            ),
        };
        let authority = match (scheme, port) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => host.clone(),
            (_, Some(port)) => format!("{host}:{port}"),
        };
        let path = uri.path().trim_end_matches('/');
        if !path.split('/').skip(1).all(is_plain_segment) {
            return Err(FORM);
        }
        Ok(Self {
            scheme,
            authority,
            host,
            path: path.to_owned(),
        })
    }

    /// The endpoint in normal form.
    pub fn url(&self) -> String {
        let Self {
            scheme,
            authority,
            path,
            ..
        } = self;
        format!("{scheme}://{authority}{path}")
    }

    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.trim_matches(['[', ']']).parse().ok()
    }
}

fn is_plain_segment(segment: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    !matches!(segment, "" | "." | "..") && segment.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_one_spelling() {
        for (given, wanted) in [
            ("http://h", "http://h"),
            ("https://h/", "https://h"),
            ("HTTP://Host.Example:9000", "http://host.example:9000"),
            ("http://h:80", "http://h"),
            ("https://h:443/", "https://h"),
            ("http://h:443", "http://h:443"),
            ("http://[::1]:9000", "http://[::1]:9000"),
            ("http://[::1]", "http://[::1]"),
            ("https://h/storage/v1/s3", "https://h/storage/v1/s3"),
            ("https://h:8443/storage/v1/s3//", "https://h:8443/storage/v1/s3"),
            ("https://h/A-._~9", "https://h/A-._~9"),
        ] {
            let address = Address::parse(given).unwrap();
            assert_eq!(address.url(), wanted, "{given}");
            assert_eq!(Address::parse(wanted).unwrap(), address, "{given}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for bad in [
            "",
            "h",
            "ftp://h",
            "http://",
            "http:///path",
            "http://u:p@h",
            "http://u@h",
            "http://h/p@th",
            "http://h?x=1",
            "http://h/?",
            "http://h/path?x=1",
            "http://h/path#x",
            "http://h#x",
            "http://h//path",
            "http://h/a//b",
            "http://h/./b",
            "http://h/a/..",
            "http://h/a%2Fb",
            "http://h/a b",
            "http://h/ü",
            "http://h/a\\b",
            " http://h",
            "http://h h",
            "http://h:",
            "http://h:x",
            "http://h:99999",
        ] {
            assert_eq!(Address::parse(bad), Err(FORM), "{bad}");
        }
        assert!(Address::parse(&format!("http://h/{}", "a".repeat(255))).is_err());
    }

    #[test]
    fn literal_addresses_are_known() {
        let ip = |url| Address::parse(url).unwrap().ip().map(|ip| ip.to_string());
        assert_eq!(ip("http://127.0.0.1:9000").as_deref(), Some("127.0.0.1"));
        assert_eq!(ip("http://[::1]:9000").as_deref(), Some("::1"));
        assert_eq!(ip("http://localhost"), None);
    }
}
