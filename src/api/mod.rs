//! The HTTP API: routes, documents, authentication, and the translation of errors.
//!
//! Handlers take a request apart, make one call of [`TaskService`], and put the answer together; they decide nothing.
//! The types of the wire stay in here.

pub mod answers;
pub mod assets;
pub mod auth;
pub mod closing;
pub mod codes;
pub mod cors;
pub mod docs;
pub mod error;
pub mod extract;
pub mod fallback;
pub mod front;
pub mod health;
pub mod idempotency;
pub mod json;
pub mod query;
mod server;
pub mod swagger;
pub mod track;
pub mod v1;

use std::fmt;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, guard, web};
use utoipa_actix_web::AppExt;

pub use self::cors::Origins;
pub use self::server::serve;
use crate::secret::Secret;
use crate::service::TaskService;
use crate::task::{ProjectId, UnixMillis};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    service: Arc<TaskService>,
    token: Secret,
    clock: Clock,
    projects: Arc<[ProjectId]>,
    origins: Origins,
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
            origins: Origins::Own,
        }
    }

    /// Serves these projects only; an empty list serves every one.
    #[must_use]
    pub fn with_projects(mut self, projects: Vec<ProjectId>) -> Self {
        self.projects = projects.into();
        self
    }

    /// Lets web pages of these origins call.
    #[must_use]
    pub fn with_origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    fn origins(&self) -> &Origins {
        &self.origins
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

/// The application: every route and every middleware; the last one wrapped is the outermost.
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
    let page = |path: &'static str| web::resource(path).guard(guard::Get());
    app.app_data(web::Data::new(state))
        .app_data(web::Data::new(templates))
        .service(page("/livez").to(health::livez))
        .service(page("/readyz").to(health::readyz))
        .service(page(docs::V1_PATH).to(docs::v1_json))
        .service(page("/").to(swagger::redirect))
        .service(page("/swagger-ui").to(swagger::redirect))
        .service(page(swagger::FILES).to(swagger::file))
        .default_service(web::to(fallback::fallback))
        .wrap(from_fn(front::complete))
        .wrap(from_fn(cors::cors))
        .wrap(from_fn(track::track))
        .wrap(from_fn(closing::keep))
}
