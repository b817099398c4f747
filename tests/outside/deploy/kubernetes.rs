//! The schemas of Kubernetes read the file.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{LONG, PLACEHOLDER, documents, list, names, written};
use crate::support::tools::{Need, require, succeed};

/// The oldest version that the file is for, and a new one.
const VERSIONS: [&str; 2] = ["1.30", "1.37"];

fn of_kind<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|document| document["kind"] == kind).collect()
}

fn named<'a>(all: &'a [Value], kind: &str, name: &Value) -> &'a Value {
    let found = of_kind(all, kind).into_iter();
    let mut found = found.filter(|document| document["metadata"]["name"] == *name);
    found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The pods that a selector selects, by the names of their Deployments.
fn selected(all: &[Value], labels: &Value) -> BTreeSet<String> {
    let wanted = labels.as_object().cloned().unwrap_or_default();
    of_kind(all, "Deployment")
        .into_iter()
        .filter(|deployment| {
            let has = &deployment["spec"]["template"]["metadata"]["labels"];
            wanted.iter().all(|(label, value)| has[label] == *value)
        })
        .map(|deployment| deployment["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What a pod names exists, and it runs without rights.
fn check_pod(all: &[Value], deployment: &Value) {
    let name = &deployment["metadata"]["name"];
    let pod = &deployment["spec"]["template"]["spec"];
    named(all, "ServiceAccount", &pod["serviceAccountName"]);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
    assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
    let [container] = pod["containers"].as_array().unwrap().as_slice() else {
        panic!("{name} has one container");
    };
    assert_eq!(container["image"], PLACEHOLDER);
    let rights = &container["securityContext"];
    assert_eq!(rights["readOnlyRootFilesystem"], true, "{name}");
    assert_eq!(rights["allowPrivilegeEscalation"], false, "{name}");
    assert_eq!(list(&rights["capabilities"]["drop"]), ["ALL"], "{name}");
    for from in container["envFrom"].as_array().unwrap() {
        named(all, "ConfigMap", &from["configMapRef"]["name"]);
    }
    // Each secret that a variable names is in the volume, and the volume has no other.
    let [volume] = pod["volumes"].as_array().unwrap().as_slice() else {
        panic!("{name} has one volume");
    };
    let [mount] = container["volumeMounts"].as_array().unwrap().as_slice() else {
        panic!("{name} mounts one volume");
    };
    assert_eq!(
        (&mount["name"], &mount["readOnly"]),
        (&volume["name"], &true.into())
    );
    let secret = named(all, "Secret", &volume["secret"]["secretName"]);
    let mut there = BTreeSet::new();
    for item in volume["secret"]["items"].as_array().unwrap() {
        let key = item["key"].as_str().unwrap();
        assert!(names(&secret["stringData"]).contains(key), "{name}: {key}");
        let (folder, path) = (
            mount["mountPath"].as_str().unwrap(),
            item["path"].as_str().unwrap(),
        );
        there.insert(format!("{folder}/{path}"));
    }
    let variables = container["env"].as_array().unwrap().iter();
    let read = variables.filter(|variable| variable["name"].as_str().unwrap().ends_with("_FILE"));
    let read: BTreeSet<String> = read
        .map(|variable| variable["value"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(there, read, "{name}");
    // Probes ask for what the API answers without a token.
    let ports: Vec<&Value> = container["ports"].as_array().into_iter().flatten().collect();
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked.is_object(), *name == "oms", "{name}: {probe}");
        if asked.is_object() {
            assert_eq!(asked["path"], path, "{probe}");
            assert!(ports.iter().any(|port| port["name"] == asked["port"]), "{probe}");
        }
    }
}

#[tokio::test]
async fn kubernetes_accepts_the_file_and_every_reference_in_it_resolves() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    let folder = written().await;
    let file = folder.path().join("oms.yaml");
    for version in VERSIONS {
        let mut command = Command::new(tools.python_bin("kubernetes-validate"));
        command
            .args(["--strict", "--kubernetes-version", version])
            .arg(&file);
        succeed(command, LONG).await;
    }

    let all = documents(&tools, &file).await;
    let kinds: BTreeSet<&str> = all
        .iter()
        .map(|document| document["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds.len(), 8, "{kinds:?}");
    let [namespace] = of_kind(&all, "Namespace")[..] else {
        panic!("one namespace");
    };
    for document in all.iter().filter(|document| document["kind"] != "Namespace") {
        assert_eq!(
            document["metadata"]["namespace"], namespace["metadata"]["name"],
            "{document}"
        );
    }
    let deployments = of_kind(&all, "Deployment");
    for deployment in &deployments {
        let name = &deployment["metadata"]["name"];
        let own = selected(&all, &deployment["spec"]["selector"]["matchLabels"]);
        assert_eq!(own, [name.as_str().unwrap().to_owned()].into());
        check_pod(&all, deployment);
    }
    // Every key of the secret is used by a pod.
    let items = deployments.iter().flat_map(|deployment| {
        deployment["spec"]["template"]["spec"]["volumes"][0]["secret"]["items"]
            .as_array()
            .unwrap()
    });
    let used: BTreeSet<String> = items
        .map(|item| item["key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(used, names(&of_kind(&all, "Secret")[0]["stringData"]));

    let [service] = of_kind(&all, "Service")[..] else {
        panic!("one service");
    };
    assert_eq!(
        selected(&all, &service["spec"]["selector"]),
        ["oms".to_owned()].into()
    );
    let api = named(&all, "Deployment", &"oms".into());
    let ports = &api["spec"]["template"]["spec"]["containers"][0]["ports"];
    assert_eq!(service["spec"]["ports"][0]["targetPort"], ports[0]["name"]);
    for budget in of_kind(&all, "PodDisruptionBudget") {
        let one = selected(&all, &budget["spec"]["selector"]["matchLabels"]);
        assert_eq!(
            one,
            [budget["metadata"]["name"].as_str().unwrap().to_owned()].into()
        );
    }
    let policies = of_kind(&all, "NetworkPolicy");
    let closed = policies.iter().any(|policy| {
        policy["spec"]["podSelector"] == serde_json::json!({})
            && list(&policy["spec"]["policyTypes"]) == ["Ingress", "Egress"]
            && policy["spec"]["ingress"].is_null()
            && policy["spec"]["egress"].is_null()
    });
    assert!(closed, "everything is closed unless another policy opens it");
    for policy in policies {
        assert!(!selected(&all, &policy["spec"]["podSelector"]["matchLabels"]).is_empty());
    }
}
