//! Ledgers that an earlier version wrote.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Executor as _, SqlitePool};

use super::file;
use crate::store::Store;
use crate::store::conformance::{at, spec};
use crate::store::json::spec_to_text;
use crate::task::{State, TaskId};

/// A ledger with the schema as it was before the migration `version`.
async fn before(version: i64, folder: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("oms.db"))
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    let mut migrations = sqlx::migrate!("src/store/migrations/sqlite");
    let older: Vec<_> = migrations
        .iter()
        .filter(|m| m.version < version)
        .cloned()
        .collect();
    assert!(!older.is_empty());
    migrations.migrations = older.into();
    migrations.run(&pool).await.unwrap();
    pool
}

#[tokio::test]
async fn tasks_that_had_ended_get_the_last_moment_that_is_known() {
    const TASK: &str = "INSERT INTO tasks (id, project, name, bandwidth, state, reason_code, reason_message, epoch, \
                        mode, pass, created_at, seen_at, running_since) VALUES ";
    let folder = tempfile::tempdir().unwrap();
    let pool = before(7, folder.path()).await;
    for values in [
        "(1, 'p', 'n', '[]', 'succeeded', NULL, NULL, 1, 'full', 1, 1000, 3000, NULL)",
        "(2, 'p', 'n', '[]', 'failed', 'TRF.0151', 'm', 1, 'full', NULL, 1000, 2500, NULL)",
        "(3, 'p', 'n', '[]', 'failed', 'TRF.0151', 'm', 1, 'full', NULL, 1000, NULL, NULL)",
        "(4, 'p', 'n', '[]', 'paused', NULL, NULL, 1, 'full', NULL, 1000, 2000, NULL)",
        "(5, 'p', 'n', '[]', 'running', NULL, NULL, 1, 'full', NULL, 1000, 2000, 1500)",
    ] {
        pool.execute(sqlx::AssertSqlSafe(format!("{TASK}{values}")))
            .await
            .unwrap();
    }
    for id in 1_i64..=5 {
        sqlx::query("INSERT INTO specs (task_id, spec) VALUES (?1, ?2)")
            .bind(id)
            .bind(spec_to_text(&spec()).unwrap())
            .execute(&pool)
            .await
            .unwrap();
    }
    let pass = "INSERT INTO passes (task_id, number, kind, finished, opened_at, finished_at) \
                VALUES (1, 1, 'full', 1, 2000, 4000)";
    pool.execute(pass).await.unwrap();
    pool.close().await;

    let store = file(folder.path()).await;
    let project = "p".parse().unwrap();
    for (id, state, ended) in [
        (1, State::Succeeded, Some(at(4_000))),
        (2, State::Failed, Some(at(2_500))),
        (3, State::Failed, Some(at(1_000))),
        (4, State::Paused, None),
        (5, State::Running, None),
    ] {
        let task = store
            .task(&project, TaskId::new(id).unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((task.state, task.ended_at), (state, ended), "{id}");
    }
}
