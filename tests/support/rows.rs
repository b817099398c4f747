//! A direct look at the rows of a rig's ledger, for what workers never ask.

use oms::task::{ReportKind, TaskId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};

use super::rig::{Rig, TIMEOUT};

/// A connection of its own to the database of a rig.
pub async fn connection(rig: &Rig) -> SqliteConnection {
    let path = rig.folder.path().join("oms.db");
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(TIMEOUT);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// Number of commits whose lines for a report are not at the target yet.
pub async fn waiting_chunks(rig: &Rig, id: TaskId, kind: ReportKind) -> i64 {
    let mut connection = connection(rig).await;
    let row = sqlx::query("SELECT count(*) AS waiting FROM report_chunks WHERE task_id = ? AND kind = ?")
        .bind(id.get())
        .bind(kind.name())
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    row.get("waiting")
}

/// Takes the id of an open upload away, with all that belongs to it, as if the worker had ended before it recorded the id.
pub async fn forget_upload_id(rig: &Rig, id: TaskId, key: &str) {
    let mut connection = connection(rig).await;
    for statement in [
        "UPDATE uploads SET upload_id = NULL, foreign_uploads = '[]' WHERE task_id = ? AND key = ?",
        "DELETE FROM part_hashes WHERE task_id = ? AND key = ?",
    ] {
        sqlx::query(statement)
            .bind(id.get())
            .bind(key.as_bytes())
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}
