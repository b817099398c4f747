//! Warnings: what a person should see about a task although it fails nothing.

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::names::stored_by_name;

/// Which warning it is. One word on the wire and in the ledger.
///
/// To add a warning, add a variant with a sentence that says what a person should do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
pub enum WarningCode {
    /// A prefix or name of the scope matches no object of the source. Its subject is that prefix or name.
    ScopeEntryEmpty,
    /// The target does not let the task delete, so that the objects of its probes stay there, below `oms/probe/`. Remove
    /// them by hand, or let the key delete.
    TargetCannotDelete,
    /// The target lists objects some time after they are written. Each object is asked for instead, which takes longer.
    TargetListsLate,
    /// The target stores names of a kind under other names. Objects with such names fail; rename them, or take another
    /// target. The subject shows the kind.
    TargetChangesNames,
    /// The task has more different warnings than are kept ([`Warning::MOST`]); the others are only counted here.
    MoreWarnings,
}

stored_by_name!(WarningCode);

/// A warning. Two with the same code and subject are one warning that occurred twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    code: WarningCode,
    subject: String,
    message: String,
    count: u32,
}

impl Warning {
    /// Different warnings that a task keeps, besides one [`WarningCode::MoreWarnings`].
    pub const MOST: usize = 100;
    /// Longest subject, in bytes of UTF-8. Longer ones are cut and end with `…`.
    pub const MAX_SUBJECT: usize = 1024;
    /// Longest message, in bytes of UTF-8. Longer ones are cut and end with `…`.
    pub const MAX_MESSAGE: usize = 1024;

    /// A warning that concerns the whole task. The message is one sentence that is safe to show: no credentials, no
    /// signed address.
    #[must_use]
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self {
            code,
            subject: String::new(),
            message: shortened(message.into(), Self::MAX_MESSAGE),
            count: 1,
        }
    }

    /// The same about one thing: a key, a prefix, a header. The empty subject is the whole task.
    #[must_use]
    pub fn about(self, subject: impl Into<String>) -> Self {
        let subject = shortened(subject.into(), Self::MAX_SUBJECT);
        Self { subject, ..self }
    }

    /// The same as having occurred `count` times, at least once.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        let count = count.max(1);
        Self { count, ..self }
    }

    /// Which one it is.
    #[must_use]
    pub const fn code(&self) -> WarningCode {
        self.code
    }

    /// What it is about; empty for the whole task.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How often it occurred.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }
}

/// A warning as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWarning {
    /// A word of [`WarningCode::name`]; a newer version may have written one that this version does not know.
    pub code: String,
    /// What it is about; empty for the whole task.
    pub subject: String,
    /// The sentence of the last time.
    pub message: String,
    /// How often it occurred.
    pub count: i64,
    /// When it occurred first.
    pub first_at: super::time::UnixMillis,
    /// When it was written last.
    pub last_at: super::time::UnixMillis,
}

/// At most `most` bytes of a text.
fn shortened(mut text: String, most: usize) -> String {
    const MORE: char = '…';
    if text.len() <= most {
        return text;
    }
    let mut end = most.saturating_sub(MORE.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push(MORE);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_between_characters() {
        for letter in ["a", "ü", "€", "😀"] {
            let long = letter.repeat(2000);
            let warning = Warning::new(WarningCode::ScopeEntryEmpty, long.clone()).about(long);
            for (text, most) in [
                (warning.message(), Warning::MAX_MESSAGE),
                (warning.subject(), Warning::MAX_SUBJECT),
            ] {
                assert!(
                    text.len() <= most && text.len() > most - 8,
                    "{letter}: {}",
                    text.len()
                );
                assert!(text.ends_with(&format!("{letter}…")), "{letter}");
            }
        }
        let exact = "a".repeat(Warning::MAX_MESSAGE);
        assert_eq!(
            Warning::new(WarningCode::MoreWarnings, exact.clone()).message(),
            exact
        );
    }

    #[test]
    fn codes_are_the_words_that_ledgers_and_callers_know() {
        let names: Vec<&str> = WarningCode::ALL.iter().map(|code| code.name()).collect();
        let known = [
            "ScopeEntryEmpty",
            "TargetCannotDelete",
            "TargetListsLate",
            "TargetChangesNames",
            "MoreWarnings",
        ];
        assert_eq!(names, known);
    }

    #[test]
    fn a_warning_occurred_at_least_once() {
        assert_eq!(Warning::new(WarningCode::MoreWarnings, "m").times(0).count(), 1);
    }
}
