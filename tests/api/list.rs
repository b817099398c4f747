//! Lists of tasks and failures, the number of tasks, quotas and versions.

use oms::task::{State, Task, TaskId};
use serde_json::{Value, json};

use super::{ID, failed, path};
use crate::support::api::{PROJECT, TestApi, send};
use crate::support::ledger;

/// One task per state, and one of another project.
async fn with_all_states() -> TestApi {
    let api = TestApi::new().await;
    for (number, &state) in (1..).zip(State::ALL) {
        api.ledger.put(Task {
            state,
            id: TaskId::new(number).unwrap(),
            ..ledger::task(number, PROJECT)
        });
    }
    api.ledger.put(ledger::task(99, "somebody-else"));
    api
}

fn ids(list: &Value) -> Vec<i64> {
    let tasks = list.as_array().unwrap();
    tasks.iter().map(|task| task["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn tasks_are_listed_as_a_plain_array_newest_first_in_pages() {
    let api = with_all_states().await;
    assert_eq!(
        ids(&api.get("/task?start=0&limit=100").await.fine()),
        [6, 5, 4, 3, 2, 1]
    );
    assert_eq!(ids(&api.get("/task?start=4&limit=1").await.fine()), [2]);
    assert_eq!(
        api.get("/task?start=999999999999999&limit=1").await.fine(),
        json!([])
    );
}

#[tokio::test]
async fn tasks_are_filtered_and_counted_by_the_numbers_of_v1() {
    let api = with_all_states().await;
    let numbers = [(0, 0), (1, 1), (2, 2), (3, 1), (4, 1), (5, 1)];
    for (state, wanted) in numbers {
        let list = api
            .get(&format!("/task?start=0&limit=10&state={state}"))
            .await
            .fine();
        assert_eq!(list.as_array().unwrap().len(), wanted);
        assert!(
            list.as_array()
                .unwrap()
                .iter()
                .all(|task| task["status"] == state)
        );
        let count = api.get(&format!("/tasks/count?state={state}")).await.fine();
        assert_eq!(count, json!({"taskcount": wanted}), "{state}");
        let count = api
            .get(&format!("/task?totalcount=true&state={state}"))
            .await
            .fine();
        assert_eq!(count, json!({"taskcount": wanted}));
    }
    assert_eq!(
        api.get("/task?totalcount=true").await.fine(),
        json!({"taskcount": 6})
    );
    assert_eq!(
        api.get("/task?totalcount=true&start=0&limit=1").await.fine(),
        json!({"taskcount": 6})
    );
}

#[tokio::test]
async fn bad_queries_are_refused_with_the_parameter() {
    let api = with_all_states().await;
    for (query, code, wanted) in [
        (
            "",
            "OMS.0051",
            "start and limit are required, for example ?start=0&limit=100",
        ),
        (
            "?start=0",
            "OMS.0051",
            "limit is required, for example ?start=0&limit=100",
        ),
        (
            "?limit=1",
            "OMS.0051",
            "start is required, for example ?start=0&limit=100",
        ),
        ("?start=0&limit=0", "OMS.0051", "limit must be"),
        ("?start=0&limit=101", "OMS.0051", "limit must be"),
        ("?start=-1&limit=1", "OMS.0051", "start must be"),
        ("?start=x&limit=1", "OMS.0051", "start must be"),
        ("?start=&limit=1", "OMS.0051", "start must be"),
        ("?start=99999999999999999999&limit=1", "OMS.0051", "start must be"),
        ("?start=0&limit=1&state=6", "OMS.0052", "state must be"),
        ("?start=0&limit=1&state=9", "OMS.0052", "state must be"),
        ("?start=0&limit=1&state=-1", "OMS.0052", "state must be"),
        ("?start=0&limit=1&state=running", "OMS.0052", "state must be"),
        ("?start=0&start=0&limit=1", "OMS.0051", "start is given twice"),
        ("?start=0&limit=1&limit=2", "OMS.0051", "limit is given twice"),
        (
            "?totalcount=true&state=1&state=1",
            "OMS.0052",
            "state is given twice",
        ),
        (
            "?totalcount=true&totalcount=true",
            "OMS.0064",
            "totalcount is given twice",
        ),
        ("?totalcount=yes", "OMS.0064", "totalcount must be"),
        ("?totalcount=true&limit=0", "OMS.0051", "limit must be"),
        ("?start=0&limit=1&offset=1", "OMS.0074", "a query parameter"),
    ] {
        let message = api.get(&format!("/task{query}")).await.refused(400, code);
        assert!(message.starts_with(wanted), "{query}: {message}");
    }
    for other in ["/version?x=1", "/quotas?x=1", "/task/1?x=1"] {
        api.get(other).await.refused(400, "OMS.0074");
    }
}

#[tokio::test]
async fn failures_are_paged_by_an_opaque_cursor() {
    let api = TestApi::new().await;
    api.ledger.put(failed());
    for key in ["a", "b/ä &?", "c"] {
        api.ledger.put_failure(key);
    }
    let first = api.get(&format!("{}/failures?limit=2", path())).await.fine();
    assert_eq!(first["failures"][1]["key"], "b/ä &?");
    assert_eq!(first["failures"][0]["request_id"], "r-1");
    let next = first["next"].as_str().unwrap();
    let second = api
        .get(&format!("{}/failures?limit=2&after={next}", path()))
        .await
        .fine();
    assert_eq!(second["failures"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&second["failures"][0]["key"], &second["next"]),
        (&json!("c"), &Value::Null)
    );
    for (query, code) in [
        ("limit=0", "OMS.0051"),
        ("limit=1001", "OMS.0051"),
        ("after=%00", "OMS.0064"),
        ("after=", "OMS.0064"),
        ("after=YQ&after=YQ", "OMS.0064"),
        ("start=0", "OMS.0074"),
    ] {
        api.get(&format!("{}/failures?{query}", path()))
            .await
            .refused(400, code);
    }
    api.get(&format!("/task/{}/failures", ID + 1))
        .await
        .refused(400, "OMS.0053");
}

#[tokio::test]
async fn quotas_and_versions_have_the_shapes_of_the_reference() {
    let api = TestApi::new().await;
    let quotas = send(api.request(reqwest::Method::GET, "/v1/any-domain/objectstorage/quotas"))
        .await
        .fine();
    assert_eq!(
        quotas,
        json!({"quotas": {"resource": {"type": "MaxParallelTaskNum", "quota": 5}}})
    );
    let versions = api.get("/version").await.fine();
    assert_eq!(versions["versions"][0]["id"], "v1");
    for field in ["links", "min_version", "status", "updated", "version"] {
        assert!(versions["versions"][0].get(field).is_some(), "{field}");
    }
}
