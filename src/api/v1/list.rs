//! Lists of tasks on the wire.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::status::TaskStatus;
use super::task::Task;
use crate::api::codes;
use crate::api::query::{DeclaredQuery, Parameters};
use crate::error::{Error, Result};
use crate::task::{State, Task as Known, UnixMillis};

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
pub struct ListParameters {
    /// Number of the first task, from 0.
    #[param(value_type = i64, required = true, minimum = 0, maximum = 999_999_999_999_999_i64, example = 0)]
    start: Option<i64>,
    /// Most tasks to answer.
    #[param(value_type = i64, required = true, minimum = 1, maximum = 100, example = 10)]
    limit: Option<i64>,
    /// Only tasks of this status; no task has 0.
    #[param(value_type = Option<TaskStatus>)]
    state: Option<i64>,
    /// For clients of the original: with `true`, `start` and `limit` may be missing, and the answer is
    /// `{"taskcount": 35}` as that of `count_tasks`. An operation should have one kind of answer, so only `false` is
    /// described by the schema.
    totalcount: Option<bool>,
}

/// Which tasks to count.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CountParameters {
    /// Only tasks of this status; no task has 0.
    #[param(value_type = Option<TaskStatus>)]
    state: Option<i64>,
}

fn code(parameter: &str) -> &'static str {
    match parameter {
        "state" => codes::STATE,
        "totalcount" => codes::INVALID_VALUE,
        _ => codes::RANGE,
    }
}

impl Parameters for ListParameters {
    fn code(name: &str) -> &'static str {
        code(name)
    }

    fn fields(query: &DeclaredQuery) -> Result<Self> {
        Ok(Self {
            start: query.integer("start")?,
            limit: query.integer("limit")?,
            state: query.integer_in("state", TaskStatus::NUMBERS)?,
            totalcount: query.boolean("totalcount")?,
        })
    }
}

impl Parameters for CountParameters {
    fn code(name: &str) -> &'static str {
        code(name)
    }

    fn fields(query: &DeclaredQuery) -> Result<Self> {
        Ok(Self {
            state: query.integer_in("state", TaskStatus::NUMBERS)?,
        })
    }
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
    let ListParameters {
        start,
        limit,
        state,
        totalcount,
    } = ListParameters::read(text)?;
    let states = states_of(state);
    if totalcount == Some(true) {
        return Ok(states.map_or(Selection::CountOfNone, |states| Selection::Count { states }));
    }
    let (Some(start), Some(limit)) = (start, limit) else {
        let missing = match (start, limit) {
            (None, None) => "start and limit are",
            (None, Some(_)) => "start is",
            (Some(_), _) => "limit is",
        };
        let text = format!(
            "{missing} required, for example ?start=0&limit=100; ?totalcount=true counts the tasks instead"
        );
        return Err(Error::invalid(text).with_code(codes::RANGE));
    };
    Ok(states.map_or(Selection::NoTasks, |states| Selection::Tasks {
        states,
        start,
        limit,
    }))
}

/// Reads the query of a count: the states (empty: all), or `None` when no task has the one that is asked for.
///
/// # Errors
/// OMS.0052 for `state`, OMS.0074 for what is not known.
pub fn read_count(text: &str) -> Result<Option<Vec<State>>> {
    Ok(states_of(CountParameters::read(text)?.state))
}

/// The states that v1 shows under a number (without one: empty, for all); `None` when no task has it.
fn states_of(number: Option<i64>) -> Option<Vec<State>> {
    let Some(number) = number else {
        return Some(Vec::new());
    };
    let states: Vec<State> = State::ALL
        .iter()
        .copied()
        .filter(|state| i64::from(super::progress::number_of(*state)) == number)
        .collect();
    (!states.is_empty()).then_some(states)
}

/// The tasks, or with `totalcount=true` their number.
#[derive(Serialize)]
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

impl TaskCount {
    /// Shows a number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self { taskcount: number }
    }
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
        Self::Count(TaskCount::new(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_found_under_its_number() {
        assert_eq!(states_of(Some(2)), Some(vec![State::Running, State::Pausing]));
        assert_eq!(states_of(Some(5)), Some(vec![State::Succeeded]));
        assert_eq!(states_of(Some(0)), None);
    }

    #[test]
    fn a_count_takes_a_state_alone() {
        assert_eq!(read_count("").unwrap(), Some(vec![]));
        assert_eq!(read_count("state=5").unwrap(), Some(vec![State::Succeeded]));
        assert_eq!(read_count("state=0").unwrap(), None);
        for (bad, code) in [
            ("state=6", "OMS.0052"),
            ("start=0", "OMS.0074"),
            ("totalcount=true", "OMS.0074"),
        ] {
            assert_eq!(read_count(bad).unwrap_err().code(), Some(code), "{bad}");
        }
    }

    #[test]
    fn start_and_limit_are_required_unless_tasks_are_counted() {
        let example = "required, for example ?start=0&limit=100; ?totalcount=true counts the tasks instead";
        for (query, missing) in [
            ("", "start and limit are"),
            ("state=5", "start and limit are"),
            ("limit=1", "start is"),
            ("start=0", "limit is"),
        ] {
            let error = read(query).unwrap_err();
            assert_eq!(error.message(), format!("{missing} {example}"));
            assert_eq!(error.code(), Some(codes::RANGE));
        }
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
