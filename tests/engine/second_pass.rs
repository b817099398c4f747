//! What a second task does with the copies of the first one if ETags or times are misleading.

use std::time::{Duration, SystemTime};

use oms::sandbox::{Operation as O, SandboxObject};
use oms::task::{State, Task};

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};

async fn run(stores: &Stores, rig: &Rig) -> Task {
    let mut order = stores.order();
    order.record_settled = false;
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    task
}

fn old(object: SandboxObject) -> SandboxObject {
    SandboxObject {
        last_modified: SystemTime::now() - Duration::from_secs(3600),
        ..object
    }
}

#[tokio::test]
async fn etags_of_encrypted_objects_are_no_reason_to_copy_again() {
    let stores = Stores::small().await;
    for n in 0..5 {
        let object = old(SandboxObject::new(format!("object {n}")).sealed());
        stores.source.put(SOURCE, &format!("sealed-{n}"), object);
        let object = old(SandboxObject::new(format!("object {n}")));
        stores.source.put(SOURCE, &format!("plain-{n}"), object);
    }
    let rig = Rig::quick().await;
    assert_eq!(run(&stores, &rig).await.counters.copied, 10);
    stores.source.clear_requests();
    let task = run(&stores, &rig).await;
    assert_eq!(
        (task.counters.skipped, task.counters.copied),
        (10, 0),
        "{task:#?}"
    );
    assert_eq!(stores.source.requests_count(O::GetObject), 0);
    assert_eq!(heads_of_objects(&stores), 5, "only of those whose tags differ");

    // A newer version is copied even if it has the same length.
    stores.source.put(
        SOURCE,
        "sealed-1",
        SandboxObject {
            last_modified: SystemTime::now() + Duration::from_secs(60),
            ..SandboxObject::new("OBJECT 1").sealed()
        },
    );
    // If the ETag is a hash and differs, the object has changed, whatever the times are.
    stores
        .source
        .put(SOURCE, "plain-1", old(SandboxObject::new("OBJECT 1")));
    let task = run(&stores, &rig).await;
    assert_eq!((task.counters.skipped, task.counters.copied), (8, 2), "{task:#?}");
    for key in ["sealed-1", "plain-1"] {
        assert_eq!(stores.target.get(TARGET, key).unwrap().data, "OBJECT 1", "{key}");
    }
}

#[tokio::test]
async fn a_target_that_encrypts_by_itself_does_not_receive_the_objects_again() {
    let stores = Stores::small().await;
    for n in 0..5 {
        let object = old(SandboxObject::new(format!("object {n}")));
        stores.source.put(SOURCE, &format!("{n}"), object.clone());
        stores.target.put(
            TARGET,
            &format!("{n}"),
            SandboxObject {
                last_modified: SystemTime::now(),
                ..object.sealed()
            },
        );
    }
    let rig = Rig::quick().await;
    let task = run(&stores, &rig).await;
    assert_eq!((task.counters.skipped, task.counters.copied), (5, 0), "{task:#?}");
}

#[tokio::test]
async fn an_unknown_time_proves_nothing() {
    let rows = [
        ("1970", SystemTime::UNIX_EPOCH),
        ("a second later", SystemTime::UNIX_EPOCH + Duration::from_secs(1)),
    ];
    for (name, time) in rows {
        let stores = Stores::small().await;
        let object = |text: &str| SandboxObject {
            last_modified: time,
            ..SandboxObject::multipart(text.to_owned(), 5)
        };
        stores.source.put(SOURCE, "a", object("old content"));
        let rig = Rig::quick().await;
        assert_eq!(run(&stores, &rig).await.counters.copied, 1, "{name}");
        stores.source.put(SOURCE, "a", object("NEW content"));
        assert_eq!(run(&stores, &rig).await.counters.copied, 1, "{name}");
        assert_eq!(
            stores.target.get(TARGET, "a").unwrap().data,
            "NEW content",
            "{name}"
        );
    }
}

/// HEAD requests at the source, without those for the target's probe object. The worker sends these to detect a source
/// that is the target itself.
fn heads_of_objects(stores: &Stores) -> usize {
    let requests = stores.source.requests();
    let heads = requests
        .iter()
        .filter(|request| request.operation == O::HeadObject);
    heads
        .filter(|request| {
            request
                .key
                .as_ref()
                .is_none_or(|key| !key.starts_with("oms/probe/"))
        })
        .count()
}
