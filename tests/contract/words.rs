//! Phrases that the project does not use. Each has a plain word that an ordinary engineer knows.

use std::path::{Path, PathBuf};

/// A phrase that is no longer used, and what to write instead.
const RETIRED: &[(&str, &str)] = &[
    ("gone on with", "resumed"),
    ("goes on with", "continues"),
    ("gives up what", "aborts"),
    ("are given up", "are aborted"),
    ("is told of", "is reported"),
    ("are told of", "are reported"),
    ("burns no", "records no failure"),
    ("patience", "timeout"),
    ("namesake", "an object with the same key"),
    ("in one go", "at once"),
    ("taken up", "leased, started"),
    ("only what had failed", "only the failed objects"),
    ("ended by a defect", "panicked"),
    ("right to report", "fencing token"),
    ("ailment", "failure class"),
    ("acquitted", "cleared"),
    ("overtaken", "fenced"),
    ("tidied", "purged"),
    ("tidy", "purge"),
    ("scrub", "truncate the log"),
    ("buried", "deleted"),
    ("take_up", "lease, run"),
    ("untold", "unknown, not reported"),
    ("take_told", "take_facts"),
    ("unsaid", "not recorded"),
    ("::defect", "internal"),
    ("learnt", "learned"),
    ("unspell", "url_decode"),
    ("settled_in", "crash_grace"),
    ("draw_stamp", "next_timestamp"),
    ("metadata_signing::odd", "signed_differently"),
];

/// Files that people read: the code, its tests, the documents and the README.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests"), root.join("openapi")];
    let mut found = vec![root.join("README.md")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kept = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if matches!(
                kept,
                Some("rs" | "json" | "md" | "py" | "sh" | "mjs" | "ts" | "html")
            ) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn no_retired_phrase_is_used() {
    let own = Path::new(file!());
    let mut wrong = Vec::new();
    let files = files();
    assert!(files.len() > 200);
    for path in files.iter().filter(|path| !path.ends_with(own)) {
        let text = std::fs::read_to_string(path).unwrap().to_lowercase();
        // A phrase may be broken over two lines of a comment.
        let text = text
            .replace("\n", " ")
            .replace("///", " ")
            .replace("//!", " ")
            .replace("//", " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for (phrase, instead) in RETIRED.iter().filter(|(phrase, _)| text.contains(phrase)) {
            wrong.push(format!("{}: {phrase:?} (write: {instead})", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
