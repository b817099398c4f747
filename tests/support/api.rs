//! The HTTP API on its own port, with a ledger in memory.

use std::net::TcpListener;
use std::sync::Arc;

use oms::api::{ApiState, Origins, serve};
use oms::dispatch::local::LocalDispatch;
use oms::object::clouds::{Catalogue, RequestEndpoints};
use oms::secret::{KEY_LEN, Sealer, Secret};
use oms::service::TaskService;
use oms::task::{ProjectId, UnixMillis};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::documented;
use super::ledger::TestLedger;

/// The token of the service.
pub const TOKEN: &str = "test-token-5d2f";
/// The project that tests work in.
pub const PROJECT: &str = "0215ef11e49d4743be23dd97a1561e91";
/// The time that the service's clock always shows.
pub const NOW: UnixMillis = UnixMillis(1_795_000_100_000);

/// A running API.
pub struct TestApi {
    /// Its ledger.
    pub ledger: Arc<TestLedger>,
    /// `http://127.0.0.1:port`.
    pub base: String,
    client: reqwest::Client,
    shutdown: CancellationToken,
}

/// A response whose body has been read completely.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Asserts status 200 and returns the body.
    #[track_caller]
    pub fn fine(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// Asserts an error response with this status and code, and returns its message.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let body = self.json();
        assert_eq!(body["error_code"], code, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(2), "{self:?}");
        let message = body["error_msg"].as_str().unwrap();
        assert!(!message.is_empty());
        message.to_owned()
    }

    /// A header as text.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}: {self:?}"));
        value.to_str().unwrap()
    }
}

impl TestApi {
    /// Starts an API that serves every project.
    pub async fn new() -> Self {
        Self::serving(Vec::new()).await
    }

    /// Starts an API that serves only these projects.
    pub async fn serving(projects: Vec<ProjectId>) -> Self {
        Self::with(projects, Origins::Own).await
    }

    /// Starts an API that browsers may call from pages of these origins.
    pub async fn open(origins: Origins) -> Self {
        Self::with(Vec::new(), origins).await
    }

    async fn with(projects: Vec<ProjectId>, origins: Origins) -> Self {
        let ledger = Arc::new(TestLedger::default());
        let service = TaskService::new(
            ledger.clone(),
            Arc::new(LocalDispatch::default()),
            Sealer::new(&[7; KEY_LEN]),
            Catalogue::new(RequestEndpoints::Allowed),
            5,
        );
        let state = ApiState::new(Arc::new(service), Secret::new(TOKEN), Arc::new(|| NOW))
            .with_projects(projects)
            .with_origins(origins);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(serve(state, listener, shutdown.clone()));
        Self {
            ledger,
            base,
            client: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .build()
                .unwrap(),
            shutdown,
        }
    }

    /// A request with the token. The test may change it and sends it with [`send`].
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.bare(method, path).header("X-Auth-Token", TOKEN)
    }

    /// A request without a token.
    pub fn bare(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// GET below the project.
    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, &below(path))).await
    }

    /// DELETE below the project.
    pub async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, &below(path))).await
    }

    /// DELETE with a body below the project.
    pub async fn delete_with(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::DELETE, &below(path)).json(body)).await
    }

    /// POST below the project.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::POST, &below(path)).json(body)).await
    }

    /// PUT below the project.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::PUT, &below(path)).json(body)).await
    }

    /// PUT of a raw body below the project, announced as JSON.
    pub async fn put_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        let request = self.request(Method::PUT, &below(path));
        send(request.header("Content-Type", "application/json").body(body)).await
    }
}

/// Sends a request and reads the response. Every test fails on an error response that the API document does not list.
pub async fn send(request: reqwest::RequestBuilder) -> Reply {
    let (client, request) = request.build_split();
    let request = request.unwrap();
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let answer = client.execute(request).await.unwrap();
    let reply = Reply {
        status: answer.status(),
        headers: answer.headers().clone(),
        text: answer.text().await.unwrap(),
    };
    documented::check(&method, &path, &reply);
    reply
}

fn below(path: &str) -> String {
    format!("/v1/{PROJECT}/objectstorage{path}")
}

impl Drop for TestApi {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
