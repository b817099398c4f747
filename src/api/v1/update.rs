//! The three operations of `PUT` on the wire: a union that the field `operation` tells apart.

use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::bandwidth::{self, BandwidthWindow};
use super::nodes::key_pair;
use super::rules;
use super::texts::{optional_secret, secret};
use crate::api::json::Node;
use crate::error::Result;
use crate::secret::{Secret, TaskCredentials};
use crate::task::{BandwidthPolicy, StartMode};

/// One of three operations; `operation` says which.
// No `discriminator`: see `docs::generators`.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(
    dead_code,
    reason = "describes the union; `read` tells its members apart, so that errors can name the field"
)]
pub enum UpdateTask {
    /// Start.
    Start(StartTask),
    /// Stop.
    Stop(StopTask),
    /// Change the bandwidth.
    Bandwidth(ChangeBandwidthPolicy),
}

/// The word for starting.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartOperation {
    /// Start.
    Start,
}

/// The word for stopping.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopOperation {
    /// Stop.
    Stop,
}

/// The word for changing the bandwidth.
#[derive(Debug, Deserialize)]
pub enum BandwidthOperation {
    /// Change the bandwidth windows.
    #[serde(rename = "change_bandwidthpolicy")]
    ChangeBandwidthPolicy,
}

/// Starts a paused or failed task with fresh credentials.
///
/// Resumes from the last checkpoint. If the last run finished, a new run begins. It skips objects that are already identical at
/// the target.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "StartTask", examples(json!(start_example())))]
pub struct StartTask {
    /// Must be `start`.
    #[serde(rename = "operation")]
    #[schema(schema_with = start_word)]
    _operation: StartOperation,
    /// Access key of the source.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 1, max_length = 100, write_only)]
    source_ak: Secret,
    /// Secret key of the source.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 100, write_only)]
    source_sk: Secret,
    /// Access key of the target.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, min_length = 1, max_length = 100, write_only)]
    target_ak: Secret,
    /// Secret key of the target.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String, format = Password, min_length = 1, max_length = 100, write_only)]
    target_sk: Secret,
    /// Key of the CDN before the source, where there is one.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>, format = Password, max_length = 255, write_only)]
    source_cdn_authentication_key: Option<Secret>,
    /// `true` repeats only the recorded failures of a finished run. `false`, null or nothing migrates the whole scope.
    migration_failed_object: Option<bool>,
}

/// Pauses a waiting or running task, within about a second.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "StopTask", examples(json!({"operation": "stop"})))]
pub struct StopTask {
    /// Must be `stop`.
    #[serde(rename = "operation")]
    #[schema(schema_with = stop_word)]
    _operation: StopOperation,
}

/// Replaces the bandwidth windows of a task that has not succeeded; a running task follows at once.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(title = "ChangeBandwidthPolicy", examples(json!(bandwidth_example())))]
pub struct ChangeBandwidthPolicy {
    /// Must be `change_bandwidthpolicy`.
    #[serde(rename = "operation")]
    #[schema(schema_with = bandwidth_word)]
    _operation: BandwidthOperation,
    /// Limits for parts of the day, which must not overlap; no limit outside of them. An empty array takes all limits
    /// away.
    #[schema(max_items = 5)]
    bandwidth_policy: Vec<BandwidthWindow>,
}

/// The schema of `operation`: a string with one value, which is what tells the union's members apart in clients.
fn word(word: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([word]))
        .description(Some(format!("Must be `{word}`.")))
        .build()
}

fn start_word() -> Object {
    word("start")
}

fn stop_word() -> Object {
    word("stop")
}

fn bandwidth_word() -> Object {
    word("change_bandwidthpolicy")
}

/// The body of the reference's own page.
pub fn start_example() -> serde_json::Value {
    serde_json::json!({
        "operation": "start",
        "source_ak": "source_ak",
        "source_sk": "source_sk",
        "target_ak": "target_ak",
        "target_sk": "target_sk",
        "source_cdn_authentication_key": "xxxxxx",
        "migration_failed_object": false
    })
}

/// A body that changes the bandwidth.
pub fn bandwidth_example() -> serde_json::Value {
    let window = serde_json::json!({"start": "08:00", "end": "19:59", "max_bandwidth": 50_000_000});
    serde_json::json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": [window]})
}

/// What a body asks for.
#[derive(Debug)]
pub enum Change {
    /// Start with these keys.
    Start(StartMode, TaskCredentials),
    /// Stop.
    Stop,
    /// Replace the windows.
    Bandwidth(BandwidthPolicy),
}

/// Reads a body.
///
/// # Errors
/// Those of [`Node::read`] and of single fields; OMS.0064 for an unknown operation.
pub fn read(body: Node) -> Result<Change> {
    /// Reads nothing but the operation, so that the errors of that field do not depend on the other fields.
    #[derive(Deserialize)]
    struct Head {
        operation: Operation,
    }
    #[derive(Clone, Copy, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Operation {
        Start,
        Stop,
        #[serde(rename = "change_bandwidthpolicy")]
        ChangeBandwidthPolicy,
    }
    let head: Head = body.clone().read()?;
    match head.operation {
        Operation::Start => start(body.read()?),
        Operation::Stop => body.read::<StopTask>().map(|_| Change::Stop),
        Operation::ChangeBandwidthPolicy => {
            let ChangeBandwidthPolicy {
                _operation,
                bandwidth_policy,
            } = body.read()?;
            bandwidth::policy(bandwidth_policy).map(Change::Bandwidth)
        }
    }
}

fn start(body: StartTask) -> Result<Change> {
    let StartTask {
        _operation,
        source_ak,
        source_sk,
        target_ak,
        target_sk,
        source_cdn_authentication_key,
        migration_failed_object,
    } = body;
    let cdn_key = source_cdn_authentication_key.filter(|key| !key.expose().is_empty());
    if let Some(key) = &cdn_key {
        rules::length("source_cdn_authentication_key", key.expose(), 0..=255)?;
    }
    let mode = if migration_failed_object == Some(true) {
        StartMode::FailedOnly
    } else {
        StartMode::Full
    };
    let credentials = TaskCredentials {
        source: key_pair("", ["source_ak", "source_sk"], source_ak, source_sk)?,
        target: key_pair("", ["target_ak", "target_sk"], target_ak, target_sk)?,
        cdn_key,
    };
    Ok(Change::Start(mode, credentials))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::PartialSchema as _;

    use super::*;

    fn with(field: &str, value: Value) -> Result<Change> {
        let mut body = start_example();
        body[field] = value;
        read(Node::parse(body.to_string().as_bytes())?)
    }

    fn refused(field: &str, value: Value) -> (String, String) {
        let error = with(field, value).unwrap_err();
        (error.code().unwrap().to_owned(), error.message().to_owned())
    }

    /// What a body asks for, with the secrets in plain text.
    fn asked(body: &Value) -> String {
        match read(Node::parse(body.to_string().as_bytes()).unwrap()) {
            Ok(Change::Start(
                mode,
                TaskCredentials {
                    source,
                    target,
                    cdn_key,
                },
            )) => {
                let secrets = [
                    source.access_key,
                    source.secret_key,
                    target.access_key,
                    target.secret_key,
                ];
                let secrets = secrets.map(|secret| secret.expose().to_owned()).join(" ");
                let cdn_key = cdn_key.as_ref().map(Secret::expose);
                format!("{mode:?} {secrets} {cdn_key:?}")
            }
            Ok(Change::Stop) => "stop".to_owned(),
            Ok(Change::Bandwidth(policy)) => {
                let windows = policy.windows().iter();
                let windows = windows.map(|w| format!("{}-{} {}", w.start, w.end, w.max_bytes_per_second));
                format!("windows: {}", windows.collect::<Vec<_>>().join(", "))
            }
            Err(error) => format!("{} {}", error.code().unwrap(), error.message()),
        }
    }

    #[test]
    fn each_body_asks_for_what_it_says() {
        const KEYS: &str = "source_ak source_sk target_ak target_sk";
        let without = |field: &str| {
            let mut body = start_example();
            body.as_object_mut().unwrap().remove(field);
            body
        };
        let rows = [
            (
                "start of the reference",
                start_example(),
                format!("Full {KEYS} Some(\"xxxxxx\")"),
            ),
            (
                "start without a key of a CDN",
                without("source_cdn_authentication_key"),
                format!("Full {KEYS} None"),
            ),
            (
                "start without a scope",
                without("migration_failed_object"),
                format!("Full {KEYS} Some(\"xxxxxx\")"),
            ),
            (
                "start without a secret",
                without("target_sk"),
                "OMS.0074 target_sk is required".to_owned(),
            ),
            ("stop", json!({"operation": "stop"}), "stop".to_owned()),
            (
                "stop with something else",
                json!({"operation": "stop", "source_ak": "x"}),
                "OMS.0074 source_ak is not a known field".to_owned(),
            ),
            (
                "bandwidth",
                bandwidth_example(),
                "windows: 480-1199 50000000".to_owned(),
            ),
            (
                "no bandwidth limit any more",
                json!({"operation": "change_bandwidthpolicy", "bandwidth_policy": []}),
                "windows: ".to_owned(),
            ),
            (
                "bandwidth without windows",
                json!({"operation": "change_bandwidthpolicy"}),
                "OMS.0074 bandwidth_policy is required".to_owned(),
            ),
            ("nothing", json!({}), "OMS.0074 operation is required".to_owned()),
        ];
        for (name, body, wanted) in rows {
            assert_eq!(asked(&body), wanted, "{name}");
        }
    }

    #[test]
    fn the_schema_tells_the_operations_apart_by_their_word() {
        let rows = [
            ("start", StartTask::schema()),
            ("stop", StopTask::schema()),
            ("change_bandwidthpolicy", ChangeBandwidthPolicy::schema()),
        ];
        for (word, schema) in rows {
            let schema = serde_json::to_value(schema).unwrap();
            let wanted =
                json!({"type": "string", "enum": [word], "description": format!("Must be `{word}`.")});
            assert_eq!(schema["properties"]["operation"], wanted, "{word}");
            let example = &schema["examples"][0];
            assert_eq!(example["operation"], word, "{word}: its example");
            assert!(
                !asked(example).starts_with("OMS."),
                "{word}: its example is accepted"
            );
        }
    }

    #[test]
    fn only_true_asks_for_the_failures_alone() {
        for (value, wanted) in [
            (json!(null), StartMode::Full),
            (json!(false), StartMode::Full),
            (json!(true), StartMode::FailedOnly),
        ] {
            let Ok(Change::Start(mode, _)) = with("migration_failed_object", value) else {
                panic!("not a start");
            };
            assert_eq!(mode, wanted);
        }
    }

    #[test]
    fn secrets_have_their_lengths_at_the_bounds() {
        let cdn = "source_cdn_authentication_key";
        let rows = [
            ("one character", "source_ak", "x".to_owned(), true),
            ("most characters", "source_sk", "x".repeat(100), true),
            (
                "most characters of many bytes",
                "target_ak",
                "\u{952e}".repeat(100),
                true,
            ),
            ("one character too many", "target_ak", "x".repeat(101), false),
            ("no character", "target_sk", String::new(), false),
            ("no character of a CDN key", cdn, String::new(), true),
            ("most characters of a CDN key", cdn, "x".repeat(255), true),
            ("one character too many of a CDN key", cdn, "x".repeat(256), false),
        ];
        for (name, field, value, accepted) in rows {
            let read = with(field, json!(value));
            let code = read.err().map(|error| error.code().unwrap().to_owned());
            assert_eq!(code, (!accepted).then(|| "OMS.0064".to_owned()), "{name}");
        }
        for (name, value, wanted) in [
            ("null", json!(null), None),
            ("empty", json!(""), None),
            ("one character", json!("x"), Some("x")),
        ] {
            let Ok(Change::Start(_, keys)) = with(cdn, value) else {
                panic!("not a start");
            };
            assert_eq!(keys.cdn_key.as_ref().map(Secret::expose), wanted, "{name}");
        }
    }

    #[test]
    fn errors_name_the_field() {
        let cases = [
            (
                "source_ak",
                json!(""),
                "OMS.0064",
                "source_ak must have 1 to 100 characters",
            ),
            (
                "target_sk",
                json!("x".repeat(101)),
                "OMS.0064",
                "target_sk must have 1 to 100 characters",
            ),
            ("source_sk", json!(7), "OMS.0002", "source_sk must be a string"),
            ("source_sk", json!(null), "OMS.0002", "source_sk must be a string"),
            (
                "migration_failed_object",
                json!("true"),
                "OMS.0002",
                "migration_failed_object must be a boolean",
            ),
            ("surplus", json!(1), "OMS.0074", "surplus is not a known field"),
            (
                "operation",
                json!("restart"),
                "OMS.0064",
                "operation must be one of start, stop, change_bandwidthpolicy",
            ),
            (
                "operation",
                json!(["start"]),
                "OMS.0002",
                "operation must be a string",
            ),
        ];
        for (field, value, code, message) in cases {
            assert_eq!(refused(field, value), (code.to_owned(), message.to_owned()));
        }
    }
}
