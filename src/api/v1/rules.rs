//! The rules of single fields, each with a message that names the field and the rule, never the value.

use std::ops::RangeInclusive;

use crate::api::codes;
use crate::error::{Error, Result};

/// Code for a text that is too short or too long.
pub const LENGTH: &str = codes::INVALID_VALUE;

/// Checks the number of characters.
///
/// # Errors
/// OMS.0064 outside of `allowed`.
pub fn length(field: &str, text: &str, allowed: RangeInclusive<usize>) -> Result<()> {
    if allowed.contains(&text.chars().count()) {
        return Ok(());
    }
    let (least, most) = (allowed.start(), allowed.end());
    let text = match least {
        0 => format!("{field} must have at most {most} characters"),
        least => format!("{field} must have {least} to {most} characters"),
    };
    Err(Error::invalid(text).with_code(LENGTH))
}

/// Checks a number and narrows it.
///
/// # Errors
/// `code` outside of `allowed`.
pub fn number<T: TryFrom<i64>>(
    field: &str,
    value: i64,
    allowed: RangeInclusive<i64>,
    code: &str,
) -> Result<T> {
    let fits = allowed
        .contains(&value)
        .then(|| T::try_from(value).ok())
        .flatten();
    fits.ok_or_else(|| {
        let text = format!(
            "{field} must lie between {} and {}",
            allowed.start(),
            allowed.end()
        );
        Error::invalid(text).with_code(code)
    })
}

/// Refuses what the reference has and this service does not do yet, rather than ignoring it.
///
/// # Errors
/// OMS.0061, always.
pub fn unsupported<T>(what: &str) -> Result<T> {
    Err(Error::invalid(format!("{what} is not supported yet")).with_code(codes::UNSUPPORTED))
}
