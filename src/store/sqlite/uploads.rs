//! Multipart uploads that are open at the targets.

use super::error::translate;
use super::ledger::Ledger;
use super::rows;
use crate::error::Result;
use crate::object::ETag;
use crate::store::OpenUpload;
use crate::task::{Key, TaskId};

pub(super) async fn put(ledger: &Ledger, id: TaskId, upload: &OpenUpload) -> Result<()> {
    let statement = sqlx::query(
        "INSERT INTO uploads (task_id, key, upload_id, part_size, source_etag, size) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (task_id, key) DO UPDATE SET upload_id = excluded.upload_id, \
         part_size = excluded.part_size, source_etag = excluded.source_etag, size = excluded.size",
    )
    .bind(id.get())
    .bind(upload.key.as_bytes())
    .bind(upload.upload_id.as_deref())
    .bind(upload.part_size)
    .bind(upload.source_etag.as_ref().map_or("", ETag::as_str))
    .bind(upload.size);
    ledger.change(statement).await.map(drop)
}

pub(super) async fn one(ledger: &Ledger, id: TaskId, key: &Key) -> Result<Option<OpenUpload>> {
    sqlx::query("SELECT * FROM uploads WHERE task_id = ?1 AND key = ?2")
        .bind(id.get())
        .bind(key.as_bytes())
        .fetch_optional(ledger.readers())
        .await
        .map_err(translate)?
        .as_ref()
        .map(rows::upload)
        .transpose()
}

pub(super) async fn all(ledger: &Ledger, id: TaskId) -> Result<Vec<OpenUpload>> {
    sqlx::query("SELECT * FROM uploads WHERE task_id = ?1 ORDER BY key")
        .bind(id.get())
        .fetch_all(ledger.readers())
        .await
        .map_err(translate)?
        .iter()
        .map(rows::upload)
        .collect()
}

pub(super) async fn remove(ledger: &Ledger, id: TaskId, key: &Key) -> Result<()> {
    let statement = sqlx::query("DELETE FROM uploads WHERE task_id = ?1 AND key = ?2")
        .bind(id.get())
        .bind(key.as_bytes());
    ledger.change(statement).await.map(drop)
}
