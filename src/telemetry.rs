//! Logs to standard error, as text or as JSON. They never contain credentials or bodies.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. `RUST_LOG` selects what is logged; the default is `level` for this service, and warnings for its
/// libraries. The in-process S3 server is left out, because it logs every 404.
pub fn start(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,s3s=off,oms={level}")));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // If standard error cannot be written, as on a full disk, the line is lost. Reporting that to standard error
        // would panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // Fails only if logging was started before; then it already works.
    match format {
        LogFormat::Text => builder.try_init().unwrap_or_default(),
        LogFormat::Json => builder.json().flatten_event(true).try_init().unwrap_or_default(),
    }
}
