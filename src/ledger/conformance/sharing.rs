//! Several workers on one task: leases that end by themselves, lost answers, the last to leave, trouble, poisoned shards.

use super::subject::{ME, OTHER, Subject, at, counters, held_by, holder, pass};
use crate::error::ErrorKind;
use crate::ledger::{
    Commit, CommitCount, Committed, Ending, Finished, LEASE_MILLIS, LeasedShard, Ledger, ShardKinds,
    ShardLease, ShardScope, Writer,
};
use crate::task::{Key, PassKind, Reason, ReasonKind, StartMode, State, TaskWorker, UnixMillis};

pub(super) async fn all(store: &dyn Ledger) {
    a_task_has_one_holder_until_its_lease_ends(store).await;
    a_new_holder_fences_no_shard_of_others(store).await;
    a_shard_passes_to_another_worker_when_its_lease_ends(store).await;
    a_commit_is_written_once_if_its_answer_is_lost(store).await;
    the_last_worker_to_leave_ends_the_task(store).await;
    trouble_of_one_worker_ends_the_task_for_all(store).await;
    a_shard_that_ends_its_workers_is_not_leased_for_ever(store).await;
    a_lost_holder_counts_at_its_shards(store).await;
    workers_join_an_open_pass(store).await;
    a_shutdown_leaves_everything_to_others(store).await;
    a_dead_worker_of_a_pausing_task_is_not_waited_for_long(store).await;
    another_sealing_key_is_refused(store).await;
}

const LATER: UnixMillis = UnixMillis(2_000 + LEASE_MILLIS);

async fn opened<'a>(store: &'a dyn Ledger, prefixes: &[&str]) -> (Subject<'a>, i64) {
    let subject = Subject::new(store).await;
    let task = subject.lease().await;
    let scopes: Vec<ShardScope> = prefixes
        .iter()
        .map(|prefix| ShardScope::Prefix(Key::from(*prefix)))
        .collect();
    let open = pass(PassKind::Full, &scopes);
    store
        .open_pass(subject.id, task.fencing_token, open, at(2_000))
        .await
        .unwrap();
    (subject, task.fencing_token)
}

fn leased(lease: ShardLease) -> LeasedShard {
    match lease {
        ShardLease::Leased(shard) => *shard,
        other => panic!("{other:?}"),
    }
}

fn one() -> Commit {
    Commit {
        checkpoint: Some(Key::from("k")),
        delta: counters(1, 0),
        ..Commit::default()
    }
}

fn last() -> Commit {
    Commit { close: true, ..one() }
}

async fn a_task_has_one_holder_until_its_lease_ends(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let first = subject.lease().await;
    let lease = async |now| store.lease_task(subject.id, held_by(OTHER), now).await.unwrap();
    let kept = async |now| {
        store
            .keep_task(subject.id, first.fencing_token, now)
            .await
            .unwrap()
    };
    let just_before = at(1_999 + LEASE_MILLIS);
    assert!(lease(just_before).await.is_none());
    // A word from the holder keeps the lease.
    assert_eq!(kept(at(4_000)).await, Committed::Done);
    assert!(lease(LATER).await.is_none());
    let second = lease(at(4_000 + LEASE_MILLIS)).await.unwrap();
    assert_eq!(second.task.ran_for, 2_000);
    assert_eq!(kept(at(30_000)).await, Committed::Fenced);
    assert_eq!(subject.finish(first.fencing_token, Ending::Drained).await, None);
    let before = Some(subject.project.clone());
    let pending = store.pending(before.as_ref(), ME, at(30_000)).await.unwrap();
    assert!(pending.iter().all(|task| task.id != subject.id));
}

async fn a_new_holder_fences_no_shard_of_others(store: &dyn Ledger) {
    let (subject, _) = opened(store, &["a", "b"]).await;
    let mine = subject.shard().await.unwrap();
    let theirs = leased(subject.shard_for(OTHER, at(2_000)).await);
    let task = store
        .lease_task(subject.id, held_by(OTHER), LATER)
        .await
        .unwrap()
        .unwrap();
    let late = store.commit(subject.id, &mine, one(), LATER).await.unwrap();
    // Nobody has leased it since, so its work counts.
    assert_eq!(late, Committed::Done);
    // A worker that takes a task begins anew, so its own leases end.
    let own = store.commit(subject.id, &theirs, one(), LATER).await.unwrap();
    assert_eq!(own, Committed::Fenced);
    assert_eq!(
        store
            .keep_task(subject.id, task.fencing_token, LATER)
            .await
            .unwrap(),
        Committed::Done
    );
}

async fn a_shard_passes_to_another_worker_when_its_lease_ends(store: &dyn Ledger) {
    let (subject, token) = opened(store, &[""]).await;
    let first = subject.shard().await.unwrap();
    assert_eq!(subject.commit(&first, one()).await, Committed::Done);
    // At 3000 it was heard of last.
    let early = subject.shard_for(OTHER, at(2_999 + LEASE_MILLIS)).await;
    assert!(matches!(early, ShardLease::Held), "{early:?}");
    let second = leased(subject.shard_for(OTHER, at(3_000 + LEASE_MILLIS)).await);
    assert_eq!(second.checkpoint, Some(Key::from("k")));
    assert_eq!(subject.commit(&first, one()).await, Committed::Fenced);
    assert_eq!(
        store.split(subject.id, &first, &[Key::from("m")]).await.unwrap(),
        Committed::Fenced
    );
    assert_eq!(subject.commit(&second, last()).await, Committed::Done);
    assert_eq!(subject.task().await.counters, counters(2, 0));
    let none = subject.shard_for(OTHER, LATER).await;
    assert!(matches!(none, ShardLease::None), "{none:?}");
    assert_eq!(
        subject.finish(token, Ending::PassFinished).await,
        Some(State::Succeeded)
    );
}

async fn a_commit_is_written_once_if_its_answer_is_lost(store: &dyn Ledger) {
    let (subject, _) = opened(store, &[""]).await;
    let shard = subject.shard().await.unwrap();
    // The same lease with the count of commits from before the answer.
    let again = |number| LeasedShard {
        commits: CommitCount::at(number),
        ..shard.clone()
    };
    for number in 0..3 {
        assert_eq!(subject.commit(&again(number), one()).await, Committed::Done);
        assert_eq!(subject.commit(&again(number), one()).await, Committed::Done);
        assert_eq!(subject.task().await.counters, counters(number + 1, 0));
    }
    // Older ones are not repeated by anybody.
    assert_eq!(subject.commit(&again(1), one()).await, Committed::Fenced);
    // Also the last one.
    assert_eq!(subject.commit(&again(3), last()).await, Committed::Done);
    assert_eq!(subject.commit(&again(3), last()).await, Committed::Done);
    assert_eq!(subject.commit(&again(4), last()).await, Committed::Fenced);
    assert_eq!(subject.task().await.counters, counters(4, 0));
}

async fn the_last_worker_to_leave_ends_the_task(store: &dyn Ledger) {
    let (subject, token) = opened(store, &["a", "b"]).await;
    let mine = subject.shard().await.unwrap();
    let theirs = leased(subject.shard_for(OTHER, at(2_000)).await);
    subject.stop().await.unwrap();
    let drained = async || {
        store
            .finish(subject.id, token, Ending::Drained, at(4_000))
            .await
            .unwrap()
    };
    assert_eq!(subject.commit(&mine, one()).await, Committed::Done);
    store.leave_shards(subject.id, ME).await.unwrap();
    assert_eq!(drained().await, Finished::Held);
    // Nobody begins anything new.
    let new = subject.shard_for(ME, at(3_600)).await;
    assert!(matches!(new, ShardLease::None), "{new:?}");
    // What the other has done until then counts.
    assert_eq!(subject.commit(&theirs, one()).await, Committed::Done);
    assert_eq!(subject.state().await, State::Pausing);
    store.leave_shards(subject.id, OTHER).await.unwrap();
    assert_eq!(drained().await, Finished::State(State::Paused));
    for shard in [&mine, &theirs] {
        assert_eq!(subject.commit(shard, one()).await, Committed::Fenced);
    }
    assert_eq!(subject.task().await.counters, counters(2, 0));
    assert_eq!(subject.task().await.workers, []);
}

async fn trouble_of_one_worker_ends_the_task_for_all(store: &dyn Ledger) {
    let (subject, token) = opened(store, &["a", "b"]).await;
    let mine = subject.shard().await.unwrap();
    leased(subject.shard_for(OTHER, at(2_000)).await);
    let reason = Reason {
        kind: ReasonKind::TargetFull,
        message: "the target is full".into(),
    };
    // Who does not take part has nothing to say.
    let stranger = crate::task::WorkerId::new(999);
    store.report_trouble(subject.id, stranger, &reason).await.unwrap();
    assert_eq!(subject.state().await, State::Running);
    store.report_trouble(subject.id, OTHER, &reason).await.unwrap();
    let task = subject.task().await;
    assert_eq!((task.state, task.reason), (State::Pausing, None));
    // The first reason counts.
    let second = Reason {
        kind: ReasonKind::SystemError,
        message: "late".into(),
    };
    store.report_trouble(subject.id, ME, &second).await.unwrap();
    store.leave_shards(subject.id, OTHER).await.unwrap();
    assert_eq!(subject.commit(&mine, one()).await, Committed::Done);
    assert_eq!(subject.finish(token, Ending::Drained).await, Some(State::Failed));
    let task = subject.task().await;
    assert_eq!((task.reason, task.counters), (Some(reason), counters(1, 0)));
    // It is forgotten at the next start.
    subject.start(StartMode::Full).await.unwrap();
    let again = subject.lease().await;
    subject.stop().await.unwrap();
    assert_eq!(
        subject.finish(again.fencing_token, Ending::Drained).await,
        Some(State::Paused)
    );
}

async fn a_shard_that_ends_its_workers_is_not_leased_for_ever(store: &dyn Ledger) {
    let (subject, _) = opened(store, &[""]).await;
    let mut now = 2_000;
    let mut workers = [ME, OTHER].into_iter().cycle();
    let mut next = async |now| subject.shard_for(workers.next().unwrap(), at(now)).await;
    for _ in 0..4 {
        leased(next(now).await);
        now += LEASE_MILLIS;
    }
    // Progress resets the count.
    let shard = leased(next(now).await);
    let settled = store.commit(subject.id, &shard, one(), at(now)).await.unwrap();
    assert_eq!(settled, Committed::Done);
    for _ in 0..4 {
        now += LEASE_MILLIS;
        leased(next(now).await);
    }
    now += LEASE_MILLIS;
    let poisoned = next(now).await;
    assert!(matches!(poisoned, ShardLease::Poisoned(0)), "{poisoned:?}");
    // A start by the user gives it a new chance.
    store.pause(subject.id, ME, at(now)).await.unwrap();
    subject.start(StartMode::Full).await.unwrap();
    let task = store
        .lease_task(subject.id, holder(), at(now))
        .await
        .unwrap()
        .unwrap();
    let open = pass(PassKind::Full, &[]);
    store
        .open_pass(subject.id, task.fencing_token, open, at(now))
        .await
        .unwrap();
    leased(subject.shard_for(ME, at(now)).await);
}

async fn a_lost_holder_counts_at_its_shards(store: &dyn Ledger) {
    // Whether each holder takes the shard before it ends, how many end, and whether the task is leased after that.
    for (takes_shard, ends, resumed) in [(true, 4, true), (false, 2, true), (false, 3, false)] {
        let (subject, token) = opened(store, &["a"]).await;
        store.confirm_running(subject.id, token).await.unwrap();
        let mut now = at(2_000);
        for turn in 0..ends {
            let worker = if turn % 2 == 0 { ME } else { OTHER };
            if takes_shard {
                leased(subject.shard_for(worker, now).await);
            }
            now = UnixMillis(now.0 + LEASE_MILLIS);
            let next = held_by(if turn % 2 == 0 { OTHER } else { ME });
            let task = store.lease_task(subject.id, next, now).await.unwrap();
            assert_eq!(task.is_some(), resumed || turn + 1 < ends, "{takes_shard} {turn}");
            store
                .confirm_running(subject.id, next.fencing_token)
                .await
                .unwrap();
        }
    }
}

async fn workers_join_an_open_pass(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let joinable = async || {
        let found = store.joinable(OTHER, at(2_000)).await.unwrap();
        found.contains(&subject.id)
    };
    let joined = async || store.join_task(subject.id).await.unwrap();
    assert!(!joinable().await && joined().await.is_none(), "waiting");
    let task = subject.lease().await;
    assert!(!joinable().await && joined().await.is_none(), "not opened");
    let scopes = [ShardScope::Keys, ShardScope::Prefix(Key::from("a"))];
    let open = pass(PassKind::Full, &scopes);
    store
        .open_pass(subject.id, task.fencing_token, open, at(2_000))
        .await
        .unwrap();
    let joined = joined().await.unwrap();
    assert_eq!(joined.findings, "{}");
    assert_eq!(joined.credentials, super::subject::sealed("first"));
    assert!(joinable().await);
    // The names of a manifest may repeat, so one worker copies all of them.
    let shared = store
        .lease_shard(
            subject.id,
            held_by(OTHER),
            (ShardKinds::Shareable, None),
            at(2_000),
        )
        .await;
    let shared = leased(shared.unwrap());
    assert_eq!(shared.scope, scopes[1]);
    assert!(!joinable().await);
    let mine = subject.shard().await.unwrap();
    assert_eq!(mine.scope, scopes[0]);
    // Both are shown with what they do.
    let speed = |speed| Commit {
        speed,
        ..Commit::default()
    };
    subject.commit(&mine, speed(100)).await;
    subject.commit(&shared, speed(30)).await;
    let task = subject.task().await;
    let worker = |worker, speed| TaskWorker {
        worker,
        shards: 1,
        speed,
    };
    assert_eq!(
        (task.speed, task.workers),
        (130, vec![worker(ME, 100), worker(OTHER, 30)])
    );
    let warned = store
        .warn(subject.id, Writer::Worker(OTHER), &[], at(2_000))
        .await
        .unwrap();
    assert_eq!(warned, Committed::Done);
    let stranger = crate::task::WorkerId::new(999);
    let warned = store
        .warn(subject.id, Writer::Worker(stranger), &[], at(2_000))
        .await
        .unwrap();
    assert_eq!(warned, Committed::Fenced);
}

async fn a_shutdown_leaves_everything_to_others(store: &dyn Ledger) {
    let (subject, token) = opened(store, &["a"]).await;
    let shard = subject.shard().await.unwrap();
    assert_eq!(subject.commit(&shard, one()).await, Committed::Done);
    store.record_shutdown(ME).await.unwrap();
    assert_eq!(subject.commit(&shard, one()).await, Committed::Fenced);
    assert_eq!(
        store.keep_task(subject.id, token, at(2_000)).await.unwrap(),
        Committed::Fenced
    );
    let task = store
        .lease_task(subject.id, held_by(OTHER), at(3_001))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(task.task.counters, counters(1, 0));
    leased(subject.shard_for(OTHER, at(3_001)).await);
}

async fn a_dead_worker_of_a_pausing_task_is_not_waited_for_long(store: &dyn Ledger) {
    let (subject, token) = opened(store, &["a", "b"]).await;
    leased(subject.shard_for(OTHER, at(2_000)).await);
    subject.stop().await.unwrap();
    let drained = async |now| {
        store
            .finish(subject.id, token, Ending::Drained, now)
            .await
            .unwrap()
    };
    assert_eq!(drained(at(1_999 + LEASE_MILLIS)).await, Finished::Held);
    assert_eq!(drained(LATER).await, Finished::State(State::Paused));

    // The holder itself is dead: whoever looks for work ends it.
    let (subject, _) = opened(store, &["a"]).await;
    subject.stop().await.unwrap();
    store
        .release(subject.id, OTHER, at(1_999 + LEASE_MILLIS))
        .await
        .unwrap();
    assert_eq!(subject.state().await, State::Pausing);
    let before: crate::task::ProjectId = format!("project-{:08}z", subject.id.get() - 1).parse().unwrap();
    let pending = store.pending(Some(&before), OTHER, LATER).await.unwrap();
    assert!(pending.iter().any(|task| task.id == subject.id));
    let task = store
        .lease_task(subject.id, held_by(OTHER), LATER)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(task.task.state, State::Pausing);
    assert_eq!(
        subject.finish(task.fencing_token, Ending::Drained).await,
        Some(State::Paused)
    );
}

async fn another_sealing_key_is_refused(store: &dyn Ledger) {
    store.check_seal("one").await.unwrap();
    store.check_seal("one").await.unwrap();
    let other = store.check_seal("two").await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
    assert!(other.message().contains("sealing key"), "{other}");
}
