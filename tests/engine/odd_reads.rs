//! Sources whose reads differ from S3: `If-Match` never matches, or no length is sent.

use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject};
use oms::service::BucketRequest;
use oms::task::spec::Scope;
use oms::task::{Key, State};

use crate::support::checker::{History, check, failures};
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores, TARGET};

fn bytes(seed: u8, length: u64) -> Vec<u8> {
    let byte = |n: u64| (n.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()[0] ^ seed;
    (0..length).map(byte).collect()
}

/// Small and large objects, uploaded in one piece and in parts.
async fn stores() -> Stores {
    let stores = Stores::small().await;
    let put = |key: &str, object| stores.source.put(SOURCE, key, object);
    for n in 0..12 {
        put(&format!("small-{n:02}"), SandboxObject::new(bytes(n, 100)));
    }
    put("joined", SandboxObject::multipart(bytes(20, 40), 20));
    put("large", SandboxObject::new(bytes(21, 5 * SMALL_PART + 7)));
    put(
        "large-joined",
        SandboxObject::multipart(bytes(22, 5 * SMALL_PART), 2 * SMALL_PART),
    );
    stores
}

#[tokio::test]
async fn a_source_that_refuses_all_conditions_is_read_without_them() {
    let stores = stores().await;
    stores
        .source
        .faults()
        .add(FaultRule::new(O::GetObject, Fault::RefuseCondition));
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.threads = 1;
    let id = rig.create(order).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!(
        task.state,
        State::Succeeded,
        "{task:#?} {:#?}",
        failures(&rig, id).await
    );
    stores.assert_same();
    let refused = stores
        .source
        .requests()
        .into_iter()
        .filter(|r| r.status == Some(412));
    assert_eq!(refused.count(), 1, "it is found out once");
}

#[tokio::test]
async fn a_change_is_detected_without_conditions() {
    let stores = stores().await;
    let faults = stores.source.faults();
    // The store serves the object only to requests without a condition.
    faults.add(FaultRule::new(O::GetObject, Fault::RefuseCondition).key("joined"));
    for key in ["small-05", "large"] {
        let change = Fault::ChangeObject {
            data: bytes(99, 5 * SMALL_PART).into(),
        };
        faults.add(
            FaultRule::new(O::GetObject, change)
                .key(key)
                .skip(u64::from(key == "large"))
                .times(1),
        );
    }
    let mut history = History::of(&stores);
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.threads = 1;
    let id = rig.create(order).await;
    rig.end(id).await;
    history.observe(&stores);
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!(
        task.state,
        State::Succeeded,
        "{task:#?} {:#?}",
        failures(&rig, id).await
    );
    stores.assert_same();
}

#[tokio::test]
async fn copies_inside_a_store_without_conditions_are_read_and_written() {
    let stores = stores().await;
    stores.source.create_bucket(TARGET);
    for operation in [O::CopyObject, O::UploadPartCopy] {
        let refused = Fault::Status {
            status: 412,
            code: "PreconditionFailed".to_owned(),
            retry_after: None,
        };
        stores.source.faults().add(FaultRule::new(operation, refused));
    }
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.target = BucketRequest {
        bucket: TARGET.to_owned(),
        ..order.source.clone()
    };
    order.credentials.target = order.credentials.source.clone();
    order.record_settled = false;
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(
        task.state,
        State::Succeeded,
        "{task:#?} {:#?}",
        failures(&rig, id).await
    );
    for key in stores.source.keys(SOURCE) {
        let (a, b) = (stores.source.get(SOURCE, &key), stores.source.get(TARGET, &key));
        assert!(a.unwrap().data == b.unwrap().data, "{key}");
    }
}

#[tokio::test]
async fn bodies_without_a_length_are_read_up_to_the_listed_length() {
    let stores = stores().await;
    let whole = Fault::EarlyClose { after: u64::MAX };
    stores.source.faults().add(FaultRule::new(O::GetObject, whole));
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    let c = task.counters;
    assert_eq!(
        task.state,
        State::Succeeded,
        "{task:#?} {:#?}",
        failures(&rig, id).await
    );
    assert_eq!(c.proved_size, 0, "{c:#?}");
    stores.assert_same();
}

#[tokio::test]
async fn a_body_without_a_length_that_is_too_short_or_too_long_is_not_stored() {
    for (name, fault) in [
        ("early", Fault::EarlyClose { after: 60 }),
        ("nothing", Fault::EarlyClose { after: 0 }),
        ("late", Fault::ExtraBytes(3)),
    ] {
        let stores = stores().await;
        let rule = FaultRule::new(O::GetObject, fault).key("small-03");
        stores.source.faults().add(rule);
        let history = History::of(&stores);
        let rig = Rig::quick().await;
        let id = rig.create(stores.order()).await;
        rig.end(id).await;
        let task = check(&stores, &rig, id, &history).await;
        assert_eq!(task.counters.failed, 1, "{name} {task:#?}");
        assert_eq!(failures(&rig, id).await[0].code, "Integrity", "{name}");
        assert!(stores.target.get(TARGET, "small-03").is_none(), "{name}");
        rig.shut_down().await;
    }
}

#[tokio::test]
async fn the_listed_length_is_used_if_head_sends_none() {
    let stores = stores().await;
    let silent = Fault::Header {
        name: "content-length",
        value: None,
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(O::HeadObject, silent.clone()));
    stores.target.faults().add(FaultRule::new(O::HeadObject, silent));
    let rig = Rig::quick().await;
    let mut order = stores.order();
    let keys = stores.source.keys(SOURCE);
    order.scope = Scope::Objects(keys.iter().map(|key| Key::from(key.as_str())).collect());
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(
        task.state,
        State::Succeeded,
        "{task:#?} {:#?}",
        failures(&rig, id).await
    );
    stores.assert_same();
}
