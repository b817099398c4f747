//! Rows of the ledger as values of the domain, and the counters as columns.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite, SqliteExecutor};

use super::error::translate;
use crate::error::Result;
use crate::ledger::json::{bandwidth_from_text, damaged, spec_from_text};
use crate::ledger::{Failure, OpenUpload, ShardScope};
use crate::object::ETag;
use crate::task::{
    Concurrency, ConcurrencyReason, Counters, Estimate, FailedReport, Key, PassInfo, PassKind, Reason,
    ReasonKind, ReportProblem, ReportProblems, StartMode, State, Task, TaskId, UnixMillis,
};

/// A statement with what is bound to it.
pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// Selects tasks with their specs and their last passes. The condition follows.
macro_rules! select_tasks {
    ($rest:literal) => {
        concat!(
            "SELECT t.*, s.spec, p.number AS pass_number, p.kind AS pass_kind, p.finished AS pass_finished, \
             p.opened_at AS pass_opened_at, \
             (SELECT trouble FROM list_troubles WHERE task_id = t.id AND kind = 'success') AS success_list_trouble, \
             (SELECT trouble FROM list_troubles WHERE task_id = t.id AND kind = 'skip') AS skip_list_trouble \
             FROM tasks t JOIN specs s ON s.task_id = t.id \
             LEFT JOIN passes p ON p.task_id = t.id AND p.number = t.pass ",
            $rest
        )
    };
}
pub(super) use select_tasks;

/// A statement that adds counters to those of a row of `table`. `rest` is the SQL that follows the sums. Its parameters have
/// the first numbers; `first` is the number of the first counter. A sum that is too large for a column becomes the largest
/// integer, because an object store may report any sizes.
pub(super) fn add_counters(table: &str, first: usize, rest: &str) -> String {
    let sums = (first..).zip(Counters::NAMES);
    let sums: Vec<String> = sums
        .map(|(number, name)| format!("{name} = min({name} + ?{number}, {})", i64::MAX))
        .collect();
    format!("UPDATE {table} SET {} {rest}", sums.join(", "))
}

/// Reads all rows of a statement, each with `read`.
pub(super) async fn read_all<T>(
    on: impl SqliteExecutor<'_>,
    statement: Statement,
    read: fn(&SqliteRow) -> Result<T>,
) -> Result<Vec<T>> {
    let rows = statement.fetch_all(on).await.map_err(translate)?;
    rows.iter().map(read).collect()
}

/// Reads the first row of a statement with `read`; `None` if there is no row.
pub(super) async fn read_first<T>(
    on: impl SqliteExecutor<'_>,
    statement: Statement,
    read: fn(&SqliteRow) -> Result<T>,
) -> Result<Option<T>> {
    let row = statement.fetch_optional(on).await.map_err(translate)?;
    row.as_ref().map(read).transpose()
}

/// A column's value.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &str) -> Result<T>
where
    T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
{
    row.try_get(column).map_err(translate)
}

/// Binds the counters of [`add_counters`], after all other parameters.
pub(super) fn bind_counters(statement: Statement, counters: Counters) -> Statement {
    let values: [i64; Counters::NAMES.len()] = counters.into();
    values.into_iter().fold(statement, Statement::bind)
}

/// The counters of a row of tasks or shards.
pub(super) fn counters(row: &SqliteRow) -> Result<Counters> {
    let mut values = [0; Counters::NAMES.len()];
    for (value, name) in values.iter_mut().zip(Counters::NAMES) {
        *value = get(row, name)?;
    }
    Ok(values.into())
}

/// A row of [`select_tasks`].
pub(super) fn task(row: &SqliteRow) -> Result<Task> {
    Ok(Task {
        id: task_id(row)?,
        project: get::<&str>(row, "project")?
            .parse()
            .map_err(|e| damaged("project").with_source(e))?,
        name: get(row, "name")?,
        spec: spec_from_text(get(row, "spec")?)?,
        bandwidth: bandwidth_from_text(get(row, "bandwidth")?)?,
        state: state(row)?,
        reason: reason(row)?,
        counters: counters(row)?,
        survey: Estimate {
            objects: get(row, "survey_objects")?,
            bytes: get(row, "survey_bytes")?,
            complete: get(row, "survey_complete")?,
        },
        speed: get(row, "speed")?,
        concurrency: concurrency(row)?,
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

/// The columns `concurrency_allowed`, `concurrency_in_flight` and `concurrency_reason`.
fn concurrency(row: &SqliteRow) -> Result<Option<Concurrency>> {
    let Some(reason) = get::<Option<&str>>(row, "concurrency_reason")? else {
        return Ok(None);
    };
    Ok(Some(Concurrency {
        allowed: get(row, "concurrency_allowed")?,
        in_flight: get(row, "concurrency_in_flight")?,
        reason: ConcurrencyReason::from_name(reason).ok_or_else(|| damaged("reason of the concurrency"))?,
    }))
}

/// The column `id`.
pub(super) fn task_id(row: &SqliteRow) -> Result<TaskId> {
    TaskId::new(get(row, "id")?).map_err(|e| damaged("task id").with_source(e))
}

/// The columns `reason_code` and `reason_message`.
fn reason(row: &SqliteRow) -> Result<Option<Reason>> {
    let Some(name) = get::<Option<&str>>(row, "reason_code")? else {
        return Ok(None);
    };
    Ok(Some(Reason {
        kind: ReasonKind::from_name(name).ok_or_else(|| damaged("reason"))?,
        message: get(row, "reason_message")?,
    }))
}

/// The column `state`.
pub(super) fn state(row: &SqliteRow) -> Result<State> {
    State::from_name(get(row, "state")?).ok_or_else(|| damaged("state"))
}

/// The columns `pass_number`, `pass_kind`, `pass_finished` and `pass_opened_at` of an outer join.
pub(super) fn pass(row: &SqliteRow) -> Result<Option<PassInfo>> {
    let Some(number) = get::<Option<i64>>(row, "pass_number")? else {
        return Ok(None);
    };
    Ok(Some(PassInfo {
        number,
        kind: PassKind::from_name(get(row, "pass_kind")?).ok_or_else(|| damaged("kind of pass"))?,
        finished: get(row, "pass_finished")?,
        opened_at: UnixMillis(get(row, "pass_opened_at")?),
    }))
}

/// A row of failures.
pub(super) fn failure(row: &SqliteRow) -> Result<Failure> {
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
pub(super) fn upload(row: &SqliteRow) -> Result<OpenUpload> {
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
pub(super) fn foreign_uploads(row: &SqliteRow) -> Result<Option<Vec<String>>> {
    let ids: Option<&str> = get(row, "strangers")?;
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
pub(super) fn scope(row: &SqliteRow) -> Result<ShardScope> {
    match (get::<&str>(row, "scope")?, get::<Option<&[u8]>>(row, "prefix")?) {
        ("prefix", Some(prefix)) => Ok(ShardScope::Prefix(Key::from(prefix))),
        ("keys", None) => Ok(ShardScope::Keys),
        ("failures", None) => Ok(ShardScope::Failures),
        _ => Err(damaged("scope of a shard")),
    }
}

/// The column `mode`.
pub(super) fn mode(row: &SqliteRow) -> Result<StartMode> {
    StartMode::from_name(get(row, "mode")?).ok_or_else(|| damaged("mode"))
}

/// The problem of a report in `column`.
pub(super) fn problem(row: &SqliteRow, column: &str) -> Result<Option<ReportProblem>> {
    let Some(name) = get::<Option<&str>>(row, column)? else {
        return Ok(None);
    };
    let problem = ReportProblem::from_name(name);
    problem.map(Some).ok_or_else(|| damaged("problem of a report"))
}

/// The columns `success_list_trouble` and `skip_list_trouble`.
pub(super) fn problems(row: &SqliteRow) -> Result<ReportProblems> {
    Ok(ReportProblems {
        success: problem(row, "success_list_trouble")?,
        skip: problem(row, "skip_list_trouble")?,
    })
}
