//! Judges at the end of a pass whether the task's scope matches anything. Pure.

use crate::ledger::{FoundScope, ShardScope};
use crate::task::{Key, Reason, ReasonKind, TaskSpec, Warning, WarningCode};

/// The result for a scope.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Why the task fails: nothing that it names exists.
    pub reason: Option<Reason>,
    /// Prefixes that match nothing, while other entries match.
    pub warnings: Vec<Warning>,
}

/// Judges what a pass has found. `empty` has the first prefixes without an object; there may be more
/// ([`FoundScope::empty_prefixes`]). A whole bucket may be empty without an error. A task that an earlier version has listed is
/// not judged, because its entries are unknown.
#[must_use]
pub fn judge(spec: &TaskSpec, found: &FoundScope, empty: &[Key]) -> Judgement {
    if spec.scope.is_whole_bucket() || found.entries.is_empty() {
        return Judgement::default();
    }
    let mut judgement = Judgement::default();
    if found.objects() == 0 {
        let names = found.entries.iter().any(|entry| entry.scope == ShardScope::Keys);
        let prefixes = found.rest > 0 || found.entries.iter().any(|entry| entry.scope != ShardScope::Keys);
        let what = match (names, prefixes) {
            (true, true) => {
                "none of the objects that the task names exists, and none begins with one of its prefixes"
            }
            (true, false) => "none of the objects that the task names exists",
            (false, _) => "no object begins with a prefix of the task",
        };
        judgement.reason = Some(Reason {
            kind: ReasonKind::NoSourceObjects,
            message: format!("source: {what}"),
        });
    }
    let warning = |prefix: &Key| {
        let text = "no object of the source begins with this prefix";
        Warning::new(WarningCode::ScopeEntryEmpty, text).about(prefix.lossy())
    };
    judgement.warnings = empty.iter().map(warning).collect();
    let unnamed = found.empty_prefixes - i64::try_from(empty.len()).unwrap_or(i64::MAX);
    if let Ok(unnamed) = u32::try_from(unnamed)
        && unnamed > 0
    {
        let text = "more prefixes of the task match nothing than are named here";
        judgement
            .warnings
            .push(Warning::new(WarningCode::MoreWarnings, text).times(unnamed));
    }
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::FoundEntry;
    use crate::task::spec::Scope;
    use crate::task::testing;

    fn spec(names: &[&str]) -> TaskSpec {
        TaskSpec {
            scope: Scope::Objects(names.iter().map(|name| Key::from(*name)).collect()),
            ..testing::spec()
        }
    }

    fn prefix(name: &str, objects: i64) -> FoundEntry {
        FoundEntry {
            scope: ShardScope::Prefix(Key::from(name)),
            objects,
            bytes: objects,
            not_found: 0,
        }
    }

    fn names(objects: i64, not_found: i64) -> FoundEntry {
        FoundEntry {
            scope: ShardScope::Keys,
            objects,
            bytes: objects,
            not_found,
        }
    }

    fn found(entries: Vec<FoundEntry>) -> FoundScope {
        let empty = |entry: &&FoundEntry| entry.scope != ShardScope::Keys && entry.objects == 0;
        FoundScope {
            empty_prefixes: i64::try_from(entries.iter().filter(empty).count()).unwrap(),
            entries,
            ..FoundScope::default()
        }
    }

    #[test]
    fn a_task_fails_when_nothing_that_it_names_exists() {
        for (entries, fails) in [
            (vec![prefix("a/", 0)], true),
            (vec![prefix("a/", 1)], false),
            (vec![names(0, 3)], true),
            (vec![names(1, 2)], false),
            (vec![names(0, 1), prefix("a/", 0)], true),
            (vec![names(0, 1), prefix("a/", 4)], false),
            (vec![names(1, 0), prefix("a/", 0)], false),
            (vec![], false),
        ] {
            let judged = judge(&spec(&["a/"]), &found(entries.clone()), &[]);
            let kind = judged.reason.map(|reason| reason.kind);
            assert_eq!(kind, fails.then_some(ReasonKind::NoSourceObjects), "{entries:?}");
        }
        let rest = FoundScope {
            rest: 5,
            rest_objects: 1,
            ..found(vec![prefix("a/", 0)])
        };
        assert_eq!(
            judge(&spec(&["a/"]), &rest, &[]).reason,
            None,
            "the others count too"
        );
    }

    #[test]
    fn an_empty_bucket_is_no_error() {
        for scope in [&[""][..], &["a/", ""]] {
            assert_eq!(
                judge(&spec(scope), &found(vec![prefix("", 0)]), &[Key::from("")]),
                Judgement::default()
            );
        }
    }

    #[test]
    fn every_prefix_that_matches_nothing_is_named_or_counted() {
        let empty = [Key::from("b/"), Key::from("c/")];
        let mut all = found(vec![prefix("a/", 1), prefix("b/", 0), prefix("c/", 0)]);
        let judged = judge(&spec(&["a/", "b/", "c/"]), &all, &empty);
        let subjects: Vec<&str> = judged.warnings.iter().map(Warning::subject).collect();
        assert_eq!((judged.reason, subjects), (None, vec!["b/", "c/"]));
        all.empty_prefixes = 12;
        let judged = judge(&spec(&["a/", "b/", "c/"]), &all, &empty);
        let rest = judged.warnings.last().unwrap();
        assert_eq!((rest.code(), rest.count()), (WarningCode::MoreWarnings, 10));
    }
}
