//! A seeded simulation: random objects, random faults, stops, starts, crashes and changes of the source. The seed decides
//! their order. Once the faults are over, the task must succeed and pass the checker.
//!
//! `OMS_TEST_SEED=n` runs only seed n. `OMS_TEST_SEEDS=n` runs the first n seeds.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::task::{StartMode, State};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;

use crate::support::checker::{History, Remedy, check, converges};
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores};

/// How many seeds one run of the suite tests.
const SEEDS: u64 = 500;
/// How many seeds run at the same time.
const AT_ONCE: usize = 4;
/// Most events that happen to a running task.
const EVENTS: u32 = 4;

#[tokio::test]
async fn tasks_converge_for_every_seed() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("OMS_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("OMS_TEST_SEEDS").unwrap_or(SEEDS),
    };
    let wrong: Vec<u64> = stream::iter(seeds)
        .map(|seed| async move { (seed, tokio::spawn(simulate(seed)).await) })
        .buffer_unordered(AT_ONCE)
        .filter_map(|(seed, ended)| std::future::ready(ended.is_err().then_some(seed)))
        .collect()
        .await;
    assert!(wrong.is_empty(), "replay with OMS_TEST_SEED=n, n of {wrong:?}");
}

async fn simulate(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let stores = Stores::small().await;
    for n in 0..random.random_range(1..40) {
        put(&stores, &mut random, n);
    }
    let mut history = History::of(&stores);
    let folder = Arc::new(TempDir::new().unwrap());
    let whole = if random.random_bool(0.5) { u64::MAX } else { 0 };
    let mut rig = Rig::quick_whole(Arc::clone(&folder), whole).await;
    add_faults(&stores, &mut random);
    let id = rig.create(stores.order()).await;
    for _ in 0..random.random_range(0..=EVENTS) {
        // A random moment during the work. Nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..40))).await;
        match random.random_range(0..6) {
            0 | 1 => {
                rig.kill().await;
                rig = Rig::quick_whole(Arc::clone(&folder), whole).await;
            }
            2 => {
                let state = rig.task(id).await.state;
                if matches!(state, State::Waiting | State::Running) {
                    // The task may have ended in between. Then there is nothing to stop.
                    rig.try_stop(id).await;
                    rig.wait(id, |task| {
                        !matches!(task.state, State::Running | State::Pausing | State::Waiting)
                    })
                    .await;
                    check(&stores, &rig, id, &history).await;
                }
            }
            3 => {
                if random.random_bool(0.5) {
                    let n = random.random_range(0..40);
                    put(&stores, &mut random, n);
                }
                history.observe(&stores);
            }
            4 => {
                let keys = stores.source.keys(SOURCE);
                if keys.len() > 1 {
                    history.remove(&stores, &keys[random.random_range(0..keys.len())]);
                }
            }
            _ => {
                stores.source.faults().clear();
                stores.target.faults().clear();
                add_faults(&stores, &mut random);
            }
        }
        let state = rig.task(id).await.state;
        if matches!(state, State::Paused | State::Failed) {
            rig.start(id, StartMode::Full, stores.credentials()).await;
        }
    }
    rig.wait(id, |task| matches!(task.state, State::Succeeded | State::Failed))
        .await;
    history.observe(&stores);
    let remedy = if random.random_bool(0.5) {
        Remedy::Full
    } else {
        Remedy::FailedOnly
    };
    converges(&stores, &rig, id, &history, remedy).await;
    rig.shut_down().await;
}

/// Writes or overwrites an object with random bytes and a random length, so that versions differ.
fn put(stores: &Stores, random: &mut StdRng, n: u32) {
    let length = if random.random_bool(0.1) {
        random.random_range(4 * SMALL_PART + 1..9 * SMALL_PART)
    } else {
        random.random_range(0..2000)
    };
    let salt: u64 = random.random();
    let data: Vec<u8> = (0..length)
        .map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 9).to_le_bytes()[0])
        .collect();
    let mut object = if random.random_bool(0.3) {
        SandboxObject::multipart(data, random.random_range(SMALL_PART / 2..3 * SMALL_PART))
    } else {
        SandboxObject::new(data)
    };
    object.metadata.insert("salt".to_owned(), salt.to_string());
    if random.random_bool(0.1) {
        object.tags = vec![("k".to_owned(), salt.to_string())];
    }
    stores
        .source
        .put(SOURCE, &format!("folder-{}/{n:03}", n % 4), object);
}

/// Adds a few rules. Each hits a few requests, so that about one request in forty fails. Listings often take long, so that shards
/// are split.
fn add_faults(stores: &Stores, random: &mut StdRng) {
    if random.random_bool(0.5) {
        let late = Fault::Delay(Duration::from_millis(random.random_range(2..6)));
        stores.source.faults().add(FaultRule::new(O::ListObjects, late));
    }
    for side in [&stores.source, &stores.target] {
        for _ in 0..random.random_range(0..8) {
            let fault = fault(random);
            // Only reads are denied. Tags that may not be read, or that a repeated write refuses again, are left out and
            // counted, which is no failure. The matrix tests denied writes.
            let denied = matches!(fault, Fault::Status { status: 403, .. });
            let operation = if denied { O::GetObject } else { O::Any };
            let rule = FaultRule::new(operation, fault).skip(random.random_range(0..120));
            side.faults().add(rule.times(random.random_range(1..3)));
        }
    }
}

fn fault(random: &mut StdRng) -> Fault {
    let status = |status, code: &str| Fault::Status {
        status,
        code: code.to_owned(),
        retry_after: None,
    };
    let after = random.random_range(0..200);
    match random.random_range(0..14) {
        0 => status(500, "InternalError"),
        1 => status(503, "SlowDown"),
        2 => status(429, "TooManyRequests"),
        3 => status(403, "AccessDenied"),
        4 => status(400, "ExpiredToken"),
        5 | 6 => Fault::ResetBefore,
        7 | 8 => Fault::ResetAfterEffect,
        9 => Fault::TruncateBody { after },
        10 => Fault::EarlyClose { after },
        11 => Fault::Delay(Duration::from_millis(random.random_range(1..60))),
        12 => Fault::OkWithError {
            code: "InternalError".to_owned(),
        },
        _ => Fault::IgnoreRange,
    }
}
