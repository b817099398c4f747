//! A whole service with API and worker, reached over HTTP on a free port of this machine.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use oms::app::App;
use oms::config::Config;
use oms::engine::sync_points::SyncPoints;
use oms::sandbox::{FaultRule, Operation, Sandbox, SandboxObject};
use oms::task::Clock;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::api::{Reply, send};
use super::rig::{SOURCE, Stores, TARGET, TIMEOUT};

/// The token of every service that a test runs in this process.
pub const TOKEN: &str = "token-of-the-tests-7d1e";
/// The project that tests work in.
pub const PROJECT: &str = "0215ef11e49d4743be23dd97a1561e91";

/// Status of a waiting task.
pub const WAITING: i64 = 1;
/// Status of a running task.
pub const RUNNING: i64 = 2;
/// Status of a paused task.
pub const PAUSED: i64 = 3;
/// Status of a failed task.
pub const FAILED: i64 = 4;
/// Status of a succeeded task.
pub const SUCCEEDED: i64 = 5;

/// A caller of a service.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `http://127.0.0.1:port`.
    pub base: String,
    token: String,
    http: reqwest::Client,
    /// How long the caller waits for a condition.
    pub timeout: Duration,
}

impl Caller {
    /// A caller that sends `token` to the service at `base`.
    pub fn new(base: &str, token: &str) -> Self {
        // The service closes connections that are idle for a while. On a busy machine that may be when a request is on its way.
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30));
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            http: http.build().unwrap(),
            timeout: TIMEOUT,
        }
    }

    /// GET of a path of the whole service, without a token.
    pub async fn get_bare(&self, path: &str) -> Reply {
        send(self.http.get(format!("{}{path}", self.base))).await
    }

    /// A request below the project.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        let url = format!("{}/v1/{PROJECT}/objectstorage{path}", self.base);
        let request = self.http.request(method, url).header("X-Auth-Token", &self.token);
        send(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Creates a task and returns its number.
    pub async fn create(&self, body: &Value) -> i64 {
        let created = self.call(Method::POST, "/task", Some(body)).await.fine();
        created["id"].as_i64().unwrap()
    }

    /// Shows a task.
    pub async fn show(&self, task: i64) -> Value {
        self.call(Method::GET, &format!("/task/{task}"), None)
            .await
            .fine()
    }

    /// Starts, stops or changes a task; asserts that the answer is 200 without a body.
    pub async fn update(&self, task: i64, body: &Value) {
        let reply = self.call(Method::PUT, &format!("/task/{task}"), Some(body)).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text.as_str()),
            (200, ""),
            "{reply:?}"
        );
    }

    /// Stops a task and waits until it is paused.
    pub async fn pause(&self, task: i64) -> Value {
        self.update(task, &json!({"operation": "stop"})).await;
        self.wait(task, "be paused", |task| task["status"] == PAUSED)
            .await
    }

    /// Waits until a task has handled this many objects.
    pub async fn wait_for_objects(&self, task: i64, count: i64) -> Value {
        let enough = |task: &Value| task["success_num"].as_i64().unwrap() >= count;
        self.wait(task, &format!("have done {count} objects"), enough)
            .await
    }

    /// Waits until a task has succeeded, and asserts that its counters balance.
    pub async fn wait_until_succeeded(&self, task: i64) -> Value {
        let ended = |task: &Value| task["status"].as_i64().unwrap() >= FAILED;
        let task = self.wait(task, "end", ended).await;
        assert_eq!(task["status"], SUCCEEDED, "{task:#}");
        assert_eq!(task["success_num"], task["total_num"], "{task:#}");
        assert_eq!(
            (&task["fail_num"], &task["progress"]),
            (&json!(0), &json!(1.0)),
            "{task:#}"
        );
        task
    }

    /// Waits until `condition` holds for a task.
    pub async fn wait(&self, task: i64, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + self.timeout;
        loop {
            let now = self.show(task).await;
            if condition(&now) {
                return now;
            }
            assert!(Instant::now() < until, "the task does not {what}: {now:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A service in this process.
pub struct Service {
    /// A caller of the service.
    pub caller: Caller,
    folder: TempDir,
    shutdown: CancellationToken,
    running: JoinHandle<oms::error::Result<()>>,
}

impl Service {
    /// Starts a service with its own data folder that may reach stores on this machine.
    pub async fn start() -> Self {
        Self::open(TempDir::new().unwrap(), 5).await
    }

    /// Starts a service with `folder` as data folder that runs at most `parallel_tasks` at a time. With 0 all tasks wait.
    pub async fn open(folder: TempDir, parallel_tasks: u32) -> Self {
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        let mut config = Config::default();
        folder.path().clone_into(&mut config.data_dir);
        config.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        config.parallel_tasks = parallel_tasks;
        let app = App::build(&config, Clock::system(), SyncPoints::default())
            .await
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        Self {
            caller: Caller::new(&base, TOKEN),
            folder,
            running: tokio::spawn(app.run(listener, shutdown.clone())),
            shutdown,
        }
    }

    /// Ends the service as SIGTERM would. Its folder remains.
    pub async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
        self.folder
    }
}

/// Puts small objects into the source, among them one with tags and metadata and one with an awkward key.
pub fn fill(stores: &Stores, count: usize) {
    for n in 0..count {
        let object = SandboxObject::new(format!("object {n}"));
        stores.source.put(SOURCE, &format!("{n:05}"), object);
    }
    let awkward = SandboxObject {
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        metadata: [("colour".to_owned(), "blue".to_owned())].into(),
        tags: vec![("team".to_owned(), "a b".to_owned())],
        ..SandboxObject::new("awkward")
    };
    stores.source.put(SOURCE, "z//ключ +%20/.", awkward);
}

/// Lets the target serve writes one after another, `each` apart, so that a task can be interrupted in the middle.
pub fn slow_down(stores: &Stores, each: Duration) {
    stores
        .target
        .faults()
        .add(FaultRule::one_by_one(Operation::PutObject, each));
}

/// The body that creates a task for the whole bucket.
pub fn create_body(stores: &Stores) -> Value {
    let node = |sandbox: &Sandbox, bucket: &str| {
        json!({
            "region": "lab", "endpoint": sandbox.endpoint(), "bucket": bucket, "cloud_type": "AWS",
            "ak": sandbox.access_key(), "sk": sandbox.secret_key(), "object_key": ""
        })
    };
    json!({
        "task_type": "object",
        "src_node": node(&stores.source, SOURCE),
        "dst_node": node(&stores.target, TARGET),
        "enableKMS": false,
        "thread_num": 8,
        "description": "a test"
    })
}

/// The body that starts a task again.
pub fn start_body(stores: &Stores) -> Value {
    json!({
        "operation": "start",
        "source_ak": stores.source.access_key(), "source_sk": stores.source.secret_key(),
        "target_ak": stores.target.access_key(), "target_sk": stores.target.secret_key(),
        "migration_failed_object": false
    })
}
