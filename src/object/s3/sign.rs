//! Signatures (AWS Signature Version 4), made by the official signer with the settings that S3 needs.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};

use crate::error::{Error, Result};
use crate::secret::{KeyPair, Secret};
use crate::task::Clock;

/// What a signature says of the body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signed<'a> {
    /// Its SHA-256.
    Bytes(&'a [u8]),
    /// Nothing: it is streamed, and covered by TLS or by `Content-MD5`.
    Unsigned,
}

/// Signs requests with one pair of keys.
pub(super) struct Signer {
    identity: Identity,
    access_key: Secret,
    region: String,
    settings: SigningSettings,
    clock: Clock,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.region)
    }
}

impl Signer {
    pub fn new(keys: &KeyPair, region: String, clock: Clock) -> Self {
        let credentials = Credentials::new(
            keys.access_key.expose(),
            keys.secret_key.expose(),
            None,
            None,
            "task",
        );
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        // Only headers that must be signed are shown to the signer.
        settings.excluded_headers = None;
        Self {
            identity: credentials.into(),
            access_key: keys.access_key.clone(),
            region,
            settings,
            clock,
        }
    }

    /// What the clock says.
    pub fn now(&self) -> SystemTime {
        let millis = u64::try_from(self.clock.now().0).unwrap_or(0);
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// Takes the access key out of a text of the other side, which may repeat it.
    pub fn redact(&self, text: String) -> String {
        let key = self.access_key.expose();
        if key.is_empty() || !text.contains(key) {
            return text;
        }
        text.replace(key, "***")
    }

    /// Adds `authorization`, `x-amz-date` and `x-amz-content-sha256` to `headers`. `host`, `x-amz-*`, `content-type`
    /// and `content-md5` are signed.
    ///
    /// # Errors
    /// `InvalidArgument` when the access key or a header to be signed holds characters that cannot be signed.
    pub fn sign(&self, method: &str, url: &str, headers: &mut HeaderMap, body: Signed<'_>) -> Result<()> {
        let failed = |what: &'static str| move |e| Error::invalid(what).with_source(e);
        let params = v4::SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name("s3")
            .time(self.now())
            .settings(self.settings.clone())
            .build()
            .map_err(|e| Error::internal("prepare a signature").with_source(e))?
            .into();
        let mut shown = Vec::with_capacity(headers.len());
        for (name, value) in headers.iter().filter(|(name, _)| is_signed(name)) {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|e| {
                let text = format!("the value of {name} is not UTF-8 and cannot be signed");
                Error::invalid(text).with_source(e)
            })?;
            shown.push((name.as_str(), text));
        }
        let body = match body {
            Signed::Bytes(bytes) => SignableBody::Bytes(bytes),
            Signed::Unsigned => SignableBody::UnsignedPayload,
        };
        let request = SignableRequest::new(method, url, shown.into_iter(), body)
            .map_err(failed("the request cannot be signed"))?;
        let (instructions, _) = sign(request, &params)
            .map_err(failed("the request cannot be signed"))?
            .into_parts();
        for header in instructions.into_parts().0 {
            let mut value = HeaderValue::from_str(header.value())
                .map_err(|_| Error::invalid("the access key holds characters that cannot be sent"))?;
            value.set_sensitive(header.name() == "authorization");
            headers.insert(HeaderName::from_static(header.name()), value);
        }
        Ok(())
    }
}

fn is_signed(name: &HeaderName) -> bool {
    *name == HOST || *name == CONTENT_TYPE || *name == "content-md5" || name.as_str().starts_with("x-amz-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::UnixMillis;

    /// Keys, time and region of the examples in the S3 reference (Signature Calculations for the Authorization Header).
    fn signer() -> Signer {
        let keys = KeyPair {
            access_key: Secret::new("AKIAIOSFODNN7EXAMPLE"),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        };
        let clock = Clock::new(|| UnixMillis(1_369_353_600_000));
        Signer::new(&keys, "us-east-1".into(), clock)
    }

    fn authorization(method: &str, url: &str, extra: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("examplebucket.s3.amazonaws.com"));
        for (name, value) in extra {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        signer()
            .sign(method, url, &mut headers, Signed::Bytes(b""))
            .unwrap();
        assert_eq!(headers["x-amz-date"], "20130524T000000Z");
        assert!(headers["authorization"].is_sensitive());
        headers["authorization"].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_documented_list_request_gets_the_documented_signature() {
        let text = authorization(
            "GET",
            "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
            &[],
        );
        assert_eq!(
            text,
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn only_what_must_be_signed_is_signed() {
        let text = authorization(
            "PUT",
            "https://examplebucket.s3.amazonaws.com/a//../b",
            &[
                ("x-amz-meta-a", "ü"),
                ("content-type", "text/plain"),
                ("cache-control", "no-cache"),
                ("content-md5", "x"),
            ],
        );
        let names =
            "SignedHeaders=content-md5;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a,";
        assert!(text.contains(names), "{text}");
    }

    #[test]
    fn impossible_values_are_errors_and_show_no_secret() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-a", HeaderValue::from_bytes(&[0xff]).unwrap());
        let url = "http://h/b/k";
        assert!(signer().sign("GET", url, &mut headers, Signed::Unsigned).is_err());
        let keys = KeyPair {
            access_key: Secret::new("with\nnewline"),
            secret_key: Secret::new("s"),
        };
        let broken = Signer::new(&keys, "r".into(), Clock::system());
        let error = broken
            .sign("GET", url, &mut HeaderMap::new(), Signed::Unsigned)
            .unwrap_err();
        assert!(!error.to_string().contains("with"));
        assert_eq!(
            broken.redact("no key with\nnewline here".into()),
            "no key *** here"
        );
    }
}
