//! What may be wrong with a field, said without what was found there.

use std::fmt;

use serde::de::{Expected, Unexpected};

use crate::api::codes;
use crate::error::Error;

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
    /// The error for the caller; `path` is where the reading stopped.
    pub fn at(self, path: &str) -> Error {
        let place = |fallback: &str| {
            let known = path != "." && !path.is_empty();
            if known {
                path.to_owned()
            } else {
                fallback.to_owned()
            }
        };
        match self {
            Self::Type(wanted) => Error::invalid(format!("{} must be {wanted}", place("the body")))
                .with_code(codes::INVALID_FORMAT),
            Self::Missing(field) => {
                Error::invalid(format!("{} is required", join(path, field))).with_code(codes::FIELDS)
            }
            Self::Unknown(field) => {
                let above = path.strip_suffix(field.as_str()).unwrap_or(path);
                let name = join(above.trim_end_matches('.'), shown(&field));
                Error::invalid(format!("{name} is not a known field")).with_code(codes::FIELDS)
            }
            Self::OneOf(texts) => {
                let texts: Vec<_> = texts.iter().filter(|text| !text.is_empty()).copied().collect();
                let text = format!("{} must be one of {}", place("the body"), texts.join(", "));
                Error::invalid(text).with_code(codes::INVALID_VALUE)
            }
            Self::Other => Error::invalid(format!("{} has an invalid value", place("the body")))
                .with_code(codes::INVALID_FORMAT),
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

/// A path below another.
pub fn join(above: &str, below: &str) -> String {
    match (above, below) {
        ("" | ".", below) => below.to_owned(),
        (above, below) if below.starts_with('[') => format!("{above}{below}"),
        (above, below) => format!("{above}.{below}"),
    }
}

/// A name of the caller's, if it looks like one; anything else may be a value that lost its place.
pub fn shown(name: &str) -> &str {
    let fine = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fine && !name.is_empty() {
        name
    } else {
        "(a field)"
    }
}
