//! `oms worker`: a worker without an API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ipnet::IpNet;

use super::fleet::Fleet;
use super::listener::listen_on;
use super::log::Log;
use super::process;
use crate::app;
use crate::config::{self, Config, Flags, Role};
use crate::engine::sync_points::SyncPoints;
use crate::error::{Error, Result};

/// Shown after the help.
const EXAMPLE: &str = "\
Example, with the password and the sealing key in the environment:
  OMS_LEDGER_URL=postgres://oms:...@db.internal/oms OMS_SEAL_KEY=... oms worker --allow-network 10.0.0.0/8

All processes that share a ledger need the same sealing key and the same version of oms. `oms serve` makes the schema.
On SIGTERM or Ctrl-C the worker saves its progress, and others go on with its work.";

/// Run a worker: it takes part in the tasks of a PostgreSQL ledger that several processes share.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Worker {
    /// Address and port of /livez and /readyz; port 0 means a free one [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = config::listen_address)]
    listen: Option<SocketAddr>,
    /// TOML file with settings. Flags and `OMS_*` variables override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Network or address of stores outside the public internet, such as 10.0.0.0/8 or 10.0.0.7. May be given several
    /// times. Without it, only public addresses are reached, and only over HTTPS.
    #[arg(long = "allow-network", value_name = "NETWORK", value_parser = config::network)]
    allow_network: Vec<IpNet>,
    /// PEM file of authorities whose certificates are trusted in addition to the roots of this machine.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    fleet: Fleet,
}

impl Worker {
    pub(super) fn run(self, log: &Log) -> Result<ExitCode> {
        log.start();
        let flags = Flags {
            listen: self.listen,
            allow_networks: self.allow_network,
            ca_file: self.ca_file,
            ledger_url: self.fleet.ledger_url,
            nats_url: self.fleet.nats_url,
            ..Flags::default()
        };
        process::run(async |shutdown| {
            let config = Config::load(Role::Worker, self.config.as_deref(), flags)?;
            let listener = listen_on(config.listen)?;
            let worker = app::Worker::build(&config, SyncPoints::default()).await?;
            let address = listener
                .local_addr()
                .map_err(|e| Error::internal("no local address").with_source(e))?;
            println!(
                "oms worker {} is ready; http://{address}/readyz",
                config.worker_name()
            );
            worker.run(listener, shutdown).await
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
