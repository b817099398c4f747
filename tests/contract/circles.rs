//! Files of `src/` must not import each other in a cycle, directly or through other files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::layers::{code, sources};

/// A path in the code, such as `crate::a::b` or `super::c`.
type Segments = Vec<String>;
/// The files that each file imports. All files have the names of their modules.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The module of a file: `engine::copy` for `engine/copy/mod.rs` and for `engine/copy.rs`.
fn module(path: &Path) -> String {
    let text = path.with_extension("").to_str().unwrap().replace('/', "::");
    text.strip_suffix("::mod").unwrap_or(&text).to_owned()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads the path at the start of `text`, or the paths of a group in braces.
fn read_tree(text: &str, before: &Segments, found: &mut Vec<Segments>) {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        let (mut depth, mut begin) = (0_usize, 0);
        for (at, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    read_tree(&inside[begin..at], before, found);
                    return;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    read_tree(&inside[begin..at], before, found);
                    begin = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let word: String = text.chars().take_while(|c| is_word(*c)).collect();
    let mut path = before.clone();
    if !word.is_empty() && word != "self" {
        path.push(word.clone());
    }
    match text[word.len()..].strip_prefix("::") {
        Some(rest) => read_tree(rest, &path, found),
        None => found.push(path),
    }
}

/// Every path in the code that begins with `crate`, `self` or `super`.
fn paths(code: &str) -> Vec<(&'static str, Vec<Segments>)> {
    let mut all = Vec::new();
    for root in ["crate", "self", "super"] {
        let mut found = Vec::new();
        for (at, _) in code.match_indices(&format!("{root}::")) {
            let before = code[..at].chars().next_back();
            // `super::super::a` is read from its first word only.
            if before.is_some_and(|c| is_word(c) || c == ':') {
                continue;
            }
            read_tree(&code[at + root.len() + 2..], &Vec::new(), &mut found);
        }
        all.push((root, found));
    }
    all
}

/// Paths of child modules that a file names without `self::`.
fn children(code: &str) -> Vec<Segments> {
    let declared = code.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let mut found = Vec::new();
    for name in declared {
        for (at, _) in code.match_indices(&format!("{name}::")) {
            let before = code[..at].chars().next_back();
            if !before.is_some_and(|c| is_word(c) || c == ':') {
                read_tree(&code[at..], &Vec::new(), &mut found);
            }
        }
    }
    found
}

/// The longest prefix of a path that is a file.
fn file<'a>(path: &[String], files: &'a BTreeMap<String, String>) -> Option<&'a str> {
    (1..=path.len()).rev().find_map(|length| {
        let name = path[..length].join("::");
        files.get_key_value(&name).map(|(name, _)| name.as_str())
    })
}

/// The imports of each file. `files` has the code of each module.
fn imports(files: &BTreeMap<String, String>) -> Imports {
    let mut all = Imports::new();
    for (name, text) in files {
        let own: Segments = name.split("::").map(str::to_owned).collect();
        let mut found = BTreeSet::new();
        for path in children(text) {
            found.extend(file(&[own.clone(), path].concat(), files).map(str::to_owned));
        }
        for (root, paths) in paths(text) {
            for mut path in paths {
                let mut base = match root {
                    "crate" => Vec::new(),
                    "self" => own.clone(),
                    _ => own[..own.len() - 1].to_vec(),
                };
                while path.first().is_some_and(|first| first == "super") {
                    path.remove(0);
                    base.pop();
                }
                base.extend(path);
                found.extend(file(&base, files).map(str::to_owned));
            }
        }
        found.remove(name);
        all.insert(name.clone(), found);
    }
    all
}

/// A cycle of imports, if there is one.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    // Repeatedly removes files that import no remaining file, or that no remaining file imports. They are in no cycle.
    let mut left: BTreeSet<&String> = imports.keys().collect();
    loop {
        let before = left.len();
        let kept: BTreeSet<&String> = left
            .iter()
            .filter(|name| imports[**name].iter().any(|next| left.contains(next)))
            .copied()
            .collect();
        left = kept;
        if left.len() == before {
            break;
        }
    }
    let mut way: Vec<String> = vec![(*left.first()?).clone()];
    loop {
        let next = imports[way.last()?].iter().find(|next| left.contains(next))?;
        if let Some(at) = way.iter().position(|name| name == next) {
            return Some(way.split_off(at));
        }
        way.push(next.clone());
    }
}

#[test]
fn imports_have_no_cycles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: BTreeMap<String, String> = sources()
        .iter()
        .filter(|source| !source.is_test())
        .map(|source| {
            let text = source.text.split("#[cfg(test)]\nmod ").next().unwrap();
            (module(source.path.strip_prefix(&root).unwrap()), code(text))
        })
        .collect();
    let imports = imports(&files);
    let edges: usize = imports.values().map(BTreeSet::len).sum();
    assert!(edges > files.len(), "only {edges} imports were found");
    let found = circle(&imports);
    assert_eq!(found, None, "these files import each other in a circle");
}

#[test]
fn cycles_are_found_in_every_spelling() {
    let files = |rows: &[(&str, &str)]| -> BTreeMap<String, String> {
        rows.iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    };
    for (name, rows, has_circle) in [
        ("none", vec![("a", "use crate::b::B;"), ("b", "")], false),
        (
            "direct",
            vec![("a", "use crate::b::B;"), ("b", "crate::a::f()")],
            true,
        ),
        (
            "through a third, in a tree",
            vec![
                ("a", "use crate::{b::{B, C}, x};"),
                ("b", "use crate::c;"),
                ("c", "use crate::{a};"),
            ],
            true,
        ),
        (
            "parent and child",
            vec![("m", "pub use self::n::N;"), ("m::n", "use super::M;")],
            true,
        ),
        (
            "parent and child without self",
            vec![("m", "mod n;\nfn f() { n::g() }"), ("m::n", "use super::M;")],
            true,
        ),
        (
            "siblings",
            vec![("m::a", "use super::b::B;"), ("m::b", "use super::a::A;")],
            true,
        ),
        (
            "two levels up",
            vec![
                ("m::a::b", "use super::super::c;"),
                ("m::c", "use crate::m::a::b;"),
            ],
            true,
        ),
        (
            "another crate",
            vec![("a", "use mycrate::b; b::crate_name()"), ("b", "use crate::a;")],
            false,
        ),
    ] {
        assert_eq!(circle(&imports(&files(&rows))).is_some(), has_circle, "{name}");
    }
}
