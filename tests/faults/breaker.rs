//! Troubles that hit every object stop the pass and burn none; those of single objects, and of single folders, do not.

use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::task::{StartMode, State, Task, TaskId};

use crate::support::rig::{Rig, SOURCE, Stores};

fn fill(stores: &Stores, folder: &str, count: usize) {
    for n in 0..count {
        let object = SandboxObject::new(format!("object {n} of {folder}"));
        stores.source.put(SOURCE, &format!("{folder}{n:04}"), object);
    }
}

fn answers(status: u16, code: &str) -> Fault {
    Fault::Status {
        status,
        code: code.to_owned(),
        retry_after: (status == 429).then(|| "0".to_owned()),
    }
}

fn reason(task: &Task) -> &str {
    task.reason.as_ref().map_or("", |reason| &reason.code)
}

async fn start(rig: &Rig, stores: &Stores, id: TaskId) -> Task {
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    rig.end(id).await
}

#[tokio::test]
async fn a_trouble_of_every_object_stops_the_pass_and_burns_none() {
    let rows = [
        (
            "source",
            Operation::GetObject,
            answers(403, "AccessDenied"),
            "TRF.0152",
        ),
        (
            "target",
            Operation::PutObject,
            answers(403, "AccessDenied"),
            "TRF.0051",
        ),
        (
            "source",
            Operation::GetObject,
            answers(503, "ServiceUnavailable"),
            "TRF.0157",
        ),
        (
            "target",
            Operation::PutObject,
            answers(500, "InternalError"),
            "TRF.0061",
        ),
        (
            "source",
            Operation::GetObject,
            answers(429, "TooManyRequests"),
            "TRF.0159",
        ),
    ];
    let cases = rows.map(|(side, operation, fault, code)| async move {
        let stores = Stores::new().await;
        fill(&stores, "", 300);
        let faulty = if side == "source" {
            &stores.source
        } else {
            &stores.target
        };
        faulty.faults().add(FaultRule::new(operation, fault).skip(90));
        let rig = Rig::new().await;
        let mut order = stores.order();
        order.threads = 40;
        let id = rig.create(order).await;
        let task = rig.end(id).await;
        assert_eq!((task.state, reason(&task)), (State::Failed, code), "{task:#?}");
        assert_eq!(task.counters.failed, 0, "{code}: no object is burnt");
        assert!(
            task.counters.copied > 0 && task.counters.copied < 100,
            "{code} {task:#?}"
        );
        assert!(!task.pass.unwrap().finished, "{code}");

        faulty.faults().clear();
        let task = start(&rig, &stores, id).await;
        assert_eq!(
            (task.state, task.counters.listed),
            (State::Succeeded, 300),
            "{code} {task:#?}"
        );
        assert_eq!(task.pass.unwrap().number, 1, "{code}: it went on");
        stores.assert_same();
    });
    futures_util::future::join_all(cases).await;
}

#[tokio::test]
async fn a_key_that_may_read_nothing_burns_nothing() {
    let stores = Stores::new().await;
    fill(&stores, "", 60);
    let denied = answers(403, "AccessDenied");
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, denied));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (reason(&task), task.counters.failed, task.counters.listed),
        ("TRF.0152", 0, 0)
    );
    stores.source.faults().clear();
    assert_eq!(start(&rig, &stores, id).await.state, State::Succeeded);
    stores.assert_same();
}

#[tokio::test]
async fn a_folder_that_is_denied_fails_alone_wherever_it_stands() {
    for folder in ["a/", "m/", "z/"] {
        let stores = Stores::new().await;
        fill(&stores, "m", 70);
        fill(&stores, folder, 90);
        let denied = answers(403, "AccessDenied");
        stores
            .source
            .faults()
            .add(FaultRule::new(Operation::GetObject, denied).key_prefix(folder));
        let rig = Rig::new().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        let c = task.counters;
        assert_eq!(
            (reason(&task), c.failed, c.copied),
            ("TRF.0004", 90, 70),
            "{folder} {task:#?}"
        );
        stores.source.faults().clear();
        rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
        rig.wait(id, |task| task.state != State::Failed).await;
        assert_eq!(rig.end(id).await.state, State::Succeeded, "{folder}");
        stores.assert_same();
    }
}

#[tokio::test]
async fn denied_keys_among_objects_that_are_there_already_do_not_hold_the_rest_up() {
    let stores = Stores::new().await;
    fill(&stores, "k", 12_000);
    for key in stores.source.keys(SOURCE) {
        let there = stores.source.get(SOURCE, &key).unwrap();
        stores.target.put(crate::support::rig::TARGET, &key, there);
    }
    // One object to copy at the very front, denied: more than a whole window of skipped ones follows.
    stores.source.put(SOURCE, "a", SandboxObject::new("new"));
    let denied = answers(403, "AccessDenied");
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, denied).key("a"));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let c = task.counters;
    assert_eq!((c.failed, c.skipped, c.copied), (1, 12_000, 0), "{task:#?}");
}
