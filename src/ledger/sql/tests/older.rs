//! Ledgers that earlier versions wrote.

use std::borrow::Cow;
use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};

use super::file;
use crate::api::codes;
use crate::ledger::conformance::{self, subject::Subject, subject::at, subject::counters};
use crate::ledger::json::{bandwidth_to_text, spec_to_text};
use crate::ledger::sql::database::MIGRATIONS;
use crate::ledger::{Commit, Committed, Ending, Ledger, Writer};
use crate::task::{
    BandwidthPolicy, Counters, Key, PassKind, ReasonKind, ReportProblem, StartMode, State, TaskId, Warning,
    WarningCode,
};

/// The last migration of the oldest version that users have.
const RELEASED: i64 = 6;

/// The last migration in which the columns of fencing tokens are called attempts.
const ATTEMPTS: i64 = 13;

/// The first migration in which several workers may share a task. The statements here are of the schemas before.
const SHARED: i64 = 15;

/// Creates a ledger with the schema after migration `version`.
async fn schema(path: &Path, version: i64) -> SqliteConnection {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    let then = MIGRATIONS.iter().filter(|migration| migration.version <= version);
    let migrator = Migrator {
        migrations: Cow::Owned(then.cloned().collect()),
        ..Migrator::DEFAULT
    };
    migrator.run(&mut connection).await.unwrap();
    connection
}

/// Writes a ledger with the schema after migration `version`, and one task that was running its first pass.
async fn written(path: &Path, version: i64) {
    let mut connection = schema(path, version).await;
    let rows = "INSERT INTO tasks (id, project, name, bandwidth, state, epoch, mode, attempt, shard_attempt, pass, listed, \
                copied, bytes_listed, bytes_copied, bytes_settled, proved_etag, created_at, started_at, running_since, \
                seen_at) VALUES (7, 'p', 'n', ?1, 'running', 1, 'full', 1, 1, 1, 3, 2, 20, 20, 20, 2, 1, 1, 1, 1); \
                UPDATE tasks SET failed = 1 WHERE id = 7; \
                INSERT INTO specs (task_id, spec) VALUES (7, ?2); \
                INSERT INTO credentials (task_id, sealed) VALUES (7, x'00'); \
                INSERT INTO passes (task_id, number, kind, opened_at) VALUES (7, 1, 'full', 1); \
                INSERT INTO shards (task_id, pass, number, scope, prefix, checkpoint, attempt, task_attempt, listed, \
                copied, bytes_listed, bytes_copied, bytes_settled, proved_etag) \
                VALUES (7, 1, 0, 'prefix', x'', x'62', 1, 1, 3, 2, 20, 20, 20, 2); \
                UPDATE shards SET failed = 1 WHERE task_id = 7; \
                INSERT INTO failures (task_id, key, shard, size, code, message, attempts, at) \
                VALUES (7, x'61', 0, 0, 'NoSuchKey', 'm', 1, 1)";
    let rows = if version > ATTEMPTS {
        rows.replace("attempt,", "fencing_token,")
    } else {
        rows.to_owned()
    };
    let (bandwidth, spec) = (
        bandwidth_to_text(&BandwidthPolicy::default()).unwrap(),
        spec_to_text(&conformance::subject::spec()).unwrap(),
    );
    for (number, row) in rows.split("; ").enumerate() {
        let statement = sqlx::query(sqlx::AssertSqlSafe(row.to_owned()));
        let statement = match number {
            0 => statement.bind(bandwidth.clone()),
            2 => statement.bind("").bind(spec.clone()),
            _ => statement,
        };
        statement.execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_task_of_every_earlier_ledger_can_be_finished() {
    let versions: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    assert!(versions.contains(&RELEASED));
    for version in versions
        .into_iter()
        .filter(|version| (RELEASED..SHARED).contains(version))
    {
        let folder = tempfile::tempdir().unwrap();
        written(&folder.path().join("oms.db"), version).await;
        let store = file(folder.path()).await;
        let subject = Subject {
            store: &store,
            project: "p".parse().unwrap(),
            id: TaskId::new(7).unwrap(),
        };
        // Later versions have stored the number themselves.
        let not_found = i64::from(version < 9);
        let failed = Counters {
            listed: 1,
            failed: 1,
            not_found,
            ..Counters::default()
        };
        let mut wanted = counters(2, 0);
        wanted += failed;
        assert_eq!(subject.task().await.counters, wanted, "{version}");
        let leased = subject.lease().await;
        let shard = subject.shard().await.unwrap();
        assert_eq!(shard.checkpoint, Some(Key::from("b")));
        let warning = Warning::new(WarningCode::ScopeEntryEmpty, "m");
        let warned = store
            .warn(subject.id, Writer::Task(leased.fencing_token), &[warning], at(5))
            .await;
        assert_eq!(warned.unwrap(), Committed::Done);
        let commit = Commit {
            delta: counters(1, 0),
            close: true,
            ..Commit::default()
        };
        assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
        let end = subject.finish(leased.fencing_token, Ending::PassFinished).await;
        assert_eq!(end, Some(State::Failed), "{version}");
        wanted += counters(1, 0);
        assert_eq!(subject.task().await.counters, wanted, "{version}");
        let found = store.found_scope(subject.id, 9).await.unwrap();
        assert_eq!((found.entries.len(), found.objects()), (1, 4), "{version}");
        assert_eq!(store.warnings(subject.id).await.unwrap().len(), 1);
    }
}

/// The columns of the counters, by the names that existing ledgers have, and values that differ.
const COLUMNS: [(&str, i64); 20] = [
    ("listed", 101),
    ("copied", 102),
    ("skipped", 103),
    ("gone", 104),
    ("failed", 105),
    ("bytes_listed", 106),
    ("bytes_copied", 107),
    ("bytes_settled", 108),
    ("proved_etag", 109),
    ("proved_checksum", 110),
    ("proved_size", 111),
    ("metadata_lost", 112),
    ("lost_tags", 113),
    ("lost_storage_class", 114),
    ("lost_user_metadata", 115),
    ("lost_website_redirect", 116),
    ("lost_object_lock", 117),
    ("lost_other", 118),
    ("not_found", 119),
    ("bytes_in_flight", 120),
];

/// What [`COLUMNS`] mean.
const COUNTERS: Counters = Counters {
    listed: 101,
    copied: 102,
    skipped: 103,
    gone: 104,
    failed: 105,
    bytes_listed: 106,
    bytes_copied: 107,
    bytes_settled: 108,
    proved_etag: 109,
    proved_checksum: 110,
    proved_size: 111,
    metadata_lost: 112,
    lost_tags: 113,
    lost_storage_class: 114,
    lost_user_metadata: 115,
    lost_website_redirect: 116,
    lost_object_lock: 117,
    lost_other: 118,
    not_found: 119,
    bytes_in_flight: 120,
};

/// Writes the counters of the task and of its shard. Returns those that version `version` knew.
async fn count(path: &Path, version: i64) -> Vec<&'static str> {
    let mut connection = schema(path, version).await;
    let mut known = Vec::new();
    for (name, value) in COLUMNS {
        let exists: bool =
            sqlx::query_scalar("SELECT count(*) FROM pragma_table_info('tasks') WHERE name = ?1")
                .bind(name)
                .fetch_one(&mut connection)
                .await
                .unwrap();
        if !exists {
            continue;
        }
        known.push(name);
        // The task has twice what its shard has.
        for (table, value) in [("tasks", 2 * value), ("shards", value)] {
            let update = sqlx::AssertSqlSafe(format!("UPDATE {table} SET {name} = ?1"));
            let update = sqlx::query(update).bind(value);
            update.execute(&mut connection).await.unwrap();
        }
    }
    sqlx::query("UPDATE shards SET unordered = 1")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    known
}

#[tokio::test]
async fn every_counter_of_every_earlier_ledger_is_read_back() {
    for version in MIGRATIONS.iter().map(|migration| migration.version) {
        if !(RELEASED..SHARED).contains(&version) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oms.db");
        written(&path, version).await;
        let known = count(&path, version).await;
        let mut shard = COUNTERS;
        if !known.contains(&"lost_website_redirect") {
            (
                shard.lost_website_redirect,
                shard.lost_object_lock,
                shard.lost_other,
            ) = (0, 0, 0);
        }
        // What the task has besides its shard.
        let mut rest = shard;
        if !known.contains(&"not_found") {
            // Counted when the column is added: the ledger has one such failure.
            (shard.not_found, rest.not_found) = (1, 0);
            (shard.bytes_in_flight, rest.bytes_in_flight) = (0, 0);
        }
        let mut wanted = shard;
        wanted += rest;
        let store = file(folder.path()).await;
        let subject = Subject {
            store: &store,
            project: "p".parse().unwrap(),
            id: TaskId::new(7).unwrap(),
        };
        assert_eq!(subject.task().await.counters, wanted, "{version}");
        // A shard whose listing has no order begins again: what it has counted is taken back.
        subject.lease().await;
        subject.shard().await.unwrap();
        assert_eq!(subject.task().await.counters, rest, "{version}");
    }
}

/// Gives each task a spec.
async fn specs(connection: &mut SqliteConnection) {
    sqlx::query("INSERT INTO specs (task_id, spec) SELECT id, ?1 FROM tasks")
        .bind(spec_to_text(&conformance::subject::spec()).unwrap())
        .execute(connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn ended_tasks_get_the_last_known_time() {
    const TASK: &str = "INSERT INTO tasks (id, project, name, bandwidth, state, reason_code, reason_message, epoch, \
                        mode, pass, created_at, seen_at, running_since) VALUES ";
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema(&folder.path().join("oms.db"), 6).await;
    for values in [
        "(1, 'p', 'n', '[]', 'succeeded', NULL, NULL, 1, 'full', 1, 1000, 3000, NULL)",
        "(2, 'p', 'n', '[]', 'failed', 'TRF.0151', 'm', 1, 'full', NULL, 1000, 2500, NULL)",
        "(3, 'p', 'n', '[]', 'failed', 'TRF.0151', 'm', 1, 'full', NULL, 1000, NULL, NULL)",
        "(4, 'p', 'n', '[]', 'paused', NULL, NULL, 1, 'full', NULL, 1000, 2000, NULL)",
        "(5, 'p', 'n', '[]', 'running', NULL, NULL, 1, 'full', NULL, 1000, 2000, 1500)",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(format!("{TASK}{values}")))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    specs(&mut connection).await;
    let pass = "INSERT INTO passes (task_id, number, kind, finished, opened_at, finished_at) \
                VALUES (1, 1, 'full', 1, 2000, 4000)";
    sqlx::query(pass).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();

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

/// The last migration with codes of the OMS reference in the ledger.
const CODES: i64 = 11;

#[tokio::test]
async fn every_code_of_an_earlier_ledger_is_still_shown() {
    const TASK: &str = "INSERT INTO tasks (id, project, name, bandwidth, state, reason_code, reason_message, \
                        failed_list_error, epoch, mode, created_at) \
                        VALUES (?1, 'p', 'n', '[]', 'failed', ?2, 'm', ?3, 1, 'full', 1)";
    let lists = [
        (None, None),
        (Some("OMS.0304"), Some(ReportProblem::NotStored)),
        (Some("OMS.0305"), Some(ReportProblem::TooLarge)),
        (Some("not_stored"), Some(ReportProblem::NotStored)),
        (Some("too_large"), Some(ReportProblem::TooLarge)),
    ];
    let reasons = (1..).zip(ReasonKind::ALL).zip(lists.into_iter().cycle());
    let folder = tempfile::tempdir().unwrap();
    let mut connection = schema(&folder.path().join("oms.db"), CODES).await;
    for ((id, kind), (list, _)) in reasons.clone() {
        let row = sqlx::query(TASK).bind(id).bind(codes::of_reason(*kind).code);
        row.bind(list).execute(&mut connection).await.unwrap();
    }
    specs(&mut connection).await;
    connection.close().await.unwrap();

    let store = file(folder.path()).await;
    let project = "p".parse().unwrap();
    for ((id, kind), (_, problem)) in reasons {
        let task = store.task(&project, TaskId::new(id).unwrap()).await;
        let task = task.unwrap().unwrap();
        let reason = task.reason.unwrap();
        assert_eq!((reason.kind, reason.message.as_str()), (*kind, "m"), "{id}");
        assert_eq!(task.failed_list.problem, problem, "{id}");
    }
}

/// A ledger that a service of an earlier version has written, with a task in each state that it leaves to its successor. The
/// service was killed while the last of them ran.
#[tokio::test]
async fn a_real_ledger_of_an_earlier_version_goes_on() {
    const SEAL_KEY: &str = "393c0890e19e5655ca7f093cd77a3462c12cbf97eae39ac464ffe1907b3345c4";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("oms.db"), include_bytes!("data/ledger_13.db")).unwrap();
    let store = file(folder.path()).await;
    store.recover(at(1_800_000_000_000)).await.unwrap();
    let subject = |id| Subject {
        store: &store,
        project: "bench".parse().unwrap(),
        id: TaskId::new(id).unwrap(),
    };
    let [succeeded, paused, failed, running] = [
        179_573_796_745_900,
        179_573_796_788_901,
        179_573_797_784_302,
        179_573_797_789_803,
    ]
    .map(subject);
    for (subject, state, listed, copied) in [
        (&succeeded, State::Succeeded, 3_000, 3_000),
        (&paused, State::Paused, 234, 234),
        (&failed, State::Failed, 2, 0),
        (&running, State::Running, 298, 298),
    ] {
        let task = subject.task().await;
        assert_eq!(task.state, state);
        assert_eq!(
            (task.counters.listed, task.counters.copied),
            (listed, copied),
            "{state:?}"
        );
    }
    assert_eq!(failed.failed_keys().await, ["none/1", "none/2"]);
    // The running task still has its credentials. The paused one and the failed one get new ones.
    let key = hex::decode(SEAL_KEY).unwrap().try_into().unwrap();
    let sealer = crate::secret::Sealer::new(&key);
    let now = at(1_800_000_000_000);
    let lease = store
        .lease_task(running.id, conformance::subject::holder(), now)
        .await
        .unwrap()
        .unwrap();
    let credentials = sealer
        .open(running.id.get(), &lease.credentials.unwrap())
        .unwrap();
    assert_eq!(credentials.source.access_key.expose(), "SOURCEACCESSKEY0000");
    assert_eq!(
        running.finish_the_rest(lease.fencing_token, 2_702).await,
        Some(State::Succeeded)
    );
    paused.start(StartMode::Full).await.unwrap();
    let lease = paused.lease().await;
    assert_eq!(
        paused.finish_the_rest(lease.fencing_token, 2_766).await,
        Some(State::Succeeded)
    );
    failed.start(StartMode::FailedOnly).await.unwrap();
    let (lease, shard) = failed.work(PassKind::Failed).await;
    let commit = Commit {
        delta: Counters {
            copied: 2,
            failed: -2,
            not_found: -2,
            ..Counters::default()
        },
        resolved: vec![Key::from("none/1"), Key::from("none/2")],
        close: true,
        ..Commit::default()
    };
    assert_eq!(failed.commit(&shard, commit).await, Committed::Done);
    assert_eq!(
        failed.finish(lease.fencing_token, Ending::PassFinished).await,
        Some(State::Succeeded)
    );
}

impl Subject<'_> {
    /// Resumes the pass, whose checkpoint is known, and copies what is left of it.
    async fn finish_the_rest(&self, fencing_token: i64, left: i64) -> Option<State> {
        let open = conformance::subject::pass(PassKind::Full, &[]);
        let opened = self
            .store
            .open_pass(self.id, fencing_token, open, at(1_800_000_000_000))
            .await;
        assert_eq!(opened.unwrap().number, 1);
        let mut left = left;
        while let Some(shard) = self.shard().await {
            assert!(shard.checkpoint.is_some());
            let commit = Commit {
                delta: counters(std::mem::take(&mut left), 0),
                close: true,
                ..Commit::default()
            };
            assert_eq!(self.commit(&shard, commit).await, Committed::Done);
        }
        self.finish(fencing_token, Ending::PassFinished).await
    }
}
