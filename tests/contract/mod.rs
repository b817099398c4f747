//! The document is correct, stays compatible and is checked in, and the code follows its layers.

mod answers;
mod circles;
mod codes;
mod compat;
mod conformance;
mod generators;
mod layers;
mod lint;
mod spec;
mod words;

use serde_json::Value;

/// The generated document.
fn document() -> Value {
    serde_json::from_str(&oms::api::docs::document_v1_json(oms::api::docs::Rendering::V31)).unwrap()
}

/// Path, method and operation of everything in `document`.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let items = document["paths"].as_object().unwrap();
    let methods = [
        "get", "put", "post", "delete", "patch", "head", "options", "trace",
    ];
    items
        .iter()
        .flat_map(|(path, item)| {
            let found = item.as_object().unwrap().iter();
            found
                .filter(|(method, _)| methods.contains(&method.as_str()))
                .map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
        })
        .collect()
}

/// The schema behind a `$ref`, or the schema itself.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(target) = schema.get("$ref").and_then(Value::as_str) else {
        return schema;
    };
    let found = document.pointer(target.trim_start_matches('#'));
    resolve(
        document,
        found.unwrap_or_else(|| panic!("{target} leads nowhere")),
    )
}
