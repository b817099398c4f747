//! Shards that are cut into ranges and put together again.

use super::subject::{Subject, at, counters, failure, pass};
use crate::ledger::{Commit, Committed, Ending, LeasedShard, Ledger, ShardScope, Unordered};
use crate::task::{Counters, Key, PassKind, StartMode, State};

pub(super) async fn all(store: &dyn Ledger) {
    a_shard_that_is_cut_covers_the_same_keys(store).await;
    a_cut_lasts_over_another_lease(store).await;
    the_next_full_pass_begins_with_even_ranges(store).await;
    ranges_without_an_order_become_one_shard_again(store).await;
    an_unordered_prefix_leaves_others_alone(store).await;
    failures_are_cut_into_even_pieces(store).await;
}

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| Key::from(*name)).collect()
}

/// Number, first key and last key of a shard.
fn range(shard: &LeasedShard) -> (i64, String, String) {
    let name = |key: &Option<Key>| {
        key.as_ref()
            .map_or_else(String::new, |key| key.lossy().into_owned())
    };
    (shard.number, name(&shard.checkpoint), name(&shard.until))
}

/// All shards that can be leased.
async fn leased(subject: &Subject<'_>) -> Vec<LeasedShard> {
    let mut shards = Vec::new();
    while let Some(shard) = subject.shard().await {
        shards.push(shard);
    }
    shards
}

fn ranges(shards: &[LeasedShard]) -> Vec<(i64, String, String)> {
    shards.iter().map(range).collect()
}

fn row(number: i64, after: &str, until: &str) -> (i64, String, String) {
    (number, after.to_owned(), until.to_owned())
}

async fn a_shard_that_is_cut_covers_the_same_keys(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let cut = store.split(subject.id, &shard, &keys(&["d", "m"])).await.unwrap();
    assert_eq!(cut, Committed::Done);
    let others = leased(&subject).await;
    assert_eq!(ranges(&others), [row(1, "d", "m"), row(2, "m", "")]);
    // A range is cut like the whole. The holder of the first one still has it.
    let cut = store.split(subject.id, &others[0], &keys(&["f"])).await.unwrap();
    assert_eq!(cut, Committed::Done);
    let more = leased(&subject).await;
    assert_eq!(ranges(&more), [row(3, "f", "m")]);
    let all = [&[shard][..], &others, &more].concat();
    for shard in &all {
        assert_eq!(subject.commit(shard, one_and_close()).await, Committed::Done);
    }
    // A closed shard is cut no more.
    let late = store.split(subject.id, &all[0], &keys(&["b"])).await.unwrap();
    assert_eq!(late, Committed::Fenced);
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Succeeded));
    assert_eq!(subject.task().await.counters, counters(4, 0));
}

fn one_and_close() -> Commit {
    Commit {
        delta: counters(1, 0),
        close: true,
        ..Commit::default()
    }
}

async fn a_cut_lasts_over_another_lease(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    store.split(subject.id, &shard, &keys(&["k"])).await.unwrap();
    let commit = Commit {
        checkpoint: Some(Key::from("c")),
        delta: counters(3, 0),
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject.lease().await;
    let shards = leased(&subject).await;
    assert_eq!(ranges(&shards), [row(0, "c", "k"), row(1, "k", "")]);
    assert_eq!(subject.task().await.counters, counters(3, 0));
}

async fn the_next_full_pass_begins_with_even_ranges(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    store
        .split(subject.id, &shard, &keys(&["d", "m", "t"]))
        .await
        .unwrap();
    let mut shards = vec![shard];
    shards.extend(leased(&subject).await);
    for (shard, objects) in shards.iter().zip([6_000, 100, 7_000, 6_000]) {
        let failed = i64::from(objects == 100);
        let commit = Commit {
            delta: counters(objects - failed, failed),
            failures: (failed > 0).then(|| failure("e")).into_iter().collect(),
            close: true,
            ..Commit::default()
        };
        assert_eq!(subject.commit(shard, commit).await, Committed::Done);
    }
    let ended = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(ended, Some(State::Failed));
    // A pass over the failures in between changes nothing.
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (task, shard) = subject.work(PassKind::Failed).await;
    let commit = Commit {
        close: true,
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject
        .finish(task.fencing_token, Ending::PassFinished)
        .await
        .unwrap();
    subject.start(StartMode::Full).await.unwrap();
    let (_, shard) = subject.work(PassKind::Full).await;
    let others = leased(&subject).await;
    assert_eq!(range(&shard), row(0, "", "d"));
    assert_eq!(ranges(&others), [row(1, "d", "t"), row(2, "t", "")]);
}

async fn ranges_without_an_order_become_one_shard_again(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    store.split(subject.id, &shard, &keys(&["d", "m"])).await.unwrap();
    let mut shards = vec![shard];
    shards.extend(leased(&subject).await);
    for (shard, key) in shards.iter().zip(["a", "e", "n"]) {
        let commit = Commit {
            checkpoint: Some(Key::from(key)),
            delta: counters(2, 1),
            failures: vec![failure(key)],
            success: b"line\n".to_vec(),
            close: key == "a",
            ..Commit::default()
        };
        assert_eq!(subject.commit(shard, commit).await, Committed::Done);
    }
    assert_eq!(subject.task().await.counters, counters(6, 3));
    let marked = store.set_unordered(subject.id, &shards[1]).await.unwrap();
    assert_eq!(marked, Unordered::Rejoined);
    assert_eq!(subject.task().await.counters, Counters::default());
    assert_eq!(subject.failed_keys().await, [""; 0]);
    for shard in &shards {
        assert_eq!(subject.commit(shard, one_and_close()).await, Committed::Fenced);
    }
    let whole = subject.shard().await.unwrap();
    assert_eq!(range(&whole), row(0, "", ""));
    assert_eq!(subject.commit(&whole, one_and_close()).await, Committed::Done);
    assert!(subject.shard().await.is_none());
    assert_eq!(subject.task().await.counters, counters(1, 0));
}

async fn an_unordered_prefix_leaves_others_alone(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let task = subject.lease().await;
    let scopes = ["a/", "b/"].map(|prefix| ShardScope::Prefix(Key::from(prefix)));
    store
        .open_pass(
            subject.id,
            task.fencing_token,
            pass(PassKind::Full, &scopes),
            at(1),
        )
        .await
        .unwrap();
    let shards = leased(&subject).await;
    for (shard, cut) in shards.iter().zip(["a/m", "b/m"]) {
        store.split(subject.id, shard, &keys(&[cut])).await.unwrap();
    }
    let commit = Commit {
        delta: counters(2, 0),
        ..Commit::default()
    };
    for shard in &shards {
        assert_eq!(subject.commit(shard, commit.clone()).await, Committed::Done);
    }
    let marked = store.set_unordered(subject.id, &shards[0]).await.unwrap();
    assert_eq!(marked, Unordered::Rejoined);
    assert_eq!(subject.task().await.counters, counters(2, 0));
    assert_eq!(
        subject.commit(&shards[0], commit.clone()).await,
        Committed::Fenced
    );
    assert_eq!(subject.commit(&shards[1], commit).await, Committed::Done);
    let open = leased(&subject).await;
    assert_eq!(ranges(&open), [row(0, "", ""), row(3, "b/m", "")]);
}

async fn failures_are_cut_into_even_pieces(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let names: Vec<String> = (0..20).map(|n| format!("k{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(subject.full_pass(0, &names).await, Some(State::Failed));
    for (after, until, pieces, wanted) in [
        (None, None, 4, &["k04", "k09", "k14"][..]),
        (None, None, 2, &["k09"]),
        (Some("k09"), None, 2, &["k14"]),
        (Some("k09"), Some("k13"), 2, &["k11"]),
        (Some("k09"), Some("k12"), 2, &[]),
        (Some("k19"), None, 2, &[]),
        (None, None, 11, &[]),
    ] {
        let (after, until) = (after.map(Key::from), until.map(Key::from));
        let cuts = store
            .failure_cuts(subject.id, after.as_ref(), until.as_ref(), pieces)
            .await;
        assert_eq!(cuts.unwrap(), keys(wanted), "{after:?} {until:?} {pieces}");
    }
}
