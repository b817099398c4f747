//! Logs: to standard error, for people or as JSON. Never a credential, never a body.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Begins to log. The in-process S3 server is left out: it logs every 404. `RUST_LOG` chooses what, by default `level` for this service and warnings of its libraries.
pub fn start(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,s3s=off,oms={level}")));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that standard error does not take, as on a full disk, is lost: to tell standard error of it would panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // Fails only when logging was begun before, and then it already works.
    match format {
        LogFormat::Text => builder.try_init().unwrap_or_default(),
        LogFormat::Json => builder.json().flatten_event(true).try_init().unwrap_or_default(),
    }
}
