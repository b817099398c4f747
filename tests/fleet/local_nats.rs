//! A NATS server with JetStream, as a process with its own store on loopback.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::tools::{Tools, signal};

/// How long the server may take until it is ready.
const START: Duration = Duration::from_secs(60);
/// How many times it is started, each time on another port.
const STARTS: u32 = 5;

/// A NATS server. When this is dropped, the server is killed and its store is removed.
pub struct Nats {
    child: Option<Child>,
    folder: TempDir,
    program: PathBuf,
    port: u16,
    /// What is added to its configuration.
    more: Value,
}

impl Nats {
    /// Starts a server at which everybody may do everything.
    pub async fn start(tools: &Tools) -> Self {
        Self::start_with(tools, json!({})).await
    }

    /// Starts a server with more configuration. If another process takes its port first, it is started again on another.
    pub async fn start_with(tools: &Tools, more: Value) -> Self {
        let mut nats = Self {
            child: None,
            folder: TempDir::with_prefix("oms-nats-").unwrap(),
            program: tools.python_bin("nats-server"),
            port: free_port(),
            more,
        };
        for _ in 0..STARTS {
            match nats.launch().await {
                Ok(()) => return nats,
                Err(log) if log.contains("address already in use") => nats.port = free_port(),
                Err(log) => panic!("the NATS server does not start\n{log}"),
            }
        }
        panic!("the NATS server found its port taken {STARTS} times");
    }

    /// Starts the process and waits until it accepts connections. The error is its log.
    async fn launch(&mut self) -> Result<(), String> {
        let mut configuration = json!({
            "host": "127.0.0.1",
            "port": self.port,
            "server_name": "test",
            "jetstream": {"store_dir": self.store(), "sync_interval": "always", "max_file_store": 1_u64 << 30},
        });
        for (name, value) in self.more.as_object().unwrap() {
            configuration[name] = value.clone();
        }
        let file = self.folder.path().join("nats.json");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let log = self.folder.path().join("log");
        let output = File::create(&log).unwrap();
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let child = self.child.insert(child);
        let until = Instant::now() + START;
        loop {
            let ended = child.try_wait().unwrap();
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if ended.is_some() || Instant::now() >= until {
                return Err(format!("{ended:?}\n{text}"));
            }
            if text.contains("Server is ready") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// `127.0.0.1:port`. This stays the same when it is started again.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        signal(name, &self.child.as_ref().unwrap().id().to_string());
    }

    /// Kills the server at once, like a power cut.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_default();
            child.wait().map(drop).unwrap_or_default();
        }
    }

    /// Starts the server again with its store and on its port. Kills it before that if it runs.
    pub async fn restart(&mut self) {
        self.kill();
        let until = Instant::now() + START;
        while let Err(log) = self.launch().await {
            let taken = log.contains("address already in use");
            assert!(taken && Instant::now() < until, "{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Removes everything from the store. The server must not run.
    pub fn wipe(&self) {
        assert!(self.child.is_none(), "the NATS server runs");
        std::fs::remove_dir_all(self.store()).unwrap();
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    held.local_addr().unwrap().port()
}
