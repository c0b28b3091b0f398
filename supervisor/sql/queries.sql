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

-- list_tasks --
-- A page of positions, the newest first, after the position given; NULL filters let everything through
SELECT created_at, task_id
FROM tasks
WHERE cluster = :cluster
    AND desired_status = :desired_status
    AND (created_at, task_id) < (:created_at, :after)
    AND (:family IS NULL OR family = :family)
    AND (:started_by IS NULL OR started_by = :started_by)
    AND (:launch_type IS NULL OR launch_type = :launch_type)
ORDER BY created_at DESC, task_id DESC
LIMIT :limit;

-- load_tasks_of_token --
-- The tasks that a RunTask with this client token made, in the order of their making
SELECT body
FROM tasks
WHERE client_token = :token
ORDER BY created_at, rowid;

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
    task_id,
    cluster,
    family,
    revision,
    desired_status,
    last_status,
    launch_type,
    started_by,
    client_token,
    created_at,
    stopped_at,
    body
)
VALUES (
    :task_id,
    :cluster,
    :family,
    :revision,
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

-- list_definitions --
-- A page of revisions of that status by family and revision, after the position given
SELECT family, revision
FROM task_definitions
WHERE status = :status
    AND (:family IS NULL OR family = :family)
    AND (:after_family IS NULL OR (family, revision) > (:after_family, :after_revision))
ORDER BY family, revision
LIMIT :limit;

-- list_definitions_backwards --
-- The same from the other end
SELECT family, revision
FROM task_definitions
WHERE status = :status
    AND (:family IS NULL OR family = :family)
    AND (:after_family IS NULL OR (family, revision) < (:after_family, :after_revision))
ORDER BY family DESC, revision DESC
LIMIT :limit;

-- list_families --
-- A page of families that begin so: with an ACTIVE revision, without one, or ALL
SELECT family
FROM task_definitions
WHERE status <> 'DELETE_IN_PROGRESS'
    AND family > :after
    AND substr(family, 1, length(:prefix)) = :prefix
GROUP BY family
HAVING :status = 'ALL' OR max(status = 'ACTIVE') = (:status = 'ACTIVE')
ORDER BY family
LIMIT :limit;

-- remove_deleted_definitions --
-- Forgets revisions that are to be deleted and that no task needs any more
DELETE FROM task_definitions
WHERE status = 'DELETE_IN_PROGRESS'
    AND NOT EXISTS (
        SELECT 1
        FROM tasks
        WHERE tasks.last_status <> 'STOPPED'
            AND tasks.family = task_definitions.family
            AND tasks.revision = task_definitions.revision
    );

-- load_cluster --
-- A cluster by its name, whatever its status
SELECT body
FROM clusters
WHERE name = :name;

-- list_clusters --
-- A page of names of ACTIVE clusters
SELECT name
FROM clusters
WHERE status = 'ACTIVE' AND name > :after
ORDER BY name
LIMIT :limit;

-- save_cluster --
-- Writes or replaces one cluster
INSERT INTO clusters (name, status, body)
VALUES (:name, :status, :body)
ON CONFLICT (name) DO UPDATE SET status = excluded.status, body = excluded.body;

-- load_instance --
-- The host
SELECT body
FROM container_instances;

-- save_instance --
-- Writes or replaces the host
INSERT INTO container_instances (instance_id, body)
VALUES (:instance_id, :body)
ON CONFLICT (instance_id) DO UPDATE SET body = excluded.body;

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

-- save_event --
-- Appends to the journal
INSERT INTO events (at, task_id, body)
VALUES (:at, :task_id, :body);

-- load_events --
-- A page of the journal after a number
SELECT seq, body
FROM events
WHERE seq > :after
ORDER BY seq
LIMIT :limit;

-- load_events_of_task --
-- The same of one task: a query of its own, since only so its index is used
SELECT seq, body
FROM events
WHERE task_id = :task_id AND seq > :after
ORDER BY seq
LIMIT :limit;

-- find_event_since --
-- The first number of the journal at or after a time; NULL if there is none. The + has the index on the time used
SELECT min(+seq)
FROM events
WHERE at >= :since;

-- find_last_event --
-- The last number that the journal has given; no row before the first
SELECT seq
FROM sqlite_sequence
WHERE name = 'events';

-- remove_events --
-- Forgets the oldest events from before a time
DELETE FROM events
WHERE seq IN (SELECT seq FROM events WHERE at < :before ORDER BY at LIMIT :limit);

-- save_run --
-- Keeps a run that is over
INSERT INTO runs (task_id, container, number, body)
VALUES (:task_id, :container, :number, :body)
ON CONFLICT (task_id, container, number) DO UPDATE SET body = excluded.body;

-- load_runs --
-- The runs of a task that are over, by container and number
SELECT body
FROM runs
WHERE task_id = :task_id
ORDER BY container, number;

-- save_moment --
-- Keeps what the keeper told of a stop, once
INSERT INTO moments (task_id, run_id, clock, kind, body)
VALUES (:task_id, :run_id, :clock, :kind, :body)
ON CONFLICT (task_id, run_id, clock, kind) DO NOTHING;

-- load_moments --
-- What the keeper told of the stops of a task, in order
SELECT body
FROM moments
WHERE task_id = :task_id
ORDER BY clock, rowid;
