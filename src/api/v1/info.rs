//! Quotas and versions on the wire.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

/// The domain.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path; `InDomain` reads it")]
pub struct DomainPath {
    /// Account that the quotas are asked for; they are the same for all.
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_-]+$",
        example = "0215ef11e49d4743be23dd97a1561e91"
    )]
    domain_id: String,
}

/// The quotas.
#[derive(Serialize, ToSchema)]
pub struct Quotas {
    /// The quotas.
    quotas: QuotaResources,
}

/// The resources that have a quota.
#[derive(Serialize, ToSchema)]
pub struct QuotaResources {
    /// The one resource that has a quota.
    resource: Quota,
}

/// A quota.
#[derive(Serialize, ToSchema)]
pub struct Quota {
    /// What is limited: tasks that run at the same time.
    #[serde(rename = "type")]
    #[schema(examples("MaxParallelTaskNum"))]
    kind: String,
    /// The limit.
    #[schema(minimum = 0, examples(5))]
    quota: u32,
}

impl Quotas {
    /// Shows how many tasks run at the same time.
    #[must_use]
    pub fn new(parallel_tasks: u32) -> Self {
        Self {
            quotas: QuotaResources {
                resource: Quota {
                    kind: "MaxParallelTaskNum".to_owned(),
                    quota: parallel_tasks,
                },
            },
        }
    }
}

/// The versions of the API.
#[derive(Serialize, ToSchema)]
pub struct Versions {
    /// The versions that the service speaks.
    versions: Vec<Version>,
}

/// A version of the API.
#[derive(Serialize, ToSchema)]
pub struct Version {
    /// Name of the version, as in paths.
    #[schema(examples("v1"))]
    id: String,
    /// Where it is.
    links: Vec<Link>,
    /// Lowest minor version; empty, because there are none.
    min_version: String,
    /// `CURRENT` for the recommended version.
    #[schema(examples("CURRENT"))]
    status: String,
    /// When the version was published.
    #[schema(examples("2017-01-01T00:00:00Z"))]
    updated: String,
    /// Highest minor version; empty, because there are none.
    version: String,
}

/// A link.
#[derive(Serialize, ToSchema)]
pub struct Link {
    /// Path.
    #[schema(examples("/v1"))]
    href: String,
    /// What the link leads to.
    #[schema(examples("self"))]
    rel: String,
}

impl Versions {
    /// The versions that this service speaks.
    #[must_use]
    pub fn of_this_service() -> Self {
        let version = Version {
            id: "v1".to_owned(),
            links: vec![Link {
                href: "/v1".to_owned(),
                rel: "self".to_owned(),
            }],
            min_version: String::new(),
            status: "CURRENT".to_owned(),
            updated: "2017-01-01T00:00:00Z".to_owned(),
            version: String::new(),
        };
        Self {
            versions: vec![version],
        }
    }
}
