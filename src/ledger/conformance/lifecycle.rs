//! Start, stop and delete, and their effect on credentials.

use super::subject::{ME, Subject, at, counters, failure, holder, sealed};
use crate::ledger::{Commit, Committed, Ending, Ledger, OpenUpload, Refusal, Writer};
use crate::task::{Key, PassKind, Reason, ReasonKind, Rejection, StartMode, State};

pub(super) async fn all(store: &dyn Ledger) {
    a_waiting_task_pauses_at_once(store).await;
    an_end_time_is_kept_until_the_next_start(store).await;
    a_running_task_drains(store).await;
    start_brings_fresh_credentials(store).await;
    start_is_refused_by_state(store).await;
    a_failed_only_start_needs_a_complete_list(store).await;
    of_many_starts_one_succeeds(store).await;
    delete_takes_everything(store).await;
}

async fn a_waiting_task_pauses_at_once(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    assert_eq!(subject.stop().await, Ok(State::Paused));
    let refused = Err(Refusal::State(Rejection::NotInProgress));
    assert_eq!(subject.stop().await, refused);
    assert!(
        store
            .lease_task(subject.id, holder(), at(2))
            .await
            .unwrap()
            .is_none()
    );
    assert!(!subject.is_pending().await);
    assert_eq!(subject.task().await.ran_for, 0);
}

async fn an_end_time_is_kept_until_the_next_start(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let times = async || {
        let task = subject.task().await;
        (task.created_at, task.started_at, task.ended_at)
    };
    assert_eq!(times().await, (at(1_000), None, None));
    assert_eq!(subject.full_pass(1, &["a"]).await, Some(State::Failed));
    let ended = (at(1_000), Some(at(2_000)), Some(at(4_000)));
    assert_eq!(times().await, ended);
    assert_eq!(subject.start(StartMode::FailedOnly).await, Ok(()));
    assert_eq!(times().await, (at(1_000), Some(at(2_000)), None));
    // A paused task has not ended.
    assert_eq!(subject.stop().await, Ok(State::Paused));
    assert_eq!(times().await, (at(1_000), Some(at(2_000)), None));
    assert_eq!(subject.start(StartMode::Full).await, Ok(()));
    assert_eq!(subject.full_pass(2, &[]).await, Some(State::Succeeded));
    assert_eq!(times().await, ended);
}

async fn a_running_task_drains(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let leased = subject.lease().await;
    let task = subject.task().await;
    assert_eq!((task.state, task.started_at), (State::Running, Some(at(2_000))));
    assert_eq!(task.running_since, Some(at(2_000)));
    assert!(subject.is_pending().await);
    assert_eq!(subject.finish(leased.fencing_token, Ending::Drained).await, None);
    assert_eq!(subject.stop().await, Ok(State::Pausing));
    let control = store.control(subject.id, ME, at(2_000)).await.unwrap().unwrap();
    assert_eq!(control.state, State::Pausing);
    assert_eq!(
        subject.stop().await,
        Err(Refusal::State(Rejection::NotInProgress))
    );
    assert!(!subject.is_pending().await);
    assert!(
        store
            .lease_task(subject.id, holder(), at(2))
            .await
            .unwrap()
            .is_none()
    );
    let end = subject.finish(leased.fencing_token, Ending::Drained).await;
    assert_eq!(end, Some(State::Paused));
    let task = subject.task().await;
    assert_eq!((task.ran_for, task.running_since, task.speed), (2_000, None, 0));
    assert_eq!(task.concurrency, None);
    assert_eq!(subject.finish(leased.fencing_token, Ending::Drained).await, None);
}

async fn start_brings_fresh_credentials(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let first = subject.lease().await;
    assert_eq!(first.credentials, Some(sealed("first")));
    assert_eq!((first.mode, first.task.epoch), (StartMode::Full, 1));
    let reason = Reason {
        kind: ReasonKind::SourceCredentials,
        message: "source refused the keys".into(),
    };
    let end = subject
        .finish(first.fencing_token, Ending::Broken(reason.clone()))
        .await;
    assert_eq!(end, Some(State::Failed));
    assert_eq!(subject.task().await.reason, Some(reason));
    assert_eq!(subject.start(StartMode::Full).await, Ok(()));
    let task = subject.task().await;
    assert_eq!((task.state, task.epoch, task.reason), (State::Waiting, 2, None));
    // A worker from before the start has lost its lease, although no other worker has leased the task since.
    let late = Ending::Broken(Reason {
        kind: ReasonKind::SystemError,
        message: "late".into(),
    });
    assert_eq!(subject.finish(first.fencing_token, late).await, None);
    let second = subject.lease().await;
    assert!(second.fencing_token > first.fencing_token);
    assert_eq!(second.credentials, Some(sealed("again")));
    assert_eq!(second.task.started_at, first.task.started_at);
}

async fn start_is_refused_by_state(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    for mode in [StartMode::Full, StartMode::FailedOnly] {
        let started = Err(Refusal::State(Rejection::AlreadyStarted));
        assert_eq!(subject.start(mode).await, started);
    }
    assert_eq!(subject.lease().await.credentials, Some(sealed("first")));
    assert_eq!(subject.full_pass(2, &[]).await, Some(State::Succeeded));
    for mode in [StartMode::Full, StartMode::FailedOnly] {
        let complete = Err(Refusal::State(Rejection::Complete));
        assert_eq!(subject.start(mode).await, complete);
    }
    assert_eq!(subject.stop().await, Err(Refusal::State(Rejection::Complete)));
    assert_eq!(subject.task().await.epoch, 1);
}

async fn a_failed_only_start_needs_a_complete_list(store: &dyn Ledger) {
    // The task never ran.
    let subject = Subject::new(store).await;
    subject.stop().await.unwrap();
    let incomplete = Err(Refusal::ListIncomplete);
    assert_eq!(subject.start(StartMode::FailedOnly).await, incomplete);
    // The pass ran, but did not finish.
    assert_eq!(subject.start(StartMode::Full).await, Ok(()));
    let (task, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: counters(1, 1),
        failures: vec![failure("k")],
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject.stop().await.unwrap();
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    assert_eq!(subject.start(StartMode::FailedOnly).await, incomplete);
    // The pass finished.
    assert_eq!(subject.start(StartMode::Full).await, Ok(()));
    let task = subject.lease().await;
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Failed));
    assert_eq!(subject.start(StartMode::FailedOnly).await, Ok(()));
    // A crash does not change the start mode.
    for _ in 0..2 {
        assert_eq!(subject.lease().await.mode, StartMode::FailedOnly);
    }

    // Objects failed, but no failure was recorded.
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: counters(0, 1),
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject
        .finish(task.fencing_token, Ending::PassFinished)
        .await
        .unwrap();
    assert_eq!(
        subject.start(StartMode::FailedOnly).await,
        Err(Refusal::NothingFailed)
    );
}

async fn of_many_starts_one_succeeds(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    subject.stop().await.unwrap();
    let starts = (0..64).map(|_| subject.start(StartMode::Full));
    let outcomes = futures_util::future::join_all(starts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refused = Err(Refusal::State(Rejection::AlreadyStarted));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == refused).count(), 63);
    assert_eq!(subject.task().await.epoch, 2);
}

async fn delete_takes_everything(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, _) = subject.work(PassKind::Full).await;
    let upload = OpenUpload {
        foreign_uploads: None,
        key: Key::from("big"),
        upload_id: None,
        part_size: 1,
        source_etag: Some(crate::object::ETag::new("e")),
        size: 2,
    };
    let writer = Writer::Task(task.fencing_token);
    store.put_upload(subject.id, writer, &upload).await.unwrap();
    assert_eq!(
        subject.delete(None).await,
        Err(Refusal::State(Rejection::InProgress))
    );
    subject.stop().await.unwrap();
    assert_eq!(
        subject.delete(None).await,
        Err(Refusal::State(Rejection::InProgress))
    );
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    subject.start(StartMode::Full).await.unwrap();
    assert_eq!(subject.full_pass(0, &["x"]).await, Some(State::Failed));
    assert_eq!(subject.delete(None).await.map(|left| left.orphans), Ok(1));
    assert_eq!(subject.delete(None).await, Err(Refusal::Unknown));
    assert!(store.task(&subject.project, subject.id).await.unwrap().is_none());
    assert!(subject.failed_keys().await.is_empty());
    assert!(store.uploads(subject.id).await.unwrap().is_empty());
    assert!(
        store
            .lease_task(subject.id, holder(), at(1))
            .await
            .unwrap()
            .is_none()
    );
    // A worker that does not know about the deletion yet cannot change anything.
    assert_eq!(subject.finish(task.fencing_token, Ending::Drained).await, None);
    let late = store.put_upload(subject.id, writer, &upload).await;
    assert_eq!(late.unwrap(), Committed::Fenced);
}
