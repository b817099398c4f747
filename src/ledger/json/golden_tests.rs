//! Specs as the ledgers of users hold them, one in a line: they are read, and written again byte for byte.
//!
//! `golden.jsonl` has the form that is written today, `earlier.jsonl` those that earlier versions wrote. A line that
//! stands there is never changed: somebody's ledger has it. A new field or a new value gets a new line.

use super::*;
use crate::task::rules::{ConsistencyCheck, CopyRules, MinimumProof, OverwriteMode, RefusedMetadata};
use crate::task::spec::{
    Addressing, Cdn, Cloud, Endpoint, EndpointOrigin, Manifest, Notification, Payer, Scope,
};
use crate::task::storage::StoragePolicy;
use crate::task::{Key, UnixMillis};

const CURRENT: &str = include_str!("golden.jsonl");
const EARLIER: &str = include_str!("earlier.jsonl");

/// A spec whose every optional field is absent.
fn plain() -> TaskSpec {
    let place = |cloud, bucket: &str, addressing, origin| BucketLocation {
        cloud,
        region: "eu-west-1".to_owned(),
        bucket: bucket.to_owned(),
        endpoint: Endpoint {
            url: format!("https://{bucket}.example:8443/below"),
            addressing,
            origin,
        },
        app_id: None,
        payer: Payer::Owner,
    };
    TaskSpec {
        source: place(Cloud::Aws, "from", Addressing::Path, EndpointOrigin::Request),
        target: place(
            Cloud::HuaweiCloud,
            "to",
            Addressing::VirtualHost,
            EndpointOrigin::Catalogue,
        ),
        target_prefix: Key::from(""),
        scope: Scope::Prefixes(vec![Key::from("")]),
        description: String::new(),
        threads: 1,
        kms: false,
        migrate_since: None,
        restore: false,
        record_failures: true,
        record_settled: true,
        cdn: None,
        notification: None,
        rules: CopyRules::default(),
    }
}

/// A spec whose every optional field is present, and every choice another one.
fn full() -> TaskSpec {
    let base = plain();
    let place = |place: BucketLocation, addressing, origin| BucketLocation {
        endpoint: Endpoint {
            addressing,
            origin,
            ..place.endpoint
        },
        app_id: Some("1250000000".to_owned()),
        payer: Payer::Requester,
        ..place
    };
    TaskSpec {
        source: place(base.source, Addressing::VirtualHost, EndpointOrigin::Catalogue),
        target: place(base.target, Addressing::Path, EndpointOrigin::Request),
        target_prefix: Key::from(&b"in/\xff\x00"[..]),
        scope: Scope::Objects(vec![Key::from("a"), Key::from("b/")]),
        description: "a task, \"quoted\" \\ and\nbroken: ü€😀".to_owned(),
        threads: 50,
        kms: true,
        migrate_since: Some(UnixMillis(1_795_000_000_000)),
        restore: true,
        record_failures: false,
        record_settled: false,
        cdn: Some(Cdn {
            protocol: "https".to_owned(),
            domain: "cdn.example".to_owned(),
            authentication_type: "QINIU_PRIVATE_AUTHENTICATION".to_owned(),
        }),
        notification: Some(Notification {
            topic_urn: "urn:smn:region:project:topic".to_owned(),
            language: Some("en-us".to_owned()),
            triggers: vec!["SUCCESS".to_owned(), "FAIL".to_owned()],
        }),
        rules: CopyRules {
            overwrite: OverwriteMode::Never,
            consistency: ConsistencyCheck::NoCheck,
            minimum_proof: MinimumProof::ETag,
            storage: Some(StoragePolicy::InfrequentAccess),
            refused_metadata: RefusedMetadata::Fail,
        },
    }
}

/// What the lines of `golden.jsonl` mean, in their order.
fn current() -> Vec<TaskSpec> {
    let mut specs = vec![plain(), full()];
    let odd = vec![
        Key::from(&b"\xff"[..]),
        Key::from(&b"a/\xc3\x28"[..]),
        Key::from("ü\u{0}\u{1f}\t\"\\/😀"),
        Key::from("{\"hex\":\"ff\"}"),
        Key::from(""),
    ];
    let manifest = |key: &[u8]| Manifest {
        bucket: "lists".to_owned(),
        key: Key::from(key),
    };
    let scopes = [
        Scope::Objects(Vec::new()),
        Scope::Objects(odd.clone()),
        Scope::Prefixes(odd),
        Scope::List(manifest(b"list.txt")),
        Scope::List(manifest(b"list-\xfe")),
        Scope::Urls(manifest(b"urls.txt")),
        Scope::Urls(manifest(b"\x80")),
    ];
    specs.extend(scopes.map(|scope| TaskSpec { scope, ..plain() }));
    for &cloud in Cloud::ALL {
        let mut spec = plain();
        spec.source.cloud = cloud;
        spec.target.cloud = cloud;
        specs.push(spec);
    }
    let with = |rules: CopyRules| TaskSpec { rules, ..plain() };
    let rules = CopyRules::default();
    specs.extend(
        OverwriteMode::ALL
            .iter()
            .map(|&overwrite| with(CopyRules { overwrite, ..rules })),
    );
    specs.extend(
        ConsistencyCheck::ALL
            .iter()
            .map(|&consistency| with(CopyRules { consistency, ..rules })),
    );
    specs.extend(MinimumProof::ALL.iter().map(|&minimum_proof| {
        with(CopyRules {
            minimum_proof,
            ..rules
        })
    }));
    specs.extend(StoragePolicy::ALL.iter().map(|&policy| {
        let storage = Some(policy);
        with(CopyRules { storage, ..rules })
    }));
    specs.extend(RefusedMetadata::ALL.iter().map(|&refused_metadata| {
        with(CopyRules {
            refused_metadata,
            ..rules
        })
    }));
    // Present and absent apart from each other, and numbers at their ends.
    let mut spec = plain();
    spec.source.app_id = Some(String::new());
    spec.target.payer = Payer::Requester;
    spec.notification = Some(Notification {
        topic_urn: String::new(),
        language: None,
        triggers: Vec::new(),
    });
    spec.migrate_since = Some(UnixMillis(0));
    specs.push(spec);
    for moment in [i64::MIN, i64::MAX] {
        let migrate_since = Some(UnixMillis(moment));
        specs.push(TaskSpec {
            migrate_since,
            cdn: full().cdn,
            ..plain()
        });
    }
    specs
}

/// What the lines of `earlier.jsonl` mean, in their order.
fn earlier() -> Vec<TaskSpec> {
    let owners = |mut spec: TaskSpec| {
        spec.source.payer = Payer::Owner;
        spec.target.payer = Payer::Owner;
        spec.record_settled = true;
        spec
    };
    let first = |spec| TaskSpec {
        rules: CopyRules::default(),
        ..owners(spec)
    };
    let second = |spec| {
        let mut spec = owners(spec);
        spec.rules.storage = None;
        spec.rules.refused_metadata = RefusedMetadata::LeaveOut;
        spec
    };
    vec![first(plain()), first(full()), second(plain()), second(full())]
}

#[test]
fn every_written_line_is_read_and_written_again_identically() {
    let lines: Vec<&str> = CURRENT.lines().collect();
    let specs = current();
    for (line, spec) in lines.iter().zip(&specs) {
        assert_eq!(spec_from_text(line).unwrap(), *spec);
        assert_eq!(spec_to_text(spec).unwrap(), *line);
    }
    let missing = specs[lines.len().min(specs.len())..].iter();
    let missing: Vec<String> = missing.map(|spec| spec_to_text(spec).unwrap()).collect();
    assert!(
        missing.is_empty(),
        "these lines are missing:\n{}",
        missing.join("\n")
    );
    assert_eq!(lines.len(), specs.len());
}

#[test]
fn every_line_of_an_earlier_version_is_read() {
    let lines: Vec<&str> = EARLIER.lines().collect();
    let specs = earlier();
    assert_eq!(lines.len(), specs.len());
    for (line, spec) in lines.iter().zip(&specs) {
        assert_eq!(spec_from_text(line).unwrap(), *spec);
        let again = spec_to_text(spec).unwrap();
        assert_eq!(spec_from_text(&again).unwrap(), *spec);
    }
}
