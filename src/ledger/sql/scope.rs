//! What the shards of the last full pass found for a task's scope.

use super::database::{Database, Row, get, sql};
use super::rows;
use crate::error::Result;
use crate::ledger::{FoundEntry, FoundScope, ShardScope};
use crate::task::{Key, TaskId};

/// The entries of the scope, single names before prefixes. Several shards may list the same prefix. Bytes are added as floating
/// point numbers, because a sum of integers fails if it is too large. These sums are exact up to 2^53 bytes.
macro_rules! entries {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM (SELECT scope, prefix, CAST(sum(listed) AS BIGINT) AS objects, \
             sum(CAST(bytes_listed AS DOUBLE PRECISION)) AS bytes, CAST(sum(not_found) AS BIGINT) AS not_found, \
             min(closed) AS closed, min(number) AS first FROM shards \
             WHERE task_id = $1 AND pass = (SELECT max(number) FROM passes WHERE task_id = $1 AND kind = 'full') \
             GROUP BY scope, prefix) AS found",
            $rest
        )
    };
}

pub(super) async fn found(ledger: &Database, id: TaskId, limit: i64) -> Result<FoundScope> {
    let limit = limit.max(0);
    // One statement, so that all numbers are from the same moment.
    let rows = sql(concat!(
        "WITH entries AS MATERIALIZED (",
        entries!("*, row_number() OVER (ORDER BY CASE scope WHEN 'prefix' THEN 1 ELSE 0 END, first) AS place", ""),
        "), totals AS (SELECT CAST(p.not_found + coalesce((SELECT sum(s.not_found) FROM shards s WHERE s.task_id = $1 \
         AND s.pass = p.number AND s.closed = 0), 0) - (SELECT coalesce(sum(not_found), 0) FROM entries) AS BIGINT) AS changed \
         FROM tasks t JOIN passes p ON p.task_id = t.id AND p.number = t.pass WHERE t.id = $1) \
         SELECT scope, prefix, objects, bytes, not_found, place, CAST(0 AS BIGINT) AS rest, CAST(0 AS BIGINT) AS empty, \
         totals.changed AS changed FROM entries, totals WHERE place <= $2 \
         UNION ALL \
         SELECT NULL, NULL, CAST(coalesce(sum(CASE WHEN place > $2 THEN objects END), 0) AS BIGINT), \
         CAST(coalesce(sum(CASE WHEN place > $2 THEN bytes END), 0) AS DOUBLE PRECISION), 0, 0, \
         CAST(coalesce(sum(CASE WHEN place > $2 THEN 1 END), 0) AS BIGINT), \
         CAST(coalesce(sum(CASE WHEN scope = 'prefix' AND closed = 1 AND objects = 0 THEN 1 END), 0) AS BIGINT), 0 \
         FROM entries ORDER BY place"
    ))
    .bind(id.get())
    .bind(limit)
    .rows(ledger)
    .await?;
    let mut found = FoundScope::default();
    for row in &rows {
        if get::<Option<&str>>(row, "scope")?.is_some() {
            found.entries.push(entry(row)?);
        } else {
            found.rest = get(row, "rest")?;
            found.rest_objects = get(row, "objects")?;
            found.rest_bytes = whole(get(row, "bytes")?);
            found.empty_prefixes = get(row, "empty")?;
        }
    }
    Ok(found)
}

/// A sum as an integer. A sum that is too large becomes the largest integer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is rounded and bounded on purpose"
)]
fn whole(sum: f64) -> i64 {
    sum as i64
}

fn entry(row: &Row) -> Result<FoundEntry> {
    let (scope, listed) = (rows::scope(row)?, get::<i64>(row, "objects")?);
    let not_found = match scope {
        // Failed passes since then may have found some of the missing names, or lost found ones.
        ShardScope::Keys => (get::<i64>(row, "not_found")? + get::<i64>(row, "changed")?).clamp(0, listed),
        ShardScope::Prefix(_) | ShardScope::Failures => 0,
    };
    Ok(FoundEntry {
        objects: listed - not_found,
        bytes: whole(get(row, "bytes")?),
        not_found,
        scope,
    })
}

pub(super) async fn empty_prefixes(ledger: &Database, id: TaskId, limit: i64) -> Result<Vec<Key>> {
    let select = sql(entries!(
        "prefix",
        " WHERE scope = 'prefix' AND closed = 1 AND objects = 0 ORDER BY prefix LIMIT $2"
    ))
    .bind(id.get())
    .bind(limit.max(0));
    ledger
        .all(select, |row| get::<&[u8]>(row, "prefix").map(Key::from))
        .await
}
