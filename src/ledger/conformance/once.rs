//! Creations with an idempotency key.

use super::subject::{Subject, at, fresh, holder, new_task};
use crate::error::ErrorKind;
use crate::ledger::once::KEY_LIFETIME;
use crate::ledger::{CreatedOnce, Ledger, NewTask, RequestKey, TaskFilter};
use crate::task::{ProjectId, TaskId, UnixMillis};

pub(super) async fn all(store: &dyn Ledger) {
    a_key_creates_one_task(store).await;
    another_request_with_the_same_key_is_refused(store).await;
    a_key_belongs_to_its_project(store).await;
    a_key_outlives_its_task_for_a_day(store).await;
    an_id_conflict_does_not_use_the_key(store).await;
    of_many_at_once_one_creates(store).await;
}

fn request(key: &str, fingerprint: u8) -> RequestKey {
    RequestKey {
        key: key.to_owned(),
        fingerprint: [fingerprint; 32],
    }
}

fn project() -> ProjectId {
    format!("once-{}", fresh()).parse().unwrap()
}

fn new(project: &ProjectId) -> NewTask {
    new_task(project, TaskId::new(fresh()).unwrap())
}

async fn count(store: &dyn Ledger, project: &ProjectId) -> i64 {
    let filter = TaskFilter {
        project: project.clone(),
        states: Vec::new(),
    };
    store.count(&filter).await.unwrap()
}

/// Sends a creation. Returns whether it created the task, and the id of the task.
async fn create(
    store: &dyn Ledger,
    project: &ProjectId,
    request: &RequestKey,
    now: UnixMillis,
) -> (bool, TaskId) {
    match store.create_once(new(project), request, now).await.unwrap() {
        CreatedOnce::Now(task) => (true, task.id),
        CreatedOnce::Before { id, name } => {
            assert_eq!(name, format!("task-{id}"));
            (false, id)
        }
        CreatedOnce::OtherRequest => panic!("another request"),
    }
}

async fn a_key_creates_one_task(store: &dyn Ledger) {
    let project = project();
    let (made, id) = create(store, &project, &request("a", 1), at(1_000)).await;
    assert!(made);
    let task = store.task(&project, id).await.unwrap().unwrap();
    assert_eq!((task.created_at, task.name), (at(1_000), format!("task-{id}")));
    assert!(store.lease_task(id, holder(), at(1_500)).await.unwrap().is_some());
    for later in [1_000, 2_000, 1_000 + KEY_LIFETIME - 1] {
        assert_eq!(
            create(store, &project, &request("a", 1), at(later)).await,
            (false, id)
        );
    }
    // Keys are case-sensitive. Another key is another request, even with the same content.
    for other in ["A", "a ", "b"] {
        assert!(
            create(store, &project, &request(other, 1), at(2_000)).await.0,
            "{other}"
        );
    }
    assert_eq!(count(store, &project).await, 4);
}

async fn another_request_with_the_same_key_is_refused(store: &dyn Ledger) {
    let project = project();
    let (_, id) = create(store, &project, &request("a", 1), at(1_000)).await;
    let before = async |fingerprint: u8, now: i64| {
        let request = request("a", fingerprint);
        store.created_before(&project, &request, at(now)).await.unwrap()
    };
    assert!(matches!(before(1, 2_000).await, Some(CreatedOnce::Before { id: same, .. }) if same == id));
    assert!(matches!(before(2, 2_000).await, Some(CreatedOnce::OtherRequest)));
    assert!(before(1, 1_000 + KEY_LIFETIME).await.is_none());
    let other = store
        .create_once(new(&project), &request("a", 2), at(2_000))
        .await
        .unwrap();
    assert!(matches!(other, CreatedOnce::OtherRequest), "{other:?}");
    assert_eq!(
        create(store, &project, &request("a", 1), at(3_000)).await,
        (false, id)
    );
    assert_eq!(count(store, &project).await, 1);
}

async fn a_key_belongs_to_its_project(store: &dyn Ledger) {
    let (mine, yours) = (project(), project());
    let (_, id) = create(store, &mine, &request("a", 1), at(1_000)).await;
    let (made, other) = create(store, &yours, &request("a", 2), at(1_000)).await;
    assert!(made && other != id);
    assert_eq!(
        create(store, &mine, &request("a", 1), at(1_000)).await,
        (false, id)
    );
}

async fn a_key_outlives_its_task_for_a_day(store: &dyn Ledger) {
    let project = project();
    let (_, id) = create(store, &project, &request("a", 1), at(1_000)).await;
    store
        .delete(&project, id, None, at(2_000))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        create(store, &project, &request("a", 1), at(3_000)).await,
        (false, id)
    );
    assert_eq!(count(store, &project).await, 0);
    // A day later the key can be used again, even for another request.
    let (made, next) = create(store, &project, &request("a", 2), at(1_000 + KEY_LIFETIME)).await;
    assert!(made && next != id);
    // The key is still known if the clock goes back.
    assert_eq!(
        create(store, &project, &request("a", 2), at(5)).await,
        (false, next)
    );
}

async fn an_id_conflict_does_not_use_the_key(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let taken = new_task(&subject.project, subject.id);
    let error = store
        .create_once(taken, &request("a", 1), at(1_000))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        create(store, &subject.project, &request("a", 2), at(1_000))
            .await
            .0
    );
}

async fn of_many_at_once_one_creates(store: &dyn Ledger) {
    let project = project();
    let key = request("a", 1);
    let all = (0..64).map(|_| create(store, &project, &key, at(1_000)));
    let found = futures_util::future::join_all(all).await;
    assert_eq!(found.iter().filter(|(made, _)| *made).count(), 1);
    let id = found[0].1;
    assert!(found.iter().all(|(_, same)| *same == id), "{found:?}");
    assert_eq!(count(store, &project).await, 1);
}
