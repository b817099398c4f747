//! Lists of tasks on the wire.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::task::Task;
use crate::api::codes;
use crate::api::query::Query;
use crate::error::{Error, Result};
use crate::task::{State, Task as Known, UnixMillis};

const RANGE: &str = codes::RANGE;
const STATE: &str = codes::STATE;
const PARAMETERS: &[(&str, &str)] = &[
    ("start", RANGE),
    ("limit", RANGE),
    ("state", STATE),
    ("totalcount", codes::INVALID_VALUE),
];

/// The project.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path; `InProject` reads it")]
pub struct ProjectPath {
    /// Project that the tasks belong to.
    #[param(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9_-]+$",
        example = "0215ef11e49d4743be23dd97a1561e91"
    )]
    project_id: String,
}

/// Which tasks, and whether to count them.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the query; `read` reads it")]
pub struct ListParameters {
    /// Number of the first task, from 0. Required unless `totalcount` is true.
    #[param(minimum = 0, maximum = 999_999_999_999_999_i64, example = 0)]
    start: Option<i64>,
    /// Most tasks to answer. Required unless `totalcount` is true.
    #[param(minimum = 1, maximum = 100, example = 10)]
    limit: Option<i64>,
    /// Only tasks of this status: 1 waiting, 2 running, 3 paused, 4 failed, 5 succeeded; no task has 0.
    #[param(minimum = 0, maximum = 5)]
    state: Option<i64>,
    /// Answer the number of tasks instead of the tasks.
    totalcount: Option<bool>,
}

/// What a query asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Selection {
    /// Tasks in these states (empty: all).
    Tasks {
        /// States.
        states: Vec<State>,
        /// Number of the first task.
        start: i64,
        /// Most tasks.
        limit: i64,
    },
    /// The number of tasks in these states (empty: all).
    Count {
        /// States.
        states: Vec<State>,
    },
    /// Tasks of a status that none has.
    NoTasks,
    /// The number of those.
    CountOfNone,
}

/// Reads a query string.
///
/// # Errors
/// OMS.0051 for `start` and `limit`, OMS.0052 for `state`, OMS.0064 for `totalcount`, OMS.0074 for what is missing or
/// not known.
pub fn read(text: &str) -> Result<Selection> {
    let query = Query::parse(text, PARAMETERS)?;
    let start = query.integer("start", 0, 999_999_999_999_999, RANGE)?;
    let limit = query.integer("limit", 1, 100, RANGE)?;
    let states = query
        .integer("state", 0, 5, STATE)?
        .map_or(Some(Vec::new()), states_of);
    let count = match query.get("totalcount") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => {
            return Err(Error::invalid("totalcount must be true or false").with_code(codes::INVALID_VALUE));
        }
    };
    if count {
        return Ok(states.map_or(Selection::CountOfNone, |states| Selection::Count { states }));
    }
    let required = |value: Option<i64>, name: &str| {
        value.ok_or_else(|| Error::invalid(format!("{name} is required")).with_code(RANGE))
    };
    let (start, limit) = (required(start, "start")?, required(limit, "limit")?);
    Ok(states.map_or(Selection::NoTasks, |states| Selection::Tasks {
        states,
        start,
        limit,
    }))
}

/// The states that v1 shows under a number; `None` when no task has it.
fn states_of(number: i64) -> Option<Vec<State>> {
    let states: Vec<State> = State::ALL
        .into_iter()
        .filter(|state| i64::from(super::progress::number_of(*state)) == number)
        .collect();
    (!states.is_empty()).then_some(states)
}

/// The tasks, or with `totalcount=true` their number.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum TaskList {
    /// The tasks, newest first.
    Tasks(Vec<Task>),
    /// Their number.
    Count(TaskCount),
}

/// A number of tasks.
#[derive(Serialize, ToSchema)]
pub struct TaskCount {
    /// How many tasks there are.
    #[schema(minimum = 0, examples(35))]
    taskcount: i64,
}

impl TaskList {
    /// Shows tasks as they are at `now`.
    #[must_use]
    pub fn tasks(tasks: Vec<Known>, now: UnixMillis) -> Self {
        Self::Tasks(tasks.into_iter().map(|task| Task::new(task, now)).collect())
    }

    /// Shows a number.
    #[must_use]
    pub const fn count(number: i64) -> Self {
        Self::Count(TaskCount { taskcount: number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_found_under_its_number() {
        assert_eq!(states_of(2), Some(vec![State::Running, State::Pausing]));
        assert_eq!(states_of(5), Some(vec![State::Succeeded]));
        assert_eq!(states_of(0), None);
    }

    #[test]
    fn start_and_limit_are_required_unless_tasks_are_counted() {
        assert_eq!(read("limit=1").unwrap_err().message(), "start is required");
        assert_eq!(read("start=0").unwrap_err().message(), "limit is required");
        assert_eq!(
            read("totalcount=true").unwrap(),
            Selection::Count { states: vec![] }
        );
        assert_eq!(read("totalcount=true&state=0").unwrap(), Selection::CountOfNone);
        let all = Selection::Tasks {
            states: vec![],
            start: 0,
            limit: 100,
        };
        assert_eq!(read("start=0&limit=100&totalcount=false").unwrap(), all);
        assert_eq!(read("start=0&limit=1&state=0").unwrap(), Selection::NoTasks);
    }
}
