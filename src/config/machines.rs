//! Settings for several processes, perhaps on several machines, and the rules between them.

use serde::Deserialize;

use super::nats::Nats;
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

    #[test]
    fn what_a_process_needs_depends_on_what_it_does() {
        let secret = Secret::new("0123456789abcdef");
        let postgres = Database::Postgres(Secret::new("postgres://canary@db/oms"));
        let server = Nats {
            url: Secret::new("nats://canary@nats"),
            creds_file: None,
            nkey_file: None,
            ca_file: None,
        };
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
}
