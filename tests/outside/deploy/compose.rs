//! The schema of Compose, and the server of NATS, read the file.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use tempfile::TempDir;

use super::{LONG, documents, list, names, written};
use crate::support::rig::TIMEOUT;
use crate::support::tools::{Need, Tools, require, succeed};

#[tokio::test]
async fn compose_accepts_the_file_and_every_reference_in_it_resolves() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    let folder = written().await;
    let file = folder.path().join("compose.yaml");
    let mut command = Command::new(tools.python_bin("check-jsonschema"));
    command
        .args(["--builtin-schema", "vendor.compose-spec"])
        .arg(&file);
    succeed(command, LONG).await;

    let whole = documents(&tools, &file).await.remove(0);
    let services = whole["services"].as_object().unwrap();
    assert_eq!(
        names(&whole["services"]),
        ["nats", "oms", "postgres", "worker"].map(str::to_owned).into()
    );
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, service) in services {
        for kind in ["secrets", "networks"] {
            used.entry(kind).or_default().extend(names(&service[kind]));
        }
        for volume in list(&service["volumes"]) {
            let volume = volume.split(':').next().unwrap().to_owned();
            used.entry("volumes").or_default().insert(volume);
        }
        for config in service["configs"].as_array().into_iter().flatten() {
            let source = config["source"].as_str().unwrap().to_owned();
            used.entry("configs").or_default().insert(source);
        }
        for other in names(&service["depends_on"]) {
            assert!(
                services[&other]["healthcheck"]["test"].is_array(),
                "{name} waits for {other}"
            );
        }
        // A secret is named where it is given.
        let given = names(&service["secrets"]);
        let read = service["environment"].as_object().into_iter().flatten();
        let read: BTreeSet<String> = read
            .filter_map(|(_, value)| Some(value.as_str()?.strip_prefix("/run/secrets/")?.to_owned()))
            .collect();
        assert_eq!(given, read, "{name}");
        let ports = list(&service["ports"]);
        assert_eq!(
            ports,
            if name == "oms" {
                vec!["127.0.0.1:8080:8080"]
            } else {
                vec![]
            },
            "{name}"
        );
        for (hardened, wanted) in [
            ("restart", "unless-stopped"),
            ("security_opt", "no-new-privileges"),
        ] {
            assert!(
                service[hardened].to_string().contains(wanted),
                "{name}: {hardened}"
            );
        }
    }
    for (kind, used) in used {
        assert_eq!(used, names(&whole[kind]), "{kind}");
    }
    let check = services["oms"]["healthcheck"]["test"].to_string();
    assert!(check.contains("http://127.0.0.1:8080/readyz"), "{check}");
    assert_eq!(whole["networks"]["inside"]["internal"], true);
    for inner in ["postgres", "nats"] {
        assert_eq!(list(&services[inner]["networks"]), ["inside"]);
    }
    accepted_by_nats(
        &tools,
        &folder,
        whole["configs"]["nats"]["content"].as_str().unwrap(),
    )
    .await;
}

/// Lets the server check its configuration, with keys instead of the variables.
async fn accepted_by_nats(tools: &Tools, folder: &TempDir, content: &str) {
    // Two public keys, made for this test.
    let keys = [
        (
            "NATS_API_KEY",
            "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
        ),
        (
            "NATS_WORKER_KEY",
            "UA6KOMQ67XOE3FHE37W4OXADVXVYISBNLTBUT2LSY5VFKAIJ7CRDR2RZ",
        ),
    ];
    let mut text = content.replace("$$", "$");
    for (variable, key) in keys {
        let (before, rest) = text.split_once(&format!("${{{variable}:?")).unwrap();
        let (_, after) = rest.split_once('}').unwrap();
        text = format!("{before}{key}{after}");
    }
    let file = folder.path().join("nats.conf");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(tools.python_bin("nats-server"));
    command.arg("-t").arg("--config").arg(file);
    succeed(command, TIMEOUT).await;
}
