//! `oms ledger`: moves the ledger of a stopped service.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::log::Log;
use super::process;
use crate::app;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Shown after the help.
const EXAMPLE: &str = "\
Example:
  OMS_LEDGER_URL=postgres://oms:...@db.internal/oms oms ledger copy --from ./oms-data

Stop the service first. Afterwards start it with the same sealing key and token, which are in the data folder:
  OMS_LEDGER_URL=... OMS_SEAL_KEY=\"$(cat oms-data/seal.key)\" OMS_TOKEN=\"$(cat oms-data/token)\" oms serve";

/// Move the ledger of a stopped service.
#[derive(clap::Args)]
pub(super) struct Ledger {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Copy a ledger from a data folder (SQLite) to an empty PostgreSQL database.
    #[command(after_help = EXAMPLE)]
    Copy {
        /// Data folder of the stopped service.
        #[arg(long, value_name = "FOLDER")]
        from: PathBuf,
        /// PostgreSQL database, such as postgres://oms@db.internal/oms. Put a URL with a password into the variable, because
        /// other users of this machine can see flags.
        #[arg(long, value_name = "URL", env = "OMS_LEDGER_URL", hide_env_values = true)]
        to: String,
    },
}

impl Ledger {
    pub(super) fn run(self, log: &Log) -> Result<ExitCode> {
        log.start();
        let Command::Copy { from, to } = self.command;
        process::run(async |_| {
            let file = from.join("oms.db");
            if !file.is_file() {
                return Err(Error::invalid(format!(
                    "--from: there is no ledger in {}",
                    from.display()
                )));
            }
            let copied = app::copy_ledger(&file, &Secret::new(to)).await?;
            for (table, rows) in copied.iter().filter(|(_, rows)| *rows > 0) {
                println!("{rows:>10}  {table}");
            }
            println!(
                "The ledger is copied. The data folder is unchanged; do not start a service on it again."
            );
            Ok(())
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
