//! The command line. Only this file exits the process.

use std::process::ExitCode;

use clap::Parser as _;
use oms::cli::Args;

fn main() -> ExitCode {
    match Args::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("oms: {error}");
            ExitCode::FAILURE
        }
    }
}
