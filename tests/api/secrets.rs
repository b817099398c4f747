//! No error response repeats a value of the request that may be a secret, whatever is wrong with the request.

use oms::task::State;
use serde_json::{Value, json};

use super::{create_body, path, start_body, with};

const CANARY: &str = "CANARY-4c1d";

/// Every body that differs from `body` in one value. That value is replaced by a canary in one of many forms.
fn mutated(body: &Value) -> Vec<Value> {
    let shapes = |value: &Value| {
        let mut shapes = vec![
            json!(CANARY),
            json!([CANARY]),
            json!({CANARY: CANARY}),
            json!({"keys": [CANARY, 7]}),
            json!(CANARY.repeat(200)),
            json!(format!("{CANARY}<\n")),
            json!({"x": CANARY}),
        ];
        // The same object with an additional unknown field that has a canary.
        if let Value::Object(fields) = value {
            let mut fields = fields.clone();
            fields.insert("surplus".to_owned(), json!(CANARY));
            shapes.push(Value::Object(fields));
        }
        shapes
    };
    let mut all = shapes(body);
    match body {
        Value::Object(fields) => {
            for (name, value) in fields {
                for shape in mutated(value) {
                    let mut changed = fields.clone();
                    changed.insert(name.clone(), shape);
                    all.push(Value::Object(changed));
                }
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                for shape in mutated(value) {
                    let mut changed = items.clone();
                    changed[index] = shape;
                    all.push(Value::Array(changed));
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

/// Replaces every credential in the body with a canary, so that errors of other fields are covered too.
fn with_secret_keys(mut body: Value) -> Value {
    for pointer in ["/src_node/ak", "/src_node/sk", "/dst_node/ak", "/dst_node/sk"] {
        if let Some(place) = body.pointer_mut(pointer) {
            *place = json!(CANARY);
        }
    }
    for name in [
        "source_ak",
        "source_sk",
        "target_ak",
        "target_sk",
        "source_cdn_authentication_key",
    ] {
        if body.get(name).is_some() {
            body[name] = json!(CANARY);
        }
    }
    body
}

#[tokio::test]
async fn refusals_never_repeat_a_value() {
    let api = with(State::Succeeded).await;
    let bandwidth = json!({
        "operation": "change_bandwidthpolicy",
        "bandwidth_policy": [{"start": "00:00", "end": "01:00", "max_bandwidth": 5_000_000}]
    });
    let mut refused = 0;
    for body in [start_body(), bandwidth, json!({"operation": "stop"})] {
        for body in mutated(&with_secret_keys(body)) {
            let reply = api.put(&path(), &body).await;
            reply.refused(400, reply.json()["error_code"].as_str().unwrap());
            assert!(!reply.text.contains("CANARY"), "{body} {reply:?}");
            refused += 1;
        }
    }
    let keys = json!({"target_ak": CANARY, "target_sk": CANARY});
    for body in mutated(&keys) {
        let reply = api.delete_with(&path(), &body).await;
        // Some changed bodies are still valid. A deletion with other credentials deletes the task.
        assert!([200, 400].contains(&reply.status.as_u16()), "{body} {reply:?}");
        assert!(!reply.text.contains("CANARY"), "{body} {reply:?}");
        refused += 1;
    }
    for body in mutated(&with_secret_keys(create_body())) {
        let reply = api.post("/task", &body).await;
        // The error for an unknown region names the region, because regions are public.
        let region = body.pointer("/src_node/region").is_some_and(|r| r == CANARY)
            || body.pointer("/dst_node/region").is_some_and(|r| r == CANARY);
        let fine = reply.status.as_u16() == 200;
        assert!(
            fine || region || !reply.text.contains("CANARY"),
            "{body} {reply:?}"
        );
        refused += i32::from(!fine);
    }
    assert!(refused > 300, "{refused}");
    // Created tasks show names of buckets and objects, never credentials.
    let shown = api.get("/task?start=0&limit=100").await.fine();
    for task in shown.as_array().unwrap() {
        for node in ["src_node", "dst_node"] {
            assert!(task[node].get("ak").is_none() && task[node].get("sk").is_none());
        }
    }
}

#[tokio::test]
async fn broken_json_and_queries_are_not_repeated() {
    let api = with(State::Paused).await;
    for body in [
        format!("{{\"operation\":\"start\",\"source_sk\":\"{CANARY}"),
        CANARY.to_owned(),
        format!("{{\"{CANARY}\":1,\"{CANARY}\":2}}"),
        format!("{{\"operation\":\"{CANARY}\"}}"),
    ] {
        let reply = api.put_raw(&path(), body).await;
        assert_eq!(reply.status.as_u16(), 400);
        assert!(!reply.text.contains("CANARY"), "{reply:?}");
    }
    for query in ["start", "state", "totalcount", "unknown"] {
        let reply = api.get(&format!("/task?{query}={CANARY}&limit=1")).await;
        assert_eq!(reply.status.as_u16(), 400);
        assert!(!reply.text.contains("CANARY"), "{reply:?}");
    }
}
