//! Failures that a pass takes in the order of a manifest of URLs instead of key order.

use std::sync::LazyLock;

use super::database::{Database, Statement, sql};
use super::facts::may_write;
use super::rows;
use crate::error::Result;
use crate::ledger::{Failure, LeasedShard, Writer};
use crate::task::{Key, TaskId};

/// How many keys one statement selects.
const BULK: usize = 64;

fn names(from: usize, count: usize) -> String {
    let parameters: Vec<String> = (from..from + count).map(|number| format!("${number}")).collect();
    parameters.join(", ")
}

/// One transaction reads the lease, marks the failures and returns those that it marked. So no two calls return the same
/// failure, and a worker that has lost its lease marks none.
pub(super) async fn take(
    ledger: &Database,
    id: TaskId,
    shard: &LeasedShard,
    keys: &[Key],
) -> Result<Option<Vec<Failure>>> {
    static TAKE: LazyLock<String> = LazyLock::new(|| {
        let names = names(3, BULK);
        format!(
            "UPDATE failures SET taken_fencing_token = $2, taken_pass = (SELECT pass FROM tasks WHERE id = $1) \
             WHERE task_id = $1 AND taken_fencing_token <> $2 AND key IN ({names}) RETURNING *"
        )
    });
    let mut tx = ledger.begin().await?;
    if !may_write(&mut tx, id, Writer::Shard(shard)).await? {
        return Ok(None);
    }
    let mut taken = Vec::new();
    for chunk in keys.chunks(BULK) {
        let take = bind(sql(TAKE.as_str()), id, shard.fencing_token, chunk);
        taken.extend(tx.all(take, rows::failure).await?);
    }
    tx.end().await?;
    Ok(Some(taken))
}

/// Binds the same number of keys each time, so that all chunks use one prepared statement. If there are fewer keys, the first
/// is repeated.
fn bind(statement: Statement, id: TaskId, fencing_token: i64, keys: &[Key]) -> Statement {
    let mut statement = statement.bind(id.get()).bind(fencing_token);
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
    let select = sql("SELECT * FROM failures WHERE task_id = $1 AND key > $2 \
         AND taken_pass < (SELECT pass FROM tasks WHERE id = $1) ORDER BY key LIMIT $3")
    .bind(id.get())
    // The empty key sorts before all keys, and no object has it.
    .bind(after.map_or(&[][..], Key::as_bytes))
    .bind(limit.max(0));
    ledger.all(select, rows::failure).await
}
