//! Stops while stores fail: the task is paused within two seconds, and then sends no request any more.

use std::time::{Duration, Instant};

use oms::sandbox::{Fault, FaultRule, Operation as O};
use oms::task::StartMode;

use super::row::{OWN, PARTS, answer, fill};
use crate::support::checker::{History, Remedy, check, converges};
use crate::support::rig::{Rig, Stores};

/// The promised two seconds, and one more for a busy machine.
const DRAINED: Duration = Duration::from_secs(3);
/// How long the stores are watched afterwards.
const WATCHED: Duration = Duration::from_millis(700);

#[tokio::test]
async fn no_request_is_sent_after_a_stop() {
    let patient = |code: &str| Fault::Status {
        status: 503,
        code: code.to_owned(),
        retry_after: Some("120".to_owned()),
    };
    let slow = Fault::Delay(Duration::from_secs(20));
    for (name, rules) in [
        (
            "slow writes",
            vec![FaultRule::new(O::PutObject, slow.clone()).key_prefix("dir-")],
        ),
        (
            "writes that go on",
            vec![FaultRule::one_by_one(O::PutObject, Duration::from_millis(4)).key_prefix("dir-")],
        ),
        (
            "F2 Retry-After 120",
            vec![FaultRule::new(O::PutObject, patient("SlowDown")).key_prefix("dir-")],
        ),
        ("F9 slow parts", vec![FaultRule::new(O::UploadPart, slow.clone())]),
        ("slow probe", vec![FaultRule::new(O::ListObjects, slow.clone())]),
        (
            "throttled probe",
            vec![FaultRule::new(O::PutObject, patient("SlowDown")).key_prefix("oms/")],
        ),
        (
            "F19 uploads that are not given up",
            vec![
                FaultRule::new(O::UploadPart, answer(403, "AccessDenied")),
                FaultRule::new(O::Abort, patient("SlowDown")),
            ],
        ),
    ] {
        let stores = Stores::small().await;
        fill(&stores);
        let history = History::of(&stores);
        for rule in rules {
            stores.target.faults().add(rule);
        }
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        while stores.target.faults().fired() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if name.contains("probe") && stores.target.faults().fired() > 0 {
                break;
            }
        }
        let asked = Instant::now();
        rig.pause(id).await;
        let took = asked.elapsed();
        assert!(took < DRAINED, "{name}: it took {took:?}");
        let begun = || stores.source.requests_begun() + stores.target.requests_begun();
        let then = begun();
        // A fixed sleep, because the test must show that nothing happens.
        tokio::time::sleep(WATCHED).await;
        assert_eq!(begun(), then, "{name}: requests left after the stop");
        stores.target.faults().clear();
        rig.start(id, StartMode::Full, stores.credentials()).await;
        rig.end(id).await;
        check(&stores, &rig, id, &history).await;
        converges(&stores, &rig, id, &history, Remedy::Full).await;
        let keys = stores.target.keys(crate::support::rig::TARGET);
        assert!(
            keys.iter().any(|k| k == OWN) && keys.iter().any(|k| k == PARTS),
            "{name}"
        );
    }
}
