//! What is copied besides the bytes, and what happens if one side does not return or accept it: storage classes, tags,
//! user metadata, content headers, encryption, versions.

use std::collections::BTreeMap;

use oms::sandbox::{Fault, FaultRule, Operation as O, Sandbox, SandboxObject, SandboxOptions, Support};
use oms::service::CreateTask;
use oms::task::rules::RefusedMetadata;
use oms::task::storage::StoragePolicy;
use oms::task::{ReasonKind, State, Task};

use super::row::{OWN, PARTS, PLAIN, SMALL_PARTS, TAGGED, all, answer, bytes, fill};
use crate::support::checker::{History, Left, Remedy, check, converges, failures};
use crate::support::rig::{Rig, SMALL_PART, SOURCE, Stores, TARGET};

/// The objects of [`fill`] that have tags.
const TAGGED_OBJECTS: [&str; 4] = [TAGGED, "dir-1/07", "dir-2/14", "dir-0/21"];

/// A task that has ended.
struct Ran {
    task: Task,
    /// Code and message of each failed object.
    failed: BTreeMap<String, (String, String)>,
}

impl Ran {
    /// Failed keys and their codes.
    fn codes(&self) -> Vec<(&str, &str)> {
        let entries = self.failed.iter();
        entries
            .map(|(key, (code, _))| (key.as_str(), code.as_str()))
            .collect()
    }

    /// Numbers of copies without some metadata, without tags, without the storage class, without user metadata.
    fn lost(&self) -> [i64; 4] {
        let c = &self.task.counters;
        [
            c.metadata_lost,
            c.lost_tags,
            c.lost_storage_class,
            c.lost_user_metadata,
        ]
    }
}

/// Runs a task for the whole source and checks it. Then ends the faults and starts the task until it succeeds.
async fn run(stores: &Stores, history: &History, change: impl FnOnce(&mut CreateTask)) -> Ran {
    let rig = Rig::quick().await;
    let mut order = stores.order();
    change(&mut order);
    let id = rig.create(order).await;
    rig.end(id).await;
    let task = check(stores, &rig, id, history).await;
    let failed = failures(&rig, id).await.into_iter();
    let failed = failed.map(|f| (f.key.lossy().into_owned(), (f.code, f.message)));
    let failed = failed.collect();
    converges(stores, &rig, id, history, Remedy::FailedOnly).await;
    rig.shut_down().await;
    Ran { task, failed }
}

async fn filled() -> Stores {
    let stores = Stores::small().await;
    fill(&stores);
    stores
}

fn put(stores: &Stores, key: &str, object: SandboxObject) {
    stores.source.put(SOURCE, key, object);
}

fn alter(stores: &Stores, key: &str, change: impl FnOnce(&mut SandboxObject)) {
    let mut object = stores.source.get(SOURCE, key).unwrap();
    change(&mut object);
    put(stores, key, object);
}

fn fault(sandbox: &Sandbox, operation: O, key: &str, fault: Fault) {
    sandbox.faults().add(FaultRule::new(operation, fault).key(key));
}

fn arrived(stores: &Stores, key: &str) -> SandboxObject {
    stores.target.get(TARGET, key).unwrap()
}

fn requests(sandbox: &Sandbox, operation: O, key: &str) -> usize {
    let is = |request: &&oms::sandbox::RequestRecord| {
        request.operation == operation && request.key.as_deref() == Some(key)
    };
    sandbox.requests().iter().filter(is).count()
}

#[tokio::test]
async fn storage_classes_are_requested_as_the_task_says() {
    use StoragePolicy as P;
    // The source objects have no class, GLACIER_IR, GLACIER and an unknown class. STANDARD is shown as none.
    let rows = [
        (None, [None; 4]),
        (Some(P::Standard), [None; 4]),
        (Some(P::InfrequentAccess), [Some("STANDARD_IA"); 4]),
        (Some(P::Archive), [Some("GLACIER"); 4]),
        (Some(P::DeepArchive), [Some("DEEP_ARCHIVE"); 4]),
        (
            Some(P::SourceMapping),
            [None, Some("STANDARD_IA"), Some("GLACIER"), None],
        ),
    ];
    let tests = rows.map(|(policy, wanted)| async move {
        let stores = filled().await;
        let keys = [PLAIN, TAGGED, OWN, PARTS];
        let classes = [None, Some("GLACIER_IR"), Some("GLACIER"), Some("MARS")];
        for (key, class) in keys.iter().zip(classes) {
            alter(&stores, key, |object| {
                object.storage_class = class.map(str::to_owned);
            });
        }
        let history = History::of(&stores);
        let ran = run(&stores, &history, |order| order.rules.storage = policy).await;
        assert_eq!((ran.task.state, ran.lost()), (State::Succeeded, [0; 4]));
        for (key, wanted) in keys.iter().zip(wanted) {
            let found = arrived(&stores, key).storage_class;
            assert_eq!(found.as_deref(), wanted, "{policy:?} {key}");
        }
    });
    let named = |test| ("a storage policy".to_owned(), test);
    all(tests.into_iter().map(named).collect()).await;
}

#[tokio::test]
async fn a_copy_within_one_store_has_its_class_and_is_encrypted() {
    let stores = filled().await;
    stores.source.create_bucket(TARGET);
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.target = oms::service::BucketRequest {
        bucket: TARGET.to_owned(),
        ..order.source.clone()
    };
    order.credentials.target = order.credentials.source.clone();
    order.rules.storage = Some(StoragePolicy::Archive);
    order.kms = true;
    let id = rig.create(order).await;
    let task = rig.end(id).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    assert!(stores.source.requests_count(O::CopyObject) > 0);
    for key in stores.source.keys(SOURCE) {
        let found = stores.source.get(TARGET, &key).unwrap();
        assert_eq!(
            (found.storage_class.as_deref(), found.encryption.as_deref()),
            (Some("GLACIER"), Some("aws:kms")),
            "{key}"
        );
    }
}

/// An error that the target returns `times` times for the object `key`.
struct Refused {
    status: u16,
    code: &'static str,
    key: &'static str,
    times: u64,
    /// What is left out then.
    left: &'static [Left],
    /// How the failure's message names what was refused.
    words: &'static str,
}

const REFUSED: &[Refused] = &[
    Refused {
        status: 501,
        code: "NotImplemented",
        key: TAGGED,
        times: 2,
        left: &[Left::Tags],
        words: "tags or storage class",
    },
    Refused {
        status: 403,
        code: "AccessDenied",
        key: TAGGED,
        times: 2,
        left: &[Left::Tags],
        words: "tags or storage class",
    },
    Refused {
        status: 400,
        code: "InvalidTag",
        key: TAGGED,
        times: 2,
        left: &[Left::Tags],
        words: "tags",
    },
    Refused {
        status: 400,
        code: "InvalidArgument",
        key: TAGGED,
        times: 3,
        left: &[Left::Tags, Left::StorageClass],
        words: "tags or storage class",
    },
    Refused {
        status: 400,
        code: "InvalidStorageClass",
        key: TAGGED,
        times: 2,
        left: &[Left::StorageClass],
        words: "storage class",
    },
    Refused {
        status: 501,
        code: "NotImplemented",
        key: OWN,
        times: 2,
        left: &[Left::StorageClass],
        words: "storage class",
    },
    Refused {
        status: 400,
        code: "MetadataTooLarge",
        key: PLAIN,
        times: 2,
        left: &[Left::UserMetadata],
        words: "user metadata",
    },
    // If a retry succeeds, nothing is left out.
    Refused {
        status: 403,
        code: "AccessDenied",
        key: TAGGED,
        times: 1,
        left: &[],
        words: "",
    },
];

async fn refused(row: &'static Refused, rule: RefusedMetadata) {
    let stores = filled().await;
    let mut history = History::of(&stores);
    let leaves = rule == RefusedMetadata::LeaveOut;
    for left in row.left.iter().filter(|_| leaves) {
        history.leave_out(row.key, *left);
    }
    let operation = if row.key == OWN {
        O::CreateUpload
    } else {
        O::PutObject
    };
    let refusal = FaultRule::new(operation, answer(row.status, row.code)).key(row.key);
    stores.target.faults().add(refusal.times(row.times));
    let ran = run(&stores, &history, |order| {
        order.rules.storage = Some(StoragePolicy::InfrequentAccess);
        order.rules.refused_metadata = rule;
    })
    .await;
    if leaves || row.left.is_empty() {
        let lost = |left| i64::from(row.left.contains(&left));
        let any = i64::from(!row.left.is_empty());
        let each = [Left::Tags, Left::StorageClass, Left::UserMetadata].map(lost);
        assert_eq!(ran.task.state, State::Succeeded, "{}: {:?}", row.code, ran.failed);
        assert_eq!(ran.lost(), [any, each[0], each[1], each[2]], "{}", row.code);
    } else {
        assert_eq!(ran.codes(), [(row.key, row.code)]);
        let text = format!("target: refused with its {}: ", row.words);
        let message = &ran.failed[row.key].1;
        assert!(message.starts_with(&text), "{message}");
        assert_eq!(ran.lost(), [0; 4], "{}", row.code);
    }
}

#[tokio::test]
async fn metadata_that_the_target_refuses_is_left_out_and_counted() {
    let tests = REFUSED.iter().map(|row| {
        let name = format!("F46 {} {} left out", row.code, row.key);
        (name, refused(row, RefusedMetadata::LeaveOut))
    });
    all(tests.collect()).await;
}

#[tokio::test]
async fn metadata_that_the_target_refuses_fails_the_object_if_the_task_says_so() {
    let tests = REFUSED.iter().map(|row| {
        let name = format!("F46 {} {} fails", row.code, row.key);
        (name, refused(row, RefusedMetadata::Fail))
    });
    all(tests.collect()).await;
}

#[tokio::test]
async fn metadata_that_the_source_does_not_return_is_left_out_or_fails_the_object() {
    for (status, code) in [(403, "AccessDenied"), (501, "NotImplemented")] {
        for &rule in RefusedMetadata::ALL {
            let stores = filled().await;
            // A store cannot return this value in a header. It only returns the number of such entries.
            alter(&stores, PLAIN, |object| {
                let value = "one\r\nx-amz-acl: public-read".to_owned();
                object.metadata.insert("broken".to_owned(), value);
            });
            let refusal = FaultRule::new(O::GetTagging, answer(status, code));
            stores.source.faults().add(refusal);
            let mut history = History::of(&stores);
            // This entry can never be copied: the object fails each time, or arrives without the entry.
            let change = |order: &mut CreateTask| order.rules.refused_metadata = rule;
            if rule == RefusedMetadata::LeaveOut {
                history.leave_out(PLAIN, Left::Unprintable);
                for key in TAGGED_OBJECTS {
                    history.leave_out(key, Left::Tags);
                }
                let ran = run(&stores, &history, change).await;
                assert_eq!(ran.task.state, State::Succeeded, "{code} {:?}", ran.failed);
                assert_eq!(ran.lost(), [5, 4, 0, 1], "{code}");
                continue;
            }
            let rig = Rig::quick().await;
            let mut order = stores.order();
            change(&mut order);
            let id = rig.create(order).await;
            rig.end(id).await;
            check(&stores, &rig, id, &history).await;
            let found = failures(&rig, id).await;
            let mut wanted: Vec<(&str, &str, &str)> = TAGGED_OBJECTS
                .iter()
                .map(|key| (*key, code, "source: read its tags: "))
                .collect();
            wanted.push((
                PLAIN,
                "MissingMetadata",
                "source: 1 entry of its user metadata is not given",
            ));
            wanted.sort_unstable();
            assert_eq!(found.len(), wanted.len(), "{found:#?}");
            for (failure, (key, code, text)) in found.iter().zip(wanted) {
                assert_eq!((&*failure.key.lossy(), failure.code.as_str()), (key, code));
                assert!(failure.message.starts_with(text), "{failure:?}");
            }
            alter(&stores, PLAIN, |object| {
                object.metadata.remove("broken");
            });
            history.observe(&stores);
            converges(&stores, &rig, id, &history, Remedy::FailedOnly).await;
        }
    }
}

#[tokio::test]
async fn user_metadata_and_tags_arrive_up_to_their_limits() {
    let stores = filled().await;
    let filled_up = |length: usize| {
        let mut object = SandboxObject::new(format!("{length} bytes of metadata"));
        let value = "é".repeat(500);
        let rest = "x".repeat(length - value.len() - 2);
        object.metadata = [("a", value), ("b", rest)].map(|(k, v)| (k.to_owned(), v)).into();
        object
    };
    put(&stores, "F45 2048", filled_up(2048));
    put(&stores, "F45 2049", filled_up(2049));
    put(
        &stores,
        "F45 large",
        SandboxObject {
            metadata: filled_up(2049).metadata,
            ..SandboxObject::new(bytes(7, 5 * SMALL_PART))
        },
    );
    let mut odd = SandboxObject::new("odd names and values");
    odd.metadata = [
        ("x", "Zoë 李"),
        ("y-_.z", "  two  spaces"),
        ("z", "🦀"),
        ("empty", ""),
    ]
    .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
    .into();
    put(&stores, "F45 odd", odd);
    let mut tagged = SandboxObject::new("ten tags");
    let tag = |n: u32| (format!("ключ {n}"), format!("値🦀 +&=%/{n}"));
    tagged.tags = (0..8).map(tag).collect();
    tagged.tags.push(("long".repeat(32), "v".repeat(256)));
    tagged
        .tags
        .push(("breaks".to_owned(), "a\nx-amz-acl: public-read".to_owned()));
    assert_eq!(tagged.tags.len(), 10);
    put(&stores, "F46 ten tags", tagged);
    let mut history = History::of(&stores);
    history.leave_out("F45 2049", Left::UserMetadata);
    history.leave_out("F45 large", Left::UserMetadata);
    let ran = run(&stores, &history, |_| {}).await;
    assert_eq!(ran.task.state, State::Succeeded, "{:?}", ran.failed);
    assert_eq!(ran.lost(), [2, 0, 0, 2]);
}

#[tokio::test]
async fn content_headers_arrive_and_refused_ones_fail_the_object() {
    let stores = filled().await;
    // The object is stored in this encoding. Neither the bytes nor the header may change.
    let zipped = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 4, 0, 0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0,
    ];
    let described = |data: Vec<u8>| SandboxObject {
        content_encoding: Some("gzip".to_owned()),
        content_language: Some("de, en".to_owned()),
        content_disposition: Some("attachment; filename=\"a b.gz\"".to_owned()),
        cache_control: Some("max-age=5, no-transform".to_owned()),
        expires: Some("Fri, 24 May 2030 00:00:00 GMT".to_owned()),
        ..SandboxObject::new(data)
    };
    put(&stores, "F44 gzip", described(zipped.to_vec()));
    put(&stores, "F44 large", described(bytes(9, 5 * SMALL_PART + 1)));
    let history = History::of(&stores);
    let refused = "F44 gzip";
    fault(
        &stores.target,
        O::PutObject,
        refused,
        answer(400, "InvalidArgument"),
    );
    let ran = run(&stores, &history, |_| {}).await;
    assert_eq!(ran.codes(), [(refused, "InvalidArgument")]);
    assert_eq!(ran.lost(), [0; 4]);
    assert_eq!(arrived(&stores, refused).data, zipped.to_vec());
}

#[tokio::test]
async fn a_target_that_ignores_encryption_ends_the_task_before_an_object_is_written() {
    let small = || SandboxOptions {
        min_part_size: SMALL_PART,
        ..SandboxOptions::default()
    };
    let ignoring = SandboxOptions {
        encryption: Support::Ignored,
        ..small()
    };
    let stores = Stores::with(small(), ignoring).await;
    fill(&stores);
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.kms = true;
    let id = rig.create(order).await;
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!(
        task.reason.as_ref().unwrap().kind,
        ReasonKind::TargetEncryption,
        "{task:#?}"
    );
    assert_eq!((task.counters.listed, task.counters.failed), (0, 0));
    assert!(stores.target.keys(TARGET).is_empty(), "the probe is removed");
    assert_eq!(stores.source.requests_count(O::GetObject), 0);

    // Without encryption the same target works.
    let plain = run(&stores, &history, |_| {}).await;
    assert_eq!(plain.task.state, State::Succeeded);
    let looks = requests(&stores.target, O::HeadObject, PLAIN) + requests(&stores.target, O::HeadObject, OWN);
    assert_eq!(looks, 0, "encryption is checked only if the task asks for it");
}

#[tokio::test]
async fn each_object_is_encrypted_or_fails() {
    let name = "x-amz-server-side-encryption";
    let header = |value: Option<&str>| Fault::Header {
        name,
        value: value.map(str::to_owned),
    };
    // What the target does with PLAIN and OWN, and whether they must fail.
    let rows = [
        ("F42 encrypted", None, O::PutObject, false),
        ("F42 ignored", Some(Fault::IgnoreEncryption), O::PutObject, true),
        (
            "F42 reported by OBS",
            Some(header(Some("kms"))),
            O::PutObject,
            false,
        ),
        (
            "F42 reported otherwise",
            Some(header(Some("AES256"))),
            O::PutObject,
            true,
        ),
        ("F42 not reported", Some(header(None)), O::PutObject, false),
    ];
    let tests = rows.map(|(name, what, operation, fails)| {
        let test = async move {
            let stores = filled().await;
            let history = History::of(&stores);
            let ignored = what == Some(Fault::IgnoreEncryption);
            if let Some(what) = what.clone() {
                fault(&stores.target, operation, PLAIN, what);
            }
            if ignored {
                fault(&stores.target, O::CreateUpload, OWN, Fault::IgnoreEncryption);
            }
            let ran = run(&stores, &history, |order| order.kms = true).await;
            let mut wanted = vec![];
            if fails {
                wanted.push((PLAIN, "EncryptionNotApplied"));
            }
            if ignored {
                wanted.push((OWN, "EncryptionNotApplied"));
            }
            assert_eq!(ran.codes(), wanted, "{name}");
            for key in [PLAIN, OWN, PARTS, TAGGED] {
                let found = arrived(&stores, key);
                assert_eq!(found.encryption.as_deref(), Some("aws:kms"), "{name} {key}");
            }
        };
        (name.to_owned(), test)
    });
    all(tests.into_iter().collect()).await;
}

#[tokio::test]
async fn only_a_target_that_does_not_report_encryption_is_asked_for_it() {
    let stores = filled().await;
    let unreported = Fault::Header {
        name: "x-amz-server-side-encryption",
        value: None,
    };
    fault(&stores.target, O::PutObject, PLAIN, unreported);
    let rig = Rig::quick().await;
    let mut order = stores.order();
    order.kms = true;
    let id = rig.create(order).await;
    assert_eq!(rig.end(id).await.state, State::Succeeded);
    let looks = [PLAIN, "dir-2/02", OWN].map(|key| requests(&stores.target, O::HeadObject, key));
    assert_eq!(looks, [1, 0, 1], "after an upload in parts it is always asked");
    check(&stores, &rig, id, &History::of(&stores)).await;
}

#[tokio::test]
async fn encrypted_sources_are_read_where_the_store_can_and_fail_alone_where_it_cannot() {
    for kms in [false, true] {
        let stores = filled().await;
        for key in ["dir-1/01", "dir-1/04", "dir-1/22", SMALL_PARTS] {
            let object = stores.source.get(SOURCE, key).unwrap();
            put(&stores, key, object.sealed());
        }
        alter(&stores, "dir-2/05", |object| {
            object.encryption = Some("AES256".to_owned());
        });
        // An object with a customer-provided key is not returned to a HEAD or GET without that key.
        let locked = ["dir-0/03", OWN];
        for key in locked {
            fault(&stores.source, O::HeadObject, key, answer(400, "InvalidRequest"));
            fault(&stores.source, O::GetObject, key, answer(400, "InvalidRequest"));
        }
        let history = History::of(&stores);
        let ran = run(&stores, &history, |order| order.kms = kms).await;
        assert_eq!(ran.codes(), locked.map(|key| (key, "InvalidRequest")), "{kms}");
        assert_eq!(ran.task.counters.failed, 2);
    }
}

#[tokio::test]
async fn archived_objects_and_delete_markers_fail_alone() {
    let stores = filled().await;
    for key in [PLAIN, OWN, PARTS] {
        fault(
            &stores.source,
            O::GetObject,
            key,
            answer(403, "InvalidObjectState"),
        );
    }
    // A delete marker. No method returns anything for it.
    let marker = "F47 marker";
    put(&stores, marker, SandboxObject::new(bytes(3, 5 * SMALL_PART)));
    fault(
        &stores.source,
        O::HeadObject,
        marker,
        answer(405, "MethodNotAllowed"),
    );
    let small = "dir-2/08";
    fault(
        &stores.source,
        O::GetObject,
        small,
        answer(405, "MethodNotAllowed"),
    );
    let history = History::of(&stores);
    let ran = run(&stores, &history, |_| {}).await;
    let archived = [PLAIN, OWN, PARTS].map(|key| (key, "InvalidObjectState"));
    // The response to HEAD has no body that names the error.
    let mut wanted = [
        &archived[..],
        &[(marker, "Unsupported"), (small, "MethodNotAllowed")],
    ]
    .concat();
    wanted.sort_unstable();
    assert_eq!(ran.codes(), wanted);
    assert_eq!(ran.task.reason.as_ref().unwrap().kind, ReasonKind::ObjectsFailed);
    assert_eq!(ran.task.counters.copied + 5, ran.task.counters.listed);
}

#[tokio::test]
async fn the_newest_version_is_copied_and_deleted_objects_are_missing() {
    let stores = filled().await;
    // A versioned store sends a version id with every response. It means nothing at the target.
    let add_version_id = |sandbox: &Sandbox, operation| {
        let version = Fault::Header {
            name: "x-amz-version-id",
            value: Some("3HL4kqtJvjVBH40Nrjfkd".to_owned()),
        };
        sandbox
            .faults()
            .add(FaultRule::new(operation, version).key_prefix("dir-2/"));
    };
    let hidden = [PLAIN, OWN];
    // Somebody deletes them after they were listed. The newest version is then a delete marker, and no listing has them.
    fault(&stores.source, O::GetObject, PLAIN, Fault::RemoveObject);
    fault(&stores.source, O::GetObject, OWN, Fault::RemoveObject);
    let newer = "dir-2/11";
    let change = Fault::ChangeObject {
        data: "the newest version".into(),
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(O::GetObject, change).key(newer).times(1));
    add_version_id(&stores.source, O::GetObject);
    add_version_id(&stores.target, O::PutObject);
    let mut history = History::of(&stores);
    let rig = Rig::quick().await;
    let id = rig.create(stores.order()).await;
    rig.end(id).await;
    history.observe(&stores);
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!(task.state, State::Succeeded, "{:#?}", failures(&rig, id).await);
    assert_eq!(task.counters.gone, 2);
    assert_eq!(arrived(&stores, newer).data, "the newest version");
    for key in hidden {
        assert!(stores.target.get(TARGET, key).is_none());
    }
}
