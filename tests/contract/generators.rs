//! The document has a form that every generator accepts. `src/api/docs/generators.rs` says what each generator needs.

use std::collections::HashMap;

use oms::api::docs::{Rendering, document_v1_json};
use serde_json::{Value, json};

use super::{operations, resolve};

fn both() -> [(&'static str, Value); 2] {
    [("3.1", Rendering::V31), ("3.0", Rendering::V30)]
        .map(|(name, rendering)| (name, serde_json::from_str(&document_v1_json(rendering)).unwrap()))
}

/// Calls `visit` with the path and the fields of every object in a value.
fn each_object(value: &Value, place: &str, visit: &mut dyn FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visit(place, fields);
            for (name, inner) in fields {
                each_object(inner, &format!("{place}/{name}"), visit);
            }
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(at, inner)| each_object(inner, &format!("{place}/{at}"), visit)),
        _ => {}
    }
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"]
        .into_iter()
        .flat_map(|name| schema[name].as_array().into_iter().flatten())
}

#[test]
fn references_stand_alone_in_unions() {
    for (name, document) in both() {
        each_object(&document, name, &mut |place, fields| {
            for branch in branches(&Value::Object(fields.clone())) {
                let alone = branch.as_object().unwrap().len() == 1;
                assert!(branch.get("$ref").is_none() || alone, "{place}: {branch}");
            }
        });
    }
}

#[test]
fn no_schema_has_a_discriminator_or_fields_that_are_only_written() {
    for (name, document) in both() {
        each_object(&document["components"]["schemas"], name, &mut |place, fields| {
            assert!(!fields.contains_key("discriminator"), "{place}");
            assert!(!fields.contains_key("writeOnly"), "{place}");
        });
    }
}

#[test]
fn each_answer_has_one_shape() {
    for (name, document) in both() {
        for (path, method, operation) in operations(&document) {
            for (code, response) in operation["responses"].as_object().unwrap() {
                let schema = resolve(&document, &response["content"]["application/json"]["schema"]);
                assert_eq!(branches(schema).count(), 0, "{name} {method} {path} {code}");
            }
        }
    }
}

#[test]
fn no_two_constants_have_the_same_name() {
    let plain = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters.collect::<String>().to_ascii_uppercase()
    };
    for (rendering, document) in both() {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (schema, fields) in document["components"]["schemas"].as_object().unwrap() {
            let Some(values) = fields["enum"].as_array() else {
                continue;
            };
            let names = fields["x-enum-varnames"].as_array();
            assert!(
                names.is_none_or(|names| names.len() == values.len()),
                "{schema}: x-enum-varnames"
            );
            for name in names.unwrap_or(values) {
                let name = plain(
                    name.as_str()
                        .unwrap_or_else(|| panic!("{schema}: a number needs a name")),
                );
                if let Some(other) = seen.insert(name.clone(), schema) {
                    panic!("{rendering}: {name} is in {other} and in {schema}: give one of them a prefix");
                }
            }
        }
    }
}

#[test]
fn the_body_of_a_deletion_may_be_left_out_or_empty() {
    for (name, document) in both() {
        let deletions = operations(&document)
            .into_iter()
            .filter(|(_, method, _)| *method == "delete");
        for (path, _, operation) in deletions {
            let body = &operation["requestBody"];
            assert_eq!(body["required"], json!(false), "{name} {path}");
            let schema = &body["content"]["application/json"]["schema"];
            assert!(schema.get("$ref").is_some(), "{name} {path}: {schema}");
            let target = resolve(&document, schema);
            assert!(target.get("required").is_none(), "{name} {path}: {target}");
        }
    }
}

#[test]
fn the_union_of_the_put_body_can_be_told_apart_by_clients() {
    for (name, document) in both() {
        let union = document["components"]["schemas"]["UpdateTask"]["oneOf"]
            .as_array()
            .unwrap();
        let mut words = Vec::new();
        for branch in union {
            let schema = resolve(&document, branch);
            let word = &schema["properties"]["operation"];
            assert_eq!(word["type"], "string", "{name}");
            words.extend(word["enum"].as_array().unwrap().iter().filter_map(Value::as_str));
            assert!(
                schema["required"]
                    .as_array()
                    .unwrap()
                    .contains(&json!("operation"))
            );
        }
        assert_eq!(words, ["start", "stop", "change_bandwidthpolicy"], "{name}");
    }
}

#[test]
fn the_two_shapes_of_a_reason_exclude_each_other() {
    for (_, document) in both() {
        let reason = &document["components"]["schemas"]["ErrorReason"]["oneOf"];
        assert_eq!(
            (&reason[0]["type"], &reason[0]["maxLength"]),
            (&json!("string"), &json!(0))
        );
        assert_eq!(reason[1]["$ref"], "#/components/schemas/TaskError");
    }
}

#[test]
fn links_lead_from_a_created_task_to_operations_with_their_parameters() {
    for (_, document) in both() {
        let all = operations(&document);
        let (.., create) = all
            .iter()
            .find(|(.., operation)| operation["operationId"] == "create_task")
            .unwrap();
        let links = create["responses"]["200"]["links"].as_object().unwrap();
        let mut targets: Vec<&str> = links.keys().map(String::as_str).collect();
        targets.sort_unstable();
        assert_eq!(targets, ["delete_task", "show_task", "update_task"]);
        for link in links.values() {
            let (.., target) = all
                .iter()
                .find(|(.., operation)| operation["operationId"] == link["operationId"])
                .unwrap();
            let parameters = target["parameters"].as_array().unwrap();
            let required = parameters
                .iter()
                .filter(|parameter| parameter["required"] == true);
            for parameter in required {
                let name = parameter["name"].as_str().unwrap();
                assert!(link["parameters"].get(name).is_some(), "{link}: {name}");
            }
        }
    }
}

#[test]
fn the_older_rendering_has_no_newer_words() {
    let [(_, newer), (_, older)] = both();
    assert_eq!(older["openapi"], "3.0.3");
    let license = json!({"name": "Apache-2.0", "url": "https://spdx.org/licenses/Apache-2.0.html"});
    assert_eq!(older["info"]["license"], license);
    each_object(&older["components"]["schemas"], "", &mut |place, fields| {
        // A property of a schema may have any name.
        if place.ends_with("/properties") || place.contains("/example") {
            return;
        }
        assert!(
            !fields.contains_key("examples") && !fields.contains_key("const"),
            "{place}"
        );
        assert!(
            fields
                .get("type")
                .is_none_or(|one| one.is_string() && one != "null"),
            "{place}"
        );
        assert!(!fields.contains_key("$ref") || fields.len() == 1, "{place}");
    });
    // Both documents have the same entries.
    for part in ["schemas", "securitySchemes"] {
        let names = |document: &Value| -> Vec<String> {
            document["components"][part]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect()
        };
        assert_eq!(names(&newer).len(), names(&older).len(), "{part}");
    }
    assert_eq!(operations(&newer).len(), operations(&older).len());
}
