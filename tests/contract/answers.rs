//! Each operation lists exactly the error codes that it can return. A request provokes each of them, and the response must
//! equal the example in the document.

use std::collections::BTreeSet;

use oms::error::ErrorKind;
use oms::task::spec::Cdn;
use oms::task::{Counters, PassInfo, PassKind, State, Task, UnixMillis};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{document, operations};
use crate::support::api::{PROJECT, Reply, TOKEN, TestApi, send};
use crate::support::ledger;

const ID: i64 = 179_500_000_000_000;

/// A request that must be refused.
struct Case {
    operation: &'static str,
    status: u16,
    code: &'static str,
    path: String,
    body: Body,
    token: Option<&'static str>,
    task: Option<Task>,
    ledger: Option<ErrorKind>,
    /// A body that was sent before, under the same `Idempotency-Key`.
    before: Option<Value>,
    /// Number of waiting tasks in the project.
    waiting: i64,
}

enum Body {
    None,
    Json(Value),
    /// A text with the content type of JSON.
    Text(String),
    /// A text with this content type.
    As(&'static str),
    /// A chunk without a length.
    Broken,
}

/// A case whose request is valid. The caller changes it so that it is refused.
fn case(operation: &'static str, status: u16, code: &'static str) -> Case {
    let (path, body) = match operation {
        "create_task" => ("/task", Body::Json(create())),
        "list_tasks" => ("/task?start=0&limit=10", Body::None),
        "count_tasks" => ("/tasks/count", Body::None),
        "show_task" => ("/task/{id}", Body::None),
        "update_task" => ("/task/{id}", Body::Json(start())),
        "delete_task" => ("/task/{id}", Body::Json(keys())),
        "list_failures" => ("/task/{id}/failures", Body::None),
        "show_quotas" => ("/quotas", Body::None),
        "show_version" => ("/version", Body::None),
        other => panic!("how is {other} called?"),
    };
    Case {
        operation,
        status,
        code,
        path: below(&path.replace("{id}", &ID.to_string())),
        body,
        token: Some(TOKEN),
        task: Some(in_state(State::Paused)),
        ledger: None,
        before: None,
        waiting: 0,
    }
}

fn below(path: &str) -> String {
    format!("/v1/{PROJECT}/objectstorage{path}")
}

impl Case {
    fn path(self, path: &str) -> Self {
        Self {
            path: below(path),
            ..self
        }
    }

    fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// Changes the value at `pointer` in the body. `null` removes it.
    fn with(mut self, pointer: &str, value: Value) -> Self {
        let Body::Json(body) = &mut self.body else {
            panic!("{} has no body", self.operation)
        };
        let (above, name) = pointer.rsplit_once('/').unwrap();
        let fields = body.pointer_mut(above).unwrap().as_object_mut().unwrap();
        if value.is_null() {
            fields.remove(name).unwrap();
        } else {
            fields.insert(name.to_owned(), value);
        }
        self
    }

    fn task(self, task: Task) -> Self {
        Self {
            task: Some(task),
            ..self
        }
    }

    fn state(self, state: State) -> Self {
        self.task(in_state(state))
    }
}

fn in_state(state: State) -> Task {
    Task {
        state,
        ..ledger::task(ID, PROJECT)
    }
}

/// A failed task with this many failures. `finished` says whether its last pass finished.
fn failed(finished: bool, failures: i64) -> Task {
    Task {
        pass: Some(PassInfo {
            number: 1,
            kind: PassKind::Full,
            finished,
            opened_at: UnixMillis(1_795_000_001_000),
        }),
        counters: Counters {
            listed: failures,
            failed: failures,
            ..Counters::default()
        },
        ..in_state(State::Failed)
    }
}

fn behind_a_cdn() -> Task {
    let mut task = in_state(State::Paused);
    task.spec.cdn = Some(Cdn {
        protocol: "https".to_owned(),
        domain: "cdn.example.com".to_owned(),
        authentication_type: "ALIYUN_OSS_A".to_owned(),
    });
    task
}

fn example(schema: &str) -> Value {
    document()["components"]["schemas"][schema]["examples"][0].clone()
}

fn create() -> Value {
    example("CreateTask")
}

fn start() -> Value {
    json!({
        "operation": "start", "source_ak": "a", "source_sk": "b", "target_ak": "c", "target_sk": "d"
    })
}

fn bandwidth(windows: &Value) -> Value {
    json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": windows})
}

fn keys() -> Value {
    json!({"target_ak": "a", "target_sk": "b"})
}

fn cdn(domain: &str, kind: &str) -> Value {
    json!({"protocol": "https", "domain": domain, "authentication_type": kind})
}

/// Bandwidth windows that each break one rule, with the code of the rule.
fn windows() -> [(&'static str, Value); 4] {
    let window =
        |start: &str, end: &str, limit: i64| json!({"start": start, "end": end, "max_bandwidth": limit});
    let six: Vec<Value> = (0..6)
        .map(|n| window(&format!("0{n}:00"), &format!("0{n}:30"), 5_000_000))
        .collect();
    [
        ("OMS.0083", json!(six)),
        ("OMS.0084", json!([window("08:00", "09:00", 1)])),
        (
            "OMS.0085",
            json!([
                window("08:00", "09:00", 5_000_000),
                window("09:00", "10:00", 5_000_000)
            ]),
        ),
        ("OMS.0087", json!([window("24:00", "09:00", 5_000_000)])),
    ]
}

/// The cases that every operation refuses.
fn common(operation: &'static str) -> Vec<Case> {
    let mut all = vec![
        Case {
            token: None,
            ..case(operation, 401, "OMS.0068")
        },
        case(operation, 404, "OMS.1009"),
    ];
    all[1].path = all[1].path.replace(PROJECT, "");
    if operation != "show_quotas" {
        let mut foreign = case(operation, 400, "OMS.0072");
        foreign.path = foreign.path.replace(PROJECT, "another");
        all.push(foreign);
    }
    if !["show_quotas", "show_version"].contains(&operation) {
        for (kind, status) in [(ErrorKind::Internal, 500), (ErrorKind::StorageFull, 503)] {
            all.push(Case {
                ledger: Some(kind),
                ..case(operation, status, "OMS.1001")
            });
        }
    }
    if ["create_task", "update_task", "delete_task"].contains(&operation) {
        all.extend([
            case(operation, 413, "OMS.0004").body(Body::Text(" ".repeat(1_048_577))),
            case(operation, 415, "OMS.0004").body(Body::As("text/plain")),
            case(operation, 400, "OMS.0004").body(Body::Broken),
            case(operation, 400, "OMS.0067").body(Body::Text("{".to_owned())),
        ]);
    }
    if ["show_task", "update_task", "delete_task", "list_failures"].contains(&operation) {
        let mut malformed = case(operation, 400, "OMS.0054");
        malformed.path = malformed.path.replace(&ID.to_string(), "0");
        all.extend([
            malformed,
            Case {
                task: None,
                ..case(operation, 400, "OMS.0053")
            },
        ]);
    }
    all
}

fn of_create() -> Vec<Case> {
    let bad = |code| case("create_task", 400, code);
    let mut all = vec![
        bad("OMS.0002").with("/thread_num", json!("50")),
        bad("OMS.0057").with("/src_node/bucket", json!("a bucket")),
        bad("OMS.0058").with("/dst_node/endpoint", json!("ftp://host")),
        bad("OMS.0059").with("/thread_num", json!(51)),
        bad("OMS.0061").with("/auto_restore", json!(true)),
        bad("OMS.0064").with("/src_node/ak", json!("")),
        bad("OMS.0074").with("/dst_node", Value::Null),
        bad("OMS.0078").with("/description", json!("a & b")),
        bad("OMS.0079").with("/src_node/region", json!("mars")),
        bad("OMS.0080").with("/dst_node/region", json!("mars")),
        bad("OMS.0081").with("/source_cdn", cdn("https://x", "NONE")),
        bad("OMS.1032").with("/source_cdn", cdn("cdn.example.com", "ALIYUN_OSS_A")),
        Case {
            waiting: 5000,
            ..bad("OMS.0077")
        },
        Case {
            before: Some(create()),
            ..case("create_task", 422, "OMS.0064").with("/thread_num", json!(7))
        },
    ];
    all.extend(windows().map(|(code, windows)| bad(code).with("/bandwidth_policy", windows)));
    all
}

fn of_update() -> Vec<Case> {
    let bad = |code| case("update_task", 400, code);
    let stop = || Body::Json(json!({"operation": "stop"}));
    let failed_only = |code| bad(code).with("/migration_failed_object", json!(true));
    let mut all = vec![
        bad("OMS.0002").with("/migration_failed_object", json!("true")),
        bad("OMS.0064").with("/operation", json!("restart")),
        bad("OMS.0065").state(State::Waiting),
        bad("OMS.0065").state(State::Running),
        bad("OMS.0065").state(State::Pausing),
        bad("OMS.0066").state(State::Paused).body(stop()),
        bad("OMS.0066").state(State::Failed).body(stop()),
        bad("OMS.0070").state(State::Succeeded),
        bad("OMS.0070").state(State::Succeeded).body(stop()),
        bad("OMS.0074").with("/source_sk", Value::Null),
        bad("OMS.0086")
            .state(State::Succeeded)
            .body(Body::Json(bandwidth(&json!([])))),
        failed_only("OMS.0167").task(failed(true, 0)),
        failed_only("OMS.0308").task(failed(false, 1)),
        bad("OMS.1032").task(behind_a_cdn()),
    ];
    all.extend(windows().map(|(code, windows)| bad(code).body(Body::Json(bandwidth(&windows)))));
    all
}

fn of_the_others() -> Vec<Case> {
    let bad = |operation, code| case(operation, 400, code);
    let mut quotas = bad("show_quotas", "OMS.0064");
    quotas.path = quotas.path.replace(PROJECT, "a%20b");
    let spaced = |operation| {
        let mut case = bad(operation, "OMS.0064");
        case.path = case.path.replace(PROJECT, "a%20b");
        case
    };
    vec![
        bad("list_tasks", "OMS.0051").path("/task?start=0&limit=101"),
        bad("list_tasks", "OMS.0052").path("/task?start=0&limit=10&state=6"),
        bad("list_tasks", "OMS.0064").path("/task?totalcount=yes"),
        bad("list_tasks", "OMS.0074").path("/task?start=0&limit=10&offset=0"),
        bad("count_tasks", "OMS.0052").path("/tasks/count?state=6"),
        spaced("count_tasks"),
        bad("count_tasks", "OMS.0074").path("/tasks/count?start=0"),
        spaced("show_task"),
        bad("show_task", "OMS.0074").path(&format!("/task/{ID}?x=1")),
        bad("delete_task", "OMS.0002").with("/target_ak", json!(7)),
        bad("delete_task", "OMS.0063").state(State::Running),
        bad("delete_task", "OMS.0063").state(State::Pausing),
        bad("delete_task", "OMS.0064").with("/target_ak", json!("")),
        bad("delete_task", "OMS.0074").with("/target_sk", Value::Null),
        bad("list_failures", "OMS.0051").path(&format!("/task/{ID}/failures?limit=0")),
        bad("list_failures", "OMS.0064").path(&format!("/task/{ID}/failures?after=*")),
        bad("list_failures", "OMS.0074").path(&format!("/task/{ID}/failures?x=1")),
        spaced("show_quotas"),
        bad("show_quotas", "OMS.0074").path("/quotas?x=1"),
        spaced("show_version"),
        bad("show_version", "OMS.0074").path("/version?x=1"),
    ]
}

async fn answer(method: &str, case: &Case) -> Reply {
    let api = TestApi::serving(vec![PROJECT.parse().unwrap()]).await;
    if let Some(task) = &case.task {
        api.ledger.put(task.clone());
    }
    for number in 1..=case.waiting {
        api.ledger.put(ledger::task(number, PROJECT));
    }
    if let Some(kind) = case.ledger {
        api.ledger.break_with(kind);
    }
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let mut request = api.bare(method.clone(), &case.path);
    if let Some(token) = case.token {
        request = request.header("X-Auth-Token", token);
    }
    if let Some(before) = &case.before {
        request = request.header("Idempotency-Key", "used");
        send(request.try_clone().unwrap().json(before)).await.fine();
    }
    send(match &case.body {
        Body::None => request,
        Body::Json(body) => request.json(body),
        Body::Text(text) => request
            .header("Content-Type", "application/json")
            .body(text.clone()),
        Body::As(kind) => request.header("Content-Type", *kind).body("{}"),
        Body::Broken => return broken(&api.base, &method, &case.path).await,
    })
    .await
}

/// Sends a body whose first chunk has no length, which no client library allows, and reads the response.
async fn broken(base: &str, method: &Method, path: &str) -> Reply {
    let mut stream = TcpStream::connect(base.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: oms\r\nX-Auth-Token: {TOKEN}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\nno length\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, rest) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = reqwest::header::HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name: reqwest::header::HeaderName = name.parse().unwrap();
        headers.insert(name, value.trim().parse().unwrap());
    }
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    Reply {
        status,
        headers,
        text: rest[..length].to_owned(),
    }
}

/// Status, code and body of every error response that an operation documents.
fn documented(operation: &Value) -> Vec<(u16, String, Value)> {
    let responses = operation["responses"].as_object().unwrap();
    let refusals = responses.iter().filter(|(status, _)| !status.starts_with('2'));
    refusals
        .flat_map(|(status, response)| {
            let examples = response["content"]["application/json"]["examples"].as_object();
            let examples = examples.unwrap_or_else(|| panic!("{status} has no examples: {operation:#}"));
            examples
                .iter()
                .map(|(code, example)| (status.parse().unwrap(), code.clone(), example["value"].clone()))
        })
        .collect()
}

#[tokio::test]
async fn every_documented_error_is_returned_and_no_other() {
    let document = document();
    let mut provoked = BTreeSet::new();
    let mut listed = BTreeSet::new();
    let known = operations(&document);
    for (_, _, operation) in &known {
        let id = operation["operationId"].as_str().unwrap();
        listed.extend(
            documented(operation)
                .into_iter()
                .map(|(status, code, _)| (id, status, code)),
        );
    }
    let ids: BTreeSet<&'static str> = known
        .iter()
        .map(|(_, _, operation)| operation["operationId"].as_str().unwrap().to_owned().leak() as &str)
        .collect();
    let all = ids
        .into_iter()
        .flat_map(common)
        .chain(of_create())
        .chain(of_update())
        .chain(of_the_others());
    for case in all {
        let of_case = |(_, _, operation): &&(&str, &str, &Value)| operation["operationId"] == case.operation;
        let (_, method, operation) = known.iter().find(of_case).unwrap();
        let reply = answer(method, &case).await;
        let place = format!("{} {} {}: {}", case.operation, case.status, case.code, case.path);
        assert_eq!(reply.status.as_u16(), case.status, "{place}: {reply:?}");
        let found = documented(operation)
            .into_iter()
            .find(|(status, code, _)| (*status, code.as_str()) == (case.status, case.code));
        let (_, _, example) = found.unwrap_or_else(|| panic!("{place} is not documented: {reply:?}"));
        assert_eq!(reply.json(), example, "{place}");
        assert_eq!(example["error_code"], case.code, "{place}");
        let headers = operation["responses"][case.status.to_string()]["headers"]
            .as_object()
            .unwrap();
        for name in ["X-Request-Id", "WWW-Authenticate", "Retry-After"] {
            let sent = reply.headers.contains_key(name);
            assert_eq!(sent, headers.contains_key(name), "{place}: {name}");
        }
        provoked.insert((case.operation, case.status, case.code.to_owned()));
    }
    let never: Vec<_> = listed.difference(&provoked).collect();
    assert!(
        never.is_empty(),
        "documented, but no request here is answered so: {never:?}"
    );
}

#[test]
fn every_response_has_a_request_id_and_503_has_retry_after() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let header = |name: &str| &response["headers"][name]["schema"]["type"];
            assert_eq!(header("X-Request-Id"), "string", "{method} {path} {status}");
            if status == "503" {
                assert_eq!(header("Retry-After"), "integer", "{method} {path}");
            }
        }
    }
}

#[test]
fn every_success_has_real_examples_that_fit_their_schema() {
    let document = document();
    let mut tasks = Vec::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            if !status.starts_with('2') || response.get("content").is_none() {
                continue;
            }
            let content = &response["content"]["application/json"];
            let examples = content["examples"].as_object();
            let examples = examples.unwrap_or_else(|| panic!("{place} {status} has no examples"));
            assert!(!examples.is_empty(), "{place} {status}");
            let schema = json!({"allOf": [content["schema"]], "components": document["components"]});
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            for (name, example) in examples {
                let value = &example["value"];
                let errors: Vec<String> = validator
                    .iter_errors(value)
                    .map(|error| error.to_string())
                    .collect();
                assert!(errors.is_empty(), "{place} {name}: {errors:?} in {value:#}");
                let text = value.to_string();
                assert!(
                    !text.contains("\"string\"") && !text.contains("additionalProp"),
                    "{place} {name}: {text}"
                );
                assert!(!example["summary"].as_str().unwrap().is_empty(), "{place} {name}");
                tasks.extend(value.as_array().into_iter().flatten().cloned());
                if value.get("progress").is_some() {
                    tasks.push(value.clone());
                }
            }
        }
    }
    assert!(tasks.len() >= 5, "{}", tasks.len());
    for task in tasks {
        let status = task["status"].as_i64().unwrap();
        let progress = task["progress"].as_f64().unwrap();
        let fits = match status {
            1 => progress == 0.0 && task["start_time"] == 0,
            2 => progress > 0.0 && progress < 1.0 && task["migrate_speed"].as_i64().unwrap() > 0,
            4 => progress < 1.0 && task["error_reason"].is_object(),
            5 => progress == 1.0 && task["success_num"] == task["total_num"],
            other => panic!("status {other}"),
        };
        assert!(fits, "{task:#}");
    }
}

/// The README and the description of the operation have the same table of start modes.
#[test]
fn the_start_table_is_that_of_the_readme() {
    let document = document();
    let readme = include_str!("../../README.md");
    let table: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| start of a task"))
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(table.len(), 6);
    let known = operations(&document);
    let (_, _, update) = known
        .iter()
        .find(|(_, _, op)| op["operationId"] == "update_task")
        .unwrap();
    let description = update["description"].as_str().unwrap();
    assert!(description.contains(&table.join("\n")), "{description}");
}

/// Every example of a request body in the document is accepted without changes.
#[tokio::test]
async fn every_example_of_a_request_is_accepted() {
    let document = document();
    let mut sent = 0;
    for (path, method, operation) in operations(&document) {
        let Some(content) = operation
            .get("requestBody")
            .map(|body| &body["content"]["application/json"])
        else {
            continue;
        };
        let named = content["examples"].as_object().into_iter().flatten();
        let schema = super::resolve(&document, &content["schema"]);
        let unnamed = schema["examples"].as_array().into_iter().flatten();
        for example in named.map(|(_, example)| &example["value"]).chain(unnamed) {
            let running = example["operation"] == "stop";
            let api = TestApi::new().await;
            api.ledger
                .put(in_state(if running { State::Running } else { State::Paused }));
            let path = path
                .replace("{project_id}", PROJECT)
                .replace("{task_id}", &ID.to_string());
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let reply = send(api.request(method, &path).json(example)).await;
            assert!(reply.status.is_success(), "{example}: {reply:?}");
            sent += 1;
        }
    }
    assert!(sent >= 6, "{sent}");
}
