//! `oms demo`: the complete service on real HTTP, without any setup.
//!
//! It runs two S3 servers in this process with different credentials, and the service with its own ledger. A task is
//! created, stopped half-way and started again over HTTP. At the end, every byte and header is compared.

mod client;
mod compare;
mod fill;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::Config;
use crate::engine::sync_points::SyncPoints;
use crate::error::{Error, ErrorKind, Result, pluralize};
use crate::net::{HttpClient, NetworkPolicy};
use crate::sandbox::{Sandbox, SandboxOptions};
use crate::task::Clock;
use client::Client;

const SOURCE: &str = "photos";
const TARGET: &str = "photos-copy";
const PROJECT: &str = "demo";
/// Bandwidth of the demo until the task has been stopped and started once, so that people can follow.
const SLOW: u64 = 40_000_000;
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Time limit for the whole demo.
const DEADLINE: Duration = Duration::from_secs(300);

/// What happens after the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The service continues until Ctrl-C.
    Serve,
    /// The demo ends.
    Exit,
}

/// Runs the demo; returns whether source and target matched.
///
/// # Errors
/// Any error that prevents the demo from finishing.
pub async fn run(listen: SocketAddr, after: After, shutdown: CancellationToken) -> Result<bool> {
    let source = server("DEMOSOURCE", "source-secret-of-the-demo").await?;
    let target = server("DEMOTARGET", "target-secret-of-the-demo").await?;
    target.create_bucket(TARGET);
    let (objects, bytes) = fill::fill(&source, SOURCE);
    println!(
        "source  {}/{SOURCE}  {objects} objects, {}",
        source.endpoint(),
        HumanBytes(bytes)
    );
    println!("target  {}/{TARGET}  empty, other keys", target.endpoint());

    let folder = DataFolder::new()?;
    let mut config = Config::default();
    config.data_dir.clone_from(&folder.0);
    config.allow_networks = vec![ipnet::Ipv4Net::new_assert([127, 0, 0, 0].into(), 8).into()];
    let listener = TcpListener::bind(listen)
        .map_err(|e| Error::new(ErrorKind::Unavailable, format!("--listen {listen}: {e}")).with_source(e))?;
    let address = listener
        .local_addr()
        .map_err(|e| Error::internal("no local address").with_source(e))?;
    let app = App::build(&config, Clock::system(), SyncPoints::default()).await?;
    let token = app.token().clone();
    let client = Client::new(
        HttpClient::new(NetworkPolicy {
            allowed: config.allow_networks.clone(),
        }),
        format!("http://{address}/v1/{PROJECT}/objectstorage"),
        token.clone(),
    );
    println!("service http://{address}  ledger {}\n", config.data_dir.display());

    let service = app.run(listener, shutdown.clone());
    let show = async {
        let shown = tokio::select! {
            shown = walk_through(&client, &source, &target) => shown,
            () = shutdown.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the demo was interrupted")),
        };
        if let Ok((matched, task)) = &shown {
            farewell(
                *matched,
                *task,
                &address,
                token.expose(),
                [&source, &target],
                after,
            );
        }
        if after == After::Exit || shown.is_err() {
            shutdown.cancel();
        }
        shown
    };
    let (served, shown) = tokio::join!(service, show);
    source.stop().await;
    target.stop().await;
    served?;
    shown.map(|(matched, _)| matched)
}

async fn server(access_key: &str, secret_key: &str) -> Result<Sandbox> {
    let options = SandboxOptions {
        access_key: access_key.to_owned(),
        secret_key: secret_key.to_owned(),
        ..SandboxOptions::default()
    };
    Sandbox::start(options).await
}

/// Creates a task, stops and starts it, waits, and compares.
async fn walk_through(client: &Client, source: &Sandbox, target: &Sandbox) -> Result<(bool, i64)> {
    let began = Instant::now();
    let created = client
        .send("POST", "/task", Some(create_body(source, target)))
        .await?;
    let task = created["id"]
        .as_i64()
        .ok_or_else(|| Error::internal("the created task has no id"))?;
    let path = format!("/task/{task}");
    println!("POST /task -> task {task}");
    let bar = bar();

    let mut stopped = false;
    let end = loop {
        let now = client.send("GET", &path, None).await?;
        draw(&bar, &now);
        let status = now["status"].as_i64().unwrap_or_default();
        if status >= 4 {
            break now;
        }
        if !stopped && now["progress"].as_f64().unwrap_or_default() >= 0.4 {
            stopped = true;
            client
                .send("PUT", &path, Some(json!({"operation": "stop"})))
                .await?;
            let paused = wait_for(client, &path, &bar, 3).await?;
            say(
                &bar,
                format!(
                    "PUT  operation=stop  -> paused with {} and {} done; its credentials are wiped",
                    pluralize(
                        paused["success_num"].as_u64().unwrap_or_default(),
                        "object",
                        "objects"
                    ),
                    HumanBytes(paused["complete_size"].as_u64().unwrap_or_default()),
                ),
            );
            let full_speed = json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": []});
            client.send("PUT", &path, Some(full_speed)).await?;
            client
                .send("PUT", &path, Some(start_body(source, target)))
                .await?;
            bar.println(
                "PUT  operation=start -> goes on from there, with the keys of the call, at full speed",
            );
        }
        if began.elapsed() > DEADLINE {
            return Err(Error::new(
                ErrorKind::Timeout,
                format!("the task is not over after {DEADLINE:?}: {now}"),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    bar.finish_and_clear();

    let compared = compare::compare(source, SOURCE, target, TARGET);
    let state = if end["status"] == json!(5) {
        "succeeded"
    } else {
        "failed"
    };
    println!("\nthe task {state} after {}", HumanDuration(began.elapsed()));
    println!(
        "  objects   {} of {}, {} failed",
        end["success_num"], end["total_num"], end["fail_num"]
    );
    println!(
        "  bytes     {}",
        HumanBytes(end["complete_size"].as_u64().unwrap_or_default())
    );
    println!("  proved    {}", end["proved"]);
    if end["status"] != json!(5) {
        println!("  reason    {}", end["error_reason"]);
    }
    println!(
        "  compared  {} objects byte for byte and header for header",
        compared.objects
    );
    for list in &compared.lists {
        println!("  listed    by the task at the target: {list}");
    }
    for difference in &compared.differences {
        println!("  DIFFERS   {difference}");
    }
    let matched =
        compared.differences.is_empty() && compared.objects > 0 && end["status"] == json!(5) && stopped;
    println!(
        "  result    {}",
        if matched {
            "everything matches"
        } else {
            "NOT everything matches"
        }
    );
    Ok((matched, task))
}

async fn wait_for(client: &Client, path: &str, bar: &ProgressBar, status: i64) -> Result<Value> {
    let began = Instant::now();
    loop {
        let now = client.send("GET", path, None).await?;
        draw(bar, &now);
        if now["status"] == json!(status) {
            return Ok(now);
        }
        if began.elapsed() > Duration::from_secs(30) {
            return Err(Error::new(
                ErrorKind::Timeout,
                format!("the task does not reach status {status}: {now}"),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn create_body(source: &Sandbox, target: &Sandbox) -> Value {
    json!({
        "task_type": "object",
        "src_node": {
            "region": "demo", "endpoint": source.endpoint(), "bucket": SOURCE, "cloud_type": "AWS",
            "ak": source.access_key(), "sk": source.secret_key(), "object_key": ""
        },
        "dst_node": {
            "region": "demo", "endpoint": target.endpoint(), "bucket": TARGET, "object_key": "",
            "ak": target.access_key(), "sk": target.secret_key()
        },
        "enableKMS": false,
        "thread_num": 16,
        "description": "the demo",
        "bandwidth_policy": [{"start": "00:00", "end": "23:59", "max_bandwidth": SLOW}]
    })
}

fn start_body(source: &Sandbox, target: &Sandbox) -> Value {
    json!({
        "operation": "start",
        "source_ak": source.access_key(), "source_sk": source.secret_key(),
        "target_ak": target.access_key(), "target_sk": target.secret_key(),
        "migration_failed_object": false
    })
}

/// Prints a line above the bar, or just the line if there is no terminal for a bar.
fn say(bar: &ProgressBar, line: impl AsRef<str>) {
    if bar.is_hidden() {
        println!("{}", line.as_ref());
    } else {
        bar.println(line);
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stdout());
    let style = ProgressStyle::with_template("  [{bar:40}] {percent:>3}%  {msg}");
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar
}

fn draw(bar: &ProgressBar, task: &Value) {
    let number = |field: &str| task[field].as_u64().unwrap_or_default();
    let progress = task["progress"].as_f64().unwrap_or_default().clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "lies between 0 and 1000"
    )]
    bar.set_position((progress * 1000.0) as u64);
    let left = match number("left_time") {
        0 => String::new(),
        millis => format!("  {} left", HumanDuration(Duration::from_millis(millis))),
    };
    bar.set_message(format!(
        "{}/{} objects  {}/{}  {}/s{left}",
        number("success_num"),
        number("total_num"),
        HumanBytes(number("complete_size")),
        HumanBytes(number("total_size")),
        HumanBytes(number("migrate_speed")),
    ));
}

fn farewell(
    matched: bool,
    task: i64,
    address: &SocketAddr,
    token: &str,
    stores: [&Sandbox; 2],
    after: After,
) {
    if after == After::Exit {
        return;
    }
    let [source, target] = stores;
    // A second copy next to the first, slow enough to be stopped by hand.
    let mut again = create_body(source, target);
    again["dst_node"]["object_key"] = json!("again/");
    again["bandwidth_policy"][0]["max_bandwidth"] = json!(SLOW / 4);
    let call = "curl -sS -w '\\n' -H \"$T\" -H 'Content-Type: application/json'";
    println!("\nSwagger UI   http://{address}/swagger-ui/   (Authorize with the token below)");
    println!("Token        {token}\n");
    println!("Ready to paste:\n");
    println!("API=http://{address}/v1/{PROJECT}/objectstorage/task T='X-Auth-Token: {token}'");
    println!("{call} $API/{task}");
    println!("ID=$({call} $API -d '{again}' | tr -dc '0-9,' | cut -d, -f1); echo $ID");
    println!("{call} $API/$ID -X PUT -d '{{\"operation\":\"stop\"}}'");
    println!("{call} $API/$ID -X PUT -d '{}'", start_body(source, target));
    let also = if matched {
        ""
    } else {
        " (something did not match, see above)"
    };
    println!("\nServing until Ctrl-C{also}.");
}

/// A folder for this demo only, removed at its end.
struct DataFolder(std::path::PathBuf);

impl DataFolder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("oms-demo-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path)
            .map_err(|e| Error::internal(format!("{} cannot be made: {e}", path.display())).with_source(e))?;
        Ok(Self(path))
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's folder remains");
        }
    }
}
