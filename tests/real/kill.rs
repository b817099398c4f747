//! The program copies between two SeaweedFS servers and is killed again and again, at moments that a seed decides. Each
//! time it resumes the task by itself. The copies must be identical.
//!
//! `OMS_TEST_SEED=n` uses another seed.

use std::time::{Duration, Instant};

use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject, SandboxOptions};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::seaweed::{LIMIT, Size, empty_bucket, fill, order, verify};
use crate::support::binary::Home;
use crate::support::rig::{SOURCE, Stores, TARGET};
use crate::support::service::{FAILED, create_body};
use crate::support::tools::{Need, require};
use crate::support::weed::Weed;

/// How often the program is killed.
const KILLS: u32 = 25;
/// Objects of the prefix that several shards list.
const LISTED: u32 = 6_000;
/// Requests at a time of one shard: it lists ten keys at a time, of which at most one is to be copied.
const ONE_SHARD: usize = 4;
/// Enough objects that the task is still running after all kills.
const SIZE: Size = Size {
    small: 3000,
    bytes: 2048,
    large: "3:70000000",
    stops: 0,
};

#[tokio::test]
async fn a_killed_program_resumes_the_task() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    let seed = std::env::var("OMS_TEST_SEED").map_or(7, |text| text.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let (source, target) = tokio::join!(Weed::start(&tools, "source"), Weed::start(&tools, "target"));
    fill(&tools, &source, "source-bucket", &SIZE).await;
    empty_bucket(&tools, &target).await;

    let home = Home::new();
    let mut serve = home.serve().await;
    let token = home.token();
    let task = serve.caller(&token).create(&order(&source, &target)).await;
    let began = Instant::now();
    for kill in 1..=KILLS {
        // A random moment. Nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(30..700))).await;
        serve.kill();
        serve = home.serve().await;
        let now = serve.caller(&token).show(task).await;
        assert_ne!(now["status"], FAILED, "seed {seed}, kill {kill}: {now:#}");
    }
    let mut caller = serve.caller(&token);
    caller.timeout = LIMIT;
    let ended = caller.wait_until_succeeded(task).await;
    eprintln!(
        "{KILLS} kills with seed {seed}, {:?}; {}",
        began.elapsed(),
        ended["proved"]
    );
    verify(&tools, &source, &target, &ended).await;
    assert!(serve.terminate().await.0.success());
}

/// Listings take long, so several shards list the prefix at the time of each kill.
#[tokio::test]
async fn a_program_that_is_killed_while_several_shards_list_a_prefix_resumes_the_task() {
    let seed = std::env::var("OMS_TEST_SEED").map_or(7, |text| text.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let small_pages = || SandboxOptions {
        page_size: 10,
        ..SandboxOptions::default()
    };
    let stores = Stores::with(small_pages(), small_pages()).await;
    for n in 0..LISTED {
        let (object, key) = (
            SandboxObject::new(format!("object {n}")),
            format!("{:02}/{n:05}", n % 37),
        );
        // Few objects are to be copied, so that most requests are those of listings.
        if n % 20 != 0 {
            stores.target.put(TARGET, &key, object.clone());
        }
        stores.source.put(SOURCE, &key, object);
    }
    let late = || Fault::Delay(Duration::from_millis(80));
    for side in [&stores.source, &stores.target] {
        side.faults().add(FaultRule::new(Operation::ListObjects, late()));
    }
    let home = Home::new();
    let mut serve = home.serve().await;
    let token = home.token();
    let task = serve.caller(&token).create(&create_body(&stores)).await;
    for kill in 1..=KILLS {
        // A random moment. Nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(300..900))).await;
        serve.kill();
        serve = home.serve().await;
        let now = serve.caller(&token).show(task).await;
        assert_ne!(now["status"], FAILED, "seed {seed}, kill {kill}: {now:#}");
    }
    let most = stores.source.requests_at_once();
    assert!(most > ONE_SHARD, "at most {most} requests at once");
    let mut caller = serve.caller(&token);
    caller.timeout = LIMIT;
    let ended = caller.wait_until_succeeded(task).await;
    assert_eq!(ended["total_num"], LISTED, "seed {seed}: {ended:#}");
    stores.assert_same();
    assert!(serve.terminate().await.0.success());
}
