//! What was found of the entries of a scope, on the wire.

use serde::Serialize;
use utoipa::ToSchema;

use crate::service::{FoundScope, ShardScope};
use crate::task::Key;

/// What was found of one entry of the scope, or of several. The objects of all entries, found and missing, are those
/// that the last full pass has listed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScopeEntry {
    /// `prefix`: one prefix or folder, without those that lie below another one. `objects`: all objects that the task names
    /// one by one. `list`: those that its list file names. `others`: all prefixes beyond the first hundred entries.
    #[schema(examples("prefix"), extensions(("x-oms-extension" = json!(true))))]
    kind: &'static str,
    /// The prefix, `/` for the whole bucket; empty for other kinds.
    #[schema(examples("photos/2026/"), extensions(("x-oms-extension" = json!(true))))]
    name: String,
    /// Objects that the source has, as far as they are listed.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    found_num: i64,
    /// Bytes of these objects as they were listed.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    found_size: i64,
    /// Objects that the task names and the source does not have; they are among the failed ones. 0 for prefixes.
    #[schema(minimum = 0, extensions(("x-oms-extension" = json!(true))))]
    missing_num: i64,
}

/// The entries of a scope whose single names stand in the task, or in a list file.
pub fn scope_entries(found: FoundScope, names: NamedIn) -> Vec<ScopeEntry> {
    let FoundScope {
        entries,
        rest,
        rest_objects,
        rest_bytes,
        empty_prefixes: _,
    } = found;
    let mut shown: Vec<ScopeEntry> = entries
        .into_iter()
        .map(|entry| {
            let (kind, name) = match (&entry.scope, names) {
                (ShardScope::Prefix(prefix), _) => ("prefix", shown_name(prefix)),
                (ShardScope::Keys | ShardScope::Failures, NamedIn::InTask) => ("objects", String::new()),
                (ShardScope::Keys | ShardScope::Failures, NamedIn::InFile) => ("list", String::new()),
            };
            ScopeEntry {
                kind,
                name,
                found_num: entry.objects,
                found_size: entry.bytes,
                missing_num: entry.not_found,
            }
        })
        .collect();
    if rest > 0 {
        shown.push(ScopeEntry {
            kind: "others",
            name: String::new(),
            found_num: rest_objects,
            found_size: rest_bytes,
            missing_num: 0,
        });
    }
    shown
}

/// Where the names of single objects stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedIn {
    /// In the task.
    InTask,
    /// In a list file.
    InFile,
}

/// A key or prefix for people; the whole bucket is `/`.
pub(super) fn shown_name(name: &Key) -> String {
    if name.as_bytes().is_empty() {
        "/".to_owned()
    } else {
        name.lossy().into_owned()
    }
}
