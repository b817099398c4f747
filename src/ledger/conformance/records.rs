//! Tasks, failures and uploads as records: they are written, read and paged, and those of different tasks are separate.

use std::collections::BTreeMap;

use super::subject::{ME, Subject, at, counters, failure, fresh, holder, new_task};
use crate::error::ErrorKind;
use crate::ledger::{Commit, Committed, Control, Failure, Ledger, OpenUpload, Refusal, TaskFilter, Writer};
use crate::object::ETag;
use crate::task::{
    BandwidthPolicy, BandwidthWindow, Counters, Estimate, FailedReport, Key, PassKind, ProjectId, Rejection,
    ReportProblem, State, TaskId,
};

pub(super) async fn all(store: &dyn Ledger) {
    a_created_task_is_read_back(store).await;
    an_id_is_taken_once(store).await;
    projects_do_not_see_each_other(store).await;
    lists_are_filtered_and_paged_newest_first(store).await;
    bandwidth_is_replaced_until_the_end(store).await;
    the_estimate_is_stored(store).await;
    the_failed_report_is_stored_only_by_the_holder_of_the_lease(store).await;
    failures_are_read_in_byte_order(store).await;
    thousands_of_failures_fit_one_commit(store).await;
    uploads_are_kept_by_key(store).await;
    store.ping().await.unwrap();
}

async fn a_created_task_is_read_back(store: &dyn Ledger) {
    let project: ProjectId = format!("create-{}", fresh()).parse().unwrap();
    let new = new_task(&project, TaskId::new(fresh()).unwrap());
    let created = store.create(new.clone(), at(77)).await.unwrap();
    let read = store.task(&project, new.id).await.unwrap().unwrap();
    assert_eq!(format!("{created:?}"), format!("{read:?}"));
    assert_eq!((read.spec, read.bandwidth), (new.spec, new.bandwidth));
    assert_eq!(
        (read.state, read.created_at, read.name),
        (State::Waiting, at(77), new.name)
    );
    assert_eq!(
        (read.counters, read.survey),
        (Counters::default(), Estimate::default())
    );
    assert!(read.reason.is_none() && read.pass.is_none() && read.started_at.is_none());
    let pending = store.pending(None, ME, at(2_000)).await.unwrap();
    assert!(
        pending
            .iter()
            .any(|task| task.id == new.id && task.project == new.project)
    );
}

async fn an_id_is_taken_once(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let other: ProjectId = "somebody-else".parse().unwrap();
    for project in [&subject.project, &other] {
        let twice = store.create(new_task(project, subject.id), at(1)).await;
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert_eq!(subject.task().await.created_at, at(1_000));
}

async fn projects_do_not_see_each_other(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let other_project = Subject {
        store,
        project: "other-project".parse().unwrap(),
        id: subject.id,
    };
    assert!(
        store
            .task(&other_project.project, subject.id)
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(other_project.stop().await, Err(Refusal::Unknown));
    assert_eq!(
        other_project.start(crate::task::StartMode::Full).await,
        Err(Refusal::Unknown)
    );
    assert_eq!(other_project.delete(None).await, Err(Refusal::Unknown));
    let change = store
        .set_bandwidth(&other_project.project, subject.id, BandwidthPolicy::default())
        .await;
    assert_eq!(change.unwrap(), Err(Refusal::Unknown));
    assert_eq!(subject.state().await, State::Waiting);
}

async fn lists_are_filtered_and_paged_newest_first(store: &dyn Ledger) {
    let project: ProjectId = format!("list-{}", fresh()).parse().unwrap();
    let mut ids: Vec<TaskId> = (0..5).map(|_| TaskId::new(fresh()).unwrap()).collect();
    for id in &ids {
        store.create(new_task(&project, *id), at(1)).await.unwrap();
    }
    store.stop(&project, ids[1], at(2)).await.unwrap().unwrap();
    store.lease_task(ids[3], holder(), at(2)).await.unwrap().unwrap();
    ids.reverse();
    let list = |states: &[State], offset, limit| {
        let filter = TaskFilter {
            project: project.clone(),
            states: states.to_vec(),
        };
        async move {
            let tasks = store.tasks(&filter, offset, limit).await.unwrap();
            let count = store.count(&filter).await.unwrap();
            (tasks.iter().map(|task| task.id).collect::<Vec<_>>(), count)
        }
    };
    assert_eq!(list(&[], 0, 100).await, (ids.clone(), 5));
    assert_eq!(list(&[], 1, 2).await, (ids[1..3].to_vec(), 5));
    assert_eq!(list(&[], 5, 2).await, (vec![], 5));
    assert_eq!(list(&[], 0, 0).await, (vec![], 5));
    let chosen = [State::Running, State::Paused];
    assert_eq!(list(&chosen, 0, 100).await, (vec![ids[1], ids[3]], 2));
    assert_eq!(list(&chosen, 1, 1).await, (vec![ids[3]], 2));
    assert_eq!(list(&[State::Succeeded], 0, 100).await, (vec![], 0));
}

async fn bandwidth_is_replaced_until_the_end(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let policy = |max_bytes_per_second| {
        BandwidthPolicy::new(vec![BandwidthWindow {
            start: 60,
            end: 59,
            max_bytes_per_second,
        }])
        .unwrap()
    };
    let set = |limit| store.set_bandwidth(&subject.project, subject.id, policy(limit));
    assert_eq!(set(u64::MAX).await.unwrap(), Ok(()));
    assert_eq!(subject.task().await.bandwidth, policy(u64::MAX));
    subject.lease().await;
    assert_eq!(set(5).await.unwrap(), Ok(()));
    let control = store.control(subject.id, ME, at(2_000)).await.unwrap();
    let wanted = Control {
        state: State::Running,
        bandwidth: policy(5),
        settled: 0,
        workers: Vec::new(),
        idle: 0,
        free: 0,
    };
    assert_eq!(control, Some(wanted));
    assert_eq!(subject.full_pass(1, &[]).await, Some(State::Succeeded));
    let late = set(6).await.unwrap();
    assert_eq!(late, Err(Refusal::State(Rejection::Complete)));
    assert_eq!(subject.task().await.bandwidth, policy(5));
    let unknown = TaskId::new(TaskId::MAX).unwrap();
    assert_eq!(store.control(unknown, ME, at(2_000)).await.unwrap(), None);
}

async fn the_estimate_is_stored(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let survey = Estimate {
        objects: 5,
        bytes: 1 << 40,
        complete: true,
    };
    store.set_estimate(subject.id, survey).await.unwrap();
    assert_eq!(subject.task().await.survey, survey);
    store
        .set_estimate(TaskId::new(TaskId::MAX).unwrap(), survey)
        .await
        .unwrap();
}

async fn the_failed_report_is_stored_only_by_the_holder_of_the_lease(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let fencing_token = subject.lease().await.fencing_token;
    let list = |key: &str| FailedReport {
        key: Some(key.to_owned()),
        problem: None,
    };
    store
        .set_failed_report(subject.id, fencing_token, &list("a"))
        .await
        .unwrap();
    store
        .set_failed_report(subject.id, fencing_token - 1, &list("b"))
        .await
        .unwrap();
    assert_eq!(subject.task().await.failed_list, list("a"));
    let refused = FailedReport {
        key: None,
        problem: Some(ReportProblem::NotStored),
    };
    store
        .set_failed_report(subject.id, fencing_token, &refused)
        .await
        .unwrap();
    assert_eq!(subject.task().await.failed_list, refused);
}

async fn failures_are_read_in_byte_order(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let names: [&[u8]; 6] = [b"\xff\x00", b"b", b"a/", b"", b"a", b"\0"];
    let wanted: Vec<Failure> = names
        .iter()
        .map(|name| Failure {
            key: Key::from(*name),
            request_id: None,
            ..failure("x")
        })
        .collect();
    let commit = Commit {
        delta: counters(0, 6),
        failures: wanted.clone(),
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let mut sorted = wanted;
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(store.failures(subject.id, None, 100).await.unwrap(), sorted);
    let mut paged = store.failures(subject.id, None, 2).await.unwrap();
    while let Some(last) = paged.last().map(|failure| failure.key.clone()) {
        let page = store.failures(subject.id, Some(&last), 2).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, sorted);
    // A newer failure of the same key replaces the older one.
    let newer = Failure {
        code: "SlowDown".into(),
        attempts: 9,
        ..failure("b")
    };
    let commit = Commit {
        failures: vec![failure("b"), newer.clone()],
        resolved: vec![Key::from("a"), Key::from("b"), Key::from("never failed")],
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let found = store.failures(subject.id, None, 100).await.unwrap();
    assert_eq!(found.len(), 5);
    assert!(found.contains(&newer) && !found.iter().any(|f| f.key == Key::from("a")));
}

async fn thousands_of_failures_fit_one_commit(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let names: Vec<String> = (0..3_001).map(|n| format!("{n:05}")).collect();
    let commit = Commit {
        delta: counters(0, 3_001),
        failures: names.iter().map(|name| failure(name)).collect(),
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    let found = store.failures(subject.id, None, 10_000).await.unwrap();
    assert!(
        found
            .iter()
            .map(|f| f.key.lossy())
            .eq(names.iter().map(String::as_str))
    );
    let commit = Commit {
        resolved: names[1..].iter().map(|name| Key::from(name.as_str())).collect(),
        ..Commit::default()
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    assert_eq!(subject.failed_keys().await, ["00000"]);
}

async fn uploads_are_kept_by_key(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (_, shard) = subject.work(PassKind::Full).await;
    let writer = Writer::Shard(&shard);
    let upload = |key: &[u8], upload_id: &str, etag: Option<&str>| OpenUpload {
        foreign_uploads: None,
        key: Key::from(key),
        upload_id: Some(upload_id.into()),
        part_size: 8 << 20,
        source_etag: etag.map(ETag::new),
        size: 1 << 42,
    };
    let first = upload(b"\xff", "one", Some("W/\"abc-3\""));
    let second = upload(b"a//", "two", Some("\"W/odd\""));
    for upload in [&first, &second] {
        store.put_upload(subject.id, writer, upload).await.unwrap();
    }
    assert_eq!(
        store.uploads(subject.id).await.unwrap(),
        [second.clone(), first.clone()]
    );
    let hashes = BTreeMap::from([(1, [1; 16]), (10_000, [2; 16])]);
    for (number, md5) in &hashes {
        store
            .put_part_hash(subject.id, writer, &first.key, (*number, *md5))
            .await
            .unwrap();
    }
    store
        .put_part_hash(subject.id, writer, &first.key, (1, [1; 16]))
        .await
        .unwrap();
    assert_eq!(store.part_hashes(subject.id, &first.key).await.unwrap(), hashes);
    let newer = upload(b"\xff", "three", None);
    store.put_upload(subject.id, writer, &newer).await.unwrap();
    let forgotten = BTreeMap::new();
    assert_eq!(
        store.part_hashes(subject.id, &first.key).await.unwrap(),
        forgotten
    );
    store
        .put_part_hash(subject.id, writer, &first.key, (7, [7; 16]))
        .await
        .unwrap();
    assert_eq!(store.upload(subject.id, &first.key).await.unwrap(), Some(newer));
    store.remove_upload(subject.id, writer, &first.key).await.unwrap();
    store.remove_upload(subject.id, writer, &first.key).await.unwrap();
    assert_eq!(
        store.part_hashes(subject.id, &first.key).await.unwrap(),
        forgotten
    );
    let late = store
        .put_part_hash(subject.id, writer, &first.key, (8, [8; 16]))
        .await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.upload(subject.id, &first.key).await.unwrap(), None);
    assert_eq!(store.uploads(subject.id).await.unwrap(), [second]);
}
