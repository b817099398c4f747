-- What a person should see about the last pass of a task although it failed nothing.
CREATE TABLE warnings (
    task_id  INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    code     TEXT    NOT NULL,
    -- Empty for the whole task.
    subject  TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    count    INTEGER NOT NULL CHECK (count > 0),
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (task_id, code, subject)
) STRICT, WITHOUT ROWID;

-- Objects among the failed ones that the task names and the source does not have.
ALTER TABLE tasks ADD COLUMN not_found INTEGER NOT NULL DEFAULT 0 CHECK (not_found >= 0);
ALTER TABLE shards ADD COLUMN not_found INTEGER NOT NULL DEFAULT 0;
UPDATE tasks SET not_found =
    (SELECT count(*) FROM failures f WHERE f.task_id = tasks.id AND f.code = 'NoSuchKey');
UPDATE shards SET not_found =
    (SELECT count(*) FROM failures f
     WHERE f.task_id = shards.task_id AND f.shard = shards.number AND f.code = 'NoSuchKey')
    WHERE pass = (SELECT pass FROM tasks WHERE id = shards.task_id);
-- Bytes at the target, or on their way, of objects that are not counted yet.
ALTER TABLE tasks ADD COLUMN bytes_in_flight INTEGER NOT NULL DEFAULT 0 CHECK (bytes_in_flight >= 0);
ALTER TABLE shards ADD COLUMN bytes_in_flight INTEGER NOT NULL DEFAULT 0;
-- When a failure was last taken from a list of URLs, so that each is taken once in a pass, in the order of the list.
ALTER TABLE failures ADD COLUMN taken_pass INTEGER NOT NULL DEFAULT 0;
ALTER TABLE failures ADD COLUMN taken_attempt INTEGER NOT NULL DEFAULT 0;
