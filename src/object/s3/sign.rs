//! Signatures (AWS Signature Version 4) with the settings that S3 needs.
//!
//! The signer is our own because it runs twice for each object. The official one, `aws-sigv4`, derives the signing key
//! for every request and builds several maps of headers; that took a fifth of the CPU time of a copy of small objects.
//! It is still the reference: a property test compares the signatures of both. Nothing here may change what is sent. A
//! wrong signature makes every request fail.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::request::CONTENT_MD5;
use crate::error::{Error, Result};
use crate::object::metadata_signing::{
    WhiteSpace, is_ambiguous, is_plain_name, is_plain_value, is_user_metadata,
};
use crate::secret::{Credentials, Secret};
use crate::task::Clock;

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// The SHA-256 of an empty body.
const NO_BYTES: HeaderValue =
    HeaderValue::from_static("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
const UNSIGNED: HeaderValue = HeaderValue::from_static("UNSIGNED-PAYLOAD");

/// What a signature covers of the body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signed<'a> {
    /// Its SHA-256.
    Bytes(&'a [u8]),
    /// Nothing: it is streamed, and protected by TLS or by `Content-MD5`.
    Unsigned,
}

/// Signs requests with one pair of access and secret keys.
pub(super) struct Signer {
    keys: Credentials,
    region: String,
    clock: Clock,
    /// Shared data of the second in which the last request was signed.
    last: Mutex<Option<Arc<Moment>>>,
}

/// What all signatures of one second share.
struct Moment {
    second: i64,
    /// `YYYYMMDDTHHMMSSZ`.
    stamp: String,
    day: Arc<Day>,
}

/// What all signatures of one day share.
struct Day {
    /// `YYYYMMDD/region/s3/aws4_request`.
    scope: String,
    /// Initialised with the signing key of the day.
    mac: Hmac<Sha256>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.region)
    }
}

impl Signer {
    pub const fn new(keys: Credentials, region: String, clock: Clock) -> Self {
        Self {
            keys,
            region,
            clock,
            last: Mutex::new(None),
        }
    }

    /// The time of the clock.
    pub fn now(&self) -> SystemTime {
        let millis = u64::try_from(self.clock.now().0).unwrap_or(0);
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// Removes the access key from a text of the other side, which may repeat it.
    pub fn redact(&self, text: String) -> String {
        let key = self.keys.access_key.expose();
        if key.is_empty() || !text.contains(key) {
            return text;
        }
        text.replace(key, "***")
    }

    /// Adds `authorization`, `x-amz-date` and `x-amz-content-sha256` to `headers`. These headers are signed: `host`,
    /// which must be present, `x-amz-*`, `content-md5`, and a `content-type` that all implementations sign alike. White
    /// space in user metadata is signed by `rule`. The values themselves are not changed. The path and the query of
    /// `url` must be percent-encoded as SigV4 requires: once, with everything encoded but unreserved characters and the
    /// `/` in the path.
    ///
    /// # Errors
    /// `InvalidArgument` if the access key or a signed header has characters that cannot be signed.
    pub fn sign(
        &self,
        method: &str,
        url: &str,
        headers: &mut HeaderMap,
        body: Signed<'_>,
        rule: WhiteSpace,
    ) -> Result<Readings> {
        let moment = self.moment()?;
        let stamp = HeaderValue::from_str(&moment.stamp);
        headers.insert(AMZ_DATE, stamp.map_err(|_| Error::internal("write the date"))?);
        headers.insert(AMZ_CONTENT_SHA256, content_hash(body)?);
        let (form, names, readings) = canonical(method, url, headers, rule)?;
        let signature = moment.sign(&form);
        let text = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={names}, Signature={signature}",
            self.keys.access_key.expose(),
            moment.day.scope,
        );
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| Error::invalid("the access key holds characters that cannot be sent"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(readings)
    }

    /// What all signatures of the current second share.
    fn moment(&self) -> Result<Arc<Moment>> {
        let second = self.clock.now().0.max(0) / 1000;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.second == second) {
            return Ok(Arc::clone(last));
        }
        let time = Timestamp::from_second(second)
            .map_err(|e| Error::internal("tell the time of a signature").with_source(e))?;
        let stamp = time.strftime("%Y%m%dT%H%M%SZ").to_string();
        let date = stamp.split('T').next().unwrap_or_default();
        let day = match last.take() {
            Some(last) if last.day.scope.starts_with(date) => Arc::clone(&last.day),
            _ => Arc::new(Day::new(&self.keys.secret_key, date, &self.region)?),
        };
        let moment = Arc::new(Moment { second, stamp, day });
        *last = Some(Arc::clone(&moment));
        drop(last);
        Ok(moment)
    }
}

impl Day {
    /// Derives the signing key.
    fn new(secret: &Secret, date: &str, region: &str) -> Result<Self> {
        let key = Zeroizing::new(format!("AWS4{}", secret.expose()));
        let mut mac = keyed(key.as_bytes())?;
        for part in [date, region, "s3", "aws4_request"] {
            mac.update(part.as_bytes());
            let key = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
            mac = keyed(&*key)?;
        }
        Ok(Self {
            scope: format!("{date}/{region}/s3/aws4_request"),
            mac,
        })
    }
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>> {
    Hmac::new_from_slice(key).map_err(|_| Error::internal("make a signing key"))
}

impl Moment {
    /// The signature of a canonical request, in hexadecimal digits.
    fn sign(&self, canonical: &str) -> String {
        let mut mac = self.day.mac.clone();
        let hash = Digits::of(&Sha256::digest(canonical.as_bytes()).into());
        for part in [
            "AWS4-HMAC-SHA256\n",
            &self.stamp,
            "\n",
            &self.day.scope,
            "\n",
            hash.text(),
        ] {
            mac.update(part.as_bytes());
        }
        Digits::of(&mac.finalize().into_bytes().into()).text().to_owned()
    }
}

/// 32 bytes in hexadecimal digits.
struct Digits([u8; 64]);

impl Digits {
    fn of(bytes: &[u8; 32]) -> Self {
        let mut digits = [b'0'; 64];
        // It fails only for another length.
        let fits = hex::encode_to_slice(bytes, &mut digits);
        debug_assert_eq!(fits, Ok(()), "64 digits are 32 bytes");
        Self(digits)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn content_hash(body: Signed<'_>) -> Result<HeaderValue> {
    match body {
        Signed::Unsigned => Ok(UNSIGNED),
        Signed::Bytes([]) => Ok(NO_BYTES),
        Signed::Bytes(bytes) => HeaderValue::from_str(Digits::of(&Sha256::digest(bytes).into()).text())
            .map_err(|_| Error::internal("write the hash of a body")),
    }
}

/// The canonical form of a request, the names of its signed headers, and how the server may interpret them.
fn canonical(
    method: &str,
    url: &str,
    headers: &HeaderMap,
    rule: WhiteSpace,
) -> Result<(String, String, Readings)> {
    let mut readings = Readings {
        rule,
        ..Readings::default()
    };
    let mut shown: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(headers.len());
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
            WhiteSpace::Spaces.canonical(text)
        };
        shown.push((name.as_str(), form));
    }
    // A stable sort: several values of one name stay in the order in which they are sent.
    shown.sort_by_key(|(name, _)| *name);

    let (path, query) = path_and_query(url);
    let mut form = String::with_capacity(512 + url.len());
    let mut names = String::with_capacity(128);
    form.extend([method, "\n", path, "\n"]);
    push_query(&mut form, query);
    for (at, (name, value)) in shown.iter().enumerate() {
        if at > 0 && shown[at - 1].0 == *name {
            form.extend([",", value]);
        } else {
            form.extend(["\n", name, ":", value]);
            names.extend([if at == 0 { "" } else { ";" }, name]);
        }
    }
    let hash = headers
        .get(AMZ_CONTENT_SHA256)
        .and_then(|hash| hash.to_str().ok());
    form.extend(["\n\n", &names, "\n", hash.unwrap_or_default()]);
    Ok((form, names, readings))
}

/// The path and the query of a URL, as they are written.
fn path_and_query(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    (if path.is_empty() { "/" } else { path }, query)
}

/// Adds the parameters sorted by name; one without a value gets a `=`.
fn push_query(form: &mut String, query: &str) {
    if query.is_empty() {
        return;
    }
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    for (at, (name, value)) in pairs.into_iter().enumerate() {
        form.extend([if at == 0 { "" } else { "&" }, name, "=", value]);
    }
}

/// How the server may interpret what was signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readings {
    /// The rule by which white space was signed.
    pub rule: WhiteSpace,
    /// Whether another rule gives a different signature.
    pub ambiguous: bool,
    /// Whether there is user metadata that a server may interpret differently, under any rule.
    pub odd: bool,
}

/// Whether a header is signed. S3 requires `host` and `x-amz-*`. A `content-type` that implementations sign differently
/// is left out of the signature, but is sent.
fn is_signed(name: &HeaderName, value: &HeaderValue) -> bool {
    *name == HOST
        || *name == CONTENT_MD5
        || name.as_str().starts_with("x-amz-")
        || (*name == CONTENT_TYPE && is_plain_value(value))
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
