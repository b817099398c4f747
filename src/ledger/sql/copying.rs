//! Copies a whole ledger from one database to another.

use futures_util::TryStreamExt as _;
use sqlx::postgres::Postgres;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row as _, Transaction};

use super::SqlLedger;
use super::database::{Database, translate, translate_postgres};
use crate::error::{Error, ErrorKind, Result};

/// The tables, each after those that it refers to.
const TABLES: [&str; 15] = [
    "tasks",
    "specs",
    "credentials",
    "passes",
    "shards",
    "failures",
    "uploads",
    "part_hashes",
    "report_chunks",
    "report_problems",
    "warnings",
    "orphans",
    "orphan_keys",
    "created_once",
    "meta",
];
/// Tables whose rows get a number from the database. The copies keep theirs.
const NUMBERED: [(&str, &str); 2] = [("report_chunks", "id"), ("orphans", "number")];
/// Rows of one statement.
const ROWS: usize = 200;

/// A column of the target.
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Integer,
    Text,
    Bytes,
}

impl SqlLedger {
    /// Copies everything from this ledger, an SQLite file, to an empty one in PostgreSQL, in one transaction. No process may use
    /// either of them meanwhile. Returns how many rows of each table were copied.
    ///
    /// # Errors
    /// `Conflict` if the target has tasks. `Unsupported` for other databases. Those of both databases; nothing is copied then.
    pub async fn copy_to(&self, target: &Self) -> Result<Vec<(&'static str, u64)>> {
        let (Database::Sqlite(from), Database::Postgres(to)) = (&self.database, &target.database) else {
            let text = "a ledger can be copied from an SQLite file to PostgreSQL only";
            return Err(Error::new(ErrorKind::Unsupported, text));
        };
        let mut tx = to.pool().begin().await.map_err(translate_postgres)?;
        let tasks: i64 = sqlx::query_scalar("SELECT count(*) FROM tasks")
            .fetch_one(&mut *tx)
            .await
            .map_err(translate_postgres)?;
        if tasks > 0 {
            let text = format!("the target has {tasks} tasks already; a ledger is copied into an empty one");
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let mut copied = Vec::new();
        for table in TABLES {
            let columns = columns(&mut tx, table).await?;
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let select = AssertSqlSafe(format!("SELECT {} FROM {table}", names.join(", ")));
            let mut rows = sqlx::query(select).fetch(from.readers());
            let mut count = 0;
            let mut batch = Vec::new();
            while let Some(row) = rows.try_next().await.map_err(translate)? {
                batch.push(row);
                count += 1;
                if batch.len() == ROWS {
                    insert(&mut tx, table, &columns, &batch).await?;
                    batch.clear();
                }
            }
            insert(&mut tx, table, &columns, &batch).await?;
            copied.push((table, count));
        }
        for (table, column) in NUMBERED {
            // The next number is above all copied ones.
            let next = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 0) + 1, false) \
                 FROM {table}"
            );
            sqlx::query(AssertSqlSafe(next))
                .execute(&mut *tx)
                .await
                .map_err(translate_postgres)?;
        }
        tx.commit().await.map_err(translate_postgres)?;
        Ok(copied)
    }
}

/// The columns of a table of the target. The file has all of them, and some that are not used any more.
async fn columns(tx: &mut Transaction<'_, Postgres>, table: &str) -> Result<Vec<Column>> {
    let found = sqlx::query(
        "SELECT column_name::TEXT AS name, data_type::TEXT AS kind FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position",
    )
    .bind(table)
    .fetch_all(&mut **tx)
    .await
    .map_err(translate_postgres)?;
    found
        .iter()
        .map(|row| {
            let kind: String = row.try_get("kind").map_err(translate_postgres)?;
            Ok(Column {
                name: row.try_get("name").map_err(translate_postgres)?,
                kind: match kind.as_str() {
                    "bigint" => Kind::Integer,
                    "text" => Kind::Text,
                    "bytea" => Kind::Bytes,
                    other => {
                        return Err(Error::internal(format!(
                            "a column of {table} is of the type {other}"
                        )));
                    }
                },
            })
        })
        .collect()
}

async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    table: &str,
    columns: &[Column],
    rows: &[SqliteRow],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut statement: QueryBuilder<Postgres> = QueryBuilder::new(format!(
        "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE ",
        names.join(", ")
    ));
    let mut values = Vec::new();
    for row in rows {
        let mut line = Vec::new();
        for Column { name, kind } in columns {
            let name = name.as_str();
            line.push(match kind {
                Kind::Integer => Value::Integer(row.try_get(name).map_err(translate)?),
                Kind::Text => Value::Text(row.try_get(name).map_err(translate)?),
                Kind::Bytes => Value::Bytes(row.try_get(name).map_err(translate)?),
            });
        }
        values.push(line);
    }
    statement.push_values(values, |mut line, values| {
        for value in values {
            match value {
                Value::Integer(value) => line.push_bind(value),
                // PostgreSQL stores no U+0000 in a text.
                Value::Text(value) => line.push_bind(value.map(|text| text.replace('\0', "\u{fffd}"))),
                Value::Bytes(value) => line.push_bind(value),
            };
        }
    });
    statement
        .build()
        .execute(&mut **tx)
        .await
        .map(drop)
        .map_err(translate_postgres)
}

enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}
