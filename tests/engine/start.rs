//! Stop and start, the most important ability of a task.

use std::time::Duration;

use oms::error::ErrorKind;
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::secret::Secret;
use oms::service::CreateTask;
use oms::task::{BandwidthPolicy, BandwidthWindow, PassKind, ReasonKind, StartMode, State};
use oms::violation::Violation;

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};

fn fill(stores: &Stores, count: usize) {
    for n in 0..count {
        stores.source.put(
            SOURCE,
            &format!("{n:05}"),
            SandboxObject::new(format!("object {n}")),
        );
    }
}

/// Delays every write, so that the task can be stopped in the middle.
fn slow_down(stores: &Stores) {
    stores.target.faults().add(FaultRule::one_by_one(
        Operation::PutObject,
        Duration::from_millis(5),
    ));
}

#[tokio::test]
async fn a_paused_task_resumes_from_its_checkpoint_with_new_credentials() {
    let stores = Stores::new().await;
    fill(&stores, 1500);
    slow_down(&stores);
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    rig.wait(id, |task| task.counters.copied >= 100).await;
    let paused = rig.pause(id).await;
    assert!(
        paused.counters.copied < 1500 && paused.counters.balanced(),
        "{paused:#?}"
    );

    // No request is sent once the task is paused.
    let requests = stores.source.requests().len() + stores.target.requests().len();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(
        stores.source.requests().len() + stores.target.requests().len(),
        requests
    );

    stores.target.faults().clear();
    stores.source.clear_requests();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.listed),
        (State::Succeeded, 1500),
        "{task:#?}"
    );
    assert_eq!(task.counters.copied + task.counters.skipped, 1500);
    assert_eq!(task.pass.unwrap().number, 1, "it is still the same pass");
    let read_again = i64::try_from(stores.source.requests_count(Operation::GetObject)).unwrap();
    assert!(
        read_again <= 1500 - paused.counters.copied,
        "{read_again} reads after {}",
        paused.counters.copied
    );
    stores.assert_same();
}

#[tokio::test]
async fn a_failed_only_start_touches_just_the_failed_keys() {
    let stores = Stores::new().await;
    fill(&stores, 300);
    let denied = || Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    };
    for key in ["00007", "00100", "00299"] {
        stores
            .target
            .faults()
            .add(FaultRule::new(Operation::PutObject, denied()).key(key));
    }
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let failed = rig.end(id).await;
    assert_eq!((failed.state, failed.counters.failed), (State::Failed, 3));

    stores.target.faults().clear();
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::PutObject, denied()).key("00100"));
    stores.source.remove(SOURCE, "00299");
    stores.source.clear_requests();
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let again = rig.end(id).await;
    assert_eq!(again.pass.unwrap().kind, PassKind::Failed);
    let c = again.counters;
    assert_eq!(
        (again.state, c.listed, c.copied, c.gone, c.failed),
        (State::Failed, 300, 298, 1, 1),
        "{again:#?}"
    );
    assert_eq!(stores.source.requests_count(Operation::GetObject), 2);
    let touched: Vec<String> = stores
        .source
        .requests()
        .iter()
        .filter_map(|r| r.key.clone())
        // The preflight looks for the probe object of the target at the source.
        .filter(|key| !key.starts_with("oms/probe/"))
        .collect();
    assert!(
        touched
            .iter()
            .all(|key| ["00007", "00100", "00299"].contains(&key.as_str())),
        "{touched:?}"
    );

    stores.target.faults().clear();
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let done = rig.end(id).await;
    assert_eq!(
        (done.state, done.counters.copied, done.counters.failed),
        (State::Succeeded, 299, 0)
    );
    assert!(rig.ledger.failures(id, None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_full_start_of_a_finished_failed_task_skips_what_is_there() {
    let stores = Stores::new().await;
    fill(&stores, 120);
    let denied = Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    };
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::PutObject, denied).key("00050"));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    assert_eq!(rig.end(id).await.counters.failed, 1);
    stores.target.faults().clear();
    stores.target.clear_requests();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    let c = task.counters;
    assert_eq!(
        (task.state, c.listed, c.skipped, c.copied),
        (State::Succeeded, 120, 119, 1),
        "{task:#?}"
    );
    assert_eq!(task.pass.unwrap().number, 2);
    stores.assert_same();
}

#[tokio::test]
async fn wrong_credentials_end_the_task_and_name_their_side() {
    for (side, kind) in [
        ("source", ReasonKind::SourceCredentials),
        ("target", ReasonKind::TargetCredentials),
    ] {
        for wrong in ["access", "secret"] {
            let stores = Stores::new().await;
            fill(&stores, 5);
            let rig = Rig::new().await;
            let mut order = stores.order();
            let pair = if side == "source" {
                &mut order.credentials.source
            } else {
                &mut order.credentials.target
            };
            if wrong == "access" {
                pair.access_key = Secret::new("AK-nobody");
            } else {
                pair.secret_key = Secret::new("SK-wrong-canary");
            }
            let id = rig.create(order).await;
            let task = rig.end(id).await;
            let reason = task.reason.clone().unwrap();
            assert_eq!(
                (task.state, reason.kind),
                (State::Failed, kind),
                "{side} {wrong} {task:#?}"
            );
            assert!(!reason.message.contains("canary"), "{reason:?}");
            assert_eq!(task.counters.failed, 0, "no object is burnt");
            rig.start(id, StartMode::Full, stores.credentials()).await;
            rig.wait(id, |task| task.state != State::Failed).await;
            assert_eq!(rig.end(id).await.state, State::Succeeded);
            stores.assert_same();
        }
    }
}

#[tokio::test]
async fn credentials_that_expire_half_way_cause_no_failure() {
    let stores = Stores::new().await;
    fill(&stores, 400);
    let expired = Fault::Status {
        status: 400,
        code: "ExpiredToken".to_owned(),
        retry_after: None,
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::GetObject, expired).skip(150));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.reason.unwrap().kind),
        (State::Failed, ReasonKind::SourceCredentials)
    );
    assert_eq!(task.counters.failed, 0);
    let refused = rig
        .service
        .start(
            &"p".parse().unwrap(),
            id,
            StartMode::FailedOnly,
            stores.credentials(),
            oms::task::UnixMillis(0),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.violation()),
        (ErrorKind::Conflict, Some(&Violation::FailuresIncomplete))
    );
    stores.source.faults().clear();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let task = rig.end(id).await;
    assert_eq!((task.state, task.counters.listed), (State::Succeeded, 400));
    stores.assert_same();
}

#[tokio::test]
async fn a_stopped_upload_resumes_with_its_parts() {
    let stores = Stores::new().await;
    stores.source.put(
        SOURCE,
        "large",
        SandboxObject::multipart(vec![3; 96 << 20], 8 << 20),
    );
    let slow = Fault::Delay(Duration::from_millis(1500));
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::UploadPart, slow));
    let rig = Rig::new().await;
    let order = CreateTask {
        threads: 4,
        ..stores.order()
    };
    let id = rig.create(order).await;
    // Four parts are sent at a time. When the sixth begins, two have arrived.
    while stores.target.requests_count(Operation::UploadPart) < 6 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.pause(id).await;
    assert_eq!(stores.target.open_uploads(TARGET), 1);
    stores.target.faults().clear();
    stores.target.clear_requests();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(stores.target.requests_count(Operation::CreateUpload), 0);
    let parts = stores.target.requests_count(Operation::UploadPart);
    assert!(parts < 12, "{parts} of 12 parts were sent again");
    assert_eq!(stores.target.open_uploads(TARGET), 0);
    stores.assert_same();
}

#[tokio::test]
async fn a_bandwidth_limit_slows_a_task_until_it_is_removed() {
    let stores = Stores::new().await;
    stores
        .source
        .put(SOURCE, "a", SandboxObject::new(vec![1; 3 << 20]));
    let rig = Rig::new().await;
    let mut order = stores.order();
    // At this rate, which holds all day, the task would take an hour.
    let window = BandwidthWindow {
        start: 0,
        end: 1439,
        max_bytes_per_second: 900,
    };
    order.bandwidth = BandwidthPolicy::new(vec![window]).unwrap();
    let id = rig.create(order).await;
    rig.wait(id, |task| task.state == State::Running).await;
    while stores.target.requests_count(Operation::GetObject)
        + stores.source.requests_count(Operation::GetObject)
        == 0
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.task(id).await.state, State::Running);
    let project = "p".parse().unwrap();
    rig.service
        .set_bandwidth(&project, id, BandwidthPolicy::default())
        .await
        .unwrap();
    assert_eq!(rig.end(id).await.state, State::Succeeded);
    stores.assert_same();
}

#[tokio::test]
async fn a_shutdown_commits_and_the_next_process_resumes_by_itself() {
    let stores = Stores::new().await;
    fill(&stores, 1000);
    slow_down(&stores);
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    rig.wait(id, |task| task.counters.copied >= 50).await;
    let folder = rig.shut_down().await;
    stores.target.faults().clear();
    let rig = Rig::open(folder, Default::default()).await;
    let task = rig.end(id).await;
    assert_eq!((task.state, task.counters.listed), (State::Succeeded, 1000));
    stores.assert_same();
}
