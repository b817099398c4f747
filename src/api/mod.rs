//! The HTTP API: routes, documents, authentication, and the translation of errors.
//!
//! Handlers take a request apart, make one call of [`TaskService`](crate::service::TaskService), and put the answer together;
//! they decide nothing. The types of the wire stay in here.

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
pub mod health;
pub mod idempotency;
pub mod json;
mod origins;
pub mod query;
mod readiness;
pub mod rewrite;
mod routes;
mod sentences;
mod server;
mod state;
pub mod swagger;
pub mod track;
pub mod v1;

pub use self::health::serve_health;
pub use self::origins::Origins;
pub use self::routes::app;
pub use self::server::serve;
pub use self::state::{ApiState, Clock};
