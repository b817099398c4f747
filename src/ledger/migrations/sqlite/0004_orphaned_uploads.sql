-- Uploads that deleted tasks left open at their targets, until they are given up. Their tasks are no more, so nothing is
-- referred to. A number is never given twice: who gives up an upload removes what it has read, and nothing newer.
CREATE TABLE orphans (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id     INTEGER NOT NULL,
    -- The target: by address and bucket it is found, by the whole place it is connected to.
    endpoint    TEXT    NOT NULL,
    bucket      TEXT    NOT NULL,
    place       TEXT    NOT NULL,
    -- At the target, with the prefix that the task wrote before it.
    key         BLOB    NOT NULL,
    -- NULL: the target was being asked for one.
    upload_id   TEXT,
    orphaned_at INTEGER NOT NULL
) STRICT;

CREATE INDEX orphans_by_task ON orphans (task_id, number);
CREATE INDEX orphans_by_place ON orphans (endpoint, bucket, number);

-- Keys to give them up with, only for as long as there is one of the task.
CREATE TABLE orphan_keys (
    task_id  INTEGER PRIMARY KEY,
    sealed   BLOB    NOT NULL,
    -- When a sweep took them last; NULL before the first, and after a start of the process.
    taken_at INTEGER
) STRICT;
