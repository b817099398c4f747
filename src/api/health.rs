//! For supervisors: `/livez` (the process answers) and `/readyz` (the ledger can be written). Neither wants a token.

use actix_web::{HttpResponse, web};

use super::error::ApiError;
use super::state::ApiState;

/// Paths of this module, for [`super::fallback`].
pub const PATHS: &[&str] = &["/livez", "/readyz"];

/// `GET /livez`.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok\n")
}

/// `GET /readyz`. An answer holds for a second.
///
/// # Errors
/// 503 or 500 when the ledger cannot be written.
pub async fn readyz(state: web::Data<ApiState>) -> Result<HttpResponse, ApiError> {
    let (now, service) = (state.now(), state.service());
    state.readiness().check(now, || service.ping()).await?;
    Ok(livez().await)
}
