//! The HTTP API: routes, documents, authentication, and the translation of errors.
//!
//! Handlers take a request apart, make one call of [`TaskService`], and put the answer together; they decide nothing.
//! The types of the wire stay in here.

pub mod answers;
pub mod assets;
pub mod auth;
pub mod codes;
pub mod docs;
pub mod error;
pub mod extract;
pub mod fallback;
pub mod health;
pub mod json;
pub mod query;
pub mod swagger;
pub mod track;
pub mod v1;

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, guard, web};
use tokio_util::sync::CancellationToken;
use utoipa_actix_web::AppExt;

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::service::TaskService;
use crate::task::{ProjectId, UnixMillis};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// Threads that answer requests: the API is small beside the copying.
const WORKERS: usize = 2;
/// How long requests in progress may take after the stop was asked for.
const SHUTDOWN_SECONDS: u64 = 5;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    service: Arc<TaskService>,
    token: Secret,
    clock: Clock,
    projects: Arc<[ProjectId]>,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState")
            .field("projects", &self.projects)
            .finish_non_exhaustive()
    }
}

impl ApiState {
    /// Puts the state together; every project is served.
    pub fn new(service: Arc<TaskService>, token: Secret, clock: Clock) -> Self {
        Self {
            service,
            token,
            clock,
            projects: Arc::new([]),
        }
    }

    /// Serves these projects only; an empty list serves every one.
    #[must_use]
    pub fn with_projects(mut self, projects: Vec<ProjectId>) -> Self {
        self.projects = projects.into();
        self
    }

    /// What handlers call.
    #[must_use]
    pub fn service(&self) -> &TaskService {
        &self.service
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        (self.clock)()
    }

    fn token(&self) -> &Secret {
        &self.token
    }

    fn serves(&self, project: &ProjectId) -> bool {
        self.projects.is_empty() || self.projects.contains(project)
    }
}

/// The application: every route and every middleware.
pub fn app(
    state: ApiState,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let (app, document) = App::new()
        .into_utoipa_app()
        .openapi(docs::base())
        .service(v1::scope())
        .split_for_parts();
    let others = [health::PATHS, docs::PATHS, swagger::PATHS].concat();
    let templates = fallback::Templates::new(&document, &others);
    let served = docs::ServedDocument::new();
    let readable = || guard::Any(guard::Get()).or(guard::Head());
    let page = |path: &'static str| web::resource(path).guard(readable());
    app.app_data(web::Data::new(state))
        .app_data(web::Data::new(templates))
        .app_data(web::Data::new(served))
        .service(page("/livez").to(health::livez))
        .service(page("/readyz").to(health::readyz))
        .service(page(docs::V1_PATH).to(docs::v1_json))
        .service(page("/").to(swagger::redirect))
        .service(page("/swagger-ui").to(swagger::redirect))
        .service(web::resource(swagger::FILES).guard(readable()).to(swagger::file))
        .default_service(web::to(fallback::fallback))
        .wrap(from_fn(track::track))
}

/// Answers requests on `listener` until `shutdown`, then finishes those in progress.
///
/// # Errors
/// `Unavailable` when the listener cannot be used.
///
/// # Cancel safety
/// Dropping the future ends the server without finishing requests in progress.
pub async fn serve(state: ApiState, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "the HTTP server cannot listen").with_source(error)
    };
    let server = HttpServer::new(move || app(state.clone()))
        .workers(WORKERS)
        .disable_signals()
        .client_request_timeout(HEAD_TIMEOUT)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .listen(listener)
        .map_err(failed)?
        .run();
    let handle = server.handle();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => ended.map_err(failed),
        () = shutdown.cancelled() => {
            let ((), ended) = tokio::join!(handle.stop(true), server);
            ended.map_err(failed)
        }
    }
}
