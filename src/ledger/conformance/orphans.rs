//! Uploads that a deletion leaves open at the target, and the credentials to abort them.

use super::subject::{Subject, at, fresh, new_task, sealed, spec};
use crate::ledger::{
    Cleanup, Deleted, Ending, Ledger, NewTask, OpenUpload, Orphan, OrphanKeys, Orphans, Owner, Writer,
};
use crate::object::ETag;
use crate::task::spec::BucketLocation;
use crate::task::{Key, PassKind, ProjectId, TaskId};

pub(super) async fn all(store: &dyn Ledger) {
    a_deletion_makes_orphans_of_open_uploads(store).await;
    without_orphans_no_credentials_are_kept(store).await;
    a_waiting_task_leaves_its_own_credentials(store).await;
    orphans_are_found_by_their_place(store).await;
    credentials_are_wiped_with_the_last_orphan(store).await;
    cleanups_take_turns(store).await;
    an_upload_has_an_owner(store).await;
}

fn upload(key: &[u8], upload_id: Option<&str>) -> OpenUpload {
    OpenUpload {
        foreign_uploads: Some(vec!["another's".to_owned()]),
        key: Key::from(key),
        upload_id: upload_id.map(str::to_owned),
        part_size: 1,
        source_etag: Some(ETag::new("e")),
        size: 2,
    }
}

/// A paused task with these uploads.
async fn paused<'a>(store: &'a dyn Ledger, uploads: &[OpenUpload]) -> Subject<'a> {
    let subject = Subject::new(store).await;
    let (task, _) = subject.work(PassKind::Full).await;
    for upload in uploads {
        let writer = Writer::Task(task.fencing_token);
        store.put_upload(subject.id, writer, upload).await.unwrap();
    }
    subject.stop().await.unwrap();
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    subject
}

async fn orphans(subject: &Subject<'_>) -> Vec<Orphan> {
    let which = Orphans::Of(subject.id);
    subject.store.orphans(which, 0, 100).await.unwrap()
}

/// The credentials of all deleted tasks that no cleanup has taken since `before`.
async fn cleanups(store: &dyn Ledger, now: i64, before: i64) -> Vec<Cleanup> {
    let mut all = Vec::new();
    while let Some(cleanup) = store.take_cleanup(at(now), at(before)).await.unwrap() {
        all.push(cleanup);
    }
    all
}

/// Removes the orphans of a test function, so that the next one finds none.
async fn clear(subjects: &[&Subject<'_>]) {
    for subject in subjects {
        for orphan in orphans(subject).await {
            subject.store.remove_orphan(orphan.number).await.unwrap();
        }
    }
    assert_eq!(cleanups(subjects[0].store, 99_999, 99_998).await, []);
}

async fn a_deletion_makes_orphans_of_open_uploads(store: &dyn Ledger) {
    let subject = paused(store, &[upload(b"a\0\xfe", Some("id")), upload(b"b", None)]).await;
    assert_eq!(orphans(&subject).await, []);
    let left = Deleted {
        orphans: 2,
        keys: OrphanKeys::Kept,
    };
    assert_eq!(subject.delete(Some("given")).await, Ok(left));
    let found = orphans(&subject).await;
    let orphan = |n: usize, key: &[u8], id: Option<&str>| Orphan {
        foreign_uploads: Some(vec!["another's".to_owned()]),
        number: found[n].number,
        task: subject.id,
        place: spec().target,
        // The target prefix of `spec`, which is not UTF-8, precedes the key.
        key: Key::from(&[b"in/\xff", key].concat()[..]),
        upload_id: id.map(str::to_owned),
        orphaned_at: at(7_000),
    };
    let wanted = [orphan(0, b"a\0\xfe", Some("id")), orphan(1, b"b", None)];
    assert_eq!(found, wanted);
    // Reading continues after a number and returns at most `limit` orphans.
    let which = Orphans::Of(subject.id);
    let behind = store.orphans(which, found[0].number, 9).await.unwrap();
    assert_eq!(behind, wanted[1..]);
    assert_eq!(store.orphans(which, 0, 1).await.unwrap(), wanted[..1]);
    clear(&[&subject]).await;
}

async fn without_orphans_no_credentials_are_kept(store: &dyn Ledger) {
    let subject = paused(store, &[]).await;
    let left = Deleted {
        orphans: 0,
        keys: OrphanKeys::None,
    };
    assert_eq!(subject.delete(Some("given")).await, Ok(left));
    let subject = paused(store, &[upload(b"a", Some("id"))]).await;
    let left = Deleted { orphans: 1, ..left };
    assert_eq!(subject.delete(None).await, Ok(left));
    assert_eq!(cleanups(store, 1, 0).await, []);
    clear(&[&subject]).await;
}

async fn a_waiting_task_leaves_its_own_credentials(store: &dyn Ledger) {
    for (given, kept) in [(None, "again"), (Some("given"), "given")] {
        let subject = paused(store, &[upload(b"a", Some("id"))]).await;
        subject.start(crate::task::StartMode::Full).await.unwrap();
        assert_eq!(subject.delete(given).await.unwrap().keys, OrphanKeys::Kept);
        let cleanup = Cleanup {
            task: subject.id,
            sealed: sealed(kept),
        };
        assert_eq!(cleanups(store, 1, 0).await, [cleanup]);
        clear(&[&subject]).await;
    }
}

async fn orphans_are_found_by_their_place(store: &dyn Ledger) {
    let elsewhere = |change: &dyn Fn(&mut BucketLocation)| {
        let mut spec = spec();
        spec.target.bucket = format!("bucket-{}", fresh());
        change(&mut spec.target);
        spec
    };
    let here = elsewhere(&|_| {});
    let bucket = here.target.bucket.clone();
    let other_store = elsewhere(&|place| {
        place.bucket.clone_from(&bucket);
        place.endpoint.url = "https://other.example".into();
    });
    let same_place = elsewhere(&|place| {
        place.bucket.clone_from(&bucket);
        place.region = "another name".into();
    });
    let mut subjects = Vec::new();
    for spec in [&here, &other_store, &same_place] {
        let id = TaskId::new(fresh()).unwrap();
        let project: ProjectId = format!("place-{id}").parse().unwrap();
        let new = NewTask {
            spec: spec.clone(),
            ..new_task(&project, id)
        };
        store.create(new, at(1)).await.unwrap();
        let subject = Subject { store, project, id };
        let task = subject.lease().await;
        let writer = Writer::Task(task.fencing_token);
        let open = upload(b"k", Some("id"));
        store.put_upload(id, writer, &open).await.unwrap();
        subject.stop().await.unwrap();
        subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
        subject.delete(None).await.unwrap();
        subjects.push(subject);
    }
    let found = store.orphans(Orphans::At(&here.target), 0, 100).await.unwrap();
    let tasks: Vec<TaskId> = found.iter().map(|orphan| orphan.task).collect();
    assert_eq!(tasks, [subjects[0].id, subjects[2].id]);
    assert_eq!(
        (&found[0].place, &found[1].place),
        (&here.target, &same_place.target)
    );
    clear(&subjects.iter().collect::<Vec<_>>()).await;
}

async fn credentials_are_wiped_with_the_last_orphan(store: &dyn Ledger) {
    let subject = paused(store, &[upload(b"a", Some("1")), upload(b"b", Some("2"))]).await;
    subject.delete(Some("given")).await.unwrap();
    let found = orphans(&subject).await;
    store.remove_orphan(found[0].number).await.unwrap();
    assert_eq!(orphans(&subject).await, found[1..]);
    assert_eq!(cleanups(store, 1, 0).await.len(), 1);
    store.remove_orphan(found[1].number).await.unwrap();
    store.remove_orphan(found[1].number).await.unwrap();
    assert_eq!(cleanups(store, 9_000, 8_000).await, []);
    // A number is never used again. Otherwise a late call could remove another orphan.
    let next = paused(store, &[upload(b"a", Some("1"))]).await;
    next.delete(Some("given")).await.unwrap();
    assert!(orphans(&next).await[0].number > found[1].number);
    // Useless credentials are wiped. The orphans stay.
    store.wipe_orphan_keys(next.id).await.unwrap();
    assert_eq!(cleanups(store, 9_000, 8_000).await, []);
    assert_eq!(orphans(&next).await.len(), 1);
    clear(&[&next]).await;
}

async fn cleanups_take_turns(store: &dyn Ledger) {
    let one = paused(store, &[upload(b"a", Some("1"))]).await;
    let two = paused(store, &[upload(b"a", Some("1"))]).await;
    one.delete(Some("one")).await.unwrap();
    let take = async |now, before| {
        let taken = store.take_cleanup(at(now), at(before)).await.unwrap();
        taken.map(|cleanup| cleanup.task)
    };
    assert_eq!(take(1_000, 400).await, Some(one.id));
    assert_eq!(take(1_500, 900).await, None, "not before its time");
    two.delete(Some("two")).await.unwrap();
    assert_eq!(take(1_600, 1_000).await, Some(two.id), "a new one comes first");
    assert_eq!(take(1_600, 1_000).await, Some(one.id));
    assert_eq!(take(2_199, 1_599).await, None);
    // If the clock was set back, a cleanup does not have to wait until the old time is reached again.
    assert!(take(900, 300).await.is_some() && take(900, 300).await.is_some());
    assert_eq!(take(900, 300).await, None);
    store.recover(at(901)).await.unwrap();
    assert_eq!(
        cleanups(store, 901, 301).await.len(),
        2,
        "a process begins with all of them"
    );
    clear(&[&one, &two]).await;
}

async fn an_upload_has_an_owner(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let key = Key::from(&b"in/\xffbig\xfe"[..]);
    let owner = async |id: &str| store.upload_owner(&key, id).await.unwrap();
    let (task, _) = subject.work(PassKind::Full).await;
    let writer = Writer::Task(task.fencing_token);
    let unknown = format!("unknown-{}", subject.id);
    let known = format!("known-{}", subject.id);
    assert_eq!(owner(&known).await, Owner::Nobody);
    for (other, who) in [
        (&b"big"[..], Owner::Nobody),
        (b"large in/\xffbig\xfe", Owner::Nobody),
        (b"big\xfe", Owner::Unknown),
    ] {
        store
            .put_upload(subject.id, writer, &upload(other, None))
            .await
            .unwrap();
        assert_eq!(owner(&unknown).await, who, "{other:?}");
    }
    let recorded = upload(b"big\xfe", Some(&known));
    store.put_upload(subject.id, writer, &recorded).await.unwrap();
    assert_eq!(
        (owner(&known).await, owner(&unknown).await),
        (Owner::Task, Owner::Nobody)
    );
    // A paused task cannot be creating an upload now. It will resume the uploads that it knows.
    store
        .put_upload(subject.id, writer, &upload(b"in/\xffbig\xfe", None))
        .await
        .unwrap();
    assert_eq!(owner(&unknown).await, Owner::Unknown);
    subject.stop().await.unwrap();
    assert_eq!(owner(&unknown).await, Owner::Unknown);
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    assert_eq!(
        (owner(&known).await, owner(&unknown).await),
        (Owner::Task, Owner::Nobody)
    );
    subject.delete(None).await.unwrap();
    assert_eq!(owner(&known).await, Owner::Nobody);
    clear(&[&subject]).await;
}
