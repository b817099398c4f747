//! Multipart uploads: what remains of them after a stop, and what a later start does with it.

use std::time::Duration;

use oms::object::clouds::Side::Target;
use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::service::BucketRequest;
use oms::task::{ReasonKind, StartMode, State};

use super::row::{OWN, PARTS, Row, Times, answer, bytes, fill, run};
use crate::support::checker::{History, Remedy, check, converges, failures};
use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores, TARGET};

#[tokio::test]
async fn uploads_that_vanish_or_cannot_be_aborted() {
    let mut rows = Vec::new();
    for key in [OWN, PARTS] {
        let gone = answer(404, "NoSuchUpload");
        rows.push(Row::new("F17", Target, O::UploadPart, gone.clone(), Times::Some(1)).of(key));
        rows.push(Row::new("F17", Target, O::Complete, gone, Times::Some(1)).of(key));
        let part = answer(400, "InvalidPart");
        rows.push(Row::new("F18", Target, O::Complete, part.clone(), Times::Some(1)).of(key));
        rows.push(
            Row::new("F18", Target, O::Complete, part, Times::Always)
                .of(key)
                .fails(&[key], "InvalidPart"),
        );
        // The parts never arrive, so the upload must be aborted at the end. The abort fails a few times.
        for fault in [
            answer(500, "InternalError"),
            Fault::ResetBefore,
            Fault::ResetAfterEffect,
        ] {
            let row = Row::new("F19", Target, O::Abort, fault, Times::Some(3)).of(key);
            rows.push(
                row.with_key(Target, O::UploadPart, answer(403, "AccessDenied"), key)
                    .fails(&[key], "AccessDenied"),
            );
        }
    }
    run(rows).await;
}

#[tokio::test]
async fn a_task_does_not_succeed_while_an_upload_cannot_be_aborted() {
    // F19: a task that has succeeded has no credentials any more, so nobody could abort the upload later.
    let stores = Stores::small().await;
    fill(&stores);
    let history = History::of(&stores);
    let denied = |operation| FaultRule::new(operation, answer(403, "AccessDenied")).key(OWN);
    stores.target.faults().add(denied(O::UploadPart));
    stores.target.faults().add(denied(O::Abort));
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!(task.reason.unwrap().kind, ReasonKind::TargetPermission);
    assert_eq!(failures(&rig, id).await.len(), 1);
    check(&stores, &rig, id, &history).await;
    converges(&stores, &rig, id, &history, Remedy::FailedOnly).await;
    assert_eq!(stores.target.open_uploads(TARGET), 0);
}

#[tokio::test]
async fn after_a_stop_finished_parts_are_not_sent_again() {
    // F24, F63: new credentials of the same account resume the upload of the old ones.
    for gone in [Gone::No, Gone::Yes] {
        let stores = Stores::small().await;
        stores.source.put(
            SOURCE,
            PARTS,
            SandboxObject::multipart(bytes(2, 20 * SMALL_PART), SMALL_PART),
        );
        let history = History::of(&stores);
        let slow = FaultRule::new(O::UploadPart, Fault::Delay(Duration::from_secs(30))).skip(12);
        stores.target.faults().add(slow);
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        wait_for(&stores, O::UploadPart, 12).await;
        let task = rig.pause(id).await;
        assert_eq!(task.state, State::Paused);
        check(&stores, &rig, id, &history).await;
        stores.target.faults().clear();
        if gone == Gone::Yes {
            let lost = FaultRule::new(O::ListParts, answer(404, "NoSuchUpload")).times(1);
            stores.target.faults().add(lost);
        }
        stores.target.clear_requests();
        rig.start(id, StartMode::Full, stores.credentials()).await;
        assert_eq!(rig.end(id).await.state, State::Succeeded);
        let begun = stores.target.requests_count(O::CreateUpload);
        let sent = stores.target.requests_count(O::UploadPart);
        match gone {
            Gone::No => assert_eq!((begun, sent), (0, 8)),
            // F17: an upload that is reported as gone is still aborted before the ledger forgets it.
            Gone::Yes => assert_eq!((begun, sent), (1, 20)),
        }
        check(&stores, &rig, id, &history).await;
        stores.assert_same();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gone {
    No,
    Yes,
}

#[tokio::test]
async fn an_older_object_is_not_mistaken_for_a_copy_with_a_lost_response() {
    // F14, F15: the target has a version of the same length in the same number of parts, and every Complete fails.
    let stores = Stores::small().await;
    let length = 5 * SMALL_PART;
    stores
        .source
        .put(SOURCE, OWN, SandboxObject::new(bytes(1, length)));
    let mut old = SandboxObject::multipart(bytes(2, length), QUICK.sizes.usual);
    old.last_modified -= Duration::from_secs(3600);
    stores.target.put(TARGET, OWN, old);
    let history = History::of(&stores);
    stores
        .target
        .faults()
        .add(FaultRule::new(O::Complete, answer(500, "InternalError")));
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!((task.counters.copied, task.counters.failed), (0, 1), "{task:#?}");
    converges(&stores, &rig, id, &history, Remedy::FailedOnly).await;
    stores.assert_same();
}

#[tokio::test]
async fn sizes_around_parts() {
    // F36, F37.
    let stores = Stores::small().await;
    let sizes = QUICK.sizes;
    for (n, around) in [0, 1, sizes.threshold, 3 * sizes.usual, 5 * SMALL_PART]
        .into_iter()
        .enumerate()
    {
        for length in [around.saturating_sub(1), around, around + 1] {
            let data = bytes(n, length);
            let key = |kind: &str| format!("{kind}-{length}");
            stores
                .source
                .put(SOURCE, &key("one"), SandboxObject::new(data.clone()));
            for part in [SMALL_PART - 1, SMALL_PART, SMALL_PART + 1] {
                let parted = SandboxObject::multipart(data.clone(), part);
                stores.source.put(SOURCE, &key(&format!("parts-{part}")), parted);
            }
        }
    }
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    assert_eq!(rig.end(id).await.state, State::Succeeded);
    check(&stores, &rig, id, &history).await;
    stores.assert_same();
}

/// A response that sends white space for longer than a whole response may take. Its pauses are shorter than the timeout.
fn white_space(error: Option<&str>) -> Fault {
    Fault::WhiteSpace {
        pieces: 12,
        pause: Duration::from_millis(110),
        error: error.map(str::to_owned),
    }
}

#[tokio::test]
async fn white_space_before_a_response_is_neither_its_end_nor_a_success() {
    let mut rows = Vec::new();
    for key in [OWN, PARTS] {
        let row = |error, times| Row::new("F16", Target, O::Complete, white_space(error), times).of(key);
        rows.push(row(None, Times::Always));
        rows.push(row(Some("InternalError"), Times::Some(1)));
        rows.push(row(Some("AccessDenied"), Times::Always).fails(&[key], "AccessDenied"));
    }
    run(rows).await;
}

#[tokio::test]
async fn white_space_before_the_answer_to_a_copy() {
    // F16 within one store.
    for (error, failed) in [(None, 0), (Some("AccessDenied"), 1)] {
        let stores = Stores::small().await;
        for key in ["a", "b"] {
            stores.source.put(SOURCE, key, SandboxObject::new(key));
        }
        stores.source.create_bucket(TARGET);
        let slow = FaultRule::new(O::CopyObject, white_space(error)).key("a");
        stores.source.faults().add(slow);
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.target = BucketRequest {
            bucket: TARGET.to_owned(),
            ..order.source.clone()
        };
        order.credentials.target = order.credentials.source.clone();
        let credentials = order.credentials.clone();
        let id = rig.create(order).await;
        let task = rig.end(id).await;
        assert_eq!(
            (task.counters.failed, task.counters.copied),
            (failed, 2 - failed),
            "{task:#?}"
        );
        for failure in failures(&rig, id).await {
            assert_eq!(failure.code, "AccessDenied", "{failure:?}");
            assert_eq!(stores.source.get(TARGET, "a"), None);
            stores.source.faults().clear();
            rig.start(id, StartMode::FailedOnly, credentials.clone()).await;
            rig.wait(id, |task| task.state == State::Succeeded).await;
        }
        for key in ["a", "b"] {
            assert_eq!(stores.source.get(TARGET, key).unwrap().data, key.as_bytes());
        }
        rig.shut_down().await;
    }
}

/// Waits until the target has answered this many requests.
async fn wait_for(stores: &Stores, operation: O, count: usize) {
    while stores.target.requests_count(operation) < count {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
