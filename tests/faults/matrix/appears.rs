//! F40: somebody else writes to the target while an object is copied.

use oms::sandbox::{Fault, FaultRule, Operation as O, SandboxObject, SandboxOptions, Support};
use oms::service::CreateTask;
use oms::task::rules::OverwriteMode;
use oms::task::{CopyRules, State};

use super::row::{OBJECTS, OWN, PARTS, PLAIN, SMALL_PARTS, all, answer, bytes, fill};
use crate::support::checker::{History, check};
use crate::support::rig::{QUICK, Rig, SMALL_PART, SOURCE, Stores, TARGET};

const FOREIGN: &[u8] = b"somebody else's";

fn write_by_other() -> Fault {
    Fault::ChangeObject { data: FOREIGN.into() }
}

/// Two stores. `conditions` says how the target handles conditional writes.
async fn stores(conditions: Support) -> Stores {
    let options = |conditional_writes| SandboxOptions {
        page_size: 10,
        min_part_size: SMALL_PART,
        conditional_writes,
        ..SandboxOptions::default()
    };
    let stores = Stores::with(options(Support::Honoured), options(conditions)).await;
    assert_eq!(fill(&stores), OBJECTS);
    stores
}

fn order(stores: &Stores, overwrite: OverwriteMode) -> CreateTask {
    CreateTask {
        rules: CopyRules {
            overwrite,
            ..CopyRules::default()
        },
        ..stores.order()
    }
}

/// What must happen to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// The object of the others stays, and ours counts as skipped.
    Left,
    /// Our copy is at the target and counts as copied.
    Copied,
}

/// Runs one task while `rules` act on `key` at the target.
async fn one(
    conditions: Support,
    mode: OverwriteMode,
    key: &'static str,
    rules: Vec<FaultRule>,
    expect: Expect,
) {
    let stores = stores(conditions).await;
    let mut history = History::of(&stores);
    let count = rules.len();
    for rule in rules {
        stores.target.faults().add(rule);
    }
    let rig = Rig::quick().await;
    let id = rig.create(order(&stores, mode)).await;
    let task = rig.end(id).await;
    assert!(stores.target.faults().fired() >= count as u64, "nothing happened");
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    let objects = i64::try_from(OBJECTS).unwrap();
    let found = stores.target.get(TARGET, key).unwrap();
    match expect {
        Expect::Left => {
            assert_eq!((task.counters.copied, task.counters.skipped), (objects - 1, 1));
            assert_eq!(found.data, FOREIGN);
            history.appeared(&stores, key);
        }
        Expect::Copied => {
            assert_eq!((task.counters.copied, task.counters.skipped), (objects, 0));
            assert_eq!(found.data, stores.source.get(SOURCE, key).unwrap().data);
        }
    }
    check(&stores, &rig, id, &history).await;
    rig.shut_down().await;
}

/// The request that makes the object with this key visible.
fn write_of(key: &str) -> O {
    if [OWN, PARTS].contains(&key) {
        O::Complete
    } else {
        O::PutObject
    }
}

const KEYS: [&str; 4] = [PLAIN, SMALL_PARTS, OWN, PARTS];

#[tokio::test]
async fn an_object_that_appears_before_the_write_is_not_overwritten() {
    let mut tests = Vec::new();
    for key in KEYS {
        let before = |operation| FaultRule::new(operation, write_by_other()).key(key).times(1);
        for (name, conditions, rules) in [
            ("with the write", Support::Honoured, vec![before(write_of(key))]),
            ("before the look", Support::Ignored, vec![before(O::HeadObject)]),
        ] {
            let test = one(conditions, OverwriteMode::Never, key, rules, Expect::Left);
            tests.push((format!("{key} {name}"), test));
        }
        // If the target answers a conditional write with 501, the worker sends a HEAD before each write. The preflight
        // writes two probe objects to detect the order of listings, and another one twice to test conditional writes.
        let unknown = FaultRule::new(O::PutObject, answer(501, "NotImplemented"))
            .key_prefix("oms/probe/")
            .skip(3)
            .times(1);
        let rules = vec![unknown, before(O::HeadObject)];
        let test = one(Support::Honoured, OverwriteMode::Never, key, rules, Expect::Left);
        tests.push((format!("{key} 501"), test));
    }
    all(tests).await;
}

#[tokio::test]
async fn a_copy_with_a_lost_response_is_not_mistaken_for_somebody_elses() {
    let mut tests = Vec::new();
    for key in KEYS {
        for (name, fault) in [
            ("lost", Fault::ResetAfterEffect),
            ("conflict", answer(409, "ConditionalRequestConflict")),
            ("refused for nothing", answer(412, "PreconditionFailed")),
        ] {
            for conditions in [Support::Honoured, Support::Ignored] {
                let rule = FaultRule::new(write_of(key), fault.clone()).key(key).times(2);
                let test = one(conditions, OverwriteMode::Never, key, vec![rule], Expect::Copied);
                tests.push((format!("{key} {name} {conditions:?}"), test));
            }
        }
    }
    all(tests).await;
}

#[tokio::test]
async fn other_modes_end_with_one_whole_version_of_the_source() {
    let mut tests = Vec::new();
    for mode in [OverwriteMode::Always, OverwriteMode::SizeLastModifiedComparison] {
        for key in KEYS {
            let mut operations = vec![write_of(key)];
            if write_of(key) == O::Complete {
                operations.extend([O::CreateUpload, O::UploadPart]);
            }
            for operation in operations {
                let rule = FaultRule::new(operation, write_by_other()).key(key);
                let test = one(Support::Honoured, mode, key, vec![rule], Expect::Copied);
                tests.push((format!("{mode:?} {key} {operation:?}"), test));
            }
        }
    }
    all(tests).await;
}

#[tokio::test]
async fn an_upload_is_aborted_if_the_target_already_has_the_object() {
    // Every Complete fails, but the target already has the object that the parts would make. That counts as the copy,
    // and the upload is aborted.
    let stores = Stores::small().await;
    let length = 5 * SMALL_PART;
    let data = bytes(1, length);
    stores.source.put(SOURCE, OWN, SandboxObject::new(data.clone()));
    let same = SandboxObject::multipart(data, QUICK.sizes.usual);
    stores.target.put(TARGET, OWN, same);
    let history = History::of(&stores);
    stores
        .target
        .faults()
        .add(FaultRule::new(O::Complete, answer(500, "InternalError")));
    let rig = Rig::quick().await;
    let id = rig.create(order(&stores, OverwriteMode::Always)).await;
    assert_eq!(rig.end(id).await.state, State::Succeeded);
    assert_eq!(stores.target.open_uploads(TARGET), 0);
    check(&stores, &rig, id, &history).await;
}

#[tokio::test]
async fn a_copy_inside_the_store_checks_the_target_before_it_writes() {
    let stores = Stores::small().await;
    stores.source.put(SOURCE, PLAIN, SandboxObject::new("ours"));
    stores.source.create_bucket(TARGET);
    let seen = FaultRule::new(O::HeadObject, write_by_other()).bucket(TARGET);
    stores.source.faults().add(seen.key(PLAIN).times(1));
    let mut order = order(&stores, OverwriteMode::Never);
    order.target.endpoint = Some(stores.source.endpoint());
    order.credentials.target = order.credentials.source.clone();
    let rig = Rig::quick().await;
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(
        (task.state, task.counters.skipped),
        (State::Succeeded, 1),
        "{task:#?}"
    );
    assert_eq!(stores.source.get(TARGET, PLAIN).unwrap().data, FOREIGN);
    assert_eq!(stores.source.requests_count(O::CopyObject), 0);
}
