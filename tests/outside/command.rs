//! The command line: what it prints, what it writes, and how it reports mistakes.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use reqwest::Method;

use crate::support::binary::{Home, oms, oms_once};
use crate::support::rig::{Stores, TIMEOUT};
use crate::support::service::{Caller, FAILED, create_body, fill, start_body};
use crate::support::tls::{Authority, Shows, TlsProxy};
use crate::support::tools::run;

async fn may_list(caller: &Caller) -> u16 {
    let reply = caller.call(Method::GET, "/task?start=0&limit=1", None).await;
    reply.status.as_u16()
}

#[tokio::test]
async fn the_token_is_printed_once_kept_private_and_overridden_by_the_environment() {
    let home = Home::new();
    let mut first = home.serve().await;
    let token = home.token();
    assert!(
        token.len() >= 32 && first.stdout().contains(&token),
        "{}",
        first.printed()
    );
    let mode = |name: &str| {
        let meta = std::fs::metadata(home.data().join(name)).unwrap();
        meta.permissions().mode() & 0o777
    };
    assert_eq!(mode("token"), 0o600);
    for name in [".", "seal.key", "oms.db"] {
        assert_eq!(mode(name) & 0o077, 0, "{name} is open to others");
    }
    assert_eq!(may_list(&first.caller(&token)).await, 200);
    assert_eq!(may_list(&first.caller("another-token-another")).await, 401);
    assert!(first.terminate().await.0.success());

    let mut second = home.serve().await;
    assert_eq!(home.token(), token);
    assert!(!second.stdout().contains(&token), "{}", second.printed());
    assert_eq!(may_list(&second.caller(&token)).await, 200);
    assert!(second.terminate().await.0.success());

    // The value is always text, even if it looks like a number, a list or a quoted string.
    for set in [
        "a-token-of-the-operator",
        "12345678901234567890",
        "[a, b, c, d, e, f]",
        "\"quoted quoted quoted\"",
    ] {
        let mut command = home.command();
        command.env("OMS_TOKEN", set);
        let mut third = home.spawn(command).await;
        assert_eq!(may_list(&third.caller(set)).await, 200, "{set}");
        assert_eq!(may_list(&third.caller(&token)).await, 401, "{set}");
        assert!(!third.printed().contains(set), "{}", third.printed());
        assert_eq!(home.token(), token);
        assert!(third.terminate().await.0.success());
    }
}

#[tokio::test]
async fn each_command_explains_itself() {
    let ran = oms_once(&["--help"]).await;
    assert!(ran.status.success() && ran.stderr.is_empty(), "{}", ran.shown());
    let listed = ran
        .stdout
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"serve") && commands.contains(&"demo") && commands.contains(&"openapi"));
    // `help` only describes the other commands.
    for command in commands.into_iter().filter(|name| *name != "help") {
        let ran = oms_once(&[command, "--help"]).await;
        assert!(
            ran.status.success() && ran.stdout.contains("Usage:"),
            "{command}\n{}",
            ran.shown()
        );
    }
    let ran = oms_once(&["--version"]).await;
    assert_eq!(ran.stdout, format!("oms {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn the_printed_document_is_the_checked_in_one() {
    let ran = oms_once(&["openapi", "v1"]).await;
    let checked_in = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/v1.json"));
    assert!(
        ran.status.success() && ran.stdout == checked_in,
        "openapi/v1.json is not what `oms openapi v1` prints"
    );
}

#[tokio::test]
async fn wrong_arguments_are_refused_by_name() {
    for (arguments, named) in [
        (&["serve", "--listen", "here"][..], "--listen"),
        (&["serve", "--listen", "here"], "such as 127.0.0.1:8080"),
        (&["serve", "--listen", "8080"], "such as 127.0.0.1:8080"),
        (&["serve", "--allow-network", "10.0.0.0/99"], "--allow-network"),
        (&["serve", "--allow-network", "here"], "such as 10.0.0.7"),
        (&["serve", "--cors-origin", "https://h/path"], "--cors-origin"),
        (&["serve", "--data-dir", ""], "--data-dir"),
        (&["serve", "--lisen", "127.0.0.1:0"], "--lisen"),
        (&["serve", "--log-format", "xml"], "--log-format"),
        (&["serve", "--log-level", "loud"], "--log-level"),
        (&["serve", "surplus"], "surplus"),
        (&["serve", "--ledger-url", "mysql://db/oms"], "ledger_url"),
        (&["serve", "--nats-url", "http://nats"], "nats_url"),
        (&["serve", "--nats-url", "nats://nats"], "ledger_url"),
        (&["serve", "--no-worker"], "ledger_url"),
        (&["serve", "--ledger-url", "postgres://db/oms"], "seal_key"),
        (&["deploy"], "<PLATFORM>"),
        (&["deploy", "swarm"], "swarm"),
        (&["deploy", "compose", "--output", "/dev/null/x"], "--output"),
        (&["openapi", "v9"], "v9"),
        (&["openapi"], "<VERSION>"),
        (&["sevre"], "sevre"),
        (&["serve", "--config", "/no/such/file"], "--config"),
    ] {
        let ran = oms_once(arguments).await;
        assert!(
            !ran.status.success() && ran.stdout.is_empty(),
            "{arguments:?}\n{}",
            ran.shown()
        );
        // A missing argument is named on the second line.
        let named_early = ran.stderr.lines().take(2).any(|line| line.contains(named));
        assert!(named_early, "{arguments:?}\n{}", ran.shown());
    }
}

#[tokio::test]
async fn wrong_settings_are_refused_in_one_line_that_names_them_and_shows_no_value() {
    const CANARY: &str = "canary-0123456789";
    let home = Home::new();
    for (text, named) in [
        ("lisen = '127.0.0.1:0'", "lisen"),
        ("listen = 'here'", "listen"),
        ("listen = 8080", "listen"),
        ("parallel_tasks = 0", "parallel_tasks"),
        ("parallel_tasks = 'many'", "parallel_tasks"),
        ("max_requests = -1", "max_requests"),
        ("time_zone = 'Mars/Olympus'", "time_zone"),
        ("allow_networks = ['10.0.0.0/99']", "allow_networks"),
        ("request_endpoints = 'perhaps'", "request_endpoints"),
        ("cors_origins = ['https://h/']", "cors_origins"),
        ("cors_origins = ['null']", "cors_origins"),
        ("token = 'short'", "token"),
        ("token = ['canary-0123456789']", "token"),
        ("token_file = '/no/such/file'", "token_file"),
        ("seal_key = 'canary-0123456789'", "seal_key"),
        ("ledger_url = 'mysql://oms:canary-0123456789@db/oms'", "'mysql'"),
        ("ledger_url = 'canary-0123456789@db/oms'", "ledger_url"),
        (
            "ledger_url = 'postgres://oms:canary-0123456789@db/oms'",
            "seal_key",
        ),
        ("nats_url = 'nats://oms:canary-0123456789@nats'", "ledger_url"),
        ("nats_url = 'http://oms:canary-0123456789@nats'", "nats_url"),
        ("lease_seconds = 1", "lease_seconds"),
        ("work = 'canary-0123456789'", "work"),
        ("worker_name = 'a b'", "worker_name"),
        ("token = 12345678901234567", "token"),
        ("projects = ['a b']", "project"),
        ("ca_file = 'no/such/file'", "ca_file"),
        ("ca_file = '/dev/null'", "ca_file"),
        (
            "[[regions]]\ncloud = 'X'\nregion = 'r'\nendpoint = 'http://h'",
            "cloud",
        ),
        ("[[regions]]\ncloud = 'AWS'\nregion = 'r'", "endpoint"),
        // Invalid TOML. The line with the mistake may contain the token.
        ("parallel_tasks = 5\ntoken = \"canary-0123456789", "line 2"),
        ("token = canary-0123456789", "line 1"),
    ] {
        let file = home.write("oms.toml", text);
        let mut command = home.command();
        command.args(["--config", &file]);
        let ran = run(command, TIMEOUT).await;
        assert_eq!(ran.status.code(), Some(1), "{text}\n{}", ran.shown());
        assert_eq!(
            (ran.stdout.as_str(), ran.stderr.lines().count()),
            ("", 1),
            "{text}\n{}",
            ran.shown()
        );
        assert!(
            ran.stderr.starts_with("oms: ") && ran.stderr.contains(named),
            "{text}\n{}",
            ran.shown()
        );
        assert!(
            !ran.stderr.contains(CANARY) && !ran.stderr.contains("12345678901234567"),
            "{}",
            ran.shown()
        );
        assert!(
            !home.data().exists(),
            "{text}: a refused setting leaves nothing behind"
        );
    }
}

#[tokio::test]
async fn variables_accept_what_an_operator_would_write() {
    let home = Home::new();
    let mut command = oms();
    command
        .arg("serve")
        .env("OMS_LISTEN", "127.0.0.1:0")
        .env("OMS_DATA_DIR", home.data())
        .env("OMS_ALLOW_NETWORKS", "127.0.0.0/8, 10.0.0.0/8")
        .env("OMS_PROJECTS", "0215,0215ef11e49d4743be23dd97a1561e91")
        .env("OMS_PARALLEL_TASKS", "3")
        .env("OMS_TIME_ZONE", "Asia/Shanghai");
    let serve = home.spawn(command).await;
    assert!(
        serve.stdout().contains("127.0.0.0/8, 10.0.0.0/8"),
        "{}",
        serve.printed()
    );
    let quotas = serve
        .caller(&home.token())
        .call(Method::GET, "/quotas", None)
        .await
        .fine();
    assert_eq!(quotas["quotas"]["resource"]["quota"], 3);

    for (name, value) in [
        ("OMS_PARALLEL_TASKS", "0"),
        ("OMS_TOKEN", "short"),
        ("OMS_ALLOW_NETWORKS", "here"),
        ("OMS_CORS_ORIGINS", "*, https://h"),
        ("OMS_LEASE_SECONDS", "0"),
        ("OMS_SEAL_KEY", "short"),
        ("OMS_LEDGER_URL", "mysql://db"),
    ] {
        let mut command = home.command();
        command.env(name, value);
        let ran = run(command, TIMEOUT).await;
        assert_eq!(
            (ran.status.code(), ran.stderr.lines().count()),
            (Some(1), 1),
            "{}",
            ran.shown()
        );
        let setting = name.trim_start_matches("OMS_").to_lowercase();
        assert!(ran.stderr.to_lowercase().contains(&setting), "{}", ran.shown());
    }
}

#[tokio::test]
async fn a_port_in_use_is_refused_before_any_file_is_written() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new();
    let data = home.data();
    let ran = oms_once(&[
        "serve",
        "--listen",
        &address,
        "--data-dir",
        data.to_str().unwrap(),
    ])
    .await;
    assert_eq!(ran.status.code(), Some(1), "{}", ran.shown());
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.shown());
    let port = taken.local_addr().unwrap().port();
    for said in [
        "--listen",
        &address,
        &format!("port {port} is in use"),
        "for example --listen 127.0.0.1:",
        "port 0",
    ] {
        assert!(ran.stderr.contains(said), "{said}\n{}", ran.shown());
    }
    assert!(!data.exists());
}

#[tokio::test]
async fn common_spellings_of_addresses_and_networks_are_accepted() {
    let home = Home::new();
    let data = home.data();
    let mut command = oms();
    command
        .args([
            "serve",
            "--listen",
            "localhost:0",
            "--allow-network",
            "127.0.0.1",
            "--allow-network",
            "10.0.0.0/8",
        ])
        .args(["--cors-origin", "http://localhost:3000", "--data-dir"])
        .arg(&data);
    let serve = home.spawn(command).await;
    let text = serve.stdout();
    assert!(text.contains("127.0.0.1/32, 10.0.0.0/8"), "{text}");
    assert!(text.contains("oms listens on http://127.0.0.1:"), "{text}");
    assert!(text.contains("http://localhost:3000"), "{text}");
    assert_eq!(may_list(&serve.caller(&home.token())).await, 200);
}

#[tokio::test]
async fn an_unknown_variable_is_refused_and_the_nearest_one_suggested() {
    const CANARY: &str = "canary-0123456789";
    let home = Home::new();
    for (name, nearest) in [
        ("OMS_LISEN", "OMS_LISTEN"),
        ("OMS_TOKENS", "OMS_TOKEN"),
        ("OMS_ALLOW_NETWORK", "OMS_ALLOW_NETWORKS"),
        ("OMS_DATADIR", "OMS_DATA_DIR"),
    ] {
        let mut command = home.command();
        command.env(name, CANARY);
        let ran = run(command, TIMEOUT).await;
        assert_eq!(
            (ran.status.code(), ran.stderr.lines().count()),
            (Some(1), 1),
            "{}",
            ran.shown()
        );
        assert!(
            ran.stderr.contains(name) && ran.stderr.contains(nearest),
            "{}",
            ran.shown()
        );
        assert!(!ran.stderr.contains(CANARY), "{}", ran.shown());
        assert!(!home.data().exists());
    }
    // Variables that tests and containers set are ignored.
    let mut command = home.command();
    command
        .env("OMS_TEST_SEED", "7")
        .env("OMS_SERVICE_HOST", "10.0.0.1")
        .env("OMS_PORT", "tcp://10.0.0.1:8080")
        .env("OMS_CORS_ORIGINS", "https://a.example, http://localhost:3000");
    let serve = home.spawn(command).await;
    assert!(
        serve
            .stdout()
            .contains("https://a.example, http://localhost:3000"),
        "{}",
        serve.printed()
    );
}

#[tokio::test]
async fn a_data_folder_is_used_by_one_process() {
    let home = Home::new();
    let serve = home.serve().await;
    let ran = run(home.command(), TIMEOUT).await;
    assert_eq!(
        (ran.status.code(), ran.stderr.lines().count()),
        (Some(1), 1),
        "{}",
        ran.shown()
    );
    let clear = ran.stderr.contains("another process") && ran.stderr.contains(home.data().to_str().unwrap());
    assert!(clear, "{}", ran.shown());
    // The first process is not affected.
    assert_eq!(may_list(&serve.caller(&home.token())).await, 200);
}

#[tokio::test]
async fn supervisors_can_ask_without_a_token() {
    let home = Home::new();
    let mut command = home.command();
    command.args(["--log-format", "json", "--log-level", "debug"]);
    let mut serve = home.spawn(command).await;
    let caller = serve.caller("");
    for path in ["/livez", "/readyz"] {
        let reply = caller.get_bare(path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.text.as_str()),
            (200, "ok\n"),
            "{path}"
        );
    }
    let (status, took) = serve.terminate().await;
    assert!(
        status.success() && took < Duration::from_secs(3),
        "{status} after {took:?}"
    );
}

#[tokio::test]
async fn polls_are_not_in_the_log_unless_it_is_asked_for() {
    for (level, polls) in [("info", false), ("debug", true)] {
        let home = Home::new();
        let mut command = home.command();
        command.args(["--log-level", level]);
        let mut serve = home.spawn(command).await;
        assert_eq!(serve.caller("").get_bare("/livez").await.status, 200);
        assert_eq!(may_list(&serve.caller("wrong-token-0000")).await, 401);
        serve.terminate().await;
        let log = serve.stderr();
        assert_eq!(log.contains("path=\"/livez\""), polls, "{level}: {log}");
        assert!(log.contains("status=401"), "{level}: {log}");
    }
}

#[tokio::test]
async fn stores_behind_certificates_of_a_private_authority_are_reached() {
    let stores = Stores::new().await;
    fill(&stores, 20);
    let authority = Authority::new();
    let source = TlsProxy::before(&stores.source, &authority, Shows::Good).await;
    let target = TlsProxy::before(&stores.target, &authority, Shows::Good).await;
    let mut order = create_body(&stores);
    order["src_node"]["endpoint"] = source.endpoint().into();
    order["dst_node"]["endpoint"] = target.endpoint().into();
    let file = authority.file();
    let home = Home::new();

    let mut untrusting = home.serve().await;
    let caller = untrusting.caller(&home.token());
    let task = caller.create(&order).await;
    let failed = caller.wait(task, "fail", |task| task["status"] == FAILED).await;
    let reason = failed["error_reason"]["error_msg"].as_str().unwrap();
    assert!(reason.contains("ca_file"), "it names the way out: {failed:#}");
    assert!(untrusting.terminate().await.0.success());

    // Each way to set the file.
    let mut by_flag = home.command();
    by_flag.arg("--ca-file").arg(&file);
    let mut by_variable = home.command();
    by_variable.env("OMS_CA_FILE", &file);
    let mut by_config = home.command();
    let config = home.write("oms.toml", &format!("ca_file = '{}'", file.display()));
    by_config.args(["--config", &config]);
    for (n, command) in [by_flag, by_variable, by_config].into_iter().enumerate() {
        let mut serve = home.spawn(command).await;
        let caller = serve.caller(&home.token());
        if n == 0 {
            caller.update(task, &start_body(&stores)).await;
            caller.wait_until_succeeded(task).await;
            stores.assert_same();
        } else {
            let again = caller.create(&order).await;
            caller.wait_until_succeeded(again).await;
        }
        assert!(serve.terminate().await.0.success());
    }
}
