//! Stores that differ from S3, and what the worker learns about them before the first object or from the first refusal.

use bytes::Bytes;
use oms::sandbox::{
    BucketInRequests, Fault, FaultRule, NameHandling, Operation, SandboxObject, SandboxOptions,
};
use oms::service::CreateTask;
use oms::task::rules::{OverwriteMode, RefusedMetadata};
use oms::task::spec::{Payer, Scope};
use oms::task::{Key, ReasonKind, StartMode, State, Task, TaskId, WarningCode};

use crate::support::checker::{History, check};
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores, TARGET};

/// Keys of the probe objects at the target.
fn probes(stores: &Stores) -> Vec<String> {
    let mut keys = stores.target.keys(TARGET);
    keys.retain(|key| key.contains("oms/probe/"));
    keys
}

/// Keys of the other objects at the target.
fn objects(stores: &Stores) -> Vec<String> {
    let mut keys = stores.arrived();
    keys.retain(|key| !key.contains("oms/probe/"));
    keys
}

fn small() -> SandboxOptions {
    SandboxOptions {
        page_size: 10,
        min_part_size: SMALL_PART,
        ..SandboxOptions::default()
    }
}

async fn ended(rig: &Rig, order: CreateTask) -> (TaskId, Task) {
    let id = rig.create(order).await;
    (id, rig.end(id).await)
}

/// Keys and codes of the failed objects.
async fn failed(rig: &Rig, id: TaskId) -> Vec<(String, String)> {
    let failures = rig.ledger.failures(id, None, 1000).await.unwrap();
    let mut found: Vec<(String, String)> = failures
        .into_iter()
        .map(|failure| (failure.key.lossy().into_owned(), failure.code))
        .collect();
    found.sort();
    found
}

/// Codes and subjects of the task's warnings.
async fn warned(rig: &Rig, id: TaskId) -> Vec<(String, String)> {
    let warnings = rig.ledger.warnings(id).await.unwrap();
    let mut found: Vec<(String, String)> = warnings
        .into_iter()
        .map(|kept| (kept.code, kept.subject))
        .collect();
    found.sort();
    found
}

fn warning(code: WarningCode, subject: &str) -> (String, String) {
    (code.name().to_owned(), subject.to_owned())
}

async fn with_target(target: SandboxOptions) -> Stores {
    Stores::with(small(), target).await
}

fn fill(stores: &Stores, keys: &[&str]) {
    for key in keys {
        stores
            .source
            .put(SOURCE, key, SandboxObject::new(format!("bytes of {key}")));
    }
}

const CLEAN: [&str; 5] = ["a/b", "c/d", "lead", "plain", "up/k"];
const ODD: [&str; 5] = ["/lead", "a//b", "c/./d", "up/x/../k", "z//"];

#[tokio::test]
async fn names_that_a_target_folds_fail_before_they_overwrite_anything() {
    let stores = with_target(SandboxOptions {
        names: NameHandling::Folded,
        ..small()
    })
    .await;
    fill(&stores, &CLEAN);
    fill(&stores, &ODD);
    let rig = Rig::quick().await;
    let (id, task) = ended(&rig, stores.order()).await;
    let wanted: Vec<(String, String)> = ODD
        .iter()
        .map(|key| ((*key).to_owned(), "NameNotKept".to_owned()))
        .collect();
    let check = async |task: &Task| {
        assert_eq!(task.state, State::Failed, "{task:#?}");
        assert_eq!(failed(&rig, id).await, wanted);
        assert_eq!(objects(&stores), CLEAN);
        for key in CLEAN {
            let there = stores.target.get(TARGET, key).unwrap();
            assert_eq!(there.data, format!("bytes of {key}"), "{key}");
        }
        assert_eq!(probes(&stores), [""; 0]);
    };
    check(&task).await;
    assert_eq!(task.counters.copied, 5);
    let changed = ["/../", "/./", "//", "/…"].map(|kind| warning(WarningCode::TargetChangesNames, kind));
    assert_eq!(warned(&rig, id).await, changed);
    // The object that is now under the folded name is not mistaken for the failed one.
    for mode in [StartMode::FailedOnly, StartMode::Full] {
        rig.start(id, mode, stores.credentials()).await;
        check(&rig.end(id).await).await;
    }
}

#[tokio::test]
async fn folded_names_are_not_mistaken_for_existing_objects() {
    for mode in [OverwriteMode::Never, OverwriteMode::SizeLastModifiedComparison] {
        let stores = with_target(SandboxOptions {
            names: NameHandling::Folded,
            ..small()
        })
        .await;
        fill(&stores, &["a//b"]);
        let there = stores.source.get(SOURCE, "a//b").unwrap();
        stores.target.put(TARGET, "a/b", there);
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.rules.overwrite = mode;
        let (id, task) = ended(&rig, order).await;
        assert_eq!(
            (task.state, task.counters.skipped),
            (State::Failed, 0),
            "{mode:?}"
        );
        assert_eq!(
            failed(&rig, id).await,
            [("a//b".to_owned(), "NameNotKept".to_owned())]
        );
    }
}

#[tokio::test]
async fn the_prefix_of_the_target_is_part_of_a_name() {
    for (prefix, key, fails) in [
        ("in/", "/lead", true),
        ("in/", "lead", false),
        ("in//", "lead", true),
        ("in/.", "/k", true),
        ("in", "/lead", false),
    ] {
        let stores = with_target(SandboxOptions {
            names: NameHandling::Folded,
            ..small()
        })
        .await;
        fill(&stores, &[key]);
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.target_prefix = Key::from(prefix);
        let (id, task) = ended(&rig, order).await;
        let wanted = if fails { State::Failed } else { State::Succeeded };
        assert_eq!(task.state, wanted, "{prefix:?} {key:?} {task:#?}");
        assert_eq!(failed(&rig, id).await.len(), usize::from(fails));
    }
}

#[tokio::test]
async fn one_name_of_each_kind_is_probed_and_only_if_the_task_has_some() {
    for (keys, tried) in [(&CLEAN[..], 0), (&["a//b", "c//d", "e//f/./g"], 2), (&ODD, 4)] {
        let stores = with_target(small()).await;
        fill(&stores, keys);
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.record_settled = false;
        let (_, task) = ended(&rig, order).await;
        assert_eq!(task.state, State::Succeeded, "{task:#?}");
        // Two more probe objects show the order of listings.
        let written = stores.target.requests_count(Operation::PutObject);
        assert_eq!(written, keys.len() + 2 + tried, "{keys:?}");
        assert_eq!(probes(&stores), [""; 0]);
    }
}

#[tokio::test]
async fn names_that_a_target_refuses_fail_with_its_message() {
    let stores = with_target(small()).await;
    fill(&stores, &["a/b", "a/../b"]);
    for key in ["a/../b", "oms/probe/"] {
        let refuse = Fault::DemandHeader {
            names: &["x-never"],
            status: 400,
            code: "XMinioInvalidObjectName",
            message: "Object name contains unsupported characters.",
        };
        let rule = FaultRule::new(Operation::PutObject, refuse);
        let rule = if key == "a/../b" {
            rule.key(key)
        } else {
            rule.key_prefix(key).skip(2)
        };
        stores.target.faults().add(rule);
    }
    let rig = Rig::quick().await;
    let (id, task) = ended(&rig, stores.order()).await;
    assert_eq!(task.counters.copied, 1, "{task:#?}");
    let wanted = ("a/../b".to_owned(), "XMinioInvalidObjectName".to_owned());
    assert_eq!(failed(&rig, id).await, [wanted]);
}

fn denied() -> Fault {
    Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    }
}

#[tokio::test]
async fn a_probe_object_that_cannot_be_deleted_stays_with_a_warning() {
    let stores = with_target(small()).await;
    fill(&stores, &["a"]);
    let expired = Fault::Status {
        status: 400,
        code: "ExpiredToken".to_owned(),
        retry_after: None,
    };
    let refuse = FaultRule::new(Operation::DeleteObject, expired).times(2);
    stores.target.faults().add(refuse);
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let (id, task) = ended(&rig, stores.order()).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert_eq!(probes(&stores).len(), 2);
    assert_eq!(
        warned(&rig, id).await,
        [warning(WarningCode::TargetCannotDelete, "")]
    );
    check(&stores, &rig, id, &history).await;
}

#[tokio::test]
async fn a_target_without_delete_permission_gets_its_objects_and_keeps_few_probes() {
    for mode in [OverwriteMode::SizeLastModifiedComparison, OverwriteMode::Never] {
        let stores = with_target(small()).await;
        fill(&stores, &["a/b", "a//b"]);
        let deny = FaultRule::new(Operation::DeleteObject, denied());
        stores.target.faults().add(deny);
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.rules.overwrite = mode;
        let (id, task) = ended(&rig, order).await;
        assert_eq!(task.state, State::Succeeded, "{task:#?}");
        assert_eq!(objects(&stores), ["a//b", "a/b"]);
        assert_eq!(
            warned(&rig, id).await,
            [warning(WarningCode::TargetCannotDelete, "")]
        );
        let left = probes(&stores);
        assert!(!left.is_empty() && left.iter().all(|key| key.contains(&format!("oms/probe/{id}/"))));

        // The probe of the next task writes the same keys.
        fill(&stores, &["late"]);
        stores
            .source
            .faults()
            .add(FaultRule::new(Operation::GetObject, denied()).key("late"));
        let mut order = stores.order();
        order.rules.overwrite = mode;
        let (id, task) = ended(&rig, order).await;
        assert_eq!(task.state, State::Failed, "{task:#?}");
        let after_one = probes(&stores).len();
        for _ in 0..2 {
            rig.start(id, StartMode::Full, stores.credentials()).await;
            rig.end(id).await;
        }
        assert_eq!(probes(&stores).len(), after_one);
    }
}

/// A run that is killed between the write of a probe and its deletion leaves it. The next run removes all of them.
#[tokio::test]
async fn probes_of_an_interrupted_run_are_removed_by_the_next_one() {
    for (lists, left) in [(true, &["canary", "c", "names/s//k"][..]), (false, &["canary"])] {
        let stores = with_target(small()).await;
        fill(&stores, &["a"]);
        if !lists {
            let late = FaultRule::new(Operation::ListObjects, nothing_listed());
            stores.target.faults().add(late);
        }
        let deny = FaultRule::new(Operation::GetObject, denied()).times(1);
        stores.source.faults().add(deny);
        let rig = Rig::quick().await;
        let (id, task) = ended(&rig, stores.order()).await;
        assert_eq!(task.state, State::Failed, "{task:#?}");
        for name in left {
            let key = format!("oms/probe/{id}/{name}");
            stores.target.put(TARGET, &key, SandboxObject::new(vec![0]));
        }
        rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
        assert_eq!(rig.end(id).await.state, State::Succeeded);
        assert_eq!(probes(&stores), [""; 0]);
    }
}

/// A task whose two sides are the same bucket. The source uses another name of the host.
fn one_bucket(stores: &Stores, host: &str, scope: Scope, prefix: &str) -> CreateTask {
    let mut order = stores.order();
    order.source = order.target.clone();
    order.source.endpoint = Some(stores.target.endpoint().replace("127.0.0.1", host));
    order.credentials.source = order.credentials.target.clone();
    order.scope = scope;
    order.target_prefix = Key::from(prefix);
    order
}

#[tokio::test]
async fn one_bucket_under_two_names_is_not_copied_into_itself() {
    let whole = || Scope::Prefixes(vec![Key::from("")]);
    let below = |prefix: &str| Scope::Prefixes(vec![Key::from(prefix)]);
    for (host, scope, prefix, refused) in [
        ("localhost", whole(), "z/", true),
        ("LOCALHOST", whole(), "", true),
        ("127.1", whole(), "z/", true),
        ("localhost", below("a/"), "a/z/", true),
        ("localhost", Scope::Objects(vec![Key::from("a/k1")]), "", true),
        ("localhost", below("a/"), "z/", false),
        ("localhost", Scope::Objects(vec![Key::from("a/k1")]), "z/", false),
    ] {
        let stores = with_target(small()).await;
        for n in 0..25 {
            stores
                .target
                .put(TARGET, &format!("a/k{n}"), SandboxObject::new("x"));
        }
        let rig = Rig::quick().await;
        let (_, task) = ended(&rig, one_bucket(&stores, host, scope.clone(), prefix)).await;
        let what = format!("{host} {scope:?} {prefix:?} {task:#?}");
        if refused {
            assert_eq!(task.state, State::Failed, "{what}");
            let reason = task.reason.unwrap();
            assert_eq!(reason.kind, ReasonKind::TargetUnavailable);
            assert!(reason.message.contains("one bucket"), "{reason:?}");
            assert_eq!(stores.target.keys(TARGET).len(), 25, "nothing was copied");
        } else {
            assert_eq!(task.state, State::Succeeded, "{what}");
            assert!(stores.target.keys(TARGET).contains(&"z/a/k1".to_owned()));
        }
    }
}

#[tokio::test]
async fn one_bucket_is_recognised_by_a_listing_if_reads_are_denied() {
    let stores = with_target(small()).await;
    stores.target.put(TARGET, "k", SandboxObject::new("x"));
    for operation in [Operation::HeadObject, Operation::GetObject] {
        let deny = FaultRule::new(operation, denied()).key_prefix("oms/probe/");
        stores.target.faults().add(deny);
    }
    let rig = Rig::quick().await;
    let whole = Scope::Prefixes(vec![Key::from("")]);
    let (_, task) = ended(&rig, one_bucket(&stores, "localhost", whole, "z/")).await;
    assert_eq!(task.reason.unwrap().kind, ReasonKind::TargetUnavailable);
}

/// An empty listing.
fn nothing_listed() -> Fault {
    let text = "<ListBucketResult><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><EncodingType>url</EncodingType>\
                <IsTruncated>false</IsTruncated></ListBucketResult>";
    Fault::OkWithBody {
        content_type: "application/xml".to_owned(),
        body: Bytes::from_static(text.as_bytes()),
    }
}

#[tokio::test]
async fn a_target_that_lists_late_gets_its_objects_once() {
    // Late by a few listings, by more listings than the probe waits for, and for ever.
    for times in [Some(3), Some(12), None] {
        let stores = with_target(small()).await;
        fill(&stores, &CLEAN);
        let late = FaultRule::new(Operation::ListObjects, nothing_listed());
        stores.target.faults().add(match times {
            Some(times) => late.times(times),
            None => late,
        });
        let rig = Rig::quick().await;
        let (id, task) = ended(&rig, stores.order()).await;
        assert_eq!(
            (task.state, task.counters.copied),
            (State::Succeeded, 5),
            "{times:?} {task:#?}"
        );
        stores.assert_same();
        let late = times != Some(3);
        let wanted = late.then(|| warning(WarningCode::TargetListsLate, ""));
        assert_eq!(warned(&rig, id).await, Vec::from_iter(wanted), "{times:?}");
        // An object that a listing leaves out is not treated as absent.
        let before = stores.target.requests_count(Operation::PutObject);
        let mut order = stores.order();
        order.record_settled = false;
        let (_, task) = ended(&rig, order).await;
        assert_eq!(
            (task.state, task.counters.skipped),
            (State::Succeeded, 5),
            "{times:?} {task:#?}"
        );
        assert_eq!(stores.target.requests_count(Operation::PutObject), before + 2);
    }
}

#[tokio::test]
async fn a_target_that_does_not_keep_what_is_written_ends_the_task() {
    let stores = with_target(small()).await;
    fill(&stores, &CLEAN);
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::ListObjects, nothing_listed()));
    let swallow = Fault::OkWithBody {
        content_type: "text/plain".to_owned(),
        body: Bytes::new(),
    };
    stores
        .target
        .faults()
        .add(FaultRule::new(Operation::PutObject, swallow));
    let rig = Rig::quick().await;
    let (_, task) = ended(&rig, stores.order()).await;
    assert_eq!(task.reason.unwrap().kind, ReasonKind::TargetUnavailable);
}

const HASHES: &[&str] = &["content-md5", "x-amz-checksum-crc32", "x-amz-checksum-sha256"];

#[tokio::test]
async fn a_target_with_object_lock_gets_a_hash_with_every_write() {
    let stores = with_target(small()).await;
    for operation in [Operation::PutObject, Operation::UploadPart, Operation::Complete] {
        let demand = Fault::DemandHeader {
            names: HASHES,
            status: 400,
            code: "InvalidRequest",
            message: "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
        };
        stores.target.faults().add(FaultRule::new(operation, demand));
    }
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251).try_into().unwrap()).collect();
    let tagged = |etag: &str| {
        let mut object = SandboxObject::new(bytes[..500].to_vec());
        object.etag = etag.to_owned();
        object
    };
    stores.source.put(SOURCE, "empty", SandboxObject::new(""));
    stores
        .source
        .put(SOURCE, "md5", SandboxObject::new(bytes[..500].to_vec()));
    stores
        .source
        .put(SOURCE, "multipart tag", tagged(&format!("{}-3", "0".repeat(32))));
    stores.source.put(SOURCE, "opaque tag", tagged("opaque"));
    stores
        .source
        .put(SOURCE, "large", SandboxObject::new(bytes.clone()));
    stores.source.put(
        SOURCE,
        "large in parts",
        SandboxObject::multipart(bytes, 2 * SMALL_PART),
    );
    let rig = Rig::quick().await;
    let (_, task) = ended(&rig, stores.order()).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 6),
        "{task:#?}"
    );
    for key in stores.source.keys(SOURCE) {
        let (a, b) = (stores.source.get(SOURCE, &key), stores.target.get(TARGET, &key));
        assert!(a.unwrap().data == b.unwrap().data, "{key}");
    }
}

#[tokio::test]
async fn every_request_to_the_source_has_the_requester_pays_header() {
    for (payer, wanted) in [
        (Payer::Requester, None),
        (Payer::Owner, Some(ReasonKind::SourcePermission)),
    ] {
        let stores = with_target(small()).await;
        fill(&stores, &CLEAN);
        let large = SandboxObject::multipart(vec![7; 100_000], 2 * SMALL_PART);
        stores.source.put(SOURCE, "large", large);
        let demand = Fault::DemandHeader {
            names: &["x-amz-request-payer"],
            status: 403,
            code: "AccessDenied",
            message: "Access Denied",
        };
        stores.source.faults().add(FaultRule::new(Operation::Any, demand));
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.source.payer = payer;
        let (_, task) = ended(&rig, order).await;
        assert_eq!(task.reason.map(|reason| reason.kind), wanted);
        if wanted.is_none() {
            stores.assert_same();
        }
    }
}

#[tokio::test]
async fn a_copy_inside_a_store_has_the_requester_pays_header() {
    let stores = with_target(small()).await;
    fill(&stores, &CLEAN);
    stores.source.create_bucket(TARGET);
    let demand = Fault::DemandHeader {
        names: &["x-amz-request-payer"],
        status: 403,
        code: "AccessDenied",
        message: "Access Denied",
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::CopyObject, demand));
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.target = oms::service::BucketRequest {
        bucket: TARGET.to_owned(),
        ..order.source.clone()
    };
    order.credentials.target = order.credentials.source.clone();
    order.source.payer = Payer::Requester;
    let (_, task) = ended(&rig, order).await;
    assert_eq!(
        (task.state, task.counters.copied),
        (State::Succeeded, 5),
        "{task:#?}"
    );
}

#[tokio::test]
async fn stores_that_need_the_bucket_in_the_host_name_are_detected() {
    for code in [
        "SecondLevelDomainForbidden",
        "PathStyleDomainForbidden",
        "InvalidPathAccess",
        "VirtualHostDomainRequired",
    ] {
        let by_host = || SandboxOptions {
            bucket_in_requests: BucketInRequests::Host(code),
            ..small()
        };
        for (source, target) in [(by_host(), small()), (small(), by_host()), (by_host(), by_host())] {
            let stores = Stores::with(source, target).await;
            fill(&stores, &CLEAN);
            fill(&stores, &ODD);
            let large = SandboxObject::multipart(vec![7; 100_000], 2 * SMALL_PART);
            stores.source.put(SOURCE, "large", large);
            let rig = Rig::quick().await;
            let (_, task) = ended(&rig, stores.order()).await;
            assert_eq!(task.state, State::Succeeded, "{code} {task:#?}");
            stores.assert_same();
        }
    }
}

#[tokio::test]
async fn metadata_that_stores_sign_differently_arrives_or_is_counted() {
    let values = [
        "annual report",
        "annual  report",
        "\"a   b\", c",
        "annual\u{a0}report",
        "annual\u{2003}report",
        "gr\u{fc}n \u{20ac}",
        "",
    ];
    for &refused in RefusedMetadata::ALL {
        let stores = with_target(small()).await;
        for (n, value) in values.iter().enumerate() {
            let mut object = SandboxObject::new(format!("{n}"));
            object.metadata.insert("d".to_owned(), (*value).to_owned());
            object.metadata.insert("plain".to_owned(), "kept".to_owned());
            stores.source.put(SOURCE, &format!("{n}"), object);
        }
        let rig = Rig::quick().await;
        let mut order = stores.order();
        order.rules.refused_metadata = refused;
        let (id, task) = ended(&rig, order).await;
        let failures = failed(&rig, id).await;
        if refused == RefusedMetadata::LeaveOut {
            assert_eq!((task.state, failures.len()), (State::Succeeded, 0), "{task:#?}");
        }
        let mut lost = 0;
        for (n, value) in values.iter().enumerate() {
            let key = n.to_string();
            let Some(there) = stores.target.get(TARGET, &key) else {
                assert!(
                    failures
                        .iter()
                        .any(|(failed, code)| *failed == key && code == "UnsignableMetadata")
                );
                continue;
            };
            assert_eq!(
                there.metadata.get("plain").map(String::as_str),
                Some("kept"),
                "{value:?}"
            );
            match there.metadata.get("d") {
                Some(found) => assert_eq!(found, value),
                // The sandbox stores no entries without a value.
                None if value.is_empty() => {}
                None => lost += 1,
            }
        }
        assert!(task.counters.metadata_lost >= lost, "{task:#?}");
    }
}
