//! The conformance suite on SQLite, and what is SQLite's own: the file, its owner, its log.

use super::SqliteStore;
use crate::store::conformance;

#[tokio::test]
async fn conforms_in_memory() {
    let store = SqliteStore::in_memory().await.unwrap();
    Box::pin(conformance::all(&store)).await;
}

#[tokio::test]
async fn conforms_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("oms.db")).await.unwrap();
    Box::pin(conformance::all(&store)).await;
}
