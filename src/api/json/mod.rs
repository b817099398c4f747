//! Reads request bodies: strict JSON, and errors that name the field and never its value.
//!
//! The messages of `serde_json` repeat what they found, which may be a secret in the wrong place. So a body becomes a
//! [`Node`] first, in which duplicated names are still visible, and the wire types read it through a deserializer
//! whose error type keeps what was expected and drops what was found.

mod build;
mod canonical;
mod fault;
mod read;

use std::collections::HashSet;

use serde::de::DeserializeOwned;

use self::fault::{join, shown};
use crate::api::codes;
use crate::error::{Error, Result};

/// A JSON value that keeps the order and the repetition of names.
#[derive(Clone, PartialEq)]
pub enum Node {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without a fraction that fits.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// An object.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Parses a body.
    ///
    /// # Errors
    /// OMS.0067 for what is not JSON, and for objects that have a name twice.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let refused = |text: String| Error::invalid(text).with_code(codes::NOT_JSON);
        let node: Self = serde_json::from_slice(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            refused(format!(
                "the body is not valid JSON (line {line}, column {column})"
            ))
        })?;
        match node.duplicate() {
            Some(path) => Err(refused(format!("{path} is given twice"))),
            None => Ok(node),
        }
    }

    /// The value of a field; `None` also when this is no object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::List(_) => None,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::List(_)
            | Self::Object(_) => None,
        }
    }

    /// Reads a wire type.
    ///
    /// # Errors
    /// OMS.0002 for a wrong type, OMS.0074 for a missing or unknown field, OMS.0064 for a text that is none of those
    /// allowed; the message begins with the path of the field.
    pub fn read<T: DeserializeOwned>(self) -> Result<T> {
        serde_path_to_error::deserialize(self).map_err(|error| {
            let path = error.path().to_string();
            error.into_inner().at(&path)
        })
    }

    fn duplicate(&self) -> Option<String> {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::Text(_) => None,
            Self::List(items) => items.iter().enumerate().find_map(|(index, item)| {
                let below = item.duplicate()?;
                Some(join(&format!("[{index}]"), &below))
            }),
            Self::Object(fields) => {
                let mut seen = HashSet::new();
                fields.iter().find_map(|(name, value)| {
                    if !seen.insert(name) {
                        return Some(shown(name).to_owned());
                    }
                    let below = value.duplicate()?;
                    Some(join(shown(name), &below))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read for its form only")]
    struct Outer {
        count: Option<i64>,
        inner: Vec<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read for its form only")]
    struct Inner {
        name: String,
        colour: Option<Colour>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    fn refused(body: &str) -> (String, String) {
        let error = Node::parse(body.as_bytes())
            .and_then(Node::read::<Outer>)
            .unwrap_err();
        (error.code().unwrap().to_owned(), error.message().to_owned())
    }

    #[test]
    fn messages_name_the_field_and_what_it_should_be() {
        let cases = [
            ("7", "OMS.0002", "the body must be an object"),
            ("[]", "OMS.0002", "the body must be an object"),
            ("[1,[]]", "OMS.0002", "the body must be an object"),
            (
                r#"{"inner":[["a","red"]]}"#,
                "OMS.0002",
                "inner[0] must be an object",
            ),
            ("{}", "OMS.0074", "inner is required"),
            (r#"{"inner":{}}"#, "OMS.0002", "inner must be an array"),
            (r#"{"inner":null}"#, "OMS.0002", "inner must be an array"),
            (r#"{"inner":[{}]}"#, "OMS.0074", "inner[0].name is required"),
            (
                r#"{"inner":[{"name":7}]}"#,
                "OMS.0002",
                "inner[0].name must be a string",
            ),
            (
                r#"{"inner":[{"name":"","colour":"blue"}]}"#,
                "OMS.0064",
                "inner[0].colour must be one of red, green",
            ),
            (
                r#"{"inner":[{"name":"","colour":{"red":null}}]}"#,
                "OMS.0002",
                "inner[0].colour must be a string",
            ),
            (
                r#"{"inner":[{"name":"","nam":1}]}"#,
                "OMS.0074",
                "inner[0].nam is not a known field",
            ),
            (
                r#"{"inner":[],"x y":1}"#,
                "OMS.0074",
                "(a field) is not a known field",
            ),
            (
                r#"{"inner":[],"count":"1"}"#,
                "OMS.0002",
                "count must be an integer",
            ),
            (
                r#"{"inner":[],"count":1.5}"#,
                "OMS.0002",
                "count must be an integer",
            ),
            (
                r#"{"inner":[],"count":99999999999999999999}"#,
                "OMS.0002",
                "count must be an integer",
            ),
        ];
        for (body, code, message) in cases {
            assert_eq!(refused(body), (code.to_owned(), message.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_number_without_a_fraction_is_an_integer() {
        for body in [r#"{"inner":[],"count":50.0}"#, r#"{"inner":[],"count":5e1}"#] {
            let outer: Outer = Node::parse(body.as_bytes()).unwrap().read().unwrap();
            assert_eq!(outer.count, Some(50), "{body}");
        }
    }

    #[test]
    fn repeated_names_are_refused_wherever_they_are() {
        for (body, path) in [
            (r#"{"inner":[],"inner":[]}"#, "inner"),
            (r#"{"inner":[{"name":"a","name":"a"}]}"#, "inner[0].name"),
            (r#"[[{"a":{"b":1,"b":2}}]]"#, "[0][0].a.b"),
            (r#"{"a":1,"\u0061":1}"#, "a"),
        ] {
            let (code, message) = refused(body);
            assert_eq!(
                (code.as_str(), message),
                ("OMS.0067", format!("{path} is given twice"))
            );
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for body in [
            "",
            "{",
            "{'a':1}",
            "{\"a\":1}}",
            "nul",
            "{\"a\":\"\\ud800\"}",
            &"[".repeat(200),
        ] {
            assert_eq!(refused(body).0, "OMS.0067", "{body}");
        }
        assert!(Node::parse(b"\"\xff\"").is_err());
    }
}
