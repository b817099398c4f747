//! Random events over the processes of a cluster. Whatever happens, the task succeeds and everything is counted once.
//!
//! `OMS_TEST_SEEDS=n` sets the number of walks.

use std::time::Duration;

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::cluster::{Cluster, PREFIXES};
use crate::support::service::{PAUSED, SUCCEEDED, start_body};
use crate::support::tools::{Need, Tools, require};

/// Walks, unless the environment says otherwise.
const SEEDS: u64 = 3;
/// Walks at the same time.
const AT_ONCE: usize = 3;
/// Events of a walk, if the task takes so long.
const EVENTS: u32 = 10;
/// Most workers at a time.
const MOST: usize = 3;

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    Kill,
    Terminate,
    Freeze,
    Thaw,
    Join,
    RestartLedger,
    CrashLedger,
    StopAndStart,
}

const ALL: [Event; 8] = [
    Event::Kill,
    Event::Terminate,
    Event::Freeze,
    Event::Thaw,
    Event::Join,
    Event::RestartLedger,
    Event::CrashLedger,
    Event::StopAndStart,
];

/// The workers of a walk, by index.
struct Walk {
    cluster: Cluster,
    random: StdRng,
    awake: Vec<usize>,
    frozen: Vec<usize>,
}

impl Walk {
    fn one_of(&mut self, awake: bool) -> Option<usize> {
        let workers = if awake { &mut self.awake } else { &mut self.frozen };
        if workers.is_empty() {
            return None;
        }
        let place = self.random.random_range(0..workers.len());
        Some(workers.remove(place))
    }

    /// Starts a worker unless there are enough.
    async fn join(&mut self) {
        if self.awake.len() + self.frozen.len() < MOST {
            let worker = self.cluster.worker().await;
            self.awake.push(worker);
        }
    }

    async fn happen(&mut self, event: Event, task: i64) {
        match event {
            Event::Kill => {
                if let Some(worker) = self.one_of(true) {
                    self.cluster.kill(worker);
                }
                self.join().await;
            }
            Event::Terminate => {
                if let Some(worker) = self.one_of(true) {
                    let ended = self.cluster.terminate(worker).await;
                    assert!(ended.success(), "{ended}\n{}", self.cluster.log(worker));
                }
                self.join().await;
            }
            Event::Freeze => {
                if let Some(worker) = self.one_of(true) {
                    self.cluster.signal(worker, "STOP");
                    self.frozen.push(worker);
                }
            }
            Event::Thaw => {
                if let Some(worker) = self.one_of(false) {
                    self.cluster.signal(worker, "CONT");
                    self.awake.push(worker);
                }
            }
            Event::Join => self.join().await,
            Event::RestartLedger => self.cluster.own_postgres().restart().await,
            Event::CrashLedger => {
                self.cluster.own_postgres().kill();
                self.cluster.own_postgres().restart().await;
            }
            Event::StopAndStart => {
                // Somebody must be there to end the work of those who are gone.
                self.join().await;
                self.happen_to_thaw().await;
                self.stop_and_start(task).await;
            }
        }
    }

    /// The task may succeed before the stop reaches it, or all its workers.
    async fn stop_and_start(&self, task: i64) {
        let ended = self.cluster.pause(task).await;
        if ended["status"] == PAUSED {
            let start = start_body(&self.cluster.stores);
            self.cluster.order(task, &start).await;
        }
    }

    /// Wakes a worker if all stand still.
    async fn happen_to_thaw(&mut self) {
        if self.awake.is_empty() {
            Box::pin(self.happen(Event::Thaw, 0)).await;
        }
    }

    /// Whether the task has succeeded. It may have, while the last event happened.
    async fn is_over(&self, task: i64) -> bool {
        self.cluster.caller.show(task).await["status"] == SUCCEEDED
    }
}

async fn walk(tools: &Tools, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let workers = random.random_range(2..=MOST);
    let cluster = Cluster::on_own_server(tools, workers).await;
    cluster.fill(&PREFIXES, 12);
    cluster.slow_down(Duration::from_millis(6));
    let task = cluster.create(&PREFIXES).await;
    let mut walk = Walk {
        cluster,
        random,
        awake: (0..workers).collect(),
        frozen: Vec::new(),
    };
    for _ in 0..EVENTS {
        // A random moment. Nothing is waited for.
        let pause = Duration::from_millis(walk.random.random_range(50..700));
        tokio::time::sleep(pause).await;
        if walk.is_over(task).await {
            break;
        }
        let event = ALL[walk.random.random_range(0..ALL.len())];
        eprintln!(
            "seed {seed}: {event:?}, awake {:?}, frozen {:?}",
            walk.awake, walk.frozen
        );
        walk.happen(event, task).await;
    }
    walk.join().await;
    walk.happen_to_thaw().await;
    walk.cluster.succeeds(task).await;
    // Those that stood still to the end change nothing any more.
    let objects = walk.cluster.objects();
    for worker in std::mem::take(&mut walk.frozen) {
        walk.cluster.wake_up(worker).await;
    }
    assert_eq!(walk.cluster.objects(), objects);
    walk.cluster.succeeds(task).await;
}

#[tokio::test]
async fn whatever_happens_to_the_processes_everything_is_copied_and_counted_once() {
    let Some(tools) = require(&[Need::Postgres]) else {
        return;
    };
    let seeds = std::env::var("OMS_TEST_SEEDS").map_or(SEEDS, |text| text.parse().unwrap());
    // Each walk has its own servers, and mostly waits.
    let mut walks = futures_util::stream::iter(0..seeds)
        .map(|seed| walk(&tools, seed))
        .buffer_unordered(AT_ONCE);
    while walks.next().await.is_some() {}
}
