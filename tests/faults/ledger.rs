//! A ledger that refuses a write in the middle of an object. Neither the object nor the target is blamed for it.

use std::time::Duration;

use oms::sandbox::Operation;
use oms::task::State;

use super::matrix::row::fill;
use crate::support::checker::{History, check, failures};
use crate::support::rig::{Rig, Stores};
use crate::support::rows;

#[tokio::test]
async fn a_ledger_error_at_an_upload_causes_no_failure_and_names_no_store() {
    let stores = Stores::small().await;
    fill(&stores);
    let history = History::of(&stores);
    let rig = Rig::quick().await;
    let mut connection = rows::connection(&rig).await;
    sqlx::query("CREATE TRIGGER full BEFORE INSERT ON uploads BEGIN SELECT RAISE(ABORT, 'full'); END")
        .execute(&mut connection)
        .await
        .unwrap();
    let id = rig.create(stores.order()).await;
    rig.wait(id, |task| {
        task.state == State::Running && !stores.arrived().is_empty()
    })
    .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let task = rig.task(id).await;
    assert_eq!(
        (task.state, failures(&rig, id).await),
        (State::Running, vec![]),
        "{task:#?}"
    );
    let begun = stores.target.requests_count(Operation::CreateUpload);
    assert_eq!(begun, 0, "an upload was begun that the ledger does not know");

    sqlx::query("DROP TRIGGER full")
        .execute(&mut connection)
        .await
        .unwrap();
    rig.end(id).await;
    let task = check(&stores, &rig, id, &history).await;
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
    rig.shut_down().await;
}
