//! What a read does not find is gone only when the source says so, or a listing has it no more.

use oms::sandbox::{FaultRule, Operation};
use oms::task::{StartMode, State};

use super::matrix::row::{answer, fill};
use crate::support::checker::{History, Remedy, check, converges, failures};
use crate::support::rig::{Rig, Stores};

async fn stores() -> (Stores, History) {
    let stores = Stores::small().await;
    fill(&stores);
    let history = History::of(&stores);
    (stores, history)
}

#[tokio::test]
async fn a_bucket_that_goes_away_below_a_failed_only_pass_takes_no_object_with_it() {
    let (stores, history) = stores().await;
    let denied = answer(403, "AccessDenied");
    // More than a few would stop the pass; these fail for themselves.
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
    // The probe still finds it.
    faults.add(FaultRule::new(Operation::ListObjects, answer(404, "NoSuchBucket")).skip(1));
    faults.add(FaultRule::new(Operation::HeadObject, answer(404, "NoSuchBucket")));
    faults.add(FaultRule::new(Operation::GetObject, answer(404, "NoSuchBucket")));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    let code = task.reason.as_ref().map(|reason| reason.code.as_str());
    assert_eq!(code, Some("TRF.0155"), "{task:#?}");
    assert_eq!((task.counters.gone, task.counters.failed), (0, 3), "{task:#?}");
    assert_eq!(failures(&rig, id).await.len(), 3);
    converges(&stores, &rig, id, &history, Remedy::FailedOnly).await;
}

#[tokio::test]
async fn a_server_that_says_404_to_everything_is_no_empty_bucket() {
    let (stores, history) = stores().await;
    for operation in [Operation::GetObject, Operation::HeadObject] {
        let rule = FaultRule::new(operation, answer(404, "NotFound"));
        stores.source.faults().add(rule);
    }
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    let code = task.reason.as_ref().map(|reason| reason.code.as_str());
    assert_eq!(code, Some("TRF.0157"), "{task:#?}");
    assert_eq!((task.counters.gone, task.counters.copied), (0, 0), "{task:#?}");
    assert_eq!(failures(&rig, id).await, []);
    converges(&stores, &rig, id, &history, Remedy::Full).await;
}
