//! A SeaweedFS server as the target of keys that it stores under other names, and of metadata that stores sign differently.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use oms::net::{HttpClient, NetworkPolicy};
use oms::object::s3::{S3Options, S3Store};
use oms::object::{ByteRange, NewObject, ObjectStore as _, WriteIf};
use oms::sandbox::{Sandbox, SandboxObject, SandboxOptions};
use oms::secret::{Credentials, Secret};
use oms::task::Key;
use oms::task::spec::{Addressing, Endpoint, EndpointOrigin};
use serde_json::{Value, json};

use super::seaweed::{LIMIT, empty_bucket, order};
use crate::support::binary::Home;
use crate::support::service::{FAILED, SUCCEEDED};
use crate::support::tools::{Need, require};
use crate::support::weed::Weed;

const SOURCE: &str = "source-bucket";
const TARGET: &str = "target-bucket";

fn client(weed: &Weed, bucket: &str) -> S3Store {
    let endpoint = Endpoint {
        url: weed.url.clone(),
        addressing: Addressing::Path,
        origin: EndpointOrigin::Request,
    };
    let keys = Credentials {
        access_key: Secret::new(weed.access_key.clone()),
        secret_key: Secret::new(weed.secret_key.clone()),
    };
    let http = HttpClient::new(NetworkPolicy::new(vec!["127.0.0.0/8".parse().unwrap()]));
    S3Store::new(S3Options::new(
        endpoint,
        "us-east-1".into(),
        bucket.into(),
        keys,
        http,
    ))
    .unwrap()
}

async fn read(store: &S3Store, key: &str) -> Option<Bytes> {
    let object = store.get(&Key::from(key), ByteRange::Whole, None).await.ok()?;
    Some(object.body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn keys_that_seaweed_folds_into_one_name_fail_and_overwrite_nothing() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    let target = Weed::start(&tools, "target").await;
    empty_bucket(&tools, &target).await;
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let keys = [
        "a/b", "a//b", "x", "x/y", "c/./d", "c/d", "/lead", "lead", "e/../f", "f", "plain", "g//", "g/h",
    ];
    for key in keys {
        sandbox.put(SOURCE, key, SandboxObject::new(format!("bytes of {key}")));
    }
    let mut body = order(&target, &target);
    body["src_node"]["endpoint"] = sandbox.endpoint().into();
    body["src_node"]["ak"] = sandbox.access_key().into();
    body["src_node"]["sk"] = sandbox.secret_key().into();

    let home = Home::new();
    let mut serve = home.serve().await;
    let mut caller = serve.caller(&home.token());
    caller.timeout = LIMIT;
    let task = caller.create(&body).await;
    let ended = caller
        .wait(task, "its end", |task| task["status"].as_i64() >= Some(FAILED))
        .await;
    let path = format!("/task/{task}/failures");
    let failures = caller.call(reqwest::Method::GET, &path, None).await.fine();
    let failed: Vec<&str> = failures["failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| failure["key"].as_str().unwrap())
        .collect();
    for key in ["a//b", "/lead"] {
        assert!(failed.contains(&key), "{failures:#}");
    }
    assert_eq!(ended["status"], json!(FAILED), "{ended:#}");
    let there = client(&target, TARGET);
    for key in keys.iter().filter(|key| !failed.contains(key)) {
        let found = read(&there, key).await;
        assert_eq!(
            found,
            Some(Bytes::from(format!("bytes of {key}"))),
            "{key} {failures:#}"
        );
    }
    assert!(serve.terminate().await.0.success());
}

#[tokio::test]
async fn metadata_with_any_white_space_is_copied_between_seaweed_servers() {
    let Some(tools) = require(&[Need::Python]) else {
        return;
    };
    let (source, target) = tokio::join!(Weed::start(&tools, "source"), Weed::start(&tools, "target"));
    for weed in [&source, &target] {
        empty_bucket(&tools, weed).await;
    }
    let from = client(&source, TARGET);
    let values = [
        "annual report",
        "annual  report",
        "annual\treport",
        "annual \t report",
        "annual\u{a0}report",
        "annual\u{2003}report",
        "gr\u{fc}n",
    ];
    let mut stored = Vec::new();
    for (n, value) in values.iter().enumerate() {
        let mut new = NewObject::default();
        let header = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        new.carried.0.insert("x-amz-meta-d", header);
        for tries in 1.. {
            let bytes = Full::new(Bytes::from_static(b"x"))
                .map_err(|never| match never {})
                .boxed_unsync();
            let key = Key::from(format!("k{n}").as_str());
            match from.put(&key, &new, 1, None, &WriteIf::Always, bytes).await {
                Ok(_) => stored.push(n),
                Err(error) if error.is_retryable() && tries < 5 => continue,
                Err(error) => eprintln!("SeaweedFS refuses {value:?}: {error}"),
            }
            break;
        }
    }
    assert!(stored.len() >= 3, "{stored:?}");
    let mut body = order(&source, &target);
    body["src_node"]["bucket"] = TARGET.into();
    let home = Home::new();
    let mut serve = home.serve().await;
    let mut caller = serve.caller(&home.token());
    caller.timeout = LIMIT;
    let task = caller.create(&body).await;
    let ended: Value = caller.wait_until_succeeded(task).await;
    assert_eq!(ended["status"], json!(SUCCEEDED));
    assert_eq!(ended["success_num"], json!(stored.len()), "{ended:#}");
    let there = client(&target, TARGET);
    for n in stored {
        let key = Key::from(format!("k{n}").as_str());
        let (a, b) = (
            from.head(&key, None).await.unwrap(),
            there.head(&key, None).await.unwrap(),
        );
        assert_eq!(
            a.carried.0.get("x-amz-meta-d"),
            b.carried.0.get("x-amz-meta-d"),
            "{:?}",
            values[n]
        );
    }
    assert!(serve.terminate().await.0.success());
}
