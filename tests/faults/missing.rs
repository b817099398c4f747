//! An object that a read does not find is missing only if a new listing of the source no longer has it.

use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::task::spec::Scope;
use oms::task::{Key, ReasonKind, StartMode, State};

use super::matrix::row::{answer, fill};
use crate::support::checker::{History, Remedy, check, converges, failures};
use crate::support::rig::{Rig, SOURCE, Stores};

async fn stores() -> (Stores, History) {
    let stores = Stores::small().await;
    fill(&stores);
    let history = History::of(&stores);
    (stores, history)
}

#[tokio::test]
async fn a_bucket_that_vanishes_in_a_failed_only_pass_makes_no_object_missing() {
    let (stores, history) = stores().await;
    let denied = answer(403, "AccessDenied");
    // Only a few, because many denied objects would stop the pass. These fail on their own.
    for key in ["dir-0/00", "dir-1/01", "large-parts"] {
        let rule = FaultRule::new(Operation::GetObject, denied.clone()).key(key);
        stores.source.faults().add(rule);
    }
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!(task.counters.failed, 3, "{task:#?}");

    let faults = stores.source.faults();
    faults.clear();
    // The preflight still finds the bucket.
    faults.add(FaultRule::new(Operation::ListObjects, answer(404, "NoSuchBucket")).skip(1));
    faults.add(FaultRule::new(Operation::HeadObject, answer(404, "NoSuchBucket")));
    faults.add(FaultRule::new(Operation::GetObject, answer(404, "NoSuchBucket")));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    let kind = task.reason.as_ref().map(|reason| reason.kind);
    assert_eq!(kind, Some(ReasonKind::SourceBucket), "{task:#?}");
    assert_eq!((task.counters.gone, task.counters.failed), (0, 3), "{task:#?}");
    assert_eq!(failures(&rig, id).await.len(), 3);
    converges(&stores, &rig, id, &history, Remedy::FailedOnly).await;
}

#[tokio::test]
async fn a_server_that_answers_404_to_everything_is_no_empty_bucket() {
    let (stores, history) = stores().await;
    for operation in [Operation::GetObject, Operation::HeadObject] {
        let rule = FaultRule::new(operation, answer(404, "NotFound"));
        stores.source.faults().add(rule);
    }
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    let kind = task.reason.as_ref().map(|reason| reason.kind);
    assert_eq!(kind, Some(ReasonKind::SourceUnavailable), "{task:#?}");
    assert_eq!((task.counters.gone, task.counters.copied), (0, 0), "{task:#?}");
    assert_eq!(failures(&rig, id).await, []);
    converges(&stores, &rig, id, &history, Remedy::Full).await;
}

#[tokio::test]
async fn a_listed_object_that_cannot_be_read_fails_in_every_pass() {
    let rows = [
        ("GET", vec![Operation::GetObject], "NoSuchKey"),
        ("GET, version", vec![Operation::GetObject], "NoSuchVersion"),
        ("GET, foreign", vec![Operation::GetObject], "NotFound"),
        ("HEAD", vec![Operation::HeadObject], "NoSuchKey"),
        (
            "both",
            vec![Operation::GetObject, Operation::HeadObject],
            "NoSuchKey",
        ),
    ];
    for (name, operations, code) in rows {
        let (stores, history) = stores().await;
        // HEAD is sent only for large objects.
        let keys = ["large-own", "large-parts"];
        for operation in operations {
            for key in keys {
                let rule = FaultRule::new(operation, answer(404, code)).key(key);
                stores.source.faults().add(rule);
            }
        }
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        rig.end(id).await;
        for pass in 1..=2 {
            let task = check(&stores, &rig, id, &history).await;
            let found: Vec<(String, String)> = failures(&rig, id)
                .await
                .into_iter()
                .map(|f| (f.key.lossy().into_owned(), f.code))
                .collect();
            let wanted = keys.map(|key| (key.to_owned(), "ListedButMissing".to_owned()));
            assert_eq!(found, wanted, "{name}, pass {pass}");
            assert_eq!((task.state, task.counters.gone), (State::Failed, 0), "{name}");
            if pass == 1 {
                rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
                rig.wait(id, |task| task.pass.unwrap().number == 2).await;
                rig.end(id).await;
            }
        }
        converges(&stores, &rig, id, &history, Remedy::FailedOnly).await;
        rig.shut_down().await;
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_fails_in_every_pass() {
    let (stores, _) = stores().await;
    let rig = Rig::quick().await;
    let mut order = stores.order();
    let names = ["dir-0/00", "dir-0/typo", "dir-1/vanishes"];
    order.scope = Scope::Objects(names.iter().map(|name| Key::from(*name)).collect());
    stores.source.put(SOURCE, names[2], SandboxObject::new("x"));
    let rule = FaultRule::new(Operation::GetObject, Fault::RemoveObject).key(names[2]);
    stores.source.faults().add(rule);
    let id = rig.create(order).await;
    rig.end(id).await;
    for pass in 1..=3 {
        let task = rig.task(id).await;
        let found: Vec<(String, String)> = failures(&rig, id)
            .await
            .into_iter()
            .map(|f| (f.key.lossy().into_owned(), f.code))
            .collect();
        let wanted = [names[1], names[2]].map(|name| (name.to_owned(), "NoSuchKey".to_owned()));
        assert_eq!(found, wanted, "pass {pass}: {task:#?}");
        let c = task.counters;
        assert_eq!(
            (task.state, c.copied, c.gone),
            (State::Failed, 1, 0),
            "pass {pass}"
        );
        assert!(c.balanced(), "{c:#?}");
        if pass < 3 {
            rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
            rig.wait(id, |task| task.pass.unwrap().number == pass + 1).await;
            rig.end(id).await;
        }
    }
    // The names exist after all.
    stores.source.faults().clear();
    for name in &names[1..] {
        stores.source.put(SOURCE, name, SandboxObject::new("there now"));
    }
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.pass.unwrap().number == 4).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 3),
        "{task:#?}"
    );
}

#[tokio::test]
async fn a_key_with_many_others_below_it_is_missing_without_reading_them_all() {
    let stores = Stores::small().await;
    for n in 0..300 {
        stores
            .source
            .put(SOURCE, &format!("dir/{n:04}"), SandboxObject::new("x"));
    }
    stores.source.put(SOURCE, "dir", SandboxObject::new("x"));
    let rule = FaultRule::new(Operation::GetObject, Fault::RemoveObject).key("dir");
    stores.source.faults().add(rule);
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let c = task.counters;
    assert_eq!(
        (task.state, c.gone, c.copied),
        (State::Succeeded, 1, 300),
        "{task:#?}"
    );
}
