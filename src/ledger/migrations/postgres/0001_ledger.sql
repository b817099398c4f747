-- Keys are bytes, compared as bytes. Moments are milliseconds since 1970-01-01 UTC. Flags are 0 and 1, as in SQLite, so that
-- both databases execute the same statements. Texts are compared byte by byte.

CREATE TABLE tasks (
    id                    BIGINT PRIMARY KEY CHECK (id > 0),
    project               TEXT   COLLATE "C" NOT NULL,
    name                  TEXT   NOT NULL,
    bandwidth             TEXT   NOT NULL,
    state                 TEXT   COLLATE "C" NOT NULL
        CHECK (state IN ('waiting', 'running', 'pausing', 'paused', 'failed', 'succeeded')),
    reason_code           TEXT,
    reason_message        TEXT,
    -- Version of the credentials; grows at each start.
    epoch                 BIGINT NOT NULL CHECK (epoch > 0),
    -- What the last start asked for.
    mode                  TEXT   NOT NULL CHECK (mode IN ('full', 'failed_only')),
    -- The lease on the task: 0 and NULL if nobody holds it. Its holder opens and ends passes.
    fencing_token         BIGINT NOT NULL DEFAULT 0,
    held_by               BIGINT,
    -- What the holder has found out about the stores since the last start. NULL: no other worker may join yet.
    findings              TEXT,
    -- Why a worker could not continue. The task fails for this reason when all workers have left.
    trouble_code          TEXT,
    trouble_message       TEXT,
    -- Number of the last pass.
    pass                  BIGINT,
    survey_objects        BIGINT NOT NULL DEFAULT 0,
    survey_bytes          BIGINT NOT NULL DEFAULT 0,
    survey_complete       BIGINT NOT NULL DEFAULT 0 CHECK (survey_complete IN (0, 1)),
    created_at            BIGINT NOT NULL,
    started_at            BIGINT,
    running_since         BIGINT,
    -- When the holder last wrote.
    seen_at               BIGINT,
    ended_at              BIGINT,
    ran_for               BIGINT NOT NULL DEFAULT 0 CHECK (ran_for >= 0),
    failed_list_key       TEXT,
    failed_list_error     TEXT,
    -- Last timestamp that was given to a pass or to a file of a report.
    last_timestamp        BIGINT NOT NULL DEFAULT 0,
    -- 0: nobody holds it; 1: its holder has just leased it; 2: its holder has worked for a while.
    held                  BIGINT NOT NULL DEFAULT 0 CHECK (held IN (0, 1, 2)),
    -- Crashes since the last progress, weighted, and how much progress the shards had made when they were counted.
    crashes               BIGINT NOT NULL DEFAULT 0 CHECK (crashes >= 0),
    counted_progress      BIGINT NOT NULL DEFAULT -1,
    forgetting            BIGINT NOT NULL DEFAULT 0 CHECK (forgetting IN (0, 1)),
    CHECK ((state = 'failed') = (reason_code IS NOT NULL)),
    CHECK ((reason_code IS NULL) = (reason_message IS NULL)),
    CHECK ((state IN ('running', 'pausing')) = (running_since IS NOT NULL))
);

CREATE INDEX tasks_by_project ON tasks (project, id);
CREATE INDEX tasks_running ON tasks (id) WHERE state = 'running';
CREATE INDEX tasks_pausing ON tasks (id) WHERE state = 'pausing';
CREATE INDEX tasks_waiting ON tasks (project, id) WHERE state = 'waiting';

CREATE TABLE specs (
    task_id BIGINT PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    spec    TEXT   NOT NULL
);

CREATE TABLE credentials (
    task_id BIGINT PRIMARY KEY REFERENCES tasks (id) ON DELETE CASCADE,
    sealed  BYTEA  NOT NULL
);

CREATE TABLE passes (
    task_id     BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    number      BIGINT NOT NULL CHECK (number > 0),
    kind        TEXT   NOT NULL CHECK (kind IN ('full', 'failed')),
    finished    BIGINT NOT NULL DEFAULT 0 CHECK (finished IN (0, 1)),
    opened_at   BIGINT NOT NULL,
    finished_at BIGINT,
    -- Sums of the closed shards.
    listed                BIGINT NOT NULL DEFAULT 0 CHECK (listed >= 0),
    copied                BIGINT NOT NULL DEFAULT 0 CHECK (copied >= 0),
    skipped               BIGINT NOT NULL DEFAULT 0 CHECK (skipped >= 0),
    gone                  BIGINT NOT NULL DEFAULT 0 CHECK (gone >= 0),
    failed                BIGINT NOT NULL DEFAULT 0 CHECK (failed >= 0),
    bytes_listed          BIGINT NOT NULL DEFAULT 0 CHECK (bytes_listed >= 0),
    bytes_copied          BIGINT NOT NULL DEFAULT 0 CHECK (bytes_copied >= 0),
    bytes_settled         BIGINT NOT NULL DEFAULT 0 CHECK (bytes_settled >= 0),
    proved_etag           BIGINT NOT NULL DEFAULT 0 CHECK (proved_etag >= 0),
    proved_checksum       BIGINT NOT NULL DEFAULT 0 CHECK (proved_checksum >= 0),
    proved_size           BIGINT NOT NULL DEFAULT 0 CHECK (proved_size >= 0),
    metadata_lost         BIGINT NOT NULL DEFAULT 0 CHECK (metadata_lost >= 0),
    lost_tags             BIGINT NOT NULL DEFAULT 0 CHECK (lost_tags >= 0),
    lost_storage_class    BIGINT NOT NULL DEFAULT 0 CHECK (lost_storage_class >= 0),
    lost_user_metadata    BIGINT NOT NULL DEFAULT 0 CHECK (lost_user_metadata >= 0),
    lost_website_redirect BIGINT NOT NULL DEFAULT 0 CHECK (lost_website_redirect >= 0),
    lost_object_lock      BIGINT NOT NULL DEFAULT 0 CHECK (lost_object_lock >= 0),
    lost_other            BIGINT NOT NULL DEFAULT 0 CHECK (lost_other >= 0),
    not_found             BIGINT NOT NULL DEFAULT 0 CHECK (not_found >= 0),
    bytes_in_flight       BIGINT NOT NULL DEFAULT 0 CHECK (bytes_in_flight >= 0),
    PRIMARY KEY (task_id, number),
    CHECK ((finished = 1) = (finished_at IS NOT NULL))
);

-- Every commit writes one row of this table. The space that is left free keeps the new version of a row beside the old one.
CREATE TABLE shards (
    task_id               BIGINT NOT NULL,
    pass                  BIGINT NOT NULL,
    number                BIGINT NOT NULL CHECK (number >= 0),
    scope                 TEXT   COLLATE "C" NOT NULL CHECK (scope IN ('prefix', 'keys', 'failures')),
    prefix                BYTEA,
    -- A shard covers what follows start_after in the listing, up to and including until. NULL is the end on that side.
    start_after           BYTEA,
    until                 BYTEA,
    checkpoint            BYTEA,
    closed                BIGINT NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
    unordered             BIGINT NOT NULL DEFAULT 0 CHECK (unordered IN (0, 1)),
    -- The lease on the shard.
    fencing_token         BIGINT NOT NULL DEFAULT 0,
    held_by               BIGINT,
    seen_at               BIGINT NOT NULL DEFAULT 0,
    -- Number of commits. A holder that does not get the answer to a commit asks again with the same number.
    commits               BIGINT NOT NULL DEFAULT 0,
    -- Number of leases that ended without a word since the last progress.
    lost_leases           BIGINT NOT NULL DEFAULT 0,
    -- Number of commits that settled something, and of parts of large objects.
    progress              BIGINT NOT NULL DEFAULT 0,
    -- What the holder does for the whole task, as of its last commit.
    speed                 BIGINT NOT NULL DEFAULT 0,
    concurrency_allowed   BIGINT,
    concurrency_in_flight BIGINT,
    concurrency_reason    TEXT,
    listed                BIGINT NOT NULL DEFAULT 0,
    copied                BIGINT NOT NULL DEFAULT 0,
    skipped               BIGINT NOT NULL DEFAULT 0,
    gone                  BIGINT NOT NULL DEFAULT 0,
    failed                BIGINT NOT NULL DEFAULT 0,
    bytes_listed          BIGINT NOT NULL DEFAULT 0,
    bytes_copied          BIGINT NOT NULL DEFAULT 0,
    bytes_settled         BIGINT NOT NULL DEFAULT 0,
    proved_etag           BIGINT NOT NULL DEFAULT 0,
    proved_checksum       BIGINT NOT NULL DEFAULT 0,
    proved_size           BIGINT NOT NULL DEFAULT 0,
    metadata_lost         BIGINT NOT NULL DEFAULT 0,
    lost_tags             BIGINT NOT NULL DEFAULT 0,
    lost_storage_class    BIGINT NOT NULL DEFAULT 0,
    lost_user_metadata    BIGINT NOT NULL DEFAULT 0,
    lost_website_redirect BIGINT NOT NULL DEFAULT 0,
    lost_object_lock      BIGINT NOT NULL DEFAULT 0,
    lost_other            BIGINT NOT NULL DEFAULT 0,
    not_found             BIGINT NOT NULL DEFAULT 0,
    bytes_in_flight       BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, pass, number),
    FOREIGN KEY (task_id, pass) REFERENCES passes (task_id, number) ON DELETE CASCADE,
    CHECK ((scope = 'prefix') = (prefix IS NOT NULL))
) WITH (fillfactor = 70);

CREATE INDEX shards_open ON shards (task_id, pass, number) WHERE closed = 0;

-- No reference to tasks: checking it would lock the task's row in every commit that records a failure.
CREATE TABLE failures (
    task_id             BIGINT NOT NULL,
    key                 BYTEA  NOT NULL,
    shard               BIGINT NOT NULL,
    size                BIGINT NOT NULL,
    code                TEXT   NOT NULL,
    message             TEXT   NOT NULL,
    request_id          TEXT,
    attempts            BIGINT NOT NULL,
    at                  BIGINT NOT NULL,
    taken_pass          BIGINT NOT NULL DEFAULT 0,
    taken_fencing_token BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, key)
);

CREATE TABLE uploads (
    task_id     BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    key         BYTEA  NOT NULL,
    upload_id   TEXT,
    part_size   BIGINT NOT NULL,
    source_etag TEXT   NOT NULL,
    size        BIGINT NOT NULL,
    foreign_uploads TEXT,
    PRIMARY KEY (task_id, key)
);

CREATE TABLE part_hashes (
    task_id BIGINT NOT NULL,
    key     BYTEA  NOT NULL,
    number  BIGINT NOT NULL CHECK (number BETWEEN 1 AND 10000),
    md5     BYTEA  NOT NULL CHECK (length(md5) = 16),
    PRIMARY KEY (task_id, key, number),
    FOREIGN KEY (task_id, key) REFERENCES uploads (task_id, key) ON DELETE CASCADE
);

-- Lines of the reports of copied and skipped objects that are not at the target yet. No reference to tasks, as for failures.
CREATE TABLE report_chunks (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id BIGINT NOT NULL,
    kind    TEXT   COLLATE "C" NOT NULL CHECK (kind IN ('success', 'skip')),
    shard   BIGINT NOT NULL,
    -- The file that the lines are written to; NULL until that is decided.
    file    BIGINT,
    bytes   BIGINT NOT NULL CHECK (bytes > 0),
    lines   BYTEA  NOT NULL
);

CREATE INDEX report_chunks_in_order ON report_chunks (task_id, kind, id, file, bytes);

CREATE TABLE report_problems (
    task_id BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    kind    TEXT   NOT NULL CHECK (kind IN ('success', 'skip')),
    problem TEXT   NOT NULL CHECK (problem IN ('not_stored', 'too_large')),
    PRIMARY KEY (task_id, kind)
);

CREATE TABLE warnings (
    task_id  BIGINT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    code     TEXT   COLLATE "C" NOT NULL,
    -- Empty for the whole task.
    subject  TEXT   COLLATE "C" NOT NULL,
    message  TEXT   NOT NULL,
    count    BIGINT NOT NULL CHECK (count > 0),
    first_at BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (task_id, code, subject)
);

-- Uploads that deleted tasks left open at their targets. Their tasks are gone, so nothing is referred to.
CREATE TABLE orphans (
    number      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id     BIGINT NOT NULL,
    endpoint    TEXT   COLLATE "C" NOT NULL,
    bucket      TEXT   COLLATE "C" NOT NULL,
    location    TEXT   NOT NULL,
    key         BYTEA  NOT NULL,
    upload_id   TEXT,
    orphaned_at BIGINT NOT NULL,
    foreign_uploads TEXT
);

CREATE INDEX orphans_by_task ON orphans (task_id, number);
CREATE INDEX orphans_by_place ON orphans (endpoint, bucket, number);

-- Credentials to abort them, for as long as there is an orphan of the task.
CREATE TABLE orphan_keys (
    task_id  BIGINT PRIMARY KEY,
    sealed   BYTEA  NOT NULL,
    taken_at BIGINT
);

-- Creations with an idempotency key. The task may be deleted meanwhile.
CREATE TABLE created_once (
    project     TEXT   COLLATE "C" NOT NULL,
    request_key TEXT   COLLATE "C" NOT NULL,
    fingerprint BYTEA  NOT NULL CHECK (length(fingerprint) = 32),
    task_id     BIGINT NOT NULL,
    task_name   TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (project, request_key)
);

CREATE INDEX created_once_by_age ON created_once (created_at);

-- One row to write to, for the proof that the ledger can be written.
CREATE TABLE pulse (
    one   BIGINT PRIMARY KEY CHECK (one = 1),
    beats BIGINT NOT NULL
);

INSERT INTO pulse (one, beats) VALUES (1, 0);

-- Workers that share the ledger.
CREATE TABLE workers (
    id      BIGINT PRIMARY KEY,
    name    TEXT   NOT NULL,
    version TEXT   NOT NULL,
    -- Tasks that it may run at the same time.
    slots   BIGINT NOT NULL,
    -- Whether it could do more.
    idle    BIGINT NOT NULL CHECK (idle IN (0, 1)),
    seen_at BIGINT NOT NULL
);

-- Facts about the ledger itself.
CREATE TABLE meta (
    key   TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);
