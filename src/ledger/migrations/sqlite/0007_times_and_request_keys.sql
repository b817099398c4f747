-- When the task came to its end, failed or succeeded; NULL while it can still run. A task that ended before this column
-- existed gets the last moment that is known of it.
ALTER TABLE tasks ADD COLUMN ended_at INTEGER;

UPDATE tasks SET ended_at = max(
    coalesce((SELECT finished_at FROM passes WHERE task_id = tasks.id AND number = tasks.pass), 0),
    coalesce(seen_at, 0),
    created_at
) WHERE state IN ('failed', 'succeeded');

-- Creations that came with a key of the caller's, so that the same request repeated gets the same answer. The task may be
-- deleted meanwhile: the answer stays, so there is no reference to it.
CREATE TABLE created_once (
    project     TEXT    NOT NULL,
    request_key TEXT    NOT NULL,
    -- A keyed hash of the request: it holds credentials, which a plain hash would let somebody guess.
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    task_id     INTEGER NOT NULL,
    task_name   TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (project, request_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX created_once_by_age ON created_once (created_at);
