//! The reports of copied and skipped objects at the target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oms::engine::settings::Tuning;
use oms::engine::sync_points::{SyncPoint, SyncPoints};
use oms::object::s3::Timeouts;
use oms::sandbox::{Fault, FaultRule, Operation, SandboxObject};
use oms::task::rules::OverwriteMode;
use oms::task::{ReportKind, ReportProblem, ReportProblems, StartMode, State, Task, TaskId, UnixMillis};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::support::report_files::{agree, files, lines};
use crate::support::rig::{QUICK, Rig, SOURCE, Stores, TARGET};
use crate::support::rows::waiting_chunks;

fn denied(prefix: &str) -> FaultRule {
    let fault = Fault::Status {
        status: 403,
        code: "AccessDenied".to_owned(),
        retry_after: None,
    };
    FaultRule::new(Operation::PutObject, fault).key_prefix(prefix)
}

fn opened(task: &Task) -> UnixMillis {
    task.pass.unwrap().opened_at
}

/// Key, length and word of each line that a report has since this moment.
fn report_lines(
    stores: &Stores,
    task: &Task,
    kind: ReportKind,
    since: UnixMillis,
) -> BTreeMap<String, (u64, String)> {
    let lines = lines(stores, task, kind, since).into_iter();
    lines
        .map(|line| (String::from_utf8(line.key).unwrap(), (line.bytes, line.word)))
        .collect()
}

fn words<const N: usize>(wanted: [(&str, u64, &str); N]) -> BTreeMap<String, (u64, String)> {
    let word = |(key, bytes, word): (&str, u64, &str)| (key.to_owned(), (bytes, word.to_owned()));
    wanted.into_iter().map(word).collect()
}

async fn waiting(rig: &Rig, id: TaskId) -> i64 {
    let mut all = 0;
    for &kind in ReportKind::ALL {
        all += waiting_chunks(rig, id, kind).await;
    }
    all
}

#[tokio::test]
async fn each_pass_lists_what_it_copied_and_what_it_skipped() {
    let stores = Stores::new().await;
    let odd = "odd\tname/ü +%\n";
    for (key, text) in [("a", "x"), (odd, "four"), ("there", "five5"), ("refused", "no")] {
        stores.source.put(SOURCE, key, SandboxObject::new(text));
    }
    let parted = SandboxObject::multipart("in parts", 5);
    stores.source.put(SOURCE, "parts", parted);
    stores.target.put(TARGET, "there", SandboxObject::new("five5"));
    stores.target.faults().add(denied("refused"));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let first = opened(&task);
    agree(&stores, &task, first);
    assert_eq!(
        report_lines(&stores, &task, ReportKind::Success, first),
        words([("a", 1, "etag"), (odd, 4, "etag"), ("parts", 8, "checksum")])
    );
    assert_eq!(
        report_lines(&stores, &task, ReportKind::Skip, first),
        words([("there", 5, "identical")])
    );

    // A failed-only pass adds its own lines.
    stores.target.faults().clear();
    stores.target.faults().add(denied("parts"));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    rig.wait(id, |task| task.state == State::Succeeded).await;
    let task = rig.end(id).await;
    agree(&stores, &task, first);
    assert_eq!(
        report_lines(&stores, &task, ReportKind::Success, opened(&task)),
        words([("refused", 2, "etag")])
    );
    assert!(report_lines(&stores, &task, ReportKind::Skip, opened(&task)).is_empty());
    assert_eq!(files(&stores, &task, ReportKind::Success).len(), 2);
    assert_eq!(waiting(&rig, id).await, 0);
    stores.assert_same();
}

#[tokio::test]
async fn a_new_full_pass_has_its_own_reports() {
    let stores = Stores::new().await;
    for key in ["a", "gone", "later", "refused"] {
        stores.source.put(SOURCE, key, SandboxObject::new("x"));
    }
    stores.target.put(TARGET, "later", SandboxObject::new("other"));
    stores.target.faults().add(denied("refused"));
    let rig = Rig::new().await;
    let order = stores.order();
    let mut keep = order.clone();
    keep.rules.overwrite = OverwriteMode::Never;
    let mut since = order.clone();
    since.migrate_since = Some(UnixMillis(i64::MAX / 2));
    let id = rig.create(order).await;
    let first = opened(&rig.end(id).await);
    // All objects but one are at the target now. The new reports have no line of the first ones.
    rig.start(id, StartMode::Full, stores.credentials()).await;
    rig.wait(id, |task| task.pass.unwrap().number == 2).await;
    let task = rig.end(id).await;
    agree(&stores, &task, opened(&task));
    assert_eq!(lines(&stores, &task, ReportKind::Success, first).len(), 3);
    assert!(lines(&stores, &task, ReportKind::Success, opened(&task)).is_empty());
    assert_eq!(lines(&stores, &task, ReportKind::Skip, opened(&task)).len(), 3);

    // The other reasons to skip an object.
    for (order, word) in [(keep, "exists"), (since, "older")] {
        let id = rig.create(order).await;
        let task = rig.end(id).await;
        agree(&stores, &task, opened(&task));
        let reported = report_lines(&stores, &task, ReportKind::Skip, opened(&task));
        assert_eq!(reported["later"].1, word);
    }
    // The object is removed between the listing and the read.
    let reads = FaultRule::new(Operation::GetObject, Fault::RemoveObject).key("gone");
    stores.source.faults().add(reads);
    stores.target.remove(TARGET, "gone");
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    agree(&stores, &task, opened(&task));
    let reported = report_lines(&stores, &task, ReportKind::Skip, opened(&task));
    assert_eq!(reported["gone"], (1, "gone".to_owned()));
}

#[tokio::test]
async fn reports_that_the_target_refuses_do_not_change_the_objects() {
    let stores = Stores::new().await;
    for key in ["a", "b", "refused"] {
        stores.source.put(SOURCE, key, SandboxObject::new("x"));
    }
    stores.target.put(TARGET, "b", SandboxObject::new("x"));
    stores.target.faults().add(denied("refused"));
    stores.target.faults().add(denied("oms/task/"));
    let rig = Rig::new().await;
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    let refused = ReportProblems {
        success: Some(ReportProblem::NotStored),
        skip: Some(ReportProblem::NotStored),
    };
    let c = task.counters;
    assert_eq!((c.copied, c.skipped, c.failed), (1, 1, 1));
    assert_eq!(task.report_problems, refused);
    assert_eq!(waiting(&rig, id).await, 2, "the lines wait for the next pass");
    let first = opened(&task);

    // A failed-only pass continues these reports.
    stores.target.faults().clear();
    stores.target.faults().add(denied("oms/task/").times(1));
    rig.start(id, StartMode::FailedOnly, stores.credentials()).await;
    let task = rig.wait(id, |task| task.state == State::Succeeded).await;
    assert_eq!(task.report_problems.skip, None);
    assert_eq!(report_lines(&stores, &task, ReportKind::Skip, first).len(), 1);

    // The lines of a report that is still refused at the end are dropped when the task succeeds.
    stores.target.faults().add(denied("oms/task/"));
    let id = rig.create(stores.order()).await;
    let task = rig.end(id).await;
    assert_eq!((task.state, task.counters.skipped), (State::Succeeded, 3));
    let skip = ReportProblems {
        success: None,
        ..refused
    };
    assert_eq!(task.report_problems, skip);
    assert_eq!(waiting(&rig, id).await, 0);
}

#[tokio::test]
async fn unwanted_reports_are_neither_kept_nor_written() {
    let stores = Stores::new().await;
    for key in ["a", "b"] {
        stores.source.put(SOURCE, key, SandboxObject::new("x"));
    }
    stores.target.put(TARGET, "b", SandboxObject::new("x"));
    let (sync_points, committed) = hold_at(SyncPoint::BeforeFinish);
    let rig = Rig::open(Arc::new(TempDir::new().unwrap()), sync_points).await;
    let mut order = stores.order();
    order.record_settled = false;
    let id = rig.create(order).await;
    committed.notified().await;
    assert_eq!(waiting(&rig, id).await, 0);
    let rig = Rig::open(rig.kill().await, SyncPoints::default()).await;
    let task = rig.end(id).await;
    assert_eq!((task.counters.copied, task.counters.skipped), (1, 1));
    assert_eq!(stores.target.keys(TARGET), ["a", "b"]);
}

/// Sync points that hold the worker for ever when it reaches `point`, and notify that it did.
fn hold_at(point: SyncPoint) -> (SyncPoints, Arc<Notify>) {
    let reached = Arc::new(Notify::new());
    let tell = Arc::clone(&reached);
    let sync_points = SyncPoints::new(move |here| {
        if here == point {
            tell.notify_one();
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(()))
    });
    (sync_points, reached)
}

/// Sixty objects that are copied one after another: long enough for several commits.
async fn many() -> Stores {
    let stores = Stores::small().await;
    for n in 0..60 {
        let key = format!("folder-{}/{n:03}", n % 3);
        stores
            .source
            .put(SOURCE, &key, SandboxObject::new(format!("object {n}")));
    }
    let slow = FaultRule::one_by_one(Operation::PutObject, Duration::from_millis(50));
    stores.target.faults().add(slow.key_prefix("folder-"));
    stores
}

async fn slow_task(rig: &Rig, stores: &Stores) -> TaskId {
    let mut order = stores.order();
    order.threads = 1;
    rig.create(order).await
}

#[tokio::test]
async fn files_are_written_while_the_pass_runs_and_a_stop_loses_no_line() {
    let stores = many().await;
    let rig = Rig::quick().await;
    let id = slow_task(&rig, &stores).await;
    // Its lines are committed about once a second.
    rig.wait(id, |task| task.counters.copied > 0).await;
    let running = loop {
        let task = rig.task(id).await;
        assert_eq!(task.state, State::Running, "no file was written before the end");
        if !files(&stores, &task, ReportKind::Success).is_empty() {
            break task;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let since = opened(&running);
    stores.target.faults().add(denied("oms/task/"));
    let paused = rig.pause(id).await;
    assert!(paused.counters.copied < 60, "stopped too late");
    stores.target.faults().clear();
    rig.start(id, StartMode::Full, stores.credentials()).await;
    let task = rig.end(id).await;
    assert_eq!((task.state, opened(&task)), (State::Succeeded, since));
    assert!(files(&stores, &task, ReportKind::Success).len() > 1);
    agree(&stores, &task, since);
    assert_eq!(task.report_problems, ReportProblems::default());
    assert_eq!(waiting(&rig, id).await, 0);
}

#[tokio::test]
async fn a_file_that_is_written_again_after_a_crash_has_no_line_twice() {
    for occurrence in 1..=3 {
        let stores = many().await;
        let times = AtomicUsize::new(0);
        let reached = Arc::new(Notify::new());
        let tell = Arc::clone(&reached);
        let sync_points = SyncPoints::new(move |here| {
            if here == SyncPoint::ListWritten && times.fetch_add(1, Ordering::SeqCst) + 1 == occurrence {
                tell.notify_one();
                return Box::pin(std::future::pending());
            }
            Box::pin(std::future::ready(()))
        });
        let folder = Arc::new(TempDir::new().unwrap());
        let rig = Rig::tuned(folder, sync_points, QUICK, Timeouts::default()).await;
        let id = slow_task(&rig, &stores).await;
        reached.notified().await;
        let rig = Rig::quick_in(rig.kill().await).await;
        let task = rig.end(id).await;
        assert_eq!(task.state, State::Succeeded);
        agree(&stores, &task, opened(&task));
    }
}

#[tokio::test]
async fn lines_that_the_target_refuses_for_too_long_are_dropped() {
    let stores = many().await;
    stores.target.faults().add(denied("oms/task/"));
    let mut tuning: Tuning = QUICK;
    tuning.lists.most = 300;
    let folder = Arc::new(TempDir::new().unwrap());
    let rig = Rig::tuned(folder, SyncPoints::default(), tuning, Timeouts::default()).await;
    let id = slow_task(&rig, &stores).await;
    let lost = rig.wait(id, |task| task.report_problems.success.is_some()).await;
    assert_eq!(lost.report_problems.success, Some(ReportProblem::TooLarge));
    assert_eq!(lost.state, State::Running);
    // The report still counts as incomplete when its last lines are accepted.
    stores.target.faults().clear();
    let task = rig.end(id).await;
    assert_eq!((task.state, task.counters.copied), (State::Succeeded, 60));
    assert_eq!(task.report_problems.success, Some(ReportProblem::TooLarge));
    let rest = lines(&stores, &task, ReportKind::Success, opened(&task)).len();
    assert!((1..60).contains(&rest), "{rest}");
}
