//! Lines of the reports of copied and skipped objects: stored with their commit, in order, until they are written.

use super::subject::{Subject, at, counters, failure, pass};
use crate::ledger::{Commit, Committed, Ending, FileSize, Fullness, Ledger, Purged, ReportFile, ShardScope};
use crate::task::{Key, PassKind, ReportKind, ReportProblem, ReportProblems, StartMode, State, UnixMillis};

pub(super) async fn all(store: &dyn Ledger) {
    lines_are_kept_in_the_order_of_their_commits(store).await;
    a_file_keeps_its_lines(store).await;
    timestamps_increase_whatever_the_clock_says(store).await;
    written_lines_are_deleted_only_by_the_holder_of_the_lease(store).await;
    a_refused_report_waits_until_it_is_too_large(store).await;
    a_full_pass_begins_new_reports(store).await;
    a_failed_pass_continues_the_reports(store).await;
    success_deletes_waiting_lines(store).await;
    a_shard_that_starts_again_deletes_its_lines(store).await;
    reports_of_tasks_are_separate(store).await;
}

fn lines(success: &str, skip: &str) -> Commit {
    Commit {
        success: success.into(),
        skip: skip.into(),
        ..Commit::default()
    }
}

impl Subject<'_> {
    /// All waiting lines of a report, as text.
    pub(super) async fn waiting(&self, kind: ReportKind) -> String {
        let mut text = Vec::new();
        for chunk in self.store.waiting_chunks(self.id, kind).await.unwrap() {
            let lines = self.store.report_lines(self.id, chunk).await;
            text.extend(lines.unwrap().unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    /// The next file of a report, if it is full with two chunks or eight bytes.
    async fn full_file(&self, fencing_token: i64, kind: ReportKind) -> Option<ReportFile> {
        self.file(fencing_token, kind, Fullness::Full, at(3_000)).await
    }

    async fn any_file(&self, fencing_token: i64, kind: ReportKind) -> Option<ReportFile> {
        self.file(fencing_token, kind, Fullness::Any, at(3_000)).await
    }

    async fn file(
        &self,
        fencing_token: i64,
        kind: ReportKind,
        fullness: Fullness,
        now: UnixMillis,
    ) -> Option<ReportFile> {
        let size = FileSize { bytes: 8, chunks: 2 };
        self.store
            .report_file(self.id, fencing_token, kind, size, fullness, now)
            .await
            .unwrap()
    }

    async fn text(&self, file: &ReportFile) -> String {
        let mut text = Vec::new();
        for chunk in &file.chunks {
            text.extend(self.store.report_lines(self.id, *chunk).await.unwrap().unwrap());
        }
        String::from_utf8(text).unwrap()
    }

    async fn written(&self, fencing_token: i64, kind: ReportKind, file: UnixMillis) -> Committed {
        let written = self
            .store
            .report_written(self.id, fencing_token, kind, file)
            .await;
        written.unwrap()
    }

    async fn refused(&self, fencing_token: i64, kind: ReportKind, most: i64) -> Committed {
        self.store
            .report_refused(self.id, fencing_token, kind, most)
            .await
            .unwrap()
    }

    async fn success_trouble(&self) -> Option<ReportProblem> {
        let problems = self.task().await.report_problems;
        assert_eq!(problems.skip, None);
        problems.success
    }
}

async fn lines_are_kept_in_the_order_of_their_commits(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    for commit in [
        lines("a\n", "b\n"),
        lines("", ""),
        lines("c\nd\n", ""),
        lines("", "e\n"),
    ] {
        assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    }
    assert_eq!(subject.waiting(ReportKind::Success).await, "a\nc\nd\n");
    assert_eq!(subject.waiting(ReportKind::Skip).await, "b\ne\n");
    let file = subject
        .full_file(task.fencing_token, ReportKind::Success)
        .await
        .unwrap();
    assert_eq!(subject.text(&file).await, "a\nc\nd\n");
    assert_eq!(store.report_lines(subject.id, i64::MAX).await.unwrap(), None);
    let other = Subject::new(store).await;
    assert_eq!(store.report_lines(other.id, file.chunks[0]).await.unwrap(), None);
}

async fn a_file_keeps_its_lines(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let (token, kind) = (task.fencing_token, ReportKind::Success);
    assert_eq!(subject.any_file(token, kind).await, None);
    subject.commit(&shard, lines("a\n", "")).await;
    assert_eq!(subject.full_file(token, kind).await, None);
    let file = subject.any_file(token, kind).await.unwrap();
    // What is committed later belongs to the next file, also after another lease.
    subject.commit(&shard, lines("b\n", "")).await;
    let again = subject.lease().await.fencing_token;
    let shard = subject.shard().await.unwrap();
    subject.commit(&shard, lines("c\n", "")).await;
    assert_eq!(subject.full_file(again, kind).await, Some(file.clone()));
    assert_eq!(subject.text(&file).await, "a\n");
    assert_eq!(subject.written(again, kind, file.number).await, Committed::Done);
    let next = subject.full_file(again, kind).await.unwrap();
    assert!(next.number > file.number);
    assert_eq!(subject.text(&next).await, "b\nc\n");
    assert_eq!(subject.written(again, kind, next.number).await, Committed::Done);
    assert_eq!(subject.any_file(again, kind).await, None);
    assert_eq!(subject.any_file(token, kind).await, None, "fenced");
}

async fn timestamps_increase_whatever_the_clock_says(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let opened = subject.task().await.pass.unwrap().opened_at;
    assert_eq!(opened, at(2_100));
    // The clock goes back, stands still and goes forward.
    for (now, wanted) in [
        (5, 2_101),
        (5, 2_102),
        (2_100, 2_103),
        (9_000, 9_000),
        (9_000, 9_001),
    ] {
        subject.commit(&shard, lines("x\n", "")).await;
        let kind = ReportKind::Success;
        let file = subject
            .file(task.fencing_token, kind, Fullness::Any, at(now))
            .await
            .unwrap();
        assert_eq!(file.number, at(wanted));
        subject.written(task.fencing_token, kind, file.number).await;
    }
    // Timestamps also increase from pass to pass, even if no lines wait.
    let subject = Subject::new(store).await;
    assert_eq!(subject.full_pass(1, &["x"]).await, Some(State::Failed));
    let first = subject.task().await.pass.unwrap().opened_at;
    subject.start(StartMode::FailedOnly).await.unwrap();
    subject.work(PassKind::Failed).await;
    let second = subject.task().await.pass.unwrap().opened_at;
    assert!(second > first, "{second:?} {first:?}");
}

async fn written_lines_are_deleted_only_by_the_holder_of_the_lease(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    for text in ["a\n", "b\n", "c\n"] {
        let commit = lines(text, text);
        assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    }
    let token = task.fencing_token;
    let file = subject.full_file(token, ReportKind::Success).await.unwrap();
    let done = subject.written(token, ReportKind::Success, file.number).await;
    assert_eq!(done, Committed::Done);
    assert_eq!(subject.waiting(ReportKind::Success).await, "c\n");
    assert_eq!(subject.waiting(ReportKind::Skip).await, "a\nb\nc\n");
    let file = subject.full_file(token, ReportKind::Skip).await.unwrap();
    let again = subject.lease().await;
    let fenced = subject.written(token, ReportKind::Skip, file.number).await;
    assert_eq!(fenced, Committed::Fenced);
    let fenced = subject.refused(token, ReportKind::Skip, 0).await;
    assert_eq!(fenced, Committed::Fenced);
    assert_eq!(subject.waiting(ReportKind::Skip).await, "a\nb\nc\n");
    subject.stop().await.unwrap();
    assert_eq!(
        subject.finish(again.fencing_token, Ending::Drained).await,
        Some(State::Paused)
    );
    let left = subject
        .written(again.fencing_token, ReportKind::Skip, file.number)
        .await;
    assert_eq!(left, Committed::Fenced);
    assert_eq!(subject.waiting(ReportKind::Skip).await, "a\nb\nc\n");
    assert_eq!(subject.task().await.report_problems, ReportProblems::default());
}

async fn a_refused_report_waits_until_it_is_too_large(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let commit = lines("four", "four");
    assert_eq!(subject.commit(&shard, commit.clone()).await, Committed::Done);
    let fencing_token = task.fencing_token;
    for _ in 0..2 {
        subject.refused(fencing_token, ReportKind::Success, 4).await;
        assert_eq!(subject.success_trouble().await, Some(ReportProblem::NotStored));
        assert_eq!(subject.waiting(ReportKind::Success).await, "four");
    }
    // The target has accepted all lines, so nothing is missing.
    let file = subject
        .any_file(fencing_token, ReportKind::Success)
        .await
        .unwrap();
    subject
        .written(fencing_token, ReportKind::Success, file.number)
        .await;
    assert_eq!(subject.success_trouble().await, None);

    for _ in 0..2 {
        assert_eq!(subject.commit(&shard, commit.clone()).await, Committed::Done);
    }
    subject.refused(fencing_token, ReportKind::Success, 7).await;
    assert_eq!(subject.success_trouble().await, Some(ReportProblem::TooLarge));
    assert_eq!(subject.waiting(ReportKind::Success).await, "");
    assert_eq!(subject.waiting(ReportKind::Skip).await, "fourfourfour");
    // The dropped lines stay missing, whatever happens later.
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject.refused(fencing_token, ReportKind::Success, 7).await;
    assert_eq!(subject.success_trouble().await, Some(ReportProblem::TooLarge));
    let file = subject
        .any_file(fencing_token, ReportKind::Success)
        .await
        .unwrap();
    subject
        .written(fencing_token, ReportKind::Success, file.number)
        .await;
    assert_eq!(subject.success_trouble().await, Some(ReportProblem::TooLarge));
}

/// Ends a full pass with one failure and one line that the target did not accept.
async fn end_a_pass_with_a_waiting_line(subject: &Subject<'_>) {
    let (task, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: counters(1, 1),
        failures: vec![failure("x")],
        close: true,
        ..lines("left\n", "")
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject
        .refused(task.fencing_token, ReportKind::Success, 1_000)
        .await;
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Failed));
    assert_eq!(subject.waiting(ReportKind::Success).await, "left\n");
    assert_eq!(subject.success_trouble().await, Some(ReportProblem::NotStored));
}

async fn a_full_pass_begins_new_reports(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    end_a_pass_with_a_waiting_line(&subject).await;
    subject.start(StartMode::Full).await.unwrap();
    let (_, shard) = subject.work(PassKind::Full).await;
    assert_eq!(subject.success_trouble().await, None);
    assert_eq!(subject.commit(&shard, lines("new\n", "")).await, Committed::Done);
    assert_eq!(subject.waiting(ReportKind::Success).await, "new\n");
    // Resuming the pass does not delete lines.
    subject.lease().await;
    let fencing_token = subject.lease().await.fencing_token;
    let scope = [ShardScope::Prefix(Key::from(""))];
    store
        .open_pass(subject.id, fencing_token, pass(PassKind::Full, &scope), at(7_000))
        .await
        .unwrap();
    assert_eq!(subject.waiting(ReportKind::Success).await, "new\n");
}

async fn a_failed_pass_continues_the_reports(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    end_a_pass_with_a_waiting_line(&subject).await;
    subject.start(StartMode::FailedOnly).await.unwrap();
    let (_, shard) = subject.work(PassKind::Failed).await;
    assert_eq!(subject.commit(&shard, lines("new\n", "")).await, Committed::Done);
    assert_eq!(subject.waiting(ReportKind::Success).await, "left\nnew\n");
    assert_eq!(subject.success_trouble().await, Some(ReportProblem::NotStored));
}

async fn success_deletes_waiting_lines(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let (task, shard) = subject.work(PassKind::Full).await;
    let commit = Commit {
        delta: counters(1, 0),
        close: true,
        ..lines("left\n", "left\n")
    };
    assert_eq!(subject.commit(&shard, commit).await, Committed::Done);
    subject
        .refused(task.fencing_token, ReportKind::Success, 1_000)
        .await;
    let end = subject.finish(task.fencing_token, Ending::PassFinished).await;
    assert_eq!(end, Some(State::Succeeded));
    assert_eq!(subject.waiting(ReportKind::Success).await, "");
    assert_eq!(subject.waiting(ReportKind::Skip).await, "");
    assert_eq!(subject.success_trouble().await, Some(ReportProblem::NotStored));
}

async fn a_shard_that_starts_again_deletes_its_lines(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let task = subject.lease().await;
    let scopes = ["a", "b"].map(|prefix| ShardScope::Prefix(Key::from(prefix)));
    store
        .open_pass(
            subject.id,
            task.fencing_token,
            pass(PassKind::Full, &scopes),
            at(1),
        )
        .await
        .unwrap();
    for text in ["a\n", "b\n"] {
        let shard = subject.shard().await.unwrap();
        if text == "b\n" {
            store.set_unordered(subject.id, &shard).await.unwrap();
        }
        assert_eq!(subject.commit(&shard, lines(text, text)).await, Committed::Done);
    }
    subject.lease().await;
    for wanted in ["a\nb\n", "a\n"] {
        subject.shard().await.unwrap();
        assert_eq!(subject.waiting(ReportKind::Success).await, wanted);
        assert_eq!(subject.waiting(ReportKind::Skip).await, wanted);
    }
}

async fn reports_of_tasks_are_separate(store: &dyn Ledger) {
    let subject = Subject::new(store).await;
    let other = Subject::new(store).await;
    for subject in [&subject, &other] {
        let (task, shard) = subject.work(PassKind::Full).await;
        assert_eq!(subject.commit(&shard, lines("x\n", "x\n")).await, Committed::Done);
        subject
            .refused(task.fencing_token, ReportKind::Success, 1_000)
            .await;
        subject.stop().await.unwrap();
        subject.finish(task.fencing_token, Ending::Drained).await.unwrap();
    }
    let deleted = store.delete(&subject.project, subject.id, None, at(1));
    deleted.await.unwrap().unwrap();
    assert_eq!(subject.waiting(ReportKind::Success).await, "");
    assert_eq!(other.waiting(ReportKind::Success).await, "x\n");
    assert_eq!(other.success_trouble().await, Some(ReportProblem::NotStored));
    // A task with the same id begins without lines, once the rows of the deleted task are gone.
    while store.purge().await.unwrap() == Purged::Some {}
    let new = super::subject::new_task(&subject.project, subject.id);
    store.create(new, at(1)).await.unwrap();
    assert_eq!(subject.task().await.report_problems, ReportProblems::default());
}
