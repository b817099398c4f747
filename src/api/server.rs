//! The listening server around the application.

use std::net::TcpListener;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::Server;
use actix_service::{IntoServiceFactory as _, ServiceFactoryExt as _, map_config};
use actix_web::dev::AppConfig;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::closing::Connections;
use super::routes::app;
use super::state::ApiState;
use crate::error::{Error, ErrorKind, Result};

/// Threads that answer requests: the API is small beside the copying.
const WORKERS: usize = 2;
/// How long requests in progress may take after the stop was asked for.
const SHUTDOWN_SECONDS: u64 = 5;
/// How long a client may take for the head of its first request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection without a request is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a connection that is being closed is read, so that its client sees the answer and not a reset.
const LINGER: Duration = Duration::from_secs(1);

/// Answers requests on `listener` until `shutdown`, then finishes those in progress.
///
/// Put together from the parts of `actix_web::HttpServer`, which has one signal for all connections where
/// [`super::closing`] needs one for each.
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
    let server = Server::build()
        .workers(WORKERS)
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_SECONDS);
    let ending = server.graceful_shutdown_signal();
    let server = server
        .listen("api", listener, move || {
            let connections = Connections::default();
            let (opened, ending) = (connections.clone(), ending.clone());
            let app = app(state.clone())
                .into_factory()
                .map_err(|error| error.error_response());
            HttpService::build()
                .graceful_shutdown_signal(move || {
                    let ending = ending.clone();
                    connections.draining(async move { ending.notified().await })
                })
                .on_connect_ext(move |_: &TcpStream, shared| opened.opened(shared))
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD_TIMEOUT)
                .client_disconnect_timeout(LINGER)
                .finish(map_config(app, |()| AppConfig::default()))
                .tcp()
        })
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
