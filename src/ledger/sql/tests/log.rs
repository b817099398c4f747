//! The log while there are long readers, large deletions during other changes, and ledgers of earlier versions.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};

use super::{file, holds};
use crate::ledger::conformance::{
    self, subject::ME, subject::Subject, subject::at, subject::counters, subject::failure,
};
use crate::ledger::sql::SqlLedger;
use crate::ledger::{Commit, Committed, Ledger, Purged};
use crate::task::{Key, PassKind, StartMode, State};

async fn other_connection(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("oms.db"));
    options.connect().await.unwrap()
}

#[tokio::test]
async fn wiped_credentials_are_removed_from_the_log_after_its_reader_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let canary = "canary-behind-a-reader-".repeat(400);
    let needle = &canary.as_bytes()[..42];
    let subject = Subject::new(&store).await;
    subject.stop().await.unwrap();
    let credentials = conformance::subject::sealed(&canary);
    let started = store.start(&subject.project, subject.id, StartMode::Full, credentials, at(1));
    started.await.unwrap().unwrap();

    // A backup that reads for a long time.
    let mut other = other_connection(folder.path()).await;
    let mut reading = other.begin().await.unwrap();
    let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tasks");
    assert_eq!(count.fetch_one(&mut *reading).await.unwrap(), 1);
    // SQLite would wait five seconds for a reader. Nothing here waits for it.
    let began = Instant::now();
    assert_eq!(subject.stop().await, Ok(State::Paused));
    for _ in 0..20 {
        store.ping().await.unwrap();
        assert_eq!(store.purge().await.unwrap(), Purged::Blocked);
    }
    assert!(
        began.elapsed() < Duration::from_secs(5) * 20,
        "each of them waited"
    );
    assert!(holds(folder.path(), needle), "the reader keeps the log");

    reading.rollback().await.unwrap();
    assert_eq!(store.purge().await.unwrap(), Purged::All);
    assert!(!holds(folder.path(), needle), "after the reader has gone");
}

/// The statements of the queue use an index, so the number of waiting tasks does not matter.
#[tokio::test]
async fn the_queue_is_read_by_its_indexes() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let mut other = other_connection(folder.path()).await;
    for (statement, index) in [
        (
            "SELECT id, project FROM tasks WHERE state = 'running' ORDER BY id LIMIT 1",
            "tasks_running",
        ),
        (
            "SELECT project FROM tasks WHERE state = 'waiting' AND project > 'a' ORDER BY project LIMIT 1",
            "tasks_waiting",
        ),
        (
            "SELECT w.id FROM tasks w WHERE w.state = 'waiting' AND w.project = 'a' ORDER BY w.id LIMIT 1",
            "tasks_waiting",
        ),
        (
            "SELECT count(*) FROM tasks WHERE state = 'waiting' AND project = 'a'",
            "tasks_waiting",
        ),
        (
            "SELECT id FROM tasks WHERE project = '' ORDER BY id LIMIT 1",
            "tasks_by_project",
        ),
    ] {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(explain).fetch_all(&mut other).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let plan = plan.join("; ");
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{statement}: {plan}"
        );
    }
    drop(store);
}

/// No change waits for the deletion of all rows of a large task: each step deletes few rows, and other changes run in
/// between.
#[tokio::test]
async fn a_large_deletion_does_not_block_other_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let large = Subject::new(&store).await;
    let (_, shard) = large.work(PassKind::Full).await;
    for n in 0..10 {
        let commit = Commit {
            checkpoint: Some(Key::from("z")),
            delta: counters(0, 500),
            failures: (0..500).map(|m| failure(&format!("{n}-{m}"))).collect(),
            ..Commit::default()
        };
        assert_eq!(large.commit(&shard, commit).await, Committed::Done);
    }
    let rows = async || {
        let mut other = other_connection(folder.path()).await;
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM failures");
        count.fetch_one(&mut other).await.unwrap()
    };
    store.pause(large.id, ME, at(2_500)).await.unwrap();
    large.delete(None).await.unwrap();
    assert_eq!(rows().await, 5_000, "the deletion itself touches none of them");
    let mut before = 5_000;
    while store.purge().await.unwrap() == Purged::Some {
        let now = rows().await;
        assert!(before - now <= 200, "{} at once", before - now);
        before = now;
        store.ping().await.unwrap();
    }
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn a_deletion_continues_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        checkpoint: Some(Key::from("z")),
        delta: counters(0, 500),
        failures: (0..500).map(|m| failure(&format!("{m}"))).collect(),
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    store.pause(subject.id, ME, at(2_500)).await.unwrap();
    subject.delete(None).await.unwrap();
    assert_eq!(store.purge().await.unwrap(), Purged::Some);
    drop(store);
    let store = SqlLedger::open(&folder.path().join("oms.db")).await.unwrap();
    store.recover(at(1)).await.unwrap();
    let mut steps = 0;
    while store.purge().await.unwrap() == Purged::Some {
        steps += 1;
    }
    assert!(steps > 1, "{steps}");
    let mut other = other_connection(folder.path()).await;
    for table in ["tasks", "failures", "passes", "shards", "specs"] {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut other).await.unwrap();
        assert_eq!(count, 0, "{table}");
    }
}
