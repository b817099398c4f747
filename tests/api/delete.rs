//! `DELETE …/task/{task_id}`.

use oms::secret::{KEY_LEN, Sealer};
use oms::task::State;
use reqwest::Method;
use serde_json::{Value, json};

use super::{ID, path, with};
use crate::support::api::{PROJECT, Reply, TestApi, send};

fn keys() -> Value {
    json!({"target_ak": "AK", "target_sk": "SK"})
}

/// A DELETE with this body and at most one `Content-Type`.
async fn raw(api: &TestApi, kind: Option<&str>, body: impl Into<reqwest::Body>) -> Reply {
    let request = api.request(Method::DELETE, &format!("/v1/{PROJECT}/objectstorage{}", path()));
    let request = kind
        .into_iter()
        .fold(request, |r, kind| r.header("Content-Type", kind));
    send(request.body(body)).await
}

#[tokio::test]
async fn a_task_that_is_not_running_is_deleted_with_200_and_no_body() {
    for state in [State::Waiting, State::Paused, State::Failed, State::Succeeded] {
        let api = with(state).await;
        let reply = api.delete(&path()).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
        assert!(api.ledger.get(ID).is_none());
        api.delete(&path()).await.refused(400, "OMS.0053");
    }
}

#[tokio::test]
async fn a_running_task_is_not_deleted() {
    for state in [State::Running, State::Pausing] {
        let api = with(state).await;
        api.delete(&path()).await.refused(400, "OMS.0063");
        assert!(api.ledger.get(ID).is_some());
    }
}

#[tokio::test]
async fn target_credentials_may_be_sent() {
    let api = with(State::Paused).await;
    let reply = raw(&api, Some("application/json"), keys().to_string()).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""));
    let sealed = api.ledger.left_with().unwrap();
    let opened = Sealer::new(&[7; KEY_LEN]).open(ID, &sealed).unwrap();
    assert_eq!(opened.target.access_key.expose(), "AK");
    assert_eq!(opened.target.secret_key.expose(), "SK");
    assert_eq!(opened.source.secret_key.expose(), "");
}

#[tokio::test]
async fn no_body_is_accepted_with_any_content_type() {
    for kind in [None, Some("application/json"), Some("text/plain")] {
        let api = with(State::Paused).await;
        let reply = raw(&api, kind, "").await;
        assert_eq!(reply.status.as_u16(), 200, "{kind:?}");
        assert!(api.ledger.left_with().is_none());
    }
}

/// Generated clients send different bodies: some nothing, some `null`, some an empty object.
#[tokio::test]
async fn null_and_an_empty_object_mean_no_body() {
    for body in ["null", "{}", " null\n", "\r\n{ }"] {
        let api = with(State::Paused).await;
        let reply = raw(&api, Some("application/json;charset=UTF8"), body).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, ""), "{body}");
        assert!(api.ledger.get(ID).is_none() && api.ledger.left_with().is_none());
    }
}

#[tokio::test]
async fn a_wrong_body_names_the_field_and_deletes_nothing() {
    let long = "x".repeat(101);
    let cases = [
        (json!({"target_ak": "AK"}), "OMS.0074", "target_sk is required"),
        (json!({"target_sk": "SK"}), "OMS.0074", "target_ak is required"),
        (
            json!({"target_ak": "", "target_sk": "SK"}),
            "OMS.0064",
            "target_ak must have 1 to 100 characters",
        ),
        (
            json!({"target_ak": "AK", "target_sk": long}),
            "OMS.0064",
            "target_sk must have 1 to 100 characters",
        ),
        (
            json!({"target_ak": "AK", "target_sk": null}),
            "OMS.0002",
            "target_sk must be a string",
        ),
        (
            json!({"target_ak": "AK", "target_sk": "SK", "source_ak": "AK"}),
            "OMS.0074",
            "source_ak is not a known field",
        ),
        (json!([]), "OMS.0002", "the body must be an object"),
        (json!(["AK", "SK"]), "OMS.0002", "the body must be an object"),
        (json!(""), "OMS.0002", "the body must be an object"),
        (json!(false), "OMS.0002", "the body must be an object"),
    ];
    let api = with(State::Paused).await;
    for (body, code, message) in cases {
        let reply = raw(&api, Some("application/json"), body.to_string()).await;
        assert_eq!(reply.refused(400, code), message, "{body}");
    }
    raw(&api, Some("application/json"), "{")
        .await
        .refused(400, "OMS.0067");
    raw(&api, Some("text/plain"), keys().to_string())
        .await
        .refused(415, "OMS.0004");
    raw(&api, Some("application/json"), " ".repeat(1_048_577))
        .await
        .refused(413, "OMS.0004");
    assert!(api.ledger.get(ID).is_some() && api.ledger.left_with().is_none());
}
