-- Lines of the lists of copied and skipped objects that are not at the target yet. Each row came with one commit.
CREATE TABLE list_chunks (
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    kind    TEXT    NOT NULL CHECK (kind IN ('success', 'skip')),
    -- From tasks.list_stamp.
    stamp   INTEGER NOT NULL,
    -- The shard that settled the objects, to forget them when that shard begins again.
    shard   INTEGER NOT NULL,
    -- Length of the lines.
    bytes   INTEGER NOT NULL CHECK (bytes > 0),
    lines   BLOB    NOT NULL
) STRICT;

-- With the lengths, so that what waits is counted without a look at the lines.
CREATE UNIQUE INDEX list_chunks_in_order ON list_chunks (task_id, kind, stamp, bytes);

-- Last moment that was given to a pass or to lines: none is given twice, and they ascend. Files are named after them.
ALTER TABLE tasks ADD COLUMN list_stamp INTEGER NOT NULL DEFAULT 0;

-- Lists that are not complete at the target, and why.
CREATE TABLE list_troubles (
    task_id INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    kind    TEXT    NOT NULL CHECK (kind IN ('success', 'skip')),
    trouble TEXT    NOT NULL CHECK (trouble IN ('not_stored', 'too_large')),
    PRIMARY KEY (task_id, kind)
) STRICT, WITHOUT ROWID;
