//! The layers of the code, as `src/lib.rs` shows them: which module may use which, and how long a file may be.

use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const LONGEST: usize = 500;

/// Which of our modules each module may use. Add a new module here, in its layer.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("violation", &[]),
    ("error", &["violation"]),
    ("task", &["error", "violation"]),
    ("secret", &["error"]),
    ("telemetry", &["error"]),
    ("net", &["error"]),
    ("object", &["error", "task", "secret", "net", "violation"]),
    ("dispatch", &["error", "task", "secret"]),
    ("guide", &[]),
    ("ledger", &["error", "task", "secret", "object"]),
    ("engine", &["error", "task", "secret", "object", "ledger"]),
    (
        "service",
        &[
            "error",
            "violation",
            "task",
            "secret",
            "object",
            "ledger",
            "dispatch",
        ],
    ),
    (
        "worker",
        &[
            "error", "task", "secret", "object", "ledger", "dispatch", "engine", "net",
        ],
    ),
    ("api", &["error", "task", "secret", "service", "violation"]),
    ("sandbox", &["error", "task", "secret", "object"]),
];

/// The top modules, which combine the others and may use all of them.
const TOP: &[&str] = &["app", "cli", "config", "demo", "lib", "main"];

/// Crates that only some modules, or folders of them, may use.
const BOUNDARIES: &[(&str, &[&str])] = &[
    ("actix", &["api"]),
    ("actix_http", &["api"]),
    ("actix_server", &["api"]),
    ("actix_service", &["api"]),
    ("actix_web", &["api"]),
    ("utoipa", &["api"]),
    ("utoipa_actix_web", &["api"]),
    ("utoipa_swagger_ui", &["api"]),
    ("sqlx", &["ledger"]),
    ("async_nats", &["dispatch/jetstream"]),
    ("hyper", &["object", "net", "sandbox", "demo"]),
    ("hyper_util", &["object", "net", "sandbox", "demo"]),
    ("hyper_rustls", &["object", "net", "sandbox", "demo"]),
    ("rustls", &["net"]),
    ("rustls_native_certs", &["net"]),
    ("aws_sigv4", &["object"]),
    ("aws_credential_types", &["object"]),
    ("quick_xml", &["object", "sandbox"]),
    ("s3s", &["sandbox"]),
    ("clap", &["main", "cli", "config", "telemetry"]),
];

/// Fields of the HTTP API. Only the API names them; what lower modules say is understood without them.
const FIELDS: &[&str] = &[
    "bandwidth_policy",
    "dst_node",
    "enableKMS",
    "error_reason",
    "migration_failed_object",
    "object_key",
    "src_node",
    "task_type",
    "thread_num",
];

pub(super) struct Source {
    module: String,
    pub(super) path: PathBuf,
    pub(super) text: String,
}

impl Source {
    /// Whether the file is in `place`: a module, or a folder of `src`.
    fn is_in(&self, place: &str) -> bool {
        self.module == place || self.path.starts_with(root().join(place))
    }

    /// Whether the file has only unit tests. The layers do not apply to it. For example, it may use the sandbox.
    pub(super) fn is_test(&self) -> bool {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str());
        stem.is_some_and(|stem| stem == "tests" || stem.ends_with("_tests"))
            || self.path.iter().any(|part| part == "tests")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

pub(super) fn sources() -> Vec<Source> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let first = path.strip_prefix(&root).unwrap().iter().next().unwrap();
                let module = Path::new(first).file_stem().unwrap().to_str().unwrap().to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { module, path, text });
            }
        }
    }
    assert!(found.len() > 10);
    found
}

/// The code without comments.
pub(super) fn code(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The words after each `prefix` that is not a part of a longer word. A group in braces counts as each of its words.
fn named(code: &str, prefix: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (index, _) in code.match_indices(prefix) {
        if code[..index].ends_with(is_word) {
            continue;
        }
        let rest = &code[index + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0_usize;
                let mut word = String::new();
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => found.push(std::mem::take(&mut word)),
                        c if depth == 0 => word.push(c),
                        _ => {}
                    }
                }
                found.push(word);
            }
            None => found.push(rest.chars().take_while(|c| is_word(*c)).collect()),
        }
    }
    let first = |word: String| {
        word.trim()
            .chars()
            .take_while(|c| is_word(*c))
            .collect::<String>()
    };
    found
        .into_iter()
        .map(first)
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn modules_use_only_lower_layers() {
    for source in sources() {
        if TOP.contains(&source.module.as_str()) || source.is_test() {
            continue;
        }
        let row = MAY_NAME.iter().find(|(module, _)| *module == source.module);
        let (module, allowed) = row.unwrap_or_else(|| panic!("{} is in no row of the table", source.module));
        for name in named(&code(&source.text), "crate::") {
            // Unit tests may use the sandbox.
            let test = source
                .path
                .iter()
                .any(|part| part == "tests" || part == "tests.rs");
            let fine = name == *module || allowed.contains(&name.as_str()) || (test && name == "sandbox");
            assert!(fine, "{}: {module} must not name {name}", source.path.display());
        }
    }
}

#[test]
fn crates_stay_behind_their_boundaries() {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let code = code(&source.text);
        for (name, places) in BOUNDARIES {
            let used = !named(&code, &format!("{name}::")).is_empty();
            let fine = !used || places.iter().any(|place| source.is_in(place));
            assert!(fine, "{}: only {places:?} may name {name}", source.path.display());
        }
    }
}

#[test]
fn only_the_api_names_its_fields() {
    for source in sources().iter().filter(|source| !source.is_test()) {
        let module = source.module.as_str();
        if TOP.contains(&module) || ["api", "guide"].contains(&module) {
            continue;
        }
        let code = code(&source.text);
        for field in FIELDS {
            assert!(!code.contains(field), "{} names {field}", source.path.display());
        }
    }
}

#[test]
fn files_stay_short_and_say_what_they_are() {
    for source in sources() {
        let lines = source.text.lines().count();
        let path = source.path.display();
        assert!(lines <= LONGEST, "{path} has {lines} lines, more than {LONGEST}");
        assert!(source.text.starts_with("//!"), "{path} does not say what it is");
    }
}

#[test]
fn used_names_are_found_in_every_spelling() {
    let code = "use crate::{a::B, c, d::{E, f}}; fn x() { crate::g::h(); mycrate::i(); }";
    assert_eq!(named(code, "crate::"), ["a", "c", "d", "g"]);
}
