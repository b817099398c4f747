//! `oms deploy`: prints files that run the service on several machines.
//!
//! The files lie beside this one, and are part of the program. Tests check them against the schemas of those who read them, and
//! against our own commands and settings.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;

use crate::error::{Error, ErrorKind, Result};

/// Shown after the help.
const EXAMPLES: &str = "\
Examples:
  oms deploy compose > compose.yaml          PostgreSQL, NATS, the API and workers on one machine
  oms deploy systemd --output units          units for machines that have PostgreSQL and NATS; each says where it belongs
  oms deploy kubernetes > oms.yaml           replace each REPLACE-ME, then: kubectl apply --filename oms.yaml

Each file begins with what to do before it is used. No secret is printed; the files name where secrets are kept.";

/// Print files that run the service on several machines, with PostgreSQL and NATS.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Deploy {
    /// What starts the processes.
    #[arg(value_enum, value_name = "PLATFORM")]
    platform: Platform,
    /// Folder to write the files to, instead of printing them. No file is overwritten.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

/// What starts the processes.
#[derive(Clone, Copy, ValueEnum)]
enum Platform {
    /// Docker Compose: one file with PostgreSQL and NATS.
    Compose,
    /// systemd: a unit of the API, a unit of workers, and their settings.
    Systemd,
    /// Kubernetes: one file; PostgreSQL and NATS are elsewhere.
    Kubernetes,
}

/// A file to print.
struct Template {
    name: &'static str,
    text: &'static str,
}

impl Platform {
    const fn files(self) -> &'static [Template] {
        match self {
            Self::Compose => &[Template {
                name: "compose.yaml",
                text: include_str!("compose.yaml"),
            }],
            Self::Systemd => &[
                Template {
                    name: "oms.service",
                    text: include_str!("oms.service"),
                },
                Template {
                    name: "oms-worker@.service",
                    text: include_str!("oms-worker@.service"),
                },
                Template {
                    name: "oms.toml",
                    text: include_str!("oms.toml"),
                },
            ],
            Self::Kubernetes => &[Template {
                name: "oms.yaml",
                text: include_str!("kubernetes.yaml"),
            }],
        }
    }
}

impl Deploy {
    /// Prints or writes the files.
    ///
    /// # Errors
    /// `Conflict` if a file exists; `PermissionDenied` or `Internal` if one cannot be written.
    pub(super) fn run(&self) -> Result<ExitCode> {
        let files = self.platform.files();
        match &self.output {
            Some(folder) => write(files, folder)?,
            None => std::io::stdout()
                .write_all(joined(files).as_bytes())
                .map_err(|error| Error::internal(format!("standard output: {error}")).with_source(error))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One file as it is; several with a comment before each.
fn joined(files: &[Template]) -> String {
    if let [one] = files {
        return one.text.to_owned();
    }
    let part = |file: &Template| format!("# ----- {} -----\n{}", file.name, file.text);
    files.iter().map(part).collect::<Vec<_>>().join("\n")
}

/// Writes all files, or none if one exists.
fn write(files: &[Template], folder: &Path) -> Result<()> {
    let failed = |path: &Path, error: std::io::Error| {
        let kind = match error.kind() {
            Io::AlreadyExists => ErrorKind::Conflict,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::StorageFull => ErrorKind::StorageFull,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, format!("--output: {}: {error}", path.display())).with_source(error)
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let paths = || files.iter().map(|file| folder.join(file.name));
    if let Some(path) = paths().find(|path| path.exists()) {
        let text = format!("--output: {} exists, and is not overwritten", path.display());
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    for (path, file) in paths().zip(files) {
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        made.and_then(|mut to| to.write_all(file.text.as_bytes()))
            .map_err(|error| failed(&path, error))?;
        println!("{}", path.display());
    }
    Ok(())
}
