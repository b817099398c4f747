//! The most frequent write: what a shard has settled, in one transaction with one flush to disk.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::database::{Database, Tx, get, sql};
use super::lists;
use super::rows::{self, add_counters};
use crate::error::Result;
use crate::ledger::decisions::passes;
use crate::ledger::{Commit, Committed, Failure, LeasedShard};
use crate::task::{Key, ReportKind, TaskId, UnixMillis};

/// The condition that a lease on a shard holds: the shard is open, the lease is its last one and was made under the task's
/// last fencing token, and the task has a worker. So a worker that has left a task can no longer write to it.
macro_rules! shard_lease_holds {
    ($id:literal, $number:literal, $fencing_token:literal) => {
        concat!(
            " WHERE task_id = ",
            $id,
            " AND pass = (SELECT pass FROM tasks WHERE id = ",
            $id,
            ") AND number = ",
            $number,
            " AND fencing_token = ",
            $fencing_token,
            " AND closed = 0 AND task_fencing_token = (SELECT fencing_token FROM tasks WHERE id = ",
            $id,
            " AND state IN ('running', 'pausing'))"
        )
    };
}
pub(super) use shard_lease_holds;

/// How many rows one statement writes. A page of failures needs a few statements instead of a thousand.
const BULK: usize = 64;

pub(super) async fn commit(
    ledger: &Database,
    id: TaskId,
    shard: &LeasedShard,
    commit: Commit,
    now: UnixMillis,
) -> Result<Committed> {
    static SHARD: LazyLock<String> = LazyLock::new(|| {
        let rest = concat!(
            ", checkpoint = coalesce($4, checkpoint), closed = $5",
            shard_lease_holds!("$1", "$2", "$3")
        );
        add_counters("shards", 6, rest)
    });
    // A commit that settles something is progress, so it resets the crashes. This saves a statement.
    static TASK: LazyLock<String> = LazyLock::new(|| {
        let rest = ", speed = $2, seen_at = $3, crashes = CASE WHEN $4 = 1 THEN 0 ELSE crashes END, concurrency_allowed = $5, \
                    concurrency_in_flight = $6, concurrency_reason = $7 WHERE id = $1 RETURNING failed";
        add_counters("tasks", 8, rest)
    });
    let progress = passes::is_progress(&commit);
    let Commit {
        checkpoint,
        close,
        delta,
        failures,
        resolved,
        speed,
        concurrency,
        success,
        skip,
    } = commit;
    let mut tx = ledger.begin().await?;
    let statement = sql(SHARD.as_str())
        .bind(id.get())
        .bind(shard.number)
        .bind(shard.fencing_token)
        .bind(checkpoint.as_ref().map(Key::as_bytes))
        .bind(close);
    if tx.run(rows::bind_counters(statement, delta)).await? == 0 {
        return Ok(Committed::Fenced);
    }
    let statement = sql(TASK.as_str())
        .bind(id.get())
        .bind(speed)
        .bind(now.0)
        .bind(progress)
        .bind(concurrency.map(|concurrency| concurrency.allowed))
        .bind(concurrency.map(|concurrency| concurrency.in_flight))
        .bind(concurrency.map(|concurrency| concurrency.reason.name()));
    let statement = rows::bind_counters(statement, delta);
    let task = statement.one(&mut tx).await?;
    if passes::too_many_failures(delta.failed, get(&task, "failed")?) {
        // Without its end the transaction writes nothing.
        return Ok(Committed::TooManyFailures);
    }
    // Resolved keys come first, because a key that is in both lists has failed.
    forget(&mut tx, id, &resolved).await?;
    let failures: Vec<Failure> = failures.into_iter().map(Failure::bounded).collect();
    record(&mut tx, id, shard.number, &failures).await?;
    let lines = [(ReportKind::Success, success), (ReportKind::Skip, skip)];
    lists::keep(&mut tx, id, shard.number, lines, now).await?;
    tx.end().await?;
    Ok(Committed::Done)
}

/// Writes failures. They replace earlier failures of the same keys.
async fn record(tx: &mut Tx, id: TaskId, shard: i64, failures: &[Failure]) -> Result<()> {
    static ONE: LazyLock<String> = LazyLock::new(|| insert_failures(1));
    static MANY: LazyLock<String> = LazyLock::new(|| insert_failures(BULK));
    // Full chunks first, then single rows. So the statement cache has only two statements for any number of failures.
    let (chunks, rest) = failures.as_chunks::<BULK>();
    for chunk in chunks {
        insert(tx, MANY.as_str(), id, shard, chunk).await?;
    }
    for failure in rest {
        insert(tx, ONE.as_str(), id, shard, std::slice::from_ref(failure)).await?;
    }
    Ok(())
}

async fn insert(tx: &mut Tx, text: &'static str, id: TaskId, shard: i64, failures: &[Failure]) -> Result<()> {
    let start = sql(text).bind(id.get()).bind(shard);
    let statement = failures.iter().fold(start, |statement, failure| {
        let Failure {
            key,
            size,
            code,
            message,
            request_id,
            attempts,
            at,
        } = failure;
        statement
            .bind(key.as_bytes())
            .bind(*size)
            .bind(code.as_str())
            .bind(message.as_str())
            .bind(request_id.as_deref())
            .bind(*attempts)
            .bind(at.0)
    });
    tx.run(statement).await.map(drop)
}

fn insert_failures(rows: usize) -> String {
    const COLUMNS: usize = 7;
    let mut sql = String::from(
        "INSERT INTO failures (task_id, shard, key, size, code, message, request_id, attempts, at) VALUES ",
    );
    for row in 0..rows {
        sql.push_str(if row == 0 { "($1, $2" } else { ", ($1, $2" });
        push_parameters(&mut sql, 3 + row * COLUMNS, COLUMNS);
        sql.push(')');
    }
    sql.push_str(
        " ON CONFLICT (task_id, key) DO UPDATE SET shard = excluded.shard, size = excluded.size, \
         code = excluded.code, message = excluded.message, request_id = excluded.request_id, \
         attempts = excluded.attempts, at = excluded.at",
    );
    sql
}

/// Deletes the failures of resolved keys.
async fn forget(tx: &mut Tx, id: TaskId, keys: &[Key]) -> Result<()> {
    static ONE: LazyLock<String> = LazyLock::new(|| delete_failures(1));
    static MANY: LazyLock<String> = LazyLock::new(|| delete_failures(BULK));
    let (chunks, rest) = keys.as_chunks::<BULK>();
    for chunk in chunks {
        delete(tx, MANY.as_str(), id, chunk).await?;
    }
    for key in rest {
        delete(tx, ONE.as_str(), id, std::slice::from_ref(key)).await?;
    }
    Ok(())
}

async fn delete(tx: &mut Tx, text: &'static str, id: TaskId, keys: &[Key]) -> Result<()> {
    let start = sql(text).bind(id.get());
    let statement = keys
        .iter()
        .fold(start, |statement, key| statement.bind(key.as_bytes()));
    tx.run(statement).await.map(drop)
}

fn delete_failures(keys: usize) -> String {
    let mut sql = String::from("DELETE FROM failures WHERE task_id = $1 AND key IN ($2");
    push_parameters(&mut sql, 3, keys - 1);
    sql.push(')');
    sql
}

/// `, $7, $8, …`: `count` parameters from `first` on.
fn push_parameters(sql: &mut String, first: usize, count: usize) {
    for parameter in first..first + count {
        // Writing to a string cannot fail.
        write!(sql, ", ${parameter}").unwrap_or_default();
    }
}
