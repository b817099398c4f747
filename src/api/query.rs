//! Reads query strings strictly: each parameter once, none that is not known.

use percent_encoding::percent_decode_str;

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
