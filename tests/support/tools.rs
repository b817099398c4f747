//! Runs tools that are not written in Rust, with a time limit. `tests/run` installs them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A library that generated Go clients use, as Debian packages it.
const GO_VALIDATOR: &str = "/usr/share/gocode/src/gopkg.in/validator.v2";

/// Here Debian keeps one folder for each version of PostgreSQL.
const POSTGRES: &str = "/usr/lib/postgresql";

/// A tool that a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The Python environment.
    Python,
    /// The npm packages, and Node to run them.
    Npm,
    /// Chromium.
    Browser,
    /// A Java runtime with its compiler.
    Java,
    /// Go with the libraries that Debian packages.
    Go,
    /// nginx.
    Nginx,
    /// The server of PostgreSQL.
    Postgres,
    /// The NATS server.
    Nats,
    /// faketime.
    Faketime,
    /// `systemd-analyze`.
    Systemd,
}

/// The tools that a test asked for.
#[derive(Clone, Debug)]
pub struct Tools(PathBuf);

/// The output and the exit status of a command.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// The tools, or `None` if one is missing. Then this prints a note on standard error, and the test must return. If
/// `TEST_REQUIRE_ALL` is 1, as `tests/run` sets it, a missing tool fails the test.
#[track_caller]
pub fn require(needs: &[Need]) -> Option<Tools> {
    let folder = std::env::var_os("OMS_TEST_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools"),
        PathBuf::from,
    );
    let missing: Vec<String> = needs.iter().filter_map(|need| missing(*need, &folder)).collect();
    if missing.is_empty() {
        return Some(Tools(folder));
    }
    let missing = missing.join(", ");
    let all = std::env::var_os("TEST_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!all, "missing: {missing}; `tests/run` installs it");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Not `eprintln`: the test runner does not show its text when a test passes.
    let said = writeln!(
        std::io::stderr(),
        "SKIPPED: {test}: missing {missing} (tests/run installs what it needs)"
    );
    said.unwrap();
    None
}

fn missing(need: Need, folder: &Path) -> Option<String> {
    let stamped = |part: &str| folder.join(format!("{part}.stamp")).is_file();
    let (there, what) = match need {
        Need::Python => (
            stamped("python"),
            format!("the Python tools in {}", folder.display()),
        ),
        Need::Npm => (
            stamped("npm") && on_path("node"),
            format!("Node.js, or the npm tools in {}", folder.display()),
        ),
        Need::Browser => {
            let browser = std::env::var("CHROMIUM").unwrap_or_else(|_| "chromium".to_owned());
            (on_path(&browser), format!("the browser {browser}"))
        }
        Need::Java => (on_path("java") && on_path("javac"), "java and javac".to_owned()),
        Need::Go => (
            on_path("go") && Path::new(GO_VALIDATOR).is_dir(),
            format!("go, or {GO_VALIDATOR}"),
        ),
        Need::Nginx => (on_path("nginx"), "nginx".to_owned()),
        Need::Postgres => (
            postgres_programs().is_some(),
            "the server of PostgreSQL".to_owned(),
        ),
        Need::Nats => (
            // An environment of an earlier list is complete, but does not have it.
            stamped("python") && folder.join("python/bin/nats-server").is_file(),
            format!("nats-server in {}", folder.display()),
        ),
        Need::Faketime => (on_path("faketime"), "faketime".to_owned()),
        Need::Systemd => (on_path("systemd-analyze"), "systemd-analyze".to_owned()),
    };
    (!there).then_some(what)
}

fn on_path(program: &str) -> bool {
    find(program).is_some()
}

/// The path of a program.
pub fn find(program: &str) -> Option<PathBuf> {
    // Servers are in a folder that is only on a superuser's PATH.
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    // `CHROMIUM` may be an absolute path: joining it replaces the folder.
    folders
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// The folder with the programs of the newest PostgreSQL.
fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir(POSTGRES).into_iter().flatten();
    let newest = versions
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version: u32 = folder.file_name()?.to_str()?.parse().ok()?;
            let programs = folder.join("bin");
            programs.join("postgres").is_file().then_some((version, programs))
        })
        .max();
    // Other systems have them where other programs are.
    let on_path = || Some(find("postgres")?.parent()?.to_owned());
    newest.map(|(_, programs)| programs).or_else(on_path)
}

impl Tools {
    /// A program of PostgreSQL.
    pub fn postgres_bin(&self, name: &str) -> PathBuf {
        let programs = postgres_programs().expect("the caller has asked for it");
        programs.join(name)
    }

    /// A program of the Python environment.
    pub fn python_bin(&self, name: &str) -> PathBuf {
        self.0.join("python/bin").join(name)
    }

    /// A command that runs a script of `tests/tools` with the interpreter for its file extension and the tools in its
    /// environment.
    pub fn script(&self, name: &str) -> Command {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/tools")
            .join(name);
        assert!(file.is_file(), "{} is not there", file.display());
        let program = match file.extension().and_then(|ending| ending.to_str()) {
            Some("sh") => PathBuf::from("bash"),
            Some("mjs") => PathBuf::from("node"),
            Some("py") => self.0.join("python/bin/python"),
            other => panic!("no program for {name} ({other:?})"),
        };
        let mut command = Command::new(program);
        command.arg(file).env("OMS_TEST_TOOLS", &self.0);
        command
    }
}

/// Runs a command to its end.
///
/// If it takes longer than `limit`, it is killed together with the processes that it started. Then the test fails and
/// shows everything that was printed.
pub async fn run(mut command: Command, limit: Duration) -> Ran {
    // Files, not pipes: a grandchild that outlives its parent would keep a pipe open.
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(err.try_clone().unwrap())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let began = Instant::now();
    let (status, late) = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break (status, false);
        }
        if began.elapsed() > limit {
            // The process group of this child: the script and what it runs.
            signal("KILL", &format!("-{}", child.id()));
            break (child.wait().unwrap(), true);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let ran = Ran {
        status,
        stdout: read_all(&mut out),
        stderr: read_all(&mut err),
    };
    assert!(!late, "{command:?} was not over after {limit:?}\n{}", ran.shown());
    ran
}

/// Like [`run`], but fails unless the exit code is 0. Returns the standard output.
pub async fn succeed(command: Command, limit: Duration) -> String {
    let shown = format!("{command:?}");
    let ran = run(command, limit).await;
    assert!(ran.status.success(), "{shown}\n{}", ran.shown());
    ran.stdout
}

impl Ran {
    /// Exit status and both outputs, for failure messages.
    pub fn shown(&self) -> String {
        format!(
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

/// Sends a signal to a process that the test has started, or to its process group if the number begins with `-`.
pub fn signal(name: &str, pid: &str) {
    let script = format!("kill -{name} {pid}");
    let sent = Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(sent.success(), "{script}: {sent}");
}

fn read_all(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
