//! PostgreSQL, as a process with its own data on loopback.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::server::{Folder, Server, Signal, free_port, random};
use super::tools::{Tools, succeed};

/// How long the server may take to start, and to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// How many times it is started, each time on another port.
const STARTS: u32 = 5;

/// Who the tests are to the server.
const USER: &str = "oms";

/// Settings of every server. What it shares between its processes it keeps in its folder, so that nothing is left behind.
const SETTINGS: [(&str, &str); 5] = [
    ("max_connections", "300"),
    ("shared_buffers", "32MB"),
    ("dynamic_shared_memory_type", "mmap"),
    ("unix_socket_directories", ""),
    ("timezone", "UTC"),
];

/// A PostgreSQL server. When this is dropped, the server ends and its data is removed.
pub struct Postgres {
    server: Server,
    tools: Tools,
    port: u16,
    password: &'static str,
    settings: Vec<(&'static str, &'static str)>,
    starts: u32,
    databases: AtomicU32,
}

/// The data of a server that was never started. All servers of a test binary start with a copy.
struct Template {
    folder: Folder,
    password: String,
}

/// A user and a group of the system, by number.
type Owner = (u32, u32);

impl Postgres {
    /// Starts a server that writes to the disk as carefully as in production.
    pub async fn start(tools: &Tools) -> Self {
        Self::start_with(tools, &[]).await
    }

    /// Starts a server with additional settings. If another process takes its port first, it is started again on another.
    pub async fn start_with(tools: &Tools, settings: &[(&'static str, &'static str)]) -> Self {
        let mut postgres = Self::prepare(tools, settings).await;
        for _ in 0..STARTS {
            match postgres.launch().await {
                Ok(()) => return postgres,
                Err(log) if port_is_taken(&log) => postgres.port = free_port(),
                Err(log) => panic!("PostgreSQL does not start\n{log}"),
            }
        }
        panic!("PostgreSQL found its port taken {STARTS} times");
    }

    /// The one server that tests share which only need a database. The first test that asks starts it, and it ends with the
    /// process. Nobody stops it, so it need not wait for the disk.
    pub async fn shared(tools: &Tools) -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED
            .get_or_init(|| Self::start_with(tools, &[("fsync", "off")]))
            .await
    }

    async fn prepare(tools: &Tools, settings: &[(&'static str, &'static str)]) -> Self {
        let template = Template::get(tools).await;
        let folder = Folder::new("postgres", Signal::Quit);
        give_away(folder.path());
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(template.data()).arg(folder.path());
        succeed(copy, LIMIT).await;
        Self {
            server: Server::new(folder),
            tools: tools.clone(),
            port: free_port(),
            password: &template.password,
            settings: settings.to_vec(),
            starts: 0,
            databases: AtomicU32::new(0),
        }
    }

    /// Starts the process and waits until it accepts connections. The error is its log.
    async fn launch(&mut self) -> Result<(), String> {
        self.starts += 1;
        let log = self.log_file();
        let output = File::create(&log).unwrap();
        let mut command = program(&self.tools, "postgres", self.server.folder());
        command
            .arg("-D")
            .arg(self.data())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        for (name, value) in SETTINGS.iter().chain(&self.settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        self.server.spawn(command);
        let until = Instant::now() + LIMIT;
        while !self.is_ready() {
            let ended = self.server.ended();
            if ended.is_some() || Instant::now() >= until {
                let text = std::fs::read_to_string(log).unwrap_or_default();
                return Err(format!("{ended:?}\n{text}"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The file in which the server says that it is ready. An earlier process may have left it, so it also has its number.
    fn is_ready(&self) -> bool {
        let lines = self.pid_file();
        let of_this =
            lines.first().map(String::as_str) == self.server.id().map(|id| id.to_string()).as_deref();
        of_this && lines.get(7).is_some_and(|line| line.trim() == "ready")
    }

    fn pid_file(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn data(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.server.folder().join(format!("log.{}", self.starts))
    }

    /// Where it listens. This stays the same when it is started again.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `postgres://user:password@127.0.0.1:port/postgres`, of a superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://{USER}:{}@{}/{database}", self.password, self.addr())
    }

    /// Creates an empty database and returns its URL. Its name begins with `name`, and is another each time.
    pub async fn database(&self, name: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let database = format!("{name}_{number}");
        self.query(&format!(r#"CREATE DATABASE "{database}""#)).await;
        self.url_of(&database)
    }

    /// Runs SQL in the database `postgres`. Returns what it answers, without headings: a line for each row, `|` between columns.
    pub async fn query(&self, sql: &str) -> String {
        self.query_at(&self.url(), sql).await
    }

    /// Like [`Self::query`], at this URL.
    pub async fn query_at(&self, url: &str, sql: &str) -> String {
        let answer = succeed(self.psql(url, sql), LIMIT).await;
        answer.trim_end().to_owned()
    }

    /// The command that runs SQL at this URL. The exit code is not 0 if that fails.
    pub fn psql(&self, url: &str, sql: &str) -> Command {
        let mut command = Command::new(self.tools.postgres_bin("psql"));
        without_settings(&mut command);
        command
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1"])
            .args(["-c", sql, url]);
        command
    }

    /// Everything that is in the database at this URL, as SQL.
    pub async fn dump(&self, url: &str) -> String {
        let mut command = Command::new(self.tools.postgres_bin("pg_dump"));
        without_settings(&mut command);
        command.args(["--inserts", "--dbname", url]);
        succeed(command, LIMIT).await
    }

    /// Kills the server at once, like a power cut. Its other processes notice and end a moment later.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops the server: it ends all connections and writes everything to its files.
    pub async fn stop(&mut self) {
        self.server.signal("INT");
        let until = Instant::now() + LIMIT;
        while self.server.ended().is_none() {
            assert!(Instant::now() < until, "PostgreSQL does not stop");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the server again with its data and on its port. Stops it before that if it runs.
    pub async fn restart(&mut self) {
        if self.server.id().is_some() {
            self.stop().await;
        }
        let until = Instant::now() + LIMIT;
        while let Err(log) = self.launch().await {
            // Processes of a server that was killed may still be ending.
            let later = port_is_taken(&log) || log.contains("shared memory block");
            assert!(
                later && Instant::now() < until,
                "PostgreSQL does not start again\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.server.id().is_some() {
            return;
        }
        // A server that was killed has left its shared memory. The second number of this line names it.
        let lines = self.pid_file();
        if let Some(id) = lines.get(6).and_then(|line| line.split_whitespace().nth(1)) {
            let mut remove = Command::new("ipcrm");
            remove.args(["-m", id]).status().map(drop).unwrap_or_default();
        }
    }
}

impl Template {
    async fn get(tools: &Tools) -> &'static Self {
        static TEMPLATE: OnceCell<Template> = OnceCell::const_new();
        TEMPLATE.get_or_init(|| Self::create(tools)).await
    }

    async fn create(tools: &Tools) -> Self {
        let folder = Folder::new("postgres-template", Signal::Kill);
        give_away(folder.path());
        let password = format!("{:016x}canary", random());
        let file = folder.path().join("password");
        std::fs::write(&file, &password).unwrap();
        give_away(&file);
        let mut command = program(tools, "initdb", folder.path());
        command
            .args([
                "-U",
                USER,
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
            ])
            .args(["--no-sync", "--no-instructions"])
            .arg("--pwfile")
            .arg(file)
            .arg("-D")
            .arg(folder.path().join("data"));
        succeed(command, LIMIT).await;
        Self { folder, password }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// A program of the server, as the user who owns the folder.
fn program(tools: &Tools, name: &str, folder: &Path) -> Command {
    let mut command = Command::new(tools.postgres_bin(name));
    command.current_dir(folder);
    without_settings(&mut command);
    let owner = std::fs::metadata(folder).unwrap();
    if other_user().is_some() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    command
}

/// Removes what would change what the programs do.
fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PG")) {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
}

/// The server refuses to run as root. Then the file becomes that of another user.
fn give_away(file: &Path) {
    if let Some((user, group)) = other_user() {
        chown(file, Some(user), Some(group)).unwrap();
    }
}

/// The user for the server, if this process is root's.
fn other_user() -> Option<Owner> {
    let me = std::fs::metadata("/proc/self").map_or(1, |process| process.uid());
    if me != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let user = find("postgres").or_else(|| find("nobody"));
    Some(user.expect("a user postgres or nobody"))
}

fn port_is_taken(log: &str) -> bool {
    log.contains("Address already in use")
}
