//! What commands share that run until they are stopped: a runtime, and the signals that stop it.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};

/// `SIGXFSZ`, the signal for a write beyond a file size limit (`ulimit -f`, `LimitFSIZE=`).
const FILE_TOO_LARGE: i32 = 25;

/// Runs `work` to its end on a new runtime. Its argument is a token that is cancelled by SIGTERM or SIGINT.
///
/// # Errors
/// `Internal` if the process cannot have a runtime or receive signals, and the errors of `work`.
pub(super) fn run<T>(work: impl AsyncFnOnce(CancellationToken) -> Result<T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the runtime cannot start").with_source(error))?;
    runtime.block_on(async { work(on_signal()?).await })
}

/// A token that is cancelled by SIGTERM or SIGINT.
fn on_signal() -> Result<CancellationToken> {
    let failed = |error| Error::internal("signals cannot be received").with_source(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // Once this signal is handled, it no longer ends the process. The write fails instead, and is reported like any
    // other error.
    drop(signal(SignalKind::from_raw(FILE_TOO_LARGE)).map_err(failed)?);
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    // Ends with the runtime, which ends with the process.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}
