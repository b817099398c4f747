//! Stores whose listings are odd: everything arrives, once, and is counted once; or the task says what is wrong.

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

/// Stores that know no beginning of a listing, or fall over it: after a stop nothing is counted twice.
#[tokio::test]
async fn a_stop_is_survived_where_the_beginning_of_a_listing_is_ignored() {
    for (fault, operation) in [
        (Fault::IgnoreStart, Operation::ListObjectsV2),
        (Fault::IgnoreStart, Operation::ListObjects),
        (Fault::RefuseStart, Operation::ListObjectsV2),
    ] {
        for side in [Side::Source, Side::Target] {
            // A target that is written to may have a full page at its end, and then nothing tells what is behind it.
            if side == Side::Target && operation == Operation::ListObjects {
                continue;
            }
            let stores = Stores::small().await;
            fill(&stores, 305);
            let odd = match side {
                Side::Source => &stores.source,
                Side::Target => &stores.target,
            };
            // The last write hangs, so that the pass can be stopped whatever the speed.
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

/// However a store writes keys, on either side and in every pass: they are the same keys.
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
        KeyEncoding::Unsaid,
        KeyEncoding::SaidPlain,
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
        // A second task finds them all at the target.
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        assert_eq!(
            (task.state, task.counters.skipped),
            (State::Succeeded, 10),
            "{key_encoding:?}: {task:#?}"
        );
    }
}

/// Everything in one page, whatever is asked for: it is given on in pieces.
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

/// Version 2 is refused only from the second pass on, on either side.
#[tokio::test]
async fn version_1_is_found_out_late() {
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

/// A key longer than any store allows fails alone, and is not kept whole.
#[tokio::test]
async fn an_overlong_key_is_a_short_failure() {
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

/// A listing that hides objects, and cannot be asked in another way, ends the task with words that say so.
#[tokio::test]
async fn what_no_other_way_explains_is_said() {
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
