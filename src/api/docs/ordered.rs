//! The text of a document that is the same each time. utoipa keeps extensions in a hash map, so two of one object come out in
//! another order in each process, and a checked-in file could not be compared with it. Pure.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// JSON whose objects keep the order of their fields.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Json {
    Object(IndexMap<String, Json>),
    Array(Vec<Json>),
    Scalar(Value),
}

/// The document with the extensions of each object behind its other fields, in the order of their names, on many lines.
///
/// # Errors
/// Those of the parser for a text that is no JSON.
pub fn pretty(text: &str) -> serde_json::Result<String> {
    let mut document: Json = serde_json::from_str(text)?;
    order(&mut document);
    serde_json::to_string_pretty(&document)
}

fn order(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            // The sort is stable, so fields that are no extensions keep their order.
            fields.sort_by(|one, _, other, _| extension(one).cmp(&extension(other)));
            fields.values_mut().for_each(order);
        }
        Json::Array(items) => items.iter_mut().for_each(order),
        Json::Scalar(_) => {}
    }
}

/// The name of an extension; `None`, which sorts first, for another field.
fn extension(name: &str) -> Option<&str> {
    name.starts_with("x-").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_come_last_and_sorted() {
        let text = r#"{"x-b":{"z":1,"a":2},"type":"string","x-a":[{"x-1":true,"b":null}],"enum":["x-"]}"#;
        let ordered: String = pretty(text).unwrap().split_whitespace().collect();
        let wanted = r#"{"type":"string","enum":["x-"],"x-a":[{"b":null,"x-1":true}],"x-b":{"z":1,"a":2}}"#;
        assert_eq!(ordered, wanted);
    }
}
