//! SeaweedFS, a real S3 server, as a process with its own credentials and folder.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tools::Tools;

/// How long the server may take until it answers.
const START: Duration = Duration::from_secs(60);

/// How many times it is started, each time on other ports.
const STARTS: u32 = 5;

/// A running server. When this is dropped, the server is stopped and its data is removed.
pub struct Weed {
    child: Child,
    folder: TempDir,
    /// `http://127.0.0.1:port`.
    pub url: String,
    /// Access key.
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
}

impl Weed {
    /// Starts a server and waits until it answers. If another process takes one of its ports first, it is started again on
    /// other ports.
    pub async fn start(tools: &Tools, name: &str) -> Self {
        for _ in 0..STARTS {
            let mut weed = Self::spawn(tools, name);
            match weed.wait_until_it_answers().await {
                Ok(()) => return weed,
                Err(log) if log.contains("address already in use") => {}
                Err(log) => panic!("SeaweedFS does not start\n{log}"),
            }
        }
        panic!("SeaweedFS found its ports taken {STARTS} times");
    }

    fn spawn(tools: &Tools, name: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let (access_key, secret_key) = (format!("AK{name}"), format!("SK{name}canary"));
        let identities = serde_json::json!({"identities": [{
            "name": "admin",
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }]});
        let config = folder.path().join("s3.json");
        std::fs::write(&config, identities.to_string()).unwrap();
        let [
            s3,
            s3_grpc,
            master,
            master_grpc,
            volume,
            volume_grpc,
            filer,
            filer_grpc,
        ] = free_ports();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(tools.python_bin("weed"))
            .args([
                "-logtostderr=true",
                "-v=-1",
                "server",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-filer",
                "-s3",
            ])
            .arg(format!("-dir={}", folder.path().display()))
            .arg(format!("-s3.config={}", config.display()))
            .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args([
                format!("-master.port={master}"),
                format!("-master.port.grpc={master_grpc}"),
            ])
            .args([
                format!("-volume.port={volume}"),
                format!("-volume.port.grpc={volume_grpc}"),
            ])
            .args([
                format!("-filer.port={filer}"),
                format!("-filer.port.grpc={filer_grpc}"),
            ])
            .args([
                "-master.telemetry=false",
                "-master.volumeSizeLimitMB=512",
                "-volume.max=200",
            ])
            .args(["-master.volumePreallocate=false", "-volume.preStopSeconds=0"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            child,
            folder,
            url: format!("http://127.0.0.1:{s3}"),
            access_key,
            secret_key,
        }
    }

    /// Waits until the server answers. The error is its log.
    async fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let until = Instant::now() + START;
        loop {
            let answer = reqwest::get(&self.url).await;
            // Listing buckets without a signature is refused once the S3 gateway is up and has loaded its identities.
            if answer.is_ok_and(|answer| answer.status() == 403) {
                return Ok(());
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() >= until {
                return Err(format!("{ended:?}\n{}", self.log()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// URL, access key and secret key: the arguments of the scripts.
    pub fn arguments(&self) -> [&str; 3] {
        [&self.url, &self.access_key, &self.secret_key]
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        // Both calls fail only if the child has already ended and was waited for.
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

/// Ports that were free a moment ago, all different.
fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.each_ref()
        .map(|listener| listener.local_addr().unwrap().port())
}
