//! What a task is: its identity, what it shall do, how far it is. Plain values, no IO.

pub mod bandwidth;
mod cloud;
mod concurrency;
mod counters;
mod cover;
pub mod key;
pub mod lists;
pub(crate) mod names;
pub mod reason;
pub mod rules;
pub mod spec;
pub mod state;
pub mod storage;
mod time;
pub mod warning;
mod worker;

use std::fmt;
use std::str::FromStr;

use strum::{EnumString, IntoStaticStr, VariantArray};

pub use bandwidth::{BandwidthPolicy, BandwidthWindow};
pub use concurrency::{Concurrency, ConcurrencyReason};
pub use counters::Counters;
pub use key::Key;
pub use lists::{FailedReport, ReportKind, ReportProblem, ReportProblems};
pub use reason::{Reason, ReasonKind};
pub use rules::CopyRules;
pub use spec::TaskSpec;
pub use state::{Event, Rejection, State};
pub use time::{Clock, UnixMillis};
pub use warning::{KeptWarning, Warning, WarningCode};
pub use worker::{TaskWorker, WorkerId, positive};

use self::names::stored_by_name;
use crate::violation::Violation;

/// Number of a task: at most 15 digits, growing with time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(i64);

impl TaskId {
    /// The largest id: 15 digits, as in the OMS reference.
    pub const MAX: i64 = 999_999_999_999_999;

    /// Checks the range 1 to [`TaskId::MAX`].
    ///
    /// # Errors
    /// [`Violation::TaskIdForm`] outside of it.
    pub fn new(value: i64) -> Result<Self, Violation> {
        if (1..=Self::MAX).contains(&value) {
            Ok(Self(value))
        } else {
            Err(Violation::TaskIdForm)
        }
    }

    /// The id for a task created at `now` that is the `sequence`th in its moment: milliseconds × 100 + sequence,
    /// which has 15 digits until the year 2286.
    #[must_use]
    pub fn at(now: UnixMillis, sequence: u8) -> Self {
        Self((now.0.max(1).saturating_mul(100) + i64::from(sequence % 100)).min(Self::MAX))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TaskId {
    type Err = Violation;
    fn from_str(text: &str) -> Result<Self, Violation> {
        let digits = text.len() <= 15 && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        Self::new(if digits { text.parse().unwrap_or(0) } else { 0 })
    }
}

/// The tenant a task belongs to: 1–64 letters, digits, `-` or `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(String);

impl FromStr for ProjectId {
    type Err = Violation;
    fn from_str(text: &str) -> Result<Self, Violation> {
        let fine = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fine {
            Ok(Self(text.to_owned()))
        } else {
            Err(Violation::ProjectIdForm)
        }
    }
}

impl ProjectId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a pass does. The names stand in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum PassKind {
    /// Lists the whole scope.
    Full,
    /// Takes up the recorded failures only.
    Failed,
}

stored_by_name!(PassKind);

/// What start shall do. The names stand in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum StartMode {
    /// Resumes the pass that did not finish, or begins a new full pass.
    Full,
    /// Repeats the recorded failures of the finished pass.
    FailedOnly,
}

stored_by_name!(StartMode);

/// The size of the scope as a background count of the source found it; for progress and time left only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Objects counted so far.
    pub objects: i64,
    /// Bytes counted so far.
    pub bytes: i64,
    /// Whether the count has reached the end of the scope.
    pub complete: bool,
}

impl Estimate {
    /// A count that is going on and shows no less than an earlier one that did not come to its end.
    #[must_use]
    pub fn at_least(self, earlier: Self) -> Self {
        Self {
            objects: self.objects.max(earlier.objects),
            bytes: self.bytes.max(earlier.bytes),
            complete: self.complete,
        }
    }
}

/// A task as the ledger knows it.
#[derive(Clone, Debug)]
pub struct Task {
    /// Number.
    pub id: TaskId,
    /// Tenant.
    pub project: ProjectId,
    /// Name made at creation from both buckets and the time.
    pub name: String,
    /// What to do.
    pub spec: TaskSpec,
    /// Bandwidth windows; may be changed at any time before the end.
    pub bandwidth: BandwidthPolicy,
    /// Where it stands.
    pub state: State,
    /// Why it failed; only in [`State::Failed`].
    pub reason: Option<Reason>,
    /// Counters of the scope: the last full pass, corrected by the failed-only passes after it.
    pub counters: Counters,
    /// Size of the scope, as far as counted.
    pub survey: Estimate,
    /// Bytes per second over the last seconds; 0 unless running.
    pub speed: i64,
    /// How many small objects are copied at the same time; only while it is running and copies.
    pub concurrency: Option<Concurrency>,
    /// The workers that hold shards of the task.
    pub workers: Vec<TaskWorker>,
    /// Version of the credentials; grows at each start.
    pub epoch: i64,
    /// Kind and state of the last pass; `None` before the first.
    pub pass: Option<PassInfo>,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When it first began to run.
    pub started_at: Option<UnixMillis>,
    /// When it ended, failed or succeeded; only while it is in such a state.
    pub ended_at: Option<UnixMillis>,
    /// Since when it has been running; only while it is.
    pub running_since: Option<UnixMillis>,
    /// Time spent running before `running_since`, in milliseconds.
    pub ran_for: i64,
    /// The list of failed objects at the target.
    pub failed_list: FailedReport,
    /// What is wrong with the lists of copied and skipped objects at the target.
    pub report_problems: ReportProblems,
}

impl Task {
    /// The task once `pass` is its last one, as the ledger has it: a new full pass counts everything anew.
    #[must_use]
    pub fn in_pass(self, pass: PassInfo) -> Self {
        let is_new = self.pass.is_none_or(|last| last.number != pass.number);
        let anew = is_new && pass.kind == PassKind::Full;
        Self {
            counters: if anew { Counters::default() } else { self.counters },
            survey: if anew { Estimate::default() } else { self.survey },
            pass: Some(pass),
            ..self
        }
    }
}

/// The last pass of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassInfo {
    /// Its number within the task, from 1.
    pub number: i64,
    /// What it does.
    pub kind: PassKind,
    /// Whether every shard was closed.
    pub finished: bool,
    /// When it was opened: later than every earlier pass of the task, and than all they did.
    pub opened_at: UnixMillis,
}

#[cfg(test)]
pub(crate) mod testing {
    //! Values for unit tests.

    use super::spec::{Addressing, BucketLocation, Cloud, Endpoint, EndpointOrigin, Payer, Scope};
    use super::{Key, TaskSpec};

    /// The order of a whole bucket.
    pub fn spec() -> TaskSpec {
        let place = |bucket: &str| BucketLocation {
            cloud: Cloud::Aws,
            region: "us-east-1".to_owned(),
            bucket: bucket.to_owned(),
            endpoint: Endpoint {
                url: "http://127.0.0.1:1".to_owned(),
                addressing: Addressing::Path,
                origin: EndpointOrigin::Request,
            },
            app_id: None,
            payer: Payer::Owner,
        };
        TaskSpec {
            source: place("source"),
            target: place("target"),
            target_prefix: Key::from(""),
            scope: Scope::Prefixes(vec![Key::from("")]),
            description: String::new(),
            threads: 8,
            kms: false,
            migrate_since: None,
            restore: false,
            record_failures: true,
            record_settled: true,
            cdn: None,
            notification: None,
            rules: super::CopyRules::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_ids_have_fifteen_digits_and_grow() {
        let first = TaskId::at(UnixMillis(1_795_000_000_000), 0);
        let second = TaskId::at(UnixMillis(1_795_000_000_000), 1);
        let later = TaskId::at(UnixMillis(1_795_000_000_001), 0);
        assert_eq!(first.to_string().len(), 15);
        assert!(first < second && second < later);
    }

    #[test]
    fn task_ids_are_parsed_strictly() {
        for bad in ["", "0", "-1", "+1", "1e3", "1234567890123456", "12a", " 1", "१"] {
            assert!(bad.parse::<TaskId>().is_err(), "{bad}");
        }
        assert_eq!("999999999999999".parse::<TaskId>().unwrap().get(), TaskId::MAX);
    }

    #[test]
    fn passes_and_starts_have_the_names_that_ledgers_have() {
        let kinds: Vec<&str> = PassKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(kinds, ["full", "failed"]);
        let modes: Vec<&str> = StartMode::ALL.iter().map(|mode| mode.name()).collect();
        assert_eq!(modes, ["full", "failed_only"]);
    }

    #[test]
    fn project_ids_are_checked() {
        for bad in ["", "a b", "{project_id}", "a/b", &"x".repeat(65)] {
            assert!(bad.parse::<ProjectId>().is_err(), "{bad}");
        }
        assert!("0215ef11e49d4743be23dd97a1561e91".parse::<ProjectId>().is_ok());
    }
}
