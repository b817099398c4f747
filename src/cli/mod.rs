//! The command line: one file for each command.
//!
//! A command is a struct of its arguments with a method `run`. To add one, write its file, a variant of `Command`, a line of
//! [`Args::run`], and an example if people begin with it. `process.rs` has what commands that run for long share.

#[cfg(feature = "demo")]
mod demo;
mod deploy;
mod fleet;
mod ledger;
mod listener;
mod log;
mod openapi;
mod process;
mod serve;
mod worker;
mod workers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Result;

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
    "  oms openapi v1 > v1.json                  the API's document, for generators of clients\n",
    "  oms deploy compose > compose.yaml         many processes, with PostgreSQL and NATS"
);

/// Object storage migration as a service. Copies buckets between S3-compatible stores, and resumes paused or failed
/// tasks with fresh credentials.
#[derive(Parser)]
#[command(version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: log::Log,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Serve),
    Worker(worker::Worker),
    Workers(workers::Workers),
    Ledger(ledger::Ledger),
    #[cfg(feature = "demo")]
    Demo(demo::Demo),
    Openapi(openapi::Openapi),
    Deploy(deploy::Deploy),
}

impl Args {
    /// Runs the command. Returns the exit code of the process.
    ///
    /// # Errors
    /// Whatever ends the command early. The message is for the person who typed it.
    pub fn run(self) -> Result<ExitCode> {
        let Self { command, log } = self;
        match command {
            Command::Serve(serve) => serve.run(&log),
            Command::Worker(worker) => worker.run(&log),
            Command::Workers(workers) => workers.run(&log),
            Command::Ledger(ledger) => ledger.run(&log),
            #[cfg(feature = "demo")]
            Command::Demo(demo) => demo.run(&log),
            Command::Openapi(openapi) => Ok(openapi.run()),
            Command::Deploy(deploy) => deploy.run(),
        }
    }
}
