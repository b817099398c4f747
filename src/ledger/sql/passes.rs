//! Passes and the leases on their shards.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::database::{Database, Tx, flag, get, sql};
use super::facts::facts;
use super::rows;
use super::{lists, ranges, warnings};
use crate::error::Result;
use crate::ledger::decisions::passes::{self, Opening};
use crate::ledger::decisions::ranges::cuts;
use crate::ledger::{LeasedShard, ShardScope};
use crate::task::{Counters, Key, PassInfo, PassKind, TaskId, UnixMillis};

pub(super) async fn open_pass(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    kind: PassKind,
    shards: &[ShardScope],
    now: UnixMillis,
) -> Result<PassInfo> {
    let mut tx = ledger.begin().await?;
    let task = facts(&mut tx, id).await?;
    let opening = passes::open(task.as_ref(), fencing_token, kind)?;
    let number = match opening {
        Opening::Resumed(pass) => return Ok(pass),
        Opening::Anew(number) | Opening::Continued(number) => number,
    };
    let earlier = match kind {
        PassKind::Full => ranges::earlier(&mut tx, id).await?,
        PassKind::Failed => HashMap::new(),
    };
    // The shards of the last full pass tell what was found of the scope. Those of other passes are of no use any more;
    // the rows of the passes stay as history.
    let forget = sql(
        "DELETE FROM shards WHERE task_id = $1 AND ($2 = 'full' OR pass NOT IN \
         (SELECT max(number) FROM passes WHERE task_id = $1 AND kind = 'full'))",
    )
    .bind(id.get())
    .bind(kind.name());
    tx.run(forget).await?;
    let opened_at = lists::next_timestamp(&mut tx, id, now).await?;
    let insert = sql("INSERT INTO passes (task_id, number, kind, opened_at) VALUES ($1, $2, $3, $4)")
        .bind(id.get())
        .bind(number)
        .bind(kind.name())
        .bind(opened_at.0);
    tx.run(insert).await?;
    let update = sql("UPDATE tasks SET pass = $2, seen_at = $3 WHERE id = $1")
        .bind(id.get())
        .bind(number)
        .bind(now.0);
    tx.run(update).await?;
    warnings::forget(&mut tx, id).await?;
    if let Opening::Anew(_) = opening {
        count_anew(&mut tx, id).await?;
        lists::begin_anew(&mut tx, id).await?;
    }
    let mut free = 0;
    for scope in shards {
        // A prefix that was cut before begins with even ranges at once.
        let cuts = match scope {
            ShardScope::Prefix(prefix) => earlier.get(prefix).cloned().map(cuts).unwrap_or_default(),
            ShardScope::Keys | ShardScope::Failures => Vec::new(),
        };
        free = ranges::insert(&mut tx, id, number, free, scope, (None, &cuts, None)).await?;
    }
    tx.end().await?;
    Ok(PassInfo {
        number,
        kind,
        finished: false,
        opened_at,
    })
}

/// Sets counters and survey to zero and forgets the failures.
async fn count_anew(tx: &mut Tx, id: TaskId) -> Result<()> {
    static ZERO: LazyLock<String> = LazyLock::new(|| {
        let counters = Counters::NAMES.map(|name| format!("{name} = 0")).join(", ");
        format!(
            "UPDATE tasks SET {counters}, survey_objects = 0, survey_bytes = 0, survey_complete = 0, forgetting = 0 \
             WHERE id = $1"
        )
    });
    let zero = sql(ZERO.as_str()).bind(id.get());
    tx.run(zero).await?;
    let forget = sql("DELETE FROM failures WHERE task_id = $1").bind(id.get());
    tx.run(forget).await.map(drop)
}

pub(super) async fn lease_shard(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
) -> Result<Option<LeasedShard>> {
    let mut tx = ledger.begin().await?;
    let task = facts(&mut tx, id).await?;
    let Some(pass) = task
        .filter(|task| task.lease_holds(fencing_token))
        .and_then(|task| task.pass)
    else {
        return Ok(None);
    };
    let row = sql(
        "SELECT * FROM shards WHERE task_id = $1 AND pass = $2 AND closed = 0 AND task_fencing_token <> $3 \
         ORDER BY number LIMIT 1",
    )
    .bind(id.get())
    .bind(pass.number)
    .bind(fencing_token)
    .maybe(&mut tx)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let number: i64 = get(&row, "number")?;
    let mut checkpoint = get::<Option<&[u8]>>(&row, "checkpoint")?.map(Key::from);
    let mut settled = rows::counters(&row)?;
    if flag(&row, "unordered")? {
        ranges::begin_again(&mut tx, id, pass.number, number, settled).await?;
        checkpoint = get::<Option<&[u8]>>(&row, "start_after")?.map(Key::from);
        settled = Counters::default();
    }
    let row_of_token = sql(
        "UPDATE tasks SET shard_fencing_token = shard_fencing_token + 1 WHERE id = $1 RETURNING shard_fencing_token",
    )
    .bind(id.get())
    .one(&mut tx)
    .await?;
    let shard_fencing_token: i64 = get(&row_of_token, "shard_fencing_token")?;
    let update = sql(
        "UPDATE shards SET fencing_token = $4, task_fencing_token = $5 WHERE task_id = $1 AND pass = $2 AND number = $3",
    )
    .bind(id.get())
    .bind(pass.number)
    .bind(number)
    .bind(shard_fencing_token)
    .bind(fencing_token);
    tx.run(update).await?;
    tx.end().await?;
    Ok(Some(LeasedShard {
        number,
        scope: rows::scope(&row)?,
        checkpoint,
        until: get::<Option<&[u8]>>(&row, "until")?.map(Key::from),
        bytes_in_flight: settled.bytes_in_flight,
        fencing_token: shard_fencing_token,
    }))
}
