//! `oms workers`: lists the workers that share a ledger.

use std::path::PathBuf;
use std::process::ExitCode;

use super::fleet::Fleet;
use super::log::Log;
use super::process;
use crate::app;
use crate::config::{Config, Flags, Role};
use crate::error::Result;

/// List the workers that share a PostgreSQL ledger.
#[derive(clap::Args)]
pub(super) struct Workers {
    /// TOML file with settings. Flags and `OMS_*` variables override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    fleet: Fleet,
}

impl Workers {
    pub(super) fn run(self, log: &Log) -> Result<ExitCode> {
        log.start();
        let flags = Flags {
            ledger_url: self.fleet.ledger_url,
            nats_url: self.fleet.nats_url,
            ..Flags::default()
        };
        process::run(async |_| {
            let config = Config::load(Role::Worker, self.config.as_deref(), flags)?;
            let (workers, now) = app::workers(&config).await?;
            println!(
                "{:<32} {:<16} {:<10} {:>5} {:>6} {:>5}  LAST WORD",
                "NAME", "ID", "VERSION", "TASKS", "SHARDS", "SLOTS"
            );
            for worker in workers {
                let seconds = now.since(worker.seen_at) / 1_000;
                println!(
                    "{:<32} {:<16} {:<10} {:>5} {:>6} {:>5}  {seconds} s ago",
                    worker.name,
                    worker.worker.to_string(),
                    worker.version,
                    worker.tasks,
                    worker.shards,
                    worker.slots
                );
            }
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
