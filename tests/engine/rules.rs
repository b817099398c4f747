//! The copy rules of a task: how strong a proof each copy needs, and which objects may be overwritten.

use oms::sandbox::{Operation, SandboxObject};
use oms::service::CreateTask;
use oms::task::rules::{MinimumProof, OverwriteMode};
use oms::task::{CopyRules, StartMode, State, Task};

use crate::support::rig::{Rig, SOURCE, Stores, TARGET};

fn order(stores: &Stores, minimum_proof: MinimumProof) -> CreateTask {
    let rules = CopyRules {
        minimum_proof,
        ..CopyRules::default()
    };
    CreateTask {
        rules,
        ..stores.order()
    }
}

fn large() -> Vec<u8> {
    (0..66_u32 << 20)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24).try_into().unwrap())
        .collect()
}

fn proofs(task: &Task) -> (i64, i64, i64) {
    let c = task.counters;
    (c.proved_etag, c.proved_checksum, c.proved_size)
}

async fn codes(rig: &Rig, task: &Task) -> Vec<(String, String)> {
    let failures = rig.ledger.failures(task.id, None, 10).await.unwrap();
    failures
        .into_iter()
        .map(|f| (f.key.lossy().into_owned(), f.code))
        .collect()
}

#[tokio::test]
async fn an_object_that_cannot_be_proved_as_required_fails_before_it_is_sent() {
    let stores = Stores::new().await;
    stores.source.put(SOURCE, "in one", SandboxObject::new(large()));
    stores.source.put(SOURCE, "small", SandboxObject::new("x"));
    stores.source.put(
        SOURCE,
        "small in parts",
        SandboxObject::multipart(vec![1; 6 << 20], 5 << 20),
    );
    let rig = Rig::new().await;
    let id = rig.create(order(&stores, MinimumProof::ETag)).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, proofs(&task)),
        (State::Failed, (2, 0, 0)),
        "{task:#?}"
    );
    let weak = ("small in parts".to_owned(), "ProofTooWeak".to_owned());
    assert_eq!(codes(&rig, &task).await, [weak]);
    assert_eq!(stores.arrived(), ["in one", "small"]);
    assert_eq!(stores.target.open_uploads(TARGET), 0);

    // A newer object of the same length at the target is no proof either.
    stores
        .target
        .put(TARGET, "small in parts", SandboxObject::new(vec![1; 6 << 20]));
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.state != State::Failed).await;
    let again = rig.end(id).await;
    assert_eq!(
        (again.counters.failed, again.counters.skipped),
        (1, 2),
        "{again:#?}"
    );
}

#[tokio::test]
async fn an_object_whose_etag_is_no_hash_is_proved_by_our_own_hash() {
    for (minimum, wanted) in [
        (MinimumProof::Checksum, (0, 1, 0)),
        (MinimumProof::ETag, (0, 0, 0)),
    ] {
        let stores = Stores::new().await;
        let parted = SandboxObject::multipart(vec![1; 6 << 20], 5 << 20);
        stores.source.put(SOURCE, "small in parts", parted);
        let rig = Rig::new().await;
        let id = rig.create(order(&stores, minimum)).await;
        let task = rig.end(id).await;
        assert_eq!(proofs(&task), wanted, "{minimum:?} {task:#?}");
        assert_eq!(task.counters.failed, i64::from(minimum == MinimumProof::ETag));
    }
}

#[tokio::test]
async fn the_overwrite_mode_decides_about_existing_objects() {
    for (overwrite, kept) in [
        (OverwriteMode::Never, vec!["other", "same"]),
        (OverwriteMode::SizeLastModifiedComparison, vec!["same"]),
        (OverwriteMode::Crc64Comparison, vec!["same"]),
        (OverwriteMode::Always, vec![]),
    ] {
        let stores = Stores::new().await;
        for key in ["missing", "other", "same"] {
            stores
                .source
                .put(SOURCE, key, SandboxObject::new("from the source"));
        }
        stores
            .target
            .put(TARGET, "other", SandboxObject::new("from the target"));
        stores
            .target
            .put(TARGET, "same", SandboxObject::new("from the source"));
        let rig = Rig::new().await;
        let rules = CopyRules {
            overwrite,
            ..CopyRules::default()
        };
        let id = rig
            .create(CreateTask {
                rules,
                ..stores.order()
            })
            .await;
        let task = rig.end(id).await;
        assert_eq!(task.state, State::Succeeded, "{overwrite:?} {task:#?}");
        let written = |key: &str| {
            let calls = stores.target.requests();
            calls
                .iter()
                .any(|call| call.operation == Operation::PutObject && call.key.as_deref() == Some(key))
        };
        let found: Vec<&str> = ["missing", "other", "same"]
            .into_iter()
            .filter(|key| !written(key))
            .collect();
        assert_eq!(found, kept, "{overwrite:?}");
        assert_eq!(
            usize::try_from(task.counters.skipped).unwrap(),
            kept.len(),
            "{overwrite:?}"
        );
    }
}
