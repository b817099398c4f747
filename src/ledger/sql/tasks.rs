//! Tasks as rows: inserting them, reading them, storing their estimates.

use std::sync::LazyLock;

use super::database::{Database, Tx, get, sql};
use super::facts::task_counters;
use super::open_shards::{self, OPEN_SHARDS};
use super::rows::{self, select_tasks};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::json::{bandwidth_from_text, bandwidth_to_text, spec_to_text};
use crate::ledger::{Control, Failure, NewTask, TaskFilter};
use crate::task::{
    Counters, Estimate, FailedReport, Key, ProjectId, ReportProblem, ReportProblems, StartMode, State, Task,
    TaskId, UnixMillis, WorkerId,
};

pub(super) async fn create(ledger: &Database, new: NewTask, now: UnixMillis) -> Result<Task> {
    let mut tx = ledger.begin().await?;
    let task = insert(&mut tx, new, now).await?;
    tx.end().await?;
    Ok(task)
}

/// Inserts a task inside a transaction.
pub(super) async fn insert(tx: &mut Tx, new: NewTask, now: UnixMillis) -> Result<Task> {
    const INSERT: &str = "INSERT INTO tasks (id, project, name, bandwidth, state, epoch, mode, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    const FIRST_EPOCH: i64 = 1;
    let bandwidth = bandwidth_to_text(&new.bandwidth)?;
    let spec = spec_to_text(&new.spec)?;
    let state = State::Waiting;
    let insert = sql(INSERT)
        .bind(new.id.get())
        .bind(new.project.as_str())
        .bind(new.name.as_str())
        .bind(bandwidth)
        .bind(state.name())
        .bind(FIRST_EPOCH)
        .bind(StartMode::Full.name())
        .bind(now.0);
    tx.run(insert).await.map_err(|error| match error.kind() {
        ErrorKind::Conflict => {
            Error::new(ErrorKind::Conflict, format!("task {} exists already", new.id)).with_source(error)
        }
        _ => error,
    })?;
    let insert = sql("INSERT INTO specs (task_id, spec) VALUES ($1, $2)")
        .bind(new.id.get())
        .bind(spec);
    tx.run(insert).await?;
    let insert = sql("INSERT INTO credentials (task_id, sealed) VALUES ($1, $2)")
        .bind(new.id.get())
        .bind(new.credentials.0);
    tx.run(insert).await?;
    Ok(Task {
        id: new.id,
        project: new.project,
        name: new.name,
        spec: new.spec,
        bandwidth: new.bandwidth,
        state,
        reason: None,
        counters: Counters::default(),
        survey: Estimate::default(),
        speed: 0,
        concurrency: None,
        workers: Vec::new(),
        epoch: FIRST_EPOCH,
        pass: None,
        created_at: now,
        started_at: None,
        ended_at: None,
        running_since: None,
        ran_for: 0,
        failed_list: FailedReport::default(),
        report_problems: ReportProblems::default(),
    })
}

pub(super) async fn task(ledger: &Database, project: &ProjectId, id: TaskId) -> Result<Option<Task>> {
    static SELECT: LazyLock<String> = LazyLock::new(|| select_tasks("WHERE t.id = $1 AND t.project = $2"));
    let select = sql(SELECT.as_str()).bind(id.get()).bind(project.as_str());
    ledger.first(select, rows::task).await
}

/// A filter's states as one text, such as `,paused,failed,`, so that one statement serves every filter.
fn states(filter: &TaskFilter) -> String {
    let mut names = String::new();
    for state in &filter.states {
        names.push_str(if names.is_empty() { "," } else { "" });
        names.push_str(state.name());
        names.push(',');
    }
    names
}

pub(super) async fn tasks(
    ledger: &Database,
    filter: &TaskFilter,
    offset: i64,
    limit: i64,
) -> Result<Vec<Task>> {
    static SELECT: LazyLock<String> = LazyLock::new(|| {
        select_tasks(
            "WHERE t.project = $1 AND ($2 = '' OR $2 LIKE '%,' || t.state || ',%') \
         ORDER BY t.id DESC LIMIT $3 OFFSET $4",
        )
    });
    let select = sql(SELECT.as_str())
        .bind(filter.project.as_str())
        .bind(states(filter))
        .bind(limit.max(0))
        .bind(offset.max(0));
    ledger.all(select, rows::task).await
}

pub(super) async fn count(ledger: &Database, filter: &TaskFilter) -> Result<i64> {
    let row = sql("SELECT count(*) AS number FROM tasks \
         WHERE project = $1 AND ($2 = '' OR $2 LIKE '%,' || state || ',%')")
    .bind(filter.project.as_str())
    .bind(states(filter))
    .one(ledger)
    .await?;
    get(&row, "number")
}

pub(super) async fn failures(
    ledger: &Database,
    id: TaskId,
    after: Option<&Key>,
    limit: i64,
) -> Result<Vec<Failure>> {
    // Two statements, because a condition like "all keys, if none is given" would prevent a seek to the key.
    const FIRST: &str = "SELECT * FROM failures WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') \
         ORDER BY key LIMIT $2";
    const BEHIND: &str = "SELECT * FROM failures WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') \
         AND key > $3 ORDER BY key LIMIT $2";
    let statement = match after {
        None => sql(FIRST).bind(id.get()).bind(limit.max(0)),
        Some(key) => sql(BEHIND).bind(id.get()).bind(limit.max(0)).bind(key.as_bytes()),
    };
    ledger.all(statement, rows::failure).await
}

pub(super) async fn control(
    ledger: &Database,
    lease_millis: i64,
    id: TaskId,
    worker: WorkerId,
    now: UnixMillis,
) -> Result<Option<Control>> {
    static SELECT: LazyLock<String> = LazyLock::new(|| {
        let (counters, open_shards) = (rows::pass_counters("p"), OPEN_SHARDS.as_str());
        format!(
            "SELECT t.state, t.bandwidth, {counters}, {open_shards}, \
             (SELECT count(*) FROM workers w WHERE w.id <> $2 AND w.idle = 1 AND w.seen_at > $3) AS idle, \
             (SELECT count(*) FROM shards s WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0 \
             AND s.held_by IS NULL AND s.scope <> 'keys') AS free FROM tasks t \
             LEFT JOIN passes p ON p.task_id = t.id AND p.number = t.pass WHERE t.id = $1 AND t.project <> ''"
        )
    });
    let select = sql(SELECT.as_str())
        .bind(id.get())
        .bind(worker.get())
        .bind(now.0.saturating_sub(lease_millis));
    let row = select.maybe(ledger).await?;
    row.as_ref()
        .map(|row| {
            let counters = task_counters(row)?;
            Ok(Control {
                state: rows::state(row)?,
                bandwidth: bandwidth_from_text(get(row, "bandwidth")?)?,
                settled: counters.settled(),
                workers: open_shards::workers(&open_shards::read(row)?).0,
                idle: get(row, "idle")?,
                free: get(row, "free")?,
            })
        })
        .transpose()
}

pub(super) async fn set_estimate(ledger: &Database, id: TaskId, survey: Estimate) -> Result<()> {
    let statement =
        sql("UPDATE tasks SET survey_objects = $2, survey_bytes = $3, survey_complete = $4 WHERE id = $1")
            .bind(id.get())
            .bind(survey.objects)
            .bind(survey.bytes)
            .bind(survey.complete);
    ledger.change(statement).await.map(drop)
}

pub(super) async fn set_failed_report(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    list: &FailedReport,
) -> Result<()> {
    let statement = sql(
        "UPDATE tasks SET failed_list_key = $3, failed_list_error = $4 WHERE id = $1 AND fencing_token = $2",
    )
    .bind(id.get())
    .bind(fencing_token)
    .bind(list.key.as_deref())
    .bind(list.problem.map(ReportProblem::name));
    ledger.change(statement).await.map(drop)
}
