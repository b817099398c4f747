//! What is said about a value that cannot be read.

use figment::error::Kind;

use super::variables::Variables;
use crate::error::Error;

/// One line that names the setting and its position. Values are left out. If the file cannot be parsed, its lines are
/// left out too, because one of them may contain the token.
pub(super) fn explain(error: &figment::Error) -> Error {
    let what = match &error.kind {
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => format!("expected {expected}"),
        Kind::UnknownVariant(_, known) => format!("expected one of {}", known.join(", ")),
        Kind::Message(text) => {
            let said = text.lines().map(str::trim).filter(|line| !line.contains('|'));
            said.filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join(": ")
        }
        Kind::MissingField(_) | Kind::UnknownField(..) | Kind::DuplicateField(_) => error.kind.to_string(),
        _ => "such a value has no meaning here".to_owned(),
    };
    let mut text = String::from("configuration: ");
    let file = error.metadata.as_ref().and_then(|m| m.source.as_ref());
    let setting = error.path.join(".");
    if let Some(file) = file {
        text += &format!("{file}: ");
    }
    if !setting.is_empty() {
        text += &if file.is_some() {
            setting
        } else {
            Variables::name(&setting)
        };
        text += ": ";
    }
    Error::invalid(text + &what)
}
