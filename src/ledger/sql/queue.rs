//! Reads which tasks need a worker. The cost does not grow with their number.

use super::database::{Database, Row, get, sql};
use super::rows;
use crate::error::Result;
use crate::ledger::json::damaged;
use crate::ledger::{PROJECTS_AT_ONCE, Pending, RUNNING_AT_ONCE, TASKS_AT_ONCE};
use crate::task::ProjectId;

pub(super) async fn pending(ledger: &Database, after: Option<&ProjectId>) -> Result<Vec<Pending>> {
    // The conditions must be written as in the partial indexes, or SQLite does not use the indexes.
    const RUNNING: &str = "SELECT id, project FROM tasks WHERE state = 'running' ORDER BY id LIMIT $1";
    let running = sql(RUNNING).bind(RUNNING_AT_ONCE);
    let mut found = ledger.all(running, one).await?;
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

pub(super) async fn waiting(ledger: &Database, project: &ProjectId) -> Result<i64> {
    let row = sql("SELECT count(*) AS number FROM tasks WHERE state = 'waiting' AND project = $1")
        .bind(project.as_str())
        .one(ledger)
        .await?;
    get(&row, "number")
}
