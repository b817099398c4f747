//! Options of every command that logs.

use clap::ValueEnum;

use crate::telemetry::{self, LogFormat};

/// The level without an option.
const DEFAULT_LEVEL: &str = "info";

/// How and what to log.
#[derive(clap::Args)]
pub(super) struct Log {
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// What to log of this service: error, warn, info, debug or trace. `RUST_LOG` overrides it.
    #[arg(long, global = true, default_value = DEFAULT_LEVEL, value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Log {
    /// Starts logging.
    pub(super) fn start(&self) {
        self.start_at(&self.log_level);
    }

    /// Starts logging for a command that prints its own output: only errors, unless the user asks for another level.
    #[cfg(feature = "demo")]
    pub(super) fn start_quietly(&self) {
        self.start_at(if self.log_level == DEFAULT_LEVEL {
            "error"
        } else {
            &self.log_level
        });
    }

    fn start_at(&self, level: &str) {
        let format = match self.log_format {
            Format::Text => LogFormat::Text,
            Format::Json => LogFormat::Json,
        };
        telemetry::start(format, level);
    }
}
