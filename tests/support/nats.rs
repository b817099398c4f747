//! A NATS server with JetStream, as a process with its own store on loopback.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::server::{Folder, Server, Signal, free_port};
use super::tools::{Tools, succeed};

/// How long the server may take to start, and to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// How many times it is started, each time on another port.
const STARTS: u32 = 5;

/// A NATS server. When this is dropped, the server is killed and its store is removed.
pub struct Nats {
    server: Server,
    program: PathBuf,
    port: u16,
    users: Vec<User>,
    starts: u32,
}

/// Who may connect.
#[derive(Clone, Debug)]
pub struct User {
    /// How the user proves who it is.
    pub login: Login,
    /// `permissions` of the server's configuration, such as `{"publish": ["a.>"], "subscribe": ["b"]}`. `None` allows all.
    pub permissions: Option<Value>,
}

/// How a user proves who it is.
#[derive(Clone, Debug)]
pub enum Login {
    /// By a password.
    Password {
        /// Name.
        user: String,
        /// Password.
        password: String,
    },
    /// By a signature. This is the public key.
    Nkey(String),
}

/// What was in the store at some time.
pub struct StoreCopy(Folder);

impl Nats {
    /// Starts a server at which everybody may do everything.
    pub async fn start(tools: &Tools) -> Self {
        Self::start_for(tools, &[]).await
    }

    /// Starts a server for these users only. If another process takes its port first, it is started again on another.
    pub async fn start_for(tools: &Tools, users: &[User]) -> Self {
        let mut nats = Self {
            server: Server::new(Folder::new("nats", Signal::Kill)),
            program: tools.python_bin("nats-server"),
            port: free_port(),
            users: users.to_vec(),
            starts: 0,
        };
        for _ in 0..STARTS {
            match nats.launch().await {
                Ok(()) => return nats,
                Err(log) if port_is_taken(&log) => nats.port = free_port(),
                Err(log) => panic!("the NATS server does not start\n{log}"),
            }
        }
        panic!("the NATS server found its port taken {STARTS} times");
    }

    /// Starts the process and waits until it accepts connections. The error is its log.
    async fn launch(&mut self) -> Result<(), String> {
        self.starts += 1;
        let config = self.server.folder().join("nats.json");
        std::fs::write(&config, self.configuration().to_string()).unwrap();
        let log = self.server.folder().join(format!("log.{}", self.starts));
        let output = File::create(&log).unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg("-c")
            .arg(config)
            .current_dir(self.server.folder())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        self.server.spawn(command);
        let until = Instant::now() + LIMIT;
        loop {
            let ended = self.server.ended();
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

    fn configuration(&self) -> Value {
        let mut all = json!({
            "host": "127.0.0.1",
            "port": self.port,
            "server_name": "test",
            // Nothing that was acknowledged is lost when the server is killed.
            "jetstream": {"store_dir": self.store(), "sync_interval": "always", "max_file_store": 1_u64 << 30},
        });
        if !self.users.is_empty() {
            let users: Vec<Value> = self.users.iter().map(User::configuration).collect();
            all["authorization"] = json!({ "users": users });
        }
        all
    }

    fn store(&self) -> PathBuf {
        self.server.folder().join("store")
    }

    /// Where it listens. This stays the same when it is started again.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr())
    }

    /// Kills the server at once, like a power cut.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops the server: it writes everything to its store.
    pub async fn stop(&mut self) {
        self.server.signal("TERM");
        let until = Instant::now() + LIMIT;
        while self.server.ended().is_none() {
            assert!(Instant::now() < until, "the NATS server does not stop");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts the server again with its store and on its port. Stops it before that if it runs.
    pub async fn restart(&mut self) {
        if self.server.id().is_some() {
            self.stop().await;
        }
        let until = Instant::now() + LIMIT;
        while let Err(log) = self.launch().await {
            assert!(
                port_is_taken(&log) && Instant::now() < until,
                "the NATS server does not start again\n{log}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asserts that none of `texts` is in a file of the store.
    #[track_caller]
    pub fn assert_store_free_of(&self, texts: &[&str]) {
        let mut folders = vec![self.store()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            // The server may remove files meanwhile.
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let Ok(bytes) = std::fs::read(&path) else { continue };
                seen += 1;
                for text in texts {
                    let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
                    assert!(!found, "{text} is in {}", path.display());
                }
            }
        }
        assert!(seen > 0, "there is no store");
    }

    /// Removes everything from the store. The server must not run.
    pub fn wipe(&self) {
        self.assert_down();
        std::fs::remove_dir_all(self.store()).unwrap();
    }

    /// Copies the store, for [`Self::restore`]. The server must not run.
    pub async fn copy_store(&self) -> StoreCopy {
        self.assert_down();
        let copy = Folder::new("nats-copy", Signal::Kill);
        let mut command = Command::new("cp");
        command.arg("-a").arg(self.store()).arg(copy.path());
        succeed(command, LIMIT).await;
        StoreCopy(copy)
    }

    /// Replaces the store by an earlier copy. The server must not run.
    pub async fn restore(&self, copy: &StoreCopy) {
        self.wipe();
        let mut command = Command::new("cp");
        command
            .arg("-a")
            .arg(copy.0.path().join("store"))
            .arg(self.server.folder());
        succeed(command, LIMIT).await;
    }

    #[track_caller]
    fn assert_down(&self) {
        assert!(self.server.id().is_none(), "the NATS server runs");
    }
}

impl User {
    fn configuration(&self) -> Value {
        let mut user = match &self.login {
            Login::Password { user, password } => json!({"user": user, "password": password}),
            Login::Nkey(public) => json!({"nkey": public}),
        };
        if let Some(permissions) = &self.permissions {
            user["permissions"] = permissions.clone();
        }
        user
    }
}

fn port_is_taken(log: &str) -> bool {
    log.contains("address already in use")
}
