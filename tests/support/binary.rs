//! Runs `oms` as a separate process, as an operator does.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::rig::TIMEOUT;
use super::service::Caller;
use super::tools::{Ran, run, signal};

/// The program, without those environment variables of this process that could change what it does.
pub fn oms() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oms"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("OMS_")) {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG");
    command
}

/// Runs the program to its end.
pub async fn oms_once(arguments: &[&str]) -> Ran {
    let mut command = oms();
    command.args(arguments);
    run(command, TIMEOUT).await
}

/// A folder for a service and for what its processes print.
pub struct Home {
    folder: TempDir,
    started: std::cell::Cell<u32>,
}

/// `oms serve` as a child process. It is ended when this is dropped.
pub struct Serve {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

/// How large the files that a process writes may become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// No limit.
    Free,
    /// Every write to a file fails.
    NoByte,
}

impl Home {
    /// A new folder. The data folder in it does not exist yet.
    pub fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            started: std::cell::Cell::new(0),
        }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The token of the data folder.
    pub fn token(&self) -> String {
        let text = std::fs::read_to_string(self.data().join("token")).unwrap();
        text.trim().to_owned()
    }

    /// Writes a file beside the data folder and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// `oms serve` on the data folder and a free port, allowed to reach stores on this machine.
    pub fn command(&self) -> Command {
        let mut command = oms();
        command
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--allow-network",
                "127.0.0.0/8",
                "--data-dir",
            ])
            .arg(self.data());
        command
    }

    /// Starts the service and waits until it listens.
    pub async fn serve(&self) -> Serve {
        self.spawn(self.command()).await
    }

    /// Starts this command and waits until it listens.
    pub async fn spawn(&self, command: Command) -> Serve {
        self.spawn_until(command, "  stores ").await
    }

    /// Starts this command and waits until it has printed `ready`.
    pub async fn spawn_until(&self, mut command: Command, ready: &str) -> Serve {
        let number = self.started.get() + 1;
        self.started.set(number);
        let file = |kind: &str| self.folder.path().join(format!("{number}.{kind}"));
        let (out, err) = (file("out"), file("err"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let mut serve = Serve { child, out, err };
        let until = Instant::now() + TIMEOUT;
        while !serve.stdout().contains(ready) {
            let ended = serve.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the process ended: {ended:?}\n{}",
                serve.printed()
            );
            assert!(
                Instant::now() < until,
                "the process does not listen\n{}",
                serve.printed()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        serve
    }

    /// Asserts that none of `secrets` is in a file or an output of the service. Files for which `allowed` returns true are
    /// not checked.
    #[track_caller]
    pub fn assert_free_of(&self, secrets: &[&str], allowed: impl Fn(&Path) -> bool) {
        let mut seen = 0;
        for folder in [self.folder.path().to_owned(), self.data()] {
            // A service whose ledger is elsewhere has no data folder.
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if !path.is_file() || allowed(&path) {
                    continue;
                }
                // SQLite may remove its log file meanwhile.
                let Ok(bytes) = std::fs::read(&path) else { continue };
                seen += 1;
                for secret in secrets {
                    let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                    assert!(!found, "{secret} is in {}", path.display());
                }
            }
        }
        assert!(seen >= 3, "only {seen} files were looked at");
    }
}

impl Serve {
    /// A client of the service.
    pub fn caller(&self, token: &str) -> Caller {
        let text = self.stdout();
        let base = text.lines().find_map(|line| line.strip_prefix("oms listens on "));
        Caller::new(base.unwrap_or_else(|| panic!("no address in {text}")), token)
    }

    /// Number of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed on standard output.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    /// What it logged.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap()
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        signal(name, &self.child.id().to_string());
    }

    /// Sends SIGTERM, as a supervisor does. Returns the exit status and how long the shutdown took.
    pub async fn terminate(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        signal("TERM", &self.child.id().to_string());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status, began.elapsed());
            }
            assert!(began.elapsed() < TIMEOUT, "it does not end\n{}", self.printed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills the process at once, like a power cut.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(
            status.code().is_none(),
            "it ended before it was killed: {status}\n{}",
            self.printed()
        );
    }

    /// The command line, which other users of the machine can see.
    pub fn arguments(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.child.id());
        String::from_utf8_lossy(&std::fs::read(path).unwrap()).replace('\0', " ")
    }

    /// Allows writes to files, or makes every write fail as on a full disk.
    pub fn limit(&self, files: Files) {
        // Only the soft limit is lowered, because only a superuser could raise the hard limit again.
        let limit = match files {
            Files::Free => "unlimited:",
            Files::NoByte => "0:",
        };
        let pid = self.child.id().to_string();
        let done = Command::new("prlimit")
            .args(["--pid", &pid, &format!("--fsize={limit}")])
            .status()
            .expect("prlimit of util-linux");
        assert!(done.success(), "prlimit --fsize={limit}: {done}");
    }

    /// Peak resident memory in MiB.
    pub fn peak_memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Both outputs, for failure messages.
    pub fn printed(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Both calls fail only if the child has already ended and was waited for.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}
