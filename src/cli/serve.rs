//! `oms serve`: the service.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use super::fleet::Fleet;
use super::listener::listen_on;
use super::log::Log;
use super::process;
use crate::app::{App, TokenOrigin};
use crate::config::{self, Config, Flags, Role, Work};
use crate::engine::sync_points::SyncPoints;
use crate::error::{Error, Result};
use crate::task::Clock;

/// Shown after the help.
const SETTINGS: &str = "\
Each setting can also stand in the file of --config, by its name without dashes, or in a variable OMS_*:
  OMS_LISTEN=0.0.0.0:8080 OMS_ALLOW_NETWORKS=10.0.0.0/8,192.168.0.7 oms serve
Later sources override earlier ones: defaults, file, variables, flags. The README and the guide list all settings.

On SIGTERM or Ctrl-C running tasks save their progress. They resume at the next start, without new credentials.";

/// Run the service: HTTP API and worker in one process.
#[derive(clap::Args)]
#[command(after_help = SETTINGS)]
pub(super) struct Serve {
    /// Address and port of the API, such as 127.0.0.1:8080, localhost:8080 or 0.0.0.0:8080; port 0 means a free one
    /// [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = config::listen_address)]
    listen: Option<SocketAddr>,
    /// Folder of the ledger, the API token and the sealing key; made at the first start [default: ./oms-data].
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// TOML file with settings. Flags and `OMS_*` variables override it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Network or address of stores outside the public internet, such as 10.0.0.0/8 or 10.0.0.7. May be given several
    /// times. Without it, only public addresses are reached, and only over HTTPS.
    #[arg(long = "allow-network", value_name = "NETWORK", value_parser = config::network)]
    allow_network: Vec<IpNet>,
    /// Origin whose web pages may call the API, such as https://console.example.com, or `*` for all. May be given
    /// several times. Without it, only pages of this service may.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// PEM file of authorities whose certificates are trusted in addition to the roots of this machine.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    fleet: Fleet,
    /// Only the API: other processes work on the tasks. Needs --ledger-url.
    #[arg(long)]
    no_worker: bool,
}

impl Serve {
    pub(super) fn run(self, log: &Log) -> Result<ExitCode> {
        log.start();
        process::run(async |shutdown| {
            let config = self.configure()?;
            serve(&config, shutdown).await
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn configure(self) -> Result<Config> {
        let flags = Flags {
            listen: self.listen,
            data_dir: self.data_dir,
            allow_networks: self.allow_network,
            cors_origins: self.cors_origin,
            ca_file: self.ca_file,
            ledger_url: self.fleet.ledger_url,
            nats_url: self.fleet.nats_url,
            work: self.no_worker.then_some(Work::Elsewhere),
        };
        Config::load(Role::Serve, self.config.as_deref(), flags)
    }
}

async fn serve(config: &Config, shutdown: CancellationToken) -> Result<()> {
    let listener = listen_on(config.listen)?;
    let app = App::build(config, Clock::system(), SyncPoints::default()).await?;
    announce(config, &app, &listener)?;
    app.run(listener, shutdown).await
}

/// Prints where the service listens, and what it may reach.
fn announce(config: &Config, app: &App, listener: &TcpListener) -> Result<()> {
    let address = listener
        .local_addr()
        .map_err(|e| Error::internal("no local address").with_source(e))?;
    println!("oms listens on http://{address}");
    println!("  API documents  http://{address}/swagger-ui/");
    let file = config.data_dir.join("token");
    match app.token_origin() {
        TokenOrigin::Made => {
            println!(
                "  X-Auth-Token   {} (made now, kept in {})",
                app.token().expose(),
                file.display()
            );
        }
        TokenOrigin::File => println!("  X-Auth-Token   in {}", file.display()),
        TokenOrigin::Configured => println!("  X-Auth-Token   as configured"),
    }
    if !config.cors_origins.is_empty() {
        println!("  web pages      of {} may call", config.origins()?);
    }
    if config.allow_networks.is_empty() {
        println!("  stores         public internet over HTTPS only (--allow-network opens more)");
    } else {
        let networks: Vec<String> = config.allow_networks.iter().map(ToString::to_string).collect();
        println!(
            "  stores         public internet over HTTPS, and {}",
            networks.join(", ")
        );
    }
    Ok(())
}
