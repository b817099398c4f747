//! Open multipart uploads at the targets.

use std::collections::BTreeMap;

use super::database::{Database, get, small, sql};
use super::facts::may_write;
use super::rows;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Committed, OpenUpload, Writer};
use crate::object::ETag;
use crate::task::{Key, TaskId};

// The rows of a deleted task are deleted later, so deleted tasks must be excluded.
const LIVE_ONE: &str = "SELECT * FROM uploads WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') \
     AND key = $2";
const LIVE_ALL: &str = "SELECT * FROM uploads WHERE task_id = (SELECT id FROM tasks WHERE id = $1 AND project <> '') \
     ORDER BY key";

pub(super) async fn put(
    ledger: &Database,
    id: TaskId,
    writer: Writer<'_>,
    upload: &OpenUpload,
) -> Result<Committed> {
    let foreign_uploads = upload
        .foreign_uploads
        .as_ref()
        .map(serde_json::to_string)
        .transpose();
    let foreign_uploads =
        foreign_uploads.map_err(|e| Error::internal("upload ids cannot be written").with_source(e))?;
    let statement = sql(
        "INSERT INTO uploads (task_id, key, upload_id, part_size, source_etag, size, foreign_uploads) \
         SELECT id, $2, $3, $4, $5, $6, $7 FROM tasks WHERE id = $1 AND project <> '' \
         ON CONFLICT (task_id, key) DO UPDATE SET upload_id = excluded.upload_id, \
         part_size = excluded.part_size, source_etag = excluded.source_etag, size = excluded.size, \
         foreign_uploads = excluded.foreign_uploads",
    )
    .bind(id.get())
    .bind(upload.key.as_bytes())
    .bind(upload.upload_id.as_deref())
    .bind(upload.part_size)
    .bind(upload.source_etag.as_ref().map_or("", ETag::as_str))
    .bind(upload.size)
    .bind(foreign_uploads);
    let forget = sql("DELETE FROM part_hashes WHERE task_id = $1 AND key = $2")
        .bind(id.get())
        .bind(upload.key.as_bytes());
    let mut tx = ledger.begin().await?;
    if !may_write(&mut tx, id, writer).await? {
        return Ok(Committed::Fenced);
    }
    if tx.run(statement).await? == 0 {
        return Err(Error::new(ErrorKind::NotFound, "no such task"));
    }
    tx.run(forget).await?;
    tx.end().await?;
    Ok(Committed::Done)
}

pub(super) async fn one(ledger: &Database, id: TaskId, key: &Key) -> Result<Option<OpenUpload>> {
    let select = sql(LIVE_ONE).bind(id.get()).bind(key.as_bytes());
    ledger.first(select, rows::upload).await
}

pub(super) async fn all(ledger: &Database, id: TaskId) -> Result<Vec<OpenUpload>> {
    let select = sql(LIVE_ALL).bind(id.get());
    ledger.all(select, rows::upload).await
}

pub(super) async fn remove(
    ledger: &Database,
    id: TaskId,
    writer: Writer<'_>,
    key: &Key,
) -> Result<Committed> {
    let mut tx = ledger.begin().await?;
    if !may_write(&mut tx, id, writer).await? {
        return Ok(Committed::Fenced);
    }
    let statement = sql("DELETE FROM uploads WHERE task_id = $1 AND key = $2")
        .bind(id.get())
        .bind(key.as_bytes());
    tx.run(statement).await?;
    tx.end().await?;
    Ok(Committed::Done)
}

pub(super) async fn put_hash(
    ledger: &Database,
    id: TaskId,
    writer: Writer<'_>,
    key: &Key,
    (number, md5): (u32, [u8; 16]),
) -> Result<Committed> {
    let mut tx = ledger.begin().await?;
    if !may_write(&mut tx, id, writer).await? {
        return Ok(Committed::Fenced);
    }
    let statement = sql(
        "INSERT INTO part_hashes (task_id, key, number, md5) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (task_id, key, number) DO UPDATE SET md5 = excluded.md5",
    )
    .bind(id.get())
    .bind(key.as_bytes())
    .bind(number)
    .bind(md5.to_vec());
    tx.run(statement).await?;
    // A part is progress.
    if let Writer::Shard(shard) = writer {
        let progress = sql(
            "UPDATE shards SET progress = progress + 1, lost_leases = 0 WHERE task_id = $1 AND pass = $2 AND number = $3",
        )
        .bind(id.get())
        .bind(shard.pass)
        .bind(shard.number);
        tx.run(progress).await?;
    }
    tx.end().await?;
    Ok(Committed::Done)
}

pub(super) async fn hashes(ledger: &Database, id: TaskId, key: &Key) -> Result<BTreeMap<u32, [u8; 16]>> {
    let select = sql("SELECT number, md5 FROM part_hashes WHERE task_id = $1 AND key = $2")
        .bind(id.get())
        .bind(key.as_bytes());
    let hashes = ledger.all(select, |row| {
        let md5 = get::<&[u8]>(row, "md5")?.try_into();
        let md5 = md5.map_err(|_| Error::internal("a hash has another length"))?;
        Ok((small(row, "number")?, md5))
    });
    Ok(hashes.await?.into_iter().collect())
}
