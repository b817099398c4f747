-- Who works on a running task: 0 nobody, or a process that has ended in order; 1 a worker has claimed it; 2 and has been
-- at it for a while. What a process finds here at its start was cut short.
ALTER TABLE tasks ADD COLUMN held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1, 2));
-- Crashes since the task was last started or made progress, weighted.
ALTER TABLE tasks ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0 CHECK (crashes >= 0);

-- Whether failures of the last pass are being forgotten, bit by bit, before a new full pass: their list is not complete.
ALTER TABLE tasks ADD COLUMN forgetting INTEGER NOT NULL DEFAULT 0 CHECK (forgetting IN (0, 1));

-- Waiting tasks are read project by project, a few of each. A task without a project was deleted, and its rows go later.
DROP INDEX tasks_pending;
CREATE INDEX tasks_running ON tasks (id) WHERE state = 'running';
CREATE INDEX tasks_waiting ON tasks (project, id) WHERE state = 'waiting';
