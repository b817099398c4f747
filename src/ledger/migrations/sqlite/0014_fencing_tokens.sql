-- The columns of fencing tokens had the names of attempts. failures.attempts keeps its name: it says how often an object was
-- tried.
ALTER TABLE tasks RENAME COLUMN attempt TO fencing_token;
ALTER TABLE tasks RENAME COLUMN shard_attempt TO shard_fencing_token;
ALTER TABLE shards RENAME COLUMN attempt TO fencing_token;
ALTER TABLE shards RENAME COLUMN task_attempt TO task_fencing_token;
ALTER TABLE failures RENAME COLUMN taken_attempt TO taken_fencing_token;
