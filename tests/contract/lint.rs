//! The document is complete: everything has a name and a description, and every error response is documented.

use std::collections::{BTreeSet, HashSet};

use serde_json::Value;

use super::{document, operations, resolve};

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn every_operation_has_a_name_and_a_description() {
    let document = document();
    let tags: Vec<&Value> = document["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    let mut ids = HashSet::new();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let summary = text(operation, "summary");
        assert!(summary.ends_with('.') && summary.len() < 80, "{place}: summary");
        assert!(
            text(operation, "description").ends_with('.'),
            "{place}: description"
        );
        assert!(ids.insert(text(operation, "operationId")), "{place}: operationId");
        let own = operation["tags"].as_array().unwrap();
        assert!(
            own.len() == 1 && own.iter().all(|tag| tags.contains(&tag)),
            "{place}: tags {own:?}"
        );
        for parameter in operation["parameters"].as_array().unwrap() {
            assert!(
                text(parameter, "description").ends_with('.'),
                "{place}: {parameter}"
            );
        }
    }
}

#[test]
fn every_answer_is_described_and_every_refusal_documented() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let place = format!("{method} {path}");
        let responses = operation["responses"].as_object().unwrap();
        for (code, response) in responses {
            assert!(text(response, "description").ends_with('.'), "{place} {code}");
            if !code.starts_with('2') {
                let schema = &response["content"]["application/json"]["schema"]["$ref"];
                assert_eq!(schema, "#/components/schemas/ErrorBody", "{place} {code}");
            }
        }
        let codes: BTreeSet<&str> = responses
            .keys()
            .map(String::as_str)
            .filter(|code| !code.starts_with('2'))
            .collect();
        let mut wanted = BTreeSet::from(["400", "401", "404"]);
        // These two operations do not use the ledger, so they cannot fail.
        if !["show_quotas", "show_version"].contains(&text(operation, "operationId")) {
            wanted.extend(["500", "503"]);
        }
        if operation.get("requestBody").is_some() {
            wanted.extend(["413", "415"]);
        }
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        if parameters
            .clone()
            .any(|parameter| parameter["name"] == "Idempotency-Key")
        {
            wanted.insert("422");
        }
        assert_eq!(codes, wanted, "{place}");
    }
}

#[test]
fn the_key_of_a_creation_is_documented_as_ours() {
    let document = document();
    let creation = &document["paths"]["/v1/{project_id}/objectstorage/task"]["post"];
    let parameters = creation["parameters"].as_array().unwrap();
    let key = parameters
        .iter()
        .find(|parameter| parameter["in"] == "header")
        .unwrap();
    assert_eq!(
        (&key["name"], &key["required"]),
        (&"Idempotency-Key".into(), &false.into())
    );
    assert_eq!(key["x-oms-extension"], true);
    assert!(text(key, "description").starts_with("An extension"));
}

#[test]
fn every_schema_and_property_is_described() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(!text(schema, "description").is_empty(), "{name}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let members = property["oneOf"].as_array();
            let described = !text(property, "description").is_empty()
                || members.is_some_and(|members| members.iter().any(|m| !text(m, "description").is_empty()));
            assert!(described, "{name}.{field}");
        }
    }
}

#[test]
fn every_input_has_limits() {
    let document = document();
    let inputs = [
        "CreateTask",
        "DeleteTask",
        "SourceNode",
        "TargetNode",
        "SmnInfo",
        "SourceCdn",
        "StartTask",
        "BandwidthWindow",
    ];
    for name in inputs {
        let properties = &document["components"]["schemas"][name]["properties"];
        for (field, property) in properties.as_object().unwrap() {
            let is = |kind: &str| {
                let one = &property["type"];
                one == kind
                    || one
                        .as_array()
                        .is_some_and(|types| types.iter().any(|t| t == kind))
            };
            let has = |limit: &str| property.get(limit).is_some();
            let limited = !is("string") || has("maxLength") || has("enum");
            assert!(limited, "{name}.{field}: maxLength");
            assert!(
                !is("integer") || (has("minimum") && has("maximum")),
                "{name}.{field}: minimum, maximum"
            );
            assert!(!is("array") || has("maxItems"), "{name}.{field}: maxItems");
        }
    }
}

#[test]
fn our_own_fields_are_marked() {
    let document = document();
    let mut found = BTreeSet::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let members = property["oneOf"].as_array().into_iter().flatten();
            let says = |schema: &Value| text(schema, "description").starts_with("An extension");
            let ours = says(property) || members.clone().any(says);
            let target = resolve(&document, property);
            let below = target["properties"].as_object();
            let bears = |schema: &Value| resolve(&document, schema)["x-oms-extension"] == true;
            // A reference cannot have its own mark, so the referenced type has it. The same holds for a nullable type and for
            // the type of an array's items.
            let is_ours = |schema: &Value| {
                let mut members = schema["oneOf"].as_array().into_iter().flatten();
                bears(schema) || bears(&schema["items"]) || members.any(bears)
            };
            let marked = is_ours(property) || below.is_some_and(|fields| fields.values().all(is_ours));
            assert!(!ours || marked, "{name}.{field}");
            if ours {
                found.insert(format!("{name}.{field}"));
            }
        }
    }
    let wanted = [
        "CreateTask.consistency_check",
        "CreateTask.dst_storage_policy",
        "CreateTask.enable_requester_pays",
        "CreateTask.enable_success_and_skip_recording",
        "CreateTask.minimum_proof",
        "CreateTask.object_overwrite_mode",
        "CreateTask.refused_metadata",
        "SourceNode.endpoint",
        "TargetNode.endpoint",
        "Task.concurrency",
        "Task.copy_rules",
        "Task.create_time",
        "Task.enable_requester_pays",
        "Task.enable_success_and_skip_recording",
        "Task.end_time",
        "Task.gone_num",
        "Task.not_carried",
        "Task.proved",
        "Task.skip_record_error_reason",
        "Task.scope_entries",
        "Task.skipped_num",
        "Task.success_record_error_reason",
        "Task.transferred_size",
        "Task.warnings",
        "Task.workers",
        "TaskSource.endpoint",
        "TaskTarget.endpoint",
    ];
    assert_eq!(found, wanted.map(str::to_owned).into());
    let ours = operations(&document)
        .into_iter()
        .filter(|(_, _, operation)| operation["x-oms-extension"] == true)
        .map(|(_, _, operation)| text(operation, "operationId").to_owned());
    assert_eq!(ours.collect::<Vec<_>>(), ["list_failures", "count_tasks"]);
}

#[test]
fn every_schema_is_used_and_every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(
            text.contains(&format!("\"#/components/schemas/{name}\"")),
            "{name} is not used"
        );
    }
    for part in text.split("\"$ref\":\"#").skip(1) {
        let target = part.split('"').next().unwrap();
        assert!(document.pointer(target).is_some(), "{target}");
    }
}

#[test]
fn the_document_has_the_version_of_the_crate_and_a_security_scheme() {
    let document = document();
    assert!(text(&document, "openapi").starts_with("3.1"));
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let scheme = &document["components"]["securitySchemes"]["token"];
    assert_eq!(
        (&scheme["in"], &scheme["name"]),
        (&"header".into(), &"X-Auth-Token".into())
    );
    assert_eq!(document["security"], serde_json::json!([{"token": []}]));
    // Relative to the document, so that a path prefix works.
    assert_eq!(document["servers"][0]["url"], "..");
}
