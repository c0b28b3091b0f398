-- Each query: its name between dashes, a line that says what it does, the statement.

-- load_unfinished --
-- Tasks that are not STOPPED, the oldest first
SELECT body
FROM tasks
WHERE last_status <> 'STOPPED'
ORDER BY created_at, task_id;

-- load_tasks --
-- Tasks by their ids, given as a JSON array
SELECT task_id, body
FROM tasks
WHERE task_id IN (SELECT value FROM json_each(:ids));

-- find_position --
-- Where a task stands in lists
SELECT created_at
FROM tasks
WHERE task_id = :task_id;

-- list_tasks --
-- A page of ids, the newest first, after the position given; NULL filters let everything through
SELECT task_id
FROM tasks
WHERE desired_status = :desired_status
    AND (created_at, task_id) < (:created_at, :after)
    AND (:family IS NULL OR family = :family)
    AND (:started_by IS NULL OR started_by = :started_by)
    AND (:launch_type IS NULL OR launch_type = :launch_type)
ORDER BY created_at DESC, task_id DESC
LIMIT :limit;

-- load_tasks_of_token --
-- The tasks that a RunTask with this client token made
SELECT body
FROM tasks
WHERE client_token = :token
ORDER BY created_at, task_id;

-- load_definition --
-- One revision of a family
SELECT body
FROM task_definitions
WHERE family = :family AND revision = :revision;

-- load_latest_definition --
-- The latest ACTIVE revision of a family
SELECT body
FROM task_definitions
WHERE family = :family AND status = 'ACTIVE'
ORDER BY revision DESC
LIMIT 1;

-- find_last_revision --
-- The last number given in a family
SELECT last_revision
FROM families
WHERE family = :family;

-- save_family --
-- Moves a family's counter on, never back
INSERT INTO families (family, last_revision)
VALUES (:family, :revision)
ON CONFLICT (family) DO UPDATE SET last_revision = max(last_revision, excluded.last_revision);

-- save_definition --
-- Writes or replaces one revision
INSERT INTO task_definitions (family, revision, status, body)
VALUES (:family, :revision, :status, :body)
ON CONFLICT (family, revision) DO UPDATE SET status = excluded.status, body = excluded.body;

-- save_task --
-- Writes or replaces one task; what never changes in a task's life is left as it is
INSERT INTO tasks (
    task_id, family, desired_status, last_status, launch_type, started_by, client_token, created_at, stopped_at, body
)
VALUES (
    :task_id,
    :family,
    :desired_status,
    :last_status,
    :launch_type,
    :started_by,
    :client_token,
    :created_at,
    :stopped_at,
    :body
)
ON CONFLICT (task_id) DO UPDATE SET
    desired_status = excluded.desired_status,
    last_status = excluded.last_status,
    stopped_at = excluded.stopped_at,
    body = excluded.body;

-- find_finished --
-- The tasks that stopped first
SELECT task_id
FROM tasks
WHERE last_status = 'STOPPED' AND stopped_at < :before
ORDER BY stopped_at
LIMIT :limit;

-- remove_task --
-- Forgets one task
DELETE FROM tasks
WHERE task_id = :task_id;

-- load_meta --
-- A fact about this agent
SELECT value
FROM meta
WHERE key = :key;

-- save_meta --
-- Writes or replaces a fact about this agent
INSERT INTO meta (key, value)
VALUES (:key, :value)
ON CONFLICT (key) DO UPDATE SET value = excluded.value;
