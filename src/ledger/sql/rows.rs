//! Rows of the ledger as values of the domain, and the counters as columns.

use super::database::{Row, Statement, flag, get};
use super::open_shards::{self, OPEN_SHARDS};
use crate::error::Result;
use crate::ledger::json::{bandwidth_from_text, damaged, spec_from_text};
use crate::ledger::{Failure, OpenUpload, ShardScope};
use crate::object::ETag;
use crate::task::{
    Counters, Estimate, FailedReport, Key, PassInfo, PassKind, Reason, ReasonKind, ReportProblem,
    ReportProblems, StartMode, State, Task, TaskId, UnixMillis,
};

/// Selects tasks with their specs, their last passes and the open shards of these. The condition follows.
pub(super) fn select_tasks(rest: &str) -> String {
    let (counters, open_shards) = (pass_counters("p"), OPEN_SHARDS.as_str());
    format!(
        "SELECT t.*, s.spec, p.number AS pass_number, p.kind AS pass_kind, p.finished AS pass_finished, \
         p.opened_at AS pass_opened_at, {counters}, {open_shards}, \
         (SELECT problem FROM report_problems WHERE task_id = t.id AND kind = 'success') AS success_problem, \
         (SELECT problem FROM report_problems WHERE task_id = t.id AND kind = 'skip') AS skip_problem \
         FROM tasks t JOIN specs s ON s.task_id = t.id \
         LEFT JOIN passes p ON p.task_id = t.id AND p.number = t.pass {rest}"
    )
}

/// The counters of a pass in an outer join.
pub(super) fn pass_counters(pass: &str) -> String {
    let counters = Counters::NAMES.map(|name| format!("coalesce({pass}.{name}, 0) AS {name}"));
    counters.join(", ")
}

/// A statement that adds counters to those of a row of `table`. `rest` is the SQL that follows the sums. Its parameters have
/// the first numbers; `first` is the number of the first counter. A sum that is too large for a column becomes the largest
/// integer, because an object store may report any sizes.
pub(super) fn add_counters(table: &str, first: usize, rest: &str) -> String {
    let sums = (first..).zip(Counters::NAMES);
    let sums: Vec<String> = sums
        .map(|(number, name)| {
            let most = i64::MAX;
            // The sum itself must not be computed where it is too large.
            format!(
                "{name} = CASE WHEN {name} > {most} - (CASE WHEN ${number} > 0 THEN ${number} ELSE 0 END) THEN {most} \
                 ELSE {name} + ${number} END"
            )
        })
        .collect();
    format!("UPDATE {table} SET {} {rest}", sums.join(", "))
}

/// Binds the counters of [`add_counters`], after all other parameters.
pub(super) fn bind_counters(statement: Statement, counters: Counters) -> Statement {
    let values: [i64; Counters::NAMES.len()] = counters.into();
    values.into_iter().fold(statement, Statement::bind)
}

/// The counters of a row of passes or shards.
pub(super) fn counters(row: &Row) -> Result<Counters> {
    let mut values = [0; Counters::NAMES.len()];
    for (value, name) in values.iter_mut().zip(Counters::NAMES) {
        *value = get(row, name)?;
    }
    Ok(values.into())
}

/// A row of [`select_tasks`].
pub(super) fn task(row: &Row) -> Result<Task> {
    let shards = open_shards::read(row)?;
    let (workers, concurrency) = open_shards::workers(&shards);
    let mut counters = counters(row)?;
    for shard in shards {
        counters += shard.counters;
    }
    Ok(Task {
        id: task_id(row)?,
        project: get::<&str>(row, "project")?
            .parse()
            .map_err(|e| damaged("project").with_source(e))?,
        name: get(row, "name")?,
        spec: spec_from_text(get(row, "spec")?)?,
        bandwidth: bandwidth_from_text(get(row, "bandwidth")?)?,
        state: state(row)?,
        reason: reason_in(row, "reason_code", "reason_message")?,
        counters,
        survey: Estimate {
            objects: get(row, "survey_objects")?,
            bytes: get(row, "survey_bytes")?,
            complete: flag(row, "survey_complete")?,
        },
        speed: workers
            .iter()
            .fold(0, |sum, worker| worker.speed.saturating_add(sum)),
        concurrency,
        workers,
        epoch: get(row, "epoch")?,
        pass: pass(row)?,
        created_at: UnixMillis(get(row, "created_at")?),
        started_at: get::<Option<i64>>(row, "started_at")?.map(UnixMillis),
        ended_at: get::<Option<i64>>(row, "ended_at")?.map(UnixMillis),
        running_since: get::<Option<i64>>(row, "running_since")?.map(UnixMillis),
        ran_for: get(row, "ran_for")?,
        failed_list: FailedReport {
            key: get(row, "failed_list_key")?,
            problem: problem(row, "failed_list_error")?,
        },
        report_problems: problems(row)?,
    })
}

/// The column `id`.
pub(super) fn task_id(row: &Row) -> Result<TaskId> {
    TaskId::new(get(row, "id")?).map_err(|e| damaged("task id").with_source(e))
}

/// A reason, in a column for its name and one for its message.
pub(super) fn reason_in(row: &Row, code: &str, message: &str) -> Result<Option<Reason>> {
    let Some(name) = get::<Option<&str>>(row, code)? else {
        return Ok(None);
    };
    Ok(Some(Reason {
        kind: ReasonKind::from_name(name).ok_or_else(|| damaged("reason"))?,
        message: get(row, message)?,
    }))
}

/// The column `state`.
pub(super) fn state(row: &Row) -> Result<State> {
    State::from_name(get(row, "state")?).ok_or_else(|| damaged("state"))
}

/// The columns `pass_number`, `pass_kind`, `pass_finished` and `pass_opened_at` of an outer join.
pub(super) fn pass(row: &Row) -> Result<Option<PassInfo>> {
    let Some(number) = get::<Option<i64>>(row, "pass_number")? else {
        return Ok(None);
    };
    Ok(Some(PassInfo {
        number,
        kind: PassKind::from_name(get(row, "pass_kind")?).ok_or_else(|| damaged("kind of pass"))?,
        finished: flag(row, "pass_finished")?,
        opened_at: UnixMillis(get(row, "pass_opened_at")?),
    }))
}

/// A row of failures.
pub(super) fn failure(row: &Row) -> Result<Failure> {
    Ok(Failure {
        key: Key::from(get::<&[u8]>(row, "key")?),
        size: get(row, "size")?,
        code: get(row, "code")?,
        message: get(row, "message")?,
        request_id: get(row, "request_id")?,
        attempts: get(row, "attempts")?,
        at: UnixMillis(get(row, "at")?),
    })
}

/// A row of uploads.
pub(super) fn upload(row: &Row) -> Result<OpenUpload> {
    Ok(OpenUpload {
        key: Key::from(get::<&[u8]>(row, "key")?),
        upload_id: get(row, "upload_id")?,
        part_size: get(row, "part_size")?,
        // `ETag::new` removes only the added quotes, so a tag that itself begins with `W/` stays unchanged. An empty text
        // stands for no tag.
        source_etag: Some(get::<&str>(row, "source_etag")?)
            .filter(|tag| !tag.is_empty())
            .map(|tag| ETag::new(&format!("\"{tag}\""))),
        size: get(row, "size")?,
        foreign_uploads: foreign_uploads(row)?,
    })
}

/// The uploads that others had open for the same key before an upload or an orphan was created; `None` if the target did not
/// list them.
pub(super) fn foreign_uploads(row: &Row) -> Result<Option<Vec<String>>> {
    let ids: Option<&str> = get(row, "foreign_uploads")?;
    let read = |text| serde_json::from_str(text).map_err(|e| damaged("uploads of others").with_source(e));
    ids.map(read).transpose()
}

/// Name and prefix of a scope in the ledger.
pub(super) fn scope_columns(scope: &ShardScope) -> (&'static str, Option<&[u8]>) {
    match scope {
        ShardScope::Prefix(prefix) => ("prefix", Some(prefix.as_bytes())),
        ShardScope::Keys => ("keys", None),
        ShardScope::Failures => ("failures", None),
    }
}

/// The columns `scope` and `prefix`.
pub(super) fn scope(row: &Row) -> Result<ShardScope> {
    match (get::<&str>(row, "scope")?, get::<Option<&[u8]>>(row, "prefix")?) {
        ("prefix", Some(prefix)) => Ok(ShardScope::Prefix(Key::from(prefix))),
        ("keys", None) => Ok(ShardScope::Keys),
        ("failures", None) => Ok(ShardScope::Failures),
        _ => Err(damaged("scope of a shard")),
    }
}

/// The column `mode`.
pub(super) fn mode(row: &Row) -> Result<StartMode> {
    StartMode::from_name(get(row, "mode")?).ok_or_else(|| damaged("mode"))
}

/// The problem of a report in `column`.
pub(super) fn problem(row: &Row, column: &str) -> Result<Option<ReportProblem>> {
    let Some(name) = get::<Option<&str>>(row, column)? else {
        return Ok(None);
    };
    let problem = ReportProblem::from_name(name);
    problem.map(Some).ok_or_else(|| damaged("problem of a report"))
}

/// The columns `success_problem` and `skip_problem`.
pub(super) fn problems(row: &Row) -> Result<ReportProblems> {
    Ok(ReportProblems {
        success: problem(row, "success_problem")?,
        skip: problem(row, "skip_problem")?,
    })
}
