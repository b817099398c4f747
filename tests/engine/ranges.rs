//! Prefixes that several shards list at the same time: where listings take long, whatever happens to the task meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::ledger::sql::Disk;
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, ListOrder, Operation, SandboxObject, SandboxOptions};
use oms::service::CreateTask;
use oms::task::spec::Scope;
use oms::task::{Key, ReasonKind, StartMode, State};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;

use crate::engine::lists;
use crate::support::checker::{History, Remedy, check, converges};
use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores, TARGET};
use crate::support::wait::until;

/// Names that one shard looks up at the same time.
const LOOKUPS: usize = 32;
/// Requests of one listing and of the count of the scope.
const ONE_READER: usize = 2;

async fn stores(order: ListOrder) -> Stores {
    let options = || SandboxOptions {
        page_size: 10,
        min_part_size: SMALL_PART,
        order,
        ..SandboxOptions::default()
    };
    Stores::with(options(), options()).await
}

fn put(stores: &Stores, name: &str) {
    let object = SandboxObject::new(name.as_bytes().to_vec());
    stores.source.put(SOURCE, name, object);
}

fn put_at_target(stores: &Stores, name: &str) {
    let object = SandboxObject::new(name.as_bytes().to_vec());
    stores.target.put(TARGET, name, object);
}

fn late(operation: Operation, ms: u64) -> FaultRule {
    FaultRule::new(operation, Fault::Delay(Duration::from_millis(ms)))
}

fn names(count: usize) -> Vec<String> {
    let name = |n: usize| match n % 4 {
        0 => format!("numbers/{n:05}"),
        1 => format!("{:08x}", u32::try_from(n).unwrap().wrapping_mul(2_654_435_761)),
        2 => format!("dates/20{:02}-{:02}/{n}", n % 20, n % 12 + 1),
        _ => format!("d/{}/ä{n}!", n % 7),
    };
    (0..count).map(name).collect()
}

#[tokio::test]
async fn one_prefix_is_listed_by_several_shards_where_listings_take_long() {
    for order in [ListOrder::Bytes, ListOrder::Path] {
        let stores = stores(order).await;
        for name in names(1_200) {
            put(&stores, &name);
        }
        let history = History::of(&stores);
        let rig = Rig::quick().await;
        let first = rig.create(stores.order()).await;
        assert_eq!(rig.end(first).await.state, State::Succeeded);
        check(&stores, &rig, first, &history).await;
        // Nothing is left to copy, so the second task only lists.
        stores.source.clear_requests();
        stores.source.faults().add(late(Operation::ListObjects, 50));
        let second = rig.create(stores.order()).await;
        let task = rig.end(second).await;
        assert_eq!(
            (task.state, task.counters.skipped),
            (State::Succeeded, 1_200),
            "{task:#?}"
        );
        let most = stores.source.requests_at_once();
        assert!(
            most > 2 * ONE_READER,
            "{order:?}: at most {most} requests at once"
        );
        stores.assert_same();
        check(&stores, &rig, second, &history).await;
    }
}

#[tokio::test]
async fn the_scope_is_counted_by_several_readers_where_listings_take_long() {
    for order in [ListOrder::Bytes, ListOrder::Path] {
        let stores = Arc::new(stores(order).await);
        for name in names(600) {
            put(&stores, &name);
        }
        let history = History::of(&stores);
        // The pass itself waits for the target's listing.
        let (held, world) = (AtomicBool::new(false), Arc::clone(&stores));
        let sync_points = SyncPoints::new(move |point| {
            if point == SyncPoint::PassOpened && !held.swap(true, Ordering::Relaxed) {
                world.source.clear_requests();
                world.target.faults().add(late(Operation::ListObjects, 3_600_000));
                world.source.faults().add(late(Operation::ListObjects, 50));
            }
            Box::pin(std::future::ready(()))
        });
        let folder = Arc::new(TempDir::new().unwrap());
        let timeouts = Timeouts {
            answer: Duration::from_secs(3_600),
            ..Timeouts::default()
        };
        let rig = Rig::tuned(folder, sync_points, QUICK, timeouts).await;
        let id = rig.create(stores.order()).await;
        let task = rig.wait(id, |task| task.survey.complete).await;
        let bytes = names(600).iter().map(String::len).sum::<usize>();
        assert_eq!(
            (task.survey.objects, task.survey.bytes),
            (600, i64::try_from(bytes).unwrap()),
            "{order:?}"
        );
        let most = stores.source.requests_at_once();
        assert!(
            most > 2 * ONE_READER,
            "{order:?}: at most {most} requests at once"
        );
        rig.pause(id).await;
        stores.target.faults().clear();
        stores.source.faults().clear();
        converges(&stores, &rig, id, &history, Remedy::Full).await;
    }
}

#[tokio::test]
async fn recorded_failures_are_divided_where_lookups_take_long() {
    let stores = stores(ListOrder::Bytes).await;
    // Some objects can be read, so the denied ones are failures of their own.
    let readable = (0..100).map(|n| format!("!{n:04}"));
    for name in readable.chain((0..1_500).map(|n| format!("{n:05}"))) {
        put(&stores, &name);
    }
    let history = History::of(&stores);
    let denied = Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, denied).key_prefix("0"));
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let failed = rig.end(id).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    assert_eq!(failed.counters.failed, 1_500, "{failed:#?}");
    stores.source.faults().clear();
    stores.source.clear_requests();
    stores.source.faults().add(late(Operation::HeadObject, 50));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 1_600),
        "{task:#?}"
    );
    // One reader looks up 32 keys at a time, and eight threads copy.
    let most = stores.source.requests_at_once();
    assert!(most > 48, "at most {most} requests at once");
    stores.assert_same();
    check(&stores, &rig, id, &history).await;
}

/// Shards are split, stopped and killed in any order, and the ledger cannot be written for a while. Nothing is lost or counted
/// twice.
#[tokio::test]
async fn splits_survive_stops_kills_deletions_and_a_ledger_that_cannot_be_written() {
    for seed in 0..24 {
        let mut random = StdRng::seed_from_u64(seed);
        let order = if random.random_bool(0.5) {
            ListOrder::Bytes
        } else {
            ListOrder::Path
        };
        let stores = stores(order).await;
        let names = names(random.random_range(100..400));
        for name in &names {
            put(&stores, name);
        }
        let mut history = History::of(&stores);
        let slow = late(Operation::ListObjects, random.random_range(1..6));
        stores.source.faults().add(slow);
        let folder = Arc::new(TempDir::new().unwrap());
        let mut rig = Rig::quick_in(Arc::clone(&folder)).await;
        let mut spec = stores.order();
        if random.random_bool(0.3) {
            spec.scope = Scope::Prefixes(["numbers/", "d/", "dates/"].map(Key::from).into());
            for name in names.iter().filter(|name| !name.contains('/')) {
                history.remove(&stores, name);
            }
        }
        let id = rig.create(spec).await;
        for _ in 0..random.random_range(1..4) {
            // A random moment during the work. Nothing is waited for.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..60))).await;
            match random.random_range(0..4) {
                0 => {
                    rig.kill().await;
                    rig = Rig::quick_in(Arc::clone(&folder)).await;
                }
                1 => {
                    rig.set_disk(Disk::ReadOnly).await;
                    tokio::time::sleep(Duration::from_millis(random.random_range(1..40))).await;
                    rig.set_disk(Disk::Fine).await;
                }
                2 => {
                    rig.try_stop(id).await;
                    rig.wait(id, |task| {
                        !matches!(task.state, State::Running | State::Pausing | State::Waiting)
                    })
                    .await;
                    check(&stores, &rig, id, &history).await;
                }
                _ => {
                    // Cuts are keys, and any of them may go.
                    let keys = stores.source.keys(SOURCE);
                    history.remove(&stores, &keys[random.random_range(0..keys.len())]);
                }
            }
            if matches!(rig.task(id).await.state, State::Paused | State::Failed) {
                rig.start(id, StartMode::Full, stores.credentials()).await;
            }
        }
        let ended = rig
            .wait(id, |task| matches!(task.state, State::Succeeded | State::Failed))
            .await;
        assert_eq!(ended.state, State::Succeeded, "seed {seed}: {ended:#?}");
        history.observe(&stores);
        converges(&stores, &rig, id, &history, Remedy::Full).await;
        rig.shut_down().await;
    }
}

/// A manifest of these names. Every tenth name stands on two lines.
fn manifest(names: &[String]) -> String {
    let line = |(n, name): (usize, &String)| format!("{name}\n").repeat(1 + usize::from(n % 10 == 0));
    names.iter().enumerate().map(line).collect()
}

#[tokio::test]
async fn a_manifest_is_divided_where_lookups_take_long() {
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        let stores = stores(ListOrder::Bytes).await;
        let long = "x".repeat(60);
        let mut names: Vec<String> = (0..2_000).map(|n| format!("{long}/{n:05}")).collect();
        names.sort();
        for name in &names {
            put(&stores, name);
            // Without copies, all requests to the source look names up.
            if seed == 0 {
                put_at_target(&stores, name);
            }
        }
        let history = History::of(&stores);
        lists::put_list(&stores, manifest(&names));
        let order = CreateTask {
            scope: Scope::List(lists::file()),
            threads: 50,
            ..stores.order()
        };
        let folder = Arc::new(TempDir::new().unwrap());
        stores.source.faults().add(late(Operation::HeadObject, 50));
        let mut rig = Rig::quick_in(Arc::clone(&folder)).await;
        let id = rig.create(order).await;
        // The first seed is not interrupted.
        for _ in 0..seed {
            tokio::time::sleep(Duration::from_millis(random.random_range(20..400))).await;
            if random.random_bool(0.5) {
                rig.kill().await;
                rig = Rig::quick_in(Arc::clone(&folder)).await;
            } else {
                rig.try_stop(id).await;
                rig.wait(id, |task| {
                    !matches!(task.state, State::Running | State::Pausing | State::Waiting)
                })
                .await;
                if rig.task(id).await.state == State::Paused {
                    rig.start(id, StartMode::Full, stores.credentials()).await;
                }
            }
        }
        let task = rig.end(id).await;
        assert_eq!(
            (task.state, task.counters.listed),
            (State::Succeeded, 2_000),
            "seed {seed}: {task:#?}"
        );
        if seed == 0 {
            let most = stores.source.requests_at_once();
            assert!(most > 2 * LOOKUPS, "at most {most} requests at once");
        }
        stores.assert_same();
        check(&stores, &rig, id, &history).await;
    }
}

#[tokio::test]
async fn a_manifest_that_changes_while_several_shards_read_it_is_read_again() {
    let stores = stores(ListOrder::Bytes).await;
    let names: Vec<String> = (0..2_000).map(|n| format!("{n:05}/{}", "x".repeat(60))).collect();
    for name in &names {
        put(&stores, name);
        put_at_target(&stores, name);
    }
    lists::put_list(&stores, manifest(&names));
    let order = CreateTask {
        scope: Scope::List(lists::file()),
        ..stores.order()
    };
    // All lookups together take six seconds, however many are sent at a time.
    let slow = FaultRule::one_by_one(Operation::HeadObject, Duration::from_millis(3));
    stores.source.faults().add(slow);
    let rig = Rig::quick().await;
    let id = rig.create(order).await;
    until("several shards look names up", async || {
        stores.source.requests_at_once() > 2 * LOOKUPS
    })
    .await;
    rig.wait(id, |task| task.counters.listed > 0).await;
    rig.pause(id).await;
    lists::put_list(&stores, manifest(&names[1_000..]));
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let task = rig.end(id).await;
    assert_eq!(
        task.reason.as_ref().map(|reason| reason.kind),
        Some(ReasonKind::ManifestUnreadable),
        "{task:#?}"
    );
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.listed),
        (State::Succeeded, 1_000),
        "{task:#?}"
    );
}
