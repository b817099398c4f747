-- What was computed of each part while it was sent, so that a later attempt need not read the source again to prove it.
CREATE TABLE part_hashes (
    task_id INTEGER NOT NULL,
    key     BLOB    NOT NULL,
    number  INTEGER NOT NULL CHECK (number BETWEEN 1 AND 10000),
    md5     BLOB    NOT NULL CHECK (length(md5) = 16),
    PRIMARY KEY (task_id, key, number),
    FOREIGN KEY (task_id, key) REFERENCES uploads (task_id, key) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
