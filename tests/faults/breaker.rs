//! Errors that hit every object stop the pass and record no failure. Errors of single objects or folders do not stop it.

use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::task::{ReasonKind, StartMode, State, Task, TaskId};

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

fn reason(task: &Task) -> Option<ReasonKind> {
    task.reason.as_ref().map(|reason| reason.kind)
}

async fn start(rig: &Rig, stores: &Stores, id: TaskId) -> Task {
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    rig.end(id).await
}

#[tokio::test]
async fn an_error_of_every_object_stops_the_pass_without_failures() {
    let rows = [
        (
            "source",
            Operation::GetObject,
            answers(403, "AccessDenied"),
            ReasonKind::SourcePermission,
        ),
        (
            "target",
            Operation::PutObject,
            answers(403, "AccessDenied"),
            ReasonKind::TargetPermission,
        ),
        (
            "source",
            Operation::GetObject,
            answers(503, "ServiceUnavailable"),
            ReasonKind::SourceUnavailable,
        ),
        (
            "target",
            Operation::PutObject,
            answers(500, "InternalError"),
            ReasonKind::TargetUnavailable,
        ),
        (
            "source",
            Operation::GetObject,
            answers(429, "TooManyRequests"),
            ReasonKind::SourceThrottled,
        ),
    ];
    let cases = rows.map(|(side, operation, fault, kind)| async move {
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
        assert_eq!(
            (task.state, reason(&task)),
            (State::Failed, Some(kind)),
            "{task:#?}"
        );
        assert_eq!(task.counters.failed, 0, "{kind:?}: no object is burnt");
        assert!(
            task.counters.copied > 0 && task.counters.copied < 100,
            "{kind:?} {task:#?}"
        );
        assert!(!task.pass.unwrap().finished, "{kind:?}");

        faulty.faults().clear();
        let task = start(&rig, &stores, id).await;
        assert_eq!(
            (task.state, task.counters.listed),
            (State::Succeeded, 300),
            "{kind:?} {task:#?}"
        );
        assert_eq!(task.pass.unwrap().number, 1, "{kind:?}: it went on");
        stores.assert_same();
    });
    futures_util::future::join_all(cases).await;
}

#[tokio::test]
async fn credentials_that_may_read_nothing_cause_no_failures() {
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
        (Some(ReasonKind::SourcePermission), 0, 0)
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
            (Some(ReasonKind::ObjectsFailed), 90, 70),
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
async fn denied_objects_among_skipped_ones_do_not_stop_the_others() {
    let stores = Stores::new().await;
    fill(&stores, "k", 12_000);
    for key in stores.source.keys(SOURCE) {
        let there = stores.source.get(SOURCE, &key).unwrap();
        stores.target.put(crate::support::rig::TARGET, &key, there);
    }
    // The first object must be copied and is denied. More skipped objects follow than a whole window has.
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

/// Errors about the credentials, the bucket or the space. One object with such an error must not end the task.
const GRAVE: [(u16, &str); 6] = [
    (403, "SignatureDoesNotMatch"),
    (403, "InvalidAccessKeyId"),
    (401, "Unauthorized"),
    (400, "ExpiredToken"),
    (404, "NoSuchBucket"),
    (507, "InsufficientStorage"),
];

#[tokio::test]
async fn a_severe_error_of_one_object_is_only_its_failure() {
    let mut cases = Vec::new();
    for (status, code) in GRAVE {
        for operation in [Operation::GetObject, Operation::PutObject] {
            if operation == Operation::GetObject && status == 507 {
                continue;
            }
            // The first object, before any has succeeded, one in the middle, and the last one.
            for key in ["0000", "0020", "0039"] {
                cases.push((status, code, operation, key));
            }
        }
    }
    for (status, code, operation, key) in cases {
        let stores = Stores::small().await;
        fill(&stores, "", 40);
        let faulty = if operation == Operation::GetObject {
            &stores.source
        } else {
            &stores.target
        };
        faulty
            .faults()
            .add(FaultRule::new(operation, answers(status, code)).key(key));
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        let c = task.counters;
        let what = format!("{code} {operation:?} {key}");
        assert_eq!(
            (reason(&task), c.failed, c.copied),
            (Some(ReasonKind::ObjectsFailed), 1, 39),
            "{what} {task:#?}"
        );
        let failures = rig.ledger.failures(id, None, 10).await.unwrap();
        assert_eq!(failures[0].code, code, "{what}");
        // The next pass continues after this object, too.
        rig.start(id, StartMode::Full, stores.credentials()).await;
        rig.wait(id, |task| task.pass.unwrap().number == 2).await;
        let task = rig.end(id).await;
        let c = task.counters;
        assert_eq!(
            (reason(&task), c.failed, c.skipped),
            (Some(ReasonKind::ObjectsFailed), 1, 39),
            "{what} {task:#?}"
        );
        faulty.faults().clear();
        rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
        rig.wait(id, |task| task.pass.unwrap().number == 3).await;
        assert_eq!(rig.end(id).await.state, State::Succeeded, "{what}");
        stores.assert_same();
        rig.shut_down().await;
    }
}

#[tokio::test]
async fn the_only_object_of_a_bucket_fails_alone_if_the_listing_proves_the_credentials() {
    let stores = Stores::small().await;
    fill(&stores, "", 1);
    let wrong = answers(403, "SignatureDoesNotMatch");
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, wrong));
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (reason(&task), task.counters.failed),
        (Some(ReasonKind::ObjectsFailed), 1),
        "{task:#?}"
    );
}

#[tokio::test]
async fn many_failing_objects_do_not_double_the_requests() {
    let stores = Stores::small().await;
    fill(&stores, "fine-", 100);
    fill(&stores, "odd-", 100);
    let wrong = answers(403, "SignatureDoesNotMatch");
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::PutObject, wrong).key_prefix("odd-"));
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let c = task.counters;
    assert_eq!(
        (reason(&task), c.failed, c.copied),
        (Some(ReasonKind::ObjectsFailed), 100, 100),
        "{task:#?}"
    );
    let canaries = stores.target.requests().into_iter().filter(|request| {
        let key = request.key.as_deref().unwrap_or_default();
        request.operation == Operation::PutObject && key.ends_with("/canary")
    });
    // One canary each for 1, 2, 4, 8 and 16 objects, then one for every 20, and one for the rest at the end.
    assert!((1..=10).contains(&canaries.count()));
    assert!(
        stores
            .target
            .keys(crate::support::rig::TARGET)
            .iter()
            .all(|key| !key.contains("canary")),
        "the canary is removed"
    );
}

#[tokio::test]
async fn credentials_that_expire_at_the_last_objects_fail_none_of_them() {
    // Fewer objects than the breaker needs for other errors, and no object follows them.
    for operation in [Operation::GetObject, Operation::PutObject] {
        let stores = Stores::small().await;
        fill(&stores, "", 60);
        let (faulty, kind, probes) = if operation == Operation::GetObject {
            (&stores.source, ReasonKind::SourceCredentials, 0)
        } else {
            (&stores.target, ReasonKind::TargetCredentials, 2)
        };
        let expired = answers(400, "ExpiredToken");
        faulty
            .faults()
            .add(FaultRule::new(operation, expired).skip(57 + probes));
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        assert_eq!(
            (reason(&task), task.counters.failed),
            (Some(kind), 0),
            "{task:#?}"
        );
        faulty.faults().clear();
        assert_eq!(start(&rig, &stores, id).await.state, State::Succeeded);
        stores.assert_same();
    }
}

#[tokio::test]
async fn an_object_and_its_parts_share_their_attempts() {
    let stores = Stores::small().await;
    let large = vec![7; 5 * usize::try_from(crate::support::rig::SMALL_PART).unwrap()];
    stores.source.put(SOURCE, "large", SandboxObject::new(large));
    let broken = answers(500, "InternalError");
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::UploadPart, broken));
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(task.counters.failed, 1, "{task:#?}");
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    let tries = i64::from(oms::engine::retry::MAX_ATTEMPTS);
    assert_eq!(failures[0].attempts, tries, "{failures:#?}");
    // Three parts in parallel, each tried so often. The object as a whole is not tried again as often.
    let sent = stores.target.requests_count(Operation::UploadPart);
    assert!(sent <= 3 * usize::try_from(tries).unwrap(), "{sent}");
}
