//! A simple model of a ledger in memory. Random steps are applied to the model and to a real ledger, which must agree after
//! each step.

use super::subject::{Subject, at, counters, ended, failure, holder, pass, sealed};
use crate::ledger::{Change, Commit, Committed, Ending, Failure, LeasedShard, Ledger, Refusal, ShardScope};
use crate::task::{Counters, Event, Key, PassKind, Reason, ReasonKind, ReportKind, StartMode, State};

/// One step of a walk.
#[derive(Clone, Debug)]
pub enum Step {
    /// A user starts the task.
    Start(StartMode),
    /// A user stops it.
    Stop,
    /// A user deletes it, and a new task replaces it.
    Delete,
    /// A worker leases it, opens a pass of two shards for the requested mode, and leases both shards.
    Lease,
    /// A worker commits with the last lease or the one before.
    Commit(Lease, Work),
    /// A worker leaves the task with the last lease or the one before.
    Finish(Lease, End),
    /// The process starts again.
    Recover,
}

/// Which leases a worker uses.
#[derive(Clone, Copy, Debug)]
pub enum Lease {
    /// The last ones.
    Last,
    /// The ones before.
    Former,
}

/// What is committed.
#[derive(Clone, Debug)]
pub struct Work {
    /// Which of the two shards.
    pub shard: u8,
    /// Objects copied.
    pub copied: u8,
    /// Keys that failed, as letters `a` to `z`.
    pub failed: Vec<u8>,
    /// Whether the shard is done.
    pub close: bool,
}

/// How a worker leaves.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// After a stop.
    Drained,
    /// At the end of the pass.
    Finished,
    /// With an error.
    Broken,
}

/// The fencing token of a task, and its leased shards.
#[derive(Clone, Debug, Default)]
struct Rights {
    fencing_token: i64,
    shards: Vec<LeasedShard>,
}

/// The pass of the model.
#[derive(Debug, Clone)]
struct ModelPass {
    kind: PassKind,
    open: [bool; 2],
    finished: bool,
}

#[derive(Debug)]
struct Model {
    state: State,
    epoch: i64,
    mode: StartMode,
    pass: Option<ModelPass>,
    passes: i64,
    counters: Counters,
    failures: std::collections::BTreeMap<Key, Failure>,
    /// Waiting report lines of copied objects.
    lines: String,
    /// Whether the holder of the last lease may still write.
    held: bool,
}

impl Model {
    fn new() -> Self {
        Self {
            state: State::Waiting,
            epoch: 1,
            mode: StartMode::Full,
            pass: None,
            passes: 0,
            counters: Counters::default(),
            failures: std::collections::BTreeMap::new(),
            lines: String::new(),
            held: false,
        }
    }

    fn go(&mut self, state: State) {
        self.state = state;
        self.held &= matches!(state, State::Running | State::Pausing);
    }

    fn start(&mut self, mode: StartMode) -> Change<()> {
        let state = self.state.apply(Event::Start).map_err(Refusal::State)?;
        if mode == StartMode::FailedOnly {
            if !self
                .pass
                .as_ref()
                .is_some_and(|pass| pass.finished || pass.kind == PassKind::Failed)
            {
                return Err(Refusal::ListIncomplete);
            }
            if self.failures.is_empty() {
                return Err(Refusal::NothingFailed);
            }
        }
        self.go(state);
        self.epoch += 1;
        self.mode = mode;
        Ok(())
    }

    fn stop(&mut self) -> Change<State> {
        let state = self.state.apply(Event::Stop).map_err(Refusal::State)?;
        self.go(state);
        Ok(state)
    }

    /// Opens or resumes a pass, and returns the numbers of its open shards.
    fn lease(&mut self) -> Option<Vec<i64>> {
        let state = self.state.apply(Event::Lease).ok()?;
        self.state = state;
        self.held = true;
        if self.pass.as_ref().is_none_or(|pass| pass.finished) {
            let kind = kind_of(self.mode);
            if kind == PassKind::Full {
                self.counters = Counters::default();
                self.failures.clear();
                self.lines.clear();
            }
            self.passes += 1;
            self.pass = Some(ModelPass {
                kind,
                open: [true; 2],
                finished: false,
            });
        }
        let open = self.pass.as_ref()?.open;
        Some(
            (0..)
                .zip(open)
                .filter(|(_, open)| *open)
                .map(|(number, _)| number)
                .collect(),
        )
    }

    fn commit(&mut self, shard: usize, commit: &Commit) -> Committed {
        let Some(pass) = self.pass.as_mut().filter(|pass| self.held && pass.open[shard]) else {
            return Committed::Fenced;
        };
        pass.open[shard] = !commit.close;
        self.counters += commit.delta;
        self.lines.push_str(&String::from_utf8_lossy(&commit.success));
        for failure in &commit.failures {
            self.failures.insert(failure.key.clone(), failure.clone());
        }
        Committed::Done
    }

    /// `Err` if the contract does not allow this call.
    fn finish(&mut self, end: End) -> Result<Option<State>, ()> {
        if !self.held {
            return Ok(None);
        }
        let event = match end {
            End::Drained => Event::Drain,
            End::Broken => Event::Fail,
            End::Finished if self.counters.failed > 0 => Event::Fail,
            End::Finished => Event::Succeed,
        };
        let Ok(state) = self.state.apply(event) else {
            return Ok(None);
        };
        if matches!(end, End::Finished) {
            let pass = self
                .pass
                .as_mut()
                .filter(|pass| pass.open == [false; 2])
                .ok_or(())?;
            pass.finished = true;
        }
        if state == State::Succeeded {
            self.lines.clear();
        }
        self.go(state);
        Ok(Some(state))
    }
}

fn kind_of(mode: StartMode) -> PassKind {
    match mode {
        StartMode::Full => PassKind::Full,
        StartMode::FailedOnly => PassKind::Failed,
    }
}

/// Applies the steps to a new task of the ledger and to the model, and asserts that they agree.
pub async fn agrees(store: &dyn Ledger, steps: &[Step]) {
    let mut subject = Subject::new(store).await;
    let mut model = Model::new();
    let (mut last, mut former) = (Rights::default(), Rights::default());
    for step in steps {
        match step {
            Step::Start(mode) => {
                let credentials = sealed(&format!("epoch {}", model.epoch + 1));
                let started = store
                    .start(&subject.project, subject.id, *mode, credentials, at(1))
                    .await;
                assert_eq!(started.unwrap(), model.start(*mode), "{step:?}");
            }
            Step::Stop => assert_eq!(subject.stop().await, model.stop()),
            Step::Delete => {
                let deleted = subject.delete(None).await.map(drop);
                let allowed = model.state.apply(Event::Delete).map_err(Refusal::State);
                assert_eq!(deleted, allowed.map(drop));
                if deleted.is_ok() {
                    subject = Subject::new(store).await;
                    model = Model::new();
                    (last, former) = (Rights::default(), Rights::default());
                }
            }
            Step::Lease => {
                if let Some(rights) = lease(&subject, &mut model).await {
                    former = std::mem::replace(&mut last, rights);
                }
            }
            Step::Commit(whose, work) => {
                let rights = match whose {
                    Lease::Last => &last,
                    Lease::Former => &former,
                };
                let is_wanted = |shard: &&LeasedShard| shard.number == i64::from(work.shard);
                if let Some(shard) = rights.shards.iter().find(is_wanted) {
                    let commit = commit_of(work);
                    let expected = match whose {
                        Lease::Last => model.commit(usize::from(work.shard), &commit),
                        Lease::Former => Committed::Fenced,
                    };
                    assert_eq!(subject.commit(shard, commit).await, expected);
                }
            }
            Step::Finish(whose, end) => {
                let (fencing_token, expected) = match whose {
                    Lease::Last => (last.fencing_token, model.finish(*end)),
                    Lease::Former => (former.fencing_token, Ok(None)),
                };
                // Before the first lease there is no fencing token.
                if fencing_token > 0 {
                    let finished = store
                        .finish(subject.id, fencing_token, ending_of(*end), at(9))
                        .await;
                    assert_eq!(finished.map(ended).map_err(drop), expected, "{step:?}");
                }
            }
            Step::Recover => {
                store.recover(at(9)).await.unwrap();
                if let Ok(state) = model.state.apply(Event::Drain) {
                    model.go(state);
                }
                model.held = false;
            }
        }
        compare(&subject, &model).await;
    }
}

async fn lease(subject: &Subject<'_>, model: &mut Model) -> Option<Rights> {
    let leased = subject
        .store
        .lease_task(subject.id, holder(), at(2))
        .await
        .unwrap();
    // A task that was stopped while nobody held it is leased only to end the work.
    if let Some(leased) = leased
        .as_ref()
        .filter(|leased| leased.task.state == State::Pausing)
    {
        assert!(model.state == State::Pausing && !model.held);
        let end = subject.finish(leased.fencing_token, Ending::Drained).await;
        assert_eq!(end, Some(State::Paused));
        model.go(State::Paused);
        return None;
    }
    let open = model.lease();
    assert_eq!(leased.is_some(), open.is_some());
    let leased = leased?;
    assert_eq!(leased.mode, model.mode);
    let known = match model.epoch {
        1 => "first".to_owned(),
        epoch => format!("epoch {epoch}"),
    };
    assert_eq!(leased.credentials, Some(sealed(&known)));
    let scopes = [ShardScope::Keys, ShardScope::Prefix(Key::from("p"))];
    let kind = kind_of(leased.mode);
    let pass = subject
        .store
        .open_pass(subject.id, leased.fencing_token, pass(kind, &scopes), at(3))
        .await
        .unwrap();
    assert_eq!(Some(pass.kind), model.pass.as_ref().map(|pass| pass.kind));
    let mut shards = Vec::new();
    while let Some(shard) = subject.shard().await {
        shards.push(shard);
    }
    let numbers: Vec<_> = shards.iter().map(|shard| shard.number).collect();
    assert_eq!(Some(numbers), open);
    Some(Rights {
        fencing_token: leased.fencing_token,
        shards,
    })
}

async fn compare(subject: &Subject<'_>, model: &Model) {
    let task = subject.task().await;
    assert_eq!((task.state, task.epoch), (model.state, model.epoch));
    assert_eq!(task.counters, model.counters);
    assert_eq!(task.reason.is_some(), model.state == State::Failed);
    let pass = task.pass.map(|pass| (pass.number, pass.kind, pass.finished));
    let expected = model
        .pass
        .as_ref()
        .map(|pass| (model.passes, pass.kind, pass.finished));
    assert_eq!(pass, expected);
    let failures = subject.store.failures(subject.id, None, 1_000).await.unwrap();
    assert!(failures.iter().eq(model.failures.values()));
    assert_eq!(subject.waiting(ReportKind::Success).await, model.lines);
    let left = model.state == State::Pausing && !model.held;
    let wanted = matches!(model.state, State::Waiting | State::Running) || left;
    assert_eq!(subject.is_pending().await, wanted);
}

fn commit_of(work: &Work) -> Commit {
    let failures: Vec<Failure> = work
        .failed
        .iter()
        .map(|letter| failure(&char::from(b'a' + letter % 26).to_string()))
        .collect();
    Commit {
        delta: counters(i64::from(work.copied), i64::try_from(failures.len()).unwrap()),
        failures,
        close: work.close,
        speed: i64::from(work.copied),
        success: format!("{work:?}\n").repeat(work.copied.into()).into_bytes(),
        ..Commit::default()
    }
}

fn ending_of(end: End) -> Ending {
    match end {
        End::Drained => Ending::Drained,
        End::Finished => Ending::PassFinished,
        End::Broken => Ending::Broken(Reason {
            kind: ReasonKind::SourceCredentials,
            message: "broken".into(),
        }),
    }
}
