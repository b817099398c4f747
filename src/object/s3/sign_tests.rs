//! Compares our signatures with documented ones and with those of the official signer.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4;
use proptest::prelude::*;

use super::*;
use crate::task::UnixMillis;

/// Credentials, time and region of the examples in the S3 reference (Signature Calculations for the Authorization
/// Header).
fn signer() -> Signer {
    let keys = Credentials {
        access_key: Secret::new("AKIAIOSFODNN7EXAMPLE"),
        secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    };
    let clock = Clock::new(|| UnixMillis(1_369_353_600_000));
    Signer::new(keys, "us-east-1".into(), clock)
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
    let names = "SignedHeaders=content-md5;content-type;host;x-amz-content-sha256;x-amz-date;x-amz-meta-a,";
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
    let keys = Credentials {
        access_key: Secret::new("with\nnewline"),
        secret_key: Secret::new("s"),
    };
    let broken = Signer::new(keys, "r".into(), Clock::system());
    let error = broken
        .sign("GET", url, &mut HeaderMap::new(), Signed::Unsigned, rule)
        .unwrap_err();
    assert!(!error.to_string().contains("with"));
    assert_eq!(
        broken.redact("no key with\nnewline here".into()),
        "no key *** here"
    );
}

/// Signs with the official signer and the settings that S3 needs.
fn reference(signer: &Signer, method: &str, url: &str, headers: &HeaderMap, body: Signed<'_>) -> String {
    let identity = AwsCredentials::new(
        signer.keys.access_key.expose(),
        signer.keys.secret_key.expose(),
        None,
        None,
        "test",
    )
    .into();
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.excluded_headers = None;
    let millis = u64::try_from(signer.clock.now().0).unwrap();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&signer.region)
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_millis(millis))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let shown: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, value)| is_signed(name, value))
        .map(|(name, value)| {
            let text = std::str::from_utf8(value.as_bytes()).unwrap();
            (name.to_string(), WhiteSpace::Ascii.canonical(text).into_owned())
        })
        .collect();
    let shown = shown.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let body = match body {
        Signed::Bytes(bytes) => SignableBody::Bytes(bytes),
        Signed::Unsigned => SignableBody::UnsignedPayload,
    };
    let request = SignableRequest::new(method, url, shown, body).unwrap();
    let (instructions, _) = aws_sigv4::http_request::sign(request, &params)
        .unwrap()
        .into_parts();
    let found = instructions.into_parts().0;
    let found = found.into_iter().find(|header| header.name() == "authorization");
    found.unwrap().value().to_owned()
}

proptest! {
    #[test]
    fn signatures_are_those_of_the_official_signer(
        method in prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "HEAD"]),
        key in prop::collection::vec(any::<u8>(), 0..40),
        query in prop::collection::vec(("[a-z][a-z-]{0,9}", prop::option::of(any::<String>())), 0..6),
        metadata in prop::collection::vec(("[a-z][a-z0-9-]{0,6}", "[ -~]{0,12}"), 0..5),
        content_type in prop::option::of("[a-z]{1,8}/[a-z ]{1,8}"),
        content in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        millis in 0_i64..4_102_444_800_000,
    ) {
        let encoded = |bytes: &[u8], slash: bool| {
            bytes.iter().map(|byte| match byte {
                b'/' if slash => "/".to_owned(),
                b if b.is_ascii_alphanumeric() || b"-._~".contains(b) => char::from(*b).to_string(),
                b => format!("%{b:02X}"),
            }).collect::<String>()
        };
        let query: Vec<String> = query.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={}", encoded(value.as_bytes(), false)),
            None => name.clone(),
        }).collect();
        let mut url = format!("https://h.example:9000/bucket/{}", encoded(&key, true));
        if !query.is_empty() {
            url = format!("{url}?{}", query.join("&"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("h.example:9000"));
        for (name, value) in &metadata {
            let name = HeaderName::try_from(format!("x-amz-meta-{name}")).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        if let Some(text) = &content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(text).unwrap());
        }
        let body = content.as_deref().map_or(Signed::Unsigned, Signed::Bytes);
        let keys = Credentials {
            access_key: Secret::new("AKIAIOSFODNN7EXAMPLE"),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        };
        let signer = Signer::new(keys, "eu-west-7".into(), Clock::new(move || UnixMillis(millis)));
        let wanted = reference(&signer, method, &url, &headers, body);
        for _ in 0..2 {
            signer.sign(method, &url, &mut headers, body, WhiteSpace::Ascii).unwrap();
            prop_assert_eq!(headers["authorization"].to_str().unwrap(), &wanted);
        }
    }
}

#[test]
fn the_signing_key_follows_the_day() {
    let now = Arc::new(AtomicI64::new(1_369_353_599_000));
    let moved = Arc::clone(&now);
    let mut signer = signer();
    signer.clock = Clock::new(move || UnixMillis(moved.load(Ordering::Relaxed)));
    for step in [0, 500, 1000, 86_400_000, -86_400_000] {
        now.fetch_add(step, Ordering::Relaxed);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("h"));
        let wanted = reference(&signer, "GET", "http://h/b/k", &headers, Signed::Bytes(b""));
        let rule = WhiteSpace::Ascii;
        signer
            .sign("GET", "http://h/b/k", &mut headers, Signed::Bytes(b""), rule)
            .unwrap();
        assert_eq!(headers["authorization"], wanted, "after {step} ms");
    }
}
