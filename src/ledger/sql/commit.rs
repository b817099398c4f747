//! The most frequent write: what a shard has settled, in one transaction with one flush to disk.

use std::fmt::Write as _;
use std::sync::LazyLock;

use super::database::{Database, Tx, get, sql};
use super::lists;
use super::open_shards::shard_lease;
use super::rows::{self, add_counters};
use crate::error::Result;
use crate::ledger::decisions::passes;
use crate::ledger::{Commit, Committed, Failure, LeasedShard};
use crate::task::{Counters, Key, ReportKind, TaskId, UnixMillis};

/// How many rows one statement writes. A page of failures needs a few statements instead of a thousand.
const BULK: usize = 64;

pub(super) async fn commit(
    ledger: &Database,
    id: TaskId,
    shard: &LeasedShard,
    commit: Commit,
    now: UnixMillis,
) -> Result<Committed> {
    // A commit that settles something is progress.
    static SHARD: LazyLock<String> = LazyLock::new(|| {
        let returned = Counters::NAMES.join(", ");
        let rest = format!(
            ", checkpoint = coalesce($6, checkpoint), closed = $7, commits = commits + 1, seen_at = $8, speed = $9, \
             concurrency_allowed = $10, concurrency_in_flight = $11, concurrency_reason = $12, \
             progress = progress + $13, lost_leases = CASE WHEN $13 = 1 THEN 0 ELSE lost_leases END, \
             held_by = CASE WHEN $7 = 1 THEN NULL ELSE held_by END{} AND commits = $5 RETURNING {returned}",
            shard_lease!("$1", "$2", "$3", "$4")
        );
        add_counters("shards", 14, &rest)
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
    let known = shard.commits.get();
    let mut tx = ledger.begin().await?;
    let statement = sql(SHARD.as_str())
        .bind(id.get())
        .bind(shard.pass)
        .bind(shard.number)
        .bind(shard.fencing_token)
        .bind(known)
        .bind(checkpoint.as_ref().map(Key::as_bytes))
        .bind(close)
        .bind(now.0)
        .bind(speed)
        .bind(concurrency.map(|concurrency| concurrency.allowed))
        .bind(concurrency.map(|concurrency| concurrency.in_flight))
        .bind(concurrency.map(|concurrency| concurrency.reason.name()))
        .bind(progress);
    let Some(row) = rows::bind_counters(statement, delta).maybe(&mut tx).await? else {
        return written_before(&mut tx, id, shard, known).await;
    };
    if close {
        add_to_pass(&mut tx, id, shard.pass, rows::counters(&row)?).await?;
    }
    if delta.failed > 0 && passes::too_many_failures(delta.failed, failed(&mut tx, id, shard.pass).await?) {
        // Without its end the transaction writes nothing.
        return Ok(Committed::TooManyFailures);
    }
    // Resolved keys come first, because a key that is in both lists has failed.
    forget(&mut tx, id, &resolved).await?;
    let failures: Vec<Failure> = failures.into_iter().map(Failure::bounded).collect();
    record(&mut tx, id, shard.number, &failures).await?;
    let lines = [(ReportKind::Success, success), (ReportKind::Skip, skip)];
    lists::keep(&mut tx, id, shard.number, lines).await?;
    tx.end().await?;
    shard.commits.written_after(known);
    Ok(Committed::Done)
}

/// Whether a commit that wrote nothing was written before: its answer may have been lost.
async fn written_before(tx: &mut Tx, id: TaskId, shard: &LeasedShard, known: i64) -> Result<Committed> {
    let one = sql(
        "SELECT CAST(1 AS BIGINT) AS one FROM shards WHERE task_id = $1 AND pass = $2 AND number = $3 AND fencing_token = $4 \
         AND commits = $5",
    )
    .bind(id.get())
    .bind(shard.pass)
    .bind(shard.number)
    .bind(shard.fencing_token)
    .bind(known + 1);
    if one.maybe(tx).await?.is_none() {
        return Ok(Committed::Fenced);
    }
    shard.commits.written_after(known);
    Ok(Committed::Done)
}

/// Adds the counters of a closed shard to its pass, or takes them away.
pub(super) async fn add_to_pass(tx: &mut Tx, id: TaskId, pass: i64, counters: Counters) -> Result<()> {
    static PASS: LazyLock<String> =
        LazyLock::new(|| add_counters("passes", 3, " WHERE task_id = $1 AND number = $2"));
    let statement = sql(PASS.as_str()).bind(id.get()).bind(pass);
    tx.run(rows::bind_counters(statement, counters)).await.map(drop)
}

/// How many objects of a pass have failed.
async fn failed(tx: &mut Tx, id: TaskId, pass: i64) -> Result<i64> {
    let select = sql(
        "SELECT p.failed + coalesce((SELECT CAST(sum(s.failed) AS BIGINT) FROM shards s WHERE s.task_id = $1 \
         AND s.pass = $2 AND s.closed = 0), 0) AS failed FROM passes p WHERE p.task_id = $1 AND p.number = $2",
    )
    .bind(id.get())
    .bind(pass);
    get(&select.one(tx).await?, "failed")
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
