//! Reads query strings strictly: each parameter once, none that is not known.

use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, Number};

use super::codes;
use crate::error::{Error, Result};

/// The parameters of a request, each at most once.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query string apart. `known` names the allowed parameters, each with the OMS code of its errors.
    ///
    /// # Errors
    /// OMS.0074 for a parameter that is not known; the parameter's own code when it is given twice.
    pub fn parse(text: &str, known: &[(&str, &str)]) -> Result<Self> {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let Some((_, code)) = known.iter().find(|(wanted, _)| *wanted == name) else {
                let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
                let text = match names.as_slice() {
                    [] => "this path takes no query parameters".to_owned(),
                    names => format!("a query parameter is not known; known are {}", names.join(", ")),
                };
                return Err(Error::invalid(text).with_code(codes::FIELDS));
            };
            if found.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Error::invalid(format!("{name} is given twice")).with_code(*code));
            }
            found.push((name, value));
        }
        Ok(Self(found))
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter as a whole number from `least` to `most`.
    ///
    /// # Errors
    /// `code` when it is anything else.
    pub fn integer(&self, name: &str, least: i64, most: i64, code: &str) -> Result<Option<i64>> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let text = format!("{name} must be a whole number from {least} to {most}");
                Err(Error::invalid(text).with_code(code))
            }
        }
    }
}

/// The query parameters of an operation: a struct that the document describes, and that requests are read into.
pub trait Parameters: IntoParams + Sized {
    /// The OMS code of errors of a parameter.
    fn code(name: &str) -> &'static str;

    /// Reads the fields.
    ///
    /// # Errors
    /// The code of the first parameter with a wrong value.
    fn fields(query: &DeclaredQuery) -> Result<Self>;

    /// Reads a query string.
    ///
    /// # Errors
    /// Those of [`Query::parse`] and [`Self::fields`].
    fn read(text: &str) -> Result<Self> {
        let declared = Self::into_params(|| Some(ParameterIn::Query));
        let known: Vec<(&str, &str)> = declared
            .iter()
            .map(|parameter| (parameter.name.as_str(), Self::code(&parameter.name)))
            .collect();
        Self::fields(&DeclaredQuery {
            query: Query::parse(text, &known)?,
            code: Self::code,
            declared,
        })
    }
}

/// A query string with the declaration of its parameters.
pub struct DeclaredQuery {
    query: Query,
    declared: Vec<Parameter>,
    code: fn(&str) -> &'static str,
}

impl DeclaredQuery {
    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(self.declared.iter().any(|parameter| parameter.name == name));
        self.query.get(name)
    }

    /// The value of a parameter as a whole number between its declared `minimum` and `maximum`.
    ///
    /// # Errors
    /// The code of the parameter when it is anything else.
    pub fn integer(&self, name: &str) -> Result<Option<i64>> {
        let schema = self.declared.iter().find(|parameter| parameter.name == name);
        let Some(Some(RefOr::T(Schema::Object(schema)))) = schema.map(|parameter| &parameter.schema) else {
            return Err(Error::internal("the parameter is not declared as a number"));
        };
        let (least, most) = (whole(schema.minimum.as_ref()), whole(schema.maximum.as_ref()));
        self.integer_in(name, least.unwrap_or(i64::MIN)..=most.unwrap_or(i64::MAX))
    }

    /// The value of a parameter as a whole number in `range`, for a parameter whose schema only names another one.
    ///
    /// # Errors
    /// The code of the parameter when it is anything else.
    pub fn integer_in(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let (least, most) = range.into_inner();
        self.query.integer(name, least, most, (self.code)(name))
    }

    /// The value of a parameter as `true` or `false`.
    ///
    /// # Errors
    /// The code of the parameter when it is anything else.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>> {
        match self.get(name) {
            None => Ok(None),
            Some("false") => Ok(Some(false)),
            Some("true") => Ok(Some(true)),
            Some(_) => {
                Err(Error::invalid(format!("{name} must be true or false")).with_code((self.code)(name)))
            }
        }
    }
}

fn whole(bound: Option<&Number>) -> Option<i64> {
    match bound? {
        Number::Int(bound) => i64::try_from(*bound).ok(),
        Number::UInt(bound) => i64::try_from(*bound).ok(),
        Number::Float(_) => None,
    }
}

fn decode(text: &str) -> Result<String> {
    let plain = text.replace('+', " ");
    percent_decode_str(&plain)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| {
            Error::invalid("the query string must be percent-encoded UTF-8").with_code(codes::INVALID_VALUE)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[(&str, &str)] = &[("start", "OMS.0051"), ("state", "OMS.0052")];

    fn code(text: &str) -> Option<String> {
        Query::parse(text, KNOWN)
            .err()
            .and_then(|error| error.code().map(str::to_owned))
    }

    #[test]
    fn each_parameter_is_known_and_given_once() {
        assert_eq!(code("start=0&state=1&"), None);
        assert_eq!(code("start=0&start=0").as_deref(), Some("OMS.0051"));
        assert_eq!(code("state=0&st%61te=0").as_deref(), Some("OMS.0052"));
        assert_eq!(code("offset=0").as_deref(), Some("OMS.0074"));
        assert_eq!(code("start=%ff").as_deref(), Some("OMS.0064"));
    }

    #[test]
    fn numbers_are_plain_digits_in_their_range() {
        for bad in ["", "-1", "+1", "6", "1e0", "0x1", "99999999999999999999", "१"] {
            let query = Query(vec![("state".to_owned(), bad.to_owned())]);
            let error = query.integer("state", 0, 5, "OMS.0052").unwrap_err();
            assert_eq!(error.code(), Some("OMS.0052"), "{bad}");
            assert_eq!(error.message(), "state must be a whole number from 0 to 5");
        }
        let query = Query::parse("state=05", KNOWN).unwrap();
        assert_eq!(query.integer("state", 0, 5, "OMS.0052").unwrap(), Some(5));
        assert_eq!(query.integer("start", 0, 5, "OMS.0051").unwrap(), None);
    }
}
