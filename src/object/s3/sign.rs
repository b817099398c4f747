//! Signatures (AWS Signature Version 4), made by the official signer with the settings that S3 needs.

use std::borrow::Cow;
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
use crate::object::signable::{WhiteSpace, is_ambiguous, is_plain_name, is_plain_value, is_user_metadata};
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

    /// Adds `authorization`, `x-amz-date` and `x-amz-content-sha256` to `headers`. `host`, `x-amz-*`, `content-md5` and
    /// a `content-type` that every signer reads alike are signed; white space in user metadata by `rule`. The values
    /// themselves stay as they are.
    ///
    /// # Errors
    /// `InvalidArgument` when the access key or a header to be signed holds characters that cannot be signed.
    pub fn sign(
        &self,
        method: &str,
        url: &str,
        headers: &mut HeaderMap,
        body: Signed<'_>,
        rule: WhiteSpace,
    ) -> Result<Readings> {
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
        let mut shown: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(headers.len());
        let mut readings = Readings {
            rule,
            ..Readings::default()
        };
        for (name, value) in headers.iter().filter(|(name, value)| is_signed(name, value)) {
            let text = std::str::from_utf8(value.as_bytes()).map_err(|e| {
                let text = format!("the value of {name} is not UTF-8 and cannot be signed");
                Error::invalid(text).with_source(e)
            })?;
            let again = shown.last().is_some_and(|(before, _)| *before == name.as_str());
            let odd = is_user_metadata(name) && (again || !is_plain_name(name) || !is_plain_value(value));
            readings.odd |= odd;
            let form = if odd {
                readings.ambiguous |= is_ambiguous(text);
                rule.canonical(text)
            } else {
                Cow::Borrowed(text)
            };
            shown.push((name.as_str(), form));
        }
        let body = match body {
            Signed::Bytes(bytes) => SignableBody::Bytes(bytes),
            Signed::Unsigned => SignableBody::UnsignedPayload,
        };
        let shown = shown.iter().map(|(name, form)| (*name, form.as_ref()));
        let request =
            SignableRequest::new(method, url, shown, body).map_err(failed("the request cannot be signed"))?;
        let (instructions, _) = sign(request, &params)
            .map_err(failed("the request cannot be signed"))?
            .into_parts();
        for header in instructions.into_parts().0 {
            let mut value = HeaderValue::from_str(header.value())
                .map_err(|_| Error::invalid("the access key holds characters that cannot be sent"))?;
            value.set_sensitive(header.name() == "authorization");
            headers.insert(HeaderName::from_static(header.name()), value);
        }
        Ok(readings)
    }
}

/// How the server may read what was signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readings {
    /// The rule that white space was signed by.
    pub rule: WhiteSpace,
    /// Whether another rule gives another signature.
    pub ambiguous: bool,
    /// Whether there is user metadata that a server may read in another way, by whatever rule.
    pub odd: bool,
}

/// Whether a header is signed. S3 asks for `host` and `x-amz-*`; a `content-type` that signers read in different ways is
/// left out of the signature, and travels all the same.
fn is_signed(name: &HeaderName, value: &HeaderValue) -> bool {
    *name == HOST
        || *name == "content-md5"
        || name.as_str().starts_with("x-amz-")
        || (*name == CONTENT_TYPE && is_plain_value(value))
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
            .sign(method, url, &mut headers, Signed::Bytes(b""), WhiteSpace::Ascii)
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
    fn white_space_is_signed_by_a_rule_and_sent_as_it_is() {
        let signed = |value: &'static str, rule| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("h"));
            headers.insert("x-amz-meta-a", HeaderValue::from_bytes(value.as_bytes()).unwrap());
            let readings = signer().sign("PUT", "http://h/b/k", &mut headers, Signed::Unsigned, rule);
            assert_eq!(headers["x-amz-meta-a"].as_bytes(), value.as_bytes());
            (headers["authorization"].clone(), readings.unwrap())
        };
        let plain = signed("a b", WhiteSpace::Ascii).0;
        for (value, rule, as_plain, ambiguous) in [
            ("a   b", WhiteSpace::Ascii, true, false),
            ("a\tb", WhiteSpace::Ascii, true, true),
            ("a\tb", WhiteSpace::Unicode, true, true),
            ("a\tb", WhiteSpace::Spaces, false, true),
            ("a\u{2003}b", WhiteSpace::Ascii, false, true),
            ("a\u{2003}b", WhiteSpace::Unicode, true, true),
            ("a\u{a0}b", WhiteSpace::Unicode, true, true),
        ] {
            let (authorization, readings) = signed(value, rule);
            assert_eq!(authorization == plain, as_plain, "{value:?} {rule:?}");
            assert_eq!((readings.ambiguous, readings.odd), (ambiguous, true), "{value:?}");
        }
        assert!(!signed("a b", WhiteSpace::Ascii).1.odd);
    }

    #[test]
    fn a_content_type_with_two_readings_is_not_signed() {
        for (value, is_signed) in [
            (&b"text/plain"[..], true),
            (b"a  b", false),
            (b"a\tb", false),
            (b"caf\xe9", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("h"));
            headers.insert(CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap());
            let url = "http://h/b/k";
            signer()
                .sign("PUT", url, &mut headers, Signed::Unsigned, WhiteSpace::Ascii)
                .unwrap();
            let authorization = headers["authorization"].to_str().unwrap();
            assert_eq!(authorization.contains("content-type"), is_signed, "{value:?}");
            assert_eq!(headers[CONTENT_TYPE].as_bytes(), value);
        }
    }

    #[test]
    fn impossible_values_are_errors_and_show_no_secret() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-meta-a", HeaderValue::from_bytes(&[0xff]).unwrap());
        let url = "http://h/b/k";
        let rule = WhiteSpace::Ascii;
        let refused = signer().sign("GET", url, &mut headers, Signed::Unsigned, rule);
        assert!(refused.is_err());
        let keys = KeyPair {
            access_key: Secret::new("with\nnewline"),
            secret_key: Secret::new("s"),
        };
        let broken = Signer::new(&keys, "r".into(), Clock::system());
        let error = broken
            .sign("GET", url, &mut HeaderMap::new(), Signed::Unsigned, rule)
            .unwrap_err();
        assert!(!error.to_string().contains("with"));
        assert_eq!(
            broken.redact("no key with\nnewline here".into()),
            "no key *** here"
        );
    }
}
