//! A row of either database.

use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, Type};

use super::error::{translate, translate_postgres};
use crate::error::Result;
use crate::ledger::json::damaged;

/// A row.
pub(in crate::ledger::sql) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// A type that a column of either database can have: `i64`, `&str`, `String`, `&[u8]`, `Vec<u8>`, and options of them.
pub(in crate::ledger::sql) trait Column<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Column<'r> for T where T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{}

/// A column's value.
pub(in crate::ledger::sql) fn get<'r, T: Column<'r>>(row: &'r Row, column: &str) -> Result<T> {
    match row {
        Row::Sqlite(row) => row.try_get(column).map_err(translate),
        Row::Postgres(row) => row.try_get(column).map_err(translate_postgres),
    }
}

/// A column's value as a smaller integer.
pub(in crate::ledger::sql) fn small<T: TryFrom<i64>>(row: &Row, column: &str) -> Result<T> {
    let value = get::<i64>(row, column)?;
    T::try_from(value).map_err(|_| damaged("number"))
}

/// The value of a column that holds 0 or 1.
pub(in crate::ledger::sql) fn flag(row: &Row, column: &str) -> Result<bool> {
    get::<i64>(row, column).map(|value| value != 0)
}
