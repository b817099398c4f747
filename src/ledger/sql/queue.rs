//! Reads which tasks need a worker. The cost does not grow with their number.

use super::database::{Database, Row, get, sql};
use super::rows;
use crate::error::Result;
use crate::ledger::json::damaged;
use crate::ledger::{PROJECTS_AT_ONCE, Pending, RUNNING_AT_ONCE, TASKS_AT_ONCE, Wanted};
use crate::task::{ProjectId, TaskId, UnixMillis, WorkerId};

pub(super) async fn pending(
    ledger: &Database,
    lease_millis: i64,
    after: Option<&ProjectId>,
    worker: WorkerId,
    now: UnixMillis,
) -> Result<Vec<Pending>> {
    // The conditions must be written as in the partial indexes, or SQLite does not use the indexes.
    const RUNNING: &str = "SELECT id, project FROM tasks WHERE state = 'running' \
         AND (held_by IS NULL OR held_by = $2 OR seen_at <= $3) ORDER BY id LIMIT $1";
    const PAUSING: &str = "SELECT id, project FROM tasks WHERE state = 'pausing' \
         AND (held_by IS NULL OR held_by <> $2 AND seen_at <= $3) ORDER BY id LIMIT $1";
    let mut found = Vec::new();
    for left in [RUNNING, PAUSING] {
        let left = sql(left)
            .bind(RUNNING_AT_ONCE)
            .bind(worker.get())
            .bind(now.0.saturating_sub(lease_millis));
        found.extend(ledger.all(left, one).await?);
    }
    let after = after.map_or("", ProjectId::as_str);
    let behind = waiting_behind(ledger, after, PROJECTS_AT_ONCE).await?;
    let mut projects: Vec<&ProjectId> = behind.iter().map(|task| &task.project).collect();
    projects.dedup();
    let left = PROJECTS_AT_ONCE - i64::try_from(projects.len()).unwrap_or(PROJECTS_AT_ONCE);
    // Continues with the first projects. Duplicates are left out.
    let before = if after.is_empty() || left <= 0 {
        Vec::new()
    } else {
        waiting_behind(ledger, "", left).await?
    };
    let before = before.into_iter().filter(|task| task.project.as_str() <= after);
    found.extend(behind.into_iter().chain(before.collect::<Vec<_>>()));
    Ok(found)
}

/// The oldest waiting tasks of the next projects. Each project is found with one step in the index, without reading the
/// tasks of the previous project.
async fn waiting_behind(ledger: &Database, after: &str, projects: i64) -> Result<Vec<Pending>> {
    const WAITING: &str = "WITH RECURSIVE queue (project, place) AS (\
         SELECT (SELECT project FROM tasks WHERE state = 'waiting' AND project > $1 ORDER BY project LIMIT 1), 1 \
         UNION ALL \
         SELECT (SELECT project FROM tasks WHERE state = 'waiting' AND project > queue.project \
         ORDER BY project LIMIT 1), place + 1 FROM queue WHERE queue.project IS NOT NULL AND place < $2) \
         SELECT t.id, t.project FROM queue JOIN tasks t ON t.id IN (\
         SELECT w.id FROM tasks w WHERE w.state = 'waiting' AND w.project = queue.project ORDER BY w.id LIMIT $3) \
         WHERE queue.project IS NOT NULL ORDER BY queue.place, t.id";
    let waiting = sql(WAITING)
        .bind(after.to_owned())
        .bind(projects)
        .bind(TASKS_AT_ONCE);
    ledger.all(waiting, one).await
}

fn one(row: &Row) -> Result<Pending> {
    let project = get::<&str>(row, "project")?.parse();
    Ok(Pending {
        id: rows::task_id(row)?,
        project: project.map_err(|e| damaged("project").with_source(e))?,
    })
}

pub(super) async fn joinable(
    ledger: &Database,
    lease_millis: i64,
    worker: WorkerId,
    now: UnixMillis,
) -> Result<Vec<TaskId>> {
    let select = sql(
        "SELECT t.id FROM tasks t WHERE t.state = 'running' AND t.findings IS NOT NULL AND EXISTS (\
         SELECT 1 FROM shards s WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0 AND s.scope <> 'keys' \
         AND (s.held_by IS NULL OR s.held_by <> $1 AND s.seen_at <= $2)) ORDER BY t.id LIMIT $3",
    )
    .bind(worker.get())
    .bind(now.0.saturating_sub(lease_millis))
    .bind(RUNNING_AT_ONCE);
    ledger.all(select, rows::task_id).await
}

pub(super) async fn wanted(
    ledger: &Database,
    lease_millis: i64,
    worker: WorkerId,
    now: UnixMillis,
    shards: i64,
) -> Result<Vec<Wanted>> {
    let mut found: Vec<Wanted> = pending(ledger, lease_millis, None, worker, now)
        .await?
        .into_iter()
        .map(|task| Wanted::Task(task.id))
        .collect();
    let select = sql(
        "SELECT id, pass, number FROM (SELECT s.task_id AS id, s.pass, s.number, \
         row_number() OVER (PARTITION BY s.task_id ORDER BY s.number) AS place \
         FROM (SELECT id, pass FROM tasks WHERE state = 'running' AND findings IS NOT NULL ORDER BY id LIMIT $1) t \
         JOIN shards s ON s.task_id = t.id AND s.pass = t.pass AND s.closed = 0 AND s.scope <> 'keys') found \
         WHERE place <= $2 ORDER BY id, number",
    )
    .bind(RUNNING_AT_ONCE)
    .bind(shards);
    let open = ledger
        .all(select, |row| {
            Ok(Wanted::Shard {
                task: rows::task_id(row)?,
                pass: get(row, "pass")?,
                number: get(row, "number")?,
            })
        })
        .await?;
    found.extend(open);
    Ok(found)
}

pub(super) async fn waiting(ledger: &Database, project: &ProjectId) -> Result<i64> {
    let row = sql("SELECT count(*) AS number FROM tasks WHERE state = 'waiting' AND project = $1")
        .bind(project.as_str())
        .one(ledger)
        .await?;
    get(&row, "number")
}
