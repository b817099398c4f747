//! The server of a request, as messages name it, and the mistake of `http` for `https`.

use std::fmt;

use http::Uri;

use super::policy::Scheme;

/// The other side of a connection.
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) scheme: Scheme,
    port: Option<u16>,
}

impl Peer {
    pub(super) fn of(uri: &Uri) -> Self {
        Self {
            host: uri.host().unwrap_or("the host").to_owned(),
            scheme: match uri.scheme_str() {
                Some("https") => Scheme::Https,
                _ => Scheme::Http,
            },
            port: uri.port_u16(),
        }
    }

    /// The port; the scheme's default if the URL has none.
    pub(super) fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        })
    }

    /// Advice if `https` was used for a port that does not speak TLS.
    pub(super) fn speaks_no_tls(&self) -> String {
        format!(
            "{} does not speak TLS on port {}: write http:// instead of https:// in the endpoint, as in http://{self}, \
             or the port that speaks TLS",
            self.host,
            self.port()
        )
    }

    /// Advice if the other side closed the connection before the TLS handshake was complete.
    pub(super) fn hung_up(&self) -> String {
        format!(
            "{} ended the connection on port {} before TLS was agreed on; if that port speaks plain HTTP, write http:// in \
             the endpoint, as in http://{self}",
            self.host,
            self.port()
        )
    }

    /// Advice if `http` may have been used for a port that speaks TLS.
    pub(super) fn speaks_no_http(&self) -> String {
        let advice = match self.scheme {
            Scheme::Http => {
                format!("; if that port speaks TLS, write https:// in the endpoint, as in https://{self}")
            }
            Scheme::Https => String::new(),
        };
        format!(
            "{} did not answer in HTTP on port {}{advice}",
            self.host,
            self.port()
        )
    }
}

/// The host, and the port if the URL has one.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(url: &str) -> Peer {
        Peer::of(&url.parse().unwrap())
    }

    #[test]
    fn the_advice_is_an_address_to_copy() {
        let wrong = peer("https://10.0.0.7:9000/bucket?list-type=2").speaks_no_tls();
        assert!(
            wrong.starts_with("10.0.0.7 does not speak TLS on port 9000"),
            "{wrong}"
        );
        assert!(wrong.contains("as in http://10.0.0.7:9000,"), "{wrong}");
        let wrong = peer("http://store.example/").speaks_no_http();
        assert!(
            wrong.starts_with("store.example did not answer in HTTP on port 80;"),
            "{wrong}"
        );
        assert!(wrong.ends_with("https://store.example"), "{wrong}");
        let other = peer("https://[::1]:8443/").speaks_no_http();
        assert_eq!(other, "[::1] did not answer in HTTP on port 8443");
        assert!(peer("https://h/").speaks_no_tls().contains("port 443"));
    }
}
