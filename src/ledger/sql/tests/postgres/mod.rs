//! The conformance suite on PostgreSQL, and what is specific to it.

#[path = "../../../../../tests/support"]
#[expect(dead_code, reason = "the integration tests use the rest")]
mod support {
    pub mod postgres;
    pub mod server;
    pub mod tools;
}

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use self::support::postgres::Postgres;
use self::support::tools::{Need, require};
use super::walk_randomly;
use crate::error::ErrorKind;
use crate::ledger::conformance;
use crate::ledger::conformance::subject::{Subject, at, counters, failure, held_by, pass, sealed};
use crate::ledger::sql::{Schema, SqlLedger};
use crate::ledger::{
    Commit, Committed, Ending, Failure, LEASE_MILLIS, Ledger as _, OpenUpload, Orphans, ShardKinds,
    ShardLease, ShardScope, Writer,
};
use crate::secret::Secret;
use crate::task::{Key, PassKind, StartMode, State, UnixMillis, WorkerId};

async fn connect(url: &str, schema: Schema) -> crate::error::Result<SqlLedger> {
    SqlLedger::connect(&Secret::new(url), schema).await
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_on_a_server() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let url = Postgres::shared(&tools).await.database("conformance").await;
    let store = connect(&url, Schema::Migrate).await.unwrap();
    Box::pin(conformance::all(&store)).await;
}

#[test]
fn random_walks_agree_with_a_naive_ledger_on_a_server() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let store = runtime.block_on(async {
        let url = Postgres::shared(&tools).await.database("walks").await;
        connect(&url, Schema::Migrate).await.unwrap()
    });
    walk_randomly(&runtime, &store, 16);
}

#[tokio::test]
async fn only_the_service_changes_the_schema() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let server = Postgres::shared(&tools).await;
    let url = server.database("schema").await;
    let empty = connect(&url, Schema::Check).await.unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Conflict);
    assert!(empty.message().contains("another version"), "{empty}");
    connect(&url, Schema::Migrate).await.unwrap();
    let store = connect(&url, Schema::Check).await.unwrap();
    store.ping().await.unwrap();
    server
        .query_at(&url, "INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, execution_time \
                         FROM _sqlx_migrations WHERE version = 1")
        .await;
    let newer = connect(&url, Schema::Check).await.unwrap_err();
    assert_eq!(newer.kind(), ErrorKind::Conflict);
    let newer = connect(&url, Schema::Migrate).await.unwrap_err();
    assert!(newer.message().contains("newer version"), "{newer}");
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_named_and_no_secret_is_shown() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let server = Postgres::shared(&tools).await;
    let url = server.database("named").await;
    let (user, rest) = url.split_once("://").unwrap().1.split_once(':').unwrap();
    let (password, place) = rest.split_once('@').unwrap();
    for (wrong, kind) in [
        (
            url.replace(password, "canary-of-a-password"),
            ErrorKind::Unauthenticated,
        ),
        (url.replace("named", "no_such_database"), ErrorKind::NotFound),
        (
            format!("postgres://{user}:{password}@127.0.0.1:1/named"),
            ErrorKind::Unavailable,
        ),
        ("mysql://localhost/named".to_owned(), ErrorKind::InvalidArgument),
    ] {
        let error = connect(&wrong, Schema::Check).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert_eq!(error.kind(), kind, "{shown}");
        assert!(
            !shown.contains(password) && !shown.contains("canary-of"),
            "{shown}"
        );
    }
    assert!(place.starts_with("127.0.0.1:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_is_a_temporary_error() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let mut server = Postgres::start(&tools).await;
    let store = connect(&server.url(), Schema::Migrate).await.unwrap();
    let subject = Subject::new(&store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    server.kill();
    let error = store.ping().await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    server.restart().await;
    // The pool notices broken connections before it gives them out.
    store.ping().await.unwrap();
    let commit = Commit {
        delta: counters(3, 0),
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    assert_eq!(subject.task().await.counters, counters(3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_whose_holder_commits_at_the_end_of_its_lease_stays_its_own() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let url = Postgres::shared(&tools).await.database("late").await;
    let store = connect(&url, Schema::Migrate).await.unwrap();
    let subject = Subject::new(&store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let ended = UnixMillis(2_000 + LEASE_MILLIS);
    let other = held_by(WorkerId::new(1_000));
    let lease = async || {
        let lease = store.lease_shard(subject.id, other, (ShardKinds::All, None), ended);
        lease.await.unwrap()
    };
    // The commit has changed the row and is not over when another worker looks for a shard.
    let mut holder = PgConnection::connect(&url).await.unwrap();
    let mut commit = holder.begin().await.unwrap();
    let text = format!(
        "UPDATE shards SET checkpoint = 'k', commits = commits + 1, seen_at = {}",
        ended.0
    );
    sqlx::query(AssertSqlSafe(text))
        .execute(&mut *commit)
        .await
        .unwrap();
    let early = lease().await;
    assert!(matches!(early, ShardLease::Held), "{early:?}");
    commit.commit().await.unwrap();
    let late = lease().await;
    assert!(matches!(late, ShardLease::Held), "{late:?}");
    shard.commits.written_after(shard.commits.get());
    let rest = Commit {
        delta: counters(1, 0),
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, rest).await, Committed::Done);
}

/// Many workers lease, commit and close shards of one task at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_workers_share_the_shards() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let url = Postgres::shared(&tools).await.database("concurrent").await;
    let store = connect(&url, Schema::Migrate).await.unwrap();
    let subject = Subject::new(&store).await;
    let task = subject.lease().await;
    let scopes: Vec<ShardScope> = (0..40)
        .map(|n| ShardScope::Prefix(Key::from(format!("{n:02}").as_str())))
        .collect();
    let open = pass(PassKind::Full, &scopes);
    store
        .open_pass(subject.id, task.fencing_token, open, at(2_000))
        .await
        .unwrap();
    let worker = async |number: u64| {
        let store = connect(&url, Schema::Check).await.unwrap();
        let worker = WorkerId::new(1_000 + 2 * number);
        let mut done = 0;
        loop {
            let lease = store.lease_shard(subject.id, held_by(worker), (ShardKinds::All, None), at(2_000));
            let shard = match lease.await.unwrap() {
                ShardLease::Leased(shard) => *shard,
                ShardLease::Held | ShardLease::None => return done,
                ShardLease::Poisoned(number) => panic!("{number}"),
            };
            for close in [false, true] {
                let commit = Commit {
                    delta: counters(2, 1),
                    failures: vec![failure(&format!("{:02}-{close}", shard.number))],
                    close,
                    ..Commit::default()
                };
                let written = store.commit(subject.id, &shard, commit, at(2_000)).await;
                assert_eq!(written.unwrap(), Committed::Done);
            }
            done += 1;
        }
    };
    let done = futures_util::future::join_all((0..6).map(worker)).await;
    assert_eq!(done.iter().sum::<i32>(), 40, "{done:?}");
    assert_eq!(subject.task().await.counters, counters(160, 80));
    assert_eq!(subject.failed_keys().await.len(), 80);
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Failed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_moves_from_a_file_to_a_server() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = super::file(folder.path()).await;
    let paused = Subject::new(&file).await;
    let (task, shard) = paused.work(PassKind::Full).await;
    let upload = OpenUpload {
        key: Key::from(&b"big\xff"[..]),
        upload_id: Some("an upload".to_owned()),
        part_size: 5,
        source_etag: None,
        size: 0,
        foreign_uploads: Some(vec!["another".to_owned()]),
    };
    let writer = Writer::Shard(&shard);
    file.put_upload(paused.id, writer, &upload).await.unwrap();
    file.put_part_hash(paused.id, writer, &upload.key, (3, [7; 16]))
        .await
        .unwrap();
    let commit = Commit {
        checkpoint: Some(Key::from("m")),
        delta: counters(4, 1),
        failures: vec![Failure {
            message: "a text with \0 in it".to_owned(),
            ..failure("c")
        }],
        success: b"line\n".to_vec(),
        ..Commit::default()
    };
    assert_eq!(paused.commit(&shard, commit).await, Committed::Done);
    paused.stop().await.unwrap();
    paused.finish(task.fencing_token, Ending::Drained).await.unwrap();
    let waiting = Subject::new(&file).await;
    let deleted = Subject::new(&file).await;
    let lease = deleted.lease().await;
    file.put_upload(deleted.id, Writer::Task(lease.fencing_token), &upload)
        .await
        .unwrap();
    deleted.stop().await.unwrap();
    deleted
        .finish(lease.fencing_token, Ending::Drained)
        .await
        .unwrap();
    deleted.delete(Some("kept")).await.unwrap();

    let url = Postgres::shared(&tools).await.database("moved").await;
    let server = connect(&url, Schema::Migrate).await.unwrap();
    let copied = file.copy_to(&server).await.unwrap();
    assert!(
        copied.contains(&("failures", 1)) && copied.contains(&("orphans", 1)),
        "{copied:?}"
    );
    let again = file.copy_to(&server).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let here = |subject: &Subject<'_>| Subject {
        store: &server,
        project: subject.project.clone(),
        id: subject.id,
    };
    for subject in [&paused, &waiting] {
        let (before, after) = (subject.task().await, here(subject).task().await);
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }
    let paused = here(&paused);
    assert_eq!(
        server.uploads(paused.id).await.unwrap(),
        file.uploads(paused.id).await.unwrap()
    );
    assert_eq!(server.part_hashes(paused.id, &upload.key).await.unwrap().len(), 1);
    let failures = server.failures(paused.id, None, 9).await.unwrap();
    assert_eq!(failures[0].message, "a text with \u{fffd} in it");
    assert_eq!(
        server.orphans(Orphans::Of(deleted.id), 0, 9).await.unwrap().len(),
        1
    );
    // The work goes on where it stood.
    paused.start(StartMode::Full).await.unwrap();
    let (task, shard) = paused.work(PassKind::Full).await;
    assert_eq!(shard.checkpoint, Some(Key::from("m")));
    let commit = Commit {
        delta: counters(2, 0),
        success: b"more\n".to_vec(),
        close: true,
        ..Commit::default()
    };
    assert_eq!(paused.commit(&shard, commit).await, Committed::Done);
    let end = paused.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(
        (end, paused.task().await.counters),
        (Some(State::Failed), counters(6, 1))
    );
    assert_eq!(here(&waiting).lease().await.credentials, Some(sealed("first")));
}
