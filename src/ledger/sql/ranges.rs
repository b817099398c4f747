//! Shards that are cut into several, and put together again.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::commit::add_to_pass;
use super::database::{Database, Tx, flag, get, misuse, sql};
use super::lists;
use super::open_shards::shard_lease;
use super::rows;
use crate::error::Result;
use crate::ledger::decisions::ranges::EarlierRange;
use crate::ledger::{Committed, LeasedShard, ShardScope, Unordered};
use crate::task::{Counters, Key, TaskId};

/// The ranges of the last full pass, by prefix. Prefixes that were not cut are missing.
pub(super) async fn earlier(tx: &mut Tx, id: TaskId) -> Result<HashMap<Key, Vec<EarlierRange>>> {
    let rows = sql(
        "SELECT prefix, start_after, until, listed FROM shards WHERE task_id = $1 AND scope = 'prefix' AND pass = \
         (SELECT max(number) FROM passes WHERE task_id = $1 AND kind = 'full') \
         AND (start_after IS NOT NULL OR until IS NOT NULL)",
    )
    .bind(id.get())
    .rows(&mut *tx)
    .await?;
    let mut earlier: HashMap<Key, Vec<EarlierRange>> = HashMap::new();
    for row in &rows {
        let prefix = Key::from(get::<&[u8]>(row, "prefix")?);
        earlier.entry(prefix).or_default().push(EarlierRange {
            start_after: get::<Option<&[u8]>>(row, "start_after")?.map(Key::from),
            until: get::<Option<&[u8]>>(row, "until")?.map(Key::from),
            listed: get(row, "listed")?,
        });
    }
    Ok(earlier)
}

/// Inserts the shards of a scope entry: one, or one for each range between `cuts`. Returns the next free number.
pub(super) async fn insert(
    tx: &mut Tx,
    id: TaskId,
    pass: i64,
    first: i64,
    scope: &ShardScope,
    (start, cuts, end): (Option<&Key>, &[Key], Option<&Key>),
) -> Result<i64> {
    let (name, prefix) = rows::scope_columns(scope);
    let starts = std::iter::once(start).chain(cuts.iter().map(Some));
    let ends = cuts.iter().map(Some).chain(std::iter::once(end));
    let mut number = first;
    for (start, end) in starts.zip(ends) {
        let insert = sql(
            "INSERT INTO shards (task_id, pass, number, scope, prefix, start_after, checkpoint, until) \
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
        )
        .bind(id.get())
        .bind(pass)
        .bind(number)
        .bind(name)
        .bind(prefix.map(<[u8]>::to_vec))
        .bind(start.map(|key| key.as_bytes().to_vec()))
        .bind(end.map(|key| key.as_bytes().to_vec()));
        tx.run(insert).await?;
        number += 1;
    }
    Ok(number)
}

pub(super) async fn split(
    ledger: &Database,
    id: TaskId,
    shard: &LeasedShard,
    cuts: &[Key],
) -> Result<Committed> {
    let Some((first, rest)) = cuts.split_first() else {
        return Err(misuse("a shard is cut at no key"));
    };
    let mut tx = ledger.begin().await?;
    tx.lock_task(id).await?;
    let row = sql(concat!(
        "SELECT pass, until, (SELECT max(number) + 1 FROM shards s WHERE s.task_id = shards.task_id AND s.pass = shards.pass) \
         AS free FROM shards",
        shard_lease!("$1", "$2", "$3", "$4")
    ))
    .bind(id.get())
    .bind(shard.pass)
    .bind(shard.number)
    .bind(shard.fencing_token)
    .maybe(&mut tx)
    .await?;
    let Some(row) = row else {
        return Ok(Committed::Fenced);
    };
    let until = get::<Option<&[u8]>>(&row, "until")?.map(Key::from);
    let (pass, free) = (get(&row, "pass")?, get(&row, "free")?);
    let shorten = sql("UPDATE shards SET until = $4 WHERE task_id = $1 AND pass = $2 AND number = $3")
        .bind(id.get())
        .bind(pass)
        .bind(shard.number)
        .bind(first.as_bytes().to_vec());
    tx.run(shorten).await?;
    insert(
        &mut tx,
        id,
        pass,
        free,
        &shard.scope,
        (Some(first), rest, until.as_ref()),
    )
    .await?;
    tx.end().await?;
    Ok(Committed::Done)
}

/// Marks a shard whose listing has no order. If its prefix was cut, all ranges become one again: without an order nobody
/// knows which key lies in which range.
pub(super) async fn set_unordered(ledger: &Database, id: TaskId, shard: &LeasedShard) -> Result<Unordered> {
    // Starting a shard again deletes the failures that it has recorded. This shard needs the failures as its input.
    if shard.scope == ShardScope::Failures {
        return Err(misuse("recorded failures always have an order"));
    }
    let mut tx = ledger.begin().await?;
    tx.lock_task(id).await?;
    let row = sql(concat!(
        "UPDATE shards SET unordered = 1",
        shard_lease!("$1", "$2", "$3", "$4"),
        " RETURNING pass"
    ))
    .bind(id.get())
    .bind(shard.pass)
    .bind(shard.number)
    .bind(shard.fencing_token)
    .maybe(&mut tx)
    .await?;
    let Some(row) = row else {
        return Ok(Unordered::Fenced);
    };
    let pass: i64 = get(&row, "pass")?;
    let (name, prefix) = rows::scope_columns(&shard.scope);
    let ranges = sql(
        "SELECT * FROM shards WHERE task_id = $1 AND pass = $2 AND scope = $3 AND prefix IS NOT DISTINCT FROM $4 ORDER BY number",
    )
    .bind(id.get())
    .bind(pass)
    .bind(name)
    .bind(prefix.map(<[u8]>::to_vec))
    .locking()
    .rows(&mut tx)
    .await?;
    let marked = match ranges.as_slice() {
        [_] => Unordered::Marked,
        [first, ..] => {
            let kept: i64 = get(first, "number")?;
            let mut counted = Counters::default();
            for row in &ranges {
                begin_again(&mut tx, id, pass, get(row, "number")?).await?;
                if flag(row, "closed")? {
                    counted += rows::counters(row)?;
                }
            }
            // All shards come before their pass, as in a commit.
            add_to_pass(&mut tx, id, pass, -counted).await?;
            let forget = sql(
                "DELETE FROM shards WHERE task_id = $1 AND pass = $2 AND scope = $3 AND prefix IS NOT DISTINCT FROM $4 AND number <> $5",
            )
            .bind(id.get())
            .bind(pass)
            .bind(name)
            .bind(prefix.map(<[u8]>::to_vec))
            .bind(kept);
            tx.run(forget).await?;
            let whole = sql(
                "UPDATE shards SET unordered = 1, closed = 0, start_after = NULL, checkpoint = NULL, until = NULL, \
                 fencing_token = 0, held_by = NULL WHERE task_id = $1 AND pass = $2 AND number = $3",
            )
            .bind(id.get())
            .bind(pass)
            .bind(kept);
            tx.run(whole).await?;
            Unordered::Rejoined
        }
        [] => return Err(misuse("a leased shard has no row")),
    };
    tx.end().await?;
    Ok(marked)
}

pub(super) async fn failure_cuts(
    ledger: &Database,
    id: TaskId,
    (after, until): (Option<&Key>, Option<&Key>),
    pieces: i64,
) -> Result<Vec<Key>> {
    // The rows are numbered in key order. The last key of each piece but the last is a cut.
    let select = sql(
        "WITH numbered AS (SELECT key, row_number() OVER (ORDER BY key) AS place, count(*) OVER () AS total \
         FROM failures WHERE task_id = $1 AND key > $2 AND ($3 IS NULL OR key <= $3)) \
         SELECT key FROM numbered WHERE total >= 2 * $4 AND place < total AND place % (total / $4) = 0 \
         ORDER BY key LIMIT $4 - 1",
    )
    .bind(id.get())
    // The empty key sorts before all keys, and no object has it.
    .bind(after.map_or(&[][..], Key::as_bytes).to_vec())
    .bind(until.map(|key| key.as_bytes().to_vec()))
    .bind(pieces.max(2));
    ledger
        .all(select, |row| get::<&[u8]>(row, "key").map(Key::from))
        .await
}

/// Undoes everything that an open shard has settled. Closed shards are taken out of their pass before.
pub(super) async fn begin_again(tx: &mut Tx, id: TaskId, pass: i64, shard: i64) -> Result<()> {
    static SHARD: LazyLock<String> = LazyLock::new(|| {
        let counters = Counters::NAMES.map(|name| format!("{name} = 0")).join(", ");
        format!(
            "UPDATE shards SET {counters}, checkpoint = start_after WHERE task_id = $1 AND pass = $2 AND number = $3"
        )
    });
    let row = sql(SHARD.as_str()).bind(id.get()).bind(pass).bind(shard);
    tx.run(row).await?;
    let forget = sql("DELETE FROM failures WHERE task_id = $1 AND shard = $2")
        .bind(id.get())
        .bind(shard);
    tx.run(forget).await?;
    lists::forget_shard(tx, id, shard).await
}
