//! What was found of a scope, bytes in flight, and failures that are taken in the order of a manifest.

use super::subject::{Subject, at, counters, failure, pass};
use crate::ledger::{
    Commit, Committed, Ending, Failure, FoundEntry, FoundScope, LeasedShard, Ledger, ShardScope,
};
use crate::task::{Counters, Key, PassKind, Reason, ReasonKind, StartMode, State};

pub(super) async fn all(store: &dyn Ledger) {
    every_entry_of_a_scope_is_counted(store).await;
    sums_that_no_number_can_hold_saturate(store).await;
    entries_are_kept_in_a_failed_only_pass(store).await;
    a_finished_pass_may_fail_with_its_own_reason(store).await;
    bytes_in_flight_are_known_to_the_next_lease(store).await;
    failures_are_taken_once_per_lease(store).await;
    concurrent_calls_share_the_failures(store).await;
    a_fenced_worker_takes_no_failure(store).await;
}

fn prefix(name: &str) -> ShardScope {
    ShardScope::Prefix(Key::from(name))
}

fn entry(scope: ShardScope, objects: i64, not_found: i64) -> FoundEntry {
    FoundEntry {
        scope,
        objects,
        bytes: 10 * (objects + not_found),
        not_found,
    }
}

/// Leases every shard of a new full pass over these scopes.
async fn leased(subject: &Subject<'_>, scopes: &[ShardScope]) -> (i64, Vec<LeasedShard>) {
    let task = subject.lease().await;
    let opened = subject.store.open_pass(
        subject.id,
        task.fencing_token,
        pass(PassKind::Full, scopes),
        at(1),
    );
    opened.await.unwrap();
    let mut shards = Vec::new();
    while let Some(shard) = subject.shard().await {
        shards.push(shard);
    }
    (task.fencing_token, shards)
}

async fn settle(subject: &Subject<'_>, shard: &LeasedShard, delta: Counters, close: bool) {
    let commit = Commit {
        delta,
        close,
        ..Commit::default()
    };
    assert_eq!(subject.commit(shard, commit).await, Committed::Done);
}

async fn every_entry_of_a_scope_is_counted(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    assert_eq!(
        store.found_scope(subject.id, 9).await.unwrap(),
        FoundScope::default()
    );
    // Two shards of the same prefix are added up.
    let scopes = [
        prefix("b"),
        prefix("a"),
        ShardScope::Keys,
        prefix("b"),
        prefix("c"),
        prefix("d"),
    ];
    let (_, shards) = leased(&subject, &scopes).await;
    let names = Counters {
        not_found: 2,
        ..counters(1, 3)
    };
    for (number, delta, close) in [
        (0, counters(2, 0), true),
        (1, counters(0, 0), true),
        (2, names, true),
        (3, counters(1, 1), true),
        (4, counters(0, 0), false),
        (5, counters(0, 0), true),
    ] {
        settle(&subject, &shards[number], delta, close).await;
    }
    let all = [
        entry(ShardScope::Keys, 2, 2),
        entry(prefix("b"), 4, 0),
        entry(prefix("a"), 0, 0),
        entry(prefix("c"), 0, 0),
        entry(prefix("d"), 0, 0),
    ];
    let found = store.found_scope(subject.id, 9).await.unwrap();
    assert_eq!(found.entries, all);
    assert_eq!((found.rest, found.objects(), found.empty_prefixes), (0, 6, 2));
    let listed = subject.task().await.counters.listed;
    assert_eq!(found.objects() + all[0].not_found, listed);
    let first = store.found_scope(subject.id, 1).await.unwrap();
    assert_eq!(first.entries, all[..1]);
    assert_eq!((first.rest, first.rest_objects, first.rest_bytes), (4, 4, 40));
    assert_eq!((first.objects(), first.empty_prefixes), (6, 2));
    let empty = async |limit| store.empty_prefixes(subject.id, limit).await.unwrap();
    assert_eq!(
        empty(9).await,
        [Key::from("a"), Key::from("d")],
        "c is not listed to its end"
    );
    assert_eq!(empty(1).await, [Key::from("a")]);
}

async fn sums_that_no_number_can_hold_saturate(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shards) = leased(&subject, &[prefix("a"), prefix("a"), prefix("b")]).await;
    let claimed = Counters {
        bytes_listed: i64::MAX - 1,
        ..counters(0, 1)
    };
    for shard in &shards {
        for _ in 0..2 {
            settle(&subject, shard, claimed, false).await;
        }
    }
    let sums = subject.task().await.counters;
    assert_eq!((sums.listed, sums.bytes_listed), (6, i64::MAX));
    let found = store.found_scope(subject.id, 1).await.unwrap();
    assert_eq!((found.entries[0].bytes, found.rest_bytes), (i64::MAX, i64::MAX));
}

async fn entries_are_kept_in_a_failed_only_pass(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (fencing_token, shards) = leased(&subject, &[prefix("a"), ShardScope::Keys]).await;
    settle(&subject, &shards[0], counters(1, 0), true).await;
    let commit = Commit {
        delta: Counters {
            not_found: 2,
            ..counters(0, 2)
        },
        failures: vec![failure("k"), failure("l")],
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shards[1], commit).await, Committed::Done);
    subject.finish(fencing_token, Ending::PassFinished).await.unwrap();
    let before = store.found_scope(subject.id, 9).await.unwrap();
    assert_eq!(
        before.entries,
        [entry(ShardScope::Keys, 0, 2), entry(prefix("a"), 1, 0)]
    );
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (task, shard) = subject.work(PassKind::Failed).await;
    assert_eq!((shard.number, shard.scope.clone()), (0, ShardScope::Failures));
    let commit = Commit {
        // One of the missing names exists now.
        delta: Counters {
            failed: -1,
            copied: 1,
            proved_etag: 1,
            not_found: -1,
            ..Counters::default()
        },
        resolved: vec![Key::from("k")],
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let after = store.found_scope(subject.id, 9).await.unwrap();
    assert_eq!((after.entries[0].objects, after.entries[0].not_found), (1, 1));
    assert_eq!(after.entries[1], before.entries[1]);
    subject
        .finish(task.fencing_token, Ending::PassFinished)
        .await
        .unwrap();
    // A new full pass begins with zero.
    subject.start(StartMode::Full).await.unwrap();
    subject.work(PassKind::Full).await;
    let anew = store.found_scope(subject.id, 9).await.unwrap();
    assert_eq!(anew.entries, [entry(prefix(""), 0, 0)]);
}

async fn a_finished_pass_may_fail_with_its_own_reason(store: &dyn Ledger) {
    let reason = Reason {
        kind: ReasonKind::NoSourceObjects,
        message: "nothing".to_owned(),
    };
    for (delta, kind) in [
        (counters(0, 0), ReasonKind::NoSourceObjects),
        (counters(0, 1), ReasonKind::NoSourceObjects),
        (
            Counters {
                listed: 1,
                ..Counters::default()
            },
            ReasonKind::SystemError,
        ),
    ] {
        let subject = Subject::new(store).await;
        let (fencing_token, shards) = leased(&subject, &[prefix("a")]).await;
        let early = store
            .finish(
                subject.id,
                fencing_token,
                Ending::PassFailed(reason.clone()),
                at(9),
            )
            .await;
        assert!(early.is_err(), "a shard is open");
        settle(&subject, &shards[0], delta, true).await;
        let end = subject
            .finish(fencing_token, Ending::PassFailed(reason.clone()))
            .await;
        assert_eq!(end, Some(State::Failed));
        let task = subject.task().await;
        assert_eq!(task.reason.unwrap().kind, kind);
        assert!(task.pass.unwrap().finished);
    }
}

async fn bytes_in_flight_are_known_to_the_next_lease(store: &dyn Ledger) {
    let in_flight = |bytes_in_flight| Counters {
        bytes_in_flight,
        ..Counters::default()
    };
    let subject = Subject::new(store).await;
    let (_, shards) = leased(&subject, &[prefix("a"), prefix("b")]).await;
    assert_eq!(shards[0].bytes_in_flight, 0);
    settle(&subject, &shards[0], in_flight(70), false).await;
    settle(&subject, &shards[1], in_flight(5), false).await;
    settle(&subject, &shards[0], in_flight(-20), false).await;
    assert_eq!(subject.task().await.counters.bytes_transferred(), 55);
    subject.lease().await;
    let first = subject.shard().await.unwrap();
    let second = subject.shard().await.unwrap();
    assert_eq!((first.bytes_in_flight, second.bytes_in_flight), (50, 5));
    // A shard that starts again has no bytes in flight.
    store.set_unordered(subject.id, &second).await.unwrap();
    subject.lease().await;
    subject.shard().await.unwrap();
    let second = subject.shard().await.unwrap();
    assert_eq!(second.bytes_in_flight, 0);
    assert_eq!(subject.task().await.counters.bytes_in_flight, 50);
}

async fn failures_are_taken_once_per_lease(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let many: Vec<String> = (0..150).map(|n| format!("{n:03}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    subject.full_pass(0, &names).await.unwrap();
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (_, shard) = subject.work(PassKind::Failed).await;
    let keys = |names: &[&str]| -> Vec<Key> { names.iter().map(|name| Key::from(*name)).collect() };
    let take = async |shard: &LeasedShard, names: &[&str]| {
        let mut found = store
            .take_failures(subject.id, shard, &keys(names))
            .await
            .unwrap()
            .unwrap();
        found.sort_by(|a, b| a.key.cmp(&b.key));
        found
    };
    let untaken = async |after: Option<&str>| -> Vec<String> {
        let after = after.map(Key::from);
        let found = store
            .untaken_failures(subject.id, after.as_ref(), 3)
            .await
            .unwrap();
        found
            .iter()
            .map(|failure| failure.key.lossy().into_owned())
            .collect()
    };
    assert_eq!(untaken(None).await, ["000", "001", "002"]);
    assert_eq!(take(&shard, &["unknown"]).await, []);
    assert_eq!(take(&shard, &[]).await, []);
    let taken: Vec<Failure> = take(&shard, &names[..100]).await;
    assert!(
        taken
            .iter()
            .map(|failure| failure.key.lossy())
            .eq(names[..100].iter().copied())
    );
    assert_eq!(take(&shard, &["099", "100", "000"]).await, [failure("100")]);
    assert_eq!(untaken(None).await, ["101", "102", "103"]);
    assert_eq!(untaken(Some("102")).await, ["103", "104", "105"]);
    // Failures that an earlier lease has taken and not settled are returned again. They do not count as untaken.
    subject.lease().await;
    let second = subject.shard().await.unwrap();
    assert_eq!(
        take(&second, &["000", "149"]).await,
        [failure("000"), failure("149")]
    );
    assert_eq!(untaken(Some("147")).await, ["148"]);
}

async fn concurrent_calls_share_the_failures(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let names: Vec<String> = (0..150).map(|n| format!("{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    subject.full_pass(0, &names).await.unwrap();
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (_, shard) = subject.work(PassKind::Failed).await;
    let keys: Vec<Key> = names.iter().map(|name| Key::from(*name)).collect();
    let calls = (0..8).map(|_| store.take_failures(subject.id, &shard, &keys));
    let answers = futures_util::future::join_all(calls).await;
    let mut taken: Vec<Key> = answers
        .into_iter()
        .flat_map(|answer| answer.unwrap().unwrap())
        .map(|failure| failure.key)
        .collect();
    taken.sort();
    assert_eq!(taken, keys, "each is returned once");
}

async fn a_fenced_worker_takes_no_failure(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    subject.full_pass(0, &["a", "b"]).await.unwrap();
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (_, first) = subject.work(PassKind::Failed).await;
    let take = async |shard: &LeasedShard, name: &str| {
        let keys = [Key::from(name)];
        let taken = store.take_failures(subject.id, shard, &keys);
        taken.await.unwrap()
    };
    let untaken = async || store.untaken_failures(subject.id, None, 9).await.unwrap();
    let task = subject.lease().await;
    let second = subject.shard().await.unwrap();
    assert_eq!(take(&first, "a").await, None);
    assert_eq!(take(&first, "unknown").await, None);
    // A token that was never given is no lease either.
    let never = LeasedShard {
        fencing_token: i64::MAX,
        ..second.clone()
    };
    assert_eq!(take(&never, "a").await, None);
    assert_eq!(untaken().await, [failure("a"), failure("b")], "nothing is marked");
    assert_eq!(take(&second, "a").await, Some(vec![failure("a")]));
    assert_eq!(untaken().await, [failure("b")]);
    // A pausing task still has its worker. A paused one has none.
    subject.stop().await.unwrap();
    assert_eq!(take(&second, "b").await, Some(vec![failure("b")]));
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    assert_eq!(take(&second, "b").await, None);
}
