//! Passes, shards, commits, and how a pass ends.

use super::subject::{Subject, at, counters, failure, holder, pass};
use crate::error::ErrorKind;
use crate::ledger::{Commit, Committed, Ending, Finished, Ledger, ShardScope, Unordered};
use crate::task::{
    Concurrency, ConcurrencyReason, Counters, Estimate, Key, PassInfo, PassKind, ReasonKind, StartMode, State,
};

pub(super) async fn all(store: &dyn Ledger) {
    a_pass_ends_with_success(store).await;
    a_pass_ends_with_failures(store).await;
    a_pass_without_shards_ends_at_once(store).await;
    a_pass_does_not_end_too_early(store).await;
    counters_must_balance(store).await;
    every_shard_is_leased_once_per_task_lease(store).await;
    a_commit_moves_checkpoint_counters_and_speed(store).await;
    an_unfinished_pass_is_resumed(store).await;
    a_full_pass_counts_from_zero(store).await;
    a_failed_pass_continues_the_counters(store).await;
    an_unordered_shard_starts_again(store).await;
}

async fn a_pass_ends_with_success(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    assert_eq!(subject.full_pass(3, &[]).await, Some(State::Succeeded));
    let task = subject.task().await;
    let pass = PassInfo {
        number: 1,
        kind: PassKind::Full,
        finished: true,
        opened_at: at(2_100),
    };
    assert_eq!((task.pass, task.reason), (Some(pass), None));
    assert_eq!((task.counters, task.ran_for), (counters(3, 0), 2_000));
    assert!(
        store
            .lease_task(subject.id, holder(), at(9))
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_pass_ends_with_failures(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    assert_eq!(subject.full_pass(1, &["a", "b"]).await, Some(State::Failed));
    let reason = subject.task().await.reason.unwrap();
    assert_eq!(reason.kind, ReasonKind::ObjectsFailed);
    assert_eq!(reason.message, "2 objects failed");
    assert_eq!(subject.failed_keys().await, ["a", "b"]);
    let subject = Subject::new(store).await;
    assert_eq!(subject.full_pass(1, &["a"]).await, Some(State::Failed));
    assert_eq!(subject.task().await.reason.unwrap().message, "1 object failed");

    // The result is the same if a stop came too late.
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    assert_eq!(subject.stop().await, Ok(State::Pausing));
    let commit = Commit {
        delta: counters(0, 1),
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Failed));
}

async fn a_pass_without_shards_ends_at_once(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let task = subject.lease().await;
    store
        .open_pass(subject.id, task.fencing_token, pass(PassKind::Full, &[]), at(1))
        .await
        .unwrap();
    assert!(subject.shard().await.is_none());
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Succeeded));
}

async fn a_pass_does_not_end_too_early(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let task = subject.lease().await;
    let finish = |fencing_token| store.finish(subject.id, fencing_token, Ending::PassFinished, at(9));
    let none_open = finish(task.fencing_token).await.unwrap_err();
    assert_eq!(none_open.kind(), ErrorKind::Internal);
    let scopes = [ShardScope::Keys, ShardScope::Prefix(Key::from("a"))];
    store
        .open_pass(
            subject.id,
            task.fencing_token,
            pass(PassKind::Full, &scopes),
            at(1),
        )
        .await
        .unwrap();
    let shard = subject.shard().await.unwrap();
    let close = Commit {
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, close.clone()).await, Committed::Done);
    let shard_open = finish(task.fencing_token).await.unwrap_err();
    assert_eq!(shard_open.kind(), ErrorKind::Internal);
    let now = subject.task().await;
    assert_eq!((now.state, now.pass.unwrap().finished), (State::Running, false));
    let shard = subject.shard().await.unwrap();
    assert_eq!(subject.commit(&shard, close).await, Committed::Done);
    assert_eq!(
        finish(task.fencing_token).await.unwrap(),
        Finished::State(State::Succeeded)
    );
}

async fn counters_must_balance(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: Counters {
            listed: 2,
            copied: 1,
            ..Counters::default()
        },
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Failed));
    let reason = subject.task().await.reason.unwrap();
    assert_eq!(reason.kind, ReasonKind::SystemError);
    assert!(
        reason.message.starts_with("counters do not balance"),
        "{reason:?}"
    );
    // The next full pass counts from zero, so it does not end the same way again.
    assert_eq!(subject.start(StartMode::Full).await, Ok(()));
    assert_eq!(subject.full_pass(2, &[]).await, Some(State::Succeeded));
    assert_eq!(subject.task().await.pass.unwrap().number, 2);
}

async fn every_shard_is_leased_once_per_task_lease(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let task = subject.lease().await;
    assert!(subject.shard().await.is_none());
    let scopes = [
        ShardScope::Prefix(Key::from(&b"\xff"[..])),
        ShardScope::Prefix(Key::from("")),
        ShardScope::Keys,
    ];
    store
        .open_pass(
            subject.id,
            task.fencing_token,
            pass(PassKind::Full, &scopes),
            at(1),
        )
        .await
        .unwrap();
    let leases = (0..8).map(|_| subject.shard());
    let leased = futures_util::future::join_all(leases).await;
    let mut leased: Vec<_> = leased.into_iter().flatten().collect();
    leased.sort_by_key(|shard| shard.number);
    let seen: Vec<_> = leased
        .iter()
        .map(|shard| (shard.number, shard.scope.clone()))
        .collect();
    assert_eq!(seen, (0..).zip(scopes).collect::<Vec<_>>());
    assert!(leased.iter().all(|shard| shard.checkpoint.is_none()));
}

async fn a_commit_moves_checkpoint_counters_and_speed(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    // All different, so that none can be taken for another, and one of them large.
    let mut number = 0;
    let mut delta = Counters::from(std::array::from_fn(|_| {
        number += 1;
        number
    }));
    delta.metadata_lost = 1 << 40;
    let commit = Commit {
        checkpoint: Some(Key::from(&b"k\xfe"[..])),
        delta,
        speed: 123,
        ..Commit::default()
    };
    for _ in 0..2 {
        assert_eq!(subject.commit(&shard, commit.clone()).await, Committed::Done);
    }
    // Without a new checkpoint the old one stays.
    let concurrency = Some(Concurrency {
        allowed: 80,
        in_flight: 79,
        reason: ConcurrencyReason::Growing,
    });
    let commit = Commit {
        speed: 99,
        concurrency,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let task = subject.task().await;
    let mut twice = delta;
    twice += delta;
    assert_eq!((task.counters, task.speed), (twice, 99));
    assert_eq!(task.concurrency, concurrency);
    let again = subject.lease().await;
    assert_eq!((again.task.speed, again.task.concurrency), (0, None));
    let shard = subject.shard().await.unwrap();
    assert_eq!(shard.checkpoint, Some(Key::from(&b"k\xfe"[..])));
}

async fn an_unfinished_pass_is_resumed(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (first, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        checkpoint: Some(Key::from("m")),
        delta: counters(4, 1),
        failures: vec![failure("c")],
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject.stop().await.unwrap();
    subject
        .finish(first.fencing_token, Ending::Drained)
        .await
        .unwrap();
    subject.start(StartMode::Full).await.unwrap();
    let second = subject.lease().await;
    // The requested kind and shards do not matter.
    let pass = store
        .open_pass(
            subject.id,
            second.fencing_token,
            pass(PassKind::Failed, &[]),
            at(1),
        )
        .await
        .unwrap();
    assert_eq!(
        (pass.number, pass.kind, pass.finished),
        (1, PassKind::Full, false)
    );
    assert_eq!(subject.task().await.counters, counters(4, 1));
    assert_eq!(subject.failed_keys().await, ["c"]);
    let shard = subject.shard().await.unwrap();
    assert_eq!(shard.checkpoint, Some(Key::from("m")));
    assert!(subject.shard().await.is_none());
}

async fn a_full_pass_counts_from_zero(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let survey = Estimate {
        objects: 9,
        bytes: 90,
        complete: true,
    };
    store.set_estimate(subject.id, survey).await.unwrap();
    let task = subject.lease().await;
    let open = |fencing_token| store.open_pass(subject.id, fencing_token, pass(PassKind::Full, &[]), at(1));
    open(task.fencing_token).await.unwrap();
    assert_eq!(subject.task().await.survey, Estimate::default());
    subject
        .finish(task.fencing_token, Ending::PassFinished)
        .await
        .unwrap();

    let subject = Subject::new(store).await;
    assert_eq!(subject.full_pass(1, &["x"]).await, Some(State::Failed));
    subject.start(StartMode::Full).await.unwrap();
    let (_, _) = subject.work(PassKind::Full).await;
    let task = subject.task().await;
    assert_eq!(task.counters, Counters::default());
    assert_eq!(task.pass.unwrap().number, 2);
    assert!(subject.failed_keys().await.is_empty());
}

async fn a_failed_pass_continues_the_counters(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    assert_eq!(subject.full_pass(5, &["x", "y"]).await, Some(State::Failed));
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (task, shard) = subject.work(PassKind::Failed).await;
    assert_eq!(shard.scope, ShardScope::Failures);
    assert_eq!(subject.task().await.counters, counters(5, 2));
    let commit = Commit {
        checkpoint: Some(Key::from("x")),
        delta: Counters {
            copied: 1,
            failed: -1,
            ..Counters::default()
        },
        resolved: vec![Key::from("x")],
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit.clone()).await, Committed::Done);
    assert_eq!(subject.failed_keys().await, ["y"]);
    assert!(store.set_unordered(subject.id, &shard).await.is_err());
    let commit = Commit {
        checkpoint: Some(Key::from("y")),
        resolved: vec![Key::from("y")],
        close: true,
        ..commit
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Succeeded));
    let task = subject.task().await;
    assert_eq!((task.counters.copied, task.counters.failed), (7, 0));
    assert_eq!(
        task.pass.map(|pass| (pass.number, pass.kind)),
        Some((2, PassKind::Failed))
    );
}

async fn an_unordered_shard_starts_again(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let task = subject.lease().await;
    let scopes = ["a", "b"].map(|prefix| ShardScope::Prefix(Key::from(prefix)));
    store
        .open_pass(
            subject.id,
            task.fencing_token,
            pass(PassKind::Full, &scopes),
            at(1),
        )
        .await
        .unwrap();
    for key in ["a1", "b1"] {
        let shard = subject.shard().await.unwrap();
        if key == "b1" {
            let marked = store.set_unordered(subject.id, &shard).await.unwrap();
            assert_eq!(marked, Unordered::Marked);
        }
        let commit = Commit {
            checkpoint: Some(Key::from(key)),
            delta: counters(3, 1),
            failures: vec![failure(key)],
            ..Commit::default()
        };
        assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    }
    assert_eq!(subject.task().await.counters, counters(6, 2));
    subject.lease().await;
    let ordered = subject.shard().await.unwrap();
    assert_eq!((ordered.number, ordered.checkpoint), (0, Some(Key::from("a1"))));
    assert_eq!(subject.task().await.counters, counters(6, 2));
    let unordered = subject.shard().await.unwrap();
    assert_eq!((unordered.number, unordered.checkpoint), (1, None));
    assert_eq!(subject.task().await.counters, counters(3, 1));
    assert_eq!(subject.failed_keys().await, ["a1"]);
}
