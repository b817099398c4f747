//! `oms serve` without a worker, and several `oms worker`, on one PostgreSQL ledger and between two stores of the test's process.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use oms::ledger::Ledger as _;
use oms::ledger::sql::{Schema, SqlLedger};
use oms::sandbox::{FaultRule, Operation, SandboxObject, SandboxOptions};
use oms::secret::Secret;
use oms::task::{Task, TaskId};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::binary::{Home, Serve, oms};
use crate::support::postgres::Postgres;
use crate::support::report_files;
use crate::support::rig::{SOURCE, Stores, TARGET};
use crate::support::service::{Caller, PAUSED, PROJECT, SUCCEEDED, TOKEN, create_body};
use crate::support::tools::Tools;
use crate::support::wait::until;

/// The sealing key of all processes.
pub const SEAL_KEY: &str = "5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1";
/// How long a lease holds, in milliseconds.
pub const LEASE: i64 = 2_000;
/// Prefixes of a task, each of them a shard. No worker has more than 16 at a time, so three take part from the start.
pub const PREFIXES: [&str; 40] = [
    "00/", "01/", "02/", "03/", "04/", "05/", "06/", "07/", "08/", "09/", "10/", "11/", "12/", "13/", "14/",
    "15/", "16/", "17/", "18/", "19/", "20/", "21/", "22/", "23/", "24/", "25/", "26/", "27/", "28/", "29/",
    "30/", "31/", "32/", "33/", "34/", "35/", "36/", "37/", "38/", "39/",
];
/// Keys on a page of a listing. A shard can be split where it has pages left.
const PAGE: usize = 10;

/// Names of columns of counters that the passes and the shards have.
const COUNTERS: [&str; 9] = [
    "listed",
    "copied",
    "skipped",
    "gone",
    "failed",
    "not_found",
    "bytes_listed",
    "bytes_copied",
    "bytes_settled",
];

/// The processes and what they share. All of them end when this is dropped.
pub struct Cluster {
    /// The stores.
    pub stores: Stores,
    /// A caller of the service.
    pub caller: Caller,
    /// The database of the ledger.
    pub url: String,
    /// URL of the NATS server, if there is one.
    queue: Option<String>,
    postgres: Server,
    home: Home,
    serve: Serve,
    /// All workers that were ever started. The index is in the name: `w0`, `w1`, ...
    workers: Vec<Serve>,
}

/// A PostgreSQL server.
enum Server {
    Shared(&'static Postgres),
    /// One that the test may stop.
    Own(Box<Postgres>),
}

impl Server {
    fn get(&self) -> &Postgres {
        match self {
            Self::Shared(server) => server,
            Self::Own(server) => server,
        }
    }
}

impl Cluster {
    /// A service and this many workers, on a server that tests share.
    pub async fn start(tools: &Tools, workers: usize) -> Self {
        Self::between(tools, stores().await, workers).await
    }

    /// The same between these stores.
    pub async fn between(tools: &Tools, stores: Stores, workers: usize) -> Self {
        let postgres = Server::Shared(Postgres::shared(tools).await);
        Self::on(postgres, stores, None, workers).await
    }

    /// The same, with the NATS server at this URL between them.
    pub async fn with_queue(tools: &Tools, nats: &str, workers: usize) -> Self {
        let postgres = Server::Shared(Postgres::shared(tools).await);
        Self::on(postgres, stores().await, Some(nats.to_owned()), workers).await
    }

    /// The same on a server of its own.
    pub async fn on_own_server(tools: &Tools, workers: usize) -> Self {
        let server = Postgres::start_with(tools, &[("fsync", "off")]).await;
        Self::on(Server::Own(Box::new(server)), stores().await, None, workers).await
    }

    async fn on(postgres: Server, stores: Stores, queue: Option<String>, workers: usize) -> Self {
        let url = postgres.get().database("fleet").await;
        let home = Home::new();
        let mut command = home.command();
        command.arg("--no-worker");
        join(&mut command, &url);
        command.env("OMS_TOKEN", TOKEN);
        command.envs(queue.iter().map(|url| ("OMS_NATS_URL", url)));
        let serve = home.spawn(command).await;
        let mut cluster = Self {
            caller: serve.caller(TOKEN),
            stores,
            url,
            queue,
            postgres,
            home,
            serve,
            workers: Vec::new(),
        };
        for _ in 0..workers {
            cluster.worker().await;
        }
        cluster
    }

    /// Starts a worker and returns its index.
    pub async fn worker(&mut self) -> usize {
        self.worker_with(Command::from, &self.url.clone()).await
    }

    /// Starts a worker with a changed command, whose ledger is at this URL.
    pub async fn worker_with(&mut self, change: impl FnOnce(Command) -> Command, url: &str) -> usize {
        let index = self.workers.len();
        let mut command = worker_command(url);
        command.env("OMS_WORKER_NAME", format!("w{index}"));
        command.envs(self.queue.iter().map(|url| ("OMS_NATS_URL", url)));
        let worker = self.home.spawn_until(change(command), " is ready").await;
        self.workers.push(worker);
        index
    }

    /// Kills a worker at once.
    pub fn kill(&mut self, worker: usize) {
        self.workers[worker].kill();
    }

    /// Sends a worker a signal.
    pub fn signal(&self, worker: usize, name: &str) {
        self.workers[worker].signal(name);
    }

    /// Sends a worker SIGTERM and waits for its end.
    pub async fn terminate(&mut self, worker: usize) -> ExitStatus {
        self.workers[worker].terminate().await.0
    }

    /// What a worker logged.
    pub fn log(&self, worker: usize) -> String {
        self.workers[worker].stderr()
    }

    /// The PostgreSQL server.
    pub fn postgres(&self) -> &Postgres {
        self.postgres.get()
    }

    /// The PostgreSQL server, to stop it.
    pub fn own_postgres(&mut self) -> &mut Postgres {
        match &mut self.postgres {
            Server::Shared(_) => panic!("other tests use this server"),
            Server::Own(server) => server,
        }
    }

    /// Runs SQL in the ledger.
    pub async fn sql(&self, sql: &str) -> String {
        self.postgres().query_at(&self.url, sql).await
    }

    /// Runs SQL in the ledger that answers with one number.
    pub async fn number(&self, sql: &str) -> i64 {
        let answer = self.sql(sql).await;
        answer.parse().unwrap_or_else(|_| panic!("{sql}: {answer:?}"))
    }

    /// Waits until SQL answers with at least this number.
    pub async fn until_sql(&self, what: &str, least: i64, sql: &str) {
        until(what, async || self.number(sql).await >= least).await;
    }

    /// The worker that holds a task.
    pub async fn coordinator(&self, task: i64) -> Option<usize> {
        let sql =
            format!("SELECT w.name FROM tasks t JOIN workers w ON w.id = t.held_by WHERE t.id = {task}");
        self.sql(&sql).await.strip_prefix('w')?.parse().ok()
    }

    /// Waits until each of these workers holds an open shard of a task.
    pub async fn until_all_hold(&self, task: i64, workers: &[usize]) {
        let names: Vec<String> = workers.iter().map(|worker| format!("'w{worker}'")).collect();
        let sql = format!(
            "SELECT count(DISTINCT w.name) FROM shards s JOIN workers w ON w.id = s.held_by \
             WHERE s.task_id = {task} AND s.closed = 0 AND w.name IN ({})",
            names.join(", ")
        );
        let all = i64::try_from(workers.len()).unwrap();
        self.until_sql("each worker holds a shard", all, &sql).await;
    }

    /// Number of open shards that a worker holds.
    pub async fn shards_of(&self, worker: usize) -> i64 {
        self.number(&format!(
            "SELECT count(*) FROM shards s JOIN workers w ON w.id = s.held_by WHERE s.closed = 0 AND w.name = 'w{worker}'"
        ))
        .await
    }

    /// Puts small objects into the source, the same number below each of these prefixes.
    pub fn fill(&self, prefixes: &[&str], each: usize) {
        for prefix in prefixes {
            for n in 0..each {
                let object = SandboxObject::new(format!("object {prefix}{n}"));
                self.stores.source.put(SOURCE, &format!("{prefix}{n:05}"), object);
            }
        }
    }

    /// Lets the target serve writes one after another, so that copying takes a while.
    pub fn slow_down(&self, each: Duration) {
        let rule = FaultRule::one_by_one(Operation::PutObject, each);
        self.stores.target.faults().add(rule);
    }

    /// Creates a task for these prefixes.
    pub async fn create(&self, prefixes: &[&str]) -> i64 {
        self.create_with(prefixes, |_| {}).await
    }

    /// The same with a changed request.
    pub async fn create_with(&self, prefixes: &[&str], change: impl FnOnce(&mut Value)) -> i64 {
        let mut body = create_body(&self.stores);
        body["task_type"] = json!("prefix");
        body["src_node"]["object_key"] = json!({"keys": prefixes});
        change(&mut body);
        self.caller.create(&body).await
    }

    /// Keys at the target, with the ETags of what they name.
    pub fn objects(&self) -> Vec<(String, String)> {
        let target = &self.stores.target;
        let etag = |key: &String| target.get(TARGET, key).unwrap().etag;
        target
            .keys(TARGET)
            .into_iter()
            .map(|key| (key.clone(), etag(&key)))
            .collect()
    }

    /// Lets a worker continue that stands still, and waits until it knows that it has nothing to do.
    pub async fn wake_up(&self, worker: usize) {
        let seen = format!("SELECT coalesce(max(seen_at), 0) FROM workers WHERE name = 'w{worker}'");
        let before = self.number(&seen).await;
        self.signal(worker, "CONT");
        let idle = format!(
            "SELECT count(*) FROM workers WHERE name = 'w{worker}' AND seen_at > {before} AND idle = 1"
        );
        self.until_sql("the worker is there again, and idle", 1, &idle)
            .await;
    }

    /// Lets all workers but this one stand still.
    pub fn stop_others(&self, worker: usize) {
        for other in (0..self.workers.len()).filter(|other| *other != worker) {
            self.signal(other, "STOP");
        }
    }

    /// Stops, starts or changes a task. As a user does, it asks again while the ledger is busy. The task may succeed before.
    pub async fn order(&self, task: i64, body: &Value) {
        let path = format!("/task/{task}");
        until("the ledger is not busy", async || {
            let reply = self.caller.call(Method::PUT, &path, Some(body)).await;
            let over = async || self.caller.show(task).await["status"] == SUCCEEDED;
            assert!(
                reply.status == 200 || reply.status == 503 || over().await,
                "{reply:?}"
            );
            reply.status != 503
        })
        .await;
    }

    /// Stops a task, waits until it is paused, or has succeeded before, and asserts that no request follows.
    pub async fn pause(&self, task: i64) -> Value {
        self.order(task, &json!({"operation": "stop"})).await;
        let ended = |task: &Value| task["status"].as_i64() >= Some(PAUSED);
        let ended = self.caller.wait(task, "be paused", ended).await;
        self.assert_quiet().await;
        ended
    }

    /// Asserts that no request is sent to the stores any more.
    pub async fn assert_quiet(&self) {
        let begun = || self.stores.source.requests_begun() + self.stores.target.requests_begun();
        // What was sent before may still have to be read here.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let before = begun();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(begun(), before, "requests are sent although nothing runs");
    }

    /// Waits until a task has succeeded, and asserts all that must hold then.
    pub async fn succeeds(&self, task: i64) -> Value {
        let shown = self.caller.wait_until_succeeded(task).await;
        self.check(task, &shown).await;
        self.stores.assert_same();
        shown
    }

    /// Asserts what must hold after the success of a task, except that the target has the objects of this task alone.
    pub async fn check(&self, task: i64, shown: &Value) {
        assert_eq!(shown["total_num"], shown["success_num"], "{shown:#}");
        let prefixes = shown["src_node"]["object_key"].as_array().unwrap();
        let covered = |key: &String| {
            prefixes
                .iter()
                .any(|prefix| key.starts_with(prefix.as_str().unwrap()))
        };
        let objects = self
            .stores
            .source
            .keys(SOURCE)
            .iter()
            .filter(|key| covered(key))
            .count();
        assert_eq!(shown["total_num"], objects, "{shown:#}");
        self.counters(task, shown).await;
        let known = self.task(task).await;
        let pass = known.pass.unwrap();
        assert!(pass.finished, "{known:#?}");
        // Each key is in one report, once: it was settled once.
        report_files::agree(&self.stores, &known, pass.opened_at);
        assert_eq!(
            self.stores.target.open_uploads(TARGET),
            0,
            "uploads are left open"
        );
        let left = self
            .sql(
                "SELECT (SELECT count(*) FROM uploads), (SELECT count(*) FROM orphans), (SELECT count(*) FROM credentials), \
                 (SELECT count(*) FROM report_chunks), (SELECT count(*) FROM shards WHERE held_by IS NOT NULL)",
            )
            .await;
        assert_eq!(left, "0|0|0|0|0", "something is left in the ledger");
        self.secrets().await;
    }

    /// The counters balance, and those of the pass are the sums of its shards.
    async fn counters(&self, task: i64, shown: &Value) {
        let last = format!("task_id = {task} AND number = (SELECT pass FROM tasks WHERE id = {task})");
        let pass = self
            .sql(&format!(
                "SELECT {} FROM passes WHERE {last}",
                COUNTERS.join(", ")
            ))
            .await;
        let sums = COUNTERS.map(|name| format!("sum({name})")).join(", ");
        let shards = self
            .sql(&format!(
                "SELECT {sums} FROM shards WHERE {}",
                last.replace("number =", "pass =")
            ))
            .await;
        assert_eq!(pass, shards, "the pass is not the sum of its shards: {shown:#}");
        let open = format!("SELECT count(*) FROM shards WHERE closed = 0 AND task_id = {task}");
        assert_eq!(self.number(&open).await, 0, "a shard is open");
        let numbers: Vec<i64> = pass.split('|').map(|n| n.parse().unwrap()).collect();
        let [listed, copied, skipped, gone, failed, ..] = numbers[..] else {
            panic!("{pass}")
        };
        assert_eq!(listed, copied + skipped + gone + failed, "{pass}");
        assert_eq!(shown["total_num"], listed, "{shown:#}");
    }

    /// A task as it is in the ledger.
    pub async fn task(&self, task: i64) -> Task {
        let ledger = SqlLedger::connect(&Secret::new(&self.url), Schema::Check)
            .await
            .unwrap();
        let known = ledger
            .task(&PROJECT.parse().unwrap(), TaskId::new(task).unwrap())
            .await;
        ledger.close().await;
        known.unwrap().unwrap()
    }

    /// No secret is in the database or in what the processes print.
    async fn secrets(&self) {
        let password = self.url.split([':', '@']).nth(2).unwrap();
        let secrets = [
            self.stores.source.secret_key(),
            self.stores.target.secret_key(),
            SEAL_KEY,
            TOKEN,
            password,
        ];
        let dump = self.postgres().dump(&self.url).await;
        assert!(dump.contains("INSERT INTO public.tasks"), "{dump}");
        for secret in secrets {
            // Bytes are dumped in hexadecimal digits.
            for text in [secret.to_owned(), hex::encode(secret)] {
                assert!(!dump.contains(&text), "{text} is in the database");
            }
        }
        self.home.assert_free_of(&secrets, |_| false);
    }
}

/// Stores whose listings have short pages.
async fn stores() -> Stores {
    Stores::with(short_pages(), short_pages()).await
}

/// A store whose listings have short pages.
pub fn short_pages() -> SandboxOptions {
    SandboxOptions {
        page_size: PAGE,
        ..SandboxOptions::default()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("--- serve\n{}", last_lines(&self.serve.stderr()));
        for (index, worker) in self.workers.iter().enumerate() {
            eprintln!("--- w{index}\n{}", last_lines(&worker.stderr()));
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// `oms worker` on a free port, allowed to reach stores on this machine.
pub fn worker_command(url: &str) -> Command {
    let mut command = oms();
    command.args([
        "worker",
        "--listen",
        "127.0.0.1:0",
        "--allow-network",
        "127.0.0.0/8",
        "--log-level",
        "debug",
    ]);
    join(&mut command, url);
    command
}

/// Puts what all processes share into the environment of one.
fn join(command: &mut Command, url: &str) {
    command
        .env("OMS_LEDGER_URL", url)
        .env("OMS_SEAL_KEY", SEAL_KEY)
        .env("OMS_LEASE_SECONDS", (LEASE / 1_000).to_string());
}
