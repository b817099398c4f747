//! Warnings: stored with the last pass of a task, bounded, written only by the holder of the lease.

use super::subject::{Subject, at};
use crate::ledger::{Committed, Ending, Ledger, Writer};
use crate::task::{KeptWarning, PassKind, StartMode, Warning, WarningCode};

pub(super) async fn all(store: &dyn Ledger) {
    warnings_are_added_up_by_code_and_subject(store).await;
    only_the_worker_of_the_task_warns(store).await;
    warnings_outlive_a_stop_and_end_with_the_pass(store).await;
    many_warnings_are_counted_and_not_kept(store).await;
}

fn warning(subject: &str) -> Warning {
    Warning::new(WarningCode::ScopeEntryEmpty, format!("nothing for {subject}")).about(subject)
}

fn kept(subject: &str, count: i64, (first, last): (i64, i64)) -> KeptWarning {
    KeptWarning {
        code: "ScopeEntryEmpty".to_owned(),
        subject: subject.to_owned(),
        message: format!("nothing for {subject}"),
        count,
        first_at: at(first),
        last_at: at(last),
    }
}

async fn warnings_are_added_up_by_code_and_subject(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let other = Subject::new(store).await;
    let (task, _) = subject.work(PassKind::Full).await;
    let warn = async |warnings: &[Warning], now| {
        store
            .warn(subject.id, Writer::Task(task.fencing_token), warnings, at(now))
            .await
            .unwrap()
    };
    assert_eq!(store.warnings(subject.id).await.unwrap(), []);
    assert_eq!(
        warn(&[warning("b"), warning(""), warning("b").times(4)], 30).await,
        Committed::Done
    );
    assert_eq!(warn(&[warning("a")], 40).await, Committed::Done);
    let newer = Warning::new(WarningCode::ScopeEntryEmpty, "other words").about("b");
    // A warning does not become older if the clock goes back.
    assert_eq!(warn(&[newer], 20).await, Committed::Done);
    assert_eq!(warn(&[warning("a")], 50).await, Committed::Done);
    let b = KeptWarning {
        message: "other words".to_owned(),
        ..kept("b", 6, (30, 30))
    };
    let wanted = [kept("", 1, (30, 30)), b, kept("a", 2, (40, 50))];
    assert_eq!(store.warnings(subject.id).await.unwrap(), wanted);
    assert_eq!(store.warnings(other.id).await.unwrap(), []);
}

async fn only_the_worker_of_the_task_warns(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (first, _) = subject.work(PassKind::Full).await;
    let second = subject.lease().await;
    let late = store
        .warn(
            subject.id,
            Writer::Task(first.fencing_token),
            &[warning("late")],
            at(1),
        )
        .await;
    assert_eq!(late.unwrap(), Committed::Fenced);
    subject.stop().await.unwrap();
    let pausing = store
        .warn(
            subject.id,
            Writer::Task(second.fencing_token),
            &[warning("in time")],
            at(1),
        )
        .await;
    assert_eq!(pausing.unwrap(), Committed::Done);
    subject
        .finish(second.fencing_token, Ending::Drained)
        .await
        .unwrap();
    let left = store
        .warn(
            subject.id,
            Writer::Task(second.fencing_token),
            &[warning("left")],
            at(1),
        )
        .await;
    assert_eq!(left.unwrap(), Committed::Fenced);
    assert_eq!(
        store.warnings(subject.id).await.unwrap(),
        [kept("in time", 1, (1, 1))]
    );
    subject.delete(None).await.unwrap();
    assert_eq!(store.warnings(subject.id).await.unwrap(), []);
}

async fn warnings_outlive_a_stop_and_end_with_the_pass(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, _) = subject.work(PassKind::Full).await;
    let warned = store
        .warn(
            subject.id,
            Writer::Task(task.fencing_token),
            &[warning("a")],
            at(5),
        )
        .await;
    assert_eq!(warned.unwrap(), Committed::Done);
    subject.stop().await.unwrap();
    subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    subject.start(StartMode::Full).await.unwrap();
    assert!(subject.full_pass(1, &["x"]).await.is_some());
    let after = store.warnings(subject.id).await.unwrap();
    assert_eq!(after, [kept("a", 1, (5, 5))], "the pass was resumed, and is over");
    subject.start(StartMode::FailedOnly).await.unwrap();
    assert_eq!(
        store.warnings(subject.id).await.unwrap(),
        after,
        "no pass was opened yet"
    );
    subject.work(PassKind::Failed).await;
    assert_eq!(store.warnings(subject.id).await.unwrap(), []);
}

async fn many_warnings_are_counted_and_not_kept(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, _) = subject.work(PassKind::Full).await;
    let many: Vec<Warning> = (0..Warning::MOST + 20)
        .map(|n| warning(&format!("{n:04}")).times(3))
        .collect();
    for half in many.chunks(many.len() / 2) {
        let warned = store
            .warn(subject.id, Writer::Task(task.fencing_token), half, at(5))
            .await;
        assert_eq!(warned.unwrap(), Committed::Done);
    }
    // The count of a stored warning still grows.
    let again = [warning("0000"), warning("too many")];
    let warned = store
        .warn(subject.id, Writer::Task(task.fencing_token), &again, at(6))
        .await;
    assert_eq!(warned.unwrap(), Committed::Done);
    let found = store.warnings(subject.id).await.unwrap();
    assert_eq!(found.len(), Warning::MOST + 1);
    let rest = found.iter().find(|kept| kept.code == "MoreWarnings").unwrap();
    assert_eq!((rest.count, rest.subject.as_str()), (61, ""));
    assert!(found.contains(&kept("0000", 4, (5, 6))));
}
