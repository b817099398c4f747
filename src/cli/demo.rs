//! `oms demo`: the service with two S3 servers in one process.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::log::Log;
use super::process;
use crate::config;
use crate::demo::{self, After};
use crate::error::Result;

/// Try the service: two S3 servers in this process, a task that is stopped and started, a comparison.
#[derive(clap::Args)]
pub(super) struct Demo {
    /// Address and port of the API; port 0 means a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = config::listen_address)]
    listen: SocketAddr,
    /// Exit after the summary, with code 0 only if all objects match. Without it the service runs until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

impl Demo {
    pub(super) fn run(self, log: &Log) -> Result<ExitCode> {
        let Self { listen, exit } = self;
        let after = if exit { After::Exit } else { After::Serve };
        log.start_quietly();
        let matched = process::run(async |shutdown| demo::run(listen, after, shutdown).await)?;
        Ok(if matched {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
