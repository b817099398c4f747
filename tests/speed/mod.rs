//! What `oms` costs beside the floor, a bare loop that reads and writes: `tests/bench` measures it in full, and this test notices
//! when it becomes twice as much.
//!
//! Only CPU time is compared: the floor's from the clock of its thread, the service's from its process. So other tests, and other
//! work of the machine, do not count. Both are compiled alike, take turns, and the best of each counts.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::binary::{Home, Serve};
use crate::support::service::Caller;
use data::Hashing;
use floor::Place;
use store::Store;

#[path = "../bench/tool/src/data.rs"]
mod data;
#[path = "../bench/tool/src/floor.rs"]
#[expect(dead_code, reason = "shared with the benchmarks, which use more of it")]
mod floor;
#[path = "../bench/tool/src/frames.rs"]
mod frames;
#[path = "../bench/tool/src/serve.rs"]
mod serve;
#[path = "../bench/tool/src/store.rs"]
mod store;

/// Objects to copy.
const OBJECTS: u64 = 1500;
/// Objects that both sides have.
const SAME: u64 = 20_000;
const ROUNDS: usize = 4;
const IN_FLIGHT: usize = 50;
/// How many times the floor's CPU time a copy, or a pass with nothing to do, may cost in a debug build. Both cost 2.5 to 3.0 times
/// as much, also beside other work; this is twice that.
const LIMIT: f64 = 5.5;
const SOURCE: &str = "source";
/// The bucket with the same objects on both sides.
const MANY: &str = "many";
const ACCESS_KEY: &str = "AKSPEED";
const SECRET_KEY: &str = "SKspeed";

/// A store of the benchmarks in this process.
async fn store() -> (Arc<Store>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let store = Arc::new(Store::new(ACCESS_KEY, Hashing::Unknown));
    tokio::spawn(serve::serve(listener, store.clone()));
    (store, url)
}

/// CPU seconds of the calling thread.
fn of_this_thread() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    nanos / 1e9
}

/// CPU seconds of all threads of a process.
fn of_process(pid: u32) -> f64 {
    let mut nanos = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let file: PathBuf = thread.unwrap().path().join("schedstat");
        // A thread may end meanwhile.
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let first = text.split_whitespace().next().unwrap_or("0");
        nanos += first.parse::<f64>().unwrap();
    }
    nanos / 1e9
}

/// Runs the floor in a thread of its own, and returns its CPU seconds.
async fn floor<T: Send + 'static>(
    urls: [String; 2],
    buckets: [String; 2],
    work: impl AsyncFnOnce(Place, Place) -> floor::Done<T> + Send + 'static,
) -> (f64, T) {
    let thread = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let place = |at: usize| Place::new(&urls[at], ACCESS_KEY, SECRET_KEY, &buckets[at]).unwrap();
        let (source, target) = (place(0), place(1));
        let before = of_this_thread();
        let done = runtime.unwrap().block_on(work(source, target)).unwrap();
        (of_this_thread() - before, done)
    };
    tokio::task::spawn_blocking(move || std::thread::spawn(thread).join().unwrap())
        .await
        .unwrap()
}

/// Runs a task to its end, and returns the CPU seconds of the service meanwhile.
async fn task(serve: &Serve, caller: &Caller, urls: &[String; 2], buckets: [&str; 2]) -> (f64, Value) {
    let node = |url: &str, bucket: &str| {
        json!({
            "region": "us-east-1", "endpoint": url, "bucket": bucket, "cloud_type": "AWS", "object_key": "",
            "ak": ACCESS_KEY, "sk": SECRET_KEY,
        })
    };
    let body = json!({
        "task_type": "object", "enableKMS": false, "thread_num": 50,
        "src_node": node(&urls[0], buckets[0]), "dst_node": node(&urls[1], buckets[1]),
    });
    let before = of_process(serve.id());
    let task = caller.create(&body).await;
    let ended = caller.wait_until_succeeded(task).await;
    (of_process(serve.id()) - before, ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_costs_at_most_twice_what_it_did() {
    let ((source, from), (target, to)) = tokio::join!(store(), store());
    source.fill(SOURCE, OBJECTS, 4096);
    source.fill(MANY, SAME, 0);
    target.fill(MANY, SAME, 0);
    let urls = [from, to];
    let home = Home::new();
    let mut serve = home.serve().await;
    let caller = serve.caller(&home.token());
    let [mut ours, mut theirs, mut ours_again, mut theirs_again] = [f64::MAX; 4];
    for round in 0..ROUNDS {
        let buckets = [SOURCE.to_owned(), format!("floor-{round}")];
        target.make_bucket(&buckets[1]);
        let (cpu, total) = floor(urls.clone(), buckets, async |source, target| {
            floor::copy(&source, &target, IN_FLIGHT).await
        })
        .await;
        assert_eq!(total.objects, OBJECTS);
        theirs = theirs.min(cpu);

        let bucket = format!("target-{round}");
        target.make_bucket(&bucket);
        let (cpu, ended) = task(&serve, &caller, &urls, [SOURCE, &bucket]).await;
        assert_eq!(
            (&ended["success_num"], &ended["skipped_num"]),
            (&json!(OBJECTS), &json!(0))
        );
        ours = ours.min(cpu);

        let (cpu, found) = floor(
            urls.clone(),
            [MANY, MANY].map(str::to_owned),
            async |source, target| floor::compare(&source, &target).await,
        )
        .await;
        assert_eq!((found.objects, found.different), (SAME, 0));
        theirs_again = theirs_again.min(cpu);

        let (cpu, ended) = task(&serve, &caller, &urls, [MANY, MANY]).await;
        assert_eq!(ended["skipped_num"], json!(SAME));
        ours_again = ours_again.min(cpu);
    }
    let (copy, again) = (ours / theirs, ours_again / theirs_again);
    let measured = format!(
        "CPU s: copy {ours:.3} / {theirs:.3} = {copy:.2}, nothing to do {ours_again:.3} / {theirs_again:.3} = {again:.2}"
    );
    eprintln!("{measured}");
    assert!(copy < LIMIT && again < LIMIT, "{measured}");
    assert!(serve.terminate().await.0.success());
}
