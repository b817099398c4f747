//! SQLite's errors in the service's words.

use crate::error::{Error, ErrorKind};

/// What SQLite reports when it has no room; the low byte of an extended code is the primary one.
const PRIMARY_BUSY: i64 = 5;
const PRIMARY_LOCKED: i64 = 6;
const PRIMARY_READONLY: i64 = 8;
const PRIMARY_IOERR: i64 = 10;
const PRIMARY_FULL: i64 = 13;
const PRIMARY_CANTOPEN: i64 = 14;

/// Turns an error of sqlx into ours. The message is a fixed sentence: SQLite's own may quote values.
pub(super) fn translate(error: sqlx::Error) -> Error {
    let (kind, message) = classify(&error);
    Error::new(kind, message).with_source(error)
}

fn classify(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    match error {
        sqlx::Error::PoolTimedOut => (ErrorKind::Unavailable, "the ledger is busy"),
        sqlx::Error::PoolClosed => (ErrorKind::Unavailable, "the ledger is closed"),
        sqlx::Error::Io(cause) => io_kind(cause),
        // The connection is out of step with SQLite, which ends a transaction by itself when its disk fails.
        sqlx::Error::InvalidSavePointStatement => (ErrorKind::Unavailable, "the disk below the ledger fails"),
        sqlx::Error::Database(cause) => {
            let extended = cause.code().and_then(|code| code.parse::<i64>().ok());
            match extended.map(|code| code & 0xff) {
                Some(PRIMARY_BUSY | PRIMARY_LOCKED) => (ErrorKind::Unavailable, "the ledger is busy"),
                Some(PRIMARY_FULL) => (ErrorKind::StorageFull, "the disk below the ledger is full"),
                // A file system that was mounted again for reading only shows as either.
                Some(PRIMARY_READONLY) => (ErrorKind::Unavailable, "the ledger cannot be written"),
                Some(PRIMARY_IOERR) => (ErrorKind::Unavailable, "the disk below the ledger fails"),
                Some(PRIMARY_CANTOPEN) => (ErrorKind::Internal, "the ledger's file cannot be opened"),
                _ if cause.is_unique_violation() => (ErrorKind::Conflict, "it is there already"),
                // Work for a task that was deleted meanwhile.
                _ if cause.is_foreign_key_violation() => (ErrorKind::NotFound, "no such task"),
                _ => (ErrorKind::Internal, "the ledger failed"),
            }
        }
        _ => (ErrorKind::Internal, "the ledger failed"),
    }
}

/// Kind and sentence of a file system error below the ledger.
pub(super) fn io_kind(cause: &std::io::Error) -> (ErrorKind, &'static str) {
    match cause.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            (ErrorKind::StorageFull, "the disk below the ledger is full")
        }
        _ => (ErrorKind::Internal, "the ledger's file cannot be used"),
    }
}

/// A defect of the caller: an order of calls that the contract excludes.
pub(super) fn misuse(text: &str) -> Error {
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
    fn a_connection_out_of_step_may_be_asked_again() {
        let error = translate(sqlx::Error::InvalidSavePointStatement);
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn a_busy_ledger_may_be_asked_again() {
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
