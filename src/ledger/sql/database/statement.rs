//! A statement with its parameters, for either database.

use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};

/// A value of a parameter. Each kind may be NULL.
#[derive(Clone, Debug)]
pub(in crate::ledger::sql) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A statement with what is bound to it. Parameters are called `$1`, `$2` and so on, which both databases understand.
#[derive(Clone, Debug)]
pub(in crate::ledger::sql) struct Statement {
    text: &'static str,
    values: Vec<Value>,
    lock: Lock,
}

/// What happens to the rows that a statement reads in a transaction. SQLite knows no such locks: a transaction that changes
/// something keeps all others out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    /// Nothing.
    None,
    /// Other changes of the rows wait until the transaction ends.
    Wait,
    /// The same, and rows that somebody else is changing are left out.
    Skip,
}

/// A statement without parameters.
pub(in crate::ledger::sql) const fn sql(text: &'static str) -> Statement {
    Statement {
        text,
        values: Vec::new(),
        lock: Lock::None,
    }
}

impl Statement {
    /// Binds the next parameter.
    pub(in crate::ledger::sql) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Keeps other changes of the rows that it reads out until the transaction ends.
    pub(in crate::ledger::sql) const fn locking(mut self) -> Self {
        self.lock = Lock::Wait;
        self
    }

    /// The same, and leaves out rows that somebody else is changing.
    pub(in crate::ledger::sql) const fn locking_free_rows(mut self) -> Self {
        self.lock = Lock::Skip;
        self
    }

    pub(super) fn for_sqlite(self) -> Query<'static, Sqlite, SqliteArguments> {
        let query = sqlx::query(self.text);
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        })
    }

    /// PostgreSQL stores no U+0000 in a text. Texts of object stores may hold one, so it is replaced.
    pub(super) fn for_postgres(self) -> Query<'static, Postgres, PgArguments> {
        let locked = |how: &str| sqlx::query(AssertSqlSafe(format!("{} {how}", self.text)));
        let query = match self.lock {
            Lock::None => sqlx::query(self.text),
            Lock::Wait => locked("FOR UPDATE"),
            Lock::Skip => locked("FOR UPDATE SKIP LOCKED"),
        };
        self.values.into_iter().fold(query, |query, value| match value {
            Value::Integer(value) => query.bind(value),
            Value::Text(value) => query.bind(value.map(|text| {
                if text.contains('\0') {
                    text.replace('\0', "\u{fffd}")
                } else {
                    text
                }
            })),
            Value::Bytes(value) => query.bind(value),
        })
    }
}

/// Flags are the integers 0 and 1, because SQLite has no other kind.
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Integer(Some(i64::from(flag)))
    }
}

macro_rules! values {
    ($($type:ty => $kind:ident),+ $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$kind(Some(value.into()))
            }
        }
        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$kind(value.map(Into::into))
            }
        }
    )+};
}

values! {
    i64 => Integer,
    u32 => Integer,
    &str => Text,
    String => Text,
    &[u8] => Bytes,
    Vec<u8> => Bytes,
}
