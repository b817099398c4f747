//! Crashes, and workers that have lost their lease.

use super::subject::{ME, Subject, at, counters, failure, holder, pass};
use crate::error::ErrorKind;
use crate::ledger::{Commit, Committed, Ending, LeasedShard, Ledger, ShardScope, Unordered};
use crate::task::{Counters, Key, PassKind, ReportKind, StartMode, State};

pub(super) async fn all(store: &dyn Ledger) {
    a_fenced_worker_writes_nothing(store).await;
    a_worker_that_has_left_writes_nothing(store).await;
    an_old_lease_is_not_valid_in_a_new_pass(store).await;
    counters_never_fall_below_zero(store).await;
    run_time_of_a_crash_counts_up_to_the_last_commit(store).await;
    recovery_pauses_what_was_pausing(store).await;
    a_release_pauses_a_pausing_task_without_a_worker(store).await;
}

fn one_object() -> Commit {
    Commit {
        checkpoint: Some(Key::from("z")),
        close: true,
        delta: counters(0, 1),
        failures: vec![failure("late")],
        resolved: vec![Key::from("kept")],
        speed: 77,
        concurrency: None,
        success: b"late\n".to_vec(),
        skip: b"late\n".to_vec(),
    }
}

/// Asserts that no call with these leases has an effect.
async fn is_fenced(subject: &Subject<'_>, fencing_token: i64, shard: &LeasedShard) {
    let before = subject.task().await;
    let failed = subject.failed_keys().await;
    let waiting = subject.waiting(ReportKind::Success).await;
    assert_eq!(subject.commit(shard, one_object()).await, Committed::Fenced);
    let marked = subject.store.set_unordered(subject.id, shard).await;
    assert_eq!(marked.unwrap(), Unordered::Fenced);
    let cut = subject.store.split(subject.id, shard, &[Key::from("m")]).await;
    assert_eq!(cut.unwrap(), Committed::Fenced);
    let keys: Vec<Key> = failed.iter().map(|key| Key::from(key.as_str())).collect();
    let taken = subject.store.take_failures(subject.id, shard, &keys);
    assert_eq!(taken.await.unwrap(), None);
    let scopes = [ShardScope::Keys];
    let opened = subject
        .store
        .open_pass(
            subject.id,
            fencing_token,
            pass(PassKind::Full, &scopes),
            at(9_999),
        )
        .await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Conflict);
    for ending in [Ending::Drained, Ending::PassFinished] {
        assert_eq!(subject.finish(fencing_token, ending).await, None);
    }
    assert_eq!(format!("{before:?}"), format!("{:?}", subject.task().await));
    assert_eq!(failed, subject.failed_keys().await);
    assert_eq!(waiting, subject.waiting(ReportKind::Success).await);
}

async fn a_fenced_worker_writes_nothing(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (first, old_shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: counters(0, 1),
        failures: vec![failure("kept")],
        ..Commit::default()
    };
    assert_eq!(subject.commit(&old_shard, commit).await, Committed::Done);
    // The old leases are fenced as soon as the worker leases the task again, before it leases the shard.
    let second = subject.lease().await;
    assert!(second.fencing_token > first.fencing_token);
    is_fenced(&subject, first.fencing_token, &old_shard).await;
    let shard = subject.shard().await.unwrap();
    assert!(shard.fencing_token > old_shard.fencing_token);
    is_fenced(&subject, first.fencing_token, &old_shard).await;
    assert_eq!(subject.commit(&shard, one_object()).await, Committed::Done);
    // A closed shard accepts no commit, not even from the holder of its lease.
    assert_eq!(subject.commit(&shard, one_object()).await, Committed::Fenced);
    let end = subject.finish(second.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Failed));
    assert_eq!(subject.failed_keys().await, ["late"]);
}

async fn a_worker_that_has_left_writes_nothing(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    subject.stop().await.unwrap();
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    is_fenced(&subject, task.fencing_token, &shard).await;
    subject.start(StartMode::Full).await.unwrap();
    is_fenced(&subject, task.fencing_token, &shard).await;
}

async fn an_old_lease_is_not_valid_in_a_new_pass(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, old_shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: counters(0, 1),
        failures: vec![failure("kept")],
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&old_shard, commit).await, Committed::Done);
    subject
        .finish(task.fencing_token, Ending::PassFinished)
        .await
        .unwrap();
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (_, shard) = subject.work(PassKind::Failed).await;
    assert_eq!(shard.number, old_shard.number);
    is_fenced(&subject, task.fencing_token, &old_shard).await;
}

async fn counters_never_fall_below_zero(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: Counters {
            failed: -1,
            ..Counters::default()
        },
        close: true,
        ..Commit::default()
    };
    let refused = store.commit(subject.id, &shard, commit, at(1)).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(subject.task().await.counters, Counters::default());
    // The failed commit wrote nothing, so the shard is still open.
    assert_eq!(subject.commit(&shard, one_object()).await, Committed::Done);
}

async fn run_time_of_a_crash_counts_up_to_the_last_commit(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    assert_eq!(subject.commit(&shard, Commit::default()).await, Committed::Done);
    let leased = store
        .lease_task(subject.id, holder(), at(900_000))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(leased.task.ran_for, 1_000);
    assert_eq!(leased.task.running_since, Some(at(900_000)));
    assert_eq!(leased.task.started_at, Some(at(2_000)));
    // If the clock goes back, the run time does not become smaller.
    let end = subject.finish(leased.fencing_token, Ending::Drained).await;
    assert_eq!(end, None);
    subject.stop().await.unwrap();
    subject
        .finish(leased.fencing_token, Ending::Drained)
        .await
        .unwrap();
    assert_eq!(subject.task().await.ran_for, 1_000);
}

async fn recovery_pauses_what_was_pausing(store: &dyn Ledger) {
    let pausing = Subject::new(store).await;
    let (task, shard) = pausing.work(PassKind::Full).await;
    assert_eq!(pausing.commit(&shard, Commit::default()).await, Committed::Done);
    pausing.stop().await.unwrap();
    let running = Subject::new(store).await;
    let (_, running_shard) = running.work(PassKind::Full).await;
    let waiting = Subject::new(store).await;
    store.recover(at(900_000)).await.unwrap();
    let now = pausing.task().await;
    assert_eq!((now.state, now.ran_for), (State::Paused, 1_000));
    is_fenced(&pausing, task.fencing_token, &shard).await;
    assert_eq!(running.state().await, State::Running);
    // The process that had it is gone.
    let late = running.commit(&running_shard, Commit::default()).await;
    assert_eq!(late, Committed::Fenced);
    assert_eq!(waiting.state().await, State::Waiting);
}

async fn a_release_pauses_a_pausing_task_without_a_worker(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    store.release(subject.id, ME, at(2_500)).await.unwrap();
    assert_eq!(subject.state().await, State::Running);
    subject.stop().await.unwrap();
    store.release(subject.id, ME, at(2_500)).await.unwrap();
    assert_eq!(subject.state().await, State::Paused);
    is_fenced(&subject, task.fencing_token, &shard).await;
    store.release(subject.id, ME, at(2_500)).await.unwrap();
    assert_eq!(subject.state().await, State::Paused);
}
