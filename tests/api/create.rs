//! `POST …/task`: create a task.

use oms::task::State;
use oms::task::spec::{Cloud, Manifest, Scope};
use oms::task::{Key, UnixMillis};
use serde_json::{Value, json};

use super::{create_body, set, without};
use crate::support::api::TestApi;

#[tokio::test]
async fn a_task_is_created_and_shown_as_requested() {
    let api = TestApi::new().await;
    let created = api.post("/task", &create_body()).await.fine();
    let id = created["id"].as_i64().unwrap();
    assert_eq!(id.to_string().len(), 15);
    assert_eq!(created.as_object().unwrap().len(), 2);

    let task = api.ledger.get(id).unwrap();
    assert_eq!(task.state, State::Waiting);
    assert_eq!(task.spec.source.cloud, Cloud::Aws);
    assert_eq!(task.spec.target.cloud, Cloud::HuaweiCloud);
    assert_eq!(task.spec.migrate_since, Some(UnixMillis(1_700_000_000_000)));
    let names = vec![Key::from("2024/"), Key::from("index.html")];
    assert_eq!(task.spec.scope, Scope::Objects(names));

    let shown = api.get(&format!("/task/{id}")).await.fine();
    assert_eq!(shown["name"], created["task_name"]);
    assert_eq!(shown["src_node"]["object_key"], json!(["2024/", "index.html"]));
    assert_eq!(shown["src_node"]["cloud_type"], "AWS");
    assert_eq!(shown["dst_node"]["object_key"], "backup/");
    assert_eq!(shown["enableKMS"], true);
    assert_eq!(shown["thread_num"], 50);
    assert_eq!(shown["description"], "nightly copy");
    assert_eq!(shown["migrate_since"], 1_700_000_000);
    assert_eq!(shown["bandwidth_policy"], create_body()["bandwidth_policy"]);
    for node in ["src_node", "dst_node"] {
        assert!(shown[node].get("ak").is_none() && shown[node].get("sk").is_none());
    }
}

#[tokio::test]
async fn copy_rules_are_accepted_and_shown_with_their_defaults() {
    let api = TestApi::new().await;
    let rules = |mode: &str, check: &str, proof: &str| {
        json!({"object_overwrite_mode": mode, "consistency_check": check, "minimum_proof": proof,
               "dst_storage_policy": null, "refused_metadata": "leave_out", "crc64_missing_num": 0})
    };
    let id = api.post("/task", &create_body()).await.fine()["id"].clone();
    let shown = api.get(&format!("/task/{id}")).await.fine();
    let by_default = rules(
        "SIZE_LAST_MODIFIED_COMPARISON_OVERWRITE",
        "size_last_modified",
        "size",
    );
    assert_eq!(shown["copy_rules"], by_default);
    for mode in ["NO_OVERWRITE", "CRC64_COMPARISON_OVERWRITE", "FULL_OVERWRITE"] {
        for (check, proof) in [("crc64", "checksum"), ("no_check", "etag")] {
            let mut body = set(create_body(), "object_overwrite_mode", json!(mode));
            body = set(body, "consistency_check", json!(check));
            body = set(body, "minimum_proof", json!(proof));
            let id = api.post("/task", &body).await.fine()["id"].clone();
            let shown = api.get(&format!("/task/{id}")).await.fine();
            assert_eq!(shown["copy_rules"], rules(mode, check, proof));
        }
    }
    for policy in ["STANDARD", "IA", "ARCHIVE", "DEEP_ARCHIVE", "SRC_STORAGE_MAPPING"] {
        for refused in ["leave_out", "fail"] {
            let body = set(create_body(), "dst_storage_policy", json!(policy));
            let body = set(body, "refused_metadata", json!(refused));
            let id = api.post("/task", &body).await.fine()["id"].clone();
            let shown = api.get(&format!("/task/{id}")).await.fine();
            let rules = &shown["copy_rules"];
            assert_eq!(
                (&rules["dst_storage_policy"], &rules["refused_metadata"]),
                (&json!(policy), &json!(refused))
            );
        }
    }
    for field in [
        "object_overwrite_mode",
        "consistency_check",
        "minimum_proof",
        "dst_storage_policy",
        "refused_metadata",
    ] {
        let reply = api
            .post("/task", &set(create_body(), field, json!("SOMETIMES")))
            .await;
        assert_eq!(reply.status, 400, "{field} {reply:?}");
        assert!(reply.text.contains(field), "{reply:?}");
    }
}

#[tokio::test]
async fn the_whole_bucket_has_many_spellings() {
    let api = TestApi::new().await;
    let spellings = [
        json!(""),
        json!("/"),
        Value::Null,
        json!({"keys": [""]}),
        json!({"keys": ["/"]}),
        json!({"path": "", "keys": [""]}),
        json!({"path": "/", "keys": [""]}),
        json!({"path": null, "keys": ["/"]}),
    ];
    for given in spellings.into_iter().map(Some).chain([None]) {
        let body = given.map_or_else(
            || without(create_body(), "src_node/object_key"),
            |key| set(create_body(), "src_node/object_key", key),
        );
        let id = api.post("/task", &body).await.fine()["id"].clone();
        let task = api.ledger.get(id.as_i64().unwrap()).unwrap();
        assert_eq!(task.spec.scope, Scope::Objects(vec![Key::from("")]), "{body}");
        let shown = api.get(&format!("/task/{id}")).await.fine();
        assert_eq!(shown["src_node"]["object_key"], json!(["/"]));
    }
}

#[tokio::test]
async fn a_time_may_be_digits_in_a_string() {
    let api = TestApi::new().await;
    for (given, wanted) in [
        (json!("1700000000"), Some(UnixMillis(1_700_000_000_000))),
        (json!(1_700_000_000), Some(UnixMillis(1_700_000_000_000))),
        (json!("0"), None),
        (json!(""), None),
        (Value::Null, None),
    ] {
        let body = set(create_body(), "migrate_since", given);
        let id = api.post("/task", &body).await.fine()["id"].as_i64().unwrap();
        assert_eq!(api.ledger.get(id).unwrap().spec.migrate_since, wanted, "{body}");
    }
}

/// The smallest body of the official Go client of the original service. The client sends every field of its struct.
#[tokio::test]
async fn the_body_of_the_old_go_client_is_taken() {
    let api = TestApi::new().await;
    let body = json!({
        "src_node": {"region": "eu-west-1", "ak": "AK", "sk": "SK", "object_key": "/", "bucket": "photos", "cloud_type": "AWS"},
        "dst_node": {"region": "cn-north-4", "ak": "AK", "sk": "SK", "bucket": "photos-copy"},
        "enableKMS": true,
        "thread_num": 20,
        "smnInfo": {"topicUrn": "", "language": "", "triggerConditions": null}
    });
    let id = api.post("/task", &body).await.fine()["id"].as_i64().unwrap();
    let task = api.ledger.get(id).unwrap();
    assert!(task.spec.notification.is_none());
    assert_eq!(task.spec.scope, Scope::Objects(vec![Key::from("")]));
    // An incomplete notification is refused.
    for (smn, field) in [
        (
            json!({"topicUrn": "", "triggerConditions": ["FAIL"]}),
            "smnInfo.topicUrn",
        ),
        (
            json!({"topicUrn": "urn", "triggerConditions": []}),
            "smnInfo.triggerConditions",
        ),
        (
            json!({"topicUrn": "urn", "triggerConditions": null}),
            "smnInfo.triggerConditions",
        ),
    ] {
        let reply = api.post("/task", &set(body.clone(), "smnInfo", smn)).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(reply.text.contains(field), "{reply:?}");
    }
}

#[tokio::test]
async fn reports_of_settled_objects_are_written_by_default() {
    let api = TestApi::new().await;
    let name = "enable_success_and_skip_recording";
    for (body, recorded) in [
        (without(create_body(), name), true),
        (set(create_body(), name, json!(true)), true),
        (set(create_body(), name, json!(false)), false),
    ] {
        let id = api.post("/task", &body).await.fine()["id"].as_i64().unwrap();
        assert_eq!(api.ledger.get(id).unwrap().spec.record_settled, recorded);
        let shown = api.get(&format!("/task/{id}")).await.fine();
        assert_eq!(shown[name], recorded);
    }
}

#[tokio::test]
async fn optional_fields_may_be_left_out_or_null() {
    let api = TestApi::new().await;
    let optional = [
        "description",
        "smnInfo",
        "migrate_since",
        "auto_restore",
        "bandwidth_policy",
        "task_type",
        "enable_failed_object_recording",
        "enable_success_and_skip_recording",
        "dst_node/object_key",
        "dst_node/cloud_type",
    ];
    for field in optional {
        api.post("/task", &without(create_body(), field)).await.fine();
        api.post("/task", &set(create_body(), field, Value::Null))
            .await
            .fine();
    }
    for (field, value) in [
        ("src_node/object_key", json!("one/object.txt")),
        ("src_node/object_key", json!({"keys": ["a"]})),
        ("src_node/object_key", json!({"path": "/", "keys": ["a", "b/"]})),
        ("dst_node/object_key", json!("/")),
        ("dst_node/cloud_type", json!("")),
        ("task_type", json!("prefix")),
        ("thread_num", json!(0)),
        ("migrate_since", json!(0)),
        ("description", json!("")),
        ("description", json!("说".repeat(255))),
        ("src_node/endpoint", json!("http://127.0.0.1:9000")),
        ("dst_node/endpoint", json!("http://127.0.0.1:9000/storage/v1/s3")),
        ("enable_requester_pays", json!(true)),
    ] {
        api.post("/task", &set(create_body(), field, value)).await.fine();
    }
}

#[tokio::test]
async fn an_endpoint_of_the_request_is_shown_and_one_of_the_catalogue_is_not() {
    let api = TestApi::new().await;
    let body = set(create_body(), "src_node/endpoint", json!("http://127.0.0.1:9000"));
    let id = api.post("/task", &body).await.fine()["id"].clone();
    let shown = api.get(&format!("/task/{id}")).await.fine();
    assert_eq!(shown["src_node"]["endpoint"], "http://127.0.0.1:9000");
    assert_eq!(shown["dst_node"]["endpoint"], Value::Null);
}

#[tokio::test]
async fn invalid_bodies_are_refused_with_the_field_and_create_nothing() {
    let text = |length: usize| json!("x".repeat(length));
    let mut cases = vec![
        ("src_node/object_key", json!(7), "OMS.0002", "src_node.object_key"),
        (
            "src_node/object_key",
            json!(["a"]),
            "OMS.0002",
            "src_node.object_key",
        ),
        (
            "src_node/object_key",
            json!({}),
            "OMS.0074",
            "src_node.object_key.keys",
        ),
        (
            "src_node/object_key",
            json!({"keys": []}),
            "OMS.0057",
            "src_node.object_key.keys",
        ),
        (
            "src_node/object_key",
            json!({"keys": ["a", 7]}),
            "OMS.0002",
            "src_node.object_key.keys[1]",
        ),
        (
            "src_node/object_key",
            json!({"keys": ["a", ""]}),
            "OMS.0064",
            "src_node.object_key.keys[1]",
        ),
        (
            "src_node/object_key",
            json!({"keys": ["x".repeat(1025)]}),
            "OMS.0064",
            "src_node.object_key.keys[0]",
        ),
        (
            "src_node/object_key",
            json!({"keys": ["键".repeat(1024)]}),
            "OMS.0057",
            "src_node.object_key.keys[0]",
        ),
        (
            "src_node/object_key",
            json!({"path": "//", "keys": ["a"]}),
            "OMS.0057",
            "src_node.object_key.path",
        ),
        (
            "src_node/object_key",
            json!({"keys": ["a"], "x": 1}),
            "OMS.0074",
            "src_node.object_key.x",
        ),
        (
            "src_node/object_key",
            text(1025),
            "OMS.0064",
            "src_node.object_key",
        ),
        (
            "dst_node/object_key",
            text(1025),
            "OMS.0064",
            "dst_node.object_key",
        ),
        (
            "dst_node/object_key",
            json!("键".repeat(1024)),
            "OMS.0058",
            "dst_node.object_key",
        ),
        (
            "dst_node/object_key",
            json!(["a"]),
            "OMS.0002",
            "dst_node.object_key",
        ),
        (
            "src_node/cloud_type",
            json!("aws"),
            "OMS.0064",
            "src_node.cloud_type",
        ),
        (
            "src_node/cloud_type",
            json!("HEC"),
            "OMS.0064",
            "src_node.cloud_type",
        ),
        (
            "src_node/cloud_type",
            json!("URLSource"),
            "OMS.0061",
            "src_node.cloud_type does not go with task_type object",
        ),
        (
            "dst_node/cloud_type",
            json!("URLSource"),
            "OMS.0064",
            "dst_node.cloud_type",
        ),
        ("src_node/region", json!("mars"), "OMS.0079", "src_node.region"),
        ("dst_node/region", json!("mars"), "OMS.0080", "dst_node.region"),
        ("src_node/region", json!("a\nb"), "OMS.0057", "src_node.region"),
        ("src_node/bucket", json!("a/b"), "OMS.0057", "src_node.bucket"),
        ("dst_node/bucket", json!("键键键"), "OMS.0058", "dst_node.bucket"),
        (
            "src_node/endpoint",
            json!("ftp://h"),
            "OMS.0057",
            "src_node.endpoint",
        ),
        (
            "dst_node/endpoint",
            json!("http://h/path?query"),
            "OMS.0058",
            "dst_node.endpoint",
        ),
        ("src_node/endpoint", json!(""), "OMS.0064", "src_node.endpoint"),
        ("src_node/app_id", json!(""), "OMS.0064", "src_node.app_id"),
        (
            "src_node/list_file",
            json!({"obs_bucket": "lists", "list_file_key": "k.txt"}),
            "OMS.0061",
            "src_node.list_file does not go with task_type object",
        ),
        (
            "src_node/list_file",
            json!({"obs_bucket": "b"}),
            "OMS.0074",
            "src_node.list_file.list_file_key",
        ),
        ("src_node/extra", json!(1), "OMS.0074", "src_node.extra"),
        ("extra", json!(1), "OMS.0074", "extra"),
        ("src_node", json!("x"), "OMS.0002", "src_node"),
        ("enableKMS", json!("true"), "OMS.0002", "enableKMS"),
        ("enableKMS", Value::Null, "OMS.0002", "enableKMS"),
        ("thread_num", json!(-1), "OMS.0059", "thread_num"),
        ("thread_num", json!(51), "OMS.0059", "thread_num"),
        ("thread_num", json!("50"), "OMS.0002", "thread_num"),
        ("thread_num", json!(1.5), "OMS.0002", "thread_num"),
        ("description", text(256), "OMS.0064", "description"),
        ("migrate_since", json!(-1), "OMS.0064", "migrate_since"),
        (
            "migrate_since",
            json!("253402300800"),
            "OMS.0064",
            "migrate_since",
        ),
        (
            "migrate_since",
            json!("yesterday"),
            "OMS.0002",
            "migrate_since must be an integer, or a string of digits",
        ),
        ("migrate_since", json!("-1"), "OMS.0002", "migrate_since"),
        ("migrate_since", json!("1e9"), "OMS.0002", "migrate_since"),
        (
            "migrate_since",
            json!("9".repeat(20)),
            "OMS.0002",
            "migrate_since",
        ),
        ("migrate_since", json!(true), "OMS.0002", "migrate_since"),
        ("migrate_since", json!(1.5), "OMS.0002", "migrate_since"),
        (
            "migrate_since",
            json!(253_402_300_800_i64),
            "OMS.0064",
            "migrate_since",
        ),
        (
            "task_type",
            json!("list"),
            "OMS.0061",
            "src_node.object_key does not go with task_type list",
        ),
        (
            "task_type",
            json!("url_list"),
            "OMS.0061",
            "src_node.object_key does not go with task_type url_list",
        ),
        ("task_type", json!("everything"), "OMS.0064", "task_type"),
        (
            "auto_restore",
            json!(true),
            "OMS.0061",
            "auto_restore is not supported yet",
        ),
        ("auto_restore", json!(1), "OMS.0002", "auto_restore"),
        (
            "source_cdn",
            json!({"protocol": "https", "domain": "cdn.example.com", "authentication_type": "ALIYUN_OSS_B"}),
            "OMS.1032",
            "the CDN's authentication key is required",
        ),
        (
            "source_cdn",
            json!({"protocol": "https", "domain": "u@cdn.example.com/", "authentication_type": "NONE"}),
            "OMS.0081",
            "source_cdn.domain",
        ),
        (
            "source_cdn",
            json!({"protocol": "https", "domain": "", "authentication_type": "NONE"}),
            "OMS.0064",
            "source_cdn.domain",
        ),
        (
            "source_cdn",
            json!({
                "protocol": "https", "domain": "cdn.example.com", "authentication_type": "ALIYUN_OSS_A",
                "authentication_key": "x".repeat(256)
            }),
            "OMS.0064",
            "source_cdn.authentication_key",
        ),
        (
            "source_cdn",
            json!({"protocol": "ftp", "domain": "cdn.example.com", "authentication_type": "NONE"}),
            "OMS.0064",
            "source_cdn.protocol",
        ),
        (
            "source_cdn",
            json!({"protocol": "http", "domain": "d"}),
            "OMS.0074",
            "source_cdn.authentication_type",
        ),
        ("smnInfo/topicUrn", json!(""), "OMS.0064", "smnInfo.topicUrn"),
        ("smnInfo/language", json!("de"), "OMS.0064", "smnInfo.language"),
        (
            "smnInfo/triggerConditions",
            json!([]),
            "OMS.0064",
            "smnInfo.triggerConditions",
        ),
        (
            "smnInfo/triggerConditions",
            json!(["FAILURE"]),
            "OMS.0064",
            "smnInfo.triggerConditions[0]",
        ),
        (
            "bandwidth_policy/0/max_bandwidth",
            json!(4_999_999),
            "OMS.0084",
            "bandwidth_policy[0].max_bandwidth",
        ),
        (
            "bandwidth_policy/0/start",
            json!("25:00"),
            "OMS.0087",
            "bandwidth_policy[0].start",
        ),
        (
            "enable_failed_object_recording",
            json!("no"),
            "OMS.0002",
            "enable_failed_object_recording",
        ),
        (
            "enable_success_and_skip_recording",
            json!(1),
            "OMS.0002",
            "enable_success_and_skip_recording",
        ),
    ];
    for character in ["<", ">", "(", ")", "\"", "'", "&"] {
        cases.push((
            "description",
            json!(format!("a{character}b")),
            "OMS.0078",
            "description",
        ));
    }
    for (pointer, field) in [
        ("src_node/ak", "src_node.ak"),
        ("src_node/sk", "src_node.sk"),
        ("dst_node/ak", "dst_node.ak"),
        ("dst_node/sk", "dst_node.sk"),
    ] {
        cases.push((pointer, json!(""), "OMS.0064", field));
        cases.push((pointer, text(101), "OMS.0064", field));
        cases.push((pointer, json!(7), "OMS.0002", field));
    }
    for (pointer, field, most) in [
        ("src_node/region", "src_node.region", 64),
        ("dst_node/region", "dst_node.region", 64),
        ("src_node/bucket", "src_node.bucket", 63),
        ("dst_node/bucket", "dst_node.bucket", 63),
    ] {
        cases.push((pointer, json!(""), "OMS.0064", field));
        cases.push((pointer, text(most + 1), "OMS.0064", field));
    }
    let api = TestApi::new().await;
    let before = api.ledger.picture();
    for (pointer, value, code, wanted) in cases {
        let body = set(create_body(), pointer, value.clone());
        let message = api.post("/task", &body).await.refused(400, code);
        assert!(message.starts_with(wanted), "{pointer} {value}: {message}");
        assert_eq!(api.ledger.picture(), before, "{pointer} {value}");
    }
}

#[tokio::test]
async fn missing_required_fields_are_named() {
    let api = TestApi::new().await;
    let before = api.ledger.picture();
    for (pointer, field) in [
        ("src_node", "src_node"),
        ("dst_node", "dst_node"),
        ("enableKMS", "enableKMS"),
        ("thread_num", "thread_num"),
        ("src_node/region", "src_node.region"),
        ("src_node/ak", "src_node.ak"),
        ("src_node/sk", "src_node.sk"),
        ("src_node/bucket", "src_node.bucket"),
        ("dst_node/region", "dst_node.region"),
        ("dst_node/ak", "dst_node.ak"),
        ("dst_node/sk", "dst_node.sk"),
        ("dst_node/bucket", "dst_node.bucket"),
        ("smnInfo/topicUrn", "smnInfo.topicUrn"),
        ("smnInfo/triggerConditions", "smnInfo.triggerConditions"),
    ] {
        let message = api
            .post("/task", &without(create_body(), pointer))
            .await
            .refused(400, "OMS.0074");
        assert_eq!(message, format!("{field} is required"));
    }
    assert_eq!(api.ledger.picture(), before);
}

/// `create_body` with a manifest instead of the names.
fn list_body() -> Value {
    let body = without(create_body(), "src_node/object_key");
    let file = json!({"obs_bucket": "lists", "list_file_key": "dir/list.txt"});
    set(set(body, "src_node/list_file", file), "task_type", json!("list"))
}

/// The body of the reference for a manifest of URLs.
fn url_list_body() -> Value {
    let source = json!({
        "list_file": {"obs_bucket": "lists", "list_file_key": "urls.txt"}, "cloud_type": "URLSource"
    });
    set(
        set(create_body(), "src_node", source),
        "task_type",
        json!("url_list"),
    )
}

#[tokio::test]
async fn a_manifest_is_accepted_and_shown() {
    let api = TestApi::new().await;
    let id = api.post("/task", &list_body()).await.fine()["id"].clone();
    let file = Manifest {
        bucket: "lists".to_owned(),
        key: Key::from("dir/list.txt"),
    };
    let task = api.ledger.get(id.as_i64().unwrap()).unwrap();
    assert_eq!(task.spec.scope, Scope::List(file));
    let shown = api.get(&format!("/task/{id}")).await.fine();
    assert_eq!(shown["task_type"], "list");
    assert_eq!(
        shown["src_node"]["list_file"],
        list_body()["src_node"]["list_file"]
    );
    assert_eq!(shown["src_node"]["object_key"], json!([]));
}

#[tokio::test]
async fn a_manifest_of_urls_needs_no_source() {
    let api = TestApi::new().await;
    let created = api.post("/task", &url_list_body()).await.fine();
    let task = api.ledger.get(created["id"].as_i64().unwrap()).unwrap();
    assert!(matches!(task.spec.scope, Scope::Urls(_)));
    assert_eq!(task.spec.source.cloud, Cloud::UrlSource);
    assert!(
        created["task_name"]
            .as_str()
            .unwrap()
            .starts_with("URLSource-photos-copy-")
    );
    let shown = api.get(&format!("/task/{}", created["id"])).await.fine();
    assert_eq!(
        (&shown["task_type"], &shown["src_node"]["cloud_type"]),
        (&json!("url_list"), &json!("URLSource"))
    );
    assert_eq!(
        shown["src_node"]["list_file"],
        url_list_body()["src_node"]["list_file"]
    );
    // Fields that the reference does not need here are still accepted, because older clients send them.
    let with_keys = ["ak", "sk", "bucket", "region"]
        .iter()
        .fold(url_list_body(), |body, field| {
            set(body, &format!("src_node/{field}"), json!("needless"))
        });
    api.post("/task", &with_keys).await.fine();
}

#[tokio::test]
async fn a_manifest_is_refused_with_fields_that_do_not_fit() {
    let api = TestApi::new().await;
    let before = api.ledger.picture();
    let bad = |code, message, body| (body, code, message);
    let cdn = json!({"protocol": "https", "domain": "cdn.example.com", "authentication_type": "NONE"});
    let cases = [
        bad(
            "OMS.0074",
            "src_node.list_file is required",
            without(list_body(), "src_node/list_file"),
        ),
        bad(
            "OMS.0074",
            "src_node.list_file is required",
            without(url_list_body(), "src_node/list_file"),
        ),
        bad(
            "OMS.0074",
            "src_node.bucket is required",
            without(list_body(), "src_node/bucket"),
        ),
        bad(
            "OMS.0061",
            "src_node.object_key",
            set(list_body(), "src_node/object_key", json!("a")),
        ),
        bad(
            "OMS.0061",
            "src_node.object_key",
            set(url_list_body(), "src_node/object_key", json!("a")),
        ),
        bad(
            "OMS.0061",
            "src_node.cloud_type",
            without(url_list_body(), "src_node/cloud_type"),
        ),
        bad(
            "OMS.0061",
            "src_node.cloud_type",
            set(list_body(), "src_node/cloud_type", json!("URLSource")),
        ),
        bad(
            "OMS.0061",
            "src_node.endpoint",
            set(url_list_body(), "src_node/endpoint", json!("https://h")),
        ),
        bad("OMS.0061", "source_cdn", set(url_list_body(), "source_cdn", cdn)),
        bad(
            "OMS.0057",
            "src_node.list_file.obs_bucket",
            set(list_body(), "src_node/list_file/obs_bucket", json!("a/b")),
        ),
        bad(
            "OMS.0064",
            "src_node.list_file.list_file_key",
            set(list_body(), "src_node/list_file/list_file_key", json!("")),
        ),
    ];
    for (body, code, wanted) in cases {
        let message = api.post("/task", &body).await.refused(400, code);
        assert!(message.starts_with(wanted), "{message} for {body}");
    }
    assert_eq!(api.ledger.picture(), before);
}

#[tokio::test]
async fn a_cdn_is_accepted_and_shown_without_its_key() {
    let api = TestApi::new().await;
    for kind in [
        "NONE",
        "QINIU_PRIVATE_AUTHENTICATION",
        "ALIYUN_OSS_C",
        "KSYUN_PRIVATE_AUTHENTICATION",
    ] {
        let cdn = json!({
            "protocol": "https", "domain": "cdn.example.com:8443", "authentication_type": kind,
            "authentication_key": "canary"
        });
        let id = api
            .post("/task", &set(create_body(), "source_cdn", cdn))
            .await
            .fine()["id"]
            .clone();
        let shown = api.get(&format!("/task/{id}")).await;
        assert!(!shown.text.contains("canary"));
        let wanted =
            json!({"protocol": "https", "domain": "cdn.example.com:8443", "authentication_type": kind});
        assert_eq!(shown.fine()["source_cdn"], wanted);
    }
}
