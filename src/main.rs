//! The command line; the only place that exits.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use oms::app::{App, TokenOrigin};
use oms::config::Config;
use oms::engine::hooks::Hooks;
use oms::error::{Error, ErrorKind, Result};
use oms::task::Clock;
use oms::telemetry::{self, LogFormat};
use oms::{api, demo};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `SIGXFSZ`, which a write beyond a limit on the size of files (`ulimit -f`, `LimitFSIZE=`) sends.
const FILE_TOO_LARGE: i32 = 25;

/// Object storage migration as a service: copies buckets between S3-compatible stores, and brings paused or failed
/// tasks to their end.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// What to log of this service: error, warn, info, debug or trace. `RUST_LOG` has the finer say.
    #[arg(long, global = true, default_value = "info", value_parser = ["error", "warn", "info", "debug", "trace"])]
    log_level: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: HTTP API and worker in one process.
    Serve(Serve),
    /// Show everything at once: two S3 servers in this process, a task that is stopped and started, a comparison.
    Demo {
        /// Where the service listens; a free port by default.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// End after the summary, with exit code 0 only if everything matched.
        #[arg(long)]
        exit: bool,
    },
    /// Print the OpenAPI document of a version of the API.
    Openapi {
        /// Version of the API.
        #[arg(value_parser = ["v1"])]
        version: String,
        /// Version of OpenAPI to write it in: 3.1, or 3.0 for older tools.
        #[arg(long, value_name = "VERSION", value_enum, default_value_t = Rendering::V31)]
        openapi: Rendering,
    },
}

/// Versions of OpenAPI.
#[derive(Clone, Copy, ValueEnum)]
enum Rendering {
    /// OpenAPI 3.1.
    #[value(name = "3.1")]
    V31,
    /// OpenAPI 3.0.3.
    #[value(name = "3.0")]
    V30,
}

#[derive(clap::Args)]
struct Serve {
    /// Address and port of the API [default: 127.0.0.1:8080].
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Where the ledger, the token and the sealing key are kept [default: ./oms-data].
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// A TOML file with settings; flags and `OMS_*` variables override it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A network, such as 10.0.0.0/8 or 127.0.0.1/32, in which stores may be; may be given several times.
    /// Without it only stores on the public internet are reached, and only over HTTPS.
    #[arg(long = "allow-network", value_name = "CIDR")]
    allow_network: Vec<IpNet>,
    /// A PEM file of authorities whose certificates are trusted besides the roots of this machine.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("oms: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    if let Command::Openapi { version: _, openapi } = &args.command {
        let rendering = match openapi {
            Rendering::V31 => api::docs::Rendering::V31,
            Rendering::V30 => api::docs::Rendering::V30,
        };
        print!("{}", api::docs::document_v1_json(rendering));
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the runtime cannot start").with_source(error))?;
    let format = match args.log_format {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    runtime.block_on(async {
        let shutdown = on_signal()?;
        match args.command {
            Command::Serve(serve) => {
                telemetry::start(format, &args.log_level);
                serve_until(serve, shutdown).await
            }
            Command::Demo { listen, exit } => {
                // The demo speaks for itself; of the log only what went wrong matters.
                let level = if args.log_level == "info" {
                    "error"
                } else {
                    &args.log_level
                };
                telemetry::start(format, level);
                let after = if exit {
                    demo::After::Exit
                } else {
                    demo::After::Serve
                };
                let matched = demo::run(listen, after, shutdown).await?;
                Ok(if matched {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
            Command::Openapi { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn serve_until(serve: Serve, shutdown: CancellationToken) -> Result<ExitCode> {
    let mut config = Config::load(serve.config.as_deref())?;
    if let Some(listen) = serve.listen {
        config.listen = listen;
    }
    if let Some(data_dir) = serve.data_dir {
        config.data_dir = data_dir;
    }
    config.allow_networks.extend(serve.allow_network);
    config.ca_file = serve.ca_file.or(config.ca_file);

    let listener = listen_on(config.listen)?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::internal("no local address").with_source(e))?;
    let app = App::build(&config, Clock::system(), Hooks::default()).await?;
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
    if config.allow_networks.is_empty() {
        println!("  stores         public internet over HTTPS only (--allow-network opens more)");
    } else {
        let networks: Vec<String> = config.allow_networks.iter().map(ToString::to_string).collect();
        println!(
            "  stores         public internet over HTTPS, and {}",
            networks.join(", ")
        );
    }
    app.run(listener, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

fn listen_on(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("--listen {address}: {error}")).with_source(error)
    })
}

/// A token that SIGTERM or SIGINT cancels.
fn on_signal() -> Result<CancellationToken> {
    let failed = |error| Error::internal("signals cannot be received").with_source(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    // Once it was received here, it ends the process no more: the write fails instead, and is reported like any other.
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
