//! The header `Idempotency-Key`: the same request sent twice creates one task.
//!
//! After draft-ietf-httpapi-idempotency-key-header, with any visible characters where the draft asks for a quoted string.

use actix_web::http::header::HeaderMap;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::codes;
use crate::error::{Error, Result};

/// Name of the header.
pub const HEADER: &str = "Idempotency-Key";
/// Longest key, in characters.
const LONGEST: usize = 255;

/// Reads the key of a request, where it has one.
///
/// # Errors
/// OMS.0064 for a key that is empty, too long, given twice, or has other than visible ASCII characters.
pub fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut found = headers.get_all(HEADER);
    let Some(first) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(refused("is given twice"));
    }
    let bytes = first.as_bytes();
    if !(1..=LONGEST).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(refused(
            "must have 1 to 255 visible ASCII characters, without spaces; a UUID is a good choice",
        ));
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

fn refused(what: &str) -> Error {
    Error::invalid(format!("the header {HEADER} {what}")).with_code(codes::INVALID_VALUE)
}

/// The header in the document.
pub struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = "An extension: a name for this request, chosen by the caller, for example a UUID. For 24 hours the same \
                    request with the same key is answered as the first time and creates nothing, also when the first \
                    answer was lost. Another request with the same key is refused with 422. A key belongs to its project.";
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(LONGEST))
            .pattern(Some("^[!-~]+$"))
            .build();
        let parameter = ParameterBuilder::new()
            .name(HEADER)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(text))
            .schema(Some(schema))
            .extensions(Some(
                ExtensionsBuilder::new().add("x-oms-extension", true).build(),
            ))
            .build();
        vec![parameter]
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(values: &[&[u8]]) -> Result<Option<String>> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                HeaderName::from_static("idempotency-key"),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        key(&headers)
    }

    #[test]
    fn a_key_has_visible_characters_and_is_given_once() {
        assert_eq!(read(&[]).unwrap(), None);
        let longest = "k".repeat(LONGEST);
        for fine in [
            "a",
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
            "\"quoted\"",
            "~!{}",
            longest.as_str(),
        ] {
            assert_eq!(read(&[fine.as_bytes()]).unwrap().as_deref(), Some(fine));
        }
        let too_long = "k".repeat(LONGEST + 1);
        for wrong in [
            &b""[..],
            b"a b",
            b" ",
            b"\xff",
            "ключ".as_bytes(),
            too_long.as_bytes(),
        ] {
            let error = read(&[wrong]).unwrap_err();
            assert_eq!(error.code(), Some("OMS.0064"));
            assert!(
                error
                    .message()
                    .starts_with("the header Idempotency-Key must have 1 to 255"),
                "{error}"
            );
        }
        assert!(read(&[b"a", b"a"]).unwrap_err().message().contains("twice"));
    }
}
