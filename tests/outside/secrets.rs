//! Credentials and tokens are canaries that must not appear in any response, log or file.

use std::time::{Duration, Instant};

use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject, SandboxOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::binary::{Home, Serve, oms};
use crate::support::rig::{SOURCE, Stores, TARGET, TIMEOUT};
use crate::support::service::{Caller, create_body, fill, slow_down, start_body};
use crate::support::tools::run;

/// Credentials in bodies that are refused.
const BAD: &str = "CANARY-in-a-bad-body";

/// All secrets except the token, which has its own file.
fn canaries(stores: &Stores) -> Vec<String> {
    let mut all = vec![
        BAD.to_owned(),
        "CANARY-of-a-cdn".to_owned(),
        "CANARY-that-is-wrong".to_owned(),
    ];
    for store in [&stores.source, &stores.target] {
        all.extend([store.access_key().to_owned(), store.secret_key().to_owned()]);
    }
    all
}

/// Sends requests with credentials that fail in different ways, and collects the responses.
async fn go_wrong(caller: &Caller, stores: &Stores, task: i64) -> String {
    let mut bodies = Vec::new();
    for (field, value) in [
        ("sk", json!([BAD])),
        ("sk", json!({BAD: BAD})),
        ("ak", json!(BAD.repeat(20))),
    ] {
        let mut body = create_body(stores);
        body["src_node"][field] = value;
        bodies.push((Method::POST, "/task".to_owned(), body));
    }
    let mut surplus = create_body(stores);
    surplus[BAD] = json!(BAD);
    bodies.push((Method::POST, "/task".to_owned(), surplus));
    let path = format!("/task/{task}");
    for (field, value) in [
        ("source_sk", json!({"x": BAD})),
        ("operation", json!(BAD)),
        ("source_cdn_authentication_key", json!(BAD.repeat(50))),
        (BAD, json!(BAD)),
    ] {
        let mut body = start_body(stores);
        body[field] = value;
        bodies.push((Method::PUT, path.clone(), body));
    }
    let long = json!({"target_ak": "AK", "target_sk": BAD.repeat(20)});
    bodies.push((Method::DELETE, path.clone(), long));
    bodies.push((Method::DELETE, path.clone(), json!({"target_ak": BAD})));
    // A valid body that is refused because of the task's state.
    bodies.push((Method::PUT, path, start_body(stores)));
    let mut answers = String::new();
    for (method, path, body) in bodies {
        let reply = caller.call(method, &path, Some(&body)).await;
        assert_eq!(reply.status.as_u16(), 400, "{body}\n{reply:?}");
        answers += &format!("{reply:?}\n");
    }
    answers
}

/// What the service shows of a task and of all tasks.
async fn everything_shown(caller: &Caller, task: i64) -> String {
    let mut answers = String::new();
    let pages = [
        "/task?start=0&limit=10".to_owned(),
        format!("/task/{task}"),
        format!("/task/{task}/failures"),
    ];
    for page in pages {
        answers += &format!("{:?}\n", caller.call(Method::GET, &page, None).await);
    }
    answers
}

/// Deletes a task that has an open upload, with credentials that the target refuses. The cleanup logs the refusal.
async fn delete_with_wrong_keys(caller: &Caller, stores: &Stores) -> String {
    // The source has the object in parts, so it is uploaded in parts. In one piece it would leave no upload.
    let large = SandboxObject::multipart(vec![7; 65 << 20], 13 << 20);
    stores.source.put(SOURCE, "large", large);
    let never = Fault::Delay(Duration::from_secs(60));
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::UploadPart, never));
    let task = caller.create(&create_body(stores)).await;
    caller
        .wait(task, "upload", |_| stores.target.open_uploads(TARGET) == 1)
        .await;
    caller.pause(task).await;
    stores.target.clear_requests();
    let keys = json!({"target_ak": "CANARY-that-is-wrong", "target_sk": "CANARY-that-is-wrong"});
    let path = format!("/task/{task}");
    let reply = caller.call(Method::DELETE, &path, Some(&keys)).await;
    assert_eq!(reply.status.as_u16(), 200, "{reply:?}");
    let refused = || {
        let requests = stores.target.requests();
        requests
            .iter()
            .any(|r| r.operation == Operation::Abort && r.status == Some(403))
    };
    let until = Instant::now() + TIMEOUT;
    while !refused() {
        assert!(Instant::now() < until, "the keys were never tried");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    format!("{reply:?}\n")
}

async fn loud(home: &Home) -> Serve {
    let mut command = home.command();
    command.args(["--log-format", "json", "--log-level", "trace"]);
    home.spawn(command).await
}

#[tokio::test]
async fn no_canary_is_found_in_answers_logs_or_files() {
    let (home, stores) = (
        Home::new(),
        Stores::with(SandboxOptions::default(), SandboxOptions::default()).await,
    );
    fill(&stores, 300);
    slow_down(&stores, Duration::from_millis(5));
    let mut serve = loud(&home).await;
    let token = home.token();
    let caller = serve.caller(&token);
    let task = caller.create(&create_body(&stores)).await;
    caller.wait_for_objects(task, 20).await;
    let mut answers = go_wrong(&caller, &stores, task).await;
    answers += &everything_shown(&caller, task).await;

    // Files are searched while the ledger has sealed credentials, after a kill, and after the credentials were wiped.
    let canaries = canaries(&stores);
    let mut secrets: Vec<&str> = canaries.iter().map(String::as_str).collect();
    secrets.push(&token);
    let token_file = home.data().join("token");
    // The first process prints the token exactly once.
    assert_eq!(serve.stdout().matches(&token).count(), 1);
    assert!(!serve.stderr().contains(&token));
    let first_output = |path: &std::path::Path| path.ends_with("1.out") || path == token_file;
    home.assert_free_of(&secrets, first_output);
    serve.kill();
    home.assert_free_of(&secrets, first_output);

    let mut again = loud(&home).await;
    let caller = again.caller(&token);
    caller.pause(task).await;
    // Credentials that the source refuses. The reason must not contain them.
    let mut wrong = start_body(&stores);
    wrong["source_sk"] = json!("CANARY-that-is-wrong");
    wrong["source_cdn_authentication_key"] = json!("CANARY-of-a-cdn");
    caller.update(task, &wrong).await;
    let failed = caller.wait(task, "fail", |task| task["status"] == 4).await;
    assert_eq!(failed["error_reason"]["error_code"], "TRF.0151", "{failed:#}");
    answers += &everything_shown(&caller, task).await;

    stores.target.faults().clear();
    caller.update(task, &start_body(&stores)).await;
    caller.wait_until_succeeded(task).await;
    answers += &go_wrong(&caller, &stores, task).await;
    answers += &everything_shown(&caller, task).await;
    answers += &delete_with_wrong_keys(&caller, &stores).await;
    home.assert_free_of(&secrets, first_output);
    let arguments = again.arguments();
    assert!(arguments.contains("serve"), "{arguments}");
    assert!(
        !secrets.iter().any(|secret| arguments.contains(secret)),
        "{arguments}"
    );
    assert!(again.terminate().await.0.success());
    home.assert_free_of(&secrets, first_output);

    for secret in secrets {
        assert!(!answers.contains(secret), "{secret} is in an answer");
    }
    assert!(
        answers.contains(SOURCE) && answers.contains(TARGET),
        "the answers were looked at"
    );
    for serve in [&serve, &again] {
        assert_log_is_json(&serve.stderr());
    }
}

/// Each setting that is a secret, in each place where it can stand, beside another setting that is refused.
#[tokio::test]
async fn no_canary_of_a_setting_is_shown_when_another_setting_is_refused() {
    const CANARY: &str = "CANARY-of-a-setting";
    let ledger = format!("postgres://oms:{CANARY}@127.0.0.1:1/oms");
    let nats = format!("nats://oms:{CANARY}@127.0.0.1:1");
    let home = Home::new();
    let key = home.write("key", CANARY);
    let urls = home.write(
        "oms.toml",
        &format!("ledger_url = '{ledger}'\nnats_url = '{nats}'\ntoken = '{CANARY}'"),
    );
    let alone = home.write("alone.toml", &format!("nats_url = '{nats}'"));
    let flags: [&[&str]; 6] = [
        &["--config", &urls],
        &["--config", &alone],
        &["--ledger-url", &ledger],
        &["--nats-url", &nats],
        &["--nats-url", CANARY],
        &["--ledger-url", CANARY],
    ];
    for arguments in flags {
        let mut command = home.command();
        command.args(arguments).args(["--log-level", "trace"]);
        let ran = run(command, TIMEOUT).await;
        assert_eq!(ran.status.code(), Some(1), "{}", ran.shown());
        assert!(!ran.shown().contains(CANARY), "{}", ran.shown());
    }
    for (name, value) in [
        ("OMS_LEDGER_URL", ledger.as_str()),
        ("OMS_LEDGER_URL", CANARY),
        ("OMS_LEDGER_URL_FILE", &key),
        ("OMS_NATS_URL", &nats),
        ("OMS_SEAL_KEY", CANARY),
        ("OMS_SEAL_KEY_FILE", &key),
    ] {
        let mut command = home.command();
        command.env(name, value).args(["--log-level", "trace"]);
        let ran = run(command, TIMEOUT).await;
        assert_eq!(ran.status.code(), Some(1), "{name}\n{}", ran.shown());
        assert!(!ran.shown().contains(CANARY), "{name}\n{}", ran.shown());
        let mut help = oms();
        help.args(["serve", "--help"]).env(name, value);
        let ran = run(help, TIMEOUT).await;
        assert!(
            ran.status.success() && !ran.stdout.contains(CANARY),
            "{}",
            ran.shown()
        );
    }
    assert!(!home.data().exists(), "a refused setting leaves nothing behind");
}

#[track_caller]
fn assert_log_is_json(log: &str) {
    let mut lines = 0;
    for line in log.lines() {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        let said = |field: &str| parsed[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("timestamp") && said("level") && said("target"), "{line}");
        lines += 1;
    }
    assert!(lines > 3, "{log}");
}
