//! Failures that a pass takes in the order of a manifest of URLs instead of key order.

use std::sync::LazyLock;

use super::database::{Database, end, run};
use super::error::translate;
use super::rows::{self, Statement};
use crate::error::Result;
use crate::ledger::Failure;
use crate::task::{Key, TaskId};

/// How many names one statement selects.
const BULK: usize = 64;

fn names(from: usize, count: usize) -> String {
    let parameters: Vec<String> = (from..from + count).map(|number| format!("?{number}")).collect();
    parameters.join(", ")
}

pub(super) async fn take(ledger: &Database, id: TaskId, attempt: i64, keys: &[Key]) -> Result<Vec<Failure>> {
    static FIND: LazyLock<String> = LazyLock::new(|| {
        let names = names(3, BULK);
        format!("SELECT * FROM failures WHERE task_id = ?1 AND taken_attempt < ?2 AND key IN ({names})")
    });
    static MARK: LazyLock<String> = LazyLock::new(|| {
        let names = names(3, BULK);
        format!(
            "UPDATE failures SET taken_attempt = ?2, taken_pass = (SELECT pass FROM tasks WHERE id = ?1) \
             WHERE task_id = ?1 AND taken_attempt < ?2 AND key IN ({names})"
        )
    });
    let mut found = Vec::new();
    for chunk in keys.chunks(BULK) {
        let rows = bind(sqlx::query(FIND.as_str()), id, attempt, chunk)
            .fetch_all(ledger.readers())
            .await
            .map_err(translate)?;
        if rows.is_empty() {
            continue;
        }
        let mut tx = ledger.begin().await?;
        run(&mut tx, bind(sqlx::query(MARK.as_str()), id, attempt, chunk)).await?;
        end(tx).await?;
        for row in &rows {
            found.push(rows::failure(row)?);
        }
    }
    Ok(found)
}

/// Binds always the same number of names, so that one statement is enough. A missing name repeats the first.
fn bind(statement: Statement, id: TaskId, attempt: i64, keys: &[Key]) -> Statement {
    let mut statement = statement.bind(id.get()).bind(attempt);
    for number in 0..BULK {
        let key = keys.get(number).or(keys.first());
        statement = statement.bind(key.map(|key| key.as_bytes().to_vec()));
    }
    statement
}

pub(super) async fn untaken(
    ledger: &Database,
    id: TaskId,
    after: Option<&Key>,
    limit: i64,
) -> Result<Vec<Failure>> {
    sqlx::query(
        "SELECT * FROM failures WHERE task_id = ?1 AND key > ?2 \
         AND taken_pass < (SELECT pass FROM tasks WHERE id = ?1) ORDER BY key LIMIT max(?3, 0)",
    )
    .bind(id.get())
    // The empty key sorts before all keys, and no object has it.
    .bind(after.map_or(&[][..], Key::as_bytes))
    .bind(limit)
    .fetch_all(ledger.readers())
    .await
    .map_err(translate)?
    .iter()
    .map(rows::failure)
    .collect()
}
