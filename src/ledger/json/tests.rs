//! What was written is read back, and what an earlier version wrote stays readable.

use proptest::prelude::*;

use super::*;
use crate::error::ErrorKind;
use crate::task::rules::{ConsistencyCheck, CopyRules, MinimumProof, OverwriteMode, RefusedMetadata};
use crate::task::spec::{
    Addressing, Cdn, Cloud, Endpoint, EndpointOrigin, Manifest, Notification, Payer, Scope,
};
use crate::task::storage::StoragePolicy;
use crate::task::{BandwidthWindow, Key, UnixMillis};

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        any::<String>().prop_map(|text| Key::from(text.as_str())),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Key::from),
    ]
}

fn place() -> impl Strategy<Value = BucketLocation> {
    let addressing = prop_oneof![Just(Addressing::Path), Just(Addressing::VirtualHost)];
    let origin = prop_oneof![Just(EndpointOrigin::Request), Just(EndpointOrigin::Catalogue)];
    let endpoint = (any::<String>(), addressing, origin).prop_map(|(url, addressing, origin)| Endpoint {
        url,
        addressing,
        origin,
    });
    let cloud = prop::sample::select(Cloud::ALL);
    let app_id = prop::option::of(any::<String>());
    let payer = prop_oneof![Just(Payer::Owner), Just(Payer::Requester)];
    (cloud, any::<String>(), any::<String>(), endpoint, app_id, payer).prop_map(
        |(cloud, region, bucket, endpoint, app_id, payer)| BucketLocation {
            cloud,
            region,
            bucket,
            endpoint,
            app_id,
            payer,
        },
    )
}

fn scope() -> impl Strategy<Value = Scope> {
    let keys = || prop::collection::vec(key(), 0..6);
    let file = || (any::<String>(), key()).prop_map(|(bucket, key)| Manifest { bucket, key });
    prop_oneof![
        keys().prop_map(Scope::Objects),
        keys().prop_map(Scope::Prefixes),
        file().prop_map(Scope::List),
        file().prop_map(Scope::Urls),
    ]
}

fn cdn() -> impl Strategy<Value = Cdn> {
    any::<[String; 3]>().prop_map(|[protocol, domain, authentication_type]| Cdn {
        protocol,
        domain,
        authentication_type,
    })
}

fn notification() -> impl Strategy<Value = Notification> {
    let triggers = prop::collection::vec(any::<String>(), 0..3);
    (any::<String>(), any::<Option<String>>(), triggers).prop_map(|(topic_urn, language, triggers)| {
        Notification {
            topic_urn,
            language,
            triggers,
        }
    })
}

fn rules() -> impl Strategy<Value = CopyRules> {
    (
        prop::sample::select(OverwriteMode::ALL),
        prop::sample::select(ConsistencyCheck::ALL),
        prop::sample::select(MinimumProof::ALL),
        prop::option::of(prop::sample::select(StoragePolicy::ALL)),
        prop::sample::select(RefusedMetadata::ALL),
    )
        .prop_map(
            |(overwrite, consistency, minimum_proof, storage, refused_metadata)| CopyRules {
                overwrite,
                consistency,
                minimum_proof,
                storage,
                refused_metadata,
            },
        )
}

fn spec() -> impl Strategy<Value = TaskSpec> {
    let places = (place(), place(), key(), scope());
    let options = (any::<[bool; 4]>(), any::<u8>(), any::<Option<i64>>());
    let rest = (
        any::<String>(),
        prop::option::of(cdn()),
        prop::option::of(notification()),
        rules(),
    );
    (places, options, rest).prop_map(|(places, options, rest)| {
        let (source, target, target_prefix, scope) = places;
        let ([kms, restore, record_failures, record_settled], threads, since) = options;
        let (description, cdn, notification, rules) = rest;
        TaskSpec {
            source,
            target,
            target_prefix,
            scope,
            description,
            threads,
            kms,
            migrate_since: since.map(UnixMillis),
            restore,
            record_failures,
            record_settled,
            cdn,
            notification,
            rules,
        }
    })
}

proptest! {
    #[test]
    fn orders_come_back(spec in spec()) {
        let text = spec_to_text(&spec).unwrap();
        prop_assert_eq!(spec_from_text(&text).unwrap(), spec);
    }

    #[test]
    fn windows_come_back(starts in prop::collection::btree_set(0_u16..48, 0..=5), limit in any::<u64>()) {
        let window = |half_hour| BandwidthWindow {
            start: half_hour * 30,
            end: half_hour * 30 + 29,
            max_bytes_per_second: limit,
        };
        let policy = BandwidthPolicy::new(starts.into_iter().map(window).collect()).unwrap();
        let text = bandwidth_to_text(&policy).unwrap();
        prop_assert_eq!(bandwidth_from_text(&text).unwrap(), policy);
    }
}

/// A change of this text makes existing ledgers unreadable, unless the new form still reads it.
#[test]
fn the_written_form_is_stable() {
    let first = r#"{"source":{"cloud":"AWS","region":"r","bucket":"b","url":"https://s","addressing":"path","origin":"request","app_id":null},"target":{"cloud":"HuaweiCloud","region":"r","bucket":"c","url":"https://t","addressing":"virtual_host","origin":"catalogue","app_id":"1"},"target_prefix":{"hex":"ff"},"scope":{"objects":["a","b/"]},"description":"d","threads":5,"kms":false,"migrate_since":7,"restore":false,"record_failures":true,"cdn":null,"notification":{"topic_urn":"u","language":null,"triggers":["FAIL"]}}"#;
    let spec = spec_from_text(first).unwrap();
    assert_eq!(spec.target_prefix, Key::from(&b"\xff"[..]));
    assert_eq!(spec.scope, Scope::Objects(vec![Key::from("a"), Key::from("b/")]));
    // The first version knew no rules, and had no such lists to switch off.
    assert_eq!(spec.rules, CopyRules::default());
    assert!(spec.record_settled);
    let with = |more: &str, end: &str| {
        let rules = r#"{"overwrite":"SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE","consistency":"size_last_modified","minimum_proof":"size""#;
        format!(r#"{},"rules":{rules}{more}}}{end}}}"#, &first[..first.len() - 1])
    };
    // The second one knew neither storage classes nor what to do about refusals.
    assert_eq!(spec_from_text(&with("", "")).unwrap(), spec);
    let text = with(
        r#","storage":null,"refused_metadata":"leave_out""#,
        r#","record_settled":true"#,
    );
    assert_eq!(spec_to_text(&spec).unwrap(), text);
    assert_eq!(spec_from_text(&text).unwrap(), spec);
    let text = r#"[{"start":1,"end":2,"max_bytes_per_second":3}]"#;
    assert_eq!(
        bandwidth_to_text(&bandwidth_from_text(text).unwrap()).unwrap(),
        text
    );
}

#[test]
fn nonsense_is_reported_as_such() {
    for text in [
        "",
        "{}",
        "[1]",
        r#"[{"start":9999,"end":2,"max_bytes_per_second":3}]"#,
    ] {
        assert_eq!(spec_from_text(text).unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(bandwidth_from_text(text).unwrap_err().kind(), ErrorKind::Internal);
    }
}

#[test]
fn an_error_says_where_a_text_is_damaged() {
    let spec = include_str!("golden.jsonl").lines().nth(1).unwrap();
    for (good, bad, place) in [
        (r#""AWS""#, r#""aws""#, "spec at source.cloud"),
        (r#""eu-west-1""#, "1", "spec at source.region"),
        (r#""NO_OVERWRITE""#, r#""""#, "spec at rules.overwrite"),
        (r#""no_check""#, r#""NoCheck""#, "spec at rules.consistency"),
        (r#""etag""#, r#""ETag""#, "spec at rules.minimum_proof"),
        (r#""IA""#, r#""ia""#, "spec at rules.storage"),
        (r#""fail""#, "true", "spec at rules.refused_metadata"),
        ("696e2fff00", "696e2fff0", "spec at target_prefix"),
        (r#"["a","#, r#"[{"hex":"g0"},"#, "spec at scope.objects[0]"),
        (r#""threads":50"#, r#""threads":256"#, "spec at threads"),
        // The address lies in the fields of its place.
        (r#""virtual_host""#, r#""VirtualHost""#, "spec at source"),
        (
            r#""record_settled":false}"#,
            r#""record_settled":false}}"#,
            "spec",
        ),
    ] {
        assert!(spec.contains(good), "{good}");
        let error = spec_from_text(&spec.replacen(good, bad, 1)).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Internal, damaged(place).message())
        );
    }
    for (text, place) in [
        (
            r#"[{"start":1,"end":2,"max_bytes_per_second":3},{"start":2,"end":2,"max_bytes_per_second":3}]"#,
            "bandwidth",
        ),
        (
            r#"[{"start":-1,"end":2,"max_bytes_per_second":3}]"#,
            "bandwidth at [0].start",
        ),
    ] {
        assert_eq!(
            bandwidth_from_text(text).unwrap_err().message(),
            damaged(place).message()
        );
    }
}
