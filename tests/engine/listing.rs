//! Stores with unusual listings: every object arrives and is counted exactly once, or the task says what is wrong.

use std::time::Duration;

use oms::object::clouds::Side;
use oms::sandbox::{Fault, FaultRule, KeyEncoding, Operation, Sandbox, SandboxObject, SandboxOptions};
use oms::task::{Key, StartMode, State};

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};

fn fill(stores: &Stores, count: usize) {
    for n in 0..count {
        let object = SandboxObject::new(format!("object {n}"));
        stores.source.put(SOURCE, &format!("{n:05}"), object);
    }
}

fn always(side: &Sandbox, operation: Operation, fault: Fault) {
    side.faults().add(FaultRule::new(operation, fault));
}

/// Stores that ignore or refuse the start key of a listing: nothing is counted twice after a stop.
#[tokio::test]
async fn nothing_is_counted_twice_after_a_stop_if_the_start_of_a_listing_is_ignored() {
    for (fault, operation) in [
        (Fault::IgnoreStart, Operation::ListObjectsV2),
        (Fault::IgnoreStart, Operation::ListObjects),
        (Fault::RefuseStart, Operation::ListObjectsV2),
    ] {
        for side in [Side::Source, Side::Target] {
            // The target grows during the pass. If its last page is full, nothing shows whether objects follow.
            if side == Side::Target && operation == Operation::ListObjects {
                continue;
            }
            let stores = Stores::small().await;
            fill(&stores, 305);
            let odd = match side {
                Side::Source => &stores.source,
                Side::Target => &stores.target,
            };
            // The last write hangs, so that the pass is still running when it is stopped.
            let last = stores.source.keys(SOURCE).pop().unwrap();
            let forever = Fault::Delay(Duration::from_secs(3600));
            let rule = FaultRule::new(Operation::PutObject, forever).key(&last);
            stores.target.faults().add(rule);
            always(odd, operation, fault.clone());
            let rig = Rig::quick().await;
            let id = rig.create(stores.order()).await;
            rig.wait(id, |task| task.counters.copied >= 40).await;
            let paused = rig.pause(id).await;
            assert!(paused.counters.copied < 305, "{paused:#?}");
            stores.target.faults().clear();
            always(odd, operation, fault.clone());
            rig.start(id, StartMode::Full, stores.credentials()).await;
            let task = rig.end(id).await;
            let c = task.counters;
            assert_eq!(
                (task.state, c.listed, c.copied + c.skipped, c.failed),
                (State::Succeeded, 305, 305, 0),
                "{side:?} {fault:?} {operation:?}: {task:#?}"
            );
            stores.assert_same();
        }
    }
}

/// Keys are read correctly in every encoding that stores use, on both sides and in every pass.
#[tokio::test]
async fn keys_are_the_same_however_they_are_listed() {
    let keys = [
        "plain",
        "a b",
        "a+b",
        "c%20d",
        "e%41",
        "50%",
        "x&y",
        "x&amp;z",
        "größe <1>",
        "a/b+c/ü",
    ];
    for key_encoding in [
        KeyEncoding::Percent,
        KeyEncoding::Path,
        KeyEncoding::Undeclared,
        KeyEncoding::DeclaredPlain,
        KeyEncoding::EscapedTwice,
    ] {
        let options = || SandboxOptions {
            key_encoding,
            page_size: 4,
            ..SandboxOptions::default()
        };
        let stores = Stores::with(options(), options()).await;
        for key in keys {
            stores
                .source
                .put(SOURCE, key, SandboxObject::new(format!("object {key}")));
        }
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        assert_eq!(
            (task.state, task.counters.copied),
            (State::Succeeded, 10),
            "{key_encoding:?}: {task:#?}"
        );
        stores.assert_same();
        // A second task finds all of them at the target.
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        assert_eq!(
            (task.state, task.counters.skipped),
            (State::Succeeded, 10),
            "{key_encoding:?}: {task:#?}"
        );
    }
}

/// A store that ignores the page size and returns everything in one page. The listing is processed in pieces.
#[tokio::test]
async fn a_bucket_that_comes_in_one_page_is_copied() {
    let stores = Stores::new().await;
    fill(&stores, 3500);
    for n in 0..3400 {
        let object = SandboxObject::new(format!("object {n}"));
        stores.target.put(TARGET, &format!("{n:05}"), object);
    }
    for side in [&stores.source, &stores.target] {
        always(side, Operation::ListObjects, Fault::OnePage);
    }
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let c = task.counters;
    assert_eq!(
        (task.state, c.listed, c.copied, c.skipped),
        (State::Succeeded, 3500, 100, 3400),
        "{task:#?}"
    );
    stores.assert_same();
}

/// One side refuses ListObjectsV2, but only from the second pass on.
#[tokio::test]
async fn the_listing_falls_back_to_version_1_in_a_later_pass() {
    let refused = |status: u16, code: &str| Fault::Status {
        status,
        code: code.to_owned(),
        retry_after: None,
    };
    for fault in [
        refused(501, "NotImplemented"),
        refused(400, "InvalidArgument"),
        refused(405, "MethodNotAllowed"),
    ] {
        for skip in [0, 2] {
            let stores = Stores::small().await;
            fill(&stores, 45);
            let denied = FaultRule::new(Operation::PutObject, refused(403, "AccessDenied"));
            stores.target.faults().add(denied.key("00007"));
            for side in [&stores.source, &stores.target] {
                let rule = FaultRule::new(Operation::ListObjectsV2, fault.clone());
                side.faults().add(rule.skip(skip));
            }
            let rig = Rig::quick().await;
            let id = rig.create(stores.order()).await;
            let task = rig.end(id).await;
            let c = task.counters;
            assert_eq!(
                (task.state, c.listed, c.copied, c.failed),
                (State::Failed, 45, 44, 1),
                "{task:#?}"
            );
            stores.target.faults().clear();
            let rule = FaultRule::new(Operation::ListObjectsV2, fault.clone());
            stores.target.faults().add(rule);
            rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
            rig.wait(id, |task| task.state != State::Failed).await;
            let task = rig.end(id).await;
            assert_eq!(
                (task.state, task.counters.copied),
                (State::Succeeded, 45),
                "{task:#?}"
            );
            stores.assert_same();
        }
    }
}

/// A key that is longer than any store allows fails alone. The failure record has only a part of the key.
#[tokio::test]
async fn the_failure_of_an_overlong_key_is_cut() {
    let stores = Stores::new().await;
    fill(&stores, 3);
    let long = "k".repeat(20_000);
    let body = format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>00001</Key><Size>8</Size></Contents>\
         <Contents><Key>{long}</Key><Size>1</Size></Contents></ListBucketResult>"
    );
    let fault = Fault::OkWithBody {
        content_type: "application/xml".to_owned(),
        body: body.into(),
    };
    always(&stores.source, Operation::ListObjects, fault);
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let c = task.counters;
    assert_eq!(
        (task.state, c.listed, c.copied, c.failed),
        (State::Failed, 2, 1, 1),
        "{task:#?}"
    );
    let failures = rig.ledger.failures(id, None, 10).await.unwrap();
    assert_eq!(failures[0].code, "KeyTooLongError");
    assert!(
        failures[0].key.as_bytes().len() <= Key::MAX_LEN,
        "{} bytes",
        failures[0].key.as_bytes().len()
    );
}

/// If a listing leaves out objects and no other way of listing helps, the task ends with a message that says so.
#[tokio::test]
async fn a_listing_that_hides_objects_ends_the_task_with_a_message() {
    let document = |inner: &str| Fault::OkWithBody {
        content_type: "application/xml".to_owned(),
        body: format!("<ListBucketResult>{inner}</ListBucketResult>").into(),
    };
    let entry = "<Contents><Key>00001</Key><Size>8</Size></Contents>";
    let two = "<Contents><Key>00000</Key><Size>8</Size></Contents><Contents><Key>00001</Key><Size>8</Size></Contents>";
    let last = "<IsTruncated>false</IsTruncated>";
    for (name, fault, words) in [
        (
            "groups",
            document(&format!(
                "{last}{entry}<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
            )),
            "no delimiter was asked for",
        ),
        (
            "counts",
            document(&format!("{last}<KeyCount>7</KeyCount>{entry}")),
            "7 keys, and names 1",
        ),
        ("silence", document(two), "may not be the last one"),
        (
            "silence about nothing",
            document(""),
            "does not say whether it is complete",
        ),
        (
            "full",
            document(&format!("{last}<MaxKeys>2</MaxKeys>{two}")),
            "may not be the last one",
        ),
        (
            "half a character",
            document(&format!(
                "{last}<Contents><Key>&#55357;</Key><Size>1</Size></Contents>"
            )),
            "half a character",
        ),
    ] {
        let stores = Stores::new().await;
        fill(&stores, 3);
        always(&stores.source, Operation::ListObjects, fault);
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        let reason = task.reason.as_ref().map(|reason| reason.message.clone());
        assert_eq!(task.state, State::Failed, "{name}: {task:#?}");
        assert!(
            reason.as_ref().is_some_and(|reason| reason.contains(words)),
            "{name}: {reason:?}"
        );
    }
}
