//! The conformance suite on SQLite, and tests that are specific to SQLite: the file, its owner, its log.

mod disk;
mod log;
mod older;
mod postgres;

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::SqlLedger;
use super::database::{get, sql};
use crate::error::ErrorKind;
use crate::ledger::conformance::model::{End, Lease, Step, Work, agrees};
use crate::ledger::conformance::{self, subject::Subject, subject::at, subject::counters, subject::failure};
use crate::ledger::{Commit, Committed, Ending, Ledger, OpenUpload, Orphans, Writer};
use crate::object::ETag;
use crate::task::{Key, PassKind, StartMode, State};

async fn file(folder: &Path) -> SqlLedger {
    SqlLedger::open(&folder.join("oms.db")).await.unwrap()
}

#[tokio::test]
async fn conforms_in_memory() {
    let store = SqlLedger::in_memory().await.unwrap();
    Box::pin(conformance::all(&store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    Box::pin(conformance::all(&store)).await;
}

fn step() -> impl Strategy<Value = Step> {
    let whose = || prop_oneof![4 => Just(Lease::Last), 1 => Just(Lease::Former)];
    let mode = prop_oneof![Just(StartMode::Full), Just(StartMode::FailedOnly)];
    let end = prop_oneof![2 => Just(End::Drained), 4 => Just(End::Finished), 1 => Just(End::Broken)];
    let failed = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 1..4)];
    let work =
        (0_u8..2, 0_u8..9, failed, prop::bool::weighted(0.7)).prop_map(|(shard, copied, failed, close)| {
            Work {
                shard,
                copied,
                failed,
                close,
            }
        });
    prop_oneof![
        6 => mode.prop_map(Step::Start),
        3 => Just(Step::Stop),
        1 => Just(Step::Delete),
        6 => Just(Step::Lease),
        10 => (whose(), work).prop_map(|(whose, work)| Step::Commit(whose, work)),
        6 => (whose(), end).prop_map(|(whose, end)| Step::Finish(whose, end)),
        1 => Just(Step::Recover),
    ]
}

#[test]
fn random_walks_agree_with_a_naive_ledger() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = runtime.block_on(SqlLedger::in_memory()).unwrap();
    walk_randomly(&runtime, &store, 96);
}

/// Applies random steps to the ledger and to the model.
fn walk_randomly(runtime: &tokio::runtime::Runtime, store: &SqlLedger, cases: u32) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&prop::collection::vec(step(), 1..60), |steps| {
            runtime.block_on(Box::pin(agrees(store, &steps)));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_ledger_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(folder.path()).await;
    let path = folder.path().join("oms.db");
    let second = SqlLedger::open(&path).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
    let text = format!("the ledger {} is in use by another process", path.display());
    assert_eq!(second.message(), text);
    first.close().await;
    drop(first);
    file(folder.path()).await;
}

#[tokio::test]
async fn a_crash_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        checkpoint: Some(Key::from("m")),
        delta: counters(4, 1),
        failures: vec![failure("c")],
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    // The files after a crash: everything is still in the log.
    let image = tempfile::tempdir().unwrap();
    for name in ["oms.db", "oms.db-wal"] {
        std::fs::copy(folder.path().join(name), image.path().join(name)).unwrap();
    }
    let (project, id) = (subject.project.clone(), subject.id);
    // A process that ends without closing the ledger.
    drop(store);
    for path in [image.path(), folder.path()] {
        let store = file(path).await;
        let subject = Subject {
            store: &store,
            project: project.clone(),
            id,
        };
        assert_eq!(subject.task().await.counters, counters(4, 1));
        assert_eq!(subject.failed_keys().await, ["c"]);
        let again = subject.lease().await;
        assert!(again.fencing_token > task.fencing_token && again.credentials.is_some());
        let shard = subject.shard().await.unwrap();
        assert_eq!(shard.checkpoint, Some(Key::from("m")));
    }
}

/// Whether any file of the folder contains the bytes.
fn holds(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn wiped_credentials_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    // Longer than a page, so that overflow pages are wiped as well.
    let canary = "canary-in-the-ledger-".repeat(400);
    let needle = &canary.as_bytes()[..42];
    let start = async |subject: &Subject<'_>| {
        let credentials = conformance::subject::sealed(&canary);
        let started = store
            .start(&subject.project, subject.id, StartMode::Full, credentials, at(1))
            .await;
        started.unwrap().unwrap();
        assert!(holds(folder.path(), needle));
    };
    let subject = Subject::new(&store).await;
    subject.stop().await.unwrap();

    start(&subject).await;
    subject.stop().await.unwrap();
    assert!(!holds(folder.path(), needle), "after a stop while waiting");

    start(&subject).await;
    let task = subject.lease().await;
    subject.stop().await.unwrap();
    assert!(holds(folder.path(), needle), "still needed");
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    assert!(!holds(folder.path(), needle), "after a pause");

    start(&subject).await;
    subject.lease().await;
    subject.stop().await.unwrap();
    store.recover(at(1)).await.unwrap();
    assert!(!holds(folder.path(), needle), "after a recovery");

    start(&subject).await;
    assert_eq!(subject.full_pass(0, &["x"]).await, Some(State::Failed));
    assert!(!holds(folder.path(), needle), "after a failure");

    start(&subject).await;
    subject.delete(None).await.unwrap();
    assert!(!holds(folder.path(), needle), "after a deletion");
}

#[tokio::test]
async fn credentials_for_orphans_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let canary = "canary-of-an-orphan-".repeat(400);
    let needle = &canary.as_bytes()[..42];
    let deleted = async || {
        let subject = Subject::new(&store).await;
        let task = subject.lease().await;
        for key in ["a", "b"] {
            let upload = OpenUpload {
                foreign_uploads: None,
                key: Key::from(key),
                upload_id: Some("id".to_owned()),
                part_size: 1,
                source_etag: Some(ETag::new("e")),
                size: 1,
            };
            let writer = Writer::Task(task.fencing_token);
            store.put_upload(subject.id, writer, &upload).await.unwrap();
        }
        subject.stop().await.unwrap();
        subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
        subject.delete(Some(&canary)).await.unwrap();
        assert!(holds(folder.path(), needle), "still needed");
        (
            subject.id,
            store.orphans(Orphans::Of(subject.id), 0, 9).await.unwrap(),
        )
    };
    let (_, orphans) = deleted().await;
    store.remove_orphan(orphans[0].number).await.unwrap();
    assert!(holds(folder.path(), needle), "still needed");
    store.remove_orphan(orphans[1].number).await.unwrap();
    assert!(!holds(folder.path(), needle), "after the last orphan");
    let (id, _) = deleted().await;
    store.wipe_orphan_keys(id).await.unwrap();
    assert!(!holds(folder.path(), needle), "after they were refused");
    let subject = Subject::new(&store).await;
    subject.stop().await.unwrap();
    subject.delete(Some(&canary)).await.unwrap();
    assert!(!holds(folder.path(), needle), "without an orphan");
}

#[tokio::test]
async fn a_ledger_that_cannot_be_created_reports_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "no database").unwrap();
    let sealed = folder.path().join("sealed");
    std::fs::create_dir(&sealed).unwrap();
    let mut bad = vec![
        folder.path().join("missing/oms.db"),
        plain.join("oms.db"),
        folder.path().to_path_buf(),
        plain.clone(),
    ];
    #[cfg(unix)]
    {
        let read_only = std::os::unix::fs::PermissionsExt::from_mode(0o500);
        std::fs::set_permissions(&sealed, read_only).unwrap();
        // Permissions do not apply to a superuser.
        if std::fs::write(sealed.join("probe"), "").is_err() {
            bad.push(sealed.join("oms.db"));
        }
    }
    for path in bad {
        let error = SqlLedger::open(&path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        let text = format!("open the ledger {}", path.display());
        assert!(error.message().starts_with(&text), "{error}");
    }
    let nameless = SqlLedger::open(Path::new("")).await.unwrap_err();
    assert_eq!(nameless.kind(), ErrorKind::InvalidArgument);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_readable_only_by_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    store.ping().await.unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        seen += 1;
    }
    assert!(seen >= 3, "database, log and lock");
}

#[tokio::test]
async fn the_connections_are_set_up_as_promised() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let mut tx = store.database.begin().await.unwrap();
    for (pragma, expected) in [
        ("SELECT synchronous AS value FROM pragma_synchronous", 2),
        ("SELECT foreign_keys AS value FROM pragma_foreign_keys", 1),
        ("SELECT secure_delete AS value FROM pragma_secure_delete", 1),
    ] {
        let row = sql(pragma).one(&mut tx).await.unwrap();
        assert_eq!(get::<i64>(&row, "value").unwrap(), expected, "{pragma}");
    }
    let row = sql("SELECT journal_mode FROM pragma_journal_mode")
        .one(&mut tx)
        .await
        .unwrap();
    assert_eq!(get::<&str>(&row, "journal_mode").unwrap(), "wal");
    // What is not a change is read on connections that cannot write.
    let write = sql("UPDATE pulse SET beats = 7 RETURNING beats");
    assert!(write.one(&store.database).await.is_err());
}

/// A worker that must end quickly drops its running commits at any point.
#[tokio::test]
async fn a_dropped_commit_is_complete_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let store = file(folder.path()).await;
    let subject = Subject::new(&store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    for round in 0..150_u64 {
        let commit = Commit {
            delta: counters(0, 1),
            failures: vec![failure(&format!("{round:03}"))],
            ..Commit::default()
        };
        let timeout = std::time::Duration::from_micros(round * 20);
        let abandoned = tokio::time::timeout(timeout, subject.commit(&shard, commit)).await;
        assert_ne!(abandoned, Ok(Committed::Fenced));
    }
    assert_eq!(subject.commit(&shard, Commit::default()).await, Committed::Done);
    let recorded = i64::try_from(subject.failed_keys().await.len()).unwrap();
    assert_eq!(subject.task().await.counters, counters(0, recorded));
}

#[tokio::test]
async fn a_ledger_without_the_column_strangers_opens() {
    use sqlx::migrate::Migrator;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oms.db");
    let created = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let pool = SqlitePool::connect_with(created).await.unwrap();
    let all = sqlx::migrate!("src/ledger/migrations/sqlite");
    let earlier: Vec<_> = all.iter().filter(|one| one.version <= 6).cloned().collect();
    let migrator = Migrator {
        migrations: earlier.into(),
        ..Migrator::DEFAULT
    };
    migrator.run(&pool).await.unwrap();
    let place = crate::ledger::json::location_to_text(&crate::task::testing::spec().target).unwrap();
    let insert = sqlx::query(
        "INSERT INTO orphans (task_id, endpoint, bucket, place, key, upload_id, orphaned_at) \
         VALUES (100000000000001, 'http://127.0.0.1:1', 'target', ?1, CAST('k' AS BLOB), NULL, 1)",
    );
    insert.bind(place).execute(&pool).await.unwrap();
    pool.close().await;

    let store = file(folder.path()).await;
    let task = crate::task::TaskId::new(100_000_000_000_001).unwrap();
    let found = store.orphans(Orphans::Of(task), 0, 9).await.unwrap();
    assert_eq!((found.len(), found[0].foreign_uploads.clone()), (1, None));
    store.ping().await.unwrap();
}
