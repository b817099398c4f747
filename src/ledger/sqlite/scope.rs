//! What the shards of the last full pass found for a task's scope.

use sqlx::sqlite::SqliteRow;

use super::database::Database;
use super::error::translate;
use super::rows::{self, get};
use crate::error::Result;
use crate::ledger::{FoundEntry, FoundScope, ShardScope};
use crate::task::{Key, TaskId};

/// The entries of the scope, single names before prefixes. Several shards may list the same prefix. Bytes are added with
/// `total`, because `sum` fails if the result is too large for an integer, and the cast then gives the largest integer. These
/// sums are exact up to 2^53 bytes.
macro_rules! entries {
    ($columns:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM (SELECT scope, prefix, sum(listed) AS objects, cast(total(bytes_listed) AS INTEGER) AS bytes, \
             sum(not_found) AS not_found, min(closed) AS closed, min(number) AS first FROM shards \
             WHERE task_id = ?1 AND pass = (SELECT max(number) FROM passes WHERE task_id = ?1 AND kind = 'full') \
             GROUP BY scope, prefix ORDER BY scope = 'prefix', min(number)",
            $rest
        )
    };
}

pub(super) async fn found(ledger: &Database, id: TaskId, limit: i64) -> Result<FoundScope> {
    let limit = limit.max(0);
    // One statement, so that all numbers are from the same moment.
    let rows = sqlx::query(concat!(
        "WITH entries AS MATERIALIZED (",
        entries!("*, row_number() OVER (ORDER BY scope = 'prefix', first) AS place", ")"),
        "), totals AS (SELECT t.not_found - (SELECT coalesce(sum(not_found), 0) FROM entries) AS changed FROM tasks t \
         WHERE t.id = ?1) \
         SELECT 1 AS one, scope, prefix, objects, bytes, not_found, place, 0 AS rest, 0 AS empty, totals.changed AS changed \
         FROM entries, totals WHERE place <= ?2 \
         UNION ALL \
         SELECT 0, NULL, NULL, coalesce(sum(iif(place > ?2, objects, 0)), 0), \
         cast(total(iif(place > ?2, bytes, 0)) AS INTEGER), 0, 0, coalesce(sum(place > ?2), 0), \
         coalesce(sum(scope = 'prefix' AND closed = 1 AND objects = 0), 0), 0 FROM entries \
         ORDER BY place"
    ))
    .bind(id.get())
    .bind(limit)
    .fetch_all(ledger.readers())
    .await
    .map_err(translate)?;
    let mut found = FoundScope::default();
    for row in &rows {
        if get::<bool>(row, "one")? {
            found.entries.push(entry(row)?);
        } else {
            found.rest = get(row, "rest")?;
            found.rest_objects = get(row, "objects")?;
            found.rest_bytes = get(row, "bytes")?;
            found.empty_prefixes = get(row, "empty")?;
        }
    }
    Ok(found)
}

fn entry(row: &SqliteRow) -> Result<FoundEntry> {
    let (scope, listed) = (rows::scope(row)?, get::<i64>(row, "objects")?);
    let not_found = match scope {
        // Failed passes since then may have found some of the missing names, or lost found ones.
        ShardScope::Keys => (get::<i64>(row, "not_found")? + get::<i64>(row, "changed")?).clamp(0, listed),
        ShardScope::Prefix(_) | ShardScope::Failures => 0,
    };
    Ok(FoundEntry {
        objects: listed - not_found,
        bytes: get(row, "bytes")?,
        not_found,
        scope,
    })
}

pub(super) async fn empty_prefixes(ledger: &Database, id: TaskId, limit: i64) -> Result<Vec<Key>> {
    let select = sqlx::query(entries!(
        "prefix",
        ") WHERE scope = 'prefix' AND closed = 1 AND objects = 0 ORDER BY prefix LIMIT max(?2, 0)"
    ))
    .bind(id.get())
    .bind(limit);
    rows::read_all(ledger.readers(), select, |row| {
        get::<&[u8]>(row, "prefix").map(Key::from)
    })
    .await
}
