//! A minimal HTTP client, so that the demo uses the API like any other caller.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::net::HttpClient;
use crate::secret::Secret;

/// A caller of the API.
pub struct Client {
    http: HttpClient,
    base: String,
    token: Secret,
}

impl Client {
    /// A caller of the service at `base` with its token.
    pub const fn new(http: HttpClient, base: String, token: Secret) -> Self {
        Self { http, base, token }
    }

    /// Sends a request and returns the JSON of its response, or `Null` if it has no body.
    ///
    /// # Errors
    /// `Unavailable` if there is no response; `Conflict` for one that is not a success, with its text.
    pub async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let text = body.map(|value| value.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("X-Auth-Token", self.token.expose())
            .header(header::CONTENT_TYPE, "application/json")
            .body(
                Full::new(Bytes::from(text))
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            )
            .map_err(|e| Error::internal("the request cannot be built").with_source(e))?;
        let broken = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Unavailable, format!("{method} {path}: {e}")).with_source(e)
        };
        let answer = self.http.request(request).await.map_err(|e| broken(e.into()))?;
        let status = answer.status();
        let bytes = answer
            .into_body()
            .collect()
            .await
            .map_err(|e| broken(e.into()))?
            .to_bytes();
        if status != StatusCode::OK {
            let text = format!("{method} {path}: {status} {}", String::from_utf8_lossy(&bytes));
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| broken(e.into()))
    }
}
