//! Settings for several processes, perhaps on several machines, and the rules between them.

use std::path::PathBuf;

use serde::Deserialize;

use super::urls;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// What a process does. It decides which settings must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The API, and a worker unless [`Work::Elsewhere`].
    Serve,
    /// A worker alone, which shares the ledger with others.
    Worker,
}

/// Who works on the tasks of a `serve`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// A worker in the same process.
    #[default]
    Here,
    /// Other processes.
    Elsewhere,
}

/// The database of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// SQLite in the data folder, for one process.
    Sqlite,
    /// PostgreSQL at a URL, for many processes.
    Postgres(Secret),
}

/// How to reach the NATS server that hands out work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    /// Address, perhaps with a user and a password.
    pub url: Secret,
    /// File of credentials (JWT and seed).
    pub creds_file: Option<PathBuf>,
    /// File of the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// PEM file of authorities that are trusted in addition.
    pub ca_file: Option<PathBuf>,
}

impl Nats {
    /// Checks the URL and the files. Without a URL the files must not be set.
    ///
    /// # Errors
    /// `InvalidArgument` that names the setting.
    pub(super) fn check(&self) -> Result<()> {
        let Self {
            url,
            creds_file,
            nkey_file,
            ca_file,
        } = self;
        let files = [
            ("nats_creds_file", creds_file),
            ("nats_nkey_file", nkey_file),
            ("nats_ca_file", ca_file),
        ];
        for (name, file) in files {
            let Some(file) = file else { continue };
            if self.is_absent() {
                let text = format!("{name} has no effect without nats_url; set nats_url, or remove {name}");
                return Err(Error::invalid(text));
            }
            if !file.is_file() {
                return Err(Error::invalid(format!(
                    "{name}: {} is not a file",
                    file.display()
                )));
            }
        }
        if creds_file.is_some() && nkey_file.is_some() {
            let text = "nats_creds_file and nats_nkey_file are both set; remove one of them";
            return Err(Error::invalid(text));
        }
        urls::check_nats(url.expose()).map_err(|rule| Error::invalid(format!("nats_url {rule}")))
    }

    /// Whether no server is set.
    pub(super) fn is_absent(&self) -> bool {
        self.url.expose().is_empty()
    }
}

/// What the rules between settings look at.
pub(super) struct Together<'a> {
    pub(super) database: &'a Database,
    pub(super) nats: Option<&'a Nats>,
    pub(super) work: Work,
    pub(super) token: Option<&'a Secret>,
    pub(super) seal_key: Option<&'a Secret>,
}

impl Together<'_> {
    /// Checks that a process with this role has what it needs, and nothing that cannot work.
    ///
    /// # Errors
    /// `InvalidArgument` that names the setting and says why.
    pub(super) fn check(&self, role: Role) -> Result<()> {
        let missing = |what: &str, why: &str| Err(Error::invalid(format!("{what} is missing: {why}")));
        match (self.database, role) {
            (Database::Sqlite, Role::Worker) => missing(
                "ledger_url",
                "workers share a PostgreSQL ledger, such as postgres://user@host/database",
            ),
            (Database::Sqlite, Role::Serve) if self.nats.is_some() => missing(
                "ledger_url",
                "nats_url needs a PostgreSQL ledger. NATS only hands out work; the ledger is the truth that workers share",
            ),
            (Database::Sqlite, Role::Serve) if self.work == Work::Elsewhere => missing(
                "ledger_url",
                "without a worker of its own (--no-worker, work = 'elsewhere') the service needs a PostgreSQL ledger that workers share",
            ),
            (Database::Sqlite, Role::Serve) => Ok(()),
            (Database::Postgres(_), _) if self.seal_key.is_none() => missing(
                "seal_key (or seal_key_file)",
                "processes that share a PostgreSQL ledger need the same key, so none is made; `openssl rand -hex 32` makes one",
            ),
            (Database::Postgres(_), Role::Serve) if self.token.is_none() => missing(
                "token (or token_file)",
                "with a PostgreSQL ledger none is made; `openssl rand -hex 32` makes one",
            ),
            (Database::Postgres(_), _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nats(url: &str) -> Nats {
        Nats {
            url: Secret::new(url),
            creds_file: None,
            nkey_file: None,
            ca_file: None,
        }
    }

    #[test]
    fn what_a_process_needs_depends_on_what_it_does() {
        let secret = Secret::new("0123456789abcdef");
        let postgres = Database::Postgres(Secret::new("postgres://canary@db/oms"));
        let server = nats("nats://nats");
        let (here, elsewhere) = (Work::Here, Work::Elsewhere);
        let (token, key) = (Some(&secret), Some(&secret));
        for (role, database, nats, work, token, seal_key, wanted) in [
            (Role::Serve, &Database::Sqlite, None, here, None, None, ""),
            (Role::Serve, &Database::Sqlite, None, here, token, key, ""),
            (
                Role::Serve,
                &Database::Sqlite,
                Some(&server),
                here,
                token,
                key,
                "nats_url",
            ),
            (
                Role::Serve,
                &Database::Sqlite,
                None,
                elsewhere,
                token,
                key,
                "--no-worker",
            ),
            (
                Role::Worker,
                &Database::Sqlite,
                None,
                here,
                token,
                key,
                "ledger_url",
            ),
            (Role::Serve, &postgres, None, here, token, key, ""),
            (Role::Serve, &postgres, Some(&server), elsewhere, token, key, ""),
            (
                Role::Serve,
                &postgres,
                None,
                here,
                None,
                key,
                "token (or token_file)",
            ),
            (
                Role::Serve,
                &postgres,
                None,
                here,
                token,
                None,
                "seal_key (or seal_key_file)",
            ),
            (Role::Worker, &postgres, Some(&server), here, None, key, ""),
            (
                Role::Worker,
                &postgres,
                None,
                here,
                token,
                None,
                "seal_key (or seal_key_file)",
            ),
        ] {
            let together = Together {
                database,
                nats,
                work,
                token,
                seal_key,
            };
            let said = together
                .check(role)
                .map_or_else(|error| error.to_string(), |()| String::new());
            assert_eq!(said.is_empty(), wanted.is_empty(), "{role:?}: {said}");
            assert!(
                said.contains(wanted) && !said.contains("canary"),
                "{role:?}: {said}"
            );
        }
    }

    #[test]
    fn files_of_nats_belong_to_a_server_and_exist() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("seed");
        std::fs::write(&file, "x").unwrap();
        let there = || Some(file.clone());
        let gone = || Some(folder.path().join("nothing"));
        let server = || nats("nats://nats");
        for (nats, wanted) in [
            (nats(""), ""),
            (server(), ""),
            (
                Nats {
                    nkey_file: there(),
                    ca_file: there(),
                    ..server()
                },
                "",
            ),
            (
                Nats {
                    creds_file: there(),
                    ..server()
                },
                "",
            ),
            (
                Nats {
                    creds_file: there(),
                    ..nats("")
                },
                "nats_creds_file has no effect without nats_url",
            ),
            (
                Nats {
                    ca_file: there(),
                    ..nats("")
                },
                "nats_ca_file has no effect without nats_url",
            ),
            (
                Nats {
                    creds_file: there(),
                    nkey_file: there(),
                    ..server()
                },
                "nats_creds_file and nats_nkey_file",
            ),
            (
                Nats {
                    creds_file: gone(),
                    ..server()
                },
                "nats_creds_file: ",
            ),
            (
                Nats {
                    nkey_file: gone(),
                    ..server()
                },
                "nats_nkey_file: ",
            ),
            (
                Nats {
                    ca_file: gone(),
                    ..server()
                },
                "nats_ca_file: ",
            ),
            (nats("http://canary"), "nats_url has the scheme 'http'"),
        ] {
            let said = nats
                .check()
                .map_or_else(|error| error.to_string(), |()| String::new());
            assert!(
                said.starts_with(wanted) && said.is_empty() == wanted.is_empty(),
                "{said}"
            );
            assert!(!said.contains("canary"), "{said}");
        }
    }

    #[test]
    fn urls_are_never_shown() {
        let shown = format!(
            "{:?} {:?}",
            nats("nats://oms:canary@nats"),
            Database::Postgres(Secret::new("postgres://oms:canary@db/oms"))
        );
        assert!(!shown.contains("canary"), "{shown}");
    }
}
