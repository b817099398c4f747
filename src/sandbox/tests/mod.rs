//! Tests of the sandbox over real HTTP, with requests signed by the AWS library.

mod faults;
mod keys;
mod objects;
mod uploads;

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Sandbox, SandboxOptions};

const BUCKET: &str = "test-bucket";

/// Characters that SigV4 does not encode in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

fn path_of(key: &str) -> String {
    format!("/{BUCKET}/{}", utf8_percent_encode(key, PATH))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A complete response.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// The contents of all elements of this name, unescaped.
    fn all(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let inner = text
            .split(&open)
            .skip(1)
            .map(|rest| rest.split_once(&close).unwrap().0);
        inner
            .map(|inner| quick_xml::escape::unescape(inner).unwrap().into_owned())
            .collect()
    }

    fn one(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    fn code(&self) -> String {
        self.one("Code").unwrap_or_default()
    }
}

/// A client that does nothing automatically: no retries, no normalisation.
struct Client {
    http: HyperClient<HttpConnector, Full<Bytes>>,
    endpoint: String,
    access_key: String,
    secret_key: String,
    payload: Option<SignableBody<'static>>,
}

impl Client {
    fn new(sandbox: &Sandbox) -> Self {
        Self {
            http: HyperClient::builder(TokioExecutor::new())
                .retry_canceled_requests(false)
                .build_http(),
            endpoint: sandbox.endpoint(),
            access_key: sandbox.access_key().to_owned(),
            secret_key: sandbox.secret_key().to_owned(),
            payload: None,
        }
    }

    fn sign(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Request<Full<Bytes>> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = Credentials::new(&self.access_key, &self.secret_key, None, None, "test").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region("us-east-1")
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("{}{path}", self.endpoint);
        let payload = self.payload.clone().unwrap_or(SignableBody::Bytes(&body));
        let metadata_signing =
            SignableRequest::new(method, uri.clone(), headers.iter().copied(), payload).unwrap();
        let (instructions, _) = sign(metadata_signing, &params).unwrap().into_parts();
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut request = request.body(Full::new(body.clone())).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, Failure> {
        Ok(self
            .http
            .request(self.sign(method, path, headers, body.into()))
            .await?)
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, Failure> {
        let (parts, body) = self.send(method, path, headers, body).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    }

    async fn get(&self, key: &str, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", &path_of(key), headers, "").await.unwrap()
    }

    async fn put(&self, key: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.call("PUT", &path_of(key), headers, body).await.unwrap()
    }

    async fn query(&self, query: &str) -> Answer {
        self.call("GET", &format!("/{BUCKET}?{query}"), &[], "")
            .await
            .unwrap()
    }
}

async fn start(options: SandboxOptions) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(options).await.unwrap();
    sandbox.create_bucket(BUCKET);
    let client = Client::new(&sandbox);
    (sandbox, client)
}

async fn plain() -> (Sandbox, Client) {
    start(SandboxOptions::default()).await
}

#[tokio::test]
async fn signatures_are_checked() {
    let (sandbox, mut client) = plain().await;
    client.secret_key.push('x');
    let answer = client.put("k", &[], "data").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "SignatureDoesNotMatch")
    );
    client.access_key.push('x');
    let answer = client.put("k", &[], "data").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (403, "InvalidAccessKeyId")
    );
    let unsigned = Request::get(format!("{}/{BUCKET}", sandbox.endpoint()))
        .body(Full::default())
        .unwrap();
    assert_eq!(client.http.request(unsigned).await.unwrap().status(), 403);
    assert!(sandbox.keys(BUCKET).is_empty());
}

#[tokio::test]
async fn stop_ends_connections() {
    let (sandbox, client) = plain().await;
    sandbox.put(BUCKET, "k", super::SandboxObject::new(vec![0; 64 << 20]));
    let mut answer = client
        .send("GET", &path_of("k"), &[], "")
        .await
        .unwrap()
        .into_body();
    answer.frame().await.unwrap().unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(5), sandbox.stop())
        .await
        .unwrap();
    assert!(answer.collect().await.is_err());
    assert!(client.send("GET", &path_of("k"), &[], "").await.is_err());
}
