//! Passes and the leases on their shards.

use std::collections::HashMap;

use super::commit::add_to_pass;
use super::database::{Database, Tx, flag, get, sql};
use super::facts::facts;
use super::rows;
use super::{lists, ranges, warnings};
use crate::error::Result;
use crate::ledger::decisions::passes::{self, Opening};
use crate::ledger::decisions::ranges::cuts;
use crate::ledger::decisions::work::{self, Held};
use crate::ledger::{CommitCount, Holder, LeasedShard, NewPass, ShardKinds, ShardLease, ShardScope};
use crate::task::{Key, PassInfo, PassKind, State, TaskId, UnixMillis, WorkerId};

pub(super) async fn open_pass(
    ledger: &Database,
    id: TaskId,
    fencing_token: i64,
    NewPass {
        kind,
        shards,
        findings,
    }: NewPass<'_>,
    now: UnixMillis,
) -> Result<PassInfo> {
    let mut tx = ledger.begin().await?;
    let task = facts(&mut tx, id).await?;
    let opening = passes::open(task.as_ref(), fencing_token, kind)?;
    let share = sql("UPDATE tasks SET findings = $2, seen_at = $3 WHERE id = $1")
        .bind(id.get())
        .bind(findings)
        .bind(now.0);
    tx.run(share).await?;
    let number = match opening {
        Opening::Resumed(pass) => {
            tx.end().await?;
            return Ok(pass);
        }
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
    let update = sql("UPDATE tasks SET pass = $2 WHERE id = $1")
        .bind(id.get())
        .bind(number);
    tx.run(update).await?;
    warnings::forget(&mut tx, id).await?;
    match opening {
        Opening::Anew(_) => {
            count_anew(&mut tx, id).await?;
            lists::begin_anew(&mut tx, id).await?;
        }
        // Everything before was counted when its shards were closed.
        Opening::Continued(_) | Opening::Resumed(_) => {
            let before = task.map(|task| task.counters).unwrap_or_default();
            add_to_pass(&mut tx, id, number, before).await?;
        }
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

/// Sets the estimate to zero and forgets the failures. A new pass has counted nothing.
async fn count_anew(tx: &mut Tx, id: TaskId) -> Result<()> {
    let zero = sql(
        "UPDATE tasks SET survey_objects = 0, survey_bytes = 0, survey_complete = 0, forgetting = 0 WHERE id = $1",
    )
    .bind(id.get());
    tx.run(zero).await?;
    let forget = sql("DELETE FROM failures WHERE task_id = $1").bind(id.get());
    tx.run(forget).await.map(drop)
}

pub(super) async fn lease_shard(
    ledger: &Database,
    lease_millis: i64,
    id: TaskId,
    holder: Holder,
    (kinds, first): (ShardKinds, Option<i64>),
    now: UnixMillis,
) -> Result<ShardLease> {
    let mut tx = ledger.begin().await?;
    let task = facts(&mut tx, id).await?;
    let Some(pass) = task
        .filter(|task| task.state == State::Running)
        .and_then(|task| task.pass)
        .filter(|pass| !pass.finished)
    else {
        return Ok(ShardLease::None);
    };
    // A holder whose lease is about to end may commit at this moment. Then the shard is its own for longer.
    let row = sql(
        "SELECT * FROM shards WHERE task_id = $1 AND pass = $2 AND closed = 0 AND ($3 = 1 OR scope <> 'keys') \
         AND (held_by IS NULL OR held_by <> $4 AND seen_at <= $5) \
         ORDER BY CASE WHEN number = $6 THEN 0 ELSE 1 END, number LIMIT 1",
    )
    .bind(id.get())
    .bind(pass.number)
    .bind(kinds == ShardKinds::All)
    .bind(holder.worker.get())
    .bind(now.0.saturating_sub(lease_millis))
    .bind(first)
    .locking_free_rows()
    .maybe(&mut tx)
    .await?;
    let Some(row) = row else {
        return held(&mut tx, id, pass.number, holder.worker).await;
    };
    let number: i64 = get(&row, "number")?;
    let was_held = match get::<Option<i64>>(&row, "held_by")? {
        Some(_) => Held::Yes,
        None => Held::No,
    };
    let lost = work::lost_leases(was_held, get(&row, "lost_leases")?);
    let Some(lost) = lost else {
        return Ok(ShardLease::Poisoned(number));
    };
    let mut checkpoint = get::<Option<&[u8]>>(&row, "checkpoint")?.map(Key::from);
    let mut bytes_in_flight = rows::counters(&row)?.bytes_in_flight;
    if flag(&row, "unordered")? {
        ranges::begin_again(&mut tx, id, pass.number, number).await?;
        checkpoint = get::<Option<&[u8]>>(&row, "start_after")?.map(Key::from);
        bytes_in_flight = 0;
    }
    let update = sql(
        "UPDATE shards SET fencing_token = $4, held_by = $5, seen_at = $6, lost_leases = $7, speed = 0, \
         concurrency_reason = NULL WHERE task_id = $1 AND pass = $2 AND number = $3",
    )
    .bind(id.get())
    .bind(pass.number)
    .bind(number)
    .bind(holder.fencing_token)
    .bind(holder.worker.get())
    .bind(now.0)
    .bind(lost);
    tx.run(update).await?;
    tx.end().await?;
    Ok(ShardLease::Leased(Box::new(LeasedShard {
        pass: pass.number,
        number,
        scope: rows::scope(&row)?,
        checkpoint,
        until: get::<Option<&[u8]>>(&row, "until")?.map(Key::from),
        bytes_in_flight,
        fencing_token: holder.fencing_token,
        commits: CommitCount::at(get(&row, "commits")?),
    })))
}

/// What a worker finds if it can lease no shard.
async fn held(tx: &mut Tx, id: TaskId, pass: i64, worker: WorkerId) -> Result<ShardLease> {
    let one = sql(
        "SELECT CAST(1 AS BIGINT) AS one FROM shards WHERE task_id = $1 AND pass = $2 AND closed = 0 \
         AND (held_by IS NULL OR held_by <> $3) LIMIT 1",
    )
    .bind(id.get())
    .bind(pass)
    .bind(worker.get());
    Ok(match one.maybe(tx).await? {
        Some(_) => ShardLease::Held,
        None => ShardLease::None,
    })
}

pub(super) async fn leave_shards(ledger: &Database, id: TaskId, worker: WorkerId) -> Result<()> {
    let leave = sql(
        "UPDATE shards SET held_by = NULL, lost_leases = 0 WHERE task_id = $1 AND closed = 0 AND held_by = $2",
    )
    .bind(id.get())
    .bind(worker.get());
    ledger.change(leave).await.map(drop)
}
