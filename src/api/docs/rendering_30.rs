//! The document as OpenAPI 3.0.3, for tools that read no 3.1: pure functions from JSON to JSON.
//!
//! What 3.0.3 cannot say is said more loosely, never differently: everything that the 3.1 document allows is allowed.
//! The differences are those of <https://www.openapis.org/blog/2021/02/16/migrating-from-openapi-3-0-to-3-1-0>.

use serde_json::{Map, Value, json};

/// Keywords of JSON Schema that 3.0.3 does not have. They only narrow what is allowed, so leaving them out is loose.
const UNKNOWN: [&str; 17] = [
    "$comment",
    "$defs",
    "$schema",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentEncoding",
];

/// Converts a whole document.
#[must_use]
pub fn document(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    if let Some(fields) = document.as_object_mut() {
        fields.remove("jsonSchemaDialect");
        fields.remove("webhooks");
    }
    if let Some(info) = document.get_mut("info").and_then(Value::as_object_mut) {
        info.remove("summary");
        if let Some(license) = info.get_mut("license").and_then(Value::as_object_mut) {
            license_url(license);
        }
    }
    if let Some(schemas) = document.pointer_mut("/components/schemas") {
        each_value(schemas, convert);
    }
    if let Some(items) = document.get_mut("paths") {
        each_value(items, |item| each_value(item, operation));
    }
    document
}

/// `identifier` is new in 3.1; the list of these identifiers has a page for each.
fn license_url(license: &mut Map<String, Value>) {
    let identifier = license.remove("identifier");
    if let Some(identifier) = identifier.as_ref().and_then(Value::as_str)
        && !license.contains_key("url")
    {
        let url = format!("https://spdx.org/licenses/{identifier}.html");
        license.insert("url".to_owned(), Value::String(url));
    }
}

fn each_value(value: &mut Value, mut change: impl FnMut(&mut Value)) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(&mut change),
        Value::Array(items) => items.iter_mut().for_each(&mut change),
        _ => {}
    }
}

/// Converts the schemas of an operation. What else is in a path item has no operation's fields.
fn operation(operation: &mut Value) {
    if let Some(parameters) = operation.get_mut("parameters") {
        each_value(parameters, schema_of);
    }
    if let Some(body) = operation.get_mut("requestBody") {
        contents_of(body);
    }
    if let Some(responses) = operation.get_mut("responses") {
        each_value(responses, |response| {
            contents_of(response);
            if let Some(headers) = response.get_mut("headers") {
                each_value(headers, schema_of);
            }
        });
    }
}

fn contents_of(parent: &mut Value) {
    if let Some(contents) = parent.get_mut("content") {
        each_value(contents, schema_of);
    }
}

fn schema_of(parent: &mut Value) {
    if let Some(inner) = parent.get_mut("schema") {
        convert(inner);
    }
}

fn convert(place: &mut Value) {
    *place = schema(place.take());
}

/// Converts a schema, with those inside of it.
#[must_use]
pub fn schema(schema: Value) -> Value {
    let mut fields = match schema {
        // 3.0.3 has no boolean schemas.
        Value::Bool(true) => return json!({}),
        Value::Bool(false) => return json!({"not": {}}),
        Value::Object(fields) => fields,
        other => return other,
    };
    fields.retain(|name, _| !UNKNOWN.contains(&name.as_str()));
    for name in ["oneOf", "anyOf", "allOf", "properties"] {
        if let Some(inner) = fields.get_mut(name) {
            each_value(inner, convert);
        }
    }
    for name in ["items", "not"] {
        if let Some(inner) = fields.get_mut(name) {
            convert(inner);
        }
    }
    if let Some(inner @ Value::Object(_)) = fields.get_mut("additionalProperties") {
        convert(inner);
    }
    single_example(&mut fields);
    constant(&mut fields);
    exclusive_limits(&mut fields);
    union_with_null(&mut fields);
    types(&mut fields);
    null_in_enum(&mut fields);
    plain_reference(fields)
}

/// `examples` becomes `example`, the first of them.
fn single_example(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(examples)) = fields.remove("examples")
        && let Some(first) = examples.into_iter().next()
        && !fields.contains_key("example")
    {
        fields.insert("example".to_owned(), first);
    }
}

/// `const` becomes an enumeration of one value.
fn constant(fields: &mut Map<String, Value>) {
    if let Some(value) = fields.remove("const") {
        fields.insert("enum".to_owned(), json!([value]));
    }
}

/// Exclusive limits are numbers in 3.1, and flags beside the limit in 3.0.3.
fn exclusive_limits(fields: &mut Map<String, Value>) {
    for (exclusive, limit) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if fields.get(exclusive).is_some_and(Value::is_number)
            && let Some(number) = fields.insert(exclusive.to_owned(), json!(true))
        {
            fields.insert(limit.to_owned(), number);
        }
    }
}

/// The branch `null` of a union becomes `nullable`; the branch that is left alone becomes the whole of it.
fn union_with_null(fields: &mut Map<String, Value>) {
    for name in ["oneOf", "anyOf"] {
        let Some(Value::Array(branches)) = fields.get_mut(name) else {
            continue;
        };
        let before = branches.len();
        // What `types` made of `{"type": "null"}`.
        branches.retain(|branch| *branch != json!({"nullable": true}));
        if branches.len() == before {
            continue;
        }
        let alone = branches.len() == 1;
        fields.insert("nullable".to_owned(), json!(true));
        if alone && let Some(branch) = fields.remove(name) {
            fields.insert("allOf".to_owned(), branch);
        }
    }
}

/// An array of types becomes one type, with `nullable` for `null`; more of them become a union.
fn types(fields: &mut Map<String, Value>) {
    let mut types = match fields.get("type") {
        Some(Value::String(one)) if one == "null" => vec![json!("null")],
        Some(Value::Array(types)) => types.clone(),
        _ => return,
    };
    let before = types.len();
    types.retain(|one| one != "null");
    if types.len() < before {
        fields.insert("nullable".to_owned(), json!(true));
    }
    match types.as_slice() {
        [] => fields.remove("type"),
        [one] => fields.insert("type".to_owned(), one.clone()),
        several => {
            let branches: Vec<Value> = several.iter().map(|one| json!({"type": one})).collect();
            fields.remove("type");
            fields.insert("anyOf".to_owned(), Value::Array(branches))
        }
    };
}

/// An enumeration that may be null must list it in 3.0.3 too (its clarification of `nullable`).
fn null_in_enum(fields: &mut Map<String, Value>) {
    let nullable = fields.get("nullable") == Some(&json!(true));
    if let Some(Value::Array(values)) = fields.get_mut("enum")
        && nullable
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
}

/// Nothing may stand beside `$ref` in 3.0.3, so a reference with company becomes the one part of `allOf`.
fn plain_reference(mut fields: Map<String, Value>) -> Value {
    if fields.len() > 1
        && let Some(reference) = fields.remove("$ref")
    {
        fields.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_say_the_same_in_the_older_words() {
        let reference = json!({"$ref": "#/components/schemas/A"});
        let cases = [
            (
                "a plain type",
                json!({"type": "string"}),
                json!({"type": "string"}),
            ),
            (
                "a type or null",
                json!({"type": ["string", "null"]}),
                json!({"type": "string", "nullable": true}),
            ),
            (
                "several types",
                json!({"type": ["string", "integer", "null"]}),
                json!({"anyOf": [{"type": "string"}, {"type": "integer"}], "nullable": true}),
            ),
            (
                "a reference or null",
                json!({"oneOf": [reference, {"type": "null"}], "description": "d"}),
                json!({"allOf": [reference], "nullable": true, "description": "d"}),
            ),
            (
                "one of two or null",
                json!({"anyOf": [reference, {"type": "string"}, {"type": "null"}]}),
                json!({"anyOf": [reference, {"type": "string"}], "nullable": true}),
            ),
            (
                "a union without null",
                json!({"oneOf": [reference, {"type": ["string", "null"]}]}),
                json!({"oneOf": [reference, {"type": "string", "nullable": true}]}),
            ),
            ("a reference", reference.clone(), reference.clone()),
            (
                "a reference with company",
                json!({"$ref": "#/components/schemas/A", "description": "d"}),
                json!({"allOf": [reference], "description": "d"}),
            ),
            ("a constant", json!({"const": 7}), json!({"enum": [7]})),
            (
                "an enumeration or null",
                json!({"type": ["string", "null"], "enum": ["a"]}),
                json!({"type": "string", "nullable": true, "enum": ["a", null]}),
            ),
            ("examples", json!({"examples": [1, 2]}), json!({"example": 1})),
            (
                "exclusive limits",
                json!({"exclusiveMinimum": 1, "exclusiveMaximum": 2.5}),
                json!({"minimum": 1, "exclusiveMinimum": true, "maximum": 2.5, "exclusiveMaximum": true}),
            ),
            (
                "keywords that are too new",
                json!({"type": "object", "dependentRequired": {"a": ["b"]}, "x-mark": 1}),
                json!({"type": "object", "x-mark": 1}),
            ),
            ("anything", json!(true), json!({})),
            ("nothing", json!(false), json!({"not": {}})),
            (
                "schemas inside",
                json!({
                    "properties": {"type": {"type": ["integer", "null"]}},
                    "items": {"const": 1},
                    "additionalProperties": {"type": ["string", "null"]}
                }),
                json!({
                    "properties": {"type": {"type": "integer", "nullable": true}},
                    "items": {"enum": [1]},
                    "additionalProperties": {"type": "string", "nullable": true}
                }),
            ),
            (
                "no more properties",
                json!({"additionalProperties": false}),
                json!({"additionalProperties": false}),
            ),
        ];
        for (name, from, to) in cases {
            assert_eq!(schema(from), to, "{name}");
        }
    }

    #[test]
    fn values_that_look_like_schemas_stay_as_they_are() {
        let example = json!({"type": ["string", "null"], "const": 1});
        let from = json!({
            "openapi": "3.1.0",
            "info": {"title": "t", "summary": "s", "license": {"name": "n", "identifier": "MIT"}},
            "paths": {"/a": {"get": {
                "parameters": [{"name": "p", "schema": {"type": ["integer", "null"]}, "example": example}],
                "requestBody": {"content": {"application/json": {"schema": {"const": 1}, "example": example}}},
                "responses": {"200": {
                    "headers": {"h": {"schema": {"type": ["string", "null"]}}},
                    "content": {"application/json": {"examples": {"one": {"value": example}}}}
                }}
            }}},
            "components": {"schemas": {"A": {"type": ["string", "null"], "examples": [example]}}}
        });
        let to = json!({
            "openapi": "3.0.3",
            "info": {"title": "t", "license": {"name": "n", "url": "https://spdx.org/licenses/MIT.html"}},
            "paths": {"/a": {"get": {
                "parameters": [{"name": "p", "schema": {"type": "integer", "nullable": true}, "example": example}],
                "requestBody": {"content": {"application/json": {"schema": {"enum": [1]}, "example": example}}},
                "responses": {"200": {
                    "headers": {"h": {"schema": {"type": "string", "nullable": true}}},
                    "content": {"application/json": {"examples": {"one": {"value": example}}}}
                }}
            }}},
            "components": {"schemas": {"A": {"type": "string", "nullable": true, "example": example}}}
        });
        assert_eq!(document(from), to);
    }
}
