//! Repeated crashes, stops that are recorded late, the order in which tasks are served, and background cleanup.

use super::subject::{ME, Subject, at, counters, failure, fresh, holder, new_task, pass, sealed};
use crate::ledger::{
    Commit, Committed, Failure, Ledger, MOST_FAILURES, OpenUpload, Orphans, PROJECTS_AT_ONCE, Purged,
    Refusal, TASKS_AT_ONCE, Writer,
};
use crate::object::ETag;
use crate::task::{Counters, Key, PassKind, ProjectId, ReasonKind, StartMode, State, TaskId};

pub(super) async fn all(store: &dyn Ledger) {
    a_task_that_keeps_crashing_is_not_resumed(store).await;
    early_crashes_weigh_less(store).await;
    progress_resets_the_count_of_crashes(store).await;
    an_orderly_shutdown_is_no_crash(store).await;
    a_panic_counts_like_a_crash(store).await;
    a_late_stop_pauses(store).await;
    waiting_tasks_are_read_project_by_project(store).await;
    failures_are_bounded(store).await;
    a_deleted_task_is_removed_in_small_steps(store).await;
    a_full_pass_deletes_failures_in_small_steps(store).await;
}

/// The process crashes after the worker has run the task for a while, and another process starts.
async fn crash(subject: &Subject<'_>) {
    let leased = subject.lease().await;
    let confirm_running = subject
        .store
        .confirm_running(subject.id, leased.fencing_token)
        .await;
    confirm_running.unwrap();
    subject.store.recover(at(2_500)).await.unwrap();
}

async fn a_task_that_keeps_crashing_is_not_resumed(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    for _ in 0..2 {
        crash(&subject).await;
        assert_eq!(subject.state().await, State::Running);
        assert!(subject.is_pending().await);
    }
    crash(&subject).await;
    let task = subject.task().await;
    assert_eq!(task.state, State::Failed);
    let reason = task.reason.unwrap();
    assert_eq!(reason.kind, ReasonKind::SystemError);
    assert!(reason.message.contains("not resumed"), "{reason:?}");
    assert!(!subject.is_pending().await);
    // After a start by the user the count begins at zero.
    assert_eq!(subject.start(StartMode::Full).await, Ok(()));
    assert_eq!(subject.lease().await.credentials, Some(sealed("again")));
    for _ in 0..2 {
        crash(&subject).await;
    }
    assert_eq!(subject.state().await, State::Running);
    crash(&subject).await;
    assert_eq!(subject.state().await, State::Failed);
}

async fn early_crashes_weigh_less(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    for n in 0..89 {
        subject.lease().await;
        store.recover(at(2_500)).await.unwrap();
        assert_eq!(subject.state().await, State::Running, "{n}");
    }
    subject.lease().await;
    store.recover(at(2_500)).await.unwrap();
    assert_eq!(subject.state().await, State::Failed);
}

async fn progress_resets_the_count_of_crashes(store: &dyn Ledger) {
    let commit = Subject::new(store).await;
    let part = Subject::new(store).await;
    for _ in 0..5 {
        crash(&commit).await;
        let (_, shard) = commit.work(PassKind::Full).await;
        let settled = Commit {
            checkpoint: Some(Key::from("k")),
            delta: counters(1, 0),
            ..Commit::default()
        };
        assert_eq!(commit.commit(&shard, settled).await, Committed::Done);

        crash(&part).await;
        let (_, shard) = part.work(PassKind::Full).await;
        let writer = Writer::Shard(&shard);
        let upload = OpenUpload {
            key: Key::from("k"),
            upload_id: Some(format!("part-{}", part.id)),
            part_size: 5,
            source_etag: Some(ETag::new("t")),
            size: 50,
            foreign_uploads: None,
        };
        store.put_upload(part.id, writer, &upload).await.unwrap();
        store
            .put_part_hash(part.id, writer, &upload.key, (1, [1; 16]))
            .await
            .unwrap();
    }
    assert_eq!(commit.state().await, State::Running);
    assert_eq!(part.state().await, State::Running);
    // A commit that only reports a speed is no progress.
    for _ in 0..2 {
        crash(&commit).await;
        let (_, shard) = commit.work(PassKind::Full).await;
        let speed = Commit {
            speed: 7,
            ..Commit::default()
        };
        assert_eq!(commit.commit(&shard, speed).await, Committed::Done);
    }
    crash(&commit).await;
    assert_eq!(commit.state().await, State::Failed);
    store.pause(part.id, ME, at(2_500)).await.unwrap();
}

async fn an_orderly_shutdown_is_no_crash(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    for _ in 0..9 {
        let leased = subject.lease().await;
        store
            .confirm_running(subject.id, leased.fencing_token)
            .await
            .unwrap();
        store.record_shutdown(ME).await.unwrap();
        store.recover(at(2_500)).await.unwrap();
    }
    assert_eq!(subject.state().await, State::Running);
    assert!(subject.is_pending().await);
}

async fn a_panic_counts_like_a_crash(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    for wanted in [State::Running, State::Running, State::Failed] {
        subject.lease().await;
        store.record_crash(subject.id, ME).await.unwrap();
        // A second record of the same crash does not count.
        store.record_crash(subject.id, ME).await.unwrap();
        assert_eq!(subject.state().await, wanted);
    }
}

async fn a_late_stop_pauses(store: &dyn Ledger) {
    for before in [State::Running, State::Pausing] {
        let subject = Subject::new(store).await;
        subject.lease().await;
        if before == State::Pausing {
            subject.stop().await.unwrap();
        }
        store.pause(subject.id, ME, at(2_500)).await.unwrap();
        assert_eq!(subject.state().await, State::Paused, "{before:?}");
        assert!(!subject.is_pending().await);
        // It does not change a task that is not running.
        subject.start(StartMode::Full).await.unwrap();
        store.pause(subject.id, ME, at(2_500)).await.unwrap();
        assert_eq!(subject.state().await, State::Waiting);
    }
    store
        .pause(TaskId::new(TaskId::MAX).unwrap(), ME, at(2_500))
        .await
        .unwrap();
}

async fn waiting_tasks_are_read_project_by_project(store: &dyn Ledger) {
    // Projects whose names sort after those of all other tests. One of them has many tasks.
    let project = |n: i64| format!("queue-{n:03}").parse::<ProjectId>().unwrap();
    let projects = PROJECTS_AT_ONCE + 2;
    let mut ids = Vec::new();
    for n in 0..projects {
        for _ in 0..if n == 1 { 300 } else { 2 } {
            let id = TaskId::new(fresh()).unwrap();
            store.create(new_task(&project(n), id), at(1_000)).await.unwrap();
            ids.push((n, id));
        }
    }
    assert_eq!(store.waiting(&project(1)).await.unwrap(), 300);
    assert_eq!(store.waiting(&project(0)).await.unwrap(), 2);
    let ours = |number: i64| ids.iter().filter(move |(n, _)| *n == number).map(|(_, id)| *id);
    let pending = store.pending(Some(&project(0)), ME, at(2_000)).await.unwrap();
    let of = |number: i64| -> Vec<TaskId> {
        let tasks = pending.iter().filter(|task| task.project == project(number));
        tasks.map(|task| task.id).collect()
    };
    // The oldest tasks of the next projects, in order, and at most a bounded number of each project.
    assert_eq!(
        of(1),
        ours(1)
            .take(usize::try_from(TASKS_AT_ONCE).unwrap())
            .collect::<Vec<_>>()
    );
    for number in 2..=PROJECTS_AT_ONCE {
        assert_eq!(of(number), ours(number).collect::<Vec<_>>(), "{number}");
    }
    assert!(of(0).is_empty() && of(PROJECTS_AT_ONCE + 1).is_empty());
    // After the last project it begins again with the first.
    let around = store
        .pending(Some(&project(projects - 1)), ME, at(2_000))
        .await
        .unwrap();
    assert!(!around.is_empty());
    let mut seen = around.iter().map(|task| task.id).collect::<Vec<_>>();
    seen.sort_by_key(|id| id.get());
    seen.dedup();
    assert_eq!(seen.len(), around.len(), "a task came twice");
    for (number, id) in ids {
        store.stop(&project(number), id, at(2)).await.unwrap().unwrap();
    }
    assert_eq!(store.waiting(&project(1)).await.unwrap(), 0);
}

async fn failures_are_bounded(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let long = Failure {
        key: Key::from(vec![b'k'; 20_000].as_slice()),
        message: "m".repeat(100_000),
        request_id: Some("r".repeat(100_000)),
        ..failure("k")
    };
    let commit = Commit {
        delta: counters(0, 1),
        failures: vec![long.clone()],
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let kept = store.failures(subject.id, None, 9).await.unwrap();
    assert_eq!(kept, [long.bounded()]);
    // The last failure that may be recorded, and one more.
    let many = |count| Commit {
        delta: Counters {
            listed: count,
            failed: count,
            ..Counters::default()
        },
        checkpoint: Some(Key::from("z")),
        ..Commit::default()
    };
    assert_eq!(
        subject.commit(&shard, many(MOST_FAILURES - 1)).await,
        Committed::Done
    );
    let before = subject.task().await;
    assert_eq!(subject.commit(&shard, many(1)).await, Committed::TooManyFailures);
    assert_eq!(subject.task().await.counters, before.counters, "half a commit");
    // Commits that resolve failures, or add none, still succeed.
    assert_eq!(subject.commit(&shard, Commit::default()).await, Committed::Done);
    let one_less = Commit {
        delta: Counters {
            failed: -1,
            copied: 1,
            ..Counters::default()
        },
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, one_less).await, Committed::Done);
    assert_eq!(subject.commit(&shard, many(1)).await, Committed::Done);
}

async fn a_full_pass_deletes_failures_in_small_steps(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let keys: Vec<String> = (0..950).map(|n| format!("{n:03}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(subject.full_pass(1, &keys).await, Some(State::Failed));
    subject.start(StartMode::Full).await.unwrap();
    let task = subject.lease().await;
    let forget = |fencing_token| store.forget_failures(subject.id, fencing_token);
    assert_eq!(
        forget(task.fencing_token - 1).await.unwrap(),
        Purged::All,
        "fenced"
    );
    assert_eq!(subject.failed_keys().await.len(), 950);
    assert_eq!(forget(task.fencing_token).await.unwrap(), Purged::Some);
    let left = subject.failed_keys().await.len();
    assert!((1..950).contains(&left), "{left}");
    // The remaining failures are incomplete, so a failed-only start is refused.
    store.pause(subject.id, ME, at(2_500)).await.unwrap();
    let incomplete = Err(Refusal::ListIncomplete);
    assert_eq!(subject.start(StartMode::FailedOnly).await, incomplete);
    subject.start(StartMode::Full).await.unwrap();
    let task = subject.lease().await;
    while forget(task.fencing_token).await.unwrap() == Purged::Some {}
    store
        .open_pass(subject.id, task.fencing_token, pass(PassKind::Full, &[]), at(1))
        .await
        .unwrap();
    assert!(subject.failed_keys().await.is_empty());
    assert_eq!(subject.task().await.counters, Counters::default());
    store.pause(subject.id, ME, at(2_500)).await.unwrap();

    // A resumed pass deletes no failures. After a new full pass the failures are complete again.
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        checkpoint: Some(Key::from("z")),
        delta: counters(0, 950),
        failures: keys.iter().map(|key| failure(key)).collect(),
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let task = subject.lease().await;
    let forgotten = store
        .forget_failures(subject.id, task.fencing_token)
        .await
        .unwrap();
    assert_eq!(forgotten, Purged::All);
    assert_eq!(subject.failed_keys().await.len(), 950);
    store.pause(subject.id, ME, at(2_500)).await.unwrap();
}

async fn a_deleted_task_is_removed_in_small_steps(store: &dyn Ledger) {
    while store.purge().await.unwrap() == Purged::Some {}
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    for n in 0..3 {
        let commit = Commit {
            checkpoint: Some(Key::from("z")),
            delta: counters(0, 300),
            failures: (0..300).map(|m| failure(&format!("{n}-{m}"))).collect(),
            success: b"lines\n".to_vec(),
            ..Commit::default()
        };
        assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    }
    let upload = OpenUpload {
        key: Key::from("k"),
        upload_id: Some(format!("upload-{}", subject.id)),
        part_size: 5,
        source_etag: Some(ETag::new("t")),
        size: 50,
        foreign_uploads: None,
    };
    let writer = Writer::Shard(&shard);
    store.put_upload(subject.id, writer, &upload).await.unwrap();
    for part in 1..=300 {
        store
            .put_part_hash(subject.id, writer, &upload.key, (part, [1; 16]))
            .await
            .unwrap();
    }
    store.pause(subject.id, ME, at(2_500)).await.unwrap();
    let left = subject.delete(Some("keys")).await.unwrap();
    assert_eq!(left.orphans, 1);
    // The task is invisible at once.
    let gone = async || {
        assert!(store.task(&subject.project, subject.id).await.unwrap().is_none());
        assert!(subject.failed_keys().await.is_empty());
        assert_eq!(store.control(subject.id, ME, at(2_000)).await.unwrap(), None);
        assert!(
            store
                .lease_task(subject.id, holder(), at(9))
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(subject.start(StartMode::Full).await, Err(Refusal::Unknown));
        assert_eq!(subject.stop().await, Err(Refusal::Unknown));
        assert_eq!(subject.delete(None).await, Err(Refusal::Unknown));
        assert!(!subject.is_pending().await);
        let target = Key::from("in/k");
        let id = upload.upload_id.as_deref().unwrap();
        let owner = store.upload_owner(&target, id).await.unwrap();
        assert_eq!(owner, crate::ledger::Owner::Nobody);
    };
    gone().await;
    let mut steps = 0;
    while store.purge().await.unwrap() == Purged::Some {
        steps += 1;
        gone().await;
        assert!(steps < 1_000);
    }
    assert!(steps > 5, "{steps} steps for a thousand rows");
    // The orphans of the task remain.
    let orphans = store.orphans(Orphans::Of(subject.id), 0, 9).await.unwrap();
    assert_eq!(orphans.len(), 1);
    store.remove_orphan(orphans[0].number).await.unwrap();
    // Its id can be used again.
    let again = new_task(&subject.project, subject.id);
    store.create(again, at(1_000)).await.unwrap();
    assert!(subject.failed_keys().await.is_empty());
    subject.delete(None).await.unwrap();
    while store.purge().await.unwrap() == Purged::Some {}
}
