//! A server that a test starts as a process of its own. It ends with the test, also if the test crashes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::tools::signal;

/// Reads lines until its input ends, which is when the process that writes them ends, however that happens. Then it ends the
/// server whose number it read last, and removes the folder. The line `over` tells that nothing is left to do.
const WATCHDOG: &str = r#"
signal=$1 folder=$2 server=
while read -r line; do
  [ "$line" != over ] || exit 0
  server=$line
done
if [ -n "$server" ]; then
  kill -"$signal" "$server"
  # A process that has ended but was not waited for has no program.
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    readlink "/proc/$server/exe" || break
    sleep 0.3
  done
  kill -KILL -"$server"
fi
rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"#;

/// A temporary folder that is also removed if the test crashes.
pub struct Folder {
    folder: TempDir,
    watchdog: Child,
    end: Signal,
}

/// A server process and its folder.
pub struct Server {
    child: Option<Child>,
    folder: Folder,
}

/// The signal that ends a server at once, without what clients could wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGKILL`.
    Kill,
    /// `SIGQUIT`, for a server that must free something.
    Quit,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
        }
    }
}

impl Folder {
    /// A new folder. The signal is for the server that is started in it, if there is one.
    pub fn new(name: &str, end: Signal) -> Self {
        let folder = TempDir::with_prefix(format!("oms-{name}-")).unwrap();
        // In a process group of its own, so that what ends the group of the test leaves it alone.
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", end.name()])
            .arg(folder.path())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            folder,
            watchdog,
            end,
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn tell(&mut self, line: &str) {
        let input = self.watchdog.stdin.as_mut().expect("it is piped");
        writeln!(input, "{line}").unwrap_or_default();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.tell("over");
        // Fails only if it has already been waited for.
        self.watchdog.wait().map(drop).unwrap_or_default();
    }
}

impl Server {
    /// A server that is not started yet.
    pub fn new(folder: Folder) -> Self {
        Self { child: None, folder }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the process. The command must not go on in the background.
    #[track_caller]
    pub fn spawn(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "it runs already");
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
        self.folder.tell(&child.id().to_string());
        self.child = Some(child);
    }

    /// Number of the process, or `None` if it does not run.
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// How the process ended, if it has ended by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.forget();
        Some(status)
    }

    /// Kills the process at once, like a power cut.
    pub fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().unwrap();
            child.wait().unwrap();
            self.forget();
        }
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        signal(name, &self.id().expect("it runs").to_string());
    }

    /// The child was waited for, so its number may soon be that of another process.
    fn forget(&mut self) {
        self.child = None;
        self.folder.tell("");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended().is_some() || self.child.is_none() {
            return;
        }
        if self.folder.end == Signal::Kill {
            self.kill();
        } else if let Some(child) = &mut self.child {
            signal(self.folder.end.name(), &child.id().to_string());
            // A test may have stopped it, and a stopped process reads no signal.
            signal("CONT", &child.id().to_string());
            child.wait().map(drop).unwrap_or_default();
        }
    }
}

/// A port that is free now. It is not one of those that a system hands out by itself, because such a port could be
/// another's by the time at which a server is started on it again.
pub fn free_port() -> u16 {
    loop {
        let port = 15_000 + u16::try_from(random() % 15_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A random number.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
