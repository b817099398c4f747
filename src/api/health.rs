//! For supervisors: `/livez` (the process answers) and `/readyz` (the ledger can be written). Neither needs a token.

use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::readiness::Readiness;
use super::state::ApiState;
use crate::error::{Error, ErrorKind, Result as OmsResult};
use crate::task::UnixMillis;

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

/// Asks whether the ledger can be written.
type Ask = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = OmsResult<()>> + Send>> + Send + Sync>;

/// What the server of a worker needs.
#[derive(Clone)]
struct WorkerHealth {
    ask: Ask,
    now: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
    readiness: Arc<Readiness>,
}

async fn worker_readyz(state: web::Data<WorkerHealth>) -> Result<HttpResponse, ApiError> {
    let now = (state.now)();
    state.readiness.check(now, || (state.ask)()).await?;
    Ok(livez().await)
}

/// Answers `/livez` and `/readyz` of a worker, which has no API, until `shutdown`.
///
/// # Errors
/// `Unavailable` when the listener cannot be used.
pub async fn serve_health<F: Future<Output = OmsResult<()>> + Send + 'static>(
    ask: impl Fn() -> F + Send + Sync + 'static,
    now: impl Fn() -> UnixMillis + Send + Sync + 'static,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> OmsResult<()> {
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Unavailable, "the HTTP server cannot listen").with_source(error)
    };
    let state = WorkerHealth {
        ask: Arc::new(move || Box::pin(ask())),
        now: Arc::new(now),
        readiness: Arc::default(),
    };
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(state.clone()))
            .route("/livez", web::get().to(livez))
            .route("/readyz", web::get().to(worker_readyz))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
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
