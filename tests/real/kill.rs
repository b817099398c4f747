//! The program copies between two SeaweedFS servers and is killed again and again, at moments that a seed decides. Each
//! time it resumes the task by itself. The copies must be identical.
//!
//! `OMS_TEST_SEED=n` uses another seed.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::seaweed::{LIMIT, Size, empty_bucket, fill, order, verify};
use crate::support::binary::Home;
use crate::support::service::FAILED;
use crate::support::tools::{Need, require};
use crate::support::weed::Weed;

/// How often the program is killed.
const KILLS: u32 = 25;
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
