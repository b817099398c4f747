//! The forms of the URLs of the ledger and of NATS. They may contain passwords, so no message repeats one.

use url::Url;

/// Schemes that people try for a ledger. Only these are repeated in a message: what stands before the colon of another text
/// may be a user name or a part of a password.
const OTHER_DATABASES: &[&str] = &[
    "cockroachdb",
    "file",
    "http",
    "https",
    "jdbc",
    "mariadb",
    "mongodb",
    "mssql",
    "mysql",
    "oracle",
    "redis",
    "sqlite",
    "sqlserver",
];
/// Schemes that people try for NATS.
const OTHER_SERVERS: &[&str] = &["amqp", "http", "https", "kafka", "redis", "tcp", "ws", "wss"];

/// Checks the URL of a ledger. Empty means SQLite in the data folder.
///
/// # Errors
/// The end of a sentence about the setting.
pub(super) fn check_ledger(text: &str) -> Result<(), String> {
    const FORM: &str = "must be such as postgres://user@host/database, or empty for SQLite in data_dir";
    if text.is_empty() {
        return Ok(());
    }
    let url = Url::parse(text).map_err(|_| FORM.to_owned())?;
    match url.scheme() {
        "postgres" | "postgresql" if !url.cannot_be_a_base() => Ok(()),
        "sqlite" => Err(format!(
            "has the scheme 'sqlite', but SQLite needs no URL: leave it empty, and set data_dir; it {FORM}"
        )),
        scheme => Err(refused(scheme, OTHER_DATABASES, FORM)),
    }
}

/// Checks the URL of a NATS server. Empty means none.
///
/// # Errors
/// The end of a sentence about the setting.
pub(super) fn check_nats(text: &str) -> Result<(), String> {
    const FORM: &str = "must be such as nats://host:4222 or tls://host:4222";
    if text.is_empty() {
        return Ok(());
    }
    let url = Url::parse(text).map_err(|_| FORM.to_owned())?;
    match url.scheme() {
        "nats" | "tls" if url.has_host() && url.host_str().is_some_and(|host| !host.is_empty()) => Ok(()),
        scheme => Err(refused(scheme, OTHER_SERVERS, FORM)),
    }
}

fn refused(scheme: &str, known: &[&str], form: &str) -> String {
    if known.contains(&scheme) {
        format!("has the scheme '{scheme}', which is not supported; it {form}")
    } else {
        form.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_is_postgresql_or_nothing() {
        for fine in [
            "",
            "postgres://oms:canary@db.internal:5432/oms?sslmode=verify-full",
            "postgresql://db/oms",
            "postgres://oms@[::1]/oms",
            "postgres:///oms?host=/run/postgresql",
        ] {
            assert_eq!(check_ledger(fine), Ok(()), "{fine}");
        }
        for (wrong, said) in [
            ("mysql://oms:canary@db/oms", "'mysql'"),
            ("MySQL://oms:canary@db/oms", "'mysql'"),
            ("sqlite:///canary/oms.db", "leave it empty"),
            ("redis://canary", "'redis'"),
            ("canary://db", "postgres://user@host/database"),
            ("canary:canary@db/oms", "postgres://user@host/database"),
            ("canary@db/oms", "postgres://user@host/database"),
            ("postgres:canary", "postgres://user@host/database"),
            (
                "postgres://oms:canary@db:port/oms",
                "postgres://user@host/database",
            ),
            (" postgres//oms:canary@db/oms", "postgres://user@host/database"),
            ("REPLACE-ME", "postgres://user@host/database"),
        ] {
            let rule = check_ledger(wrong).unwrap_err();
            assert!(rule.contains(said) && !rule.contains("canary"), "{wrong}: {rule}");
        }
    }

    #[test]
    fn work_is_handed_out_by_nats() {
        for fine in [
            "",
            "nats://nats",
            "nats://oms:canary@10.0.0.7:4222",
            "tls://nats.internal:4222",
        ] {
            assert_eq!(check_nats(fine), Ok(()), "{fine}");
        }
        for (wrong, said) in [
            ("ws://oms:canary@nats", "'ws'"),
            ("http://canary", "'http'"),
            ("canary://nats", "nats://host:4222"),
            ("nats:canary", "nats://host:4222"),
            ("nats://", "nats://host:4222"),
            ("nats:///canary", "nats://host:4222"),
            ("canary.internal:4222", "nats://host:4222"),
            ("REPLACE-ME", "nats://host:4222"),
        ] {
            let rule = check_nats(wrong).unwrap_err();
            assert!(rule.contains(said) && !rule.contains("canary"), "{wrong}: {rule}");
        }
    }
}
