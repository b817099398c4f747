//! Scopes that match nothing, or only in part: how the task ends, and what it shows.

use std::sync::Arc;

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::sandbox::SandboxObject;
use oms::service::{FoundScope, ShardScope, TaskDetail};
use oms::task::spec::Scope;
use oms::task::{Key, ReasonKind, StartMode, State, TaskId};

use super::lists::{file, put_list};
use crate::support::rig::{Rig, SOURCE, Stores};

fn keys(names: &[&str]) -> Vec<Key> {
    names.iter().map(|name| Key::from(*name)).collect()
}

fn fill(stores: &Stores, names: &[&str]) {
    for name in names {
        stores
            .source
            .put(SOURCE, name, SandboxObject::new(format!("object {name}")));
    }
}

async fn detail(rig: &Rig, id: TaskId) -> TaskDetail {
    rig.service.detail(&"p".parse().unwrap(), id).await.unwrap()
}

/// Creates a task with this scope and waits until it has ended.
async fn ended(stores: &Stores, rig: &Rig, scope: Scope) -> TaskDetail {
    let mut order = stores.order();
    order.scope = scope;
    let id = rig.create(order).await;
    rig.end(id).await;
    detail(rig, id).await
}

fn reason(detail: &TaskDetail) -> Option<ReasonKind> {
    detail.task.reason.as_ref().map(|reason| reason.kind)
}

/// Subjects of the warnings about empty prefixes.
fn empty(detail: &TaskDetail) -> Vec<&str> {
    assert!(
        detail
            .warnings
            .iter()
            .all(|warning| warning.code == "ScopeEntryEmpty")
    );
    detail
        .warnings
        .iter()
        .map(|warning| warning.subject.as_str())
        .collect()
}

/// For each entry of the scope, the numbers of objects found and not found.
fn objects(found: &FoundScope) -> Vec<(String, i64, i64)> {
    let name = |scope: &ShardScope| match scope {
        ShardScope::Prefix(prefix) => prefix.lossy().into_owned(),
        ShardScope::Keys | ShardScope::Failures => "(names)".to_owned(),
    };
    let entries = found.entries.iter();
    entries
        .map(|entry| (name(&entry.scope), entry.objects, entry.not_found))
        .collect()
}

#[tokio::test]
async fn a_task_fails_when_nothing_that_it_names_exists() {
    let stores = Stores::new().await;
    fill(&stores, &["there/1"]);
    put_list(&stores, "missing-1\nmissing-2\n");
    let rig = Rig::new().await;
    for scope in [
        Scope::Prefixes(keys(&["no/"])),
        Scope::Prefixes(keys(&["no/", "nor-this", "there/2"])),
        Scope::Objects(keys(&["missing"])),
        Scope::Objects(keys(&["folder/"])),
        Scope::Objects(keys(&["missing", "folder/", "there"])),
        Scope::List(file()),
    ] {
        let detail = ended(&stores, &rig, scope.clone()).await;
        assert_eq!(
            (detail.task.state, reason(&detail)),
            (State::Failed, Some(ReasonKind::NoSourceObjects)),
            "{scope:?}"
        );
        let counters = detail.task.counters;
        assert_eq!(
            (counters.listed, counters.failed, detail.found.objects()),
            (counters.not_found, counters.not_found, 0),
            "{scope:?}"
        );
        assert!(detail.task.pass.unwrap().finished);
    }
}

#[tokio::test]
async fn prefixes_that_match_nothing_beside_others_cause_a_warning() {
    let stores = Stores::new().await;
    fill(&stores, &["a/1", "a/2", "b", "d/1"]);
    let rig = Rig::new().await;
    let detail = ended(&stores, &rig, Scope::Prefixes(keys(&["a/", "c/", "d", "zz"]))).await;
    assert_eq!(
        (detail.task.state, empty(&detail)),
        (State::Succeeded, vec!["c/", "zz"]),
        "{detail:#?}"
    );
    let wanted = [("a/", 2, 0), ("c/", 0, 0), ("d", 1, 0), ("zz", 0, 0)];
    assert_eq!(
        objects(&detail.found),
        wanted.map(|(name, n, m)| (name.to_owned(), n, m))
    );

    let names = Scope::Objects(keys(&["b", "c/", "d/1"]));
    let detail = ended(&stores, &rig, names).await;
    assert_eq!(
        (detail.task.state, empty(&detail)),
        (State::Succeeded, vec!["c/"]),
        "{detail:#?}"
    );
    let wanted = [("(names)", 2, 0), ("c/", 0, 0)];
    assert_eq!(
        objects(&detail.found),
        wanted.map(|(name, n, m)| (name.to_owned(), n, m))
    );
}

#[tokio::test]
async fn a_name_that_does_not_exist_fails_even_if_a_prefix_covers_it() {
    let stores = Stores::new().await;
    fill(&stores, &["a/1", "a/2", "b"]);
    let rig = Rig::new().await;
    let detail = ended(
        &stores,
        &rig,
        Scope::Objects(keys(&["a/", "a/1", "a/missing", "b", "c"])),
    )
    .await;
    assert_eq!(
        (detail.task.state, reason(&detail)),
        (State::Failed, Some(ReasonKind::ObjectsFailed))
    );
    let failures = rig.ledger.failures(detail.task.id, None, 9).await.unwrap();
    let failed: Vec<_> = failures
        .iter()
        .map(|f| (f.key.lossy(), f.code.as_str()))
        .collect();
    assert_eq!(
        failed,
        [("a/missing".into(), "NoSuchKey"), ("c".into(), "NoSuchKey")]
    );
    let counters = detail.task.counters;
    assert_eq!(
        (counters.listed, counters.copied, counters.not_found),
        (5, 3, 2),
        "{counters:#?}"
    );
    let wanted = [("(names)", 1, 2), ("a/", 2, 0)];
    assert_eq!(
        objects(&detail.found),
        wanted.map(|(name, n, m)| (name.to_owned(), n, m))
    );
}

#[tokio::test]
async fn a_failed_only_pass_ends_the_same_way_until_an_object_exists() {
    let stores = Stores::new().await;
    let rig = Rig::new().await;
    let detail = ended(&stores, &rig, Scope::Objects(keys(&["x", "y"]))).await;
    let id = detail.task.id;
    assert_eq!(reason(&detail), Some(ReasonKind::NoSourceObjects));
    let again = async || {
        rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
        rig.wait(id, |task| task.state != State::Failed).await;
        rig.end(id).await;
        self::detail(&rig, id).await
    };
    assert_eq!(reason(&again().await), Some(ReasonKind::NoSourceObjects));
    fill(&stores, &["x"]);
    let detail = again().await;
    assert_eq!(reason(&detail), Some(ReasonKind::ObjectsFailed), "{detail:#?}");
    assert_eq!(objects(&detail.found), [("(names)".to_owned(), 1, 1)]);
    fill(&stores, &["y"]);
    let detail = again().await;
    assert_eq!(detail.task.state, State::Succeeded, "{detail:#?}");
    assert_eq!(objects(&detail.found), [("(names)".to_owned(), 2, 0)]);
}

#[tokio::test]
async fn an_empty_bucket_is_copied() {
    let stores = Stores::new().await;
    let rig = Rig::new().await;
    for scope in [Scope::Prefixes(keys(&[""])), Scope::Objects(keys(&["", "a/"]))] {
        let detail = ended(&stores, &rig, scope).await;
        assert_eq!(
            (detail.task.state, empty(&detail)),
            (State::Succeeded, vec![]),
            "{detail:#?}"
        );
        assert_eq!(objects(&detail.found), [(String::new(), 0, 0)]);
    }
}

#[tokio::test]
async fn what_was_found_outlives_a_stop_and_a_crash() {
    let stores = Stores::small().await;
    let names: Vec<String> = (0..40).map(|n| format!("a/{n:02}")).collect();
    fill(&stores, &names.iter().map(String::as_str).collect::<Vec<_>>());
    fill(&stores, &["b/1"]);
    // Each worker opens only this many objects and then hangs.
    let few = |count: usize| {
        let turns = Arc::new(tokio::sync::Semaphore::new(count));
        SyncPoints::new(move |point| {
            let turns = Arc::clone(&turns);
            Box::pin(async move {
                if point == SyncPoint::ObjectOpened
                    && let Ok(turn) = turns.acquire().await
                {
                    turn.forget();
                }
            })
        })
    };
    let mut order = stores.order();
    order.threads = 1;
    order.scope = Scope::Prefixes(keys(&["a/", "b/", "c/"]));
    let rig = Rig::open(Arc::new(tempfile::TempDir::new().unwrap()), few(10)).await;
    let id = rig.create(order).await;
    let found = |found: &FoundScope| objects(found).iter().map(|(_, n, _)| *n).collect::<Vec<_>>();
    let listed = rig
        .wait(id, |task| task.counters.listed >= 9)
        .await
        .counters
        .listed;
    let before = detail(&rig, id).await;
    assert!(before.found.objects() >= listed);
    let folder = rig.kill().await;
    let rig = Rig::open(folder, few(10)).await;
    let task = rig.wait(id, |task| task.counters.listed >= listed + 9).await;
    let after = detail(&rig, id).await;
    assert!(after.found.objects() >= task.counters.listed, "{after:#?}");
    rig.pause(id).await;
    let paused = detail(&rig, id).await;
    assert_eq!(paused.found.objects(), paused.task.counters.listed);
    let folder = rig.shut_down().await;
    let rig = Rig::open(folder, SyncPoints::default()).await;
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let task = rig.end(id).await;
    let done = detail(&rig, id).await;
    assert_eq!(
        (task.state, found(&done.found)),
        (State::Succeeded, vec![40, 1, 0])
    );
    assert_eq!(empty(&done), ["c/"]);
    stores.assert_same();
}
