//! What every handler works with.

use std::fmt;
use std::sync::Arc;

use super::origins::Origins;
use super::readiness::Readiness;
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
    readiness: Arc<Readiness>,
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
            readiness: Arc::default(),
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

    pub(super) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    pub(super) fn origins(&self) -> &Origins {
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

    pub(super) fn token(&self) -> &Secret {
        &self.token
    }

    pub(super) fn serves(&self, project: &ProjectId) -> bool {
        self.projects.is_empty() || self.projects.contains(project)
    }
}
