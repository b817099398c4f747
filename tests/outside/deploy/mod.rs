//! The files of `oms deploy`: programs that read such files accept them, and what they name exists.

// Each platform's own checks.
mod compose;
mod kubernetes;
mod systemd;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use oms::config::{Config, Database, Flags, Role};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::binary::{oms, oms_once};
use crate::support::rig::TIMEOUT;
use crate::support::tools::{Tools, run, succeed};

/// Each platform with its files.
const PLATFORMS: [(&str, &[&str]); 3] = [
    ("compose", &["compose.yaml"]),
    ("systemd", &["oms.service", "oms-worker@.service", "oms.toml"]),
    ("kubernetes", &["oms.yaml"]),
];
/// What must be replaced in the files of Kubernetes.
const PLACEHOLDER: &str = "REPLACE-ME";
/// Reading large schemas takes a while.
const LONG: Duration = Duration::from_secs(120);

/// The files of all platforms in a folder.
async fn written() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (platform, _) in PLATFORMS {
        let mut command = oms();
        command.args(["deploy", platform, "--output"]).arg(folder.path());
        succeed(command, TIMEOUT).await;
    }
    folder
}

fn text(folder: &TempDir, name: &str) -> String {
    std::fs::read_to_string(folder.path().join(name)).unwrap()
}

/// The texts of all files.
fn texts(folder: &TempDir) -> Vec<String> {
    let names = PLATFORMS.iter().flat_map(|(_, names)| *names);
    names.map(|name| text(folder, name)).collect()
}

/// The documents of a YAML file.
async fn documents(tools: &Tools, file: &Path) -> Vec<Value> {
    let mut command = tools.script("documents.py");
    command.arg(file);
    serde_json::from_str(&succeed(command, TIMEOUT).await).unwrap()
}

/// The texts of a list.
fn list(value: &Value) -> Vec<&str> {
    let items = value.as_array().into_iter().flatten();
    items.map(|item| item.as_str().unwrap()).collect()
}

/// The names of a list of names, or of a map.
fn names(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Null => BTreeSet::new(),
        list_of_names => list(list_of_names).into_iter().map(str::to_owned).collect(),
    }
}

#[tokio::test]
async fn each_platform_is_printed_or_written_and_nothing_is_overwritten() {
    for (platform, names) in PLATFORMS {
        let folder = TempDir::new().unwrap();
        let output = folder.path().join("a/b");
        let arguments = ["deploy", platform, "--output", output.to_str().unwrap()];
        let ran = oms_once(&arguments).await;
        assert!(ran.status.success(), "{}", ran.shown());
        let wanted: Vec<String> = names
            .iter()
            .map(|name| output.join(name).display().to_string())
            .collect();
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), wanted);

        let printed = oms_once(&["deploy", platform]).await;
        assert!(printed.status.success(), "{}", printed.shown());
        for name in names {
            let file = std::fs::read_to_string(output.join(name)).unwrap();
            assert!(
                printed.stdout.contains(&file),
                "{name} is not printed as it is written"
            );
            let marked = printed.stdout.contains(&format!("# ----- {name} -----\n"));
            assert_eq!(marked, names.len() > 1, "{name}");
            assert!(file.starts_with("# ") && file.ends_with('\n'), "{name}");
        }

        // Only the last file is there.
        let (last, others) = names.split_last().unwrap();
        let last = output.join(last);
        std::fs::write(&last, "mine").unwrap();
        for other in others {
            std::fs::remove_file(output.join(other)).unwrap();
        }
        let ran = oms_once(&arguments).await;
        assert_eq!(ran.status.code(), Some(1), "{}", ran.shown());
        let named = last.to_str().unwrap();
        assert!(
            ran.stderr.contains("--output") && ran.stderr.contains(&format!("{named} exists")),
            "{}",
            ran.shown()
        );
        assert_eq!(std::fs::read_to_string(&last).unwrap(), "mine");
        assert!(
            others.iter().all(|other| !output.join(other).exists()),
            "nothing else is written"
        );
    }
}

/// Every word in a text that begins with `OMS_`.
fn variables(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let words = text.split(|c: char| !is_name(c));
    let words = words.filter(|word| word.starts_with("OMS_"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn every_variable_and_setting_is_one_of_ours() {
    let folder = written().await;
    let known: BTreeSet<String> = Config::variables().collect();
    for text in texts(&folder) {
        let unknown: Vec<_> = variables(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?} are no settings");
    }
    let settings = text(&folder, "oms.toml");
    // The examples count too.
    let with_examples: String = settings
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(example) if example.contains(" = ") => format!("{example}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(settings, with_examples);
    for text in [settings, with_examples] {
        let key = "0".repeat(64);
        let secrets = format!("token = '{key}'\nseal_key = '{key}'\nledger_url = 'postgres://db/oms'\n");
        let file = folder.path().join("whole.toml");
        std::fs::write(&file, secrets + &text).unwrap();
        for role in [Role::Serve, Role::Worker] {
            let config = Config::load(role, Some(&file), Flags::default()).unwrap();
            assert!(config.nats().is_some() && config.database() != Database::Sqlite);
        }
    }
}

/// Every command line of ours in the files: a command and its arguments.
fn command_lines(folder: &TempDir) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for text in texts(folder) {
        for line in text.lines() {
            let unit = line.strip_prefix("ExecStart=/usr/local/bin/oms ");
            let line = line.trim_start().trim_end_matches(']');
            let yaml = line.strip_prefix("command: [").or(line.strip_prefix("args: ["));
            let words: Vec<String> = match (unit, yaml) {
                (Some(unit), _) => unit.split(' ').map(str::to_owned).collect(),
                (None, Some(yaml)) => yaml.split(", ").map(str::to_owned).collect(),
                (None, None) => continue,
            };
            // Other programs are started by their images, and have flags only.
            if !words[0].starts_with('-') {
                found.push(words);
            }
        }
    }
    found
}

#[tokio::test]
async fn every_command_and_flag_is_one_of_ours() {
    let folder = written().await;
    let lines = command_lines(&folder);
    assert_eq!(lines.len(), 6, "an API and workers on three platforms: {lines:?}");
    let known = oms_once(&["--help"]).await.stdout;
    for words in lines {
        let (command, arguments) = words.split_first().unwrap();
        if command == "worker" && !known.contains("\n  worker ") {
            // This build has the API only.
            assert!(arguments.iter().all(|argument| !argument.starts_with("--no-")));
            continue;
        }
        let help = oms_once(&[command, "--help"]).await;
        assert!(help.status.success(), "{words:?}\n{}", help.shown());
        for flag in arguments.iter().filter(|argument| argument.starts_with('-')) {
            let is_there = help.stdout.split_whitespace().any(|word| word == flag);
            assert!(is_there, "{words:?}: {flag} is no flag\n{}", help.stdout);
        }
    }
}

/// Values that pass the checks.
fn valid() -> BTreeMap<&'static str, String> {
    let key = "0".repeat(64);
    let seed = format!("SU{}", "A".repeat(56));
    [
        ("token", key.clone()),
        ("seal_key", key),
        ("ledger_url", "postgres://oms@db.example.com/oms".to_owned()),
        ("nats_api_nkey", seed.clone()),
        ("nats_worker_nkey", seed),
        ("OMS_NATS_URL", "tls://nats.example.com".to_owned()),
    ]
    .into()
}

#[tokio::test]
async fn no_placeholder_starts_anything() {
    let folder = written().await;
    let text = text(&folder, "oms.yaml");
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, _)) = line.split_once(&format!(": {PLACEHOLDER}")) else {
            continue;
        };
        let name = name.trim_start_matches(['-', ' ']);
        seen.insert(name.to_owned());
        // Names of images have no capital letters.
        if name == "image" {
            continue;
        }
        let mut values = valid();
        assert!(
            values.insert(name, PLACEHOLDER.to_owned()).is_some(),
            "{name} is new"
        );
        let nkey = if name == "nats_worker_nkey" {
            name
        } else {
            "nats_api_nkey"
        };
        let home = TempDir::new().unwrap();
        let mut command = oms();
        command.args(["serve", "--no-worker", "--listen", "127.0.0.1:0"]);
        command
            .current_dir(home.path())
            .env("OMS_NATS_URL", &values["OMS_NATS_URL"]);
        for (variable, secret) in [
            ("OMS_TOKEN_FILE", "token"),
            ("OMS_SEAL_KEY_FILE", "seal_key"),
            ("OMS_LEDGER_URL_FILE", "ledger_url"),
            ("OMS_NATS_NKEY_FILE", nkey),
        ] {
            let shown = format!("{{name: {variable}, value: /run/secrets/oms/{secret}}}");
            assert!(text.contains(&shown), "{shown} is not in the file");
            let file = home.path().join(secret);
            std::fs::write(&file, &values[secret]).unwrap();
            command.env(variable, file);
        }
        let ran = run(command, TIMEOUT).await;
        assert_eq!(ran.status.code(), Some(1), "{name}\n{}", ran.shown());
        let setting = match name {
            "OMS_NATS_URL" => "nats_url",
            "nats_api_nkey" | "nats_worker_nkey" => "nats_nkey_file",
            other => other,
        };
        assert!(
            ran.stderr.starts_with(&format!("oms: {setting}")),
            "{name}\n{}",
            ran.shown()
        );
        assert!(!ran.stderr.contains(PLACEHOLDER), "{}", ran.shown());
    }
    let wanted: BTreeSet<String> = valid().into_keys().chain(["image"]).map(str::to_owned).collect();
    assert_eq!(seen, wanted);
}
