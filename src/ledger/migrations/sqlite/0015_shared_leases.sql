-- Several workers may share a task. A lease belongs to a worker, ends some time after its holder's last write, and has a random
-- fencing token. What is counted stands in the shards; a pass has the sum of its closed ones. So no two shards write one row.
ALTER TABLE passes ADD COLUMN listed INTEGER NOT NULL DEFAULT 0 CHECK (listed >= 0);
ALTER TABLE passes ADD COLUMN copied INTEGER NOT NULL DEFAULT 0 CHECK (copied >= 0);
ALTER TABLE passes ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0 CHECK (skipped >= 0);
ALTER TABLE passes ADD COLUMN gone INTEGER NOT NULL DEFAULT 0 CHECK (gone >= 0);
ALTER TABLE passes ADD COLUMN failed INTEGER NOT NULL DEFAULT 0 CHECK (failed >= 0);
ALTER TABLE passes ADD COLUMN bytes_listed INTEGER NOT NULL DEFAULT 0 CHECK (bytes_listed >= 0);
ALTER TABLE passes ADD COLUMN bytes_copied INTEGER NOT NULL DEFAULT 0 CHECK (bytes_copied >= 0);
ALTER TABLE passes ADD COLUMN bytes_settled INTEGER NOT NULL DEFAULT 0 CHECK (bytes_settled >= 0);
ALTER TABLE passes ADD COLUMN proved_etag INTEGER NOT NULL DEFAULT 0 CHECK (proved_etag >= 0);
ALTER TABLE passes ADD COLUMN proved_checksum INTEGER NOT NULL DEFAULT 0 CHECK (proved_checksum >= 0);
ALTER TABLE passes ADD COLUMN proved_size INTEGER NOT NULL DEFAULT 0 CHECK (proved_size >= 0);
ALTER TABLE passes ADD COLUMN metadata_lost INTEGER NOT NULL DEFAULT 0 CHECK (metadata_lost >= 0);
ALTER TABLE passes ADD COLUMN lost_tags INTEGER NOT NULL DEFAULT 0 CHECK (lost_tags >= 0);
ALTER TABLE passes ADD COLUMN lost_storage_class INTEGER NOT NULL DEFAULT 0 CHECK (lost_storage_class >= 0);
ALTER TABLE passes ADD COLUMN lost_user_metadata INTEGER NOT NULL DEFAULT 0 CHECK (lost_user_metadata >= 0);
ALTER TABLE passes ADD COLUMN lost_website_redirect INTEGER NOT NULL DEFAULT 0 CHECK (lost_website_redirect >= 0);
ALTER TABLE passes ADD COLUMN lost_object_lock INTEGER NOT NULL DEFAULT 0 CHECK (lost_object_lock >= 0);
ALTER TABLE passes ADD COLUMN lost_other INTEGER NOT NULL DEFAULT 0 CHECK (lost_other >= 0);
ALTER TABLE passes ADD COLUMN not_found INTEGER NOT NULL DEFAULT 0 CHECK (not_found >= 0);
ALTER TABLE passes ADD COLUMN bytes_in_flight INTEGER NOT NULL DEFAULT 0 CHECK (bytes_in_flight >= 0);
UPDATE passes SET
    listed = (SELECT max(0, t.listed - coalesce((SELECT sum(s.listed) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    copied = (SELECT max(0, t.copied - coalesce((SELECT sum(s.copied) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    skipped = (SELECT max(0, t.skipped - coalesce((SELECT sum(s.skipped) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    gone = (SELECT max(0, t.gone - coalesce((SELECT sum(s.gone) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    failed = (SELECT max(0, t.failed - coalesce((SELECT sum(s.failed) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    bytes_listed = (SELECT max(0, t.bytes_listed - coalesce((SELECT sum(s.bytes_listed) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    bytes_copied = (SELECT max(0, t.bytes_copied - coalesce((SELECT sum(s.bytes_copied) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    bytes_settled = (SELECT max(0, t.bytes_settled - coalesce((SELECT sum(s.bytes_settled) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    proved_etag = (SELECT max(0, t.proved_etag - coalesce((SELECT sum(s.proved_etag) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    proved_checksum = (SELECT max(0, t.proved_checksum - coalesce((SELECT sum(s.proved_checksum) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    proved_size = (SELECT max(0, t.proved_size - coalesce((SELECT sum(s.proved_size) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    metadata_lost = (SELECT max(0, t.metadata_lost - coalesce((SELECT sum(s.metadata_lost) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    lost_tags = (SELECT max(0, t.lost_tags - coalesce((SELECT sum(s.lost_tags) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    lost_storage_class = (SELECT max(0, t.lost_storage_class - coalesce((SELECT sum(s.lost_storage_class) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    lost_user_metadata = (SELECT max(0, t.lost_user_metadata - coalesce((SELECT sum(s.lost_user_metadata) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    lost_website_redirect = (SELECT max(0, t.lost_website_redirect - coalesce((SELECT sum(s.lost_website_redirect) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    lost_object_lock = (SELECT max(0, t.lost_object_lock - coalesce((SELECT sum(s.lost_object_lock) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    lost_other = (SELECT max(0, t.lost_other - coalesce((SELECT sum(s.lost_other) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    not_found = (SELECT max(0, t.not_found - coalesce((SELECT sum(s.not_found) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id),
    bytes_in_flight = (SELECT max(0, t.bytes_in_flight - coalesce((SELECT sum(s.bytes_in_flight) FROM shards s
        WHERE s.task_id = t.id AND s.pass = t.pass AND s.closed = 0), 0)) FROM tasks t WHERE t.id = passes.task_id)
    WHERE number = (SELECT pass FROM tasks WHERE id = passes.task_id);
ALTER TABLE tasks DROP COLUMN listed;
ALTER TABLE tasks DROP COLUMN copied;
ALTER TABLE tasks DROP COLUMN skipped;
ALTER TABLE tasks DROP COLUMN gone;
ALTER TABLE tasks DROP COLUMN failed;
ALTER TABLE tasks DROP COLUMN bytes_listed;
ALTER TABLE tasks DROP COLUMN bytes_copied;
ALTER TABLE tasks DROP COLUMN bytes_settled;
ALTER TABLE tasks DROP COLUMN proved_etag;
ALTER TABLE tasks DROP COLUMN proved_checksum;
ALTER TABLE tasks DROP COLUMN proved_size;
ALTER TABLE tasks DROP COLUMN metadata_lost;
ALTER TABLE tasks DROP COLUMN lost_tags;
ALTER TABLE tasks DROP COLUMN lost_storage_class;
ALTER TABLE tasks DROP COLUMN lost_user_metadata;
ALTER TABLE tasks DROP COLUMN lost_website_redirect;
ALTER TABLE tasks DROP COLUMN lost_object_lock;
ALTER TABLE tasks DROP COLUMN lost_other;
ALTER TABLE tasks DROP COLUMN not_found;
ALTER TABLE tasks DROP COLUMN bytes_in_flight;
ALTER TABLE tasks DROP COLUMN shard_fencing_token;
ALTER TABLE tasks DROP COLUMN concurrency_allowed;
ALTER TABLE tasks DROP COLUMN concurrency_in_flight;
ALTER TABLE tasks DROP COLUMN concurrency_reason;
-- The speed of a task is the sum of its workers' now. SQLite cannot drop the column, because a condition names it.
UPDATE tasks SET speed = 0;
-- The worker that holds the task: it opens and ends passes. NULL: nobody.
ALTER TABLE tasks ADD COLUMN held_by INTEGER;
-- What it has found out about the stores since the last start. NULL: no other worker may join yet.
ALTER TABLE tasks ADD COLUMN findings TEXT;
-- Why a worker could not continue. The task fails for this reason when all workers have left.
ALTER TABLE tasks ADD COLUMN trouble_code TEXT;
ALTER TABLE tasks ADD COLUMN trouble_message TEXT;
-- How much progress the shards had made when a crash was counted last.
ALTER TABLE tasks ADD COLUMN counted_progress INTEGER NOT NULL DEFAULT -1;
CREATE INDEX tasks_pausing ON tasks (id) WHERE state = 'pausing';

ALTER TABLE shards DROP COLUMN task_fencing_token;
-- The worker that holds the shard. NULL: nobody.
ALTER TABLE shards ADD COLUMN held_by INTEGER;
ALTER TABLE shards ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;
-- Number of commits. A holder that does not get the answer to a commit asks again with the same number.
ALTER TABLE shards ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
-- Number of leases that ended without a word since the last progress.
ALTER TABLE shards ADD COLUMN lost_leases INTEGER NOT NULL DEFAULT 0;
-- Number of commits that settled something, and of parts of large objects.
ALTER TABLE shards ADD COLUMN progress INTEGER NOT NULL DEFAULT 0;
-- What the holder does for the whole task, as of its last commit.
ALTER TABLE shards ADD COLUMN speed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE shards ADD COLUMN concurrency_allowed INTEGER;
ALTER TABLE shards ADD COLUMN concurrency_in_flight INTEGER;
ALTER TABLE shards ADD COLUMN concurrency_reason TEXT;

-- Lines of reports that are not at the target yet. Each row came with one commit.
CREATE TABLE report_chunks (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    kind    TEXT    NOT NULL CHECK (kind IN ('success', 'skip')),
    -- The shard that settled the objects, to forget them when that shard begins again.
    shard   INTEGER NOT NULL,
    -- The file that the lines are written to; NULL until that is decided.
    file    INTEGER,
    -- Length of the lines.
    bytes   INTEGER NOT NULL CHECK (bytes > 0),
    lines   BLOB    NOT NULL
) STRICT;
INSERT INTO report_chunks (task_id, kind, shard, bytes, lines)
    SELECT task_id, kind, shard, bytes, lines FROM list_chunks ORDER BY task_id, kind, stamp;
DROP TABLE list_chunks;
-- With the lengths, so that what waits is counted without a look at the lines.
CREATE INDEX report_chunks_in_order ON report_chunks (task_id, kind, id, file, bytes);

-- Reports that are not complete at the target, and why.
CREATE TABLE report_problems (
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    kind    TEXT    NOT NULL CHECK (kind IN ('success', 'skip')),
    problem TEXT    NOT NULL CHECK (problem IN ('not_stored', 'too_large')),
    PRIMARY KEY (task_id, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO report_problems (task_id, kind, problem) SELECT task_id, kind, trouble FROM list_troubles;
DROP TABLE list_troubles;

-- Plain names for what stood under others.
ALTER TABLE tasks RENAME COLUMN list_stamp TO last_timestamp;
ALTER TABLE uploads RENAME COLUMN strangers TO foreign_uploads;
ALTER TABLE orphans RENAME COLUMN strangers TO foreign_uploads;
ALTER TABLE orphans RENAME COLUMN place TO location;

-- Workers that share the ledger.
CREATE TABLE workers (
    id      INTEGER PRIMARY KEY,
    name    TEXT    NOT NULL,
    version TEXT    NOT NULL,
    -- Tasks that it may run at the same time.
    slots   INTEGER NOT NULL,
    -- Whether it could do more.
    idle    INTEGER NOT NULL CHECK (idle IN (0, 1)),
    seen_at INTEGER NOT NULL
) STRICT;

-- Facts about the ledger itself.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
