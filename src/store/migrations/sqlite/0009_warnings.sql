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
