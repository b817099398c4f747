-- How many small objects the running task may copy at the same time, how many it does, and why, as its last commit says.
ALTER TABLE tasks ADD COLUMN concurrency_allowed INTEGER;
ALTER TABLE tasks ADD COLUMN concurrency_in_flight INTEGER;
ALTER TABLE tasks ADD COLUMN concurrency_reason TEXT;
