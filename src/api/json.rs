//! Reads request bodies: strict JSON, and errors that name the field and never its value.
//!
//! The messages of `serde_json` repeat what they found, which may be a secret in the wrong place. So a body becomes a
//! [`Node`] first, in which duplicated names are still visible, and the wire types read it through a deserializer
//! whose error type keeps what was expected and drops what was found.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer, StringDeserializer};
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, Visitor,
};

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
        let refused = |text: String| Error::invalid(text).with_code("OMS.0067");
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

fn join(above: &str, below: &str) -> String {
    match (above, below) {
        ("" | ".", below) => below.to_owned(),
        (above, below) if below.starts_with('[') => format!("{above}{below}"),
        (above, below) => format!("{above}.{below}"),
    }
}

/// A name of the caller's, if it looks like one; anything else may be a value that lost its place.
fn shown(name: &str) -> &str {
    let fine = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fine && !name.is_empty() {
        name
    } else {
        "(a field)"
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Node, E> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "too large for every field, so only its size counts"
        )]
        Ok(i64::try_from(value).map_or(Node::Float(value as f64), Node::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Node, E> {
        // JSON has one kind of number: 50.0 is the integer 50. Beyond 2^53 a float names no single integer.
        #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
        Ok(
            if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 {
                Node::Integer(value as i64)
            } else {
                Node::Float(value)
            },
        )
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Node::Object(fields))
    }
}

impl<'de> Deserializer<'de> for Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Integer(value) => visitor.visit_i64(value),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(value) => visitor.visit_string(value),
            Self::List(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter())),
            Self::Object(fields) => visitor.visit_map(MapDeserializer::new(fields.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> std::result::Result<V::Value, Fault> {
        if self == Self::Null {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> std::result::Result<V::Value, Fault> {
        match self {
            Self::Text(text) => visitor.visit_enum(TextVariant(text)),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Float(_)
            | Self::List(_)
            | Self::Object(_) => Err(Fault::Type("a string".to_owned())),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Fault> for Node {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

/// A variant named by a string.
struct TextVariant(String);

impl<'de> EnumAccess<'de> for TextVariant {
    type Error = Fault;
    type Variant = <StringDeserializer<Fault> as EnumAccess<'de>>::Variant;

    fn variant_seed<V: serde::de::DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> std::result::Result<(V::Value, Self::Variant), Fault> {
        let text: StringDeserializer<Fault> = self.0.into_deserializer();
        text.variant_seed(seed)
    }
}

/// What is wrong with a field, without what was found there.
#[derive(Debug)]
pub enum Fault {
    /// Another type is wanted.
    Type(String),
    /// A field is not there.
    Missing(&'static str),
    /// A field is not known.
    Unknown(String),
    /// The text must be one of these.
    OneOf(&'static [&'static str]),
    /// Anything else.
    Other,
}

impl Fault {
    fn at(self, path: &str) -> Error {
        let place = |fallback: &str| {
            let known = path != "." && !path.is_empty();
            if known {
                path.to_owned()
            } else {
                fallback.to_owned()
            }
        };
        match self {
            Self::Type(wanted) => {
                Error::invalid(format!("{} must be {wanted}", place("the body"))).with_code("OMS.0002")
            }
            Self::Missing(field) => {
                Error::invalid(format!("{} is required", join(path, field))).with_code("OMS.0074")
            }
            Self::Unknown(field) => {
                let above = path.strip_suffix(field.as_str()).unwrap_or(path);
                let name = join(above.trim_end_matches('.'), shown(&field));
                Error::invalid(format!("{name} is not a known field")).with_code("OMS.0074")
            }
            Self::OneOf(texts) => {
                let texts: Vec<_> = texts.iter().filter(|text| !text.is_empty()).copied().collect();
                let text = format!("{} must be one of {}", place("the body"), texts.join(", "));
                Error::invalid(text).with_code("OMS.0064")
            }
            Self::Other => {
                Error::invalid(format!("{} has an invalid value", place("the body"))).with_code("OMS.0002")
            }
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field is wrong")
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Other
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let wanted = wanted.to_string();
        Self::Type(match wanted.as_str() {
            "i64" | "u64" => "an integer".to_owned(),
            "a sequence" => "an array".to_owned(),
            text if text.starts_with("struct ") => "an object".to_owned(),
            _ => wanted,
        })
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::invalid_type(found, wanted)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown(field.to_owned())
    }

    fn unknown_variant(_: &str, wanted: &'static [&'static str]) -> Self {
        Self::OneOf(wanted)
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
