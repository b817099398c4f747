//! Flags of every command that works with other processes.

use std::convert::Infallible;

use crate::secret::Secret;

/// Where the processes meet.
#[derive(clap::Args)]
pub(super) struct Fleet {
    /// PostgreSQL database of the ledger, such as postgres://oms@db.internal/oms, for several processes or machines. Other
    /// users of this machine can see flags: put a URL with a password into the variable `OMS_LEDGER_URL`, or into the file
    /// that `ledger_url_file` names. Without it the ledger is in the data folder.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(super) ledger_url: Option<Secret>,
    /// NATS server that hands out the work, such as tls://nats.internal:4222. Without it each process looks for work in
    /// the ledger. Needs --ledger-url.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(super) nats_url: Option<Secret>,
}

/// Takes every text. The configuration checks it, because a refusal here would show the value.
#[expect(clippy::unnecessary_wraps, reason = "the form of a parser of a flag")]
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}
