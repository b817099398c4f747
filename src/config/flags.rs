//! What flags of the command line set. They override the other sources.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::machines::Work;
use crate::secret::Secret;

/// The settings that were given as flags.
#[derive(Default)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--allow-network`. These networks are added to those of the other sources.
    pub allow_networks: Vec<IpNet>,
    /// `--cors-origin`.
    pub cors_origins: Vec<String>,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `--ledger-url`.
    pub ledger_url: Option<Secret>,
    /// `--nats-url`.
    pub nats_url: Option<Secret>,
    /// `--no-worker`.
    pub work: Option<Work>,
}
