//! Compares the document with the last released one. Nothing that a client relies on may be removed.
//!
//! What clients send (inputs) may be widened. What they receive (outputs) may be narrowed. An intended break has a line in
//! `openapi/accepted-breaks.txt`: `text of the break # reason`. A line that matches no break fails the test too.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{document, operations, resolve};

/// Whether a client sends or receives what a schema describes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Direction {
    Input,
    Output,
}

/// Two documents, and the breaks between them.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    breaks: Vec<String>,
    /// Pairs of references that were already compared. Some schemas contain themselves.
    seen: HashSet<(String, String, Direction)>,
}

fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        old,
        new,
        breaks: Vec::new(),
        seen: HashSet::new(),
    };
    comparison.operations();
    comparison.breaks.sort();
    comparison.breaks.dedup();
    comparison.breaks
}

impl Comparison<'_> {
    fn found(&mut self, place: &str, text: &str) {
        self.breaks.push(format!("{place}: {text}"));
    }

    fn operations(&mut self) {
        let (old, new) = (self.old, self.new);
        for (path, method, before) in operations(old) {
            let place = format!("{method} {path}");
            let Some(after) = new["paths"].get(path).and_then(|item| item.get(method)) else {
                self.found(&place, "operation removed");
                continue;
            };
            if before["operationId"] != after["operationId"] {
                self.found(&place, "operationId changed");
            }
            self.parameters(&place, before, after);
            self.body(&place, &before["requestBody"], &after["requestBody"]);
            self.responses(&place, &before["responses"], &after["responses"]);
        }
    }

    fn parameters(&mut self, place: &str, before: &Value, after: &Value) {
        let empty = Vec::new();
        let of = |operation: &'_ Value| {
            operation["parameters"]
                .as_array()
                .cloned()
                .unwrap_or_else(|| empty.clone())
        };
        let same = |a: &Value, b: &Value| a["name"] == b["name"] && a["in"] == b["in"];
        let (before, after) = (of(before), of(after));
        for old in &before {
            let name = format!("{place} parameter {}", old["name"].as_str().unwrap());
            let Some(new) = after.iter().find(|new| same(old, new)) else {
                self.found(&name, "removed");
                continue;
            };
            if new["required"] == true && old["required"] != true {
                self.found(&name, "became required");
            }
            self.schema(&name, &old["schema"], &new["schema"], Direction::Input);
        }
        for new in after.iter().filter(|new| new["required"] == true) {
            if !before.iter().any(|old| same(old, new)) {
                let name = format!("{place} parameter {}", new["name"].as_str().unwrap());
                self.found(&name, "added as required");
            }
        }
    }

    fn body(&mut self, place: &str, before: &Value, after: &Value) {
        let place = format!("{place} body");
        if after["required"] == true && before["required"] != true {
            self.found(&place, "became required");
        }
        self.contents(&place, &before["content"], &after["content"], Direction::Input);
    }

    fn responses(&mut self, place: &str, before: &Value, after: &Value) {
        let codes =
            |responses: &Value| -> Vec<String> { responses.as_object().unwrap().keys().cloned().collect() };
        for code in codes(before) {
            let place = format!("{place} {code}");
            match after.get(&code) {
                Some(new) => self.contents(
                    &place,
                    &before[&code]["content"],
                    &new["content"],
                    Direction::Output,
                ),
                None if code.starts_with('2') => self.found(&place, "success removed"),
                None => {}
            }
        }
        for code in codes(after) {
            if code.starts_with('2') && before.get(&code).is_none() {
                self.found(&format!("{place} {code}"), "success added");
            }
        }
    }

    fn contents(&mut self, place: &str, before: &Value, after: &Value, direction: Direction) {
        let empty = serde_json::Map::new();
        let (before, after) = (
            before.as_object().unwrap_or(&empty),
            after.as_object().unwrap_or(&empty),
        );
        for (kind, old) in before {
            match after.get(kind) {
                Some(new) => self.schema(place, &old["schema"], &new["schema"], direction),
                None => self.found(place, &format!("{kind} removed")),
            }
        }
        if direction == Direction::Output && before.is_empty() && !after.is_empty() {
            self.found(place, "content added");
        }
    }

    /// Compares two schemas. Each variant that one side may send must be known to the other side.
    fn schema(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        if let (Some(a), Some(b)) = (reference(old), reference(new))
            && !self.seen.insert((a, b, direction))
        {
            return;
        }
        let (olds, news) = (variants(self.old, old), variants(self.new, new));
        let (sent, known) = match direction {
            Direction::Input => (&olds, &news),
            Direction::Output => (&news, &olds),
        };
        for one in sent {
            let compared = known.iter().map(|other| {
                let (old, new) = if direction == Direction::Input {
                    (one, other)
                } else {
                    (other, one)
                };
                let mut inner = Comparison {
                    old: self.old,
                    new: self.new,
                    breaks: Vec::new(),
                    seen: self.seen.clone(),
                };
                inner.variant(place, old, new, direction);
                inner.breaks
            });
            let least = compared.min_by_key(Vec::len).unwrap_or_default();
            self.breaks.extend(least);
        }
    }

    fn variant(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        // From here on, `wide` must allow everything that `narrow` allows.
        let (narrow, wide) = if direction == Direction::Input {
            (old, new)
        } else {
            (new, old)
        };
        if wide.get("type").is_some() && narrow.get("type") != wide.get("type") {
            self.found(place, &format!("type {} became {}", old["type"], new["type"]));
            return;
        }
        if let Some(allowed) = wide["enum"].as_array() {
            let values = narrow["enum"].as_array();
            if !values.is_some_and(|values| values.iter().all(|value| allowed.contains(value))) {
                self.found(place, &format!("values {} became {}", old["enum"], new["enum"]));
            }
        }
        for (limit, lower) in [
            ("minimum", true),
            ("minLength", true),
            ("minItems", true),
            ("maximum", false),
            ("maxLength", false),
            ("maxItems", false),
        ] {
            let inside = match (narrow[limit].as_f64(), wide[limit].as_f64()) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(narrow), Some(wide)) => {
                    if lower {
                        narrow >= wide
                    } else {
                        narrow <= wide
                    }
                }
            };
            if !inside {
                self.found(place, &format!("{limit} {} became {}", old[limit], new[limit]));
            }
        }
        if wide.get("pattern").is_some() && narrow.get("pattern") != wide.get("pattern") {
            self.found(place, "pattern changed");
        }
        if old.get("format") != new.get("format") {
            self.found(place, "format changed");
        }
        if old.get("items").is_some() && new.get("items").is_some() {
            self.schema(&format!("{place}[]"), &old["items"], &new["items"], direction);
        }
        self.properties(place, old, new, direction);
    }

    fn properties(&mut self, place: &str, old: &Value, new: &Value, direction: Direction) {
        let empty = serde_json::Map::new();
        let of = |schema: &'_ Value| {
            schema["properties"]
                .as_object()
                .cloned()
                .unwrap_or_else(|| empty.clone())
        };
        let (before, after) = (of(old), of(new));
        for (name, schema) in &before {
            let place = format!("{place}.{name}");
            match after.get(name) {
                Some(now) => self.schema(&place, schema, now, direction),
                None => self.found(&place, "removed"),
            }
        }
        let required = |schema: &Value, name: &str| {
            schema["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|known| known == name))
        };
        for name in before.keys().chain(after.keys()) {
            let (was, is) = (required(old, name), required(new, name));
            match direction {
                Direction::Input if is && !was => self.found(&format!("{place}.{name}"), "became required"),
                Direction::Output if was && !is => {
                    self.found(&format!("{place}.{name}"), "is not always there now")
                }
                Direction::Input | Direction::Output => {}
            }
        }
        if direction == Direction::Input
            && new["additionalProperties"] == false
            && old["additionalProperties"] != false
        {
            self.found(place, "other fields are refused now");
        }
    }
}

fn reference(schema: &Value) -> Option<String> {
    schema.get("$ref")?.as_str().map(str::to_owned)
}

/// The variants of a schema, each with one type.
fn variants(document: &Value, schema: &Value) -> Vec<Value> {
    let schema = resolve(document, schema);
    for union in ["oneOf", "anyOf"] {
        if let Some(members) = schema.get(union).and_then(Value::as_array) {
            return members
                .iter()
                .flat_map(|member| variants(document, member))
                .collect();
        }
    }
    let Some(types) = schema.get("type").and_then(Value::as_array) else {
        return vec![schema.clone()];
    };
    let one = |kind: &Value| {
        if kind == "null" {
            return json!({"type": "null"});
        }
        let mut schema = schema.clone();
        schema["type"] = kind.clone();
        schema
    };
    types.iter().map(one).collect()
}

#[test]
fn nothing_that_clients_rely_on_is_broken() {
    let root = env!("CARGO_MANIFEST_DIR");
    let released = std::fs::read_to_string(format!("{root}/openapi/released/v1.json")).unwrap();
    let released = serde_json::from_str(&released).unwrap();
    let accepted = std::fs::read_to_string(format!("{root}/openapi/accepted-breaks.txt")).unwrap_or_default();
    let mut accepted: Vec<&str> = accepted
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            line.split_once(" # ")
                .expect("each accepted break has a reason")
                .0
        })
        .collect();
    let mut found = breaks(&released, &document());
    found.retain(|text| {
        let known = accepted.iter().position(|line| line == text);
        known.map(|index| accepted.swap_remove(index)).is_none()
    });
    assert!(found.is_empty(), "breaking changes:\n{}", found.join("\n"));
    assert!(accepted.is_empty(), "accepted breaks that are none: {accepted:?}");
}

/// The breaks that the comparison finds after `change`.
#[track_caller]
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let old = document();
    let mut new = old.clone();
    change(&mut new);
    assert_ne!(old, new, "the change must change something");
    breaks(&old, &new)
}

#[track_caller]
fn at<'a>(document: &'a mut Value, pointer: &str) -> &'a mut Value {
    document
        .pointer_mut(pointer)
        .unwrap_or_else(|| panic!("no {pointer}"))
}

const TASKS: &str = "/paths/~1v1~1{project_id}~1objectstorage~1task";
const SCHEMAS: &str = "/components/schemas";

#[test]
fn each_kind_of_break_is_found() {
    let object = |document: &mut Value, pointer: &str, name: &str| {
        at(document, pointer)
            .as_object_mut()
            .unwrap()
            .remove(name)
            .unwrap();
    };
    let put = |document: &mut Value, pointer: &str, name: &str, value: Value| {
        at(document, pointer)[name] = value;
    };
    let s = |rest: &str| format!("{SCHEMAS}{rest}");
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("operation removed", after(|d| object(d, TASKS, "post"))),
        (
            "operationId changed",
            after(|d| put(d, &format!("{TASKS}/post"), "operationId", json!("make"))),
        ),
        (
            "parameter state: removed",
            after(|d| {
                at(d, &format!("{TASKS}/get/parameters"))
                    .as_array_mut()
                    .unwrap()
                    .retain(|p| p["name"] != "state");
            }),
        ),
        (
            "became required",
            after(|d| {
                for parameter in at(d, &format!("{TASKS}/get/parameters")).as_array_mut().unwrap() {
                    parameter["required"] = json!(true);
                }
            }),
        ),
        (
            "200[].progress: removed",
            after(|d| object(d, &s("/Task/properties"), "progress")),
        ),
        (
            ".progress: is not always there now",
            after(|d| {
                at(d, &s("/Task/required"))
                    .as_array_mut()
                    .unwrap()
                    .retain(|name| name != "progress");
            }),
        ),
        (
            "body.description: became required",
            after(|d| {
                at(d, &s("/CreateTask/required"))
                    .as_array_mut()
                    .unwrap()
                    .push(json!("description"));
            }),
        ),
        (
            "body.source_ak: removed",
            after(|d| object(d, &s("/StartTask/properties"), "source_ak")),
        ),
        (
            "type \"boolean\" became \"null\"",
            after(|d| {
                put(
                    d,
                    &s("/Task/properties/enableKMS"),
                    "type",
                    json!(["boolean", "null"]),
                )
            }),
        ),
        (
            "type \"integer\" became \"string\"",
            after(|d| put(d, &s("/Task/properties/id"), "type", json!("string"))),
        ),
        (
            "maxLength 100 became 50",
            after(|d| put(d, &s("/StartTask/properties/source_ak"), "maxLength", json!(50))),
        ),
        (
            "minimum 0 became -1",
            after(|d| put(d, &s("/Task/properties/progress"), "minimum", json!(-1))),
        ),
        (
            "values",
            after(|d| {
                at(d, &s("/CloudName/enum"))
                    .as_array_mut()
                    .unwrap()
                    .retain(|name| name != "Baidu");
            }),
        ),
        (
            "values",
            after(|d| {
                at(d, &s("/TaskType/enum"))
                    .as_array_mut()
                    .unwrap()
                    .push(json!("folder"))
            }),
        ),
        (
            "pattern changed",
            after(|d| put(d, &s("/SourceNode/properties/bucket"), "pattern", json!("^a$"))),
        ),
        (
            "success removed",
            after(|d| {
                object(d, &format!("{TASKS}~1{{task_id}}/delete/responses"), "200");
            }),
        ),
        (
            "success added",
            after(|d| {
                put(
                    d,
                    &format!("{TASKS}~1{{task_id}}/delete/responses"),
                    "204",
                    json!({"description": "x"}),
                );
            }),
        ),
        (
            "operation",
            after(|d| {
                at(d, &s("/UpdateTask/oneOf")).as_array_mut().unwrap().remove(1);
            }),
        ),
    ];
    for (wanted, found) in cases {
        let text = found.join("\n");
        assert!(text.contains(wanted), "{wanted:?} not in {text:?}");
    }
}

#[test]
fn what_clients_do_not_notice_is_allowed() {
    let s = |rest: &str| format!("{SCHEMAS}{rest}");
    let found = after(|d| {
        at(d, &s("/Task/properties"))["new_field"] = json!({"type": "string"});
        at(d, &s("/Task/required"))
            .as_array_mut()
            .unwrap()
            .push(json!("new_field"));
        at(d, &s("/CreateTask/properties"))["new_option"] = json!({"type": ["string", "null"]});
        at(d, &s("/StartTask/properties/source_ak"))["maxLength"] = json!(200);
        at(d, &s("/StartTask/required")).as_array_mut().unwrap().pop();
        at(d, &s("/TargetCloud/enum"))
            .as_array_mut()
            .unwrap()
            .push(json!("Azure"));
        at(d, &s("/Task/properties/progress"))["maximum"] = json!(0.9);
        at(d, &s("/Task/properties/description"))["description"] = json!("said better");
        at(d, "/paths")["/v1/{project_id}/new"] = json!({"get": {"operationId": "x", "responses": {}}});
        at(d, &format!("{TASKS}/get/responses"))["429"] = json!({"description": "too fast"});
    });
    assert_eq!(found, Vec::<String>::new());
}
