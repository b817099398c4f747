//! `DELETE …/task/{task_id}`.

use oms::task::State;

use super::{ID, path, with};

#[tokio::test]
async fn what_does_not_run_is_deleted_with_204() {
    for state in [State::Waiting, State::Paused, State::Failed, State::Succeeded] {
        let api = with(state).await;
        let reply = api.delete(&path()).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (204, ""));
        assert!(api.ledger.get(ID).is_none());
        api.delete(&path()).await.refused(400, "OMS.0053");
    }
}

#[tokio::test]
async fn what_runs_stays() {
    for state in [State::Running, State::Pausing] {
        let api = with(state).await;
        api.delete(&path()).await.refused(400, "OMS.0063");
        assert!(api.ledger.get(ID).is_some());
    }
}
