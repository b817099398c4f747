//! nginx as a reverse proxy before a service, with a prefix before every path, as operators use it.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::rig::TIMEOUT;
use super::tools::find;

/// A running nginx. It is stopped when this is dropped.
pub struct Nginx {
    child: Child,
    folder: TempDir,
    /// `http://127.0.0.1:port/oms`.
    pub base: String,
}

impl Nginx {
    /// Starts nginx on a free port. It forwards requests below `/oms/` to the service at `upstream`.
    pub async fn before(upstream: &str) -> Self {
        let folder = TempDir::new().unwrap();
        for _ in 0..10 {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            // nginx opens the port itself, and another process may take it first. Then the next attempt uses another port.
            drop(free);
            if let Some(child) = start(folder.path(), port, upstream).await {
                let base = format!("http://127.0.0.1:{port}/oms");
                return Self { child, folder, base };
            }
        }
        panic!("nginx does not start:\n{}", log(folder.path()));
    }

    /// What it logged.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("error.log")).unwrap_or_default()
}

/// Starts nginx and waits until it listens. `None` if it ended.
async fn start(folder: &Path, port: u16, upstream: &str) -> Option<Child> {
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(folder, port, upstream)).unwrap();
    let program: PathBuf = find("nginx").expect("the caller has asked for it");
    let mut child = Command::new(program)
        .arg("-p")
        .arg(folder)
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(folder.join("error.log"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + TIMEOUT;
    loop {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            // Some process listens on the port. It is nginx if nginx still runs, because nginx ends when its port is taken.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return child.try_wait().unwrap().is_none().then_some(child);
        }
        assert!(Instant::now() < until, "nginx does not listen:\n{}", log(folder));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Configures one process without privileges that keeps all its files in `folder`.
fn configuration(folder: &Path, port: u16, upstream: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{}}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path {folder}/body;\n  proxy_temp_path {folder}/proxy;\n  fastcgi_temp_path {folder}/fastcgi;\n  \
         uwsgi_temp_path {folder}/uwsgi;\n  scgi_temp_path {folder}/scgi;\n  server {{\n    listen 127.0.0.1:{port};\n    \
         location /oms/ {{\n      proxy_pass {upstream}/;\n      proxy_http_version 1.1;\n    }}\n  }}\n}}\n"
    )
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Both calls fail only if the child has already ended and was waited for.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}
