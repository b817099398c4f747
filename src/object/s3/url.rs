//! URLs of requests: endpoint, bucket, key and query, encoded exactly once and never normalised.

use std::net::IpAddr;

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::error::{Error, ErrorKind, Result};
use crate::object::endpoint::{Address, FORM};
use crate::task::Key;
use crate::task::spec::{Addressing, Endpoint};

/// Everything but the unreserved characters of RFC 3986, as AWS Signature Version 4 requires.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same for keys, except that `/` is not encoded.
const KEY: &AsciiSet = &VALUE.remove(b'/');

/// Where a bucket is: the part of a URL that is the same in all requests.
#[derive(Debug)]
pub(super) struct Location {
    /// Scheme, host, path of the endpoint and, with path addressing, the bucket; no slash at its end.
    base: String,
    /// Value of the `Host` header, which is signed.
    pub host: HeaderValue,
    /// Host, path of the endpoint and bucket, for messages.
    pub name: String,
    /// Where the name of the bucket is in the URL.
    pub addressing: Addressing,
}

impl Location {
    /// Checks and joins endpoint and bucket. With virtual-host addressing, a bucket whose name has dots is still
    /// addressed by path over TLS, as the AWS SDKs do, because the certificate of the host does not cover it.
    ///
    /// # Errors
    /// `InvalidArgument` if the endpoint is not `http[s]://host[:port][/path]`, or the bucket has characters other than
    /// letters, digits, `.`, `-` and `_`.
    pub fn new(endpoint: &Endpoint, bucket: &str) -> Result<Self> {
        let secure_dots = endpoint.url.starts_with("https") && bucket.contains('.');
        let addressing = match endpoint.addressing {
            Addressing::VirtualHost if secure_dots => Addressing::Path,
            addressing => addressing,
        };
        Self::addressed(endpoint, bucket, addressing)
    }

    /// The same with the given addressing.
    ///
    /// # Errors
    /// Those of [`Self::new`]; `InvalidArgument` for a bucket before an IPv6 address.
    pub fn addressed(endpoint: &Endpoint, bucket: &str, addressing: Addressing) -> Result<Self> {
        let wrong = |text: &str| Error::invalid(format!("endpoint {text}"));
        let address = Address::parse(&endpoint.url).map_err(wrong)?;
        check_bucket(bucket)?;
        let Address {
            scheme,
            authority,
            host,
            path,
        } = &address;
        let (named, base) = match addressing {
            Addressing::Path => (
                authority.clone(),
                format!("{scheme}://{authority}{path}/{bucket}"),
            ),
            Addressing::VirtualHost => {
                let named = format!("{bucket}.{authority}");
                // An IP address cannot have subdomains: the connection goes to the address, and only the `Host` header
                // names the bucket.
                let base = match address.ip() {
                    None => format!("{scheme}://{named}{path}"),
                    Some(IpAddr::V4(_)) => format!("{scheme}://{authority}{path}"),
                    Some(IpAddr::V6(_)) => return Err(wrong("has no name that a bucket could stand before")),
                };
                (named, base)
            }
        };
        Ok(Self {
            host: HeaderValue::from_str(&named).map_err(|_| wrong(FORM))?,
            name: format!("{host}{path}/{bucket}"),
            base,
            addressing,
        })
    }

    /// The URL of the bucket, or of an object in it.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty key, because its URL would be that of the bucket.
    pub fn address(&self, key: Option<&Key>, query: &Query) -> Result<String> {
        let key = key.map(Key::as_bytes);
        if key.is_some_and(<[u8]>::is_empty) {
            return Err(Error::invalid("an object key must not be empty"));
        }
        let key = key.unwrap_or_default();
        let mut address = String::with_capacity(self.base.len() + key.len() + query.0.len() + 16);
        address.push_str(&self.base);
        address.push('/');
        address.extend(percent_encode(key, KEY));
        if !query.0.is_empty() {
            address.push('?');
            address.push_str(&query.0);
        }
        Ok(address)
    }
}

fn check_bucket(bucket: &str) -> Result<()> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if (1..=255).contains(&bucket.len()) && bucket.bytes().all(fine) && !matches!(bucket, "." | "..") {
        Ok(())
    } else {
        Err(Error::invalid(
            "bucket must have 1 to 255 letters, digits, '.', '-' or '_'",
        ))
    }
}

/// A query string that is being built.
#[derive(Debug, Default)]
pub(super) struct Query(String);

impl Query {
    /// Adds a name without a value.
    pub fn flag(mut self, name: &str) -> Self {
        self.separate();
        self.0.push_str(name);
        self
    }

    /// Adds a name and a value; only the value is encoded.
    ///
    /// # Errors
    /// `Unsupported` for a value that is not UTF-8: the parameters of S3 are text, and servers that rewrite other bytes
    /// compute a different signature.
    pub fn with(mut self, name: &str, value: &[u8]) -> Result<Self> {
        if std::str::from_utf8(value).is_err() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "keys that are not UTF-8 cannot be listed by",
            ));
        }
        self.separate();
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(percent_encode(value, VALUE));
        Ok(self)
    }

    /// Adds a name and a number.
    pub fn number(mut self, name: &str, value: u32) -> Self {
        self.separate();
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&value.to_string());
        self
    }

    fn separate(&mut self) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
    }
}

/// `bucket/key`, encoded for `x-amz-copy-source`.
///
/// # Errors
/// `InvalidArgument` for an impossible bucket or an empty key.
pub(super) fn copy_source(bucket: &str, key: &Key) -> Result<HeaderValue> {
    check_bucket(bucket)?;
    if key.as_bytes().is_empty() {
        return Err(Error::invalid("an object key must not be empty"));
    }
    let source = format!("{bucket}/{}", percent_encode(key.as_bytes(), KEY));
    HeaderValue::try_from(source).map_err(|_| Error::internal("encode a copy source"))
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;
    use crate::task::spec::EndpointOrigin;

    fn location(url: &str, addressing: Addressing) -> Result<Location> {
        let endpoint = Endpoint {
            url: url.to_owned(),
            addressing,
            origin: EndpointOrigin::Request,
        };
        Location::new(&endpoint, "bucket-1")
    }

    #[test]
    fn keys_stand_in_addresses_as_they_are() {
        let place = location("http://127.0.0.1:9000", Addressing::Path).unwrap();
        for (key, wanted) in [
            ("a/b", "a/b"),
            ("//", "//"),
            (".", "."),
            ("..", ".."),
            ("a/../b/./c/", "a/../b/./c/"),
            ("a b+c%20&d=e?f#g", "a%20b%2Bc%2520%26d%3De%3Ff%23g"),
            ("-._~", "-._~"),
            ("ü\u{1}\u{7f}\n", "%C3%BC%01%7F%0A"),
            ("!*'()@:;,$[]\\\"", "%21%2A%27%28%29%40%3A%3B%2C%24%5B%5D%5C%22"),
        ] {
            let address = place.address(Some(&Key::from(key)), &Query::default()).unwrap();
            assert_eq!(address, format!("http://127.0.0.1:9000/bucket-1/{wanted}"));
            // The URI type of the HTTP library does not change it either.
            let uri: Uri = address.parse().unwrap();
            assert_eq!(uri.path(), format!("/bucket-1/{wanted}"));
        }
        let raw = Key::from(&[0xff_u8, 0xfe, b'/'][..]);
        assert!(
            place
                .address(Some(&raw), &Query::default())
                .unwrap()
                .ends_with("/%FF%FE/")
        );
        assert!(place.address(Some(&Key::from("")), &Query::default()).is_err());
    }

    #[test]
    fn the_bucket_stands_in_the_path_or_before_the_host() {
        let path = location("https://s3.example.com:443/", Addressing::Path).unwrap();
        let virtual_host = location("https://s3.example.com:8443", Addressing::VirtualHost).unwrap();
        let query = Query::default()
            .flag("uploads")
            .number("n", 7)
            .with("prefix", b"a/ +")
            .unwrap();
        assert_eq!(
            path.address(None, &query).unwrap(),
            "https://s3.example.com/bucket-1/?uploads&n=7&prefix=a%2F%20%2B"
        );
        assert_eq!(path.host, "s3.example.com");
        let key = Key::from("//k");
        assert_eq!(
            virtual_host.address(Some(&key), &Query::default()).unwrap(),
            "https://bucket-1.s3.example.com:8443///k"
        );
        assert_eq!(virtual_host.host, "bucket-1.s3.example.com:8443");
        assert_eq!(virtual_host.name, "s3.example.com/bucket-1");
    }

    #[test]
    fn a_path_of_the_endpoint_stands_before_the_bucket_and_the_key() {
        let path = location("https://h:8443/storage/v1/s3/", Addressing::Path).unwrap();
        let key = Key::from("//k");
        assert_eq!(
            path.address(Some(&key), &Query::default()).unwrap(),
            "https://h:8443/storage/v1/s3/bucket-1///k"
        );
        assert_eq!(
            (path.host.to_str().unwrap(), path.name.as_str()),
            ("h:8443", "h/storage/v1/s3/bucket-1")
        );
        let before = location("https://h/v1", Addressing::VirtualHost).unwrap();
        assert_eq!(
            before.address(None, &Query::default()).unwrap(),
            "https://bucket-1.h/v1/"
        );
    }

    #[test]
    fn a_bucket_stands_before_an_address_in_the_header_alone() {
        let place = location("http://127.0.0.1:9000", Addressing::VirtualHost).unwrap();
        assert_eq!(place.host, "bucket-1.127.0.0.1:9000");
        let key = Key::from("k");
        assert_eq!(
            place.address(Some(&key), &Query::default()).unwrap(),
            "http://127.0.0.1:9000/k"
        );
        assert!(location("http://[::1]:9000", Addressing::VirtualHost).is_err());
    }

    #[test]
    fn dots_in_a_bucket_stand_in_the_path_over_tls() {
        for (url, bucket, wanted) in [
            ("https://s3.test", "a.b", Addressing::Path),
            ("https://s3.test", "ab", Addressing::VirtualHost),
            ("http://s3.test", "a.b", Addressing::VirtualHost),
        ] {
            let endpoint = Endpoint {
                url: url.to_owned(),
                addressing: Addressing::VirtualHost,
                origin: EndpointOrigin::Catalogue,
            };
            assert_eq!(
                Location::new(&endpoint, bucket).unwrap().addressing,
                wanted,
                "{url} {bucket}"
            );
        }
    }

    #[test]
    fn impossible_endpoints_and_buckets_are_refused() {
        for url in [
            "",
            "s3.example.com",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h/path?q",
            "http://h/a//b",
            "http://h?q",
            "http://h h",
            "http://h:x",
            "http://h:",
            "http://h:99999",
        ] {
            assert!(location(url, Addressing::Path).is_err(), "{url}");
        }
        for bucket in ["", ".", "..", "a/b", "a b", "a?b", "ü", "a@b"] {
            assert!(check_bucket(bucket).is_err(), "{bucket}");
        }
        assert!(Query::default().with("prefix", &[0xff]).is_err());
        assert_eq!(copy_source("b", &Key::from("a +/..")).unwrap(), "b/a%20%2B/..");
    }
}
