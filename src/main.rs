//! The command line. Only this file exits the process.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;
use oms::api;
use oms::app::{App, TokenOrigin};
use oms::config::{self, Config};
#[cfg(feature = "demo")]
use oms::demo;
use oms::engine::sync_points::SyncPoints;
use oms::error::{Error, ErrorKind, Result};
use oms::task::Clock;
use oms::telemetry::{self, LogFormat};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "demo")]
macro_rules! demo_example {
    () => {
        "  oms demo                                  try it, with two S3 servers inside this process\n"
    };
}
#[cfg(not(feature = "demo"))]
macro_rules! demo_example {
    () => {
        ""
    };
}

/// Shown after the help of the program.
const EXAMPLES: &str = concat!(
    "Examples:\n",
    demo_example!(),
    "  oms serve                                 listen on 127.0.0.1:8080, reach stores on the public internet\n",
    "  oms serve --allow-network 10.0.0.7        reach a store at 10.0.0.7 too, also over plain HTTP\n",
    "  oms openapi v1 > v1.json                  the API's document, for generators of clients"
);

/// Shown after the help of `serve`.
const SETTINGS: &str = "\
Each setting can also stand in the file of --config, by its name without dashes, or in a variable OMS_*:
  OMS_LISTEN=0.0.0.0:8080 OMS_ALLOW_NETWORKS=10.0.0.0/8,192.168.0.7 oms serve
Later sources override earlier ones: defaults, file, variables, flags. The README lists all settings.

On SIGTERM or Ctrl-C running tasks save their progress. They resume at the next start, without new credentials.";

/// `SIGXFSZ`, the signal for a write beyond a file size limit (`ulimit -f`, `LimitFSIZE=`).
const FILE_TOO_LARGE: i32 = 25;

/// Object storage migration as a service. Copies buckets between S3-compatible stores, and resumes paused or failed
/// tasks with fresh credentials.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Args {
    #[command(subcommand)]
    command: Command,
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    log_format: Format,
    /// What to log of this service: error, warn, info, debug or trace. `RUST_LOG` overrides it.
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
    /// Try the service: two S3 servers in this process, a task that is stopped and started, a comparison.
    #[cfg(feature = "demo")]
    Demo {
        /// Address and port of the API; port 0 means a free one.
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = config::listen_address)]
        listen: SocketAddr,
        /// Exit after the summary, with code 0 only if all objects match. Without it the service runs until Ctrl-C.
        #[arg(long)]
        exit: bool,
    },
    /// Print the OpenAPI document of the API, in JSON.
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
#[command(after_help = SETTINGS)]
struct Serve {
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
            #[cfg(feature = "demo")]
            Command::Demo { listen, exit } => {
                // The demo prints its own output, so only errors are logged.
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
    if !serve.cors_origin.is_empty() {
        api::Origins::parse("--cors-origin", &serve.cors_origin)?;
        config.cors_origins = serve.cors_origin;
    }
    config.ca_file = serve.ca_file.or(config.ca_file);

    let listener = listen_on(config.listen)?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::internal("no local address").with_source(e))?;
    let app = App::build(&config, Clock::system(), SyncPoints::default()).await?;
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
    app.run(listener, shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

fn listen_on(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let port = address.port();
        let what = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {port} is in use; choose another with --listen, for example --listen {}, or port 0 for a free one",
                SocketAddr::new(address.ip(), if port == u16::MAX { 8080 } else { port + 1 })
            ),
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; 127.0.0.1 is reached from this machine alone, 0.0.0.0 from others too"
                    .to_owned()
            }
            std::io::ErrorKind::PermissionDenied => format!(
                "port {port} may not be used by this user; choose one above 1023, for example --listen {}",
                SocketAddr::new(address.ip(), 8080)
            ),
            _ => error.to_string(),
        };
        Error::new(ErrorKind::Unavailable, format!("--listen {address}: {what}")).with_source(error)
    })
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
