//! The report of failed objects at the target.

use std::sync::Arc;

use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::task::spec::Scope;
use oms::task::{Key, ReportProblem, StartMode, State};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};

fn denied() -> Fault {
    Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    }
}

fn refuse(stores: &Stores, keys: &[&str]) {
    for key in keys {
        stores
            .target
            .faults()
            .add(FaultRule::new(Operation::PutObject, denied()).key(*key));
    }
}

#[tokio::test]
async fn each_pass_with_failures_writes_its_report_and_shows_its_key() {
    let stores = Stores::new().await;
    for key in ["fine", "odd\tname/ü", "refused"] {
        stores.source.put(SOURCE, key, SandboxObject::new("x"));
    }
    refuse(&stores, &["odd\tname/ü", "refused"]);
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let key = task.failed_list.key.clone().unwrap();
    assert!(
        key.starts_with(&format!("oms/task/{}/failed_object_lists/", task.name)),
        "{key}"
    );
    let list = stores.target.get(TARGET, &key).unwrap();
    assert_eq!(list.content_type.as_deref(), Some("text/plain"));
    let text = String::from_utf8(list.data.to_vec()).unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let names: Vec<_> = lines.iter().map(|line| (line[0], line[2], line[3])).collect();
    assert_eq!(
        names,
        [
            ("AccessDenied", "odd%09name/%C3%BC", "odd\\tname/ü"),
            ("AccessDenied", "refused", "refused")
        ]
    );
    assert!(
        lines
            .iter()
            .all(|line| line.len() == 5 && line[4].starts_with("target: "))
    );

    stores.target.faults().clear();
    refuse(&stores, &["refused"]);
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let again = rig.end(id).await;
    let next = again.failed_list.key.unwrap();
    assert_ne!(next, key);
    let list = stores.target.get(TARGET, &next).unwrap();
    assert_eq!(list.data.iter().filter(|byte| **byte == b'\n').count(), 1);

    stores.target.faults().clear();
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    assert_eq!(
        rig.end(id).await.failed_list.key,
        Some(next),
        "the last list stays"
    );
    stores.assert_same();
}

#[tokio::test]
async fn a_report_that_the_target_refuses_does_not_change_the_objects() {
    let stores = Stores::new().await;
    stores.source.put(SOURCE, "fine", SandboxObject::new("x"));
    stores.source.put(SOURCE, "refused", SandboxObject::new("x"));
    refuse(&stores, &["refused"]);
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::PutObject, denied()).key_prefix("oms/task/"));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!((task.counters.copied, task.counters.failed), (1, 1));
    assert_eq!(task.failed_list.problem, Some(ReportProblem::NotStored));
    assert_eq!(task.failed_list.key, None);
}

#[tokio::test]
async fn a_crash_after_the_report_does_not_write_it_twice() {
    let stores = Stores::new().await;
    for key in ["fine", "refused"] {
        stores.source.put(SOURCE, key, SandboxObject::new("x"));
    }
    refuse(&stores, &["refused"]);
    let reached = Arc::new(Notify::new());
    let tell = Arc::clone(&reached);
    // The other reports are written after this one.
    let sync_points = SyncPoints::new(move |here| {
        if here == SyncPoint::ListWritten {
            tell.notify_one();
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    });
    let rig = Rig::open(Arc::new(TempDir::new().unwrap()), sync_points).await;
    let id = rig.create(stores.order()).await;
    reached.notified().await;
    let lists = || {
        let mut lists = stores.target.keys(TARGET);
        lists.retain(|key| key.contains("/failed_object_lists/"));
        lists
    };
    let before = lists();
    assert_eq!(before.len(), 1);
    let rig = Rig::open(rig.kill().await, SyncPoints::default()).await;
    let task = rig.end(id).await;
    assert_eq!(lists(), before);
    assert_eq!(task.failed_list.key.as_ref(), before.first());
}

#[tokio::test]
async fn a_long_report_is_complete_and_an_unwanted_one_is_not_written() {
    for recorded in [true, false] {
        let stores = Stores::new().await;
        let rig = Rig::new().await;
        let mut order = stores.order();
        let names = (0..2300).map(|n| Key::from(format!("missing {n:04}").as_str()));
        order.scope = Scope::Objects(names.collect());
        order.record_failures = recorded;
        let id = rig.create(order).await;
        let task = rig.end(id).await;
        assert_eq!(task.counters.failed, 2300);
        let lists = stores.target.keys(TARGET);
        assert_eq!(lists.len(), usize::from(recorded), "{lists:?}");
        for list in lists {
            let text = String::from_utf8(stores.target.get(TARGET, &list).unwrap().data.to_vec()).unwrap();
            let mut found: Vec<&str> = text
                .lines()
                .map(|line| line.split('\t').nth(3).unwrap())
                .collect();
            found.dedup();
            assert_eq!(found.len(), 2300);
            assert!(found.is_sorted());
        }
    }
}
