-- Keys are BLOBs: opaque bytes in byte order. Moments are milliseconds since 1970-01-01 UTC.

CREATE TABLE tasks (
    id              INTEGER PRIMARY KEY CHECK (id > 0),
    project         TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    bandwidth       TEXT    NOT NULL,
    state           TEXT    NOT NULL
        CHECK (state IN ('waiting', 'running', 'pausing', 'paused', 'failed', 'succeeded')),
    reason_code     TEXT,
    reason_message  TEXT,
    -- Version of the credentials; grows at each start.
    epoch           INTEGER NOT NULL CHECK (epoch > 0),
    -- What the last start asked for.
    mode            TEXT    NOT NULL CHECK (mode IN ('full', 'failed_only')),
    -- Right to report on the task; grows at each claim and start, so whoever held it before is fenced off.
    attempt         INTEGER NOT NULL DEFAULT 0,
    -- Last right to commit that was given to a shard. It counts over all passes of the task: a right is never given twice.
    shard_attempt   INTEGER NOT NULL DEFAULT 0,
    -- Number of the last pass.
    pass            INTEGER,
    listed          INTEGER NOT NULL DEFAULT 0 CHECK (listed >= 0),
    copied          INTEGER NOT NULL DEFAULT 0 CHECK (copied >= 0),
    skipped         INTEGER NOT NULL DEFAULT 0 CHECK (skipped >= 0),
    gone            INTEGER NOT NULL DEFAULT 0 CHECK (gone >= 0),
    failed          INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0),
    bytes_listed    INTEGER NOT NULL DEFAULT 0 CHECK (bytes_listed >= 0),
    bytes_copied    INTEGER NOT NULL DEFAULT 0 CHECK (bytes_copied >= 0),
    bytes_settled   INTEGER NOT NULL DEFAULT 0 CHECK (bytes_settled >= 0),
    proved_etag     INTEGER NOT NULL DEFAULT 0 CHECK (proved_etag >= 0),
    proved_checksum INTEGER NOT NULL DEFAULT 0 CHECK (proved_checksum >= 0),
    proved_size     INTEGER NOT NULL DEFAULT 0 CHECK (proved_size >= 0),
    metadata_lost   INTEGER NOT NULL DEFAULT 0 CHECK (metadata_lost >= 0),
    survey_objects  INTEGER NOT NULL DEFAULT 0,
    survey_bytes    INTEGER NOT NULL DEFAULT 0,
    survey_complete INTEGER NOT NULL DEFAULT 0 CHECK (survey_complete IN (0, 1)),
    speed           INTEGER NOT NULL DEFAULT 0 CHECK (speed >= 0),
    created_at      INTEGER NOT NULL,
    started_at      INTEGER,
    running_since   INTEGER,
    -- When the worker was last heard of: what a crash leaves open is accounted up to here, not up to the next start.
    seen_at         INTEGER,
    ran_for         INTEGER NOT NULL DEFAULT 0 CHECK (ran_for >= 0),
    CHECK ((state = 'failed') = (reason_code IS NOT NULL)),
    CHECK ((reason_code IS NULL) = (reason_message IS NULL)),
    CHECK ((state IN ('running', 'pausing')) = (running_since IS NOT NULL)),
    CHECK (speed = 0 OR state IN ('running', 'pausing'))
) STRICT;

CREATE INDEX tasks_by_project ON tasks (project, id);
CREATE INDEX tasks_pending ON tasks (id) WHERE state IN ('waiting', 'running');

-- Apart from the tasks, because a scope may name thousands of keys and every commit writes the task's row anew.
CREATE TABLE specs (
    task_id INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    spec    TEXT    NOT NULL
) STRICT;

CREATE TABLE credentials (
    task_id INTEGER PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    sealed  BLOB    NOT NULL
) STRICT;

CREATE TABLE passes (
    task_id     INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL CHECK (number > 0),
    kind        TEXT    NOT NULL CHECK (kind IN ('full', 'failed')),
    finished    INTEGER NOT NULL DEFAULT 0 CHECK (finished IN (0, 1)),
    opened_at   INTEGER NOT NULL,
    finished_at INTEGER,
    PRIMARY KEY (task_id, number),
    CHECK (finished = (finished_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE shards (
    task_id         INTEGER NOT NULL,
    pass            INTEGER NOT NULL,
    number          INTEGER NOT NULL CHECK (number >= 0),
    scope           TEXT    NOT NULL CHECK (scope IN ('prefix', 'keys', 'failures')),
    prefix          BLOB,
    checkpoint      BLOB,
    closed          INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
    -- The listing has no order, so the checkpoint means nothing to a later claim.
    unordered       INTEGER NOT NULL DEFAULT 0 CHECK (unordered IN (0, 1)),
    -- Right to commit, from tasks.shard_attempt; 0 before the first claim.
    attempt         INTEGER NOT NULL DEFAULT 0,
    -- The task's attempt under which the shard was claimed.
    task_attempt    INTEGER NOT NULL DEFAULT 0,
    -- What this shard has added to the task's counters, to take it back when the shard begins again.
    listed          INTEGER NOT NULL DEFAULT 0,
    copied          INTEGER NOT NULL DEFAULT 0,
    skipped         INTEGER NOT NULL DEFAULT 0,
    gone            INTEGER NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,
    bytes_listed    INTEGER NOT NULL DEFAULT 0,
    bytes_copied    INTEGER NOT NULL DEFAULT 0,
    bytes_settled   INTEGER NOT NULL DEFAULT 0,
    proved_etag     INTEGER NOT NULL DEFAULT 0,
    proved_checksum INTEGER NOT NULL DEFAULT 0,
    proved_size     INTEGER NOT NULL DEFAULT 0,
    metadata_lost   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, pass, number),
    FOREIGN KEY (task_id, pass) REFERENCES passes (task_id, number) ON DELETE CASCADE,
    CHECK ((scope = 'prefix') = (prefix IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX shards_open ON shards (task_id, pass, number) WHERE closed = 0;

CREATE TABLE failures (
    task_id    INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    key        BLOB    NOT NULL,
    -- The shard that recorded it, to forget it when that shard begins again.
    shard      INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    code       TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    request_id TEXT,
    attempts   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (task_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE uploads (
    task_id     INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    key         BLOB    NOT NULL,
    -- NULL while the target is being asked for one.
    upload_id   TEXT,
    part_size   INTEGER NOT NULL,
    source_etag TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    PRIMARY KEY (task_id, key)
) STRICT, WITHOUT ROWID;

-- One row to write to, for the proof that the ledger can be written.
CREATE TABLE pulse (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    beats INTEGER NOT NULL
) STRICT;

INSERT INTO pulse (one, beats) VALUES (1, 0);
