//! Translates errors of the databases into our own.

use crate::error::{Error, ErrorKind};

/// Primary error codes of SQLite. The low byte of an extended code is its primary code.
const PRIMARY_BUSY: i64 = 5;
const PRIMARY_LOCKED: i64 = 6;
const PRIMARY_READONLY: i64 = 8;
const PRIMARY_IOERR: i64 = 10;
const PRIMARY_FULL: i64 = 13;
const PRIMARY_CANTOPEN: i64 = 14;

/// Turns an error of SQLite into ours. The message is a fixed sentence, because messages of databases may quote values.
pub(in crate::ledger::sql) fn translate(error: sqlx::Error) -> Error {
    let (kind, message) = classify(&error);
    Error::new(kind, message).with_source(error)
}

fn classify(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    match error {
        sqlx::Error::PoolTimedOut => (ErrorKind::Unavailable, "the ledger is busy"),
        sqlx::Error::PoolClosed => (ErrorKind::Unavailable, "the ledger is closed"),
        sqlx::Error::Io(cause) => io_kind(cause),
        // SQLite has ended the transaction by itself because its disk failed. The connection still counts it as open.
        sqlx::Error::InvalidSavePointStatement => (ErrorKind::Unavailable, "the disk below the ledger fails"),
        sqlx::Error::Database(cause) => {
            let extended = cause.code().and_then(|code| code.parse::<i64>().ok());
            match extended.map(|code| code & 0xff) {
                Some(PRIMARY_BUSY | PRIMARY_LOCKED) => (ErrorKind::Unavailable, "the ledger is busy"),
                Some(PRIMARY_FULL) => (ErrorKind::StorageFull, "the disk below the ledger is full"),
                // A file system that was remounted read-only causes either of these two.
                Some(PRIMARY_READONLY) => (ErrorKind::Unavailable, "the ledger cannot be written"),
                Some(PRIMARY_IOERR) => (ErrorKind::Unavailable, "the disk below the ledger fails"),
                Some(PRIMARY_CANTOPEN) => (ErrorKind::Internal, "the ledger's file cannot be opened"),
                _ if cause.is_unique_violation() => (ErrorKind::Conflict, "it is there already"),
                // A write for a task that was deleted meanwhile.
                _ if cause.is_foreign_key_violation() => (ErrorKind::NotFound, "no such task"),
                _ => (ErrorKind::Internal, "the ledger failed"),
            }
        }
        _ => (ErrorKind::Internal, "the ledger failed"),
    }
}

/// Turns an error of PostgreSQL into ours, in the same way.
pub(in crate::ledger::sql) fn translate_postgres(error: sqlx::Error) -> Error {
    let (kind, message) = classify_postgres(&error);
    Error::new(kind, message).with_source(error)
}

/// The codes are those of PostgreSQL, appendix A.
fn classify_postgres(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    match error {
        sqlx::Error::PoolTimedOut => (ErrorKind::Unavailable, "the ledger's server does not answer"),
        sqlx::Error::PoolClosed => (ErrorKind::Unavailable, "the ledger is closed"),
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => (
            ErrorKind::Unavailable,
            "the connection to the ledger's server failed",
        ),
        sqlx::Error::Tls(_) => (
            ErrorKind::Forbidden,
            "the connection to the ledger's server cannot be encrypted",
        ),
        sqlx::Error::Database(cause) => match cause.code().as_deref().unwrap_or_default() {
            // A deadlock, a lock that took too long, a statement that took too long, a conflict between two transactions.
            "40P01" | "55P03" | "57014" | "40001" => (ErrorKind::Unavailable, "the ledger is busy"),
            // This process stood still in the middle of a transaction.
            "25P03" => (
                ErrorKind::Unavailable,
                "the ledger's server has ended a transaction that took too long",
            ),
            "53300" => (
                ErrorKind::Unavailable,
                "the ledger's server has no free connection",
            ),
            "53100" => (ErrorKind::StorageFull, "the disk below the ledger is full"),
            // The server has become a standby.
            "25006" => (ErrorKind::Unavailable, "the ledger cannot be written"),
            "28000" | "28P01" => (
                ErrorKind::Unauthenticated,
                "the ledger's server refuses the user or the password",
            ),
            "3D000" => (ErrorKind::NotFound, "the ledger's server has no such database"),
            "42501" => (ErrorKind::PermissionDenied, "the ledger's user may not do this"),
            // The server is about to end, has crashed, or is just starting.
            code if code.starts_with("57P") || code.starts_with("08") => {
                (ErrorKind::Unavailable, "the ledger's server is not available")
            }
            _ if cause.is_unique_violation() => (ErrorKind::Conflict, "it is there already"),
            // A write for a task that was deleted meanwhile.
            _ if cause.is_foreign_key_violation() => (ErrorKind::NotFound, "no such task"),
            _ => (ErrorKind::Internal, "the ledger failed"),
        },
        _ => (ErrorKind::Internal, "the ledger failed"),
    }
}

/// Kind and message for a file system error of the ledger.
pub(super) fn io_kind(cause: &std::io::Error) -> (ErrorKind, &'static str) {
    match cause.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            (ErrorKind::StorageFull, "the disk below the ledger is full")
        }
        _ => (ErrorKind::Internal, "the ledger's file cannot be used"),
    }
}

/// A bug of the caller: a call that the contract does not allow.
pub(in crate::ledger::sql) fn misuse(text: &str) -> Error {
    Error::internal(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::sqlite::SqliteConnectOptions;
    use sqlx::{ConnectOptions, Connection};

    use super::*;

    fn options(path: &std::path::Path) -> SqliteConnectOptions {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        options.busy_timeout(Duration::from_millis(1))
    }

    #[tokio::test]
    async fn a_full_disk_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let full = options(&folder.path().join("db")).pragma("max_page_count", "2");
        let mut connection = full.connect().await.unwrap();
        let create = "CREATE TABLE t AS SELECT randomblob(100000) AS b";
        let error = sqlx::query(create).execute(&mut connection).await.unwrap_err();
        assert_eq!(translate(error).kind(), ErrorKind::StorageFull);
        let refused = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(translate(refused.into()).kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn a_broken_connection_is_a_temporary_error() {
        let error = translate(sqlx::Error::InvalidSavePointStatement);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn a_busy_ledger_is_a_temporary_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let mut first = options(&path).connect().await.unwrap();
        let mut second = options(&path).connect().await.unwrap();
        let held = first.begin_with("BEGIN EXCLUSIVE").await.unwrap();
        let error = second.begin_with("BEGIN IMMEDIATE").await.unwrap_err();
        let error = translate(error);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.is_retryable() && std::error::Error::source(&error).is_some());
        held.rollback().await.unwrap();
    }
}
