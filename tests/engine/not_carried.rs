//! Metadata that is not copied but counted: refused website redirects, object locks, unknown headers.

use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::task::rules::RefusedMetadata;
use oms::task::{Counters, State};

use crate::support::checker::{History, Left, check, failures};
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores, TARGET};

fn lost(c: &Counters) -> [i64; 4] {
    [
        c.metadata_lost,
        c.lost_website_redirect,
        c.lost_object_lock,
        c.lost_other,
    ]
}

fn redirecting(data: Vec<u8>) -> SandboxObject {
    SandboxObject {
        website_redirect: Some("https://example.org/new".to_owned()),
        ..SandboxObject::new(data)
    }
}

const KEYS: [&str; 3] = ["empty", "small", "large"];

async fn stores() -> Stores {
    let stores = Stores::small().await;
    let lengths = [0, 100, 5 * SMALL_PART];
    for (key, length) in KEYS.iter().zip(lengths) {
        let data = vec![7; usize::try_from(length).unwrap()];
        stores.source.put(SOURCE, key, redirecting(data));
    }
    stores
}

#[tokio::test]
async fn a_website_redirect_is_copied() {
    let stores = stores().await;
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!((task.state, lost(&task.counters)), (State::Succeeded, [0; 4]));
    for key in KEYS {
        let found = stores.target.get(TARGET, key).unwrap();
        assert_eq!(
            found.website_redirect.as_deref(),
            Some("https://example.org/new"),
            "{key}"
        );
    }
}

#[tokio::test]
async fn a_redirect_that_the_target_refuses_is_counted_or_fails_the_object() {
    for (status, code) in [
        (400, "InvalidRedirectLocation"),
        (501, "NotImplemented"),
        (400, "InvalidArgument"),
    ] {
        for rule in [RefusedMetadata::LeaveOut, RefusedMetadata::Fail] {
            let stores = Stores::small().await;
            stores.source.put(SOURCE, "small", redirecting(vec![7; 100]));
            let refused = Fault::Status {
                status,
                code: code.to_owned(),
                retry_after: None,
            };
            // The object is sent twice with its redirect, and then without it.
            let refused = FaultRule::new(O::PutObject, refused).key("small").times(2);
            stores.target.faults().add(refused);
            let mut history = History::of(&stores);
            history.leave_out("small", Left::WebsiteRedirect);
            let rig = Rig::quick().await;
            let mut order = stores.order();
            order.rules.refused_metadata = rule;
            let id = rig.create(order).await;
            rig.end(id).await;
            let task = check(&stores, &rig, id, &history).await;
            let found = (task.state, lost(&task.counters));
            match rule {
                RefusedMetadata::LeaveOut => {
                    assert_eq!(found, (State::Succeeded, [1, 1, 0, 0]), "{code} {task:#?}");
                }
                RefusedMetadata::Fail => {
                    assert_eq!(found, (State::Failed, [0; 4]), "{code} {task:#?}");
                    let failed = failures(&rig, id).await;
                    assert!(failed[0].message.contains("website redirect"), "{failed:#?}");
                }
            }
            rig.shut_down().await;
        }
    }
}

#[tokio::test]
async fn locks_and_unknown_headers_are_counted() {
    let rows = [
        ("x-amz-object-lock-mode", "GOVERNANCE", [1, 0, 1, 0]),
        (
            "x-amz-object-lock-retain-until-date",
            "2030-01-01T00:00:00Z",
            [1, 0, 1, 0],
        ),
        ("x-amz-object-lock-legal-hold", "ON", [1, 0, 1, 0]),
        ("x-amz-object-lock-legal-hold", "OFF", [0; 4]),
        ("x-amz-something-new", "1", [1, 0, 0, 1]),
        ("x-amz-replication-status", "COMPLETED", [0; 4]),
        ("x-amz-checksum-crc32c", "AAAAAA==", [0; 4]),
        ("x-other-store", "1", [0; 4]),
    ];
    for (name, value, wanted) in rows {
        let stores = Stores::small().await;
        stores.source.put(SOURCE, "k", SandboxObject::new("x"));
        let header = Fault::Header {
            name,
            value: Some(value.to_owned()),
        };
        stores.source.faults().add(FaultRule::new(O::GetObject, header));
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        let task = rig.end(id).await;
        assert_eq!(
            (task.state, lost(&task.counters)),
            (State::Succeeded, wanted),
            "{name}: {value}"
        );
        rig.shut_down().await;
    }
}

#[tokio::test]
async fn a_lock_fails_the_object_if_nothing_may_be_left_out() {
    let stores = Stores::small().await;
    stores.source.put(SOURCE, "k", SandboxObject::new("x"));
    let header = Fault::Header {
        name: "x-amz-object-lock-mode",
        value: Some("COMPLIANCE".to_owned()),
    };
    stores.source.faults().add(FaultRule::new(O::GetObject, header));
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.rules.refused_metadata = RefusedMetadata::Fail;
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(task.counters.failed, 1, "{task:#?}");
    assert_eq!(failures(&rig, id).await[0].code, "ObjectLockNotCarried");
}
