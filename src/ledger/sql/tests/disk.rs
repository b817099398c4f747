//! The ledger on a full or read-only disk, and with other connections to its file.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::file;
use crate::error::ErrorKind;
use crate::ledger::conformance::{self, subject::Subject, subject::at, subject::counters, subject::failure};
use crate::ledger::sql::Disk;
use crate::ledger::{Commit, Committed, Ending, Ledger, TaskFilter};
use crate::task::{BandwidthPolicy, Key, PassKind, State, TaskId};

#[tokio::test]
async fn a_commit_on_a_full_disk_writes_nothing_and_succeeds_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    // Far more than fits into the existing pages.
    let failures: Vec<_> = (0..500).map(|n| failure(&format!("{n:03}"))).collect();
    let commit = Commit {
        checkpoint: Some(Key::from("m")),
        delta: counters(7, 500),
        failures,
        ..Commit::default()
    };
    store.set_disk(Disk::Full).await.unwrap();
    let before = subject.task().await;
    for _ in 0..3 {
        let full = store
            .commit(subject.id, &shard, commit.clone(), at(3_000))
            .await
            .unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        assert_eq!(full.message(), "the disk below the ledger is full");
        let task = subject.task().await;
        assert_eq!(
            (task.counters, task.ran_for),
            (before.counters, before.ran_for),
            "half a commit"
        );
        assert!(subject.failed_keys().await.is_empty());
    }
    store.set_disk(Disk::Fine).await.unwrap();
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    assert_eq!(subject.task().await.counters, counters(7, 500));
    assert_eq!(subject.failed_keys().await.len(), 500);
}

#[tokio::test]
async fn tasks_are_created_until_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    store.set_disk(Disk::Full).await.unwrap();
    let mut number = 1_000_000;
    let mut create = async || {
        number += 1;
        let new = conformance::subject::new_task(&subject.project, TaskId::new(number).unwrap());
        store.create(new, at(2_000)).await
    };
    let mut created = 1;
    let full = loop {
        match create().await {
            Ok(_) => created += 1,
            Err(full) => break full,
        }
        assert!(created < 1000, "it never gets full");
    };
    assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
    let all = TaskFilter {
        project: subject.project.clone(),
        states: Vec::new(),
    };
    assert_eq!(store.count(&all).await.unwrap(), created);
    store.set_disk(Disk::Fine).await.unwrap();
    create().await.unwrap();
    assert_eq!(store.count(&all).await.unwrap(), created + 1);
}

#[tokio::test]
async fn a_read_only_ledger_can_be_read_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    store.set_disk(Disk::ReadOnly).await.unwrap();
    let (project, id) = (&subject.project, subject.id);
    let commit = Commit {
        delta: counters(1, 0),
        ..Commit::default()
    };
    let new = conformance::subject::new_task(project, TaskId::new(2_000_001).unwrap());
    let refused = [
        store.create(new, at(2_000)).await.map(drop),
        store.stop(project, id, at(2_000)).await.map(drop),
        store
            .set_bandwidth(project, id, BandwidthPolicy::default())
            .await
            .map(drop),
        store
            .lease_task(id, conformance::subject::holder(), at(2_000))
            .await
            .map(drop),
        store.commit(id, &shard, commit, at(2_000)).await.map(drop),
        store
            .finish(id, task.fencing_token, Ending::Drained, at(2_000))
            .await
            .map(drop),
        store.ping().await,
    ];
    for refused in refused {
        let error = refused.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Unavailable, "the ledger cannot be written")
        );
    }
    let seen = subject.task().await;
    assert_eq!((seen.state, seen.counters), (State::Running, task.task.counters));
    store.set_disk(Disk::Fine).await.unwrap();
    store.ping().await.unwrap();
    let finished = subject.finish(task.fencing_token, Ending::Drained).await;
    assert_eq!(finished, None, "the stop that was refused has left no trace");
}

/// A connection of another program, for example a backup. The lock that keeps our other processes out does not stop it.
async fn other_connection(folder: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.join("oms.db"));
    options.connect().await.unwrap()
}

async fn copied(connection: &mut SqliteConnection) -> i64 {
    let sum = sqlx::query_scalar("SELECT sum(copied) FROM shards");
    sum.fetch_one(connection).await.unwrap()
}

fn one_more() -> Commit {
    Commit {
        delta: counters(1, 0),
        ..Commit::default()
    }
}

#[tokio::test]
async fn a_long_reader_does_not_block_commits() {
    const COMMITS: i64 = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let log = || {
        let log = folder.path().join("oms.db-wal");
        std::fs::metadata(log).map_or(0, |log| log.len())
    };
    let mut other = other_connection(folder.path()).await;
    let mut reading = other.begin().await.unwrap();
    assert_eq!(copied(&mut reading).await, 0);
    let before = log();
    for _ in 0..COMMITS {
        assert_eq!(subject.commit(&shard, one_more()).await, Committed::Done);
    }
    assert_eq!(subject.task().await.counters.copied, COMMITS);
    assert_eq!(copied(&mut reading).await, 0, "its snapshot stays as it was");
    // More than the 1,000 pages after which the log is reused if there is no reader.
    assert!(log() - before > 1_000 * 4_096, "the log has {} bytes", log());

    // Once the reader is gone, the end of the task truncates the log.
    assert_eq!(copied(&mut reading).await, 0);
    reading.rollback().await.unwrap();
    subject.stop().await.unwrap();
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    assert_eq!(log(), 0);
    assert_eq!(copied(&mut other).await, COMMITS);
}

#[tokio::test]
async fn a_commit_waits_for_a_writer_that_holds_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let mut other = other_connection(folder.path()).await;

    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let release = async {
        // The test is about the time for which the lock is held.
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(subject.task().await.counters.copied, 0, "readers are not held up");
        let released = Instant::now();
        held.rollback().await.unwrap();
        released
    };
    let commit = async { (subject.commit(&shard, one_more()).await, Instant::now()) };
    let ((done, at_last), released) = tokio::join!(commit, release);
    assert_eq!(done, Committed::Done);
    assert!(at_last > released, "it went through a lock");

    // The lock is held for longer than a commit waits. That is a temporary error, and nothing is written.
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let busy = store.commit(subject.id, &shard, one_more(), at(3_000)).await;
    let busy = busy.unwrap_err();
    assert_eq!(
        (busy.kind(), busy.message()),
        (ErrorKind::Unavailable, "the ledger is busy")
    );
    held.rollback().await.unwrap();
    assert_eq!(subject.commit(&shard, one_more()).await, Committed::Done);
    assert_eq!(subject.task().await.counters, counters(2, 0));
}
