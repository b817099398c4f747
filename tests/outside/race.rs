//! Many concurrent callers.

use futures_util::future::join_all;
use oms::sandbox::{Fault, FaultRule, Operation};
use reqwest::Method;
use serde_json::json;

use crate::support::rig::Stores;
use crate::support::service::{Service, create_body, fill, start_body};

#[tokio::test]
async fn of_64_concurrent_starts_exactly_one_succeeds() {
    let stores = Stores::new().await;
    fill(&stores, 20);
    let refused = Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    };
    stores
        .source
        .faults()
        .add(FaultRule::new(Operation::ListObjects, refused));
    let service = Service::start().await;
    let task = service.caller.create(&create_body(&stores)).await;
    service
        .caller
        .wait(task, "fail", |task| task["status"] == 4)
        .await;
    stores.source.faults().clear();

    let path = format!("/task/{task}");
    let body = start_body(&stores);
    let replies = join_all((0..64).map(|_| service.caller.call(Method::PUT, &path, Some(&body)))).await;
    let won = replies.iter().filter(|reply| reply.status == 200).count();
    let lost = replies.iter().filter(|reply| {
        // The task may have ended before the last call is handled.
        reply.status == 400 && [json!("OMS.0065"), json!("OMS.0070")].contains(&reply.json()["error_code"])
    });
    assert_eq!((won, lost.count()), (1, 63), "{replies:?}");
    service.caller.wait_until_succeeded(task).await;
    stores.assert_same();
    service.stop().await;
}
