//! Creations with an idempotency key.

use super::database::{Database, On, get, sql};
use super::rows;
use super::tasks;
use crate::error::{Error, Result};
use crate::ledger::once::expiry;
use crate::ledger::{CreatedOnce, NewTask, RequestKey};
use crate::task::{ProjectId, UnixMillis};

/// Creates a task unless the key is already used. It is one transaction, so exactly one of several concurrent requests
/// creates the task.
pub(super) async fn create_once(
    ledger: &Database,
    new: NewTask,
    request: &RequestKey,
    now: UnixMillis,
) -> Result<CreatedOnce> {
    const INSERT: &str = "INSERT INTO created_once (project, request_key, fingerprint, task_id, task_name, created_at) \
                          VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let mut tx = ledger.begin().await?;
    let expired = sql("DELETE FROM created_once WHERE created_at <= $1").bind(expiry(now).0);
    tx.run(expired).await?;
    if let Some(known) = known(&mut tx, &new.project, request, now).await? {
        return Ok(known);
    }
    let insert = sql(INSERT)
        .bind(new.project.as_str())
        .bind(request.key.as_str())
        .bind(request.fingerprint.to_vec())
        .bind(new.id.get())
        .bind(new.name.as_str())
        .bind(now.0);
    if tx.run(insert).await? == 0 {
        // Another process has created it since.
        let known = known(&mut tx, &new.project, request, now).await?;
        return known.ok_or_else(|| Error::internal("a used idempotency key has no record"));
    }
    let task = tasks::insert(&mut tx, new, now).await?;
    tx.end().await?;
    Ok(CreatedOnce::Now(Box::new(task)))
}

pub(super) async fn created_before(
    ledger: &Database,
    project: &ProjectId,
    request: &RequestKey,
    now: UnixMillis,
) -> Result<Option<CreatedOnce>> {
    known(ledger, project, request, now).await
}

/// What was created with the key.
async fn known(
    ledger: impl On,
    project: &ProjectId,
    request: &RequestKey,
    now: UnixMillis,
) -> Result<Option<CreatedOnce>> {
    let row = sql("SELECT fingerprint, task_id AS id, task_name FROM created_once \
         WHERE project = $1 AND request_key = $2 AND created_at > $3")
    .bind(project.as_str())
    .bind(request.key.as_str())
    .bind(expiry(now).0)
    .maybe(ledger)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let fingerprint = get(&row, "fingerprint")?;
    let (id, name) = (rows::task_id(&row)?, get(&row, "task_name")?);
    Ok(Some(request.created(fingerprint, id, name)))
}
