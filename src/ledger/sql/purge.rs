//! Deletes the rows of deleted tasks in small steps, so that no other change waits for long.
//!
//! From the moment of its deletion a task has no project, no spec and no credentials. No caller can see it, and no worker
//! can lease it. Its other rows are deleted a bounded number at a time. Its own row is deleted last, so that after a crash
//! the deletion continues.

use super::database::{Database, Tx, get, sql};
use super::facts::{facts, one_row};
use super::rows;
use crate::error::Result;
use crate::ledger::Purged;
use crate::ledger::decisions::passes;
use crate::task::{State, TaskId};

/// How many rows one transaction deletes. Old ledgers may have failures of 20 KB each.
const ROWS: i64 = 200;
/// The same on an almost full disk.
const FEW: i64 = 8;
/// The same for chunks of report lines, because one row may have megabytes.
const LINES: i64 = 2;

const FAILURES: &str = "DELETE FROM failures WHERE task_id = $1 AND key IN \
     (SELECT key FROM failures WHERE task_id = $1 ORDER BY key LIMIT $2)";

/// Makes a task invisible. [`purge`] deletes its rows.
pub(super) async fn hide_deleted(tx: &mut Tx, id: TaskId, state: State) -> Result<()> {
    let update = sql(
        "UPDATE tasks SET project = '', name = '', state = 'paused', fencing_token = 0, held_by = NULL, \
         reason_code = NULL, reason_message = NULL, failed_list_key = NULL WHERE id = $1 AND state = $2",
    )
    .bind(id.get())
    .bind(state.name());
    one_row(tx.run(update).await?)?;
    for forget in [
        "DELETE FROM credentials WHERE task_id = $1",
        "DELETE FROM specs WHERE task_id = $1",
    ] {
        tx.run(sql(forget).bind(id.get())).await?;
    }
    Ok(())
}

pub(super) async fn purge(ledger: &Database) -> Result<Purged> {
    ledger.keep_room();
    let clean = ledger.retry_truncate_wal().await;
    let select = sql("SELECT id FROM tasks WHERE project = '' ORDER BY id LIMIT 1");
    match ledger.first(select, rows::task_id).await? {
        Some(id) => {
            let mut deleted = remove(ledger, id, ROWS).await;
            if deleted.is_err() {
                ledger.make_room();
                // On a full disk, deleting a few rows may succeed where deleting many does not.
                deleted = remove(ledger, id, FEW).await;
            }
            deleted.map(|()| Purged::Some)
        }
        None if clean => Ok(Purged::All),
        None => Ok(Purged::Blocked),
    }
}

/// Deletes some rows of a deleted task. With the last of them it also deletes the task.
async fn remove(ledger: &Database, id: TaskId, rows: i64) -> Result<()> {
    const CHUNKS: &str = "DELETE FROM report_chunks WHERE id IN \
         (SELECT id FROM report_chunks WHERE task_id = $1 LIMIT $2)";
    const HASHES: &str = "DELETE FROM part_hashes WHERE task_id = $1 AND (key, number) IN \
         (SELECT key, number FROM part_hashes WHERE task_id = $1 LIMIT $2)";
    const UPLOADS: &str = "DELETE FROM uploads WHERE task_id = $1 AND key IN \
         (SELECT key FROM uploads WHERE task_id = $1 LIMIT $2)";
    for (delete, most) in [(FAILURES, rows), (CHUNKS, LINES), (HASHES, rows), (UPLOADS, rows)] {
        let delete = sql(delete).bind(id.get()).bind(most);
        if ledger.change(delete).await? > 0 {
            return Ok(());
        }
    }
    // There are only a few passes and shards. They are deleted with the task.
    let mut tx = ledger.begin().await?;
    let delete = sql("DELETE FROM tasks WHERE id = $1 AND project = ''").bind(id.get());
    tx.run(delete).await?;
    tx.end().await
}

pub(super) async fn forget_failures(ledger: &Database, id: TaskId, fencing_token: i64) -> Result<Purged> {
    let mut tx = ledger.begin().await?;
    let Some(task) = facts(&mut tx, id).await? else {
        return Ok(Purged::All);
    };
    let row =
        sql("SELECT count(*) AS recorded FROM (SELECT 1 FROM failures WHERE task_id = $1 LIMIT $2) AS found")
            .bind(id.get())
            .bind(ROWS)
            .one(&mut tx)
            .await?;
    if !passes::forgets_failures(&task, fencing_token, get(&row, "recorded")?, ROWS) {
        return Ok(Purged::All);
    }
    let mark = sql("UPDATE tasks SET forgetting = 1 WHERE id = $1").bind(id.get());
    one_row(tx.run(mark).await?)?;
    let delete = sql(FAILURES).bind(id.get()).bind(ROWS);
    tx.run(delete).await?;
    tx.end().await?;
    Ok(Purged::Some)
}
