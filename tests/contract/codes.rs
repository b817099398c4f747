//! One table has every code. The source uses only codes of the table, and uses each of them.

use std::collections::BTreeSet;

use oms::api::codes;
use oms::task::ReasonKind;

use super::document;
use super::layers::{code, sources};

/// The file with the table.
const TABLE: &str = "api/codes.rs";
/// The modules that may mention codes: codes are words of the wire, and the guide explains them.
const SPEAKERS: [&str; 2] = ["api", "guide"];

/// Every `OMS.0000` and `TRF.0000` in a text.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let places = ["OMS.", "TRF."]
        .into_iter()
        .flat_map(|prefix| text.match_indices(prefix));
    places
        .filter_map(|(at, _)| text.get(at..at + 8))
        .filter(|code| code[4..].bytes().all(|b| b.is_ascii_digit()))
        .collect()
}

/// The code of a file without comments and without its unit tests.
fn productive(text: &str) -> String {
    let end = ["mod tests {", "pub(crate) mod testing {"]
        .into_iter()
        .filter_map(|module| text.find(&format!("#[cfg(test)]\n{module}")))
        .min();
    code(&text[..end.unwrap_or(text.len())])
}

/// Path, code without tests, and complete text of every file that is not only a test.
fn files() -> Vec<(String, String, String)> {
    sources()
        .into_iter()
        .filter(|source| !source.is_test() && !source.path.iter().any(|part| part == "conformance"))
        .map(|source| {
            let path = source.path.to_str().unwrap().to_owned();
            (path, productive(&source.text), source.text)
        })
        .collect()
}

#[test]
fn codes_are_written_only_in_the_table() {
    let known: BTreeSet<&str> = codes::all().map(|entry| entry.code).collect();
    for (path, code, text) in files() {
        let all = mentioned(&text);
        let module = path
            .split("/src/")
            .last()
            .unwrap()
            .split(['/', '.'])
            .next()
            .unwrap();
        if !SPEAKERS.contains(&module) {
            assert!(all.is_empty(), "{path}: {all:?} are words of the wire");
        }
        let unknown: Vec<_> = all.into_iter().filter(|code| !known.contains(code)).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?} are missing in {TABLE}");
        if path.ends_with(TABLE) {
            continue;
        }
        let spelled: Vec<_> = mentioned(&code)
            .into_iter()
            .filter(|found| code.contains(&format!("\"{found}\"")))
            .collect();
        assert!(
            spelled.is_empty(),
            "{path}: take the constants of {TABLE} instead of {spelled:?}"
        );
    }
}

#[test]
fn every_code_of_the_table_is_used() {
    let files = files();
    let (_, text, _) = files.iter().find(|(path, _, _)| path.ends_with(TABLE)).unwrap();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().split_once(" = \"")?.0.into())
        .filter(|name| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .collect();
    assert_eq!(names.len(), codes::OMS.len());
    for name in names {
        let rule = format!("=> {name},");
        let elsewhere = format!("codes::{name}");
        let made = files.iter().any(|(path, code, _)| {
            if path.ends_with(TABLE) {
                code.contains(&rule)
            } else {
                names_word(code, &elsewhere)
            }
        });
        assert!(made, "nothing makes {name}");
    }
}

/// A reason has a code, so that one that nothing gives would hide a code that nothing makes.
#[test]
fn every_reason_is_given_somewhere() {
    let files = files();
    for kind in ReasonKind::ALL {
        let word = format!("ReasonKind::{kind:?}");
        let given = files.iter().any(|(path, code, _)| {
            let lists = path.contains("/src/api/") || path.ends_with("task/reason.rs");
            !lists && names_word(code, &word)
        });
        assert!(given, "nothing gives {word}");
    }
}

/// Whether the code contains `word`, not only as the beginning of a longer word.
fn names_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let next = code[at + word.len()..].chars().next();
        !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

/// A violation has a code, so that one that nothing names would hide a code that nothing makes.
#[test]
fn every_violation_is_found_somewhere() {
    let files = files();
    let (_, text, _) = files
        .iter()
        .find(|(path, _, _)| path.ends_with("src/violation.rs"))
        .unwrap();
    let body = text
        .split("pub enum Violation {")
        .nth(1)
        .unwrap()
        .split("\n}\n")
        .next()
        .unwrap();
    let names: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .map(|line| line.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        let word = format!("Violation::{name}");
        let broken = files.iter().any(|(path, code, _)| {
            ![
                "api/codes.rs",
                "api/sentences.rs",
                "src/violation.rs",
                "src/error.rs",
            ]
            .iter()
            .any(|speaks| path.ends_with(speaks))
                && names_word(code, &word)
        });
        assert!(broken, "nothing breaks {word}");
    }
}

#[test]
fn the_document_has_the_catalogue_for_programs_and_for_people() {
    let document = document();
    let tags = document["tags"].as_array().unwrap();
    let tag = tags.iter().find(|tag| tag["name"] == "codes").unwrap();
    let text = tag["description"].as_str().unwrap();
    let listed = document["x-oms-codes"].as_array().unwrap();
    assert_eq!(listed.len(), codes::all().count());
    for (entry, listed) in codes::all().zip(listed) {
        assert_eq!(listed["code"], entry.code);
        assert_eq!(listed["meaning"], entry.meaning);
        assert_eq!(listed["action"], entry.action);
        assert!(text.contains(&format!("| {} |", entry.code)), "{}", entry.code);
    }
    // Every code that the document mentions is in the catalogue.
    let known: BTreeSet<&str> = codes::all().map(|entry| entry.code).collect();
    let all = document.to_string();
    let unknown: Vec<_> = mentioned(&all)
        .into_iter()
        .filter(|code| !known.contains(code))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Every code of an error response is documented by at least one operation.
#[test]
fn every_code_of_a_refusal_is_documented_by_an_operation() {
    let document = document();
    let mut documented = BTreeSet::new();
    for (_, _, operation) in super::operations(&document) {
        for response in operation["responses"].as_object().unwrap().values() {
            let examples = response["content"]["application/json"]["examples"].as_object();
            documented.extend(examples.into_iter().flatten().map(|(name, _)| name.clone()));
        }
    }
    // OMS.0005 (method not allowed) belongs to no operation. The others appear in fields of a task.
    let elsewhere = ["OMS.0005", "OMS.0156", "OMS.0304", "OMS.0305"];
    let missing: Vec<_> = codes::OMS
        .iter()
        .map(|entry| entry.code)
        .filter(|code| !documented.contains(*code) && !elsewhere.contains(code))
        .collect();
    assert!(missing.is_empty(), "no operation documents {missing:?}");
}
